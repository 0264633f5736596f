"""Tables of scores and differences as text, Markdown, LaTeX or JSON: percent with interval, n, chance.

Scores of one run, or of several, and differences of runs. Published scores of other models come as a table of their
own, with where they were read: never among one's own rows. JSON keeps fractions; the other forms print percent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cacr._messages import unknown
from cacr.benchmarks.benchmark import Row
from cacr.benchmarks.comparing import Difference
from cacr.benchmarks.references import Reference, references_for
from cacr.statistics import Estimate

MEAN = "mean of parts"
"""The group of an average as published, which is none of one's own."""
FORMS = ("text", "markdown", "latex", "json")
Form = Literal["text", "markdown", "latex", "json"]
Rows = Sequence[Row] | Sequence[Difference] | Mapping[str, Sequence[Row]]

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: "\\" + sign for sign in "%_&#${}"},
}


@dataclass(frozen=True)
class _Table:
    title: str
    columns: tuple[str, ...]
    cells: list[list[str]]
    left: int
    """How many of the first columns hold words."""
    notes: tuple[str, ...] = ()
    """Sentences below."""


def render(
    rows: Rows,
    form: Form = "text",
    benchmark: str = "",
    title: str = "",
    notes: Sequence[str] = (),
    split: str | None = None,
) -> str:
    """One or two tables: the rows, and the published scores of the same groups and metrics; then notes.

    Args:
        rows: Of one model, or model -> its rows, or differences of runs. Intervals are called 95 % ones.
        form: "text", "markdown", "latex" (needs the package booktabs), or "json".
        benchmark: Whose published scores to add; none if not given, and none beside differences.
        title: Above the rows.
        notes: Sentences below all.
        split: The part of the benchmark that was asked for, if not all: "all" of it is another "all", so the published
            scores of the group named like the part stand beside it, or none.

    Raises:
        ValueError: An unknown form.

    Examples:
        >>> from cacr.benchmarks import Row, proportion
        >>> print(render([Row("all", "group", proportion([True] * 57 + [False] * 343), 1 / 6)]))
        group  metric  % [95 % interval]    n  chance %
        all    group   14.2 [11.2, 18.0]  400      16.7
    """
    if form not in FORMS:
        raise ValueError(unknown("form of table", form, FORMS))
    flat = _flat(rows)
    references = _published(flat, benchmark, split) if benchmark else []
    if form == "json":
        return _json(flat, references, benchmark, title, notes)
    differences = [one for _, one in flat if isinstance(one, Difference)]
    scores = [(model, one) for model, one in flat if isinstance(one, Row)]
    tables = []
    if scores or not differences:
        tables.append(_scores(scores, title, isinstance(rows, Mapping)))
    if differences:
        tables.append(_differences(differences, title))
    if references:
        tables.append(_references(references))
    draw = {"text": _text, "markdown": _markdown, "latex": _latex}[form]
    before = {"text": "Note: ", "markdown": "- ", "latex": "% "}[form]
    below = ["\n".join(before + " ".join(note.split()) for note in notes)] if notes else []
    return "\n\n".join([draw(table) for table in tables] + below)


def _published(
    flat: Sequence[tuple[str, Row | Difference]], benchmark: str, split: str | None
) -> list[Reference]:
    """Published scores of the rows' groups and metrics, and of their mean over parts where only that is published."""
    asked = dict.fromkeys(
        (split if split is not None and one.group == "all" else one.group, one.metric)
        for _, one in flat
        if isinstance(one, Row)
    )
    means = (
        [(MEAN, metric) for metric in dict.fromkeys(metric for _, metric in asked)] if split is None else []
    )
    return [one for group, metric in [*asked, *means] for one in references_for(benchmark, group, metric)]


def percent(estimate: Estimate, signed: bool = False) -> str:
    """``47.8 [43.0, 52.7]``, in percent; ``+1.2 [-0.3, 2.7]`` where signed."""
    sign = "+" if signed else ""
    if math.isnan(estimate.value):
        return "-"
    value = f"{100 * estimate.value:{sign}.1f}"
    if math.isnan(estimate.low):
        return f"{value} [no interval]"
    return f"{value} [{100 * estimate.low:{sign}.1f}, {100 * estimate.high:{sign}.1f}]"


def p_text(p: float) -> str:
    """``0.043``, ``<0.001``, or ``-`` where there is none."""
    return "-" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _flat(rows: Rows) -> list[tuple[str, Row | Difference]]:
    if isinstance(rows, Mapping):
        return [(" ".join(model.split()), one) for model, some in rows.items() for one in some]
    return [("", one) for one in rows]


def _scores(rows: Sequence[tuple[str, Row]], title: str, named: bool) -> _Table:
    cells = [
        [
            *([model] if named else []),
            one.group,
            one.metric,
            percent(one.estimate),
            str(one.estimate.n),
            f"{100 * one.chance:.1f}",
        ]
        for model, one in rows
    ]
    columns = (*(["model"] if named else []), "group", "metric", "% [95 % interval]", "n", "chance %")
    return _Table(title, columns, cells, 3 if named else 2)


def _differences(differences: Sequence[Difference], title: str) -> _Table:
    columns = (
        "group",
        "metric",
        "difference",
        "verdict",
        "test",
        "points [95 % interval]",
        "p",
        "p (Holm)",
        "looks",
        "n",
        "detectable points",
    )
    cells = [
        [
            one.group,
            one.metric,
            f"{one.ours} - {one.theirs}",
            "resolved" if one.resolved else "not resolved",
            one.test,
            percent(one.estimate, signed=True),
            p_text(one.p),
            p_text(one.adjusted),
            str(one.looks),
            str(one.estimate.n),
            "-" if math.isnan(one.detectable) else f"{100 * one.detectable:.1f}",
        ]
        for one in differences
    ]
    return _Table(title, columns, cells, 5)


def _references(references: Sequence[Reference]) -> _Table:
    """A line per group, model and source, a column per metric; notes below."""
    metrics = list(dict.fromkeys(one.metric for one in references))
    lines: dict[tuple[str, str, str], dict[str, Reference]] = {}
    for one in references:
        lines.setdefault((one.group, one.model, one.source), {})[one.metric] = one
    cells = [
        [
            *key,
            *(percent(found[metric].estimate) if metric in found else "" for metric in metrics),
            _counts(found),
        ]
        for key, found in lines.items()
    ]
    notes = dict.fromkeys(f"{one.model}, {one.source}: {one.note}" for one in references if one.note)
    columns = ("group", "model", "source", *(f"{metric} %" for metric in metrics), "n")
    return _Table("Published scores of other models, not measured here", columns, cells, 3, tuple(notes))


def _counts(found: Mapping[str, Reference]) -> str:
    counts = dict.fromkeys("-" if one.n is None else str(one.n) for one in found.values())
    return ", ".join(counts)


def _text(table: _Table) -> str:
    lines = [list(table.columns), *table.cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.columns))]
    drawn = [
        "  ".join(
            cell.ljust(width) if i < table.left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join(([table.title] if table.title else []) + drawn + list(table.notes))


def _markdown(table: _Table) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in (list(table.columns), *table.cells)]
    rule = ["---" if i < table.left else "--:" for i in range(len(table.columns))]
    lines = [f"| {' | '.join(line)} |" for line in (escaped[0], rule, *escaped[1:])]
    below = ["", *(f"- {note}" for note in table.notes)] if table.notes else []
    return "\n".join(([f"**{table.title}**", ""] if table.title else []) + lines + below)


def _latex(table: _Table) -> str:
    def line(cells: Sequence[str]) -> str:
        said = " & ".join("".join(_LATEX.get(sign, sign) for sign in cell) for cell in cells)
        return (
            ("{}" if said.startswith(("[", "*")) else "") + said + r" \\"
        )  # [ and * mean something after \\

    return "\n".join(
        [
            *(["% " + table.title.replace("\n", " ")] if table.title else []),
            r"\begin{tabular}{" + "l" * table.left + "r" * (len(table.columns) - table.left) + "}",
            r"\toprule",
            line(table.columns),
            r"\midrule",
            *[line(cells) for cells in table.cells],
            r"\bottomrule",
            r"\end{tabular}",
            *(f"% {note}" for note in table.notes),
        ]
    )


def _json(
    flat: Sequence[tuple[str, Row | Difference]],
    references: Sequence[Reference],
    benchmark: str,
    title: str,
    notes: Sequence[str],
) -> str:
    rows: list[dict[str, Any]] = []
    for model, one in flat:
        if isinstance(one, Difference):
            rows.append(one.to_json())
        else:
            rows.append(
                ({"model": model} if model else {})
                | {"group": one.group, "metric": one.metric, "chance": one.chance}
                | one.estimate.to_json()
            )
    found = {"title": title, "benchmark": benchmark, "rows": rows, "notes": list(notes)}
    return json.dumps(found | {"references": [one.to_json() for one in references]}, indent=1)
