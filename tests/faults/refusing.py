"""In a victim whose process has `refusing.c` preloaded: begin to count and refuse."""

from __future__ import annotations

import ctypes
import os


def refuse(
    folder: str, parts: int, counted: int, after: int, error: int, single: bool, counters: str
) -> None:
    """Refuse what is written below a folder; see `refusing.c` for the arguments.

    Raises:
        RuntimeError: The library is not preloaded, or the file of its counters cannot be made.
    """
    call = getattr(ctypes.CDLL(None), "refuse_below", None)
    if call is None:
        raise RuntimeError("refusing.c is not preloaded")
    call.argtypes = [
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_char_p,
    ]
    if call(
        os.fsencode(os.path.realpath(folder)),
        parts,
        counted,
        after,
        error,
        int(single),
        os.fsencode(counters),
    ):
        raise RuntimeError(f"{counters} cannot be made")
