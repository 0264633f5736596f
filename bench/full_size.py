"""Whole benchmarks with small models on generated pictures of the right names: seconds and memory of `cacr eval`.

    python -m bench.full_size ANNOTATIONS          ANNOTATIONS: folders sugarcrepe, valse and vsr (docs/measure.md)

Every picture that SugarCrepe (7,511 items), VALSE and VSR name is drawn as a scene of 224 x 224 and saved as JPEG; a
small random CLIP reads them, and a small random UNITER reads 36 random regions of each. Each evaluation is a process
of its own, reading of files, tables and start-up included.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image

from cacr.benchmarks import BENCHMARKS, Options
from cacr.data.scenes import scene
from cacr.regions import Regions, write_features
from cacr.training.tokenizers import tokenizer_of_captions

NAMES = ("sugarcrepe", "valse", "vsr")
READS = {"clip": ("--images", "images"), "uniter": ("--features", "features.safetensors")}
SIDE, REGIONS, WIDTH = 224, 36, 64
LAYERS = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}


def make_models(folder: Path, captions: list[str]) -> None:
    """A small CLIP and a small UNITER that know every word of the captions."""
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval, UniterProcessor

    torch.manual_seed(0)
    tokenizer = tokenizer_of_captions(captions)
    ends = {"bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
    text = {**LAYERS, "vocab_size": len(tokenizer), "max_position_embeddings": 77, **ends}
    config = CLIPConfig(text_config=text, vision_config={**LAYERS, "image_size": SIDE, "patch_size": 32})
    CLIPModel(config).save_pretrained(folder / "clip")
    CLIPProcessor(CLIPImageProcessorPil(), tokenizer).save_pretrained(folder / "clip")
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("cls", "sep", "mask")}
    uniter = UniterForImageTextRetrieval(
        UniterConfig(
            vocab_size=len(tokenizer), region_dim=WIDTH, max_position_embeddings=80, **LAYERS, **special
        )
    )
    uniter.save_pretrained(folder / "uniter")
    UniterProcessor(tokenizer).save_pretrained(folder / "uniter")


def make_pictures(folder: Path, names: list[str]) -> None:
    """Scenes as JPEG, and random regions in one file."""
    drawn = [scene(0, index).image.resize((SIDE, SIDE), Image.Resampling.NEAREST) for index in range(100)]
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(REGIONS, 2, generator=generator) / 2
    boxes = torch.cat([corners, corners + 0.3], 1)
    found = {}
    for number, name in enumerate(names):
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        drawn[number % len(drawn)].save(folder / "images" / name, quality=90)
        found[name] = Regions(torch.randn(REGIONS, WIDTH, generator=generator), boxes)
    write_features(folder / "features.safetensors", found)


def evaluate(arguments: list[str]) -> dict[str, float]:
    """Seconds and peak memory of a process."""
    code = (
        "import json, resource, sys; from cacr.cli import main; done = main(sys.argv[1:]);"
        "print(json.dumps([done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))"
    )
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    returned, peak = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else (1, 0)
    if returned != 0:
        raise RuntimeError(done.stdout + done.stderr)
    return {"seconds": seconds, "gibibytes": peak}


def main(
    annotations: Path,
    names: Sequence[str] = NAMES,
    n: int | None = None,
    models: Sequence[str] = ("clip", "uniter"),
) -> list[dict[str, Any]]:
    """Print and return a line per benchmark and model: the whole benchmark, or its first ``n`` examples."""
    examples: dict[str, Any] = {
        name: BENCHMARKS[name].open(Options(data=annotations, n=n)).examples  # type: ignore[attr-defined]
        for name in names
    }
    every = [one for some in examples.values() for one in some]
    pictures = sorted({name for one in every for name in one.pictures})
    lines = []
    with TemporaryDirectory() as made:
        folder = Path(made)
        make_models(folder, [caption for one in every for caption in one.captions])
        make_pictures(folder, pictures)
        print(
            f"{len(pictures)} pictures, {os.environ.get('OMP_NUM_THREADS', 'all')} threads, torch {torch.__version__}"
        )
        for name, some in examples.items():
            pairs = sum(len(one.captions) * len(one.pictures) for one in some)
            for model in models:
                reads = READS[model]
                given = ["eval", str(folder / model), name, "--data", str(annotations), "--device", "cpu"]
                given += [reads[0], str(folder / reads[1]), "--out", str(folder / f"{name}-{model}")]
                given += [] if n is None else ["--n", str(n)]
                line = {
                    "benchmark": name,
                    "model": model,
                    "examples": len(some),
                    "pairs": pairs,
                    **evaluate(given),
                }
                lines.append(line)
                print(
                    f"{name:12s} {model:7s} {len(some):6,} examples {pairs:7,} pairs {line['seconds']:7.1f} s "
                    f"{line['gibibytes']:5.2f} GiB",
                    flush=True,
                )
    return lines


if __name__ == "__main__":
    main(Path(sys.argv[1]))
