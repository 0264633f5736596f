"""``cacr convert``."""

from __future__ import annotations

from pathlib import Path

from cacr.cli.show import console


def convert(checkpoint: Path, out: Path, /, *, config: Path | None = None, head: str = "retrieval") -> int:
    """Turn an original UNITER, IAIS or CACR checkpoint into a transformers folder.

    Args:
        checkpoint: The .pt (a state dict) or .safetensors.
        out: A new folder.
        config: The original json; sizes are read off the weights if not given.
        head: retrieval, pretraining or base.
    """
    from cacr.models.uniter import convert_original_checkpoint

    if out.exists():
        raise FileExistsError(f"{out} exists and is not overwritten; give a new folder")
    model = convert_original_checkpoint(checkpoint, config, head)
    model.save_pretrained(out)
    console.print(f"The model is in {out}: {sum(p.numel() for p in model.parameters()):,} parameters.")
    console.print(
        "Save its tokenizer beside it (bert-base-cased for the released models) to train or measure it."
    )
    return 0
