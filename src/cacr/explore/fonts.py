"""Letters of every script: fonts that are installed stand in where the usual one lacks a character.

matplotlib looks for each character in a list of fonts. The list is made here: the user's own (DejaVu Sans, if nothing
was chosen), then of those below the ones that a text needs. Where none has a character, one sentence says what to
install, in place of a warning of matplotlib for each.
"""

from __future__ import annotations

import logging
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager, get_font
from matplotlib.text import Text

logger = logging.getLogger(__name__)
SUBSTITUTES = (
    "DejaVu Sans",
    *(f"Noto Sans CJK {place}" for place in ("SC", "JP", "KR", "TC", "HK")),
    *(f"Noto Sans {place}" for place in ("SC", "JP", "KR", "TC", "HK")),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback"),
    *("PingFang SC", "Hiragino Sans GB", "Heiti TC", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("Microsoft YaHei", "Yu Gothic", "MS Gothic", "Malgun Gothic", "Nirmala UI"),
    *(
        "Noto Emoji",
        "Symbola",
        "Segoe UI Emoji",
        "Segoe UI Symbol",
        "Noto Sans Symbols",
        "Noto Sans Symbols 2",
    ),
)
"""Looked for in this order; then any other "Noto Sans", which has a font for each script."""
EAST_ASIA = (
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "KATAKANA-HIRAGANA",
    "HANGUL",
    "BOPOMOFO",
    "IDEOGRAPHIC",
    "FULLWIDTH",
)
NO_LETTER = frozenset("\n\r\t\u200b\u200c\u200d\ufe0e\ufe0f")
"""Characters that nothing is drawn for."""
SHOWN = 10
"""Missing characters that are named."""
_said: set[str] = set()


def font_of(text: str, size: float | None = None, bold: bool = False) -> FontProperties:
    """The usual font, and those that have the characters of a text that it lacks."""
    usual = FontProperties(size=size, weight="bold" if bold else "normal")
    more = substitutes(text)
    if more:
        usual.set_family([*usual.get_family(), *more])
    return usual


def substitutes(text: Iterable[str]) -> list[str]:
    """Installed fonts for the characters that the usual font lacks, in order; empty where it lacks none."""
    missing = lacking(text)
    found = []
    for name in _candidates() if missing else ():
        had = {one for one in missing if ord(one) in _letters(name)}
        if had:
            found.append(name)
            missing -= had
        if not missing:
            break
    return found


def unreadable(text: Iterable[str]) -> set[str]:
    """The characters that no installed font has."""
    missing = lacking(text)
    for name in _candidates() if missing else ():
        missing = {one for one in missing if ord(one) not in _letters(name)}
    return missing


def lacking(text: Iterable[str]) -> set[str]:
    """The characters that the usual font does not have."""
    characters = set(text) - NO_LETTER
    if all(one.isascii() for one in characters):
        return set()
    have = get_font(findfont(FontProperties())).get_charmap()
    return {one for one in characters if ord(one) not in have}


@contextmanager
def every_script(figure: Figure) -> Iterator[None]:
    """Draw a figure with fonts for all its characters; one sentence in the log names those that have none."""
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    for text in texts:
        if more := substitutes(text.get_text()):
            families = text.get_fontfamily()
            text.set_fontfamily([*families, *(name for name in more if name not in families)])
    _say(unreadable("".join(text.get_text() for text in texts)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning)
        yield


def _say(missing: set[str]) -> None:
    new = sorted(missing - _said)
    _said.update(new)
    if new:
        shown = " ".join(one if one.isprintable() else f"U+{ord(one):04X}" for one in new[:SHOWN])
        more = f" and {len(new) - SHOWN} more" if len(new) > SHOWN else ""
        fonts = list(dict.fromkeys(_font_for(one) for one in new))
        logger.warning(
            "No installed font has %s%s: figures show boxes in their place. Install %s, for instance from "
            "fonts.google.com/noto, and draw again.",
            shown,
            more,
            ", ".join(fonts[:4]) + (" and others" if len(fonts) > 4 else ""),
        )


def _font_for(character: str) -> str:
    """A font to install for a character; their names follow those of the scripts in Unicode."""
    script = unicodedata.name(character, "").split(" ")[0].split("-")[0]
    if script in EAST_ASIA:
        return "Noto Sans CJK"
    if unicodedata.category(character) in ("So", "Sk"):
        return "Noto Emoji"
    if unicodedata.category(character)[0] in "LMN" and script:
        return f"Noto Sans {script.title()}"
    return "a font that has them"


@cache
def _candidates() -> tuple[str, ...]:
    """Names of installed fonts to look into; fonts that were installed since matplotlib's last look are found too."""
    known = {font.fname for font in fontManager.ttflist}
    for path in findSystemFonts():
        if path not in known:
            try:
                fontManager.addfont(path)
            except Exception:  # a font that FreeType cannot read; it gives many kinds of error
                logger.debug("%s cannot be read", path)
    names = {font.name for font in fontManager.ttflist}
    others = sorted(name for name in names if name.startswith("Noto Sans ") and name not in SUBSTITUTES)
    return tuple(name for name in (*SUBSTITUTES, *others) if name in names)


@cache
def _letters(name: str) -> frozenset[int]:
    """The characters of an installed font."""
    return frozenset(get_font(findfont(FontProperties(family=[name]))).get_charmap())
