"""Exit codes of the command line."""

from __future__ import annotations

from cacr._stopping import INTERRUPTED, RESUMABLE

DONE, MISTAKE, MISUSE, DIFFERS = range(4)

EXIT_CODES = {
    DONE: "done",
    MISTAKE: "it could not be done: a sentence says why",
    MISUSE: "no such command or option, or a value of another type",
    DIFFERS: "cacr repeat: not the same as then",
    RESUMABLE: "told to stop (SIGTERM): give the command again, with --resume if it has that",
    INTERRUPTED: "stopped by Ctrl-C",
}
"""Code -> what it says."""
