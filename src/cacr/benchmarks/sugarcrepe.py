"""SugarCrepe: a caption of COCO, and beside it one that was changed by a rule or a language model and reads as well.

    swap_obj.json, one of seven:   {"0": {"filename": "000000222235.jpg", "caption": "A cat sits on its hind legs …",
                                          "negative_caption": "A cat sits on the plant …"}, …}

Paper: Hsieh et al. 2023, arXiv:2306.14610.  Files: github.com/RAIVNLab/sugar-crepe, folder data.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cacr._json import read_json
from cacr._messages import shortly
from cacr.benchmarks.benchmark import Benchmark, Options
from cacr.benchmarks.examples import (
    Example,
    ExamplesWork,
    data_folder,
    examples_work,
    find_files,
    lost_parts,
    picture_name,
    sentence,
)
from cacr.benchmarks.outcomes import first_caption, first_caption_chance

PARTS = ("add_att", "add_obj", "replace_att", "replace_obj", "replace_rel", "swap_att", "swap_obj")
FILES = {part: f"{part}.json" for part in PARTS}
OBTAIN = (
    "Copy the folder data of github.com/RAIVNLab/sugar-crepe: add_att.json, add_obj.json, replace_att.json, "
    "replace_obj.json, replace_rel.json, swap_att.json, swap_obj.json. The pictures are COCO's val2017: beside the "
    "files in val2017 or images, or in a folder of your own: --images FOLDER."
)
ORDER_ONLY = "order only"
"""Tag of the examples whose two captions are the same words in another order."""


def open_sugarcrepe(options: Options) -> ExamplesWork:
    """All subsets, or the one that ``options.split`` names."""
    folder = data_folder(options, "sugarcrepe", OBTAIN)
    found = find_files(folder, FILES, "sugarcrepe", OBTAIN, options.split)
    examples = [one for part, path in found.items() for one in read_part(path, part)]
    home = next(iter(found.values())).parent
    images = [home / "val2017", home / "images"]
    return examples_work(examples, options, found.values(), images, lost_parts(found, FILES, options.split))


def read_part(path: Path, part: str) -> list[Example]:
    """The examples of one subset; the caption at index 0 is the true one.

    Raises:
        ValueError: The file is not in this layout; the item is named by its key.
    """
    content = read_json(path)
    if not isinstance(content, Mapping):
        raise ValueError(
            f'{path} holds a {type(content).__name__}; expected items by number, {{"0": {{"filename": …}}, …}}. '
            "(A list of items with two captions each is SugarCrepe++: the benchmark sugarcrepe++.)"
        )
    return [_example(item, part, key, f"{path}, item {key}") for key, item in content.items()]


def _example(item: Any, part: str, key: str, where: str) -> Example:
    if not isinstance(item, Mapping):
        raise ValueError(f"{where} is {shortly(item)}; expected filename, caption and negative_caption")
    names = ("caption", "negative_caption")
    picture = picture_name(item.get("filename"), f"{where}: filename")
    true, false = (sentence(item.get(name), f"{where}: {name}") for name in names)
    tags = [part, part.partition("_")[0]]
    if words(true) == words(false):
        tags.append(ORDER_ONLY)
    return Example(f"{part}/{key}", (true, false), (picture,), tags)


def words(caption: str) -> Counter[str]:
    """The bag of words: lower case, without punctuation.

    Examples:
        >>> words("Men wash, girls look.") == words("girls wash men look")
        True
    """
    return Counter(re.sub(r"[^\w\s]", "", caption.lower()).split())


SUGARCREPE = Benchmark(
    name="sugarcrepe",
    asks="Which caption is true of the picture: the real one, or one with a thing added, replaced or swapped?",
    paper="arXiv:2306.14610",
    licence="MIT; the pictures are COCO's, each under its own licence",
    size="7,511 in 7 subsets, over 1,560 pictures",
    ties="wrong",
    chance_is="accuracy 1/2",
    obtain=OBTAIN,
    open=open_sugarcrepe,
    right=first_caption,
    kind="first caption",
    chance=first_caption_chance,
    cautions=(
        "its negatives were filtered until two text-only models (of plausibility and grammar) gained nothing on "
        "average; others may: compare with a blind model",
        "up to 22 examples share a picture: intervals are clustered by picture",
        "571 of the 911 swap examples have captions of the same words in another order (tag 'order only'; lower "
        "case, punctuation removed; 572 by the count of issue 10 of its repository)",
        "swap_obj has 245 examples, not 246: the authors took out number 108 (pull request 6 of their repository)",
        "means over subsets and over examples differ: the paper gives a score per subset",
    ),
    versions={
        "634f116f2892ee75": "all 7 subsets, 7,511 examples, after pull request 6",
        "1c172f44751377d8": "add_att, 692 examples",
        "bff1f525f0470467": "add_obj, 2,062 examples",
        "7f586aace04f4f71": "replace_att, 788 examples",
        "71d0c2dab7942865": "replace_obj, 1,652 examples",
        "ea43193beab01f9f": "replace_rel, 1,406 examples",
        "26d1eca338e5e955": "swap_att, 666 examples",
        "84bc049fe4554de5": "swap_obj, 245 examples, after pull request 6",
    },
)
