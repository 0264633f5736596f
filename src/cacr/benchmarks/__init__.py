"""Benchmarks, each in one file, and the statistics behind every number that is printed.

Add a benchmark: one file with its ``Benchmark``, one line here, one test file.
"""

from cacr.benchmarks import retrieval, winoground
from cacr.benchmarks.benchmark import Benchmark, Options, Row, chance_of, clusters_of, table
from cacr.benchmarks.retrieval import RETRIEVAL, SCENES_RETRIEVAL
from cacr.benchmarks.scenes import SCENES
from cacr.benchmarks.statistics import Estimate, crossed, paired_difference, proportion

BENCHMARKS: dict[str, Benchmark] = {b.name: b for b in (SCENES, SCENES_RETRIEVAL, RETRIEVAL)}
"""By the names that `cacr eval` takes."""

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Estimate",
    "Options",
    "Row",
    "chance_of",
    "clusters_of",
    "crossed",
    "paired_difference",
    "proportion",
    "retrieval",
    "table",
    "winoground",
]
