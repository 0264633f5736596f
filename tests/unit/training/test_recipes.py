"""The packaged recipes say what the paper and its release say, and where each value comes from."""

import tomllib

import pytest

from cacr.recipes import recipe_names, recipe_path
from cacr.training import TrainConfig

PAPER = ("cacr-base", "cacr-large", "iais-base", "uniter-base", "uniter-large")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_read(name):
    TrainConfig.from_toml(recipe_path(name))


def test_a_recipe_is_found_by_its_path_in_the_repository_too():
    assert recipe_path("recipes/cacr-base.toml") == recipe_path("cacr-base")


@pytest.mark.parametrize("name", PAPER)
def test_each_value_of_a_recipe_of_the_paper_says_where_it_comes_from(name):
    for line in recipe_path(name).read_text().splitlines():
        if line == "[sweep]" or line.startswith("# Only for"):
            break
        if " = " in line and not line.startswith("#") and not line.startswith(("loss", "split")):
            assert "  # " in line, line


def test_they_hold_the_papers_numbers():
    base = TrainConfig.from_toml(recipe_path("cacr-base"))
    assert (base.loss, base.batch, base.candidates, base.negatives, base.margin) == ("cacr", 4, 399, 31, 0.2)
    assert (base.lr, base.warmup, base.beta2, base.weight_decay, base.clip) == (5e-5, 10, 0.98, 0.01, 2.0)
    assert (base.steps, base.schedule, base.rate, base.seed, base.save_every) == (5000, "exp", 5.0, 42, 500)
    assert (base.hidden, base.layers, base.heads, base.vocabulary) == (768, 12, 12, 28996)
    iais = TrainConfig.from_toml(recipe_path("iais-base"))
    assert (iais.loss, iais.batch, iais.warmup) == ("iais-singular", 8, 500)
    large = TrainConfig.from_toml(recipe_path("cacr-large"))
    assert (large.freeze_layers, large.batch * large.accumulate, large.lr, large.warmup) == (
        12,
        128,
        3e-5,
        100,
    )
    assert (large.hidden, large.layers, large.heads) == (1024, 24, 16)


@pytest.mark.parametrize("name", PAPER)
def test_no_flaw_of_the_releases_is_repeated_unasked(name):
    recipe = TrainConfig.from_toml(recipe_path(name))
    assert not recipe.reproduce_release_weight
    assert not recipe.reproduce_release_indexing


def test_only_the_loss_differs_between_plain_uniter_and_cacr():
    ours, plain = (
        {k: v for k, v in tomllib.loads(recipe_path(n).read_text()).items() if k != "sweep"}
        for n in ("cacr-base", "uniter-base")
    )
    different = {name for name in ours.keys() | plain.keys() if ours.get(name) != plain.get(name)}
    assert different == {
        "loss",
        "weight",
        "schedule",
        "rate",
        "layer",
        "reproduce_release_weight",
        "reproduce_release_indexing",
    }
