"""The front door. Commands are named by string, so that ``cacr --help`` imports nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from typing import Any

from cyclopts import App

import cacr
from cacr._processes import rank
from cacr._stopping import RESUMABLE, Preempted, exit_code, preemptible

COMMANDS = {
    "demo": (
        "cacr.cli.demo:demo",
        "Measure, fix and see relation alignment in the embedded world: no arguments needed.",
    ),
    "study": (
        "cacr.cli.study:study",
        "Run a planned comparison in the embedded world: arms x seeds, contrasts with adjusted p-values.",
    ),
    "train": ("cacr.cli.train:train", "Fine-tune a model with mined hard negatives and an attention loss."),
    "sweep": ("cacr.cli.sweep:sweep", "Search for good options of a recipe with Optuna, resumable."),
    "eval": (
        "cacr.cli.evaluate:evaluate",
        "Measure a model on benchmarks, with intervals; processes of torchrun share the work.",
    ),
    "benchmarks": (
        "cacr.cli.benchmarks:benchmarks",
        "List the benchmarks: what each asks, its licence, how to get its files.",
    ),
    "rescore": (
        "cacr.cli.compare:rescore",
        "Make the tables of an evaluation again from its records, without the model.",
    ),
    "compare": (
        "cacr.cli.compare:compare",
        "Paired differences between evaluations of the same examples: tests, Holm, detectable size.",
    ),
    "repeat": (
        "cacr.cli.repeat:repeat",
        "Run again what a folder holds, and compare: the same, bit for bit, or what differs (exit code 3).",
    ),
    "explore": (
        "cacr.cli.explore:explore",
        "See where words and regions attend: a page that opens without a server, and figures for a paper.",
    ),
    "analyze": (
        "cacr.cli.analyze:analyze",
        "Measure how well attention is aligned and what the regularizers ask of it, by layer and head.",
    ),
    "features": (
        "cacr.cli.features:features",
        "Detect the regions of pictures, or convert features of others.",
    ),
    "convert": (
        "cacr.cli.convert:convert",
        "Turn an original UNITER, IAIS, CACR, OSCAR or ROSITA checkpoint into a transformers folder.",
    ),
    "push": ("cacr.cli.push:push", "Put a trained model on the hub, with a card that says how it was made."),
    "models": ("cacr.cli.models:models", "What `cacr.attach` supports, measured."),
    "pretrain": ("cacr.cli.pretrain:pretrain", "Rebuild the starting model of the embedded world."),
}
"""Name -> (function, what it does)."""


def app() -> App:
    """The command line as an object."""
    front = App(
        name="cacr",
        help="Measure, fix and see relation alignment in vision-language models.",
        version=cacr.__version__,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for name, (function, what) in COMMANDS.items():
        front.command(function, name=name, help=what, config=_recipe if name in ("train", "sweep") else None)
    return front


def _recipe(app: App, commands: tuple[str, ...], arguments: Any) -> None:
    """Values of the recipe stand where the command line gives none."""
    for argument in arguments:
        if argument.names == ("RECIPE",) and argument.tokens:
            from cyclopts.config import Dict

            from cacr.recipes import recipe_path
            from cacr.training.config import read_recipe

            path = recipe_path(argument.tokens[0].value)
            values = {name: str(value) for name, value in read_recipe(path).items()}
            Dict(values, source=str(path), use_commands_as_keys=False)(app, commands, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code. A mistake of the user's ends with a sentence, not with a traceback.

    SIGTERM stops a command where it leaves things whole; the code is 75 then (`cacr._stopping`), and 130 after Ctrl-C.
    """
    with preemptible(to_the_end=arguments is None):
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        return app()(list(sys.argv[1:] if arguments is None else arguments)) or 0
    except (ValueError, OSError, BrokenExecutor, ImportError) as error:
        if isinstance(error, ImportError) and "pip install" not in str(error):
            raise  # a broken installation, not a missing extra
        if getattr(error, "said_elsewhere", False):
            return 1  # another process of this run says it
        from rich.console import Console

        from cacr._disk import told

        console = Console(stderr=True)
        console.print("[bold red]Error[/]:", end=" ")
        console.print(told(error) or str(error), markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt as stop:
        if rank() == 0:
            print(f"\n{stop or 'Stopped'}.", file=sys.stderr)
        return RESUMABLE if isinstance(stop, Preempted) else exit_code()
