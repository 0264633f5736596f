"""ColorSwap: Winoground for colors: two captions of the same words, with the colors of two things exchanged.

Paper: Burapacheep et al. 2024, arXiv:2402.04492 (ACL Findings 2024).  Data: MIT.

data/test-*.parquet, data/train-*.parquet    huggingface.co/datasets/stanfordnlp/colorswap, pictures inside
test.json, train.json, images/img_0_1.png    github.com/Top34051/colorswap
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cacr._json import read_json
from cacr._messages import shortly
from cacr.benchmarks.benchmark import Benchmark, Options
from cacr.benchmarks.examples import Example, ExamplesWork, data_folder, examples_work, find_files, sentence
from cacr.benchmarks.outcomes import two_by_two, two_by_two_chance
from cacr.benchmarks.picture_tables import PictureTable, images_beside, table_files

OBTAIN = (
    "Share your contact information at huggingface.co/datasets/stanfordnlp/colorswap and download it: `hf download "
    "stanfordnlp/colorswap --repo-type dataset --local-dir colorswap`. Read are data/test-*.parquet with the pictures "
    "inside (also by --data hf://datasets/stanfordnlp/colorswap), or test.json with images/img_0_1.png … of "
    "github.com/Top34051/colorswap."
)
LISTS = {"test": "test.json", "train": "train.json"}
CAPTIONS, PICTURES = ("caption_1", "caption_2"), ("image_1", "image_2")
SOURCES = {"image_source": "images by", "caption_source": "captions by"}


def open_colorswap(options: Options) -> ExamplesWork:
    """The examples of the test part, which published numbers are of, or of the part that is asked for.

    Raises:
        FileNotFoundError: The files or pictures are not there.
        ValueError: A broken entry or row, named by its number, or no such part.
    """
    folder = data_folder(options, "colorswap", OBTAIN)
    part = "test" if options.split is None else options.split
    lists = next((place for place in (folder, folder / "data") if _has_lists(place)), None)
    notes = [] if options.split else ["the test part only, as published numbers; the other: --split train"]
    if lists is not None:
        return _open_list(find_files(lists, LISTS, "colorswap", OBTAIN, part)[part], options, notes)
    files = table_files(folder, "colorswap", OBTAIN, part)
    table = PictureTable(files, ["id", *CAPTIONS], PICTURES, tuple(SOURCES))
    examples, places = [], dict[str, tuple[int, str]]()
    for index, row in enumerate(table.rows):
        names = [f"img_{row['id']}_{i}.png" for i in (1, 2)]
        places |= {name: (index, column) for name, column in zip(names, PICTURES, strict=True)}
        examples.append(_example(row, names, table.where(index)))
    return examples_work(examples, options, files, notes=notes, picture=table.pictures(places, options))


def _has_lists(place: Path) -> bool:
    return place.name in LISTS.values() or any((place / name).is_file() for name in LISTS.values())


def _open_list(file: Path, options: Options, notes: Iterable[str]) -> ExamplesWork:
    content = read_json(file)
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ValueError(f"{file} is no list of examples; copy it again")
    examples = []
    for number, row in enumerate(content, start=1):
        where = f"{file}, entry {number}"
        names = [sentence(row.get(column), f"{where}: {column}") for column in PICTURES]
        examples.append(_example(row, [name.rpartition("/")[2] for name in names], where))
    return examples_work(examples, options, [file], images_beside(file, ["images"], options), list(notes))


def _example(row: Mapping[str, Any], names: list[str], where: str) -> Example:
    if not isinstance(row.get("id"), int):
        raise ValueError(f"{where}: id is {shortly(row.get('id'))}; expected a number. Copy the file again")
    return Example(
        str(row["id"]),
        [sentence(row.get(column), f"{where}: {column}") for column in CAPTIONS],
        names,
        tags=[f"{says} {row[column]}" for column, says in SOURCES.items() if row.get(column)],
    )


COLORSWAP = Benchmark(
    name="colorswap",
    asks="Which caption goes with which image, when the colors of two things are exchanged?",
    paper="arXiv:2402.04492",
    licence="MIT; images are generated",
    size="300 in the test part, 700 in the training part",
    ties="wrong",
    chance_is="text 1/4, image 1/4, group 1/6, group match 1/2",
    obtain=OBTAIN,
    open=open_colorswap,
    right=two_by_two,
    kind="two by two",
    chance=two_by_two_chance,
    cautions=(
        "Its training part is published: say so when a model has seen it.",
        "Published numbers of chat models are of another metric, two questions with a choice of A or B.",
    ),
)
