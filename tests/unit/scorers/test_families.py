"""Every family that is listed can be opened by name from a saved folder, and scores through the command's own door."""

import importlib

import pytest

from cacr.scorers.opening import FAMILIES, GENERATIVE, TEXT_ONLY


@pytest.mark.parametrize(
    "where", sorted({w for s in (*FAMILIES.values(), GENERATIVE, TEXT_ONLY) for w in s.values()})
)
def test_every_class_that_is_listed_exists(where):
    module, name = where.split(":")
    assert callable(getattr(importlib.import_module(f"cacr.scorers.{module}"), name).from_pretrained)
