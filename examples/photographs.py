"""Lay out photographs with bottom-up-attention files as a folder that `cacr train` and `cacr eval` read.

    python examples/photographs.py FOLDER_WITH_JPG_AND_NPZ my-photos
    cacr train photographs --data my-photos --out runs/photographs
    cacr eval runs/photographs/model retrieval --data my-photos

Each NAME.jpg has a NAME.jpg.npz beside it with x [36, 2048], boxes [36, 4], image_w, image_h and text (captions).
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

from cacr.regions import open_features, write_features


def lay_out(source: Path, out: Path) -> None:
    """Pictures, captions.jsonl and features.safetensors in a new folder."""
    out.mkdir(parents=True)
    features = open_features(source)
    with (out / "captions.jsonl").open("w", encoding="utf-8") as file:
        for name in features:
            shutil.copyfile(source / name, out / name)
            with np.load(source / f"{name}.npz", allow_pickle=False) as arrays:
                captions = arrays["text"].tolist()
            file.write(json.dumps({"image": name, "captions": captions}) + "\n")
    write_features(out / "features.safetensors", features)


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]), Path(sys.argv[2]))
