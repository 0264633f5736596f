"""The regularizer in a plain PyTorch loop, on Florence-2, with mined hard negatives beside it.

    python examples/plain_loop.py

The encoder of Florence-2 reads patches and prompt together, so both directions of the loss exist. Each step learns to
caption pictures, and to find the captions less likely with pictures of others; only true pairs are regularized.
"""

import torch
from torch import Tensor

import cacr
from cacr.tiny_models import TINY


def main(steps: int = 40, weight: float = 5.0) -> list[dict[str, float]]:
    """Train, print the first and the last step, and return the numbers of all."""
    torch.manual_seed(0)
    # Florence2ForConditionalGeneration, tiny, with random weights. For a real checkpoint change this line to
    #   model = Florence2ForConditionalGeneration.from_pretrained("florence-community/Florence-2-base")
    model = TINY["florence2"]().model
    model.train()
    # the attention of random weights is nearly even, so its loss is small and the weight high; the papers use 1
    reg = cacr.attach(model, weight=weight, schedule="exp", total_steps=steps)
    print(reg)  # which layer is watched, and how

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    data, log = pairs(16), []
    for step in range(steps):
        start = 4 * step % 16
        batch = {name: values[start : start + 4] for name, values in data.items()}
        with reg.paused():  # neither mining nor wrong pairs are watched, though the model trains here
            wrong = model(**mined(model, batch))
        out = model(**batch)
        ranking = torch.relu(0.2 + out.loss - wrong.loss)
        loss = out.loss + ranking + out.cacr_loss  # cacr_loss is weighted already
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        # reg.last: language and vision in nats, cacr_loss after the weight, and the weight
        parts = {name: value.item() for name, value in reg.last.items()}
        log.append({"loss": out.loss.item(), "ranking": ranking.item(), **parts})
        reg.step()  # after each optimizer step: the weight grows as exp(5 · (step / steps − 1))

    reg.detach()  # the model is as it was before, but for what it learned
    for step, numbers in ((1, log[0]), (steps, log[-1])):
        print(f"step {step:3}:", ", ".join(f"{name} {value:.3g}" for name, value in numbers.items()))
    return log


def pairs(count: int) -> dict[str, Tensor]:
    """Random pictures, prompts and captions; your processor makes the same from real ones."""
    places = torch.full((count, 17), 98)  # the image token, once for each of 16 patches and for their mean
    ids = torch.cat([places, torch.randint(10, 90, (count, 6))], 1)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.randn(count, 3, 32, 32),
        "labels": torch.randint(10, 90, (count, 5)),
    }


@torch.no_grad()
def mined(model: torch.nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The batch with its pictures dealt out wrongly, in the way in which its captions are likeliest."""
    pictures = batch["pixel_values"]
    wrong = [batch | {"pixel_values": pictures.roll(shift, 0)} for shift in range(1, len(pictures))]
    return min(wrong, key=lambda one: model(**one).loss.item())


if __name__ == "__main__":
    main()
