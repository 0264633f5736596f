"""A training step with mined hard negatives against a straightforward loop: throughput and memory, in the same run.

    python -m bench.step                     pictures of its own making
    python -m bench.step FOLDER              FOLDER: captions.jsonl and features.safetensors (docs/data.md)

Both take the same step of the same UNITER-base, without dropout: an image-anchored and a text-anchored group, the 31
hardest of 63 candidates, the attention loss of both true pairs, gradient clipping and AdamW. The loop takes a group at
a time, pads its captions to 60 tokens, repeats the picture or caption that the group shares, runs eager attention and
scores all its candidates. Encoding the inputs is left out of both. Equal negatives and gradients are checked first, in
the first round, and stop the bench where they differ. The sides take turns in going first. Peak memory is that of a
process which takes one step.

Where no folder is given, pictures are 36 random regions of 2048 numbers. Captions are the five of each of the eight
photographs of the reference data if CACR_REFERENCE_DATA names it, and else made words in lengths like Flickr30k's:
quantiles of a normal distribution of mean 13.4 tokens and deviation 5.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.measuring import in_a_process
from bench.memory import highest
from cacr import attach
from cacr.data import open_captions
from cacr.losses import hardest_negatives, ranking_loss
from cacr.models.processing import RegionProcessor
from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval, UniterProcessor
from cacr.recipes import recipe_path
from cacr.regions import Regions, write_features
from cacr.training import GroupCollator, GroupDataset, RetrievalTrainer, TrainConfig
from cacr.training.groups import Groups
from cacr.training.run import arguments
from cacr.training.tokenizers import tokenizer_of_captions

PICTURES, REGIONS, WIDTH = 64, 36, 2048
MEAN, DEVIATION = 13.4, 5.0
LONGEST = 60
"""Tokens that the loop pads captions to."""
ROUNDS = 3
CLOSE = 1e-4
"""Largest norm of the gradients' difference, as a share of their norm: float32's rounding."""


def captions() -> list[str]:
    """The captions of the reference data, or made words of lengths like Flickr30k's."""
    folder = os.environ.get("CACR_REFERENCE_DATA")
    stored = sorted(Path(folder, "real").glob("*.npz")) if folder else []
    if stored:
        return [str(text) for path in stored for text in np.load(path, allow_pickle=True)["text"]]
    words = statistics.NormalDist(MEAN, DEVIATION)
    lengths = [max(4, round(words.inv_cdf((i + 0.5) / PICTURES))) for i in range(PICTURES)]
    order = torch.randperm(PICTURES, generator=torch.Generator().manual_seed(0)).tolist()
    return [" ".join(f"word{(7 * i + j) % 500}" for j in range(lengths[i])) for i in order]


def make(folder: Path, pictures: int = PICTURES, each: int = 1, width: int = WIDTH) -> None:
    """Random pictures with so many captions each, written to a folder."""
    g = torch.Generator().manual_seed(0)
    texts, found, lines = captions(), {}, []
    for i in range(pictures):
        corners = torch.rand(REGIONS, 2, 2, generator=g).sort(1).values
        found[f"{i}.jpg"] = Regions(torch.rand(REGIONS, width, generator=g), corners.flatten(1))
        own = [texts[(i * each + j) % len(texts)] for j in range(each)]
        lines.append(json.dumps({"image": f"{i}.jpg", "captions": own}) + "\n")
    write_features(folder / "features.safetensors", found)
    (folder / "captions.jsonl").write_text("".join(lines), encoding="utf-8")


class Step:
    """One item, a model without dropout, and both ways to take the step."""

    def __init__(self, folder: Path, sizes: Mapping[str, int], recipe: TrainConfig):
        torch.manual_seed(0)
        self.pairs = open_captions(folder)
        self.processor: RegionProcessor = UniterProcessor(tokenizer_of_captions(self.pairs.captions))
        config = UniterConfig(
            vocab_size=28_996, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **sizes
        )
        self.model = UniterForImageTextRetrieval(config).train()
        self.recipe = recipe
        self.items = GroupDataset(self.pairs, 1, recipe.candidates, recipe.seed)
        self.trainer = RetrievalTrainer(
            recipe=recipe,
            processor=self.processor,
            model=self.model,
            args=arguments(recipe),
            train_dataset=self.items,
        )
        self.trainer.state.global_step = recipe.steps  # the attention loss at its full weight
        with torch.device("meta"):
            self.eager = UniterForImageTextRetrieval(config).train()
        self.eager.load_state_dict(dict(self.model.named_parameters()), assign=True)  # the same weights
        self.eager.set_attn_implementation("eager")
        self.reg = attach(
            self.eager,
            loss=recipe.loss,
            select=slice(0, 1),
            text_mask=lambda inputs: self.processor.text_mask(inputs["input_ids"], inputs["attention_mask"]),
        )
        self.batch = GroupCollator(self.pairs, self.processor)([self.items[0]])
        self.groups = [self._padded(group) for group in _pairs_of(self.items[0])]
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.0, weight_decay=0.0)
        self.mined: list[Tensor] = []

    def ours(self) -> None:
        """Gradients of the step of `cacr train`."""
        self.trainer.compute_loss(self.model, self.batch).backward()

    def loop(self) -> None:
        """The same by the loop."""
        self.mined = []
        for group, direction in zip(self.groups, ("vision", "language"), strict=True):
            self.eager.eval()
            with torch.no_grad():
                match = self.eager(**group).rank_scores.view(1, -1)
            self.mined.append(hardest_negatives(match, self.recipe.negatives))
            hard = torch.cat([torch.zeros(1, 1, dtype=torch.long), self.mined[-1]], 1)[0]
            self.eager.train()
            self.reg.directions = (direction,)
            out = self.eager(**{name: values[hard] for name, values in group.items()})
            loss = ranking_loss(out.rank_scores.view(1, -1), self.recipe.margin)
            ((loss + out.cacr_loss) / 2).backward()

    def finish(self) -> None:
        """What follows on the gradients. With a rate of 0: every step starts from the same weights."""
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def check(self) -> float:
        """The norm of the difference of both gradients, as a share of their norm. Leaves those of ours in place.

        Raises:
            AssertionError: They differ by more than rounding does, one side alone has a gradient of some weights, or
                other negatives were mined.
        """
        self.optimizer.zero_grad()
        self.loop()
        theirs = {name: weights.grad for name, weights in self.model.named_parameters()}
        self.optimizer.zero_grad()
        mine = hardest_negatives(self.trainer._mine(self.model, self.batch), self.recipe.negatives)
        if not torch.equal(mine.sort().values, torch.cat(self.mined).sort().values):
            raise AssertionError("the two steps mine different negatives")
        self.ours()
        away = total = 0.0
        for name, weights in self.model.named_parameters():
            other = theirs.pop(name)
            if (weights.grad is None) != (other is None):
                raise AssertionError(f"one of the two steps alone has a gradient of {name}")
            if weights.grad is not None and other is not None:
                away += float((weights.grad - other).square().sum())
                total += float(other.square().sum())
        if not away**0.5 < CLOSE * total**0.5:
            raise AssertionError(f"the gradients differ by {(away / total) ** 0.5:.1e} of their norm")
        return (away / total) ** 0.5

    def _padded(self, group: Sequence[tuple[int, int]]) -> dict[str, Tensor]:
        """All pairs of a group with captions of 60 tokens."""
        some = [self.pairs.captions[c] for c, _ in group]
        batch = dict(self.processor(some, [self.pairs.picture(i).regions for _, i in group]))
        for name in ("input_ids", "attention_mask"):
            batch[name] = torch.nn.functional.pad(batch[name], (0, LONGEST - batch[name].shape[1]))
        return batch


def _pairs_of(item: Groups) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Captions and pictures of the image-anchored and of the text-anchored group."""
    return [(c, item.image) for c in item.captions], [(item.caption, i) for i in item.images]


def recipe_of(out: Path, **changed: Any) -> TrainConfig:
    """The packaged recipe cacr-base, one item a step, mined in the precision of the rest."""
    base = TrainConfig.from_toml(recipe_path("cacr-base"))
    step = {
        "batch": 1,
        "candidates": 63,
        "precision": "fp32",
        "mining_precision": "same",
        "split": None,
        "dev_split": None,
    }
    return replace(base, **{**step, "out": out, **changed})


def seconds(step: Step, way: Callable[[], None]) -> float:
    """Processor time of a whole step, which what else runs on the machine does not lengthen."""
    begun = time.process_time()
    way()
    step.finish()
    return time.process_time() - begun


def gibibytes(which: str, folder: Path, sizes: Mapping[str, int], changed: Mapping[str, Any]) -> float:
    """Peak memory of a process that takes one step; see `in_a_process`."""
    asked = json.dumps([which, str(folder), dict(sizes), dict(changed)])
    return float(in_a_process(f"a step ({which})", "bench.step", "--peak", asked))


def peak(which: str, folder: str, sizes: dict[str, int], changed: dict[str, Any]) -> float:
    """Take a step and say how much memory this process had at most, GiB."""
    with TemporaryDirectory() as out:
        step = Step(Path(folder), sizes, recipe_of(Path(out), **changed))
        seconds(step, getattr(step, which))
    return highest() / 2**30


def main(
    folder: Path | None = None,
    rounds: int = ROUNDS,
    sizes: Mapping[str, int] = MappingProxyType({}),
    **changed: Any,
) -> dict[str, Any]:
    """Print and return how many times the loop's throughput ours has, and what else was found.

    Args:
        folder: Captions and region features; made ones if None.
        rounds: Of one step each way, in turn.
        sizes: Of the UNITER, where it is not the base model.
        changed: Values of the recipe.

    Returns:
        ``minimum`` (smallest time of the loop / smallest of ours) and ``median`` (of the ratios of each round) of the
        throughput; ``seconds``, processor time by side and round; ``gradients``, the norm of their difference as a
        share of their norm; ``gibibytes``, peak memory by side; ``tokens``, the mean caption's.

    Raises:
        AssertionError: The sides do not compute the same.
    """
    if folder is None:
        with TemporaryDirectory() as made:
            make(Path(made), width=sizes.get("region_dim", WIDTH))
            return main(Path(made), rounds, sizes, **changed)
    with TemporaryDirectory() as out:
        step = Step(folder, sizes, recipe_of(Path(out), **changed))
        found: dict[str, Any] = {"gradients": step.check()}
        step.finish()  # AdamW makes its state with its first gradients
        times: dict[str, list[float]] = {"ours": [], "loop": []}
        for number in range(rounds):
            for name in list(times)[:: -1 if number % 2 else 1]:
                times[name].append(seconds(step, getattr(step, name)))
        lengths = step.batch["text"]["attention_mask"].sum(1).float()
    each = [theirs / ours for theirs, ours in zip(times["loop"], times["ours"], strict=True)]
    found["minimum"], found["median"] = min(times["loop"]) / min(times["ours"]), statistics.median(each)
    found["seconds"], found["tokens"] = times, float(lengths.mean())
    del step
    found["gibibytes"] = {name: gibibytes(name, folder, sizes, changed) for name in times}
    print(f"captions of {lengths.mean():.1f} tokens ({lengths.min():.0f} to {lengths.max():.0f})")
    print(f"gradients differ by {found['gradients']:.1e} of their norm")
    for name, taken in times.items():
        shown = " ".join(f"{value:.2f}" for value in taken)
        print(f"{name:6s} {shown} s a step, {found['gibibytes'][name]:.2f} GiB at most")
    print(
        f"{found['minimum']:10.3f}  throughput of cacr train / of the loop; median of rounds {found['median']:.3f}"
    )
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print(peak(*json.loads(sys.argv[2])))
    else:
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
