"""``cacr benchmarks``."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from cacr.benchmarks import BENCHMARKS
from cacr.benchmarks.records import strict_json
from cacr.benchmarks.references import all_references
from cacr.cli.evaluate import known_benchmark
from cacr.cli.show import console, tell, voice


def benchmarks(*names: str) -> int:
    """List the benchmarks; of those that are named, tell all: what they ask, where to get them, known errors.

    Args:
        names: Benchmarks; a line for each of all if none is named.
    """
    chosen = [known_benchmark(name) for name in names] or list(BENCHMARKS.values())
    stated = ("asks", "paper", "licence", "size", "ties", "chance_is", "obtain", "cautions", "versions")
    if voice.json:
        print(strict_json({b.name: {key: getattr(b, key) for key in stated} for b in chosen}, indent=1))
        return 0
    if not names:
        shown = Table("benchmark", "question", "size", "licence")
        for b in chosen:
            shown.add_row(b.name, b.asks, b.size, b.licence)
        console.print(shown)
        tell("All of one:  cacr benchmarks NAME     Measure:  cacr eval MODEL NAME --data FOLDER")
        return 0
    for b in chosen:
        _tell(b, stated)
    return 0


def _tell(benchmark: Any, stated: tuple[str, ...]) -> None:
    console.rule(benchmark.name)
    for key in stated:
        value = getattr(benchmark, key)
        for line in value if isinstance(value, tuple) else [value]:
            if isinstance(line, dict):
                line = (
                    "; ".join(f"{version}: {what}" for version, what in line.items()) or "none is known here"
                )
            console.print(f"[bold]{key}[/]", end="  ")
            console.print(str(line), markup=False, highlight=False)
    published = [
        one for one in all_references() if one.benchmark in (benchmark.name, _AVERAGE.get(benchmark.name))
    ]
    for one in published:
        where = one.group if one.benchmark == benchmark.name else "mean over ARO"
        console.print(
            f"{100 * one.value:5.1f} %  {one.metric}, {where}: {one.model} ({one.source})",
            markup=False,
            highlight=False,
        )


_AVERAGE = dict.fromkeys(("vg-relation", "vg-attribution", "coco-order", "flickr30k-order"), "aro")
