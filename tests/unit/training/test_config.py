"""Recipes: every value is checked, and a mistake is answered with the name that was meant."""

from pathlib import Path

import pytest

from cacr.recipes import recipe_names, recipe_path
from cacr.training import TrainConfig


@pytest.mark.parametrize("name", recipe_names())
def test_every_packaged_recipe_is_valid(name):
    TrainConfig.from_toml(recipe_path(name))


def test_the_resolved_configuration_reads_back_the_same(tmp_path):
    config = TrainConfig.from_toml(
        recipe_path("scenes"), out=tmp_path / "läuft 🐢", split='a"b', checkpointing=True
    )
    (tmp_path / "config.toml").write_text(config.to_toml())
    assert TrainConfig.from_toml(tmp_path / "config.toml") == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wieght = 2.0", r"unknown option 'wieght'\. Did you mean 'weight'"),
        ("steps = 'many'", r"steps is 'many'; expected a value of type int"),
        ("steps = true", r"steps is True; expected a value of type int"),
        ("steps = ", "is not TOML"),
        ('loss = "carc"', r"unknown loss 'carc'\. Did you mean 'cacr'"),
        ('schedule = "expo"', r"unknown schedule 'expo'\. Did you mean 'exp'"),
        ("lr = 1" + "0" * 400, r"lr is 10+…?.*; expected a value of type float"),
        ("steps = 0", "steps is 0; expected 1 or more"),
        ("candidates = 3\nnegatives = 7", "negatives is 7 and candidates 3"),
    ],
)
def test_a_mistake_in_a_recipe_gets_a_sentence(tmp_path, text, message):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        TrainConfig.from_toml(tmp_path / "r.toml")


def test_a_whole_number_is_a_fraction_where_one_is_wanted(tmp_path):
    (tmp_path / "r.toml").write_text('weight = 2\nlr = 1\nout = "somewhere"')
    config = TrainConfig.from_toml(tmp_path / "r.toml")
    assert (type(config.weight), config.weight, type(config.lr)) == (float, 2.0, float)
    assert config.out == Path("somewhere")


def test_an_unknown_recipe_gets_a_sentence():
    with pytest.raises(FileNotFoundError, match=r"unknown recipe 'scene'\. Did you mean 'scenes'"):
        recipe_path("scene")


def test_defaults_are_the_papers():
    config = TrainConfig()
    assert (config.batch, config.negatives, config.lr, config.schedule) == (4, 31, 5e-5, "exp")
