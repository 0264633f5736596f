"""VG-Relation, of ARO: which of two things does it to the other?

    visual_genome_relation.json:   [{"image_path": "2343728.jpg", "bbox_x": 181, "bbox_y": 25, "bbox_w": 166,
                                     "bbox_h": 231, "relation_name": "wearing", "true_caption": "the man is …",
                                     "false_caption": "the shirt is …", …}, …]

The published evaluation shows a model the box that holds both things and nothing else of the picture, and so does this
one: the picture of an example is the crop, with a name of its own, ``2343728[181,25,166,231].jpg`` (x, y, width and
height in pixels). Region features of whole pictures would be of another picture; a store of features must know the
crops by their names, or a detector finds the regions of the crop.

Paper: Yuksekgonul et al. 2023, arXiv:2210.01936.  Source: github.com/mertyg/vision-language-models-are-bows,
dataset_zoo/aro_datasets.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from cacr._json import read_json
from cacr._messages import shortly
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
from cacr.benchmarks.outcomes import first_caption, first_caption_chance
from cacr.data import NamedPictures, Picture
from cacr.regions import Regions

FILE = "visual_genome_relation.json"
SOURCE = "dataset_zoo/aro_datasets.py of github.com/mertyg/vision-language-models-are-bows"
PICTURES = (
    "The pictures are those of GQA (Visual Genome), 1 GB in the same release: beside the file in images, or in a "
    "folder of your own: --images FOLDER."
)
OBTAIN = f"{FILE} is fetched by {SOURCE}. {PICTURES}"
SIDES = ("bbox_x", "bbox_y", "bbox_w", "bbox_h")
LARGEST = 65_535
"""Pixels of a side: no JPEG has more."""


@dataclass(frozen=True)
class Crop:
    """A box of a picture, as a picture."""

    whole: str
    """Name of the picture."""
    box: tuple[float, float, float, float]
    """Left, top, width, height in pixels."""

    @property
    def name(self) -> str:
        """Its own name; not one that a store might take for the picture's.

        Examples:
            >>> Crop("vg/12.jpg", (1, 2, 30, 40)).name
            'vg/12[1,2,30,40].jpg'
        """
        path = PurePosixPath(self.whole)
        return str(path.with_name(f"{path.stem}[{','.join(f'{side:g}' for side in self.box)}]{path.suffix}"))

    def of(self, whole: Picture, detect: Callable[[Image.Image], Regions] | None = None) -> Picture:
        """The crop of a picture that has pixels; ``detect`` finds its regions."""
        left, top, width, height = self.box
        read_image = lambda: whole.image.crop((left, top, left + width, top + height))
        read_regions = None if detect is None else lambda: detect(read_image())
        return Picture(self.name, read_regions, None if whole.read_image is None else read_image)


def open_vg_relation(options: Options) -> ExamplesWork:
    """All examples."""
    path = find_file(options, "vg-relation", FILE, OBTAIN)
    items = read_items(path)
    tags = [(sentence(item.get("relation_name"), f"{where}: relation_name"),) for item, where in items]
    return pairs_work(items, tags, options, path)


def find_file(options: Options, name: str, file: str, obtain: str) -> Path:
    """The file of a benchmark that has one part and takes no ``split``."""
    if options.split is not None:
        raise ValueError(f"{name} has no parts, and split is {options.split!r}; leave it out")
    return find_files(data_folder(options, name, obtain), {name: file}, name, obtain, None)[name]


def read_items(path: Path) -> list[tuple[Mapping[str, Any], str]]:
    """The items of a file, each with its place for messages, from 0. Raises ValueError if they are no objects."""
    content = read_json(path)
    if not isinstance(content, list):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected a list of items, as published")
    for place, item in enumerate(content):
        if not isinstance(item, Mapping):
            raise ValueError(
                f"{path}, item {place} is {shortly(item)}; expected an object with the published fields"
            )
    return [(item, f"{path}, item {place}") for place, item in enumerate(content)]


def pairs_work(
    items: Sequence[tuple[Mapping[str, Any], str]],
    tags: Sequence[Sequence[str]],
    options: Options,
    path: Path,
) -> ExamplesWork:
    """The work of items of two captions and a box; the caption at index 0 is the true one.

    Raises:
        ValueError: An item is not as published; it is named by its place.
        FileNotFoundError: Pictures, or the features of crops, are missing.
    """
    examples, crops = [], {}
    for place, ((item, where), own) in enumerate(zip(items, tags, strict=True)):
        captions = [
            sentence(item.get(field), f"{where}: {field}") for field in ("true_caption", "false_caption")
        ]
        crop = Crop(picture_name(item.get("image_path"), f"{where}: image_path"), _box(item, where))
        crops[crop.name] = crop
        examples.append(Example(str(place), captions, (crop.name,), own, cluster=crop.whole))
    asked, notes = examples[: options.n], []
    if len(asked) < len(examples):
        notes.append(f"only the first {len(asked)} of {len(examples)} examples")
    wholes, stored = _named_pictures([crops[one.pictures[0]] for one in asked], options, path)
    there, known = set(wholes.names), set(stored.names)
    kept = [one for one in asked if one.cluster in there and one.pictures[0] in known]
    if len(kept) < len(asked):
        notes.append(
            f"{len(asked) - len(kept)} of {len(asked)} examples left out: their pictures are not there"
        )

    def picture(name: str) -> Picture:
        found = crops[name].of(wholes.picture(crops[name].whole), options.detect)
        if options.features is None:
            return found
        return replace(found, read_regions=stored.picture(name).read_regions)

    return examples_work(kept, replace(options, features=None, n=None), [path], (), notes, picture)


def _named_pictures(
    crops: Sequence[Crop], options: Options, path: Path
) -> tuple[NamedPictures, NamedPictures]:
    """The whole pictures, for pixels, and the crops by their names, for features."""
    beside = path.parent / "images"
    folders = options.images or ((beside,) if beside.is_dir() and not options.blind else ())
    check_images = options.features is None and not options.blind
    wholes = NamedPictures((crop.whole for crop in crops), path, None, folders, options.missing, check_images)
    return wholes, NamedPictures((crop.name for crop in crops), path, options.features, None, options.missing)


def _box(item: Mapping[str, Any], where: str) -> tuple[float, float, float, float]:
    left, top, width, height = (_side(item.get(name), name, where) for name in SIDES)
    if not (width > 0 and height > 0):
        raise ValueError(
            f"{where} has a box of {width} x {height} pixels (bbox_w, bbox_h); expected a box of some size"
        )
    return left, top, width, height


def _side(value: Any, name: str, where: str) -> float:
    # Compared, which holds for whole numbers of any length (math.isfinite overflows) and is false for nan.
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
        raise ValueError(
            f"{where}: {name} is {shortly(value)}; expected a number of pixels, {LARGEST} at most. Copy the file again"
        )
    return value


VG_RELATION = Benchmark(
    name="vg-relation",
    asks="Which of the two things does it to the other?",
    paper="arXiv:2210.01936",
    licence="MIT; the pictures are Visual Genome's, CC BY 4.0",
    size="23,937 as published; two captions each",
    ties="wrong",
    chance_is="accuracy 1/2",
    obtain=OBTAIN,
    open=open_vg_relation,
    right=first_caption,
    kind="first caption",
    chance=first_caption_chance,
    cautions=(
        "guessable without the picture: false captions are often absurd ('the grass is eating the horse'), and a "
        "language model alone scores high; compare with a blind model",
        "some relations hold both ways (near, next to, beside, by, with): their false captions are true. The authors' "
        "number is a mean over relations without these and others, not 'all'",
        "pictures are crops to the box of both things, as published; features must be of the crops",
        "the released code lets a tie win or lose by the order of captions; here it is wrong",
    ),
)
