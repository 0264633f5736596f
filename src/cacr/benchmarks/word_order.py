"""COCO-Order and Flickr30k-Order, of ARO: which of five orders of the same words is the caption?

    coco_order.json:   [{"image": "val2014/COCO_val2014_000000391895.jpg",
                         "caption_options": ["a man riding a motorcycle …", four other orders of it]}, …]

The release has no such file: its code makes the four orders when it runs (nouns and adjectives among themselves; all
but these; within groups of three words; the groups), at random and with a part-of-speech tagger. Orders of our own
would be another benchmark under this name, so they are not made here: write the list once, and keep it (`OBTAIN`). The
hash of the file then says which draw a number is of.

Paper: Yuksekgonul et al. 2023, arXiv:2210.01936.  Source: github.com/mertyg/vision-language-models-are-bows,
dataset_zoo/aro_datasets.py, perturbations.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cacr._messages import shortly
from cacr.benchmarks.benchmark import OF_FILES, Benchmark, Options
from cacr.benchmarks.examples import Example, ExamplesWork, examples_work, picture_name, sentence
from cacr.benchmarks.outcomes import first_caption, first_caption_chance
from cacr.benchmarks.vg_relation import find_file, read_items
from cacr.data.pictures import there

OPTIONS = 5
"""Captions of an example: the true one, then four orders."""


def opening(name: str, file: str, obtain: str) -> Callable[[Options], ExamplesWork]:
    """How one of the two benchmarks is opened.

    With ``options.errata``, orders that came out as the caption itself (it is short, or has one adjective) are taken
    out, as the released code's rule for ties does without saying so; an example that has none left is left out.
    """

    def open_order(options: Options) -> ExamplesWork:
        path = find_file(options, name, file, obtain)
        examples = [_example(item, str(place), where) for place, (item, where) in enumerate(read_items(path))]
        notes = []
        if options.errata:
            full = sum(len(one.captions) for one in examples)
            examples = [_without_copies(one) for one in examples]
            copies = full - sum(len(one.captions) for one in examples)
            left = [one for one in examples if len(one.captions) > 1]
            if copies:
                notes.append(
                    f"without {copies} orders that are the caption itself, and so without {len(examples) - len(left)} "
                    "examples that have no other"
                )
            examples = left
        return examples_work(examples, options, [path], _pictures_beside(path, examples), notes)

    return open_order


def _example(item: Mapping[str, Any], name: str, where: str) -> Example:
    picture = picture_name(item.get("image", item.get("image_path")), f"{where}: image")
    captions = item.get("caption_options")
    if not isinstance(captions, list) or len(captions) != OPTIONS:
        raise ValueError(
            f"{where}: caption_options is {shortly(captions)}; expected {OPTIONS} captions, the true one first"
        )
    return Example(name, [sentence(one, f"{where}: caption_options") for one in captions], (picture,))


def _without_copies(example: Example) -> Example:
    true, *others = example.captions
    return Example(example.example, [true, *(one for one in others if one != true)], example.pictures)


def _pictures_beside(path: Path, examples: list[Example]) -> list[Path]:
    """The folder of the file, where it has the folder or the picture that the first example names."""
    first = examples[0].pictures[0].partition("/")[0] if examples else ""
    return [path.parent] if first and there((path.parent / first).exists) else []


def _obtain(kind: str, file: str, folder: str) -> str:
    return (
        f"The release makes it when it runs: with github.com/mertyg/vision-language-models-are-bows, json.dump("
        f"{kind}(…).test_cases, open({file!r}, 'w')), once, and keep the file; two of the four orders need its "
        f"part-of-speech tagger. The pictures: beside the file in {folder}, or a folder of your own: --images FOLDER."
    )


def _benchmark(name: str, file: str, obtain: str, size: str, licence: str) -> Benchmark:
    return Benchmark(
        name=name,
        asks="Which of five orders of the same words is the caption of the picture?",
        paper="arXiv:2210.01936",
        licence=licence,
        size=size,
        ties="wrong",
        chance_is="accuracy 1/5",
        obtain=obtain,
        takes=OF_FILES | {"errata"},
        open=opening(name, file, obtain),
        right=first_caption,
        kind="first caption",
        chance=first_caption_chance,
        cautions=(
            "guessable without the picture: a shuffled sentence is no sentence, and a language model alone scores "
            "near 100 %; it measures word order, not what the picture shows. Compare with a blind model",
            "the orders are drawn at random: numbers compare only over the same file (version)",
            "an order that came out as the caption itself is taken out unless errata are kept; the released code "
            "counts such a tie as right",
            "captions are lower case without punctuation, at most 30 words, as the release makes them",
        ),
    )


COCO_ORDER_FILE, FLICKR30K_ORDER_FILE = "coco_order.json", "flickr30k_order.json"
COCO_ORDER = _benchmark(
    "coco-order",
    COCO_ORDER_FILE,
    _obtain("COCO_Order", COCO_ORDER_FILE, "val2014"),
    "25,010: all captions of the 5,000 test pictures of Karpathy's split",
    "MIT; captions CC BY 4.0; the pictures are COCO's",
)
FLICKR30K_ORDER = _benchmark(
    "flickr30k-order",
    FLICKR30K_ORDER_FILE,
    _obtain("Flickr30k_Order", FLICKR30K_ORDER_FILE, "flickr30k-images"),
    "5,000: all captions of the 1,000 test pictures of Karpathy's split",
    "MIT; captions and pictures for research and education only",
)
