"""VALSE: a caption or its foil, by linguistic phenomenon.

    existence.json, one of eleven:   {"existence_visual7w_2371044": {"image_file": "v7w_2371044.jpg", …,
                                      "linguistic_phenomena": "existence", "caption": "There are no people …",
                                      "foil": "There are people …", "mturk": {"foil": 0, "caption": 3, "other": 0}}, …}

Valid examples are those where at least 2 of 3 people chose the caption and not the foil, as the paper counts.

Paper: Parcalabescu et al. 2022, arXiv:2112.07566.  Files: github.com/Heidelberg-NLP/VALSE, folder data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cacr._json import read_json
from cacr._messages import shortly
from cacr.benchmarks.benchmark import Benchmark, Options
from cacr.benchmarks.examples import (
    Example,
    ExamplesWork,
    data_folder,
    examples_work,
    find_files,
    lost_parts,
    picture_name,
    sentence,
)
from cacr.benchmarks.outcomes import first_caption, first_caption_chance

FILES = {
    "existence": "existence.json",
    "plurals": "plurals.json",
    "counting-hard": "counting-hard.json",
    "counting-small": "counting-small-quant.json",
    "counting-adversarial": "counting-adversarial.json",
    "relations": "relations.json",
    "action-replacement": "action-replacement.json",
    "actant-swap": "actant-swap.json",
    "coreference-hard": "coreference-hard.json",
    "coreference-standard": "coreference-standard.json",
    "foil-it": "foil-it.json",
}
VALID = 2
"""People, of three, who must have chosen the caption and not the foil."""
OBTAIN = (
    f"Copy the folder data of github.com/Heidelberg-NLP/VALSE: {', '.join(FILES.values())}. The pictures are those of "
    "Visual7W, COCO, SWiG, VisDial and FOIL-it (the field dataset says which): put them beside the files in images, "
    "or give folders of your own (--images), several if need be."
)


def open_valse(options: Options) -> ExamplesWork:
    """The valid examples of all pieces that are there, or of the one that ``options.split`` names."""
    folder = data_folder(options, "valse", OBTAIN)
    found = find_files(folder, FILES, "valse", OBTAIN, options.split)
    examples = [one for piece, path in found.items() for one in read_piece(path, piece)]
    images = next(iter(found.values())).parent / "images"
    notes = lost_parts(found, FILES, options.split)
    return examples_work(examples, options, found.values(), [images], notes)


def read_piece(path: Path, piece: str) -> list[Example]:
    """The valid examples of one piece; the caption at index 0 is the true one, that at 1 the foil.

    Raises:
        ValueError: The file is not in this layout; the item is named by its key.
    """
    content = read_json(path)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected items by name, as published")
    examples = []
    for key, item in content.items():
        where = f"{path}, item {key}"
        if not isinstance(item, Mapping):
            raise ValueError(f"{where} is {shortly(item)}; expected image_file, caption, foil and mturk")
        if _votes(item, where) >= VALID:
            examples.append(_example(item, piece, key, where))
    return examples


def _votes(item: Mapping[str, Any], where: str) -> int:
    mturk = item.get("mturk")
    votes = mturk.get("caption") if isinstance(mturk, Mapping) else None
    if not isinstance(votes, int):
        raise ValueError(
            f'{where} has no votes, "mturk": {{"caption": …}}, by which valid examples are told; copy the file again'
        )
    return votes


def _example(item: Mapping[str, Any], piece: str, key: str, where: str) -> Example:
    captions = tuple(_only(item.get(name), f"{where}: {name}").strip() for name in ("caption", "foil"))
    picture = picture_name(item.get("image_file"), f"{where}: image_file")
    phenomenon = sentence(item.get("linguistic_phenomena"), f"{where}: linguistic_phenomena")
    return Example(f"{piece}/{key}", captions, (picture,), list(dict.fromkeys((piece, phenomenon))))


def _only(value: Any, where: str) -> str:
    """A sentence, or that of a list of one: some copies of the files hold lists."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return sentence(value, where)


VALSE = Benchmark(
    name="valse",
    asks="Which is true of the picture: the caption, or a foil that differs in one linguistic phenomenon?",
    paper="arXiv:2112.07566",
    licence="MIT; the pictures are those of Visual7W, COCO, SWiG and VisDial, under their own licences",
    size="11 pieces; valid examples: existence 505, plurals 851, relations 535, actant-swap 949, foil-it 943",
    ties="wrong",
    chance_is="accuracy 1/2",
    obtain=OBTAIN,
    open=open_valse,
    right=first_caption,
    kind="first caption",
    chance=first_caption_chance,
    cautions=(
        "accuracy is the paper's pairwise accuracy acc_r; its acc, precision and AUROC need a decision for each "
        "caption by itself and are not here",
        "only valid examples: 2 of 3 people chose the caption and not the foil",
        "partly guessable without the picture: the paper's text-only models are above chance on several pieces "
        "(relations, actant-swap and foil-it among them); compare with a blind model",
        "'all' weighs a piece by its examples; the paper's average weighs pieces alike: give the rows of the pieces",
        "pieces share photographs under two names (COCO 2014 and 2017), which count as two in the interval of 'all'",
    ),
    versions={
        "f6954c455ffecc1b": "existence, plurals, relations and actant-swap, 2,840 valid examples",
        "63de5817e93896d5": "existence, 505 valid examples of 534",
        "47e8c466bf1d91a0": "plurals, 851 valid examples of 1,000",
        "3a6c091bd6ccefa5": "relations, 535 valid examples of 614",
        "71d011680a665bbc": "actant-swap, 949 valid examples of 1,042",
    },
)
