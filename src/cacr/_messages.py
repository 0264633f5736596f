"""Pieces of sentences for a user: an unknown name, a value, the error of a library."""

from collections.abc import Iterable
from difflib import get_close_matches
from reprlib import Repr

MOST = 60
"""Names that a sentence lists, and characters of a value that it shows."""
_SHORT = Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = MOST


def shortly(value: object) -> str:
    """A value as a sentence shows it, short however long or deeply nested the value is.

    Examples:
        >>> shortly([[[[[["deep"]]]]]])
        '[[[[...]]]]'
    """
    return _SHORT.repr(value)


def first_line(error: BaseException) -> str:
    r"""What an error says first; its kind where it says nothing.

    Examples:
        >>> first_line(ValueError("  no header\nat byte 0"))
        'no header'
    """
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def nearest(given: object, known: Iterable[str]) -> str | None:
    """The known name that is most like the one given, if one is."""
    close = get_close_matches(given, known, n=1) if isinstance(given, str) and len(given) <= MOST else []
    return close[0] if close else None


def unknown(what: str, given: object, known: Iterable[str]) -> str:
    """A sentence that names what was given, the closest known name, and all known ones.

    Examples:
        >>> unknown("loss", "carc", ["cacr", "none"])
        "unknown loss 'carc'. Did you mean 'cacr'? Known: cacr, none."
    """
    known = [str(name) for name in known]
    near = nearest(given, known)
    hint = "" if near is None else f" Did you mean {near!r}?"
    listed = ", ".join(known) if len(known) <= MOST else f"{', '.join(known[:MOST])}, … ({len(known)} in all)"
    return f"unknown {what} {shortly(given)}.{hint} Known: {listed}."
