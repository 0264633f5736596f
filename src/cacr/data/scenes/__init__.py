"""The embedded world: seeded pictures of coloured shapes, captions, regions and the true alignment.

Deterministic in (seed, index) on every platform: only `random.Random` over string seeds draws, whose stream Python
keeps. Nothing to download; the whole world is drawn when asked for, about 1,500 scenes a second on one core.
"""

from cacr.data.scenes.grammar import Claim, tokenizer
from cacr.data.scenes.scene import Scene, scene
from cacr.data.scenes.sets import SEEDS, SceneCaptions, WinogroundLike, winoground_like
from cacr.data.scenes.world import COLORS, RELATIONS, SHAPES, Thing

__all__ = [
    "COLORS",
    "RELATIONS",
    "SEEDS",
    "SHAPES",
    "Claim",
    "Scene",
    "SceneCaptions",
    "Thing",
    "WinogroundLike",
    "scene",
    "tokenizer",
    "winoground_like",
]
