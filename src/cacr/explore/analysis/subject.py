"""One model and what was measured of it: the unit of an analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cacr.explore.analysis.pairs import Measured


def arm_and_seed(name: str) -> tuple[str, str]:
    """The two parts of ARM:SEED; the whole name and nothing where there is no colon.

    Examples:
        >>> arm_and_seed("CACR:0"), arm_and_seed("start")
        (('CACR', '0'), ('start', ''))
    """
    arm, _, seed = name.rpartition(":")
    return arm or name, seed if ":" in name else ""


@dataclass(frozen=True, eq=False)
class Subject:
    """One model, and what was measured of it.

    Args:
        name: As it was given: a name, or ARM:SEED.
        pairs: The measures of its true pairs; the same pairs in the same order for every model.
        match: [example, 2, 2], where the data are Winoground-like: match[n][c][i] of caption c with picture i.
        examples: Names of the examples.
        clusters: What examples share; the same length.
        tags: What kinds of example each is; the same length, or empty where nothing is known of it.

    Raises:
        ValueError: No pairs, matches of another shape or that are no numbers, or pairs of different layers.
    """

    name: str
    pairs: Sequence[Measured]
    match: NDArray[np.float64] | None = None
    examples: Sequence[str] = ()
    clusters: Sequence[str] = ()
    tags: Sequence[Sequence[str]] = ()

    def __post_init__(self) -> None:
        if not self.pairs:
            raise ValueError(f"no pair of {self.name} was measured; expected one or more")
        kinds = {(one.layers, tuple(one.values)) for one in self.pairs}
        if len(kinds) > 1:
            raise ValueError(f"the pairs of {self.name} were measured in different ways; measure all alike")
        if self.match is not None:
            wanted = (len(self.examples), 2, 2)
            labels = {len(self.clusters), len(self.tags or self.examples)}
            if self.match.shape != wanted or labels != {len(self.examples)}:
                raise ValueError(
                    f"{self.name}: matches of shape {self.match.shape}, {len(self.clusters)} clusters and "
                    f"{len(self.tags)} tags; expected {wanted} and a cluster an example"
                )
            if not np.isfinite(self.match).all():
                raise ValueError(f"{self.name} gives no number for some pairs; check the model's weights")

    @property
    def arm(self) -> str:
        """What stands before the last colon of its name."""
        return arm_and_seed(self.name)[0]

    @property
    def seed(self) -> str:
        """What stands after it; empty where there is none."""
        return arm_and_seed(self.name)[1]

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that were measured."""
        return self.pairs[0].layers

    @property
    def heads(self) -> int:
        """Heads of a layer; 0 where they were not kept apart."""
        return next(iter(self.pairs[0].values.values())).shape[1] - 1

    def values(self, measure: str) -> NDArray[np.float64] | None:
        """[pair, layer, 1 + head] of a measure; None where the model or the data do not have it."""
        if measure not in self.pairs[0].values:
            return None
        return np.stack([one.values[measure] for one in self.pairs])
