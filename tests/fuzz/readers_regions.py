"""Readers of region features, pictures and detectors."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.Image import MAX_IMAGE_PIXELS
from safetensors.torch import save

from cacr.regions import open_features
from cacr.regions.detector import DetectorConfig
from cacr.regions.detector.bottom_up import FULL_SIZE, BottomUpDetector
from cacr.regions.picture_files import open_image
from cacr.regions.stores.rows import metadata_of
from tests.fuzz.reader import Reader

PICTURE = 8 * int(MAX_IMAGE_PIXELS or 0) + (64 << 20)
"""Bytes that the largest picture may need: four a pixel as it is decoded, four as RGB."""


def _read_all(path: Path) -> None:
    store = open_features(path)
    store.describe()
    for image_id in store:
        store[image_id]


def _read_folder(path: Path) -> None:
    _read_all(path.parent)


def _b64(array: Any, dtype: str = "<f4") -> str:
    return base64.b64encode(np.asarray(array).astype(dtype).tobytes()).decode()


def _boxes(n: int) -> np.ndarray:
    corners = np.sort(np.random.default_rng(n).random((n, 2, 2), np.float32), 1).reshape(n, 4)
    return np.ascontiguousarray(corners)


def _features(n: int, width: int = 4) -> np.ndarray:
    return np.random.default_rng(n).random((n, width), np.float32)


def _own_files() -> tuple[bytes, ...]:
    n, ids = 3, ["a", "b.jpg"]
    tensors = {
        "features": torch.from_numpy(_features(n)).half(),
        "boxes01": torch.from_numpy(_boxes(n)),
        "offsets": torch.tensor([0, 2, 3]),
        "sizes": torch.tensor([[40, 30], [0, 0]]),
    }
    boxes = tensors["boxes01"]
    more = {
        "extents01": boxes[:, 2:] - boxes[:, :2],
        "object_ids": torch.arange(n),
        "object_confidence": torch.rand(n),
        "object_name_ids": torch.tensor([0, 1, 0]),
    }
    return (
        save(tensors, metadata_of(ids, None)),
        save(tensors | more, metadata_of(ids, {"dog": 0, "café": 1})),
    )


def _npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _packed_npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _npz_files() -> tuple[bytes, ...]:
    boxes = _boxes(3)
    uniter = {
        "norm_bb": np.concatenate([boxes, boxes[:, 2:] - boxes[:, :2]], 1).astype(np.float16),
        "features": _features(3).astype(np.float16),
        "conf": np.linspace(0.9, 0, 3).astype(np.float16)[:, None],
        "soft_labels": _features(3, 5).astype(np.float16),
        "nbb": np.array(2),
    }
    pixels = {"x": _features(3).T, "bbox": boxes * [40, 30, 40, 30], "image_w": 40, "image_h": 30}
    return _npz(**uniter), _packed_npz(**uniter), _npz(**pixels)


def _bottom_up() -> tuple[bytes, ...]:
    lines = [
        f"{name}\t40\t30\t{n}\t{_b64(_boxes(n) * [40, 30, 40, 30])}\t{_b64(_features(n))}"
        for name, n in (("1", 2), ("2.jpg", 3))
    ]
    return tuple(end.join([*lines, ""]).encode() for end in ("\n", "\r\n"))


def _lxmert() -> tuple[bytes, ...]:
    lines = []
    for name, n in (("1", 2), ("COCO_2", 1)):
        ids, conf = _b64(np.arange(n), "<i8"), _b64(np.full(n, 0.5))
        boxes = _b64(_boxes(n) * [40, 30, 40, 30])
        lines.append(f"{name}\t30\t40\t{ids}\t{conf}\t{ids}\t{conf}\t{n}\t{boxes}\t{_b64(_features(n))}\n")
    return ("".join(lines).encode(),)


def _vinvl_rows(n: int) -> str:
    boxes = _boxes(n)
    return _b64(np.concatenate([_features(n), boxes, boxes[:, 2:] - boxes[:, :2]], 1))


def _vinvl() -> tuple[bytes, ...]:
    plain = "".join(f"{name}\t{n}\t{_vinvl_rows(n)}\n" for name, n in (("1", 2), ("2", 3)))
    captioning = "".join(
        f"{name}\t{json.dumps({'num_boxes': n, 'features': _vinvl_rows(n)})}\n"
        for name, n in (("1", 2), ("2", 3))
    )
    return plain.encode(), captioning.encode()


def _vinvl_labels() -> tuple[bytes, ...]:
    objects = [{"class": name, "conf": 0.5, "rect": [0, 0, 1, 1]} for name in ("dog", "cat")]
    retrieval = {"image_h": 30, "image_w": 40, "objects": objects}
    return tuple(f"1\t{json.dumps(labels)}\n".encode() for labels in (retrieval, objects))


def _vinvl_index() -> tuple[bytes, ...]:
    second = _vinvl()[0].index(b"\n") + 1
    return (f"0\n{second}\n".encode(),)


def _pictures() -> tuple[bytes, ...]:
    values = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    picture = Image.fromarray(values)
    return (
        *(
            _picture(picture, form)
            for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000")
        ),
        _picture(picture.quantize(7), "PNG", transparency=0),
        _picture(picture.convert("CMYK"), "JPEG"),
        _picture(picture, "JPEG", progressive=True),
        _picture(picture, "TIFF", compression="tiff_lzw"),
        _picture(picture, "TIFF", compression="tiff_adobe_deflate"),
        _picture(picture.convert("I;16"), "PNG"),
        _picture(picture.quantize(4), "GIF", save_all=True, append_images=[picture.rotate(90).quantize(4)]),
    )


def _picture(picture: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


CONFIG = {
    "INPUT": {"MIN_SIZE_TEST": 64, "MAX_SIZE_TEST": 100, "FORMAT": "BGR"},
    "MODEL": {"PIXEL_MEAN": [102.9, 115.9, 122.7], "PIXEL_STD": [1.0, 1.0, 1.0], "MAX_POOL": True},
    "ANCHOR_GENERATOR": {"OFFSET": 0.0},
    "RPN": {
        "POST_NMS_TOPK_TEST": 30,
        "PRE_NMS_TOPK_TEST": 60,
        "NMS_THRESH": 0.7,
        "BBOX_REG_WEIGHTS": [1, 1, 1, 1],
    },
    "ROI_BOX_HEAD": {"POOLER_RESOLUTION": 14, "BBOX_REG_WEIGHTS": [10.0, 10.0, 5.0, 5.0]},
    "ROI_HEADS": {"NMS_THRESH_TEST": [0.5, 0.6]},
    "MIN_DETECTIONS": 4,
    "MAX_DETECTIONS": 9,
}


def _yaml() -> bytes:
    import yaml

    return yaml.safe_dump(CONFIG).encode()


def _detectors() -> tuple[bytes, ...]:
    """Checkpoints of a tiny detector, as torch and safetensors save them."""
    torch.manual_seed(0)
    state = BottomUpDetector(DetectorConfig(), dict.fromkeys(FULL_SIZE, 1)).state_dict()
    zipped, nested = io.BytesIO(), io.BytesIO()
    torch.save(state, zipped)
    torch.save({"model": state, "iteration": 3}, nested)
    return zipped.getvalue(), nested.getvalue()


def _detector_files() -> tuple[bytes, ...]:
    torch.manual_seed(0)
    return (save(BottomUpDetector(DetectorConfig(), dict.fromkeys(FULL_SIZE, 1)).state_dict()),)


READERS: tuple[Reader, ...] = (
    Reader("features file (.safetensors)", "features.safetensors", _own_files(), _read_all),
    Reader("folder of npz features", "folder/1.npz", _npz_files(), _read_folder),
    Reader("TSV of bottom-up attention", "features.tsv", _bottom_up(), _read_all, text=True),
    Reader("TSV of LXMERT", "features.tsv", _lxmert(), _read_all, text=True),
    Reader("TSV of VinVL", "features.tsv", _vinvl(), _read_all, text=True),
    Reader(
        "labels of VinVL",
        "predictions.tsv",
        _vinvl_labels(),
        _read_folder,
        lambda folder: (folder / "features.tsv").write_bytes(_vinvl()[0]),
        text=True,
    ),
    Reader(
        "index of VinVL (.lineidx)",
        "features.lineidx",
        _vinvl_index(),
        _read_folder,
        lambda folder: (folder / "features.tsv").write_bytes(_vinvl()[0]),
        text=True,
    ),
    Reader("picture (.jpg, .png, .webp, .gif, …)", "picture.jpg", _pictures(), open_image, allowed=PICTURE),
    Reader(
        "detector configuration (.yaml)", "config.yaml", (_yaml(),), DetectorConfig.from_original, text=True
    ),
    Reader(
        "detector configuration (.json)",
        "config.json",
        (json.dumps(CONFIG).encode(),),
        DetectorConfig.from_original,
        text=True,
    ),
    Reader("detector (.bin)", "pytorch_model.bin", _detectors(), BottomUpDetector.from_original),
    Reader("detector (.safetensors)", "model.safetensors", _detector_files(), BottomUpDetector.from_original),
)
