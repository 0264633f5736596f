"""The docs tell the truth: their blocks run and print what they show, their commands exist, the site builds clean."""

import logging
import os
import re
import shlex
import subprocess
import sys
from pkgutil import resolve_name
from types import ModuleType

import pytest
from tests.journey.pages import DOCS, ROOT, follow, numbers_are_near, steps

from cacr.cli import parsed
from cacr.recipes import recipe_names

PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "examples").glob("*.ipynb"))]
ELSEWHERE = {"first_ten_minutes.md", "hub.md", "walkthrough.md"}
"""Pages with a test of their own, or with one below."""
WITH_PYTHON = [page for page in PAGES if page.name not in ELSEWHERE and any(steps(page))]
NEAR = {"rel": 0.02, "abs": 0.002}
"""How far numbers may be from those of the page, on another machine."""
COMMAND = re.compile(r"^(?:    |\$ )(cacr [^\n]*)$", re.MULTILINE)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to be in; what a page says once is not held against the next."""
    import matplotlib

    monkeypatch.setattr("cacr.losses.comparison._SAID", [])
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    yield tmp_path
    logging.getLogger("cacr").setLevel(logging.NOTSET)


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run_and_print_what_it_shows(page, place):
    """In the order of the page, each going on from the ones before."""
    for step, printed in follow(page, {}):
        if step.shown is not None:
            numbers_are_near(step, printed, **NEAR)


def test_the_walk_through_runs_and_teaches(place):
    names: dict[str, object] = {}
    followed = 0
    for step, printed in follow(DOCS / "walkthrough.md", names):
        followed += 1
        if "tuned" not in names:  # training ends in other digits on other machines
            numbers_are_near(step, printed, **NEAR)
    assert followed == 6
    match = names["tuned"].grid(names["example"].captions, names["pictures"])
    assert (match.diagonal() > match.flip(1).diagonal()).all()  # each caption fits its own picture better
    assert (place / "walkthrough.html").stat().st_size < 5e6


def commands(page):
    """Lines of a page that are whole commands: without …, $ or [."""
    for line in COMMAND.findall(page.read_text()):
        command = re.split(r"\s{2,}|, cacr | > ", line)[0]  # what it does stands after some space
        if "…" not in command and "$" not in command and "[" not in command:
            yield shlex.split(re.sub(r"\bRECIPE(\.toml)?", "scenes", command), comments=True)[1:]


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands(page))], ids=lambda page: page.stem)
def test_every_command_of_a_page_is_understood(page):
    for arguments in commands(page):
        if "--help" not in arguments:
            parsed(arguments)
        for recipe in re.findall(r"^(?:train|sweep) ([a-z-]+)(?: |$)", " ".join(arguments)):
            assert recipe in recipe_names(), f"{page.name}: {' '.join(arguments)}"


def test_every_link_leads_somewhere():
    for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            if not link.startswith("http"):
                assert (path.parent / link).exists(), f"{path.name}: {link}"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site, and what was said while it was built."""
    site = tmp_path_factory.mktemp("site")
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return site, subprocess.run(build, cwd=ROOT, env=quiet, capture_output=True, text=True)


def test_the_site_builds_without_a_warning(built):
    """Pages, anchors and the reference from the docstrings; nothing is asked of the network."""
    site, done = built
    assert done.returncode == 0, done.stderr
    page = (site / "reference" / "losses" / "index.html").read_text()
    assert "cacr.losses.cacr_loss" in page and "S_LV S_VV S_LVᵀ" in page
    for script in re.findall(r'(?:src|href)="(https?://[^"]+)"', page):
        assert "fonts" not in script and "cdn" not in script, script


@pytest.mark.parametrize("source", sorted((DOCS / "reference").glob("*.md")), ids=lambda source: source.stem)
def test_the_reference_shows_every_public_name_of_its_rooms(source, built):
    """A function is hidden behind a file of its name, and a constant without a docstring is left out."""
    site, _ = built
    page = site / "reference" / source.stem.removesuffix("index") / "index.html"
    shown = set(re.findall(r'<h[1-6] id="[^"]*\.(\w+)"', page.read_text()))
    for room in re.findall(r"^::: ([a-z_.]+)$", source.read_text(), re.MULTILINE):
        found = resolve_name(room)
        names = getattr(found, "__all__", ())
        public = {name for name in names if not isinstance(getattr(found, name), ModuleType)}
        assert public <= shown, f"{room}: {public - shown}"
