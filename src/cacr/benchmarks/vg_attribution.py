"""VG-Attribution, of ARO: which of two things has which of two attributes?

    visual_genome_attribution.json:   as VG-Relation's, with "attributes": ["old", "white"] for a relation;
                                      "the old man and the white shirt" against "the white man and the old shirt"

Pictures are crops, as in `cacr.benchmarks.vg_relation`.

Paper: Yuksekgonul et al. 2023, arXiv:2210.01936.  Source: github.com/mertyg/vision-language-models-are-bows,
dataset_zoo/aro_datasets.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cacr._messages import shortly
from cacr.benchmarks.benchmark import Benchmark, Options
from cacr.benchmarks.examples import ExamplesWork
from cacr.benchmarks.outcomes import first_caption, first_caption_chance
from cacr.benchmarks.vg_relation import PICTURES, SOURCE, find_file, pairs_work, read_items

FILE = "visual_genome_attribution.json"
OFTEN = 25
"""Examples that a pair of attributes must have for a row of its own, as in the released code."""
OBTAIN = f"{FILE} is fetched by {SOURCE}. {PICTURES}"


def open_vg_attribution(options: Options) -> ExamplesWork:
    """All examples; a tag for the pairs of attributes that come often."""
    path = find_file(options, "vg-attribution", FILE, OBTAIN)
    items = read_items(path)
    pairs = [_pair(item, where) for item, where in items]
    counts = Counter(pairs)
    return pairs_work(items, [(pair,) if counts[pair] >= OFTEN else () for pair in pairs], options, path)


def _pair(item: Mapping[str, Any], where: str) -> str:
    pair = item.get("attributes")
    if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)):
        raise ValueError(f"{where} has the attributes {shortly(pair)}; expected two words")
    return ", ".join(pair)


VG_ATTRIBUTION = Benchmark(
    name="vg-attribution",
    asks="Which of the two things has which of the two attributes?",
    paper="arXiv:2210.01936",
    licence="MIT; the pictures are Visual Genome's, CC BY 4.0",
    size="28,748 as published; two captions each",
    ties="wrong",
    chance_is="accuracy 1/2",
    obtain=OBTAIN,
    open=open_vg_attribution,
    right=first_caption,
    kind="first caption",
    chance=first_caption_chance,
    cautions=(
        "partly guessable without the picture: attributes suit some things better than others; compare with a blind "
        "model",
        "the authors' number is a mean over pairs of attributes with 25 examples or more, not 'all'",
        "pictures are crops to the box of both things, as published; features must be of the crops",
        "the released code lets a tie win or lose by the order of captions; here it is wrong",
    ),
)
