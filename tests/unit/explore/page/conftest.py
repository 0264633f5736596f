"""Pages opened in a real Chromium, offline: nothing is asked of a network and nothing is complained about."""

import os
import shutil
import subprocess

import pytest

from cacr.explore.page import Item, write_page

NAMES = ("chromium", "chromium-browser", "google-chrome")
INFLATED = "() => loadItem(STATE.item).then(() => true)"
INSTALL = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]


def find_chromium():
    """The path of a Chromium: named by CHROMIUM, on the path, or installed by apt-get where this may be done."""
    if named := os.environ.get("CHROMIUM"):
        return named
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return found
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        print("no Chromium here; installing it: " + " ".join(INSTALL))
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        try:
            subprocess.run(INSTALL, timeout=300, check=True, capture_output=True, env=quiet)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"that failed: {error}")
    return next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason='needs playwright: pip install "cacr[test]"'
    )
    found = find_chromium()
    if not found:
        pytest.skip("no Chromium: install it (apt-get install chromium), or set CHROMIUM to its path")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def opened(browser, tmp_path):
    """opened(items, where="#…", ...) -> the page in Chromium, its numbers inflated.

    Whatever it asks of a network and every complaint in the console fails the test.
    """
    contexts, complaints, asked = [], [], []

    def open_page(items, where="", width=1280, height=900, scheme="light", path=None, **written):
        items = [items] if isinstance(items, Item) else items
        path = path or write_page(items, tmp_path / f"page-{len(contexts)}.html", **written).path
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{path.as_uri()}{where}")
        page.evaluate(INFLATED)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert len({url.split("#")[0] for url in asked if url.startswith("file:")}) <= len(contexts)


@pytest.fixture
def touched(browser, tmp_path):
    """Open a page of items on a phone that knows touch alone; its numbers are there."""
    contexts = []

    def open_items(items):
        path = write_page(items, tmp_path / "page.html").path
        contexts.append(
            browser.new_context(has_touch=True, viewport={"width": 390, "height": 800}, offline=True)
        )
        page = contexts[-1].new_page()
        page.goto(path.as_uri())
        page.evaluate("() => loadItem(0).then(() => true)")
        return page

    yield open_items
    for context in contexts:
        context.close()
