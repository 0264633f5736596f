"""Speed and memory as ratios to something measured in the same run: ``python -m bench`` (``make bench``).

Each ratio is the median over paired repetitions, so that a slow moment of the machine hits both sides.
"""

from collections.abc import Callable

import torch

from bench import attach as attach_at_base_size
from bench import features as reading_features
from cacr import AttentionBlocks, attach, cacr_loss, iais_loss, soft_equivalence_loss
from cacr._measure import paired
from cacr.data.scenes import scene
from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval

REPETITIONS = 15


def ratio(ours: Callable[[], object], theirs: Callable[[], object], repetitions: int = REPETITIONS) -> float:
    """Median of time(ours) / time(theirs), pair by pair."""
    return paired(ours, theirs, repetitions)[1]


def layer(batch: int = 8, heads: int = 12, text: int = 20, regions: int = 36) -> tuple[torch.Tensor, ...]:
    """Queries, keys and masks of a UNITER-base layer."""
    sequence = text + regions
    query, key = (torch.randn(batch, heads, sequence, 64, requires_grad=True) for _ in "qk")
    text_mask = torch.zeros(batch, sequence, dtype=torch.bool)
    text_mask[:, 1 : text - 1] = True
    region_mask = torch.zeros_like(text_mask)
    region_mask[:, text:] = True
    return query, key, text_mask, region_mask


def loss_against_layer() -> float:
    """The loss with its blocks and gradients / forward and backward of one encoder layer of the same size."""
    inputs = layer()
    encoder = torch.nn.TransformerEncoderLayer(768, 12, 3072, batch_first=True)
    hidden = torch.randn(8, 56, 768)
    return ratio(
        lambda: cacr_loss(AttentionBlocks.from_query_key(*inputs)).backward(),
        lambda: encoder(hidden).sum().backward(),
    )


def loss_against_iais() -> float:
    """CACR / IAIS on the same blocks, forward and backward."""
    inputs = layer()
    return ratio(
        lambda: cacr_loss(AttentionBlocks.from_query_key(*inputs)).backward(),
        lambda: iais_loss(AttentionBlocks.from_query_key(*inputs)).backward(),
    )


def loops_against_closed_form() -> float:
    """Algorithm 1 as loops / the closed form, one small example, forward only."""
    query, key, text_mask, region_mask = (x.detach() for x in layer(batch=1, heads=2, text=8, regions=8))
    blocks = AttentionBlocks.from_query_key(query, key, text_mask, region_mask)
    return ratio(lambda: soft_equivalence_loss(blocks), lambda: cacr_loss(blocks, variant="paper"), 3)


def step_with_regularizer() -> float:
    """A training step (32 pairs) with capture and loss on its true pairs / the same step without, 4 layers x 256."""
    config = UniterConfig(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024)
    model = UniterForImageTextRetrieval(config).train()
    batch = {
        "input_ids": torch.randint(200, 20_000, (32, 20)),
        "region_features": torch.randn(32, 36, 2048),
        "region_positions": torch.rand(32, 36, 7),
    }

    def plain() -> None:
        model(**batch).rank_scores.sum().backward()

    def regularized() -> None:
        with attach(model, select=slice(0, None, 8)):
            out = model(**batch)
            (out.rank_scores.sum() + out.cacr_loss).backward()

    return ratio(regularized, plain)


def scenes_against_resizing() -> float:
    """Drawing a scene with its regions and features / resizing a 640 x 480 picture to 224 x 224, bicubic."""
    from PIL import Image

    picture = Image.new("RGB", (640, 480), "red")
    return ratio(
        lambda: [scene(0, i).regions for i in range(50)],
        lambda: [picture.resize((224, 224)) for _ in range(50)],
    )


BENCHES = (
    loss_against_layer,
    loss_against_iais,
    loops_against_closed_form,
    step_with_regularizer,
    scenes_against_resizing,
)


def main() -> None:
    """Print every ratio."""
    torch.manual_seed(0)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; median of {REPETITIONS} paired repetitions"
    )
    for bench in BENCHES:
        print(f"{bench():10.3f}  {bench.__name__}: {(bench.__doc__ or '').strip()}", flush=True)
    attach_at_base_size.main()
    reading_features.main(pictures=10_000)  # ten times as many: python -m bench.features


if __name__ == "__main__":
    main()
