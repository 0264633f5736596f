"""The front door. Commands are named by string, so that ``cacr --help`` imports nothing heavy."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from inspect import BoundArguments
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter

import cacr
from cacr._messages import unknown
from cacr._processes import rank
from cacr._stopping import RESUMABLE, Preempted, exit_code, preemptible
from cacr.cli.examples import epilogue
from cacr.cli.exits import DONE, EXIT_CODES, MISTAKE, MISUSE
from cacr.cli.voice import beside, speak, speaking, voice

GROUPED = {
    "Start": {
        "demo": (
            "cacr.cli.demo:demo",
            "Measure, fix and see relation alignment in the embedded world: no arguments needed.",
        ),
    },
    "Train": {
        "train": (
            "cacr.cli.train:train",
            "Fine-tune a model with mined hard negatives and an attention loss.",
        ),
        "sweep": ("cacr.cli.sweep:sweep", "Search for good options of a recipe with Optuna, resumable."),
        "study": (
            "cacr.cli.study:study",
            "Run a planned comparison in the embedded world: arms x seeds, contrasts with adjusted p-values.",
        ),
    },
    "Measure": {
        "eval": (
            "cacr.cli.evaluate:evaluate",
            "Measure a model on benchmarks, with intervals; processes of torchrun share the work.",
        ),
        "benchmarks": (
            "cacr.cli.benchmarks:benchmarks",
            "List the benchmarks: what each asks, its licence, how to get its files.",
        ),
        "compare": (
            "cacr.cli.compare:compare",
            "Paired differences between evaluations of the same examples: tests, Holm, detectable size.",
        ),
        "rescore": (
            "cacr.cli.compare:rescore",
            "Make the tables of an evaluation again from its records, without the model.",
        ),
    },
    "See": {
        "explore": (
            "cacr.cli.explore:explore",
            "See where words and regions attend: a page that opens without a server, and figures for a paper.",
        ),
        "analyze": (
            "cacr.cli.analyze:analyze",
            "Measure how well attention is aligned and what the regularizers ask of it, by layer and head.",
        ),
    },
    "Prepare": {
        "features": (
            "cacr.cli.features:features",
            "Detect the regions of pictures, or convert features of others.",
        ),
        "convert": (
            "cacr.cli.convert:convert",
            "Turn an original UNITER, IAIS, CACR, OSCAR or ROSITA checkpoint into a transformers folder.",
        ),
        "models": ("cacr.cli.models:models", "What `cacr.attach` supports, measured."),
        "pretrain": ("cacr.cli.pretrain:pretrain", "Rebuild the starting model of the embedded world."),
        "completion": (
            "cacr.cli.completion:completion",
            "Print the script that completes commands and options in your shell.",
        ),
    },
    "Repeat and share": {
        "repeat": (
            "cacr.cli.repeat:repeat",
            "Run again what a folder holds, and compare: the same, bit for bit, or what differs (exit code 3).",
        ),
        "push": (
            "cacr.cli.push:push",
            "Put a trained model on the hub, with a card that says how it was made.",
        ),
    },
}
"""Group -> name -> (function, what it does), in the order in which a newcomer reads them."""
COMMANDS = {name: command for group in GROUPED.values() for name, command in group.items()}
"""Name -> (function, what it does)."""
OPTIONS = ("--quiet", "--verbose", "--json", "--help", "--version")
EVERY = Group("Every command", sort_key=len(GROUPED))
Flag = Parameter(negative="", show_default=False, group=EVERY)


def app() -> App:
    """The command line as an object."""
    front = App(
        name="cacr",
        help="Measure, fix and see relation alignment in vision-language models.",
        help_epilogue="Exit codes: " + "; ".join(f"{code} {what}" for code, what in EXIT_CODES.items()) + ".",
        version=cacr.__version__,
        default_parameter=Parameter(consume_multiple=True),  # --images A B
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for flag in ("--help", "--version"):
        front[flag].group = EVERY
    for place, (title, commands) in enumerate(GROUPED.items()):
        group = Group(title, sort_key=place)
        for nth, (name, (function, what)) in enumerate(commands.items()):
            config = _recipe if name in ("train", "sweep") else None
            front.command(
                function,
                name=name,
                help=what,
                help_epilogue=epilogue(name),
                group=group,
                sort_key=nth,
                config=config,
            )

    front.meta.suppress_keyboard_interrupt = False

    @front.meta.default
    def launch(
        *words: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        quiet: Annotated[bool, Flag, Parameter(alias="-q")] = False,
        verbose: Annotated[bool, Flag, Parameter(alias="-v")] = False,
        json_: Annotated[bool, Flag] = False,
    ) -> Any:
        """What is the same for every command.

        Args:
            words: The command and what is its own.
            quiet: No progress and no notes: results and errors alone.
            verbose: What libraries log, and where in the code a mistake was noticed.
            json_: Results and where they were written as one JSON document; all else goes to standard error.
        """
        speak(quiet, verbose, json_)
        if words and words[0] not in COMMANDS:  # the parser's own sentence imports all commands, for seconds
            return _say(unknown("command", words[0], [*COMMANDS, *OPTIONS]), MISUSE)
        return front(words, exit_on_error=False)

    return front


def parsed(words: Sequence[str]) -> tuple[Callable[..., Any], BoundArguments]:
    """The function of a command line and its arguments, without running it.

    Raises:
        CycloptsError: No such command, option or value.
    """
    front = app()
    function, bound, _ = front.meta.parse_args(list(words), exit_on_error=False, print_error=False)
    if function is front.meta.default_command:
        function, bound, _ = front.parse_args(list(bound.args), exit_on_error=False, print_error=False)
    return function, bound


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

    The codes are `EXIT_CODES`. SIGTERM stops a command where it leaves things whole (`cacr._stopping`).
    """
    with preemptible(to_the_end=arguments is None), speaking():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        return app().meta(words, exit_on_error=False) or DONE
    except CycloptsError:
        return MISUSE  # the parser has said it
    except (ValueError, OSError, BrokenExecutor, ImportError) as error:
        if isinstance(error, ImportError) and "pip install" not in str(error):
            raise  # a broken installation, not a missing extra
        if getattr(error, "said_elsewhere", False):
            return MISTAKE  # another process of this run says it
        from cacr._disk import told

        if voice.verbose:
            traceback.print_exc()
        return _say(told(error) or str(error), MISTAKE)
    except KeyboardInterrupt as stop:
        if rank() == 0:
            print(f"\n{stop or 'Stopped'}.", file=sys.stderr)
        return RESUMABLE if isinstance(stop, Preempted) else exit_code()


def _say(sentence: str, code: int) -> int:
    beside.print("[bold red]Error[/]:", end=" ")
    beside.print(sentence, markup=False, highlight=False, soft_wrap=True)
    return code
