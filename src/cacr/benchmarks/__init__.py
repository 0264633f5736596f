"""Benchmarks, each in one file, and the statistics behind every number that is printed.

Add a benchmark: one file with its ``Benchmark``, one line here, one test file.
"""

from cacr.benchmarks import retrieval, winoground
from cacr.benchmarks.benchmark import Benchmark, Options, Row, chance_of, clusters_of, table
from cacr.benchmarks.bivlc import BIVLC
from cacr.benchmarks.cola import COLA
from cacr.benchmarks.colorswap import COLORSWAP
from cacr.benchmarks.eqben_mini import EQBEN_MINI
from cacr.benchmarks.mmvp_vlm import MMVP_VLM
from cacr.benchmarks.retrieval import RETRIEVAL, SCENES_RETRIEVAL
from cacr.benchmarks.scenes import SCENES
from cacr.benchmarks.statistics import Estimate, crossed, paired_difference, proportion
from cacr.benchmarks.winoground import WINOGROUND

_ALL = (
    WINOGROUND,
    BIVLC,
    COLORSWAP,
    EQBEN_MINI,
    COLA,
    MMVP_VLM,
    SCENES,
    SCENES_RETRIEVAL,
    RETRIEVAL,
)
BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}
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
