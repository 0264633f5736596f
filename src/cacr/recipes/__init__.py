"""Recipes by name: ``cacr train scenes`` reads scenes.toml here. Each value says where it comes from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from cacr._messages import unknown


def recipe_path(name: str) -> Path:
    """The file of a recipe: a path that exists, or a packaged one by name: "cacr-base", "recipes/cacr-base.toml".

    Raises:
        FileNotFoundError: Neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    packaged = Path(str(files(__package__) / f"{path.stem if path.parent.name == 'recipes' else name}.toml"))
    if path.suffix == ".toml" and not packaged.is_file():
        return path
    if not packaged.is_file():
        raise FileNotFoundError(f"{unknown('recipe', name, recipe_names())} Or give the path of a .toml file")
    return packaged


def recipe_names() -> list[str]:
    """The packaged recipes."""
    return sorted(
        file.name.removesuffix(".toml")
        for file in files(__package__).iterdir()
        if file.name.endswith(".toml")
    )
