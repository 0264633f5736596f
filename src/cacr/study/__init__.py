"""Planned comparisons in the embedded world: a plan of arms, seeds and contrasts, its run and its report."""

from cacr.study.plan import Arm, Contrast, StudyPlan, plan_path
from cacr.study.run import finished, jobs_of, run_study

__all__ = ["Arm", "Contrast", "StudyPlan", "finished", "jobs_of", "plan_path", "run_study"]
