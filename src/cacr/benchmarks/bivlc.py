"""BiVLC: SugarCrepe in both directions: a COCO picture and its caption, a wrong caption and a picture made from it.

Paper: Miranda et al. 2024, arXiv:2406.09952.  Data: huggingface.co/datasets/imirandam/BiVLC, MIT; pictures are inside
its Parquet files (image, caption, negative_caption, negative_image, type, subtype).

Its I2T is the metric "text" here (both pictures find their captions), its T2I is "image".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cacr.benchmarks.benchmark import Benchmark, Options
from cacr.benchmarks.examples import Example, ExamplesWork, data_folder, examples_work, sentence
from cacr.benchmarks.outcomes import two_by_two, two_by_two_chance
from cacr.benchmarks.picture_tables import PictureTable, table_files

OBTAIN = (
    "Download it from the hub: `hf download imirandam/BiVLC --repo-type dataset --local-dir bivlc` "
    "(data/test-00000-of-00002.parquet and its like, 540 MB), or give --data hf://datasets/imirandam/BiVLC."
)
CAPTIONS = ("caption", "negative_caption")
PICTURES = ("image", "negative_image")
COCO = re.compile(r"\d{12}\.jpg", re.ASCII)
"""The name of a COCO 2017 picture."""


def open_bivlc(options: Options) -> ExamplesWork:
    """The examples of the hub's tables. Those of the same COCO picture are one cluster.

    Raises:
        FileNotFoundError: The tables are not there, or not all of them.
        ValueError: A broken row, named by its number.
    """
    folder = data_folder(options, "bivlc", OBTAIN)
    files = table_files(folder, "bivlc", OBTAIN, "test" if options.split is None else options.split)
    table = PictureTable(files, [*CAPTIONS, "type", "subtype"], PICTURES)
    stored = [table.stored_name(row, "image") or "" for row in range(len(table.rows))]
    named = all(COCO.fullmatch(name) for name in stored)
    clusters = stored if named else table.digests("image", options.n)
    examples, places = [], dict[str, tuple[int, str]]()
    for index, (row, cluster) in enumerate(zip(table.rows, clusters, strict=False)):
        names = [f"bivlc_{index:04d}_{column}.jpg" for column in PICTURES]
        places |= {name: (index, column) for name, column in zip(names, PICTURES, strict=True)}
        captions = [sentence(row[column], f"{table.where(index)}: {column}") for column in CAPTIONS]
        examples.append(Example(f"{index:04d}", captions, names, tags=_tags(row), cluster=cluster))
    fewer = len(examples) < len(table.rows)
    notes = [f"only the first {len(examples)} of {len(table.rows)} examples"] if fewer else []
    return examples_work(examples, options, files, notes=notes, picture=table.pictures(places, options))


def _tags(row: Mapping[str, Any]) -> list[str]:
    kind, what = str(row["type"]).lower(), str(row["subtype"]).lower()
    return [kind, f"{kind} {what}"]


BIVLC = Benchmark(
    name="bivlc",
    asks="Which caption goes with the photograph, which with the picture made from its changed caption?",
    paper="arXiv:2406.09952",
    licence="MIT; photographs from COCO under their own terms",
    size="2,933: replace obj 1,200, att 437, rel 462; swap obj 81, att 278; add obj 399, att 76",
    ties="wrong",
    chance_is="text 1/4, image 1/4, group 1/6, group match 1/2",
    obtain=OBTAIN,
    open=open_bivlc,
    right=two_by_two,
    kind="two by two",
    chance=two_by_two_chance,
    cautions=(
        "Half of the pictures are photographs and half are generated, always in the same place: a model that tells the "
        "two apart, and edited captions from written ones, scores above chance without composing anything.",
        "The captions are SugarCrepe's, so the two benchmarks are not independent.",
    ),
)
