"""Readers of benchmarks' annotation files: opened, asked of a scorer without a model, and recorded.

The embedded benchmarks read no file; "retrieval" reads what `readers_captions` does.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from cacr.benchmarks import BENCHMARKS, Options
from cacr.benchmarks.benchmark import ask_all
from cacr.scorers import ConstantScorer
from tests.fuzz.reader import Reader

DATA = Path(__file__).parents[1] / "data" / "benchmarks"
SCORER = ConstantScorer()


def _reader(name: str, file: str, *seeds: bytes, what: str = "", images: bool = False) -> Reader:
    depth = len(Path(file).parts) - 1

    def read(path: Path) -> None:
        work = BENCHMARKS[name].open(Options(data=path.parents[depth], blind=True))
        ask_all(work, SCORER)
        "\n".join(work.notes).encode()
        for one in getattr(work, "examples", ())[: 4 if images else 0]:
            for picture in one.pictures:
                work.picture(picture).image  # type: ignore[attr-defined]  # noqa: B018

    return Reader(f"benchmark {what or name}", file, seeds, read, text=not file.endswith(".parquet"))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _real(*place: str, entries: int = 2) -> bytes:
    """The first entries of a published file, or its lines."""
    content = DATA.joinpath(*place).read_text(encoding="utf-8")
    if place[-1].endswith(".jsonl"):
        return "\n".join(content.splitlines()[:entries]).encode()
    found = json.loads(content)
    return _json(found[:entries] if isinstance(found, list) else dict(list(found.items())[:entries]))


def _png(color: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), (color, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def _parquet(pictures: tuple[str, ...], **columns: list[Any]) -> bytes:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = len(next(iter(columns.values())))
    arrays = {name: pa.array(values) for name, values in columns.items()}
    arrays |= {
        name: pa.array([{"bytes": _png(i), "path": f"{i:012d}.jpg"} for i in range(rows)], kind)
        for name in pictures
    }
    stream = io.BytesIO()
    pq.write_table(pa.table(arrays), stream)
    return stream.getvalue()


def _karpathy() -> bytes:
    images = [
        {"filename": f"{name}.jpg", "split": "test", "sentences": [{"raw": f"{name} {i}"} for i in range(number)]}
        for name, number in (("a", 5), ("b", 6))
    ]  # fmt: skip
    return _json({"images": images})


def _aro(**more: Any) -> bytes:
    box = {"bbox_x": 1, "bbox_y": 2, "bbox_w": 30, "bbox_h": 40.5}
    said = {"true_caption": "the man is wearing the shirt", "false_caption": "the shirt is wearing the man"}
    return _json([{"image_path": f"{i}.jpg", **box, **said, **more} for i in (1, 2)])


def _winoground(pictures: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "id": [0, 7],
        "caption_0": ["an old person kisses a young person", "b"],
        "caption_1": ["a young person kisses an old person", "a"],
        "tag": ["Adjective-Age", "Noun"],
        "secondary_tag": ["", "Morpheme-Level"],
        "num_main_preds": [1, 2],
        "collapsed_tag": ["Object", "Relation"],
    }
    return columns | {name: [f"ex_0_{name}", f"ex_7_{name}"] for name in pictures}


_IMAGES = ("image_0", "image_1")
_WINOGROUND = _winoground(_IMAGES)
_LINES = b"\n".join(_json({name: values[i] for name, values in _WINOGROUND.items()}) for i in (0, 1))
_COLORS = [
    {"id": i, "caption_1": "a red cup", "caption_2": "a cup, red", "image_1": f"images/img_{i}_1.png",
     "image_2": f"images/img_{i}_2.png", "image_source": "midjourney", "caption_source": "human"}
    for i in (0, 1)
]  # fmt: skip
_EQBEN = [
    {"image0": "eqbenag/0/a.png", "image1": "eqbenag/0/b.npy", "caption0": "opens", "caption1": "closes"}
]
_ORDERS = [{"image": "val2014/a.jpg", "caption_options": ["a b c", "b a c", "c a b", "a b c", "c b a"]}]
_QUESTIONS = b'Question ID,Type,Statement\n1,Orientation,"A cat, left"\n2,Orientation,A cat right\n'
_WHATSUP = [
    {"image_path": f"data/controlled_images/mug_{p}_table.jpeg",
     "caption_options": [f"A mug {other} a table" for other in "abcd"]}
    for p in ("on", "under", "left_of", "right_of")
]  # fmt: skip
_BIVLC = _parquet(
    ("image", "negative_image"),
    caption=["a dog", "a cat"],
    negative_caption=["dog a", "cat a"],
    type=["swap", "add"],
    subtype=["obj", "att"],
)
_COLORS_TABLE = _parquet(("image_1", "image_2"), id=[0, 1], caption_1=["a", "b"], caption_2=["c", "d"])

READERS: tuple[Reader, ...] = (
    _reader("winoground", "examples.jsonl", _LINES),
    _reader(
        "winoground",
        "data/test-00000-of-00001.parquet",
        _parquet(_IMAGES, **_winoground()),
        what="winoground (.parquet)",
        images=True,
    ),
    _reader("bivlc", "data/test-00000-of-00001.parquet", _BIVLC, what="bivlc (.parquet)", images=True),
    _reader("colorswap", "test.json", _json(_COLORS)),
    _reader("colorswap", "test.parquet", _COLORS_TABLE, what="colorswap (.parquet)", images=True),
    _reader("eqben-mini", "all_select.json", _json(_EQBEN)),
    _reader(
        "cola",
        "COLA_multiobjects_matching_benchmark.json",
        _real("cola", "COLA_multiobjects_matching_benchmark.json"),
    ),
    _reader("mmvp-vlm", "Questions.csv", _QUESTIONS),
    _reader("sugarcrepe", "swap_obj.json", _real("sugarcrepe", "swap_obj.json")),
    _reader("sugarcrepe++", "swap_obj.json", _real("sugarcrepe_pp", "swap_obj.json", entries=3)),
    _reader("valse", "existence.json", _real("valse", "existence.json", entries=1)),
    _reader("vsr", "zeroshot/test.jsonl", _real("vsr", "zeroshot", "test.jsonl")),
    _reader(
        "naturalbench",
        "naturalbench_test_set.json",
        _real("naturalbench", "naturalbench_test_set.json", entries=8),
    ),
    _reader("vg-relation", "visual_genome_relation.json", _aro(relation_name="wearing")),
    _reader("vg-attribution", "visual_genome_attribution.json", _aro(attributes=["old", "white"])),
    _reader("coco-order", "coco_order.json", _json(_ORDERS)),
    _reader("flickr30k-order", "flickr30k_order.json", _json(_ORDERS)),
    _reader("whatsup", "controlled_images_dataset.json", _json(_WHATSUP)),
    _reader("whatsup-qa", "coco_qa_two_obj.json", _json([[397133, "a dog", "a cat"], ["7", "b", "c"]])),
    _reader("flickr30k", "dataset_flickr30k.json", _karpathy()),
    _reader("coco-5k", "dataset_coco.json", _karpathy()),
    _reader("coco-1k", "dataset_coco.json", _karpathy()),
)
