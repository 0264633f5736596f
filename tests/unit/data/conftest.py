"""Small stores of features for the caption sets of these tests."""

import pytest
import torch

from cacr.data.entries import Entry
from cacr.regions import Regions, write_features


@pytest.fixture
def features(tmp_path):
    """Writes a features file for pictures of these names and returns its path; the value is the place in the list."""

    def write(*names, at="features.safetensors"):
        path = tmp_path / at
        write_features(
            path,
            {
                name: Regions.from_pixels(
                    torch.full((2, 5), float(place)), torch.tensor([[0.0, 0, 9, 9]] * 2), (40, 30)
                )
                for place, name in enumerate(names)
            },
        )
        return path

    return write


@pytest.fixture
def entries():
    """Entries of one caption each, from names of pictures."""
    return lambda *names: [Entry(name, [f"a picture of {name}"]) for name in names]
