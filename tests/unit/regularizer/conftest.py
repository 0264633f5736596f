"""Models that attach is tried on."""

import pytest

from cacr.tiny_models import TINY


@pytest.fixture
def tiny():
    tiny = TINY["visual_bert"]()
    tiny.model.train()
    return tiny


@pytest.fixture
def llava():
    tiny = TINY["llava"]()
    tiny.model.train()
    return tiny
