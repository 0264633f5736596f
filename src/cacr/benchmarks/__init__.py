"""Benchmarks, each in one file, and the statistics behind every number that is printed.

Add a benchmark: one file with its ``Benchmark``, one line here, one test file (docs/add_a_benchmark.md).
"""

from cacr.benchmarks import retrieval, winoground
from cacr.benchmarks.benchmark import Benchmark, Options, Row, chance_of, clusters_of, table
from cacr.benchmarks.bivlc import BIVLC
from cacr.benchmarks.coco import COCO_1K, COCO_5K
from cacr.benchmarks.cola import COLA
from cacr.benchmarks.colorswap import COLORSWAP
from cacr.benchmarks.eqben_mini import EQBEN_MINI
from cacr.benchmarks.flickr30k import FLICKR30K
from cacr.benchmarks.mmvp_vlm import MMVP_VLM
from cacr.benchmarks.naturalbench import NATURALBENCH
from cacr.benchmarks.retrieval import RETRIEVAL, SCENES_RETRIEVAL
from cacr.benchmarks.scenes import SCENES
from cacr.benchmarks.sugarcrepe import SUGARCREPE
from cacr.benchmarks.sugarcrepe_pp import SUGARCREPE_PP
from cacr.benchmarks.valse import VALSE
from cacr.benchmarks.vg_attribution import VG_ATTRIBUTION
from cacr.benchmarks.vg_relation import VG_RELATION
from cacr.benchmarks.vsr import VSR
from cacr.benchmarks.whatsup import WHATSUP, WHATSUP_QA
from cacr.benchmarks.winoground import WINOGROUND
from cacr.benchmarks.word_order import COCO_ORDER, FLICKR30K_ORDER
from cacr.statistics import Estimate, crossed, paired_difference, proportion

_ALL = (
    WINOGROUND,
    BIVLC,
    COLORSWAP,
    EQBEN_MINI,
    COLA,
    MMVP_VLM,
    SUGARCREPE,
    SUGARCREPE_PP,
    VALSE,
    VSR,
    NATURALBENCH,
    VG_RELATION,
    VG_ATTRIBUTION,
    COCO_ORDER,
    FLICKR30K_ORDER,
    WHATSUP,
    WHATSUP_QA,
    FLICKR30K,
    COCO_5K,
    COCO_1K,
    RETRIEVAL,
    SCENES,
    SCENES_RETRIEVAL,
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
