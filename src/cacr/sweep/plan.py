"""What a search is told: the table [sweep] of a recipe.

[sweep]
trials = 20                             # how many runs
objective = "recall"                    # of dev_split; or BENCHMARK/GROUP/METRIC on held-out scenes
seed = 0                                # of the search

[sweep.space]                           # option -> where to look
loss = ["none", "cacr", "flat"]         # one of these
lr = {low = 1e-5, high = 1e-3, log = true}
layer = {low = 0, high = 2}             # whole numbers, as the option's are
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from cacr._files import read_toml
from cacr._messages import shortly, unknown
from cacr.training.config import SWEEP, TrainConfig, converted

RECALL = "recall"
SHARED = frozenset(
    (
        "out",
        "data",
        "features",
        "split",
        "dev_split",
        "dev_pictures",
        "steps",
        "save_every",
        "log_every",
        "track",
    )
)
"""Options in which the runs of a search do not differ: else they could not be compared."""


@dataclass(frozen=True)
class SweepPlan:
    """What to search, for what, and how long.

    Args:
        space: Option of a run -> its choices (a list) or its range (low, high, and log for a logarithmic one).
        trials: Runs at most.
        objective: "recall" of the dev split, or BENCHMARK/GROUP/METRIC such as "scenes/relation/group", measured on
            the embedded world's dev album after each run.
        examples: Of that benchmark; all if None.
        seed: Of the search. Trial i depends on it and on the results before, not on interruptions.
        prune: Stop a run whose recall is below the median of the others at the same step.
        warm_up: Trials before the search uses results and prunes.

    Raises:
        ValueError: A mistake in any of them, named.
    """

    space: Mapping[str, Any] = field(default_factory=dict)
    trials: int = 20
    objective: str = RECALL
    examples: int | None = None
    seed: int = 0
    prune: bool = True
    warm_up: int = 5

    def __post_init__(self) -> None:
        if not self.space:
            raise ValueError(
                "the recipe has nothing to search; give options and their ranges under [sweep.space]"
            )
        if self.trials < 1 or self.warm_up < 1:
            raise ValueError(
                f"trials is {self.trials} and warm_up {self.warm_up}; expected 1 or more of each"
            )
        kinds = {f.name: str(f.type) for f in fields(TrainConfig) if f.name not in SHARED}
        for name, where in self.space.items():
            if name not in kinds:
                raise ValueError(f"[sweep.space]: {unknown('option', name, sorted(kinds))}")
            _check_range(name, where, kinds[name])
        if self.objective != RECALL and len(self.objective.split("/")) != 3:
            raise ValueError(
                f'objective is {shortly(self.objective)}; expected "recall", or BENCHMARK/GROUP/METRIC such as '
                '"scenes/relation/group"'
            )

    @classmethod
    def from_recipe(cls, path: Path) -> SweepPlan:
        """The table [sweep] of a recipe file.

        Raises:
            FileNotFoundError: No such file.
            ValueError: Not TOML, no such table, or a mistake in it.
        """
        missing = f"no recipe at {path}; expected a TOML file with a table [{SWEEP}]"
        table = read_toml(path, missing).get(SWEEP)
        if not isinstance(table, dict):
            raise ValueError(f"{path} has no table [{SWEEP}]; it says what to search (see docs/recipes.md)")
        names = [f.name for f in fields(cls)]
        for name, value in table.items():
            if name not in names:
                raise ValueError(f"{path}, [{SWEEP}]: {unknown('option', name, names)}")
            wanted = {"space": dict, "objective": str, "prune": bool}.get(name, int)
            if type(value) is not wanted:
                raise ValueError(f"{path}, [{SWEEP}]: {name} is {shortly(value)}; expected {wanted.__name__}")
        try:
            return cls(**table)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _check_range(name: str, where: Any, kind: str) -> None:
    if isinstance(where, list) and where:
        for choice in where:
            converted(choice, kind, f"[sweep.space]: a choice of {name}")
        return
    ends: list[Any] = [where.get("low"), where.get("high")] if isinstance(where, Mapping) else []
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in ends)
    if not ends or not numbers or ends[0] > ends[1] or set(where) - {"low", "high", "log"}:
        raise ValueError(
            f"[sweep.space]: {name} is {shortly(where)}; expected a list of choices, or {{low = …, high = …}} with "
            "low no larger, and log = true for a logarithmic scale"
        )
    for end in ends:
        converted(end, kind, f"[sweep.space]: an end of {name}")
    if where.get("log") and ends[0] <= 0:
        raise ValueError(
            f"[sweep.space]: {name} starts at {ends[0]} on a logarithmic scale; expected above 0"
        )
