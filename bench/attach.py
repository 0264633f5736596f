"""What `attach` costs a training step at BERT-base size: batch 8, length 100, one layer, as ratios in the same run."""

import torch

from cacr import attach
from cacr._measure import paired, saved_bytes
from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval

BATCH, TEXT, REGIONS = 8, 40, 60
POSITIVES = slice(0, 1)  # a group: one true pair and seven negatives
REPETITIONS = 21


def model_and_batch() -> tuple[UniterForImageTextRetrieval, dict[str, torch.Tensor]]:
    """UNITER-base, 12 layers of 768, in train mode, and a batch of one group."""
    model = UniterForImageTextRetrieval(UniterConfig()).train()
    batch = {
        "input_ids": torch.randint(200, 20_000, (BATCH, TEXT)),
        "region_features": torch.randn(BATCH, REGIONS, 2048),
        "region_positions": torch.rand(BATCH, REGIONS, 7),
        "labels": torch.tensor([1] + [0] * (BATCH - 1)),
    }
    return model, batch


def main(repetitions: int = REPETITIONS) -> dict[str, float]:
    """Print and return the ratios."""
    torch.manual_seed(0)
    model, batch = model_and_batch()

    def stock() -> None:
        model(**batch).loss.backward()

    def ours(select: slice | None = POSITIVES) -> None:
        with attach(model, select=select):
            out = model(**batch)
            (out.loss + out.cacr_loss).backward()

    low, middle, high = paired(ours, stock, repetitions)
    saved = saved_bytes(stock)
    positives, every = saved_bytes(ours) / saved, saved_bytes(lambda: ours(None)) / saved
    print(
        f"{middle:10.4f}  step with attach, true pairs only / step without [quartiles {low:.4f}, {high:.4f}]"
    )
    print(f"{positives:10.4f}  bytes saved by autograd with attach, true pairs only / without")
    print(f"{every:10.4f}  the same, all pairs")
    return {"time": middle, "memory": positives, "memory, all pairs": every}


if __name__ == "__main__":
    main()
