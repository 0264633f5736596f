"""Retrieval with a cross-encoder against a straightforward loop: pairs per second of processor time, in the same run.

    python -m bench.retrieval                pictures of its own making, see bench/step.py
    python -m bench.retrieval FOLDER         FOLDER: captions.jsonl and features.safetensors (docs/data.md)

All captions of the folder with its pictures, a random UNITER-base. The loop takes one caption against all pictures at
a time, as the released evaluations do: the caption is tokenized and padded to 60 tokens once per picture, the regions
of all pictures are padded and copied again for every caption. "unpadded" is the same loop with captions of their own
length. Equal scores are checked first. Rounds are interleaved, each on other captions.
"""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import torch
from torch.testing import assert_close

from bench.step import WIDTH, make
from cacr.data import Picture, open_captions
from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval, UniterProcessor
from cacr.scorers import RegionScorer
from cacr.training.tokenizers import tokenizer_of_captions

ROUNDS, CAPTIONS = 3, 8


def scorer_of(captions: list[str], sizes: Mapping[str, int]) -> RegionScorer:
    """A random UNITER-base, or one of other sizes, over the words of these captions."""
    torch.manual_seed(0)
    processor = UniterProcessor(tokenizer_of_captions(captions))
    config = UniterConfig(vocab_size=len(processor.tokenizer), **sizes)
    return RegionScorer(UniterForImageTextRetrieval(config), processor)


@torch.inference_mode()
def loop(
    scorer: RegionScorer, captions: list[str], pictures: list[Picture], pad: bool = True
) -> torch.Tensor:
    """[caption, picture]: one caption against all pictures at a time."""
    rows = []
    for caption in captions:
        batch = dict(scorer.processor([caption] * len(pictures), [picture.regions for picture in pictures]))
        if pad:
            for name in ("input_ids", "attention_mask"):
                batch[name] = torch.nn.functional.pad(batch[name], (0, 60 - batch[name].shape[1]))
        rows.append(scorer.model(**batch).rank_scores[:, 0])
    return torch.stack(rows)


def seconds(run: Callable[[], object]) -> float:
    """Processor time of a call, which what else runs on the machine does not lengthen."""
    begun = time.process_time()
    run()
    return time.process_time() - begun


def main(
    folder: Path | None = None,
    rounds: int = ROUNDS,
    count: int = CAPTIONS,
    sizes: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, float]:
    """Print and return ratios of time to ours, median over rounds of ``count`` captions with all pictures.

    Also ``captions``, how many a round had: fewer than ``count`` where the folder does not hold them.

    Raises:
        ValueError: The folder has fewer captions than rounds.
    """
    if folder is None:
        with TemporaryDirectory() as made:
            make(Path(made), pictures=8, each=5, width=sizes.get("region_dim", WIDTH))
            return main(Path(made), rounds, count, sizes)
    pairs = open_captions(folder)
    captions, scorer = list(pairs.captions), scorer_of(list(pairs.captions), sizes)
    count = min(count, len(captions) // rounds)
    if not count:
        raise ValueError(f"{len(captions)} captions for {rounds} rounds; give one a round at least")
    pictures = [pairs.picture(i) for i in range(len(pairs.image_ids))]
    # the same regions, four times as many
    pictures = [Picture(f"{i}", one.read_regions) for i, one in enumerate(pictures * 4)]
    some = captions[:2]
    exact = scorer.grid(some, pictures)
    assert_close(exact, loop(scorer, some, pictures), rtol=0, atol=1e-4)
    times: dict[str, list[float]] = {"ours": [], "loop": [], "unpadded": []}
    for number in range(rounds):
        mine = captions[number::rounds][:count]
        times["ours"].append(seconds(lambda mine=mine: scorer.grid(mine, pictures)))
        times["loop"].append(seconds(lambda mine=mine: loop(scorer, mine, pictures)))
        times["unpadded"].append(seconds(lambda mine=mine: loop(scorer, mine, pictures, pad=False)))
    asked = count * len(pictures)
    words = torch.tensor([len(caption.split()) for caption in captions]).float()
    print(
        f"{len(captions)} captions of {words.mean():.1f} words, {len(pictures)} pictures, {asked} pairs a round"
    )
    found = {"captions": float(count)}
    for name, values in times.items():
        middle = sorted(values)[len(values) // 2]
        ratios = sorted(theirs / ours for theirs, ours in zip(values, times["ours"], strict=True))
        found[name] = ratios[len(ratios) // 2]
        print(f"{asked / middle:8.1f} pairs/s  {name:9s} {found[name]:6.2f} times the time of ours {ratios}")
    scorer.model.to(torch.bfloat16)
    halved = seconds(lambda: scorer.grid(mine, pictures))
    away = (scorer.grid(some, pictures) - exact).abs().max().item()
    found["bfloat16 away"] = away
    found["bfloat16"] = halved / times["ours"][-1]
    print(
        f"{asked / halved:8.1f} pairs/s  bfloat16  {found['bfloat16']:6.2f} times the time, scores differ by {away:.1e}"
    )
    return found


if __name__ == "__main__":
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
