"""The pages on adding a loss, a model, a benchmark, a scorer and a store are followed to the letter, in one copy."""

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
BLOCK = re.compile(r"```python title=\"(\S+)\"\n(.*?)```", re.S)
"""A new file, or in place of what stands before a line of dashes what stands after it."""
STEP = re.compile(r"^\*\*(\d)\. ", re.M)
PAGES = sorted((ROOT / "docs").glob("add_a_*.md"))
SHARED = ("tests/unit/scorers/conftest.py", "tests/unit/regularizer/test_every_architecture.py")
PYTEST = ["pytest", "-q", "-rA", "-p", "no:cacheprovider", "--import-mode=importlib"]
TWICE = "import sys; from cacr.cli import main; sys.exit(main(sys.argv[1:]) or main(['benchmarks']))"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the package in which every page was followed."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("scorers", "benchmarks", "losses", "regions", "regularizer"):
        (root / "tests" / "unit" / folder).mkdir(parents=True)
    for name in SHARED:
        shutil.copyfile(ROOT / name, root / name)
    for page in PAGES:
        for where, text in BLOCK.findall(page.read_text()):
            file = root / where
            before, dashes, after = text.partition("---\n")
            if not dashes:
                assert not file.exists(), f"{page.name} would write over {where}"
                file.write_text(text)
            else:
                assert file.read_text().count(before) == 1, f"{page.name}: {where} has not once {before!r}"
                file.write_text(file.read_text().replace(before, after))
    return root


@pytest.fixture(scope="module")
def passed(copy):
    """What the tests that the pages name said, all in one process."""
    made = [where for page in PAGES for where in written(page)]
    return run(copy, "-m", *PYTEST, *made, SHARED[1], "-k", "not architecture or vipllava")


def written(page: Path) -> list[str]:
    """The test files that a page writes."""
    return [where for where, _ in BLOCK.findall(page.read_text()) if where.startswith("tests/")]


def run(root: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_followed_and_its_tests_pass(page, passed):
    assert len(PAGES) == 5
    if page.stem == "add_a_model":
        over_all = (ROOT / SHARED[1]).read_text().count('parametrize("name", TINY)')
        assert passed.count("[vipllava]") >= over_all > 2  # these tests are there already
        return
    (file,) = written(page)
    assert passed.count(f"PASSED {file}::") == (ROOT / page).read_text().count("\ndef test_")


def test_the_benchmark_that_was_added_is_known_to_the_commands(copy):
    (copy / "data" / "images").mkdir(parents=True)
    items = [{"image": f"{i}.png", "caption": "a", "foil": "b", "kind": "k"} for i in range(4)]
    (copy / "data" / "foils.json").write_text(json.dumps(items))
    for i in range(4):
        Image.new("RGB", (8, 8)).save(copy / "data" / "images" / f"{i}.png")
    said = run(copy, "-c", TWICE, "eval", "constant", "foils", "--data", "data", "--out", "runs/foils")
    assert re.search(r"all +accuracy +0\.0 \[.*\] +4 +50\.0", said)
    assert said.count("foils") > 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_it_takes_five_steps_at_most(page):
    steps = [int(number) for number in STEP.findall(page.read_text())]
    assert steps == list(range(1, len(steps) + 1)) and 0 < len(steps) <= 5
