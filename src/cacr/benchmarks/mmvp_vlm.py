"""MMVP-VLM: pairs of pictures that CLIP takes for the same; which of the two does each statement describe?

Paper: Tong et al. 2024, arXiv:2401.06209.  Data: huggingface.co/datasets/MMVP/MMVP_VLM, MIT.

Questions.csv                          Question ID, Type, Statement; ids 2k-1 and 2k are a pair
MLLM_VLM Images/Orientation/1.jpg      a folder for each of the 9 visual patterns, 15 pairs each

The published accuracy (github.com/tsb0601/MMVP, scripts/evaluate_vlm.py) is Winoground's image score with "a photo of "
before each statement: both statements prefer their own picture.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from cacr._messages import shortly
from cacr.benchmarks.benchmark import Benchmark, Options
from cacr.benchmarks.examples import Example, ExamplesWork, data_folder, examples_work, find_files, sentence
from cacr.benchmarks.outcomes import two_by_two, two_by_two_chance
from cacr.benchmarks.picture_tables import images_beside

FILES = {"test": "Questions.csv"}
IMAGES = "MLLM_VLM Images"
COLUMNS = ["Question ID", "Type", "Statement"]
NUMBER = re.compile("0*[1-9][0-9]{0,8}", re.ASCII)
PROMPT = "a photo of "
OBTAIN = (
    "Download it from the hub: `hf download MMVP/MMVP_VLM --repo-type dataset --local-dir mmvp-vlm` "
    f"(Questions.csv, and {IMAGES}/Orientation/1.jpg and its like), or give --data hf://datasets/MMVP/MMVP_VLM."
)


def open_mmvp_vlm(options: Options) -> ExamplesWork:
    """The pairs of the table; an example is named by its two ids, "1-2".

    Raises:
        FileNotFoundError: The table or pictures are not there.
        ValueError: A line that is broken or has no partner, named by its number.
    """
    folder = data_folder(options, "mmvp-vlm", OBTAIN)
    (file,) = find_files(folder, FILES, "mmvp-vlm", OBTAIN, options.split).values()
    found: dict[int, tuple[str, str]] = {}
    for where, number, kind, statement in _lines(file):
        if number in found:
            raise ValueError(f"{where}: the question {number} comes twice; download the table again")
        found[number] = (kind, statement)
    examples = []
    for first in sorted({number - (number + 1) % 2 for number in found}):
        pair = [found.get(number) for number in (first, first + 1)]
        if pair[0] is None or pair[1] is None or pair[0][0] != pair[1][0]:
            raise ValueError(
                f"{file}: the questions {first} and {first + 1} are no pair of one type; download the table again"
            )
        (kind, one), (_, other) = pair[0], pair[1]
        examples.append(
            Example(
                f"{first}-{first + 1}",
                [PROMPT + one, PROMPT + other],
                [f"{kind}/{first}.jpg", f"{kind}/{first + 1}.jpg"],
                tags=[kind.lower()],
            )
        )
    return examples_work(examples, options, [file], images_beside(file, [IMAGES], options))


def _lines(file: Path) -> list[tuple[str, int, str, str]]:
    """Place, id, type and statement of each line."""
    lines = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.reader(opened, strict=True)
            header = [name.strip() for name in next(rows, [])]
            if header != COLUMNS:
                raise ValueError(
                    f"{file} has the columns {header}; expected {COLUMNS}: is it MMVP-VLM's, not MMVP's?"
                )
            for row in rows:
                where = f"{file}, line {rows.line_num}"
                if not row:
                    continue
                if len(row) != len(COLUMNS) or not NUMBER.fullmatch(row[0].strip()):
                    raise ValueError(f"{where} is {shortly(row)}; expected an id, a type and a statement")
                kind = sentence(row[1], f"{where}: Type").strip()
                if "/" in kind or "\\" in kind or kind.startswith("."):
                    raise ValueError(
                        f"{where}: the type {shortly(kind)} is no name of a folder; download the table again"
                    )
                lines.append((where, int(row[0]), kind, sentence(row[2], f"{where}: Statement").strip()))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"{file} is not a comma-separated UTF-8 table: {error}; download it again"
        ) from error
    return lines


MMVP_VLM = Benchmark(
    name="mmvp-vlm",
    asks="Which of two pictures that CLIP takes for the same does each statement describe?",
    paper="arXiv:2401.06209",
    licence="MIT",
    size="135 pairs: 9 visual patterns with 15 each",
    ties="wrong",
    chance_is="text 1/4, image 1/4, group 1/6, group match 1/2",
    obtain=OBTAIN,
    open=open_mmvp_vlm,
    right=two_by_two,
    kind="two by two",
    chance=two_by_two_chance,
    cautions=(
        "The published accuracy is the metric image; text, group and group match are beside it as for Winoground.",
        "135 pairs, 15 a pattern: one pair is 0.7 points of the whole and 6.7 of a pattern.",
        'Each statement is asked with "a photo of " before it, as in the release.',
        "The pairs were chosen because OpenAI's CLIP takes them for the same: it is below other models by design.",
        "Two pairs of MMVP, much of which is here, are reported wrong (github.com/tsb0601/MMVP, issues "
        "14 and 30: questions 99/100 and 279/280). Of this benchmark itself no error is documented: none is corrected.",
        "Picture 149 and the table were replaced on the hub in January 2024: older copies differ.",
    ),
)
