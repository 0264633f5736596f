"""transformers' own tests over our models: ``python -m tests.common_models [--tests FOLDER]`` (``make common``).

Downloads the sdist of the installed version into build/common_models, unpacks its tests there, runs them over every
class of ours, and writes docs/trust/common_model_tests.md. Exits with 1 if a test fails that ``exceptions.toml`` does
not name, one that it names passes, or fewer pass than the page said.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.common_models.outcomes import Outcomes, exceptions, page, passed_before
from tests.common_models.theirs import MARK, PLACE, VERSION, downloaded, whole

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "trust" / "common_model_tests.md"
BUILD = ROOT / "build" / "common_models"
LACKING = (
    " The sdist lacks the folders below `tests`: in place of the library's tests of exporters, one of ours, counted "
    "among the others, exports each class with `torch.export`; what its test of configurations sets is ours too; its "
    "tests of `generate` do not concern these models."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them, print what is wrong, write the page."""
    asked = argparse.ArgumentParser(
        prog="python -m tests.common_models", description=(__doc__ or "").split("\n")[0]
    )
    asked.add_argument(
        "--tests", type=Path, help="the folder tests of a checkout of transformers, instead of downloading"
    )
    asked.add_argument("--jobs", default="2", help="processes (default: 2)")
    found = asked.parse_args(arguments)
    folder = found.tests or downloaded(BUILD)
    if not (folder / MARK).is_file():
        raise FileNotFoundError(
            f"no {MARK} in {folder}; expected the folder tests of a checkout of transformers"
        )
    os.environ[PLACE] = str(folder.resolve())
    outcomes = run(found.jobs)
    excepted = exceptions()
    wrong = outcomes.wrong(excepted)
    before = passed_before(PAGE.read_text(encoding="utf-8")) if PAGE.is_file() else 0
    if len(outcomes.passed) < before:  # the library skips what it takes for missing, for instance SDPA
        wrong.append(
            f"{len(outcomes.passed)} passed, {before} before: see what is new among the skipped in {PAGE}"
        )
    PAGE.write_text(page(outcomes, excepted, VERSION, "" if whole() else LACKING), encoding="utf-8")
    print("\n".join(wrong))
    print(
        f"{len(outcomes.passed)} passed, {len(outcomes.skipped)} skipped by the library, {len(excepted)} excepted, "
        f"{len(wrong)} wrong. See {PAGE}"
    )
    return int(bool(wrong))


def run(jobs: str) -> Outcomes:
    """Every test over every class of ours, the slow ones too; with settings of the library's, not of this project."""
    with tempfile.TemporaryDirectory() as place:
        junit = Path(place, "junit.xml")
        settings = [
            "-o",
            "addopts=",
            "-o",
            "filterwarnings=default",
            "--import-mode=importlib",
            "--disable-warnings",
        ]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--tb=short",
            "-n",
            jobs,
            *settings,
            f"--junitxml={junit}",
        ]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "RUN_SLOW": "1"}
        done = subprocess.run(
            [*command, str(Path(__file__).with_name("test_common_models.py"))], cwd=ROOT, env=environment
        )
        if done.returncode not in (0, 1):
            raise RuntimeError(
                f"pytest ended with {done.returncode}: nothing was measured; see what it printed"
            )
        return Outcomes.read(junit)


if __name__ == "__main__":
    raise SystemExit(main())
