"""The small files kept with the tests are copies of the reference data."""

import pytest


@pytest.mark.parametrize(
    "name",
    [
        "attention_losses.npz",
        "forward.npz",
        "hard_negatives.npz",
        "schedules.json",
        "uniter_tiny.json",
        "uniter_tiny.pt",
        "uniter_tiny.safetensors",
    ],
)
def test_the_copy_is_exact(reference_data, data, name):
    assert (data / name).read_bytes() == (reference_data / "golden" / name).read_bytes()
