"""What is given away: a wheel that runs alone, dependencies that are listed, workflows that call what there is."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from tests.dependencies import PAGE, WHY, asked_for, unread

import cacr

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The wheel, unpacked: what an installation puts beside other packages."""
    place = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", build, place], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(place / done.stdout.split()[-1]) as wheel:
        wheel.extractall(place / "site")
    return place / "site"


def test_the_wheel_holds_all_that_the_package_reads_and_nothing_else(unpacked):
    inside = {path.relative_to(unpacked) for path in (unpacked / "cacr").rglob("*") if path.is_file()}
    tracked = subprocess.run(["git", "ls-files", "src/cacr"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode == 0:  # not in an unpacked sdist
        assert inside == {Path(name).relative_to("src") for name in tracked.stdout.split()}
    assert Path("cacr/py.typed") in inside
    assert {path.name for path in unpacked.iterdir()} == {"cacr", f"cacr-{cacr.__version__}.dist-info"}


def test_the_wheel_runs_outside_of_the_repository(unpacked, tmp_path):
    alone = os.environ | {"PYTHONPATH": str(unpacked), "OMP_NUM_THREADS": "1"}
    says = (
        "import cacr, sys; from cacr.cli import main; print(cacr.__file__, file=sys.stderr); sys.exit(main())"
    )
    run = ["eval", "scenes-start", "scenes", "--n", "2", "--out", "run"]
    done = subprocess.run(
        [sys.executable, "-c", says, *run], cwd=tmp_path, env=alone, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(unpacked) in done.stderr and "relation" in done.stdout
    assert (tmp_path / "run" / "scenes.jsonl").is_file()


def test_every_dependency_is_listed_with_its_licence_and_its_reason():
    rows = re.findall(
        r"^\| (\*\*)?([\w.-]+)(?:\*\*)? \| [^|]+ \| [\d.]+ \| ([^|]+) \| ([^|]*) \|$", PAGE.read_text(), re.M
    )
    assert {name for bold, name, *_ in rows if bold} == asked_for() == WHY.keys()
    for bold, name, licence, why in rows:
        assert not unread(licence), f"{name}: {licence}"
        assert not bold or why.strip() == WHY[name]


def test_the_workflows_call_what_there_is_on_the_pythons_that_are_promised():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    pythons = set()
    for file in WORKFLOWS:
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            pythons |= set(job.get("strategy", {}).get("matrix", {}).get("python", ()))
            called = [
                one for step in job["steps"] for one in re.findall(r"make ([a-z-]+)", step.get("run", ""))
            ]
            assert set(called) <= targets, file.name
    promised = {one.rsplit(" ", 1)[1] for one in PROJECT["classifiers"] if "Python :: 3." in one}
    assert pythons == promised and f">={min(promised)}" == PROJECT["requires-python"]
