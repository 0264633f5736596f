"""Winoground in the embedded world: two scenes of the same things, two captions of the same words.

Even examples swap who stands where (or who is bigger), odd ones exchange the colors of two things. A model that sees
a bag of objects gets the second kind right and is at chance on the first.
"""

from __future__ import annotations

from cacr.benchmarks.benchmark import OF_EMBEDDED, Benchmark, Options, Record
from cacr.benchmarks.examples import Example, ExamplesWork
from cacr.benchmarks.outcomes import two_by_two, two_by_two_chance
from cacr.data.scenes import SEEDS, winoground_like

EXAMPLES = 800
VERSION = "scenes-1"


def open_scenes(options: Options) -> ExamplesWork:
    """Examples of an album of scenes."""
    seed, version = album(options)
    found = winoground_like(seed, EXAMPLES if options.n is None else options.n)
    pictures = {f"{one.example_id}/{i}": one.picture(i) for one in found for i in (0, 1)}
    examples = [
        Example(
            one.example_id,
            one.captions,
            [f"{one.example_id}/{i}" for i in (0, 1)],
            tags=["attribute"] if one.tag == "attribute" else ["relation", one.tag],
            cluster=one.example_id,
        )
        for one in found
    ]
    return ExamplesWork(examples, pictures.__getitem__, version)


def album(options: Options) -> tuple[int, str]:
    """The seed of the album that is asked for, the test album if none is, and the version that a record names."""
    seed = SEEDS["test"] if options.seed is None else options.seed
    return seed, f"{VERSION}, album {seed}"


def groups(record: Record) -> list[str]:
    """Relation or attribute, and the relation itself; both kinds together mean nothing."""
    return list(record["tags"])


SCENES = Benchmark(
    name="scenes",
    asks="Which caption, made of the same words, goes with which scene of the same things?",
    paper="after Winoground, arXiv:2204.03162",
    licence="MIT, embedded",
    size=f"{EXAMPLES}: half relation swaps, half attribute swaps",
    ties="wrong",
    chance_is="text 1/4, image 1/4, group 1/6, group match 1/2",
    obtain="It is part of the package.",
    takes=OF_EMBEDDED,
    open=open_scenes,
    right=two_by_two,
    chance=two_by_two_chance,
    groups=groups,
    kind="two by two",
    needs=frozenset({"match", "tags"}),
)
