"""The pages on adding a benchmark and a scorer are followed to the letter, in a copy of the package."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```python (file|edit)=(\S+)\n(.*?)```", re.S)
STEP = re.compile(r"^\*\*(\d)\. ", re.M)


@pytest.fixture
def copy(tmp_path):
    """A copy of the package and of what its unit tests share."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=ignored)
    for folder in ("scorers", "benchmarks"):
        (tmp_path / "tests" / "unit" / folder).mkdir(parents=True)
    shared = "tests/unit/scorers/conftest.py"
    shutil.copyfile(ROOT / shared, tmp_path / shared)
    return tmp_path


def follow(page: str, root: Path) -> list[str]:
    """Do what a page says; the test files that it made."""
    tests = []
    for kind, where, text in BLOCK.findall((ROOT / "docs" / page).read_text()):
        file = root / where
        if kind == "file":
            assert not file.exists(), f"{page} would write over {where}"
            file.write_text(text)
            tests += [where] if where.startswith("tests/") else []
        else:
            before, after = text.split("---\n")
            assert file.read_text().count(before) == 1, f"{page}: {where} has not once {before!r}"
            file.write_text(file.read_text().replace(before, after))
    return tests


def run(root: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_benchmark_is_added_by_its_page(copy):
    tests = follow("add_a_benchmark.md", copy)
    assert len(tests) == 1
    where = run(copy, "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *tests)
    assert "3 passed" in where
    (copy / "data" / "images").mkdir(parents=True)
    items = [{"image": f"{i}.png", "caption": "a", "foil": "b", "kind": "k"} for i in range(4)]
    (copy / "data" / "foils.json").write_text(json.dumps(items))
    for i in range(4):
        Image.new("RGB", (8, 8)).save(copy / "data" / "images" / f"{i}.png")
    said = run(copy, "cacr", "eval", "constant", "foils", "--data", "data", "--out", "runs/foils")
    assert re.search(r"all +accuracy +0\.0 \[.*\] +4 +50\.0", said)
    assert "foils" in run(copy, "cacr", "benchmarks")


def test_a_scorer_is_added_by_its_page(copy):
    tests = follow("add_a_scorer.md", copy)
    assert "1 passed" in run(
        copy, "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *tests
    )


@pytest.mark.parametrize("page", ["add_a_benchmark.md", "add_a_scorer.md"])
def test_it_takes_five_steps_at_most(page):
    steps = [int(number) for number in STEP.findall((ROOT / "docs" / page).read_text())]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) <= 5
