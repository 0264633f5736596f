"""NaturalBench: two questions with two pictures each, whose answers differ between the pictures.

    [["Is the squirrel climbing up the fence?Please answer Yes or No.", "test_04956.jpg", "Yes", "yes_no"], …]

Four entries are a group: question 0 of pictures 0 and 1, question 1 of pictures 0 and 1. Each question has two answers
(Yes and No, or A and B), right for one picture each; a model answers by matching both. An example is a group:

    match[2 · question + answer][picture]        captions: `cacr.data.Answered`

``Answered.question`` is the published prompt with its instruction, for a model that writes; as a sentence, for a scorer
of captions, a question stands without "Please answer Yes or No." and its like, before the answer.

Paper: Li et al. 2024, arXiv:2410.14669.  Layout: github.com/Baiqi-Li/NaturalBench, naturalbench_vqa.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cacr._json import read_json
from cacr._messages import shortly, unknown
from cacr.benchmarks.benchmark import Benchmark, Options, Outcomes, Record
from cacr.benchmarks.examples import Example, ExamplesWork, as_array, data_folder, examples_work, picture_name
from cacr.benchmarks.shared_pictures import clusters_of_pictures
from cacr.data import Answered

FILES = ("naturalbench.json", "naturalbench_test_set.json")
KINDS = {
    "yes_no": (("Yes", "No"), "Please answer Yes or No."),
    "mcq": (("A", "B"), "Please output the letter corresponding to the correct option."),
}
"""Kind of question -> its two answers, and the instruction that its prompt ends with."""
NAMES = {"yes_no": "yes_no", "mcq": "mcq", "multiple_choice": "mcq"}
CHANCE = {"question": 1 / 4, "image": 1 / 4, "group": 1 / 16, "accuracy": 1 / 2}
OBTAIN = (
    "Put naturalbench_test_set.json (950 groups) there; or make naturalbench.json from BaiqiL/NaturalBench on the Hub "
    "(1,900 groups): the list that naturalbench_vqa.py of github.com/Baiqi-Li/NaturalBench builds, with the names of "
    "saved pictures in the place of pictures. The pictures: beside the file in images, or in a folder of your own "
    "--images FOLDER."
)


def open_naturalbench(options: Options) -> ExamplesWork:
    """All groups, or those of the kind that ``options.split`` names: yes_no or mcq."""
    folder = data_folder(options, "naturalbench", OBTAIN)
    path = folder if folder.is_file() else next((folder / n for n in FILES if (folder / n).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{folder} has none of the files of naturalbench: {', '.join(FILES)}. {OBTAIN}"
        )
    examples = read_groups(path)
    if options.split is not None:
        if options.split not in KINDS:
            raise ValueError(unknown("part of naturalbench", options.split, KINDS))
        examples = [one for one in examples if options.split in one.tags]
    return examples_work(examples, options, [path], [path.parent / "images"])


def read_groups(path: Path) -> list[Example]:
    """The groups of a file, numbered from 0; those that share a picture, over others too, are one cluster.

    Raises:
        ValueError: The file is not in this layout; the group is named by its number.
    """
    content = read_json(path)
    if not isinstance(content, list) or len(content) % 4:
        what = f"a list of {len(content)}" if isinstance(content, list) else type(content).__name__
        raise ValueError(f"{path} holds {what}; expected a list of entries, four a group")
    groups = [
        _group(content[start : start + 4], start // 4, f"{path}, group {start // 4}")
        for start in range(0, len(content), 4)
    ]
    clusters = clusters_of_pictures([one.pictures for one in groups])
    return [replace(one, cluster=cluster) for one, cluster in zip(groups, clusters, strict=True)]


def _group(entries: Sequence[Any], number: int, where: str) -> Example:
    for entry in entries:
        if not (isinstance(entry, list) and len(entry) == 4 and all(isinstance(x, str) and x for x in entry)):
            raise ValueError(
                f"{where} has the entry {shortly(entry)}; expected [question, picture, answer, kind]"
            )
    questions, pictures, given, kinds = zip(*entries, strict=True)
    kind = NAMES.get(kinds[0])
    if kind is None or len(set(kinds)) > 1:
        raise ValueError(f"{where} has kinds {sorted(set(kinds))}; expected one of {', '.join(NAMES)}")
    if questions[::2] != questions[1::2] or pictures[:2] != pictures[2:] or pictures[0] == pictures[1]:
        raise ValueError(
            f"{where} is not two questions of two pictures, in the order (0, 0), (0, 1), (1, 0), (1, 1); copy the "
            "file again"
        )
    answers, instruction = KINDS[kind]
    if given not in ((*answers, *answers[::-1]), (*answers[::-1], *answers)):
        raise ValueError(
            f"{where} has the answers {', '.join(given)}; expected {answers[0]} and {answers[1]} once for each "
            "question and each picture"
        )
    for name in pictures[:2]:
        picture_name(name, where)
    captions = [_answered(q, instruction, a) for q in questions[::2] for a in answers]
    right_ones = [answers.index(answer) for answer in given]
    keeps = {"answers": [right_ones[:2], right_ones[2:]]}
    return Example(str(number), captions, pictures[:2], [kind], keeps=keeps)


def _answered(question: str, instruction: str, answer: str) -> Answered:
    """The question with an answer; the sentence has no instruction, the question of a model that writes has."""
    found = Answered(question.removesuffix(instruction).rstrip(), answer)
    found.question = question
    return found


def right(records: Sequence[Record]) -> Outcomes:
    """Shares of a group, 0-1: the published scores are their means. Ties are wrong.

    Returns:
        "accuracy": of the 4 answers; "question": of the 2 questions, answered rightly for both pictures; "image": of
        the 2 pictures, both questions answered rightly; "group": all 4.
    """
    match = as_array(records).reshape(-1, 2, 2, 2)  # group, question, answer, picture
    answers = np.array([record["answers"] for record in records])[:, :, None, :]
    true = np.take_along_axis(match, answers, 2)[:, :, 0]
    false = np.take_along_axis(match, 1 - answers, 2)[:, :, 0]
    answered = true > false  # group, question, picture
    return {
        "accuracy": answered.mean((1, 2)),
        "question": answered.all(2).mean(1),
        "image": answered.all(1).mean(1),
        "group": answered.all((1, 2)).astype(float),
    }


def chance(record: Record) -> dict[str, float]:
    """1/2 for an answer, 1/4 for two, 1/16 for four."""
    return CHANCE


NATURALBENCH = Benchmark(
    name="naturalbench",
    asks="Which answer is right, for two questions whose answers differ between two pictures?",
    paper="arXiv:2410.14669",
    licence="Apache-2.0; the pictures are Flickr30k's and DOCCI's, under their own licences",
    size="1,900 groups of 2 questions and 2 pictures (7,600 answers) on the Hub; its test set file has 950 (3,800)",
    ties="wrong",
    chance_is="accuracy 1/2, question 1/4, image 1/4, group 1/16",
    obtain=OBTAIN,
    open=open_naturalbench,
    right=right,
    chance=chance,
    needs=frozenset({"match", "answers"}),
    cautions=(
        "published numbers of models that write are of the text they wrote; here the better matched of two answers "
        "counts, which a model that is bad at following instructions gains by",
        "a scorer of captions is asked a question with its answer as a sentence, which few were trained on; for "
        "multiple choice the answer is a letter: read the row yes_no",
        "always the same answer, or the same for both pictures, gets 50 % of accuracy and nothing of question",
        "question, image and accuracy are shares of a group (0, 1/2, 1 or quarters), not one outcome",
    ),
    versions={"f2c601101677cfbc": "naturalbench_test_set.json, 950 groups (843 yes_no, 107 mcq)"},
)
