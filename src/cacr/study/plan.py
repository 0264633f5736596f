"""What a study is told, before anything is run.

[study]
seeds = [0, 1, 2]                     # fine-tuning runs of each arm
steps = 500                           # of each run, unless an arm says otherwise; a tenth of them warm up
album = 4                             # of the scenes that are measured on
examples = 800                        # half relation swaps, half attribute swaps
gallery = 100                         # scenes to retrieve from
recipe = "scenes"                     # what all arms share
primary = "scenes/relation/group"     # BENCHMARK/GROUP/METRIC that decides

[starts.asked]                        # a starting model to make, besides the shipped one: options of `cacr pretrain`
mask_relations = true

[[arms]]                              # options of the recipe under a name; start: one of the starts
name = "rows, asked"
loss = "cacr-rows"
start = "asked"

[[contrasts]]                         # arm - against, on the primary metric; p-values are adjusted within a family
family = "primary"
arm = "rows, asked"
against = "none, asked"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from cacr._files import read_toml
from cacr._messages import shortly, unknown
from cacr.models.shipped import SHIPPED
from cacr.recipes import recipe_path
from cacr.study.measures import MEASURES, Measure
from cacr.training.config import TrainConfig, converted
from cacr.training.pretraining import PretrainConfig

FAMILIES = ("primary", "secondary")
OF_THE_STUDY = frozenset(("out", "data", "features", "split", "model", "seed", "track"))
"""Options of a run that the study sets itself, or that arms must share."""


@dataclass(frozen=True)
class Arm:
    """One way to fine-tune."""

    name: str
    """In tables and figures."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the recipe that are its own, steps among them."""
    start: str = SHIPPED
    """The model that it fine-tunes: the shipped one, or a start of the plan."""

    @property
    def folder(self) -> str:
        """Its name as part of a folder's."""
        return slug(self.name)


@dataclass(frozen=True)
class Contrast:
    """A difference that was asked for beforehand: arm - against."""

    arm: str
    """Name of an arm."""
    against: str
    """Name of the arm that is taken from it."""
    family: str = "primary"
    """Contrasts of a family are adjusted together: "primary" ones answer the question, "secondary" ones describe."""


@dataclass(frozen=True)
class StudyPlan:
    """Arms x seeds, where they are measured, and the contrasts that were asked for.

    Args:
        arms: Ways to fine-tune.
        contrasts: Differences between them, on the primary metric.
        seeds: Of each arm; the same for all, so that differences are paired.
        steps: Of a run, unless its arm has its own.
        album: Of the scenes to measure on.
        examples: Winoground-like ones to measure on.
        gallery: Scenes to retrieve from.
        recipe: A packaged recipe, which the arms' options change.
        primary: BENCHMARK/GROUP/METRIC of the contrasts.
        starts: Name -> options of pre-training.

    Raises:
        ValueError: A mistake in any of them, named.
    """

    arms: Sequence[Arm]
    contrasts: Sequence[Contrast]
    seeds: Sequence[int]
    steps: int
    album: int
    examples: int = 800
    gallery: int = 100
    recipe: str = "scenes"
    primary: str = "scenes/relation/group"
    starts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(
                f"seeds are {list(self.seeds)}; expected different numbers, 0 or more, one at least"
            )
        for name in ("steps", "examples", "gallery"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if self.examples < 2:
            raise ValueError("examples is 1; expected 2 or more, since every other one swaps a relation")
        if self.primary not in (known := [measure.path for measure in MEASURES]):
            raise ValueError(unknown("primary metric", self.primary, known))
        if not self.arms:
            raise ValueError("the plan has no arms; give one table [[arms]] for each")
        _different([arm.name for arm in self.arms], "arms")
        _different([*self.starts, SHIPPED], "starts")
        for arm in self.arms:
            if arm.name in (*self.starts, SHIPPED):
                raise ValueError(
                    f"an arm and a start are both named {shortly(arm.name)}; name one of them otherwise"
                )
            if arm.start not in (*self.starts, SHIPPED):
                raise ValueError(
                    f"arm {shortly(arm.name)}: {unknown('start', arm.start, (*self.starts, SHIPPED))}"
                )
            self.recipe_of(arm, self.seeds[0])
        names = [arm.name for arm in self.arms]
        for contrast in self.contrasts:
            for name in (contrast.arm, contrast.against):
                if name not in names:
                    raise ValueError(f"a contrast: {unknown('arm', name, names)}")
            if contrast.arm == contrast.against:
                raise ValueError(f"a contrast of {shortly(contrast.arm)} with itself; name two arms")
            if contrast.family not in FAMILIES:
                raise ValueError(f"a contrast: {unknown('family', contrast.family, FAMILIES)}")
        if len(set(self.contrasts)) < len(self.contrasts):
            raise ValueError("a contrast is there twice; each look counts once in its family")
        for name, options in self.starts.items():
            PretrainConfig(Path(name), **options)

    @property
    def measure(self) -> Measure:
        """The primary metric."""
        return next(measure for measure in MEASURES if measure.path == self.primary)

    def recipe_of(self, arm: Arm, seed: int, **where: Any) -> TrainConfig:
        """The configuration of one run.

        Args:
            arm: One of the arms.
            seed: Of the run.
            where: ``out`` and ``model``.
        """
        steps = arm.options.get("steps", self.steps)
        own = {"steps": steps, "warmup": max(1, steps // 10), "log_every": max(1, min(10, steps))}
        return TrainConfig.from_toml(
            recipe_path(self.recipe), **(own | dict(arm.options)), seed=seed, **where
        )

    @classmethod
    def from_toml(cls, path: Path) -> StudyPlan:
        """The plan of a file.

        Raises:
            FileNotFoundError: No such file.
            ValueError: Not TOML, or a mistake in it.
        """
        missing = f"no plan at {path}; expected a TOML file, or the name of a packaged plan"
        tables = read_toml(path, missing)
        try:
            return cls(**_read(tables))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def plan_path(name: str) -> Path:
    """The file of a plan: a path that exists, or a packaged one by name, such as "congruence".

    Raises:
        FileNotFoundError: Neither.
    """
    if Path(name).is_file():
        return Path(name)
    folder = Path(str(files(__package__)))
    known = sorted(file.stem for file in folder.glob("*.toml"))
    if name not in known:
        raise FileNotFoundError(f"{unknown('plan', name, known)} Or give the path of a .toml file")
    return folder / f"{name}.toml"


def slug(name: str) -> str:
    """A name as part of a folder's: "rows, layer 1" -> "rows-layer-1"."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")


def _read(tables: Mapping[str, Any]) -> dict[str, Any]:
    parts: dict[str, type] = {"study": dict, "starts": dict, "arms": list, "contrasts": list}
    for name, value in tables.items():
        if name not in parts:
            raise ValueError(unknown("table", name, parts))
        rows = value.values() if name == "starts" and isinstance(value, dict) else value
        if not isinstance(value, parts[name]) or (
            name != "study" and not all(isinstance(row, dict) for row in rows)
        ):
            raise ValueError(
                f"{name} is {shortly(value)}; expected "
                + ("[[" + name + "]] tables" if parts[name] is list else f"the table [{name}]")
            )
    study = dict(tables.get("study", {}))
    kinds = {f.name: str(f.type) for f in fields(StudyPlan) if f.name not in ("arms", "contrasts", "starts")}
    for name in study:
        if name not in kinds:
            raise ValueError(f"[study]: {unknown('option', name, kinds)}")
    for name in ("seeds", "steps", "album"):
        if name not in study:
            raise ValueError(f"[study] gives no {name}")
    seeds = study.get("seeds")
    if not isinstance(seeds, list) or any(type(seed) is not int for seed in seeds):
        raise ValueError(
            f"[study]: seeds is {shortly(seeds)}; expected a list of whole numbers, such as [0, 1, 2]"
        )
    for name, value in study.items():
        if name != "seeds":
            converted(value, kinds[name], f"[study]: {name}")
    study["seeds"] = tuple(seeds)
    study["starts"] = {
        name: _options(start, PretrainConfig, {"out"}, f"[starts.{name}]")
        for name, start in tables.get("starts", {}).items()
    }
    study["arms"] = tuple(_arm(dict(row)) for row in tables.get("arms", []))
    study["contrasts"] = tuple(_contrast(row) for row in tables.get("contrasts", []))
    return study


def _arm(row: dict[str, Any]) -> Arm:
    name, start = row.pop("name", None), row.pop("start", SHIPPED)
    if not isinstance(name, str) or not slug(name):
        raise ValueError(
            f'an arm\'s name is {shortly(name)}; expected letters or digits, such as "rows, layer 1"'
        )
    if not isinstance(start, str):
        raise ValueError(f"arm {shortly(name)}: start is {shortly(start)}; expected the name of a start")
    return Arm(
        name, _options(row, TrainConfig, OF_THE_STUDY, f"arm {shortly(name)}", ("name", "start")), start
    )


def _contrast(row: Mapping[str, Any]) -> Contrast:
    known = [f.name for f in fields(Contrast)]
    for name, value in row.items():
        if name not in known:
            raise ValueError(f"a contrast: {unknown('option', name, known)}")
        if not isinstance(value, str):
            raise ValueError(f"a contrast: {name} is {shortly(value)}; expected a name")
    if {"arm", "against"} - row.keys():
        raise ValueError(f"a contrast is {shortly(dict(row))}; expected an arm and what it is held against")
    return Contrast(**row)


def _options(
    given: Mapping[str, Any], of: type, without: Iterable[str], where: str, also: Sequence[str] = ()
) -> dict[str, Any]:
    kinds = {f.name: str(f.type) for f in fields(of) if f.name not in without}
    for name in given:
        if name not in kinds:
            raise ValueError(f"{where}: {unknown('option', name, [*also, *kinds])}")
    return {name: converted(value, kinds[name], f"{where}: {name}") for name, value in given.items()}


def _different(names: Sequence[str], what: str) -> None:
    slugs = [slug(name).lower() for name in names]
    twice = next((name for name, one in zip(names, slugs, strict=True) if slugs.count(one) > 1), None)
    if twice is not None:
        raise ValueError(
            f"two {what} are named like {shortly(twice)}; names must differ in letters or digits"
        )
