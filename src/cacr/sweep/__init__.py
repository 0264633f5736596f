"""Search for good options of a recipe: what the paper names as its main limit."""

from cacr.sweep.plan import SweepPlan
from cacr.sweep.run import Trial, sweep

__all__ = ["SweepPlan", "Trial", "sweep"]
