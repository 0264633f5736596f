"""A step of the recipe cacr-base at full size against a straightforward loop: seconds and memory, in the same run.

    python -m bench.recipe FOLDER            FOLDER: captions.jsonl and features.safetensors (docs/data.md)

Both learn from the same items of the same pictures with a random UNITER-base: 4 image-anchored and 4 text-anchored
groups, the 31 hardest of 31 candidates. The loop takes a group at a time, pads its captions to 60 tokens, scores all
its candidates, repeats of a pair too, and runs all its 32 pairs with eager attention. Each has a process of its own.
"""

import json
import resource
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from cacr.losses import hardest_negatives, ranking_loss, schedule_weight

STEPS = 3


def config(folder: Path, out: Path):
    """The packaged recipe on this folder, with a random model."""
    from cacr.recipes import recipe_path
    from cacr.training import TrainConfig

    return TrainConfig.from_toml(
        recipe_path("cacr-base"),
        data=str(folder),
        features=folder / "features.safetensors",
        split=None,
        dev_split=None,
        model="new",
        precision="fp32",
        candidates=31,
        steps=STEPS,
        save_every=10 * STEPS,
        out=out,
    )


def ours(folder: Path) -> list[float]:
    """Seconds of each step of `cacr train`."""
    from cacr.training import train

    times = []
    with TemporaryDirectory() as out:
        train(
            config(folder, Path(out) / "run"),
            progress=lambda step, numbers: times.append(time.perf_counter()),
        )
    return [after - before for before, after in pairwise(times)]


def loop(folder: Path) -> list[float]:
    """Seconds of each step of the loop."""
    from cacr import attach
    from cacr.training.groups import GroupDataset
    from cacr.training.run import open_data
    from cacr.training.start import starting_model

    recipe = config(folder, Path("unused"))
    pairs = open_data(recipe)
    model, processor = starting_model(recipe, pairs)
    model.set_attn_implementation("eager")
    items = GroupDataset(pairs, STEPS * recipe.batch, recipe.candidates, recipe.seed)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.lr)
    reg = attach(model, select=slice(0, 1), text_mask=lambda inputs: text_mask(processor, inputs))
    times = [time.perf_counter()]
    for step in range(STEPS):
        for i in range(recipe.batch):
            item = items[step * recipe.batch + i]
            image_group = [(caption, item.image) for caption in item.captions]
            for group in (image_group, [(item.caption, image) for image in item.images]):
                batch = padded(processor, pairs, group)
                model.eval()
                with torch.no_grad(), reg.paused():
                    match = model(**batch).rank_scores.view(1, -1)
                hard = torch.cat(
                    [torch.zeros(1, 1, dtype=torch.long), hardest_negatives(match, recipe.negatives)], 1
                )[0]
                model.train()
                out = model(**{name: values[hard] for name, values in batch.items()})
                loss = ranking_loss(out.rank_scores.view(1, -1), recipe.margin)
                weight = schedule_weight(step, STEPS)
                ((loss + weight * out.cacr_loss) / (2 * recipe.batch)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter())
    return [after - before for before, after in pairwise(times)]


def text_mask(processor, inputs):
    return processor.text_mask(inputs["input_ids"], inputs["attention_mask"])


def padded(processor, pairs, group):
    """All pairs of a group with captions of 60 tokens."""
    captions = [pairs.captions[c] for c, _ in group]
    batch = dict(processor(captions, [pairs.picture(i).regions for _, i in group]))
    for name in ("input_ids", "attention_mask"):
        batch[name] = torch.nn.functional.pad(batch[name], (0, 60 - batch[name].shape[1]))
    return batch


def in_a_process(what: str, folder: Path) -> dict[str, float]:
    """Median seconds of the steps after the first, and peak memory in GiB, of a process that does nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.recipe", str(folder), what], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(folder: Path) -> dict[str, dict[str, float]]:
    """Print and return both, and their ratios."""
    found = {what: in_a_process(what, folder) for what in ("loop", "ours")}
    for what, numbers in found.items():
        print(f"{what:6s} {numbers['seconds']:8.1f} s a step {numbers['gibibytes']:8.1f} GiB at most")
    for name in ("seconds", "gibibytes"):
        print(
            f"{found['ours'][name] / found['loop'][name]:10.3f}  {name} of a step of cacr train / of the loop"
        )
    return found


if __name__ == "__main__":
    where = Path(sys.argv[1])
    if len(sys.argv) == 2:
        main(where)
    else:
        torch.manual_seed(0)
        seconds = sorted({"ours": ours, "loop": loop}[sys.argv[2]](where)[1:])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"seconds": seconds[len(seconds) // 2], "gibibytes": peak}))
