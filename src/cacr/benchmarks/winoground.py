"""Winoground: two images, two captions made of the same words. Match them.

Paper: Thrush et al. 2022, arXiv:2204.03162.  Gated on the Hub: accept its terms first.

examples.jsonl, images/ex_0_img_0.png …    the first release; data/examples.jsonl in a copy of the repository
*.parquet                                  the hub's table, pictures inside

Why examples are hard: Diwan et al. 2022, arXiv:2211.00768; their tags, ids only, are in ``winoground_tags.json`` (MIT).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cacr._json import json_lines
from cacr._messages import shortly, unknown
from cacr.benchmarks.benchmark import Benchmark, Options
from cacr.benchmarks.examples import (
    Example,
    ExamplesWork,
    data_folder,
    examples_work,
    find_files,
    picture_name,
    sentence,
)
from cacr.benchmarks.outcomes import score, two_by_two, two_by_two_chance
from cacr.benchmarks.picture_tables import PictureTable, images_beside, table_files
from cacr.regions.picture_files import ENDINGS

OBTAIN = (
    "Accept the terms at huggingface.co/datasets/facebook/winoground and download the repository: `hf download "
    "facebook/winoground --repo-type dataset --local-dir winoground`; where it has data/images.zip, unpack it into "
    "data/images. Read are examples.jsonl with images/ex_0_img_0.png …, or a *.parquet with the pictures inside."
)
LINES = "examples.jsonl"
PART = "test"
"""The only one that there is."""
TAGS = ("tag", "secondary_tag", "num_main_preds", "collapsed_tag")
PICTURES = ("image_0", "image_1")
PREDICATES = {1: "1 main predicate", 2: "2 main predicates"}


def open_winoground(options: Options) -> ExamplesWork:
    """The examples of the first release's files, or of the hub's table.

    Raises:
        FileNotFoundError: Neither is there, or the pictures are not; a packed images.zip is named.
        ValueError: A broken line or row, named by its number.
    """
    folder = data_folder(options, "winoground", OBTAIN)
    inner = folder / "data"
    if options.split not in (None, PART):
        raise ValueError(unknown("part of winoground", options.split, [PART]))
    lines = next((place for place in (folder, inner) if (place / LINES).is_file()), folder)
    if (lines / LINES).is_file() or folder.name == LINES:
        file = find_files(lines, {PART: LINES}, "winoground", OBTAIN, PART)[PART]
        return _open_lines(file, options)
    return _open_table(table_files(folder, "winoground", OBTAIN, PART), options)


def _open_lines(file: Path, options: Options) -> ExamplesWork:
    examples = []
    for number, row in json_lines(file):
        where = f"{file}, line {number}"
        if not isinstance(row, dict):
            raise ValueError(
                f"{where} is no example but {shortly(row)}; expected an object. Copy the file again"
            )
        names = [_file_name(row.get(column), f"{where}: {column}") for column in PICTURES]
        examples.append(_example(row, names, where))
    return examples_work(examples, options, [file], images_beside(file, ["images"], options))


def _open_table(files: list[Path], options: Options) -> ExamplesWork:
    table = PictureTable(files, ["id", "caption_0", "caption_1"], PICTURES, TAGS)
    examples, places = [], dict[str, tuple[int, str]]()
    for index, row in enumerate(table.rows):
        names = [f"ex_{row['id']}_img_{i}.png" for i in (0, 1)]
        places |= {name: (index, column) for name, column in zip(names, PICTURES, strict=True)}
        examples.append(_example(row, names, table.where(index)))
    return examples_work(examples, options, files, picture=table.pictures(places, options))


def _file_name(name: Any, where: str) -> str:
    """A picture's file; the first release leaves its ending out."""
    name = picture_name(name, where).replace("\\", "/").rpartition("/")[2]
    return name if Path(name).suffix.lower() in ENDINGS else f"{name}.png"


def _example(row: Mapping[str, Any], names: list[str], where: str) -> Example:
    number = row.get("id")
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"{where}: id is {shortly(number)}; expected a number. Copy the file again")
    return Example(
        str(number),
        [sentence(row.get(f"caption_{i}"), f"{where}: caption_{i}") for i in (0, 1)],
        names,
        tags=_tags(row, number, where),
        keeps={name: row[name] for name in TAGS[:2] if row.get(name)},
    )


def _tags(row: Mapping[str, Any], number: int, where: str) -> list[str]:
    """Object, relation or both; predicates; the word class swapped; what else is tested; why it is hard."""
    for column in TAGS:
        kind, expected = (int, "a number") if column == "num_main_preds" else (str, "a text")
        told = row.get(column)
        if told is not None and (isinstance(told, bool) or not isinstance(told, kind)):
            raise ValueError(
                f"{where}: {column} is {shortly(told)}; expected {expected}. Copy the file again"
            )
    tags = [row["collapsed_tag"].lower()] if row.get("collapsed_tag") else []
    tags += [PREDICATES[row["num_main_preds"]]] if row.get("num_main_preds") in PREDICATES else []
    for column, before in (("tag", "swap"), ("secondary_tag", "also")):
        parts = [part.strip().lower() for part in (row.get(column) or "").split(",")]
        classes = [part if before == "also" else part.partition("-")[0] for part in parts if part]
        tags += dict.fromkeys(f"{before}: {one}" for one in classes)
    return tags + [f"why hard: {one}" for one in _why_hard().get(number, [])]


@cache
def _why_hard() -> dict[int, list[str]]:
    """Example -> its tags by Diwan et al.; "no tag" where an example has none."""
    told = json.loads(Path(__file__).with_name("winoground_tags.json").read_text(encoding="utf-8"))
    found: dict[int, list[str]] = {number: [] for number in range(told["examples"])}
    for tag, numbers in told["tags"].items():
        for number in numbers:
            found[number].append(tag)
    return {number: tags or ["no tag"] for number, tags in found.items()}


WINOGROUND = Benchmark(
    name="winoground",
    asks="Which caption, made of the same words, goes with which image?",
    paper="arXiv:2204.03162; why examples are hard: arXiv:2211.00768; group match: arXiv:2510.07632",
    licence="its own terms (research; images by Getty), gated: huggingface.co/datasets/facebook/winoground",
    size="400",
    ties="wrong",
    chance_is="text 1/4, image 1/4, group 1/6, group match 1/2",
    obtain=OBTAIN,
    open=open_winoground,
    right=two_by_two,
    kind="two by two",
    chance=two_by_two_chance,
    cautions=(
        "400 examples: a group score of 16 % has a 95 % interval of 12.7 to 19.9 %.",
        "228 of 400 examples are no clean test of compositionality: unusual images or text, common sense, and 46 that "
        "are ambiguously correct (arXiv:2211.00768). See the rows 'why hard', where 'no tag' is the clean part.",
        "Group match has another chance level (1/2) than group (1/6): do not put both into one column.",
    ),
)

__all__ = ["WINOGROUND", "score"]
