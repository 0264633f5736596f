"""SugarCrepe++: two captions that say the same of a picture in other words, and one that does not.

    swap_obj.json, one of five:   [{"id": 0, "filename": "000000222235.jpg", "caption": "A cat sits on its hind …",
                                    "caption2": "The cat swats at the plant …", "negative_caption": "A cat sits …"}, …]

Both true captions must match better than the false one: a model may go by the words of neither.

Paper: Dumpala et al. 2024, arXiv:2406.11171.  Files: github.com/Sri-Harsha/scpp, folder data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cacr._json import read_json
from cacr._messages import shortly
from cacr.benchmarks.benchmark import OF_FILES, Benchmark, Options, Outcomes, Record
from cacr.benchmarks.examples import (
    Example,
    ExamplesWork,
    as_array,
    data_folder,
    examples_work,
    find_files,
    lost_parts,
    picture_name,
    sentence,
)

PARTS = ("replace_att", "replace_obj", "replace_rel", "swap_att", "swap_obj")
FILES = {part: f"{part}.json" for part in PARTS}
CHANCE = {"both": 1 / 3, "first caption": 1 / 2, "second caption": 1 / 2}
"""The false one is the last of three; or of two."""
OBTAIN = (
    "Copy the folder data of github.com/Sri-Harsha/scpp: replace_att.json, replace_obj.json, replace_rel.json, "
    "swap_att.json, swap_obj.json. (SugarCrepe has files of the same names: keep them apart.) The pictures are COCO's "
    "val2017: beside the files in val2017 or images, or in a folder of your own: --images FOLDER."
)


def open_sugarcrepe_pp(options: Options) -> ExamplesWork:
    """All subsets, or the one that ``options.split`` names.

    With ``options.errata``, examples whose false caption is one of the true ones are left out: no answer is right.
    """
    folder = data_folder(options, "sugarcrepe++", OBTAIN)
    found = find_files(folder, FILES, "sugarcrepe++", OBTAIN, options.split)
    examples = [one for part, path in found.items() for one in read_part(path, part)]
    notes = lost_parts(found, FILES, options.split)
    if options.errata:
        broken = dict.fromkeys(one.example for one in examples if one.captions[2] in one.captions[:2])
        examples = [one for one in examples if one.example not in broken]
        if broken:
            notes.append(f"without {', '.join(broken)}: their false caption is word for word a true one")
    home = next(iter(found.values())).parent
    images = [home / "val2017", home / "images"]
    return examples_work(examples, options, found.values(), images, notes)


def read_part(path: Path, part: str) -> list[Example]:
    """The examples of one subset: two true captions, then the false one.

    Raises:
        ValueError: The file is not in this layout; the item is named by its place.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise ValueError(
            f"{path} holds a {type(content).__name__}; expected a list of items, "
            '[{"id": 0, "filename": …, "caption": …, "caption2": …, "negative_caption": …}, …]. '
            "(Items by number with one true caption are SugarCrepe: the benchmark sugarcrepe.)"
        )
    return [_example(item, part, f"{path}, item {place}") for place, item in enumerate(content)]


def _example(item: Any, part: str, where: str) -> Example:
    if not isinstance(item, Mapping) or not isinstance(item.get("id"), int):
        raise ValueError(
            f"{where} is {shortly(item)}; expected id (a number), filename, caption, caption2, negative_caption"
        )
    names = ("caption", "caption2", "negative_caption")
    picture = picture_name(item.get("filename"), f"{where}: filename")
    captions = [sentence(item.get(name), f"{where}: {name}") for name in names]
    return Example(f"{part}/{item['id']}", captions, (picture,), (part, part.partition("_")[0]))


def right(records: Sequence[Record]) -> Outcomes:
    """Both true captions above the false one; and each of them by itself. Ties are wrong."""
    match = as_array(records)[:, :, 0]
    first, second = match[:, 0] > match[:, 2], match[:, 1] > match[:, 2]
    return {"both": np.logical_and(first, second), "first caption": first, "second caption": second}


def chance(record: Record) -> dict[str, float]:
    """1/3, 1/2 and 1/2."""
    return CHANCE


SUGARCREPE_PP = Benchmark(
    name="sugarcrepe++",
    asks="Do two captions that say the same both fit the picture better than one that says something else?",
    paper="arXiv:2406.11171",
    licence="CC BY 4.0 (README) or MIT (LICENSE), as its repository says; the pictures are COCO's",
    size="4,757 in 5 subsets",
    ties="wrong",
    chance_is="both 1/3, first caption 1/2, second caption 1/2",
    obtain=OBTAIN,
    takes=OF_FILES | {"errata"},
    open=open_sugarcrepe_pp,
    right=right,
    chance=chance,
    cautions=(
        "the paper's text-only variant compares captions with each other; it concerns text encoders and cannot be "
        "asked of a match with a picture, so it is not here",
        "swap_obj/2 and swap_obj/8 have the same words for a true and the false caption; they are left out unless "
        "errata are kept, so that n is 4,755",
        "the second true captions were written by a language model, and some say something else: in replace_obj/1 "
        "'an orange and white cat' became 'the white cat and an orange'",
        "several examples share a picture: intervals are clustered by picture",
    ),
    versions={
        "0e4411a8382abf8e": "all 5 subsets, 4,757 examples",
        "8b295476c32c58aa": "replace_att, 788 examples",
        "0807a324b8f05cca": "replace_obj, 1,652 examples",
        "a7dcb8e51621d77a": "replace_rel, 1,406 examples",
        "f79bca4bb2e222ef": "swap_att, 666 examples",
        "055d2e7e3af5d1c3": "swap_obj, 245 examples",
    },
)
