"""The pictures of docs/architecture.md are those of the imports, and what rooms hand over is there."""

import importlib

import pytest
from tests.rooms import IMAGES, WAY, drawn, imports, pictures


@pytest.mark.parametrize("name", ["rooms.svg", "way.svg"])
def test_a_picture_has_the_arrows_of_now(name):
    """Otherwise: python -m tests.rooms."""
    assert drawn(IMAGES / name) == set(pictures()[name])


def test_what_is_handed_over_is_given_by_the_one_room_and_imported_by_the_other():
    rooms = imports()
    for (start, end), name in WAY.items():
        assert rooms.has_edge(end, start), f"{end} imports nothing of {start}"
        given = [f"cacr.{start}", f"cacr.{start}.loading", f"cacr.{start}.{start}"]
        assert any(hasattr(_module(one), name) for one in given), f"{start} has no {name}"


def _module(name):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None
