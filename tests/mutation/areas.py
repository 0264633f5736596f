"""Which files are mutated, and which tests are run against their mutants."""

from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNIT = "tests/unit"
LOSSES = (
    f"{UNIT}/losses",
    f"{UNIT}/extremes/test_attention_losses.py",
    "tests/parity/test_released_losses.py",
)
MEASURES = (
    f"{UNIT}/test_statistics.py",
    f"{UNIT}/test_statistics_by_formula.py",
    f"{UNIT}/extremes/test_few_outcomes.py",
    *(
        f"{UNIT}/benchmarks/test_{name}.py"
        for name in (
            *(
                "calibration",
                "calibration_by_hand",
                "comparing",
                "comparing_by_formula",
                "controls",
                "retrieval",
            ),
            *("retrieval_work", "tables", "tables_drawn", "winoground"),
        )
    ),
    f"{UNIT}/training/test_dev.py",
)

AREAS: dict[tuple[str, ...], tuple[str, ...]] = {
    tuple(f"losses/{path.name}" for path in sorted((ROOT / "src/cacr/losses").glob("[!_]*.py"))): LOSSES,
    (
        "statistics.py",
        *(
            f"benchmarks/{name}.py"
            for name in ("outcomes", "comparing", "power", "calibration", "retrieval", "tables", "winoground")
        ),
        "data/ranks.py",
        "training/validation.py",
    ): MEASURES,
}
"""Files below src/cacr -> tests beside their own doctests."""
FILES = tuple(file for files in AREAS for file in files)


def tests_for(files: Sequence[str]) -> list[str]:
    """Paths of the tests of files of one area, doctests of the area's files included."""
    for known, tests in AREAS.items():
        if set(files) <= set(known):
            return [path for path in tests if (ROOT / path).exists()] + [f"src/cacr/{file}" for file in known]
    raise ValueError(f"{', '.join(files)} are of several areas; expected files of one")
