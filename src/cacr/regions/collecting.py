"""From picture files to one features file: resumable, by one process or many, broken pictures left out and listed.

    OUT.parts/settings.json            what the regions come from; another detector may not add to them
    OUT.parts/part-WORKER-NNNNN.…      finished pictures, a whole features file each
    OUT.parts/skipped-WORKER.json      pictures that could not be read
    OUT.skipped.json                   those of all workers, in the end

A killed run loses at most the last seconds of work (a minute, in runs of hours); started again, it goes on with what is
not in any part.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from cacr._files import remove_leftovers, remove_whole, working_in, write_text_whole, write_whole
from cacr._json import read_json
from cacr._stopping import reader
from cacr.regions.picture_files import ENDINGS, open_image
from cacr.regions.regions import Regions
from cacr.regions.stores import PartWriter, join_parts

PARTS = ".parts"
SHARD = 5_000
"""Pictures in a file of a folder: 1.5 GB at 36 regions of 2,048 numbers."""
SECONDS = 5.0
"""Finished pictures are written at least this often, in runs of hours twelve times more seldom: what a kill costs."""


class Detector(Protocol):
    """What proposes regions; see `cacr.regions.detector`."""

    def detect(self, pictures: Sequence[Image.Image]) -> list[Regions]:
        """The regions of several pictures."""
        ...

    def describe(self) -> str:
        """One line that says what the regions come from."""
        ...

    def settings(self) -> str:
        """All settings that the regions depend on."""
        ...


@dataclass
class Collected:
    """What a run did."""

    found: int = 0
    """Pictures finished, by any run."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Picture -> why it was left out."""


def find_pictures(paths: Sequence[Path]) -> dict[str, Path]:
    """Picture files by image id: a file by its name, those in a folder by their path inside it, in order.

    Raises:
        FileNotFoundError: A path that does not exist, or no picture at all.
        ValueError: Two files with the same id.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if path.is_dir():
            files = sorted(
                file for file in path.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file()
            )
            named = {file.relative_to(path).as_posix(): file for file in files}
        elif path.is_file():
            named = {path.name: path}
        else:
            raise FileNotFoundError(f"no picture or folder {path}")
        for image_id, file in named.items():
            if found.setdefault(image_id, file) != file:
                raise ValueError(
                    f"{found[image_id]} and {file} would both be named {image_id!r}; collect their folders separately, "
                    "or give the folder above both"
                )
    if not found:
        raise FileNotFoundError(
            f"no pictures in {', '.join(map(str, paths))}; expected files that end in {', '.join(sorted(ENDINGS))}. "
            "Features that exist already are converted with `cacr features --convert STORE`"
        )
    return found


def collect(
    pictures: Mapping[str, Path],
    detector: Detector,
    out: Path,
    *,
    batch: int = 1,
    dtype: torch.dtype = torch.float32,
    worker: int = 0,
    workers: int = 1,
    readers: int = 0,
    seconds: float = SECONDS,
    progress: Callable[[int], None] = lambda done: None,
) -> Collected:
    """Detect the regions of this worker's share of pictures into parts; `finish` joins them.

    Args:
        pictures: Image id -> file.
        detector: What proposes the regions.
        out: The features file to be; parts are kept beside it.
        batch: Pictures of one size computed at once.
        dtype: Of the stored features.
        worker: This process's number, from 0.
        workers: How many processes share the pictures.
        readers: Processes that read pictures ahead; 0: this one reads them.
        seconds: Finished pictures are written at least this often.
        progress: Called with the pictures of this share that are done.

    Raises:
        BlockingIOError: Another process has this number and is at work.
        FileExistsError: ``out`` exists, or a list of skipped pictures of that name.
        NotWritten: The disk refused something; what is in parts is kept.
        ValueError: The parts beside it come from another detector.
    """
    folder, share = parts_folder(out), list(pictures)[worker::workers]
    listed = folder / f"skipped-{worker}.json"
    remove_leftovers(out.parent, folder.name)
    if out.exists() and listed.is_file():  # killed after the last step of `finish` but one
        return Collected(len(share))
    _refuse(out)
    if not folder.is_dir():
        _refuse(skipped_file(out))
    folder.mkdir(parents=True, exist_ok=True)
    result = Collected()
    settings = {"detector": describe(detector), "dtype": str(dtype).removeprefix("torch.")}
    with working_in(folder, worker), _parts(folder, settings, worker, dtype) as parts:
        _refuse(out)  # nobody else finished it meanwhile
        left = {image_id: pictures[image_id] for image_id in share if image_id not in parts.done}
        result.found = len(share) - len(left)
        progress(result.found)
        begun = written = time.monotonic()
        for image_id, outcome in _detected(left, detector, batch, readers):
            if isinstance(outcome, str):
                result.skipped[image_id] = outcome
            else:
                parts.add(image_id, outcome)
                result.found += 1
            now = time.monotonic()
            if now - written >= seconds * min(12, max(1, (now - begun) / 600)):
                parts.flush()
                written = time.monotonic()
            progress(result.found + len(result.skipped))
    write_text_whole(listed, json.dumps(result.skipped))
    return result


def _parts(folder: Path, settings: dict[str, str], worker: int, dtype: torch.dtype) -> PartWriter:
    _check_settings(folder, settings)
    return PartWriter(folder, worker, dtype=dtype)


def _refuse(path: Path) -> None:
    if path.exists():
        raise FileExistsError(f"{path} exists and is not overwritten; give another name or remove it first")


def finish(pictures: Mapping[str, Path], out: Path, workers: int = 1) -> Collected:
    """Join the parts of all workers into ``out``, in the order of ``pictures``, and remove them; list what was skipped.

    A name that ends in .safetensors becomes one file, any other a folder of files of `SHARD` pictures each, which opens
    like one.

    Raises:
        BlockingIOError: Another process has begun with the same pictures.
        NotWritten: The disk refused something; the parts are kept.
        ValueError: No picture at all could be read.
    """
    with working_in(parts_folder(out)):
        return _finish(pictures, out, workers)


def _finish(pictures: Mapping[str, Path], out: Path, workers: int) -> Collected:
    folder = parts_folder(out)
    skipped: dict[str, str] = {}
    for worker in range(workers):
        skipped |= read_json(folder / f"skipped-{worker}.json")
    parts = sorted(folder.glob("part-*.safetensors"))
    found = [image_id for image_id in pictures if image_id not in skipped]
    if not found:
        first, why = next(iter(skipped.items()))
        remove_whole(folder)
        raise ValueError(f"none of {len(pictures)} pictures could be read; the first: {first}: {why}")
    if skipped:
        write_text_whole(skipped_file(out), json.dumps(skipped, indent=1) + "\n")
    if not out.exists():
        if out.suffix == ".safetensors":
            join_parts(parts, out, order=found)
        else:
            write_whole(out, lambda beside: _shards(parts, beside, found))
    remove_whole(folder)
    return Collected(len(found), skipped)


def _shards(parts: Sequence[Path], folder: Path, found: Sequence[str]) -> None:
    for number, start in enumerate(range(0, len(found), SHARD)):
        join_parts(parts, folder / f"regions-{number:05d}.safetensors", order=found[start : start + SHARD])


def parts_folder(out: Path) -> Path:
    """Where unfinished work is kept."""
    return out.with_name(out.name + PARTS)


def skipped_file(out: Path) -> Path:
    """Where skipped pictures are listed, each with the reason."""
    return out.with_name(out.name + ".skipped.json")


def describe(detector: Any) -> str:
    """A line that two detectors share only if their weights and all settings are the same."""
    model = getattr(detector, "model", detector)
    digest = hashlib.blake2b(detector.settings().encode(), digest_size=8)
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return f"{detector.describe()}; weights and settings {digest.hexdigest()}"


def _check_settings(folder: Path, settings: dict[str, str]) -> None:
    file = folder / "settings.json"
    if not file.is_file():
        write_text_whole(file, json.dumps(settings, indent=1) + "\n")
    then = read_json(file)
    if then != settings:
        raise ValueError(
            f"{folder} holds regions from another run ({then}; now {settings}). Go on with the same options, give "
            "another name, or remove the folder"
        )


class _Files(Dataset):
    """Pictures read ahead; one that cannot be read is the sentence that says why."""

    def __init__(self, files: Mapping[str, Path]):
        self.items = list(files.items())

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> tuple[str, Image.Image | str]:
        image_id, path = self.items[i]
        try:
            return image_id, open_image(path)
        except ValueError as error:
            return image_id, str(error)


def _detected(
    files: Mapping[str, Path], detector: Detector, batch: int, readers: int
) -> Iterator[tuple[str, Regions | str]]:
    """Image ids with their regions or with why there are none; pictures of one size share a batch."""
    waiting: dict[tuple[int, int], list[tuple[str, Image.Image]]] = {}
    loader = DataLoader(_Files(files), batch_size=None, num_workers=readers, worker_init_fn=reader)
    for image_id, picture in loader:
        if isinstance(picture, str):
            yield image_id, picture
            continue
        group = waiting.setdefault(picture.size, [])
        group.append((image_id, picture))
        if len(group) == batch:
            yield from _batch(waiting.pop(picture.size), detector)
        elif sum(map(len, waiting.values())) >= 16 * batch:
            yield from _batch(waiting.pop(max(waiting, key=lambda size: len(waiting[size]))), detector)
    for group in waiting.values():
        yield from _batch(group, detector)


def _batch(group: list[tuple[str, Image.Image]], detector: Detector) -> Iterator[tuple[str, Regions | str]]:
    try:
        found: Sequence[Regions | str] = detector.detect([picture for _, picture in group])
    except (ValueError, torch.OutOfMemoryError) as error:
        if len(group) > 1:  # which one it is shows one at a time
            for one in group:
                yield from _batch([one], detector)
            return
        found = [str(error).splitlines()[0]]
    for (image_id, _), regions in zip(group, found, strict=True):
        yield image_id, regions
