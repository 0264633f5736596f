"""Which captions and pictures a person wants to look at: of a benchmark, of captioned pictures, or one photograph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from PIL import Image

from cacr._hub import here
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
    """What its source calls it; two captions of a picture share it."""
    captions: Sequence[str]
    pictures: Sequence[Picture]
    note: str = ""


def asked(
    source: str, options: Options, n: int, examples: Sequence[str] = (), caption: str | None = None
) -> list[Asked]:
    """What to look at.

    Args:
        source: The name of a benchmark, captioned pictures (docs/data.md, or hf://…), or the file of one picture.
        options: Where pictures and features are.
        n: At most so many, the first; 1 or more.
        examples: Only these, by the source's names (of a picture: its captions), in this order.
        caption: A sentence in place of the source's own captions; each picture that is asked for is shown with it, once
            and on its own.

    Raises:
        FileNotFoundError: There is no such source.
        ValueError: A name that it does not have, a benchmark without pictures, or no caption for a picture.
    """
    if n < 1:
        raise ValueError(f"n is {n}; expected 1 or more to look at")
    found = _chosen(_all(source, options, caption), examples, source)
    shown = list(islice(map(_cut, found) if caption is None else _with_caption(found, caption), n))
    if not shown:
        raise ValueError(f"{source} has no captions with pictures to look at")
    return shown


def opened_to_look(name: str, options: Options) -> tuple[Any, Options]:
    """What a benchmark asks, and the options it was opened with.

    Scenes are of the dev album if none is named: to look at the album of the tables is to choose by it.
    """
    benchmark = BENCHMARKS[name]
    if name == SCENES and options.seed is None:
        options = replace(options, seed=SEEDS["dev"])
    own = options_of([benchmark], options)[name]
    return benchmark.open(own), own


def _all(source: str, options: Options, caption: str | None) -> Iterator[Asked]:
    if source in BENCHMARKS and not Path(source).exists():
        return _of_benchmark(source, options)
    path = here(source)
    if not path.exists():
        raise FileNotFoundError(
            unknown("benchmark", source, BENCHMARKS)
            + " There is no file of that name either: captioned pictures (docs/data.md), or a picture with --caption"
        )
    if strange := [name for name in options.given() if name not in OF_CAPTIONS]:
        raise ValueError(f"--{strange[0]} means nothing for {source}, which is no benchmark; leave it out")
    if path.is_file() and (read := _picture(path, options, caption)) is not None:
        return iter([read])
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
    work, _ = opened_to_look(name, options)
    if (pairs := getattr(work, "pairs", None)) is not None:
        yield from _of_captions(pairs, None)
        return
    for one in getattr(work, "examples", None) or ():
        pictures = [work.picture(key) for key in one.pictures]
        if pictures:
            yield Asked(str(one.example), list(one.captions), pictures, ", ".join(one.tags))


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


def _chosen(found: Iterator[Asked], examples: Sequence[str], source: str) -> Iterator[Asked]:
    if not examples:
        return found
    by_name: dict[str, list[Asked]] = {}
    for one in found:
        by_name.setdefault(one.name, []).append(one)
    for name in examples:
        if name not in by_name:
            raise ValueError(unknown(f"example of {source}", name, by_name))
    return (one for name in examples for one in by_name[name])


def _with_caption(found: Iterator[Asked], caption: str) -> Iterator[Asked]:
    """Each picture once with a caption: of what has a name, the first holds all pictures."""
    known: set[str] = set()
    for one in found:
        if one.name in known:
            continue
        known.add(one.name)
        for index, picture in enumerate(one.pictures):
            which = f"picture {index} of {len(one.pictures)}" if len(one.pictures) > 1 else ""
            yield replace(
                one, captions=[caption], pictures=[picture], note="; ".join(filter(None, [one.note, which]))
            )


def _cut(one: Asked) -> Asked:
    """No more than two captions and two pictures, the first and the last, which the note says."""
    notes = [one.note] if one.note else []
    for what, of in (("captions", one.captions), ("pictures", one.pictures)):
        if len(of) > 2:
            notes.append(f"the first and the last of {len(of)} {what}")
    ends = [
        slice(None) if len(of) <= 2 else slice(0, None, len(of) - 1) for of in (one.captions, one.pictures)
    ]
    return replace(one, captions=one.captions[ends[0]], pictures=one.pictures[ends[1]], note="; ".join(notes))
