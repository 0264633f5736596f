"""EqBen-mini: two frames that differ in little, two captions that say in what.

Paper: Wang et al. 2023, arXiv:2303.14465; this small part of EqBen is for slow models.  As distributed with t2v_metrics
(github.com/linzhiqiu/t2v_metrics, dataset.py, EqBen_Mini; arXiv:2404.01291).  Licence: Apache-2.0.

all_select.json                    [{"image0": "eqbenag/….jpg", "image1": …, "caption0": …, "caption1": …}, …]
images/eqbenag/….jpg               pictures, and frames as arrays: .npy, [height, width, blue green red], uint8
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
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
from cacr.benchmarks.outcomes import two_by_two, two_by_two_chance
from cacr.benchmarks.picture_tables import images_beside
from cacr.data import Picture
from cacr.data.pictures import there
from cacr.regions.picture_files import open_image

FILES = {"test": "all_select.json"}
OBTAIN = (
    "eqben_vllm.zip, which github.com/linzhiqiu/t2v_metrics (dataset.py, EqBen_Mini) links to; unpack it: "
    "all_select.json, and images/eqbenag/… beside it."
)
SUBSETS = {
    "eqbenag": ("natural", "action genome"),
    "eqbengebc": ("natural", "gebc"),
    "eqbenyoucook2": ("natural", "youcook2"),
    "eqbenkubric_attr": ("synthetic", "kubric attribute"),
    "eqbenkubric_cnt": ("synthetic", "kubric count"),
    "eqbenkubric_loc": ("synthetic", "kubric location"),
    "eqbensd": ("synthetic", "stable diffusion"),
}
"""A folder of pictures -> what kind they are."""


def open_eqben_mini(options: Options) -> ExamplesWork:
    """The examples of the file.

    Raises:
        FileNotFoundError: The file or pictures are not there.
        ValueError: A broken entry, named by its number.
    """
    folder = data_folder(options, "eqben-mini", OBTAIN)
    unpacked = folder / "eqben_vllm"
    (file,) = find_files(
        unpacked if unpacked.is_dir() else folder, FILES, "eqben-mini", OBTAIN, options.split
    ).values()
    content = read_json(file)
    if not isinstance(content, list):
        raise ValueError(f"{file} is no list of examples; copy it again")
    examples = [_example(one, index, f"{file}, entry {index + 1}") for index, one in enumerate(content)]
    folders = list(options.images) or images_beside(file, ["images"], options)
    if options.features is not None or not folders:
        return examples_work(examples, options, [file], folders)
    wanted = examples[: options.n]
    files = {name: _find(name, folders) for one in wanted for name in one.pictures}
    left = [one for one in wanted if all(files[name] is not None for name in one.pictures)]
    lost = [name for name, place in files.items() if place is None]
    if lost and (options.missing == "refuse" or not left):
        raise FileNotFoundError(
            f"no picture files in {', '.join(map(str, folders))} for {len(lost)} of {len(files)} pictures of {file}. "
            f"First missing: {lost[0]}. Give the folder that holds them with --images, or leave such examples out "
            '(missing="skip")'
        )
    notes = (
        [f"only the first {len(wanted)} of {len(examples)} examples"] if len(wanted) < len(examples) else []
    )
    if len(left) < len(wanted):
        notes.append(
            f"{len(wanted) - len(left)} of {len(wanted)} examples left out: their pictures are not there"
        )
    detect = options.detect

    def picture(name: str) -> Picture:
        place = files[name]
        assert place is not None
        regions = None if detect is None else (lambda: detect(_read(place)))
        return Picture(name, regions, lambda: _read(place))

    return examples_work(left, options, [file], notes=notes, picture=picture)


def _example(one: Any, index: int, where: str) -> Example:
    if not isinstance(one, dict):
        raise ValueError(
            f"{where} is {shortly(one)}; expected an object with image0, image1, caption0, caption1"
        )
    captions = [sentence(one.get(f"caption{i}"), f"{where}: caption{i}") for i in (0, 1)]
    pictures = [picture_name(one.get(f"image{i}"), f"{where}: image{i}") for i in (0, 1)]
    subset = pictures[0].partition("/")[0]
    return Example(str(index), captions, pictures, tags=SUBSETS.get(subset, (subset,)))


def _find(name: str, folders: Sequence[Path]) -> Path | None:
    """A picture's file, in the first folder that has it."""
    return next((folder / name for folder in folders if there((folder / name).is_file)), None)


def _read(place: Path) -> Image.Image:
    """A picture, or a frame that is stored as an array in the order blue, green, red."""
    if place.suffix != ".npy":
        return open_image(place)
    try:
        frame = np.load(place, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{place} is no array of a frame: {error}; copy it again") from error
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise ValueError(
            f"{place} is an array {list(frame.shape)} of {frame.dtype}; expected [height, width, 3] of uint8"
        )
    return Image.fromarray(np.ascontiguousarray(frame[:, :, ::-1]))


EQBEN_MINI = Benchmark(
    name="eqben-mini",
    asks="Which caption goes with which of two frames that differ in little?",
    paper="arXiv:2303.14465; as distributed with arXiv:2404.01291",
    licence="Apache-2.0; frames from Action Genome, GEBC and YouCook2 under their own terms",
    size="what the file has (280 by the published scores)",
    ties="wrong",
    chance_is="text 1/4, image 1/4, group 1/6, group match 1/2",
    obtain=OBTAIN,
    open=open_eqben_mini,
    right=two_by_two,
    kind="two by two",
    chance=two_by_two_chance,
    cautions=(
        "A small selection of EqBen's 250,000 pairs: its scores are not those of EqBen or of its 10 % subset.",
        "Neighboring frames of a video may both fit both captions.",
    ),
)
