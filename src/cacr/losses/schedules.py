"""How the weight of the attention loss grows over a run.

    exp: exp(rate · (step/total − 1))      linear: step/total      log: 1 − exp(−rate · step/total)      constant: 1

Source: github.com/lancopku/IAIS (its exp, linear and log schedules); the papers use "exp" with rate 5.
"""

import math
from collections.abc import Callable

from cacr._messages import unknown

SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "exp": lambda done, rate: math.exp(rate * (done - 1)),
    "linear": lambda done, rate: done,
    "log": lambda done, rate: 1 - math.exp(-rate * done),
    "constant": lambda done, rate: 1.0,
}
"""Kind -> function of (fraction done 0-1, rate)."""


def schedule_weight(step: int, total: int, kind: str = "exp", rate: float = 5.0) -> float:
    """Factor of the attention loss at an optimizer step, 0-1.

    Args:
        step: Optimizer steps done, 0 to ``total``.
        total: Optimizer steps of the run.
        kind: One of ``SCHEDULES``.
        rate: Steepness of "exp" and "log", 0 or more; unused by the others.

    Raises:
        ValueError: An unknown kind, no steps in total, a step outside of 0 to total, or a rate below 0 or not finite.

    Examples:
        >>> round(schedule_weight(0, 5000), 4), schedule_weight(5000, 5000)
        (0.0067, 1.0)
    """
    if kind not in SCHEDULES:
        raise ValueError(unknown("schedule", kind, SCHEDULES))
    if total < 1 or not 0 <= step <= total:
        raise ValueError(f"step {step} of {total}; expected 0 to total, and at least one step in total")
    if not 0 <= rate < math.inf:
        raise ValueError(f"rate is {rate}; expected a steepness of 0 or more, the papers' is 5")
    return SCHEDULES[kind](step / total, rate)
