"""Which captions and pictures a person wants to look at: of a benchmark, of captioned pictures, or one photograph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from PIL import Image

from cacr._messages import unknown
from cacr.benchmarks import BENCHMARKS, Options
from cacr.cli.evaluate import options_of
from cacr.data import CaptionSet, NamedPictures, Picture, open_captions
from cacr.data.pairs import captions_of_images
from cacr.data.scenes import SEEDS
from cacr.regions import Regions
from cacr.regions.picture_files import ENDINGS

SCENES = "scenes"
OF_CAPTIONS = frozenset({"images", "features", "detector", "split"})
"""Options of pictures that are captioned, or that stand alone."""


@dataclass(frozen=True)
class Asked:
    """One thing to look at: a caption and its picture, or two captions and one or two pictures."""

    name: str
    """What its source calls it; unique there."""
    captions: Sequence[str]
    pictures: Sequence[Picture]
    note: str = ""


def asked(
    source: str, options: Options, n: int, examples: Sequence[str] = (), caption: str | None = None
) -> list[Asked]:
    """What to look at.

    Args:
        source: The name of a benchmark, captioned pictures (docs/data.md), or the file of one picture.
        options: Where pictures and features are.
        n: At most so many, the first.
        examples: Only these, by the source's names (of a picture: its captions), in this order.
        caption: A sentence in place of the source's own captions; each picture that is asked for is shown with it.

    Raises:
        FileNotFoundError: There is no such source.
        ValueError: A name that it does not have, a benchmark without pictures, or no caption for a picture.
    """
    if n < 1:
        raise ValueError(f"n is {n}; expected 1 or more to look at")
    found = list(_chosen(_all(source, options, caption), examples, source, n))
    if caption is None:
        return found
    shown = {id(one.pictures[0]): one for one in found}
    return [replace(one, captions=[caption], pictures=one.pictures[:1]) for one in shown.values()]


def _all(source: str, options: Options, caption: str | None) -> Iterator[Asked]:
    if source in BENCHMARKS and not Path(source).exists():
        return _of_benchmark(source, options)
    if strange := [name for name in options.given() if name not in OF_CAPTIONS]:
        raise ValueError(f"--{strange[0]} means nothing for {source}, which is no benchmark; leave it out")
    path = Path(source)
    if path.is_file() and (read := _picture(path, options, caption)) is not None:
        return iter([read])
    if not path.exists():
        raise FileNotFoundError(
            f"{source} is no benchmark and no file; expected {SCENES} or another name of `cacr benchmarks`, captioned "
            "pictures (docs/data.md), or a picture with --caption"
        )
    images = options.images or None
    return _of_captions(
        open_captions(path, options.split, options.features, images, options.missing), options.detect
    )


def _picture(path: Path, options: Options, caption: str | None) -> Asked | None:
    """A file as a picture; None if it is none by its ending."""
    if path.suffix.lower() not in ENDINGS:
        return None
    if caption is None:
        raise ValueError(f'{path} is a picture without captions; say one: --caption "a mug in some grass"')
    named = NamedPictures([path.name], path, options.features, path.parent, detect=options.detect)
    return Asked(path.name, [caption], [named.picture(path.name)])


def _of_benchmark(name: str, options: Options) -> Iterator[Asked]:
    benchmark = BENCHMARKS[name]
    if name == SCENES and options.seed is None:
        options = replace(options, seed=SEEDS["dev"])  # to look at the album of the tables is to choose by it
    work: Any = benchmark.open(options_of([benchmark], options)[name])
    if (pairs := getattr(work, "pairs", None)) is not None:
        yield from _of_captions(pairs, None)
        return
    for one in getattr(work, "examples", None) or ():
        captions, pictures = list(one.captions), [work.picture(key) for key in one.pictures]
        note = ", ".join(one.tags)
        if len(captions) > 2:
            captions = [captions[0], captions[-1]]
            note = f"{note}; the first and the last of {len(one.captions)} captions".lstrip("; ")
        if pictures:
            yield Asked(str(one.example), captions, pictures[:2], note)


def _of_captions(pairs: CaptionSet, detect: Callable[[Image.Image], Regions] | None) -> Iterator[Asked]:
    """The first caption of each picture, then the second of each, …"""
    for row in zip_longest(*captions_of_images(pairs)):
        for image, caption in enumerate(row):
            if caption is None:
                continue
            picture = _with_regions(pairs.picture(image), detect)
            yield Asked(str(pairs.image_ids[image]), [pairs.captions[caption]], [picture])


def _with_regions(picture: Picture, detect: Callable[[Image.Image], Regions] | None) -> Picture:
    if detect is None or picture.read_regions is not None:
        return picture
    return replace(picture, read_regions=lambda: detect(picture.image))


def _chosen(found: Iterator[Asked], examples: Sequence[str], source: str, n: int) -> Iterator[Asked]:
    if not examples:
        first = list(islice(found, n))
        if not first:
            raise ValueError(f"{source} has no captions with pictures to look at")
        return iter(first)
    by_name: dict[str, list[Asked]] = {}
    for one in found:
        by_name.setdefault(one.name, []).append(one)
    for name in examples:
        if name not in by_name:
            raise ValueError(unknown(f"example of {source}", name, by_name))
    return islice((one for name in examples for one in by_name[name]), n)
