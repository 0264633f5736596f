"""Fixtures of several rooms' unit tests."""

import pytest

from cacr.losses import carrying, comparing


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of S_VV of a few rows and columns, into which no length divides."""
    monkeypatch.setattr(carrying, "ROWS", 2)
    monkeypatch.setattr(carrying, "COLUMNS", 2)
    monkeypatch.setattr(comparing, "ROWS", 2)
    monkeypatch.setattr(comparing, "ELEMENTS", 8)
    monkeypatch.setattr(comparing, "COMPARED", 5)
