"""``cacr analyze``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from cacr.cli.show import bar, console

if TYPE_CHECKING:
    from torch import Tensor

    from cacr.attention.attended import Attended
    from cacr.data.grounding import Grounded
    from cacr.explore.analysis import Subject

Several = Parameter(consume_multiple=True)
SCENES = "scenes"
AT_ONCE = 32
"""Examples that are matched between two steps of the progress bar."""


def analyze(
    models: list[str],
    /,
    *,
    out: Path,
    data: str = SCENES,
    n: int = 200,
    album: int | None = None,
    files: Path | None = None,
    features: Path | None = None,
    images: Annotated[list[Path] | None, Several] = None,
    missing: Literal["refuse", "skip"] = "refuse",
    split: str | None = None,
    layers: Annotated[list[int] | None, Several] = None,
    heads: Literal["each", "mean"] = "each",
    score: str | None = None,
    device: str | None = None,
    seed: int = 0,
) -> int:
    """Measure how well attention is aligned and what the regularizers ask of it, by layer and head, with intervals.

    cacr analyze scenes-start after=RUN/model --out analysis
    cacr analyze none:0=A/model none:1=B/model cacr:0=C/model cacr:1=D/model --out analysis

    Args:
        models: Models that `cacr models` lists: a folder, a name on the hub, scenes-start; or NAME=MODEL. Several named
            ARM:SEED are one arm. Differences are from the first.
        out: A new folder for analysis.md, analysis.json, records.jsonl and figures.
        data: scenes; a folder of Flickr30k Entities; or a benchmark of two captions and two pictures (winoground, …),
            which says nothing of the truth of words and regions.
        n: Examples, or pictures of Flickr30k Entities: the first.
        album: Of the embedded world; the dev album if not given.
        files: The benchmark's files.
        features: Region features of the pictures.
        images: Folders of the pictures.
        missing: Pictures that are not there: refuse, or skip and say how many.
        split: A part of the data.
        layers: Only these, from 0 or from -1; all if not given.
        heads: Measure each head and their mean, or the mean alone, which takes less memory.
        score: Which of the model's scores, as for `cacr eval`.
        device: cpu, cuda, cuda:1; a GPU if there is one and none is named.
        seed: Of the bootstraps.
    """
    from cacr.demo.start import open_scorer
    from cacr.explore.analysis import check_new, summarize, write_analysis
    from cacr.scorers.looking import can_look

    check_new(out)
    named = named_models(models)
    if n < 1:
        raise ValueError(f"n is {n}; expected 1 example or more")
    given = data_of(data, n, album, files, features, tuple(images or ()), missing, split)
    asked = {name: value for name, value in (("device", device), ("score", score)) if value is not None}
    subjects, notes = [], list(given.notes)
    with bar() as progress:
        for name, model in named.items():
            scorer = open_scorer(model, **asked)
            if why := can_look(scorer):
                raise ValueError(why)
            total = len(given.pairs) + len(given.examples)
            task = progress.add_task(name, total=total, note="")
            step = lambda done, task=task: progress.advance(task, done)
            subjects.append(subject(name, scorer, given, layers, heads, step, notes))
        task = progress.add_task("numbers", total=None, note="")
        found = summarize(subjects, seed, lambda said: progress.update(task, note=said))
        told = {"name": data, "n": n, "pairs": len(given.pairs), "examples": len(given.examples)}
        found = {"data": given.said, "asked": told | {"models": named}, "notes": notes, **found}
        progress.update(task, note="writing")
        write_analysis(out, found, subjects)
        progress.update(task, total=1, completed=1, note="")
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"Wrote {out / 'analysis.md'}, and the numbers, records and figures beside it", markup=False
    )
    return 0


def named_models(models: Sequence[str]) -> dict[str, str]:
    """Name -> model, of MODEL or NAME=MODEL. A model without a name is called like its run's folder.

    Raises:
        ValueError: No model, an empty name, or two models of one name.
    """
    if not models:
        raise ValueError("no model is given; expected a model folder, a name on the hub or scenes-start")
    found: dict[str, str] = {}
    for one in models:
        name, given, model = one.partition("=")
        if not given or Path(one).exists() or re.search(r"[/\\]", name):
            parts = [part for part in Path(one).parts if part not in ("model", "run", "/")]
            name, model = (parts[-1] if parts else one).replace(":", "-"), one
        if not name.strip() or not model:
            raise ValueError(f"{one!r} names no model; expected NAME=MODEL, for instance before=scenes-start")
        if name in found:
            raise ValueError(
                f"two models are called {name}; give them names: {name}-1={found[name]} {name}-2={model}"
            )
        found[name] = model
    return found


@dataclass(frozen=True, eq=False)
class Data:
    """What is asked of every model."""

    said: str
    pairs: Sequence[Grounded]
    """The true pairs."""
    example_of: Sequence[str]
    """Of each pair the name of its example."""
    examples: Sequence[Any] = ()
    """(name, cluster, two captions, two pictures), where data are Winoground-like."""
    known: bool = True
    """Whether the truth of words and regions is known."""
    exact: bool = False
    """Whether the data's own regions are those that models of regions read."""
    notes: list[str] = field(default_factory=list)


def data_of(
    data: str,
    n: int,
    album: int | None,
    files: Path | None,
    features: Path | None,
    images: tuple[Path, ...],
    missing: Literal["refuse", "skip"],
    split: str | None,
) -> Data:
    """What the options ask for.

    Raises:
        ValueError: Unknown data, or an option that means nothing for them.
    """
    from cacr._messages import unknown
    from cacr.benchmarks import BENCHMARKS
    from cacr.data.grounding import open_entities

    if data == SCENES:
        for name, value in (("files", files), ("features", features), ("images", images), ("split", split)):
            if value:
                raise ValueError(f"--{name} means nothing for {SCENES}; leave it out")
        return scenes(n, album)
    if album is not None:
        raise ValueError(f"--album means nothing for {data}; leave it out")
    if Path(data).is_dir():
        if files is not None:
            raise ValueError(f"--files means nothing for the folder {data}; leave it out")
        pairs = open_entities(data, split, features, images or None, missing, n)
        pictures = len({one.cluster for one in pairs})
        said = f"{len(pairs)} captions of {pictures} pictures of Flickr30k Entities ({Path(data).name})."
        note = "A caption's own articles belong to its phrases and count as words that name something."
        return Data(said, pairs, [one.example for one in pairs], notes=[note])
    squares = [name for name, one in BENCHMARKS.items() if one.kind == "two by two"]
    if data not in squares:
        raise ValueError(
            unknown("data", data, squares) + " Or a folder of Flickr30k Entities (Sentences and Annotations)."
        )
    return _benchmark(data, n, files, features, images, missing, split)


def scenes(n: int, album: int | None) -> Data:
    """Examples of the embedded world, with the whole truth; of the dev album if None."""
    from cacr.data.grounding import grounded_scenes
    from cacr.data.scenes import SEEDS, winoground_like

    album = SEEDS["dev"] if album is None else album
    examples = [
        (one.example_id, one.example_id, one.captions, (one.picture(0), one.picture(1)))
        for one in winoground_like(album, n)
    ]
    pairs = grounded_scenes(album, n)
    said = f"{n} Winoground-like examples of the embedded world, album {album}: {len(pairs)} true pairs."
    return Data(said, pairs, [one.cluster for one in pairs], examples, exact=True)


def _benchmark(
    name: str,
    n: int,
    files: Path | None,
    features: Path | None,
    images: tuple[Path, ...],
    missing: Literal["refuse", "skip"],
    split: str | None,
) -> Data:
    from cacr.benchmarks import BENCHMARKS, Options
    from cacr.data.grounding import Grounded

    options = Options(data=files, features=features, images=images, missing=missing, split=split, n=n)
    work: Any = BENCHMARKS[name].open(options)
    examples, pairs, example_of = [], [], []
    for one in work.examples:
        pictures = [work.picture(key) for key in one.pictures]
        cluster = one.cluster or one.pictures[0]
        examples.append((one.example, cluster, tuple(one.captions), tuple(pictures)))
        for i, (caption, picture) in enumerate(zip(one.captions, pictures, strict=True)):
            pairs.append(Grounded(caption, picture, [], f"{one.example}-{i}", cluster))
            example_of.append(one.example)
    said = f"{len(examples)} examples of {name}, version {work.version}: {len(pairs)} true pairs."
    note = f"{name} does not say which words mean which regions: no alignment accuracy is measured."
    return Data(said, pairs, example_of, examples, known=False, notes=[*work.notes, note])


def subject(
    name: str,
    scorer: Any,
    given: Data,
    layers: list[int] | None,
    heads: str,
    step: Callable[[int], None],
    notes: list[str],
) -> Subject:
    """Measure a model on all pairs and match all examples; what a reader must know is added to ``notes``."""
    import torch

    from cacr.explore.analysis import Subject, measure
    from cacr.scorers.looking import look_many

    captions, pictures = [one.caption for one in given.pairs], [one.picture for one in given.pairs]
    looked = look_many(scorer, captions, pictures, layers="all" if layers is None else layers, heads=heads)
    measured, lost = [], dict[str, int]()
    for attended, one, example in zip(looked, given.pairs, given.example_of, strict=True):
        truth, why = _truth(attended, one, scorer, given) if given.known else (None, "")
        if why:
            lost[why] = lost.get(why, 0) + 1
        measured.append(measure(attended, truth, one.example, example, one.cluster))
        step(1)
    notes += [
        f"{name}: {count} of {len(measured)} pairs without accuracies: {why}." for why, count in lost.items()
    ]
    if not given.examples:
        return Subject(name, measured)
    found = []
    for start in range(0, len(given.examples), AT_ONCE):
        some = given.examples[start : start + AT_ONCE]
        asked = [(c, p) for _, _, captions, pictures in some for c in captions for p in pictures]
        found.append(scorer.match([c for c, _ in asked], [p for _, p in asked]).view(-1, 2, 2))
        step(len(some))
    match = torch.cat(found).double().numpy()
    return Subject(
        name, measured, match, [one[0] for one in given.examples], [one[1] for one in given.examples]
    )


def _truth(attended: Attended, one: Grounded, scorer: Any, given: Data) -> tuple[Tensor, str]:
    """Which token means which region, or nowhere and why that is unknown."""
    import torch

    from cacr.data.grounding import truth

    nowhere = torch.zeros(len(attended.tokens), attended.regions, dtype=torch.bool)
    if attended.spans is None:
        return nowhere, "the model changes captions, so its tokens have no place in them"
    if attended.boxes01 is None:
        return nowhere, "the positions of the image side have no place in the picture"
    images = getattr(getattr(scorer, "processor", None), "image_processor", None)
    cut = scorer.looks_at == "pixels" and getattr(images, "do_center_crop", False)
    if cut and len(set(one.picture.image.size)) > 1:
        return nowhere, "the model cuts pictures, so boxes of the whole picture do not fit"
    if scorer.looks_at == "pixels":
        rule = "centre"
    else:
        rule = "given" if given.exact and _same_boxes(attended, one) else "overlap"
    return truth(one, attended.spans, attended.boxes01, rule), ""


def _same_boxes(attended: Attended, one: Grounded) -> bool:
    own, boxes = attended.boxes01, one.picture.regions.boxes01
    return own is not None and own.shape == boxes.shape and bool((own - boxes).abs().max() < 1e-4)


__all__ = ["Data", "analyze", "data_of", "named_models", "scenes", "subject"]
