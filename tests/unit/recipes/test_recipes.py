"""A recipe is found by its path or by its name, and a mistake in either is named."""

import pytest

from cacr.cli import main
from cacr.recipes import recipe_names, recipe_path


def test_a_file_comes_before_a_packaged_recipe_and_a_path_into_the_sources_means_the_packaged_one(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    packaged = recipe_path("scenes")
    assert packaged.is_file() and packaged.stem in recipe_names()
    assert recipe_path("recipes/scenes.toml") == packaged  # as the documentation writes it
    (tmp_path / "scenes").write_text("steps = 3\n")
    assert recipe_path("scenes").resolve() == tmp_path / "scenes"


def test_a_file_that_is_not_there_is_named_as_a_file_and_a_name_is_matched(tmp_path, capsys):
    with pytest.raises(
        FileNotFoundError, match="unknown recipe 'scene'. Did you mean 'scenes'.* path of a .toml"
    ):
        recipe_path("scene")
    assert recipe_path(str(tmp_path / "my.toml")) == tmp_path / "my.toml"
    assert main(["train", str(tmp_path / "my.toml"), "--out", str(tmp_path / "run")]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert f"no recipe at {tmp_path / 'my.toml'}" in told and "unknown recipe" not in told
