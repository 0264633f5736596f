"""Fixtures of several rooms' unit tests."""

import warnings

import pytest
from tests.hub import FakeHub

from cacr.losses import carrying, comparing


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub on this machine, which is *the* hub meanwhile, and an empty cache."""
    # huggingface_hub sends large files in a way that its own client calls old
    warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)
    with FakeHub() as found:
        found.reached(monkeypatch, tmp_path / "cache")
        yield found


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of S_VV of a few rows and columns, into which no length divides."""
    monkeypatch.setattr(carrying, "ROWS", 2)
    monkeypatch.setattr(carrying, "COLUMNS", 2)
    monkeypatch.setattr(comparing, "ROWS", 2)
    monkeypatch.setattr(comparing, "ELEMENTS", 8)
    monkeypatch.setattr(comparing, "COMPARED", 5)
