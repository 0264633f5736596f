"""``cacr push``."""

from __future__ import annotations

from pathlib import Path

from cacr.cli.show import finish


def push(model: Path, repo: str, /, *, private: bool = False, update: bool = False) -> int:
    """Put a trained model on the hub, with a card that holds its recipe, its scores with intervals, and the citation.

    Args:
        model: RUN/model as made by `cacr train`. Evaluations that `cacr eval` left in it are in the card, and go along
            with their records, which hold the command that was typed.
        repo: NAME or OWNER/NAME.
        private: Only its owner sees it.
        update: Upload into a repository that exists.
    """
    from cacr.publishing import publish

    address = publish(model, repo, private=private, update=update)
    finish(f"The model is at {address}", {}, {}, address=address)
    return 0
