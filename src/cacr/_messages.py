"""Sentences for unknown names. Here since every room has names that a user may mistype."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST = 60
"""Names that a sentence lists."""


def unknown(what: str, given: object, known: Iterable[str]) -> str:
    """A sentence that names what was given, the closest known name, and all known ones.

    Example:
        >>> unknown("loss", "carc", ["cacr", "none"])
        "unknown loss 'carc'. Did you mean 'cacr'? Known: cacr, none."
    """
    known = [str(name) for name in known]
    close = get_close_matches(str(given), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(known) if len(known) <= MOST else f"{', '.join(known[:MOST])}, … ({len(known)} in all)"
    return f"unknown {what} {given!r}.{hint} Known: {listed}."
