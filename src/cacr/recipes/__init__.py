"""Recipes by name: ``cacr train scenes`` reads scenes.toml here. Each value says where it comes from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from cacr._messages import unknown


def recipe_path(name: str) -> Path:
    """The file of a recipe: a path that exists, or the name of a packaged one.

    Raises:
        FileNotFoundError: Neither.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        return path
    packaged = Path(str(files(__package__) / f"{name}.toml"))
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
