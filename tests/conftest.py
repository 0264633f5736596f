"""Fixtures that more than one tier uses: seeds, stored numbers of the released code, the reference data."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from cacr.attention import AttentionBlocks

DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def data() -> Path:
    """Small stored files that the tests read."""
    return DATA


@pytest.fixture
def reference_data() -> Path:
    """The folder of reference data named by CACR_REFERENCE_DATA; the test is skipped without it."""
    folder = os.environ.get("CACR_REFERENCE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set CACR_REFERENCE_DATA to the folder of the reference data to run this test")
    return Path(folder)


def load(name: str) -> dict[str, torch.Tensor]:
    """Arrays of tests/data/NAME.npz as tensors."""
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as arrays:
        return {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays.files}


@pytest.fixture
def released() -> dict[str, torch.Tensor]:
    """The released code's attention, losses and gradients (float64)."""
    return load("attention_losses")


def random_query_key(batch=2, heads=3, text=5, regions=7, width=4, dtype=torch.float64, seed=0):
    """Queries, keys and masks with padding, [CLS]-like positions that count as neither, and mixed order."""
    g = torch.Generator().manual_seed(seed)
    query, key = (
        torch.randn(batch, heads, 1 + text + regions, width, generator=g, dtype=torch.float64) for _ in "qk"
    )
    text_mask = torch.zeros(batch, 1 + text + regions, dtype=torch.bool)
    region_mask = text_mask.clone()
    for example in range(batch):
        text_mask[example, 1 : 1 + text - example % 3] = True
        region_mask[example, 1 + text : 1 + text + regions - example % 4] = True
    return query.to(dtype), key.to(dtype), text_mask, region_mask


@pytest.fixture
def blocks() -> AttentionBlocks:
    """Probabilities of two examples of different lengths, float64, mean over heads."""
    return AttentionBlocks.from_query_key(*random_query_key())


@pytest.fixture
def scores() -> AttentionBlocks:
    """Scaled scores of the same, one matrix a head."""
    return AttentionBlocks.from_query_key(*random_query_key(), space="scores", heads="each")
