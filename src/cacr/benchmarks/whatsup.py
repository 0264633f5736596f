"""What'sUp: which preposition? Photographs of the same two things in four arrangements, and questions of COCO and GQA.

    controlled_images_dataset.json:   [{"image_path": "data/controlled_images/beer-bottle_on_armchair.jpeg",
                                        "caption_options": ["A beer bottle on an armchair", three others]}, …]
    coco_qa_two_obj.json:             [[397133, "A photo of …", "A photo of …"], …]      number, true, false

Two benchmarks, since only the photographs come in sets: "whatsup" (A: on, under, left of, right of; B: in front of,
behind, left of, right of) with pairs of opposite prepositions and sets of four, and "whatsup-qa", two captions each.

Paper: Kamath, Hessel & Chang 2023, arXiv:2310.19785.  Source: github.com/amitakamath/whatsup_vlms,
dataset_zoo/aro_datasets.py (the sets are derived from the names of pictures as there).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cacr._json import read_json
from cacr._messages import shortly
from cacr.benchmarks.benchmark import Benchmark, Options, Outcomes, Record
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

FILES = {"A": "controlled_images_dataset.json", "B": "controlled_clevr_dataset.json"}
QA_FILES = {
    "coco-one": "coco_qa_one_obj.json",
    "coco-two": "coco_qa_two_obj.json",
    "vg-one": "vg_qa_one_obj.json",
    "vg-two": "vg_qa_two_obj.json",
}
PAIRS = {
    "left": "sides", "right": "sides", "on": "heights", "under": "heights", "in-front": "depths", "behind": "depths"
}  # fmt: skip
"""Preposition, as the pictures' names have it -> the pair that it makes with its opposite."""
SET = 4
"""Photographs of a set."""
NUMBER = re.compile("[0-9]{1,12}", re.ASCII)
CHANCE = {"accuracy": 1 / 4, "pair": 1 / 16, "set": 1 / 256}
SOURCE = "dataset_zoo/aro_datasets.py of github.com/amitakamath/whatsup_vlms fetches"
OBTAIN = (
    f"{SOURCE} {', '.join(FILES.values())} and, with the pictures, the folders controlled_images and controlled_clevr: "
    "keep them beside the files, or give the folders: --images FOLDER…."
)
QA_OBTAIN = (
    f"{SOURCE} {', '.join(QA_FILES.values())}. The pictures are COCO's val2017 and GQA's in vg_images: keep these "
    "folders beside the files, or give folders of your own: --images FOLDER…."
)


def open_whatsup(options: Options) -> ExamplesWork:
    """The photographs of A and B, set by set, or of the part that ``options.split`` names."""
    found = find_files(data_folder(options, "whatsup", OBTAIN), FILES, "whatsup", OBTAIN, options.split)
    examples = [one for part, path in found.items() for one in read_photographs(path, part)]
    home = next(iter(found.values())).parent
    images = (
        [home] if any((home / name).is_dir() for name in ("controlled_images", "controlled_clevr")) else []
    )
    notes = lost_parts(found, FILES, options.split)
    work = examples_work(examples, options, found.values(), images, notes)
    work.examples = mark_whole(work.examples)
    whole = {one.cluster: one.keeps["whole_set"] for one in work.examples}
    broken = sum(not is_whole for is_whole in whole.values())
    if broken:
        said = f"{broken} of {len(whole)} sets are not of four pictures; a pair or set that lacks one counts as wrong"
        work.notes = [*work.notes, said]
    return work


def mark_whole(examples: Sequence[Example]) -> list[Example]:
    """The same examples, each with whether its pair and its set are whole among them.

    A pair or set that lacks a picture counts as wrong, so chance of it is 0. Told of the examples that are
    asked, after some were left out: a whole one of the file may not be whole among them.
    """
    pairs, sets = Counter(map(_pair, examples)), Counter(one.cluster for one in examples)
    return [
        replace(
            one,
            keeps={
                **one.keeps,
                "whole_pair": pairs[_pair(one)] == 2,
                "whole_set": sets[one.cluster] == SET,
            },
        )
        for one in examples
    ]


def _pair(one: Example) -> tuple[str, str]:
    return one.cluster, PAIRS[one.keeps["preposition"]]


def read_photographs(path: Path, part: str) -> list[Example]:
    """The photographs of a part, those of the same two things one after the other; the true caption is first.

    Raises:
        ValueError: The file is not in this layout; the item is named by its place, from 0.
    """
    sets: dict[str, list[Example]] = defaultdict(list)
    for place, item in enumerate(_items(path)):
        one = _photograph(item, part, f"{path}, item {place}")
        sets[one.cluster].append(one)
    return [one for group in sets.values() for one in group]


def _photograph(item: Any, part: str, where: str) -> Example:
    if not isinstance(item, Mapping):
        raise ValueError(f"{where} is {shortly(item)}; expected image_path and caption_options")
    path = PurePosixPath(picture_name(item.get("image_path"), f"{where}: image_path"))
    captions = item.get("caption_options")
    if not isinstance(captions, list) or len(captions) != 4:
        raise ValueError(
            f"{where}: caption_options is {shortly(captions)}; expected 4 captions, the true one first"
        )
    things = path.stem.split("_")
    if len(things) < 3 or things[1] not in PAIRS:
        raise ValueError(
            f"{where}: image_path is {shortly(str(path))}; expected a name such as mug_left_of_table.jpeg, with one of "
            f"{', '.join(PAIRS)}"
        )
    return Example(
        f"{part}/{path.stem}",
        [sentence(one, f"{where}: caption_options") for one in captions],
        (str(PurePosixPath(*path.parts[-2:])),),
        (part, f"{part} {things[1]}"),
        cluster=f"{part}/{things[0]}/{things[-1]}",
        keeps={"preposition": things[1]},
    )


def right(records: Sequence[Record]) -> Outcomes:
    """The true caption above the three others; and so for both of a pair, or all four of a set.

    Each picture counts with its pair and its set, so the means are those of the released code: pairs over pairs, sets
    over sets. A pair or set that lacks a picture is wrong.
    """
    accuracy = first_caption(records)["accuracy"]
    pairs: dict[tuple[str, str], int] = Counter()
    sets: dict[str, int] = Counter()
    for record, is_right in zip(records, accuracy, strict=True):
        pairs[record["cluster"], PAIRS[record["preposition"]]] += int(is_right)
        sets[record["cluster"]] += int(is_right)
    return {
        "accuracy": accuracy,
        "pair": np.array(
            [r["whole_pair"] and pairs[r["cluster"], PAIRS[r["preposition"]]] == 2 for r in records]
        ),
        "set": np.array([r["whole_set"] and sets[r["cluster"]] == SET for r in records]),
    }


def chance(record: Record) -> dict[str, float]:
    """1/4, 1/16 and 1/256; 0 for a pair or set that lacks a picture, since it counts as wrong."""
    return {
        "accuracy": CHANCE["accuracy"],
        "pair": CHANCE["pair"] if record["whole_pair"] else 0.0,
        "set": CHANCE["set"] if record["whole_set"] else 0.0,
    }


def open_whatsup_qa(options: Options) -> ExamplesWork:
    """All four files that are there, or the one that ``options.split`` names."""
    folder = data_folder(options, "whatsup-qa", QA_OBTAIN)
    found = find_files(folder, QA_FILES, "whatsup-qa", QA_OBTAIN, options.split)
    examples = [
        _question(item, part, f"{part}/{place}", f"{path}, item {place}")
        for part, path in found.items()
        for place, item in enumerate(_items(path))
    ]
    home = next(iter(found.values())).parent
    images = [home] if any((home / name).is_dir() for name in ("val2017", "vg_images")) else []
    return examples_work(
        examples, options, found.values(), images, lost_parts(found, QA_FILES, options.split)
    )


def _question(item: Any, part: str, name: str, where: str) -> Example:
    number = item[0] if isinstance(item, list) and len(item) == 3 else None
    if not isinstance(number, int | str) or isinstance(number, bool) or not NUMBER.fullmatch(str(number)):
        raise ValueError(
            f"{where} is {shortly(item)}; expected [number of the picture, true caption, false caption]"
        )
    source = part.partition("-")[0]
    picture = f"val2017/{int(number):012d}.jpg" if source == "coco" else f"vg_images/{number}.jpg"
    captions = [sentence(one, f"{where}: caption") for one in item[1:]]
    return Example(name, captions, (picture,), (part, source))


def _items(path: Path) -> list[Any]:
    content = read_json(path)
    if not isinstance(content, list):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected a list of items, as published")
    return content


WHATSUP = Benchmark(
    name="whatsup",
    asks="On, under, in front of, behind, left or right of: how do two things lie in the photograph?",
    paper="arXiv:2310.19785",
    licence="MIT, photographs included",
    size="820 photographs in 205 sets of four, in two parts, A and B",
    ties="wrong",
    chance_is="accuracy 1/4, pair 1/16, set 1/256",
    obtain=OBTAIN,
    open=open_whatsup,
    right=right,
    chance=chance,
    needs=frozenset({"match", "preposition", "whole_pair", "whole_set"}),
    cautions=(
        "who always answers the same gets 25 % of accuracy, and who cannot tell left from right up to 75 %: read pair "
        "and set beside it",
        "the four photographs of a set share their things: intervals are clustered by set",
        "the rows of a preposition show what a model always answers; for pair they are those of its pairs",
        "the paper gives A and B apart, and their mean",
    ),
)
WHATSUP_QA = Benchmark(
    name="whatsup-qa",
    asks="Is a thing of the picture, or one beside another, left or right, above or below, in front or behind?",
    paper="arXiv:2310.19785",
    licence="MIT; the pictures are COCO's and Visual Genome's, under their own licences",
    size="COCO one thing 2,247, two things 440; GQA one thing 1,160, two things 291 (as the paper states)",
    ties="wrong",
    chance_is="accuracy 1/2",
    obtain=QA_OBTAIN,
    open=open_whatsup_qa,
    right=first_caption,
    kind="first caption",
    chance=first_caption_chance,
    cautions=(
        "true prepositions are not balanced, so that some answers are guessable without the picture; compare with a "
        "blind model",
        "captions were made from boxes and questions by rule",
        "'all' weighs parts by their examples: give the rows of the parts",
    ),
)
