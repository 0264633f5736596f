"""A model folder that transformers opens by itself, without this package: its classes as files beside the weights.

    AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)(**inputs).rank_scores

The files are this package's own, those that the family's classes need and no others, side by side, with their imports
made relative: what transformers copies of a folder or of a repository is what such imports reach.
"""

from __future__ import annotations

import ast
import json
import os
from collections import defaultdict
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import (
    MODEL_FOR_PRETRAINING_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_MAPPING,
)

import cacr
from cacr._files import write_text_whole
from cacr._json import read_object
from cacr.models.families import Family
from cacr.models.loading import kind_of

AUTO = {
    "AutoModel": MODEL_MAPPING,
    "AutoModelForPreTraining": MODEL_FOR_PRETRAINING_MAPPING,
    "AutoModelForSequenceClassification": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
}
"""Where the families register their classes: the encoder, pre-training heads, the match of caption and picture."""
MARK = "# Written by cacr "
LICENCE = "# SPDX-License-Identifier: MIT. Copyright (c) 2026 The cacr authors."


def write_remote_code(folder: str | os.PathLike[str]) -> list[Path]:
    """Write the classes of a saved model beside it, and name them in config.json and processor_config.json.

    Args:
        folder: As ``save_pretrained`` of a UNITER, an OSCAR or a ROSITA wrote it. What was written here before is
            written anew.

    Returns:
        The files of code.

    Raises:
        FileNotFoundError: There is no config.json.
        ValueError: It names no kind of model known here, or a file in the folder has a name that is needed and was not
            written by this function; nothing is changed then.
    """
    folder = Path(folder)
    family, _ = kind_of(folder)
    classes = _classes(family)
    names = _names({one.__module__ for one in classes.values()}, family.config.model_type)
    for path in (folder / f"{name}.py" for name in names.values()):
        if (path.exists() or path.is_symlink()) and not _ours(path):
            raise ValueError(
                f"{path} was not written by cacr and would be overwritten; move it away, or copy the model to a folder "
                "of its own"
            )
    written = []
    for module, name in names.items():
        written.append(folder / f"{name}.py")
        write_text_whole(written[-1], _text(module, names, list(classes.values())))
    places = {auto: f"{names[one.__module__]}.{one.__name__}" for auto, one in classes.items()}
    _add(folder / "config.json", places)
    if (folder / "processor_config.json").is_file():
        _add(folder / "processor_config.json", {"AutoProcessor": places["AutoProcessor"]})
    return written


def _classes(family: Family) -> dict[str, type]:
    """Name of an Auto class -> what it gives of this family."""
    models: dict[str, Any] = {
        name: mapping[family.config] for name, mapping in AUTO.items() if family.config in mapping
    }
    return {"AutoConfig": family.config, "AutoProcessor": family.processor, **models}


def _names(modules: Iterable[str], kind: str) -> dict[str, str]:
    """Every module of this package that these need, themselves included -> its file's name without its ending."""
    names: dict[str, str] = {}
    waiting = sorted(modules)
    while waiting:
        module = waiting.pop()
        if module not in names:
            *_, room, last = module.split(".")
            names[module] = f"{last.lstrip('_')}_{kind}" if room == kind else last.lstrip("_")
            for statement in _imports(module):
                waiting += (_home(statement.module, one.name) for one in statement.names)
    if len(set(names.values())) < len(names):
        raise RuntimeError(f"two modules would have one name: {names}")
    return names


def _imports(module: str) -> list[Any]:
    """The statements by which a module imports from this package; all have the form ``from cacr.x import y``."""
    nodes = ast.walk(ast.parse(_source(module)))
    return [
        one for one in nodes if isinstance(one, ast.ImportFrom) and (one.module or "").startswith("cacr.")
    ]


def _home(module: str, name: str) -> str:
    """The module that defines what a module or a package gives under a name."""
    found = find_spec(module)
    if found is None or not found.submodule_search_locations:
        return module
    return next(one.module for one in _imports(module) if name in {alias.name for alias in one.names})


def _source(module: str) -> str:
    found = find_spec(module)
    assert found is not None and found.origin is not None, module
    return Path(found.origin).read_text(encoding="utf-8")


def _text(module: str, names: dict[str, str], classes: list[type]) -> str:
    """A module's source with relative imports, under a line that says where it is from.

    What defines one of the classes names the others: with a model, transformers saves the files that its own names.
    """
    lines = _source(module).splitlines()
    for statement in sorted(_imports(module), key=lambda one: -one.lineno):
        wanted: dict[str, list[str]] = defaultdict(list)
        for one in statement.names:
            wanted[names[_home(statement.module, one.name)]].append(ast.unparse(one))
        indent = " " * statement.col_offset
        lines[statement.lineno - 1 : statement.end_lineno] = [
            f"{indent}from .{home} import {', '.join(some)}" for home, some in wanted.items()
        ]
    head = f"{MARK}{cacr.__version__} from its {module.replace('.', '/')}.py: change it there."
    if module in {one.__module__ for one in classes}:
        lines += ["", "", "if False:  # not run; so that transformers saves these files with this one"]
        others = [one for one in classes if one.__module__ != module]
        lines += [f"    from .{names[one.__module__]} import {one.__name__}  # noqa: F401" for one in others]
    return "\n".join([head, LICENCE, *lines, ""])


def _ours(path: Path) -> bool:
    return path.is_file() and path.read_bytes().startswith(MARK.encode())


def _add(path: Path, places: dict[str, str]) -> None:
    """Name classes in a configuration, beside those of others that it names already."""
    values = read_object(path)
    before = values.get("auto_map")
    values["auto_map"] = (before if isinstance(before, dict) else {}) | places
    write_text_whole(path, json.dumps(values, indent=2, sort_keys=True) + "\n")
