"""How a command speaks: to a person or to a machine, and how much. Light, since ``cacr --help`` imports it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console

console = Console()
"""Results; with ``--json`` standard output is the document's alone, and this one writes beside it."""
beside = Console(stderr=True)
"""What is no result: progress, errors, notes of a command whose results are piped."""


@dataclass
class Voice:
    """What was asked for on the command line."""

    quiet: bool = False
    """No progress, no notes: results and errors alone."""
    verbose: bool = False
    """What libraries log, and where in the code a mistake was noticed."""
    json: bool = False
    """Results are one JSON document."""


voice = Voice()
"""Of the command that runs."""


def speak(quiet: bool, verbose: bool, json: bool) -> None:
    """Speak as asked, until `speaking` ends.

    Raises:
        ValueError: Both quiet and verbose.
    """
    if quiet and verbose:
        raise ValueError("--quiet and --verbose are given; expected one of them")
    voice.quiet, voice.verbose, voice.json = quiet, verbose, json
    console.stderr = json
    if quiet:
        logging.getLogger("cacr").setLevel(logging.ERROR)
    if verbose:
        from transformers.utils import logging as of_transformers  # it has handlers and a level of its own

        heard = logging.StreamHandler()
        heard.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(heard)
        logging.getLogger().setLevel(logging.INFO)
        of_transformers.set_verbosity_info()


@contextmanager
def speaking() -> Iterator[None]:
    """The usual voice, and afterwards again: one process may run several commands."""
    root, own = logging.getLogger(), logging.getLogger("cacr")
    levels, handlers = (root.level, own.level), list(root.handlers)
    try:
        yield
    finally:
        if voice.verbose:
            from transformers.utils import logging as of_transformers

            of_transformers.set_verbosity_warning()
        root.setLevel(levels[0])
        own.setLevel(levels[1])
        root.handlers[:] = handlers
        voice.quiet = voice.verbose = voice.json = console.stderr = False
