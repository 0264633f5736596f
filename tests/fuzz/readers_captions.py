"""Readers of captioned pictures: published caption files, tables of one's own, Flickr30k Entities."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from cacr.data import open_captions
from cacr.data.grounding import open_entities
from tests.fuzz.reader import Reader


def _read(path: Path) -> None:
    pairs = open_captions(path, missing="skip")
    for image in range(len(pairs.image_ids)):
        pairs.picture(image)
    "\n".join([*pairs.image_ids, *pairs.captions]).encode()
    pairs.describes(0, 0)


def _read_pixels(path: Path) -> None:
    pairs = open_captions(path, missing="skip")
    "\n".join([*pairs.image_ids, *pairs.captions]).encode()
    for picture in map(pairs.picture, range(len(pairs.image_ids))):
        if picture.read_image is not None:  # no folder of pictures is no matter of the file
            picture.read_image()


def _read_split(path: Path) -> None:
    open_captions(path.parent / "captions.jsonl", str(path), missing="skip")


def _read_entities(path: Path) -> None:
    for one in open_entities(path.parents[1], images=None):
        one.caption.encode()
        for phrase in one.phrases:
            phrase.boxes01.tolist()


def _pictures(folder: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (2, 2)).save(folder / name)


def _captions(folder: Path) -> None:
    _pictures(folder)
    (folder / "captions.jsonl").write_bytes(_LINES)


def _xml(boxes: str = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>3</ymax></bndbox>") -> bytes:
    return (
        "<annotation><filename>1.jpg</filename><size><width>9</width><height>6</height><depth>3</depth></size>"
        f"<object><name>283</name><name>284</name>{boxes}</object>"
        "<object><name>285</name><scene>0</scene><nobndbox>1</nobndbox></object></annotation>"
    ).encode()


def _beside(name: str, content: bytes) -> Callable[[Path], None]:
    def around(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return around


def _parquet(**columns: list[object]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


_COCO = json.dumps(
    {
        "images": [{"id": 7, "file_name": "COCO_val2014_000000000007.jpg"}, {"id": 8, "file_name": "b.jpg"}],
        "annotations": [
            {"image_id": 7, "id": 1, "caption": "A dog runs."},
            {"image_id": 7, "id": 2, "caption": "A brown dog."},
            {"image_id": 8, "id": 3, "caption": "Two men."},
        ],
    }
).encode()
_KARPATHY = json.dumps(
    {
        "dataset": "coco",
        "images": [
            {"filename": "a.jpg", "filepath": "val2014", "cocoid": 7, "split": "test", "sentences": [
                {"raw": "A dog runs.", "tokens": ["a", "dog", "runs"]}, {"tokens": ["a", "brown", "dog"]}]},
            {"filename": "b.jpg", "imgid": 1, "split": "restval", "sentences": [{"raw": "Two men."}]},
        ],
    }
).encode()  # fmt: skip
_LINES = (
    b'{"image": "a.jpg", "captions": ["a dog", "a \xc3\xa9clair"], "split": "train"}\n'
    b'{"file_name": "b.jpg", "caption": "two \\ud83d\\udc36 men"}\n'
)
_LIST = json.dumps([{"image": "a.jpg", "caption": "a dog"}, {"image": {"path": "b.jpg"}, "captions": ["x"]}])
_CSV = b'image,caption,split\na.jpg,"a dog, brown",train\nb.jpg,two men,test\n'
_TSV = b'image\tcaptions\na.jpg\t["a dog", "a cat"]\nb.jpg\ttwo men\n'
_TOKEN = b"a.jpg#0\tA dog runs .\na.jpg#1\tA brown dog .\nb.jpg#0\tTwo men .\n"
_BARS = b"image_name| comment_number| comment\na.jpg| 0| A dog runs .\na.jpg| 1   A brown dog .\n"
_SENTENCES = (
    b"[/EN#283/people Five people] wearing [/EN#285/clothing winter jackets] .\nNobody [/EN#0/x is ] here\n"
)
_PARQUET = (
    _parquet(
        image=["a.jpg", "b.jpg", "a.jpg"],
        captions=[["a dog", "a cat"], ["x"], ["y"]],
        split=["train"] * 2 + [None],
    ),
    _parquet(image=[{"bytes": b"", "path": "a.jpg"}], caption=["a dog"]),
)

READERS: tuple[Reader, ...] = (
    Reader("COCO captions (.json)", "captions_val2014.json", (_COCO,), _read, text=True),
    Reader("Karpathy's splits (.json)", "dataset_coco.json", (_KARPATHY,), _read, text=True),
    Reader("Flickr30k captions (.token)", "results_20130124.token", (_TOKEN,), _read, text=True),
    Reader("Flickr30k captions (.csv)", "results.csv", (_BARS,), _read, text=True),
    Reader("captions, lines (.jsonl)", "captions.jsonl", (_LINES,), _read_pixels, _pictures, text=True),
    Reader("captions, list (.json)", "captions.json", (_LIST.encode(),), _read_pixels, _pictures, text=True),
    Reader("captions, table (.csv)", "captions.csv", (_CSV,), _read_pixels, _pictures, text=True),
    Reader("captions, table (.tsv)", "captions.tsv", (_TSV,), _read_pixels, _pictures, text=True),
    Reader("captions, table (.parquet)", "captions.parquet", _PARQUET, _read_pixels, _pictures),
    Reader("list of a split (.txt)", "split.txt", (b"a.jpg\nb\n",), _read_split, _captions, text=True),
    Reader(
        "Flickr30k Entities (.xml)",
        "Annotations/1.xml",
        (_xml(),),
        _read_entities,
        _beside("Sentences/1.txt", _SENTENCES),
        text=True,
    ),
    Reader(
        "Flickr30k Entities, sentences (.txt)",
        "Sentences/1.txt",
        (_SENTENCES,),
        _read_entities,
        _beside("Annotations/1.xml", _xml()),
        text=True,
    ),
)
