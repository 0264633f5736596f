"""Readers of our own files that a stranger may hand over: records, recipes, plans, run folders, references."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cacr.benchmarks import BENCHMARKS, Options, table
from cacr.benchmarks.records import read_about, read_records
from cacr.benchmarks.references import read_references
from cacr.benchmarks.running import answer, finish
from cacr.environment import OF_NUMBERS, environment, variables
from cacr.repeating.recorded import read_environment
from cacr.repeating.then_now import as_then, differences, folder_of, notes
from cacr.scorers import ConstantScorer
from cacr.study.plan import StudyPlan
from cacr.sweep.plan import SweepPlan
from cacr.training.config import TrainConfig
from cacr.training.folder import check_run_folder
from cacr.training.metrics import Metrics
from tests.fuzz.reader import Reader

SCORER, OPTIONS = ConstantScorer(), Options(n=2)
SCENES = BENCHMARKS["scenes"]
WORK = SCENES.open(OPTIONS)


def _records(path: Path) -> None:
    for name, records in read_records(path.parent).items():
        for row in table(BENCHMARKS[name], records):
            json.dumps(row.to_json())


def _about(path: Path) -> None:
    about = read_about(path.parent, path.stem)
    json.dumps(about).encode()


def _part(path: Path) -> None:
    answer(SCENES, WORK, SCORER, path.parents[1], OPTIONS)


def _whole_part(path: Path) -> None:
    """As `cacr eval --resume` looks at the answers that are there."""
    WORK.whole(0, path.read_bytes())


def _references(path: Path) -> None:
    try:
        read_references(path.read_bytes().decode())
    except ValueError as error:  # the package reads its own file alone; a text has no name
        raise ValueError(f"{path}: {error}") from error


def _run(path: Path) -> None:
    check_run_folder(TrainConfig(out=path.parent), resume=True)


def _environment(path: Path) -> None:
    """As `cacr repeat` looks at it before and after the new run."""
    then = read_environment(path)
    given = as_then(then)
    found, _ = differences(then, NOW | {"variables": variables(given)})
    json.dumps([one.to_json() for one in found])
    "".join(notes(then)) + str(folder_of(then))
    if strange := [name for name in given.keys() - os.environ if not name.startswith(MAY_BE_GIVEN)]:
        raise AssertionError(f"the new run is given {strange[0]}")


def _metrics(path: Path) -> None:
    state: Any = SimpleNamespace(is_world_process_zero=True, global_step=5)
    Metrics(path, lambda step, losses: None).on_train_begin(None, state, None)  # type: ignore[arg-type]


def _lines(*records: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def _pair(name: str, match: list[list[float | None]], **more: Any) -> dict[str, Any]:
    return {"example": name, "tags": ["relation", "left"], "cluster": name, "match": match} | more


def _work_begun() -> tuple[bytes, bytes]:
    """settings.json and the first part of an evaluation that was stopped."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        answer(SCENES, WORK, SCORER, Path(folder), OPTIONS)
        parts = Path(folder) / "scenes.parts"
        return (parts / "settings.json").read_bytes(), (parts / "part-00000").read_bytes()


def _about_seed() -> bytes:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        answer(SCENES, WORK, SCORER, Path(folder), OPTIONS)
        finish(SCENES, WORK, SCORER, Path(folder), OPTIONS, {"python": "3"})
        told = json.loads((Path(folder) / "scenes.json").read_text())
        told["benchmark"] = {"name": "scenes"}
        told["table"] = told["table"][:1]
        return json.dumps(told).encode()


def _beside_part(folder: Path) -> None:
    (folder / "scenes.parts").mkdir(exist_ok=True)
    (folder / "scenes.parts" / "part-00000").write_bytes(_PART)


_SETTINGS, _PART = _work_begun()
_TWO = _lines(_pair("a", [[1.0, 0.0], [0.5, None]]), _pair("b", [[0.1, 0.2], [0.3, 1e300]], threshold=0.5))
_QUERIES = _lines(
    {"example": "caption 0", "cluster": "a", "pool": 3, "own": 1, "direction": "caption to image", "rank": 1},
    {"example": "a", "cluster": "a", "pool": 4, "own": 2, "direction": "image to caption", "rank": 2},
)
_LABELLED = _lines(*(_pair(f"{i}", [[i / 4]], label=i % 2, cluster=f"p{i}") for i in range(4)))
_RECIPE = (
    b'loss = "cacr"\nlr = 1e-5\nsteps = 10\nlayer = -1\n[sweep]\ntrials = 2\n'
    b"[sweep.space]\nlr = {low = 1e-5, high = 1e-3}\n"
)
_PLAN = b"""[study]
seeds = [0, 1]
steps = 20
album = 4
[starts.asked]
mask_relations = true
[[arms]]
name = "none"
loss = "none"
[[arms]]
name = "flat, 1"
loss = "flat"
layer = 1
start = "asked"
[[contrasts]]
arm = "flat, 1"
against = "none"
"""
_PUBLISHED = b"""[sizes]
winoground = { all = 400 }
[[published]]
benchmark = "winoground"
model = "UNITER"
source = "arXiv:2204.03162"
scores = { text = 0.38, image = 0.14 }
"""

NOW = environment()
MAY_BE_GIVEN = (*OF_NUMBERS, "PYTHONSAFEPATH")
_MADE = NOW | {
    "command": ["cacr", "train", "scenes"],
    "variables": {"OMP_NUM_THREADS": "2", "MKL_CBWR": "AVX2"},
    "folder": "/a",
    "data": {
        "configuration": "0123",
        "captions": "4567",
        "features": {"hash": "89", "bytes": 5},
        "model": None,
    },
    "resumed": [{"step": 2, "command": ["cacr", "train"], "threads": 1}],
}

READERS: tuple[Reader, ...] = (
    Reader("records of pairs (.jsonl)", "scenes.jsonl", (_TWO,), _records, text=True),
    Reader("records of retrieval (.jsonl)", "retrieval.jsonl", (_QUERIES,), _records, text=True),
    Reader("records with labels (.jsonl)", "vsr.jsonl", (_LABELLED,), _records, text=True),
    Reader("what was measured (.json)", "scenes.json", (_about_seed(),), _about, text=True),
    Reader(
        "settings of an evaluation (.json)",
        "scenes.parts/settings.json",
        (_SETTINGS,),
        _part,
        _beside_part,
        text=True,
    ),
    Reader("answers of an evaluation", "scenes.parts/part-00000", (_PART,), _whole_part, text=True),
    Reader("recipe (.toml)", "recipe.toml", (_RECIPE,), TrainConfig.from_toml, text=True),
    Reader("search (.toml)", "recipe.toml", (_RECIPE,), SweepPlan.from_recipe, text=True),
    Reader("study (.toml)", "plan.toml", (_PLAN,), StudyPlan.from_toml, text=True),
    Reader("references (.toml)", "references.toml", (_PUBLISHED,), _references, text=True),
    Reader("run, configuration (.toml)", "config.toml", (TrainConfig().to_toml().encode(),), _run, text=True),
    Reader(
        "environment of a run (.json)",
        "environment.json",
        (json.dumps(_MADE, indent=1).encode(),),
        _environment,
        text=True,
    ),
    Reader("run, metrics (.jsonl)", "metrics.jsonl", (b'{"step": 5, "loss": 0.5}\n',), _metrics, text=True),
)
