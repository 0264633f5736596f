"""The mutants of a file: its source with one small change each, by the operators of mutmut.

mutmut's own runner is not used: it leaves out decorated functions (the backward passes of autograd functions) and what
stands outside of functions (the table of losses, the defaults of a reading), and its trampolines would stand between
torch.compile and the losses.

Not made, since no test should pin them: wording (docstrings, sentences, whatever stands in a ``raise``), annotations
and aliases of types, ``assert`` for the type checker, ``__all__``, and the ``strict`` of ``zip``.
"""

import ast
import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
import libcst.matchers as m
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_string

PROSE = frozenset({"asks", "paper", "licence", "size", "ties", "chance_is", "obtain", "cautions"})
"""Arguments of a benchmark that are printed and nothing else."""
SENTENCE = 4
"""A text with so many spaces is a sentence."""


@dataclass(frozen=True)
class Mutant:
    """One change of a file."""

    file: str
    """Below src/cacr, such as losses/iais.py."""
    first: int
    """First line that changes, from 1, in the unchanged file."""
    last: int
    source: str
    """Of the whole file, changed."""
    change: str
    """Lines taken away and put there, each with - or + in front; the indentation of the first is left out."""


def mutants_of(file: str, source: str) -> list[Mutant]:
    """All mutants of a file, in the order of its lines; the same change is made once."""
    wrapper = MetadataWrapper(cst.parse_module(source))
    visitor = _Visitor()
    wrapper.visit(visitor)
    seen, found, lines = {source}, [], source.splitlines()
    for node, changed, (first, last), span in visitor.found:
        whole = _replaced(wrapper.module, source, node, changed, span)
        if whole in seen or not _is_python(whole):
            continue
        seen.add(whole)
        new = whole.splitlines()
        there = slice(first - 1, last + len(new) - len(lines))
        found.append(Mutant(file, first, last, whole, change_of(lines[first - 1 : last], new[there])))
    return sorted(found, key=lambda one: one.first)


def change_of(before: Sequence[str], after: Sequence[str]) -> str:
    """The lines that differ, without numbers, so that it stays the same when lines above come and go.

    Example:
        >>> change_of(["a", "  b = 1"], ["a", "  b = 2"])
        '-b = 1\\n+b = 2'
    """
    told = [line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[:2] != "@@"][2:]
    indent = min(len(line) - 1 - len(line[1:].lstrip()) for line in told)
    return "\n".join(line[0] + line[1 + indent :] for line in told)


def _replaced(module: cst.Module, source: str, node: cst.CSTNode, changed: cst.CSTNode, span: slice) -> str:
    """The source with one node changed: by its place in the text, which is a hundred times faster than by the tree."""
    text, was, now = source.encode(), module.code_for_node(node), module.code_for_node(changed)
    if text[span].decode() == was.strip():
        return (text[: span.start] + now.strip().encode() + text[span.stop :]).decode()
    return module.deep_replace(node, changed).code


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


class _Visitor(cst.CSTVisitor):
    """Collects (node, changed node, lines, bytes)."""

    METADATA_DEPENDENCIES = (PositionProvider, ByteSpanPositionProvider)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[cst.CSTNode, cst.CSTNode, tuple[int, int], slice]] = []
        self._inside = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Make the mutants of a node; False where nothing below it is to be changed."""
        if isinstance(node, cst.FunctionDef | cst.Lambda):
            self._inside += 1
        if _is_wording(node) or _is_typing(node) or (not self._inside and _is_no_value(node)):
            return False
        for changed in _changes(node):
            where = self.get_metadata(PositionProvider, node)
            there = self.get_metadata(ByteSpanPositionProvider, node)
            span = slice(there.start, there.start + there.length)
            self.found.append((node, changed, (where.start.line, where.end.line), span))
        return True

    def on_leave(self, node: cst.CSTNode) -> None:
        """Out of a function again."""
        if isinstance(node, cst.FunctionDef | cst.Lambda):
            self._inside -= 1


def _changes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for kind, operator in mutation_operators:
        if isinstance(node, kind):
            made = operator(node)
            for number, changed in enumerate(made):
                if operator is operator_string and number:
                    break  # "XXmeanXX" is one unknown name, "MEAN" another
                if not (_wording_alone(node, changed) or _same_number(node, changed)):
                    yield changed


def _is_wording(node: cst.CSTNode) -> bool:
    text = m.SimpleString() | m.ConcatenatedString() | m.FormattedString()
    if m.matches(node, m.Raise() | m.Assert() | m.Expr(value=text)):
        return True
    if isinstance(node, cst.Arg) and node.keyword is not None and node.keyword.value in PROSE | {"strict"}:
        return True
    if isinstance(node, cst.ConcatenatedString):
        return True
    return isinstance(node, cst.SimpleString) and node.value.count(" ") >= SENTENCE


def _is_typing(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom)


def _is_no_value(node: cst.CSTNode) -> bool:
    """At the level of the module: ``__all__``, aliases of types, the logger."""
    target = node.targets[0].target if isinstance(node, cst.Assign) else None
    if not isinstance(target, cst.Name):
        return False
    name = target.value
    return name in ("__all__", "logger") or (name[0].isupper() and not name.isupper())


def _same_number(node: cst.CSTNode, changed: cst.CSTNode) -> bool:
    """1e140 + 1 is 1e140."""
    return (
        isinstance(node, cst.Float)
        and isinstance(changed, cst.Float)
        and node.evaluated_value == changed.evaluated_value
    )


def _wording_alone(node: cst.CSTNode, changed: cst.CSTNode) -> bool:
    """Whether a change of a call touches an argument that is wording, or ``strict``, alone."""
    if not (isinstance(node, cst.Call) and isinstance(changed, cst.Call)):
        return False
    return _without_wording(node) == _without_wording(changed)


def _without_wording(call: cst.Call) -> Counter[str]:
    module = cst.Module([])
    kept = [arg for arg in call.args if arg.keyword is None or arg.keyword.value not in PROSE | {"strict"}]
    return Counter(
        [
            module.code_for_node(call.func),
            *(module.code_for_node(arg.with_changes(comma=cst.MaybeSentinel.DEFAULT)) for arg in kept),
        ]
    )


def source_of(root: Path, file: str) -> str:
    """Of a file below src/cacr."""
    return (root / "src" / "cacr" / file).read_text(encoding="utf-8")
