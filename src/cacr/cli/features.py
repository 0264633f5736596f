"""``cacr features``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cacr.cli.show import bar, finish, tell

SHOWN = 10
"""Skipped pictures that are listed on the screen; all are in the file that is named."""


def features(
    images: list[Path] | None = None,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    convert: Path | None = None,
    detector: str = "unc-nlp/frcnn-vg-finetuned",
    detector_config: Path | None = None,
    max_regions: int | None = None,
    min_regions: int | None = None,
    half: bool = False,
    batch: int = 1,
    readers: int = 0,
    device: str | None = None,
) -> int:
    """Detect the regions of pictures, or convert features made by others, into one file that is read in place.

    A killed run goes on where it was when the same command is given again. Several GPUs share the work under torchrun:
    torchrun --nproc-per-node 8 -m cacr features PICTURES -o features.safetensors

    Args:
        images: Pictures and folders of them.
        out: The new features file; a name that does not end in .safetensors becomes a folder of files.
        convert: Features in another format, in place of pictures: UNITER's LMDB, bottom-up or VinVL TSV, npz files.
        detector: The bottom-up-attention checkpoint (a folder, a file, a name on the hub), "random" to try things
            out, or an object-detection model of transformers.
        detector_config: The checkpoint's configuration, if it does not lie beside it.
        max_regions: Most regions per picture; the checkpoint's own if not given.
        min_regions: Regions wanted at least; the checkpoint's own if not given.
        half: Store features as float16, half the size.
        batch: Pictures of one size that are computed at once.
        readers: Processes that read pictures ahead.
        device: cpu, cuda, cuda:1; a GPU if there is one and none is named.
    """
    import torch

    dtype = torch.float16 if half else torch.float32
    if (convert is None) == (not images):
        raise ValueError("give pictures, or one store of features with --convert; not both, and not neither")
    if convert is not None:
        return _convert(convert, out, dtype)
    from cacr._processes import rank, sharing, wait_for_all, world_size
    from cacr.regions.collecting import collect, find_pictures, finish
    from cacr.regions.detector import open_detector
    from cacr.scorers.placing import device_of

    pictures = find_pictures(images or [])
    worker, workers = rank(), world_size()
    with sharing():
        model = open_detector(detector, detector_config, min_regions, max_regions)
        model.to(device_of(device))
        share = len(range(worker, len(pictures), workers))
        with bar(visible=worker == 0) as progress:
            task = progress.add_task("pictures", total=share, note="")
            done = collect(
                pictures,
                model,
                out,
                batch=batch,
                dtype=dtype,
                worker=worker,
                workers=workers,
                readers=readers,
                progress=lambda finished: progress.update(
                    task, completed=finished, note=f"of {len(pictures)}"
                ),
            )
        wait_for_all()
        if worker == 0:
            done = finish(pictures, out, workers)
            _say(done, out)
    return 0


def _convert(source: Path, out: Path, dtype: Any) -> int:
    from cacr.regions import open_features, write_features

    store = open_features(source)
    tell(f"Found {store.describe()}.")
    with bar() as progress:
        task = progress.add_task("pictures", total=len(store), note="")
        write_features(out, store, dtype=dtype, progress=lambda done: progress.update(task, completed=done))
    said = f"Wrote the regions of {len(store)} pictures, {store.width} numbers each, to {out}."
    finish(said, {"features": out}, _then(out), pictures=len(store), width=store.width)
    return 0


def _say(done: Any, out: Path) -> None:
    for image_id, why in list(done.skipped.items())[:SHOWN]:
        tell(f"skipped {image_id}: {why}")
    if done.skipped:
        from cacr.regions.collecting import skipped_file

        tell(
            f"{len(done.skipped)} pictures were skipped; all are listed with the reason in {skipped_file(out)}."
        )
    said = f"Wrote the regions of {done.found} pictures to {out}."
    finish(said, {"features": out}, _then(out), pictures=done.found, skipped=dict(done.skipped))


def _then(out: Path) -> dict[str, str]:
    return {"Measure with it": f"cacr eval MODEL retrieval --data CAPTIONS --features {out}"}
