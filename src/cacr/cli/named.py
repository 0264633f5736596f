"""Models by the names that tables, pages and figures call them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path


def named_models(models: Sequence[str]) -> dict[str, str]:
    """Name -> model, of MODEL or NAME=MODEL. A model without a name is called like its run's folder.

    Raises:
        ValueError: No model, an empty name, or two models of one name.
    """
    if not models:
        raise ValueError("no model is given; expected a model folder, a name on the hub or scenes-start")
    found: dict[str, str] = {}
    for one in models:
        name, given, model = one.partition("=")
        if not given or Path(one).exists() or re.search(r"[/\\]", name):
            parts = [part for part in Path(one).parts if part not in ("model", "run", "/")]
            name, model = (parts[-1] if parts else one).replace(":", "-"), one
        if not name.strip() or not model:
            raise ValueError(f"{one!r} names no model; expected NAME=MODEL, for instance before=scenes-start")
        if name in found:
            raise ValueError(
                f"two models are called {name}; give them names: {name}-1={found[name]} {name}-2={model}"
            )
        found[name] = model
    return found
