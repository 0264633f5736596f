"""A vision-language model from outside transformers: say where its attention is, and which positions are text.

    python examples/outside_model.py

The model is an ordinary torch.nn.Module that calls scaled_dot_product_attention. A layout of two lines is all that the
regularizer needs; the attention module is traced while it runs, so its code stays as it is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cacr
from cacr.attention import Run, joint


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed[:, None, None, :])
        return self.out(x.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention = Attention(width, heads)
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        x = x + self.attention(self.before(x), allowed)
        return x + self.mlp(self.between(x))


class MyModel(nn.Module):
    """[class | patches | words] through three blocks; says whether the caption fits the picture."""

    def __init__(self, vocabulary: int = 100, width: int = 32, patch: int = 8):
        super().__init__()
        self.cls = nn.Parameter(torch.randn(1, 1, width))
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.words = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(torch.randn(1, 64, width))
        self.blocks = nn.ModuleList(Block(width, heads=4) for _ in range(3))
        self.head = nn.Linear(width, 2)

    def forward(self, image: Tensor, tokens: Tensor, token_mask: Tensor) -> dict[str, Tensor]:
        patches = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(image), -1, -1), patches, self.words(tokens)], 1)
        x = x + self.places[:, : x.shape[1]]
        allowed = F.pad(token_mask, (1 + patches.shape[1], 0), value=True)
        for block in self.blocks:
            x = block(x, allowed)
        return {"logits": self.head(x[:, 0])}


def masks(run: Run) -> tuple[Tensor, Tensor]:
    """Which positions of [class | patches | words] are words, and which are regions; [CLS] is neither."""
    token_mask = run.input("token_mask")  # an argument of forward, by its name
    batch, length = token_mask.shape
    patches = run.captured["lv"].size[2] - length - 1  # [batch, queries, keys] of the attention call
    words = F.pad(token_mask, (1 + patches, 0))
    regions = F.pad(token_mask.new_ones(batch, patches), (1, length))
    return words, regions


def main(steps: int = 40, weight: float = 10.0) -> list[dict[str, float]]:
    """Train, print the first and the last step, and return the numbers of all."""
    torch.manual_seed(0)
    model = MyModel().train()  # your own; its weights may come from anywhere
    # random weights spread attention evenly, so the loss is small here and its weight high; the papers use 1
    layout = joint("my-model", "blocks.{layer}.attention", masks)
    reg = cacr.attach(model, weight=weight, layout=layout)
    print(reg)  # "back end trace": the layer is looked at through torch functions

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    tokens = torch.randint(1, 100, (8, 6)) * (torch.arange(6) < torch.tensor([6, 4] * 4)[:, None])
    image, fits = torch.randn(8, 3, 32, 32), torch.tensor([1, 1, 1, 1, 0, 0, 0, 0])
    log = []
    for _ in range(steps):
        out = model(image, tokens, token_mask=tokens > 0)
        loss = F.cross_entropy(out["logits"], fits)
        # a dictionary carries the loss; where forward returns a tensor or a tuple, take reg.loss
        (loss + out["cacr_loss"]).backward()
        optimizer.step()
        optimizer.zero_grad()
        log.append({"loss": loss.item(), **{name: value.item() for name, value in reg.last.items()}})

    reg.detach()
    for step, numbers in ((1, log[0]), (steps, log[-1])):
        print(f"step {step:3}:", ", ".join(f"{name} {value:.3g}" for name, value in numbers.items()))
    return log


if __name__ == "__main__":
    main()
