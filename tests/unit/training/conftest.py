"""The smallest run that is like a large one."""

import pytest

from cacr.recipes import recipe_path
from cacr.training import TrainConfig


@pytest.fixture
def config(tmp_path):
    return TrainConfig.from_toml(
        recipe_path("scenes"),
        out=tmp_path / "run",
        steps=6,
        warmup=1,
        batch=2,
        candidates=5,
        negatives=2,
        scenes=16,
        log_every=1,
        save_every=2,
    )
