"""``cacr analyze``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cacr.cli.asked import SCENES, opened_to_look
from cacr.cli.named import named_models
from cacr.cli.show import bar, finish, tell, voice

if TYPE_CHECKING:
    from torch import Tensor

    from cacr.attention.attended import Attended
    from cacr.benchmarks import Options
    from cacr.benchmarks.examples import Example
    from cacr.data import Picture
    from cacr.data.grounding import Grounded
    from cacr.explore.analysis import Subject

OF_ENTITIES = frozenset({"images", "features", "detector", "missing", "split", "n"})
"""Options of Flickr30k Entities."""
AT_ONCE = 32
"""Examples that are matched between two steps of the progress bar."""


def analyze(
    models: list[str],
    /,
    *,
    out: Path,
    pairs: str = SCENES,
    n: int = 200,
    data: Path | None = None,
    images: list[Path] | None = None,
    features: Path | None = None,
    detector: str | None = None,
    missing: Literal["refuse", "skip"] = "refuse",
    split: str | None = None,
    seed: int | None = None,
    layers: list[int] | None = None,
    heads: Literal["each", "mean"] = "each",
    score: str | None = None,
    device: str | None = None,
) -> int:
    """Measure how well attention is aligned and what the regularizers ask of it, by layer and head, with intervals.

    Args:
        models: Any model that `cacr eval` scores with attention between text and image; others are refused with the
            reason. A folder, a name on the hub, scenes-start; or NAME=MODEL. Several named ARM:SEED are one arm.
            Differences are from the first.
        out: A new folder for analysis.md, analysis.json, records.jsonl and figures.
        pairs: scenes; a folder of Flickr30k Entities; or a benchmark of two captions and two pictures (winoground, …),
            which says nothing of the truth of words and regions.
        n: Examples, or pictures of Flickr30k Entities: the first.
        data: The benchmark's files.
        images: Folders of the pictures.
        features: Region features of the pictures.
        detector: Find regions on the fly in place of features: a checkpoint as for `cacr features`.
        missing: Pictures that are not there: refuse, or skip and say how many.
        split: A part of the data.
        seed: Album of the embedded world; the dev album if not given.
        layers: Only these, from 0 or from -1; all if not given.
        heads: Measure each head and their mean, or the mean alone, which takes less memory.
        score: Which of the model's scores, as for `cacr eval`.
        device: cpu, cuda, cuda:1; a GPU if there is one and none is named.
    """
    from cacr._json import read_object
    from cacr.benchmarks import Options
    from cacr.cli.evaluate import open_detector_on
    from cacr.environment import environment
    from cacr.explore.analysis import check_new, summarize, write_analysis
    from cacr.explore.analysis.summary import check_pairing
    from cacr.scorers import open_scorer
    from cacr.scorers.looking import can_look
    from cacr.scorers.placing import hub_of

    check_new(out)
    named = named_models(models)
    check_pairing(list(named))
    finds = open_detector_on(detector, device)
    options = Options(data, features, tuple(images or ()), finds, missing, split, n, seed)
    given = data_of(pairs, options)
    asked = {name: value for name, value in (("device", device), ("score", score)) if value is not None}
    subjects, notes = [], list(given.notes)
    with bar() as progress:
        task = progress.add_task("models", total=len(named), note="")
        for name, model in named.items():  # all, before any is measured: what is refused costs no work
            progress.update(task, note=name)
            scorer = open_scorer(model, **asked)
            if why := can_look(scorer):
                raise ValueError(f"{name}: {why}")
            named[name] = hub_of(getattr(scorer, "model", None)).get(
                "hub", model
            )  # the commit that is read, also below
            progress.advance(task)
        progress.update(task, note="")
        for name, model in named.items():
            if len(named) > 1:  # one at a time is in memory
                scorer = open_scorer(model, **asked)
            total = len(given.pairs) + len(given.examples)
            task = progress.add_task(name, total=total, note="")
            step = lambda done, task=task: progress.advance(task, done)
            subjects.append(subject(name, scorer, given, layers, heads, step, notes))
        task = progress.add_task("numbers", total=None, note="")
        found = summarize(subjects, lambda said: progress.update(task, note=said))
        told = {
            "pairs": pairs,
            "measured": len(given.pairs),
            "examples": len(given.examples),
            "models": named,
        }
        told |= options.to_json() | {"layers": layers or "all", "heads": heads} | asked
        found = {"data": given.said, "asked": told, "environment": environment(), "notes": notes, **found}
        progress.update(task, note="writing")
        lost = write_analysis(out, found, subjects)
        progress.update(task, total=1, completed=1, note="")
    for note in notes:
        tell(note)
    finish(
        "\n".join([*lost, f"Wrote {out / 'analysis.md'}, and the numbers, records and figures beside it"]),
        {"page": out / "analysis.md", "numbers": out / "analysis.json", "records": out / "records.jsonl"},
        {"See the same pairs": f"cacr explore {next(iter(named.values()))}"} if pairs == SCENES else {},
        results=read_object(out / "analysis.json") if voice.json else None,
    )
    return 1 if lost else 0


@dataclass(frozen=True, eq=False)
class Data:
    """What is asked of every model."""

    said: str
    pairs: Sequence[Grounded]
    """The true pairs."""
    example_of: Sequence[str]
    """Of each pair the name of its example."""
    examples: Sequence[Example] = ()
    """Where data are Winoground-like."""
    picture: Callable[[str], Picture] | None = None
    """A picture of an example by its name."""
    known: bool = True
    """Whether the truth of words and regions is known."""
    exact: bool = False
    """Whether the data's own regions are those that models of regions read."""
    notes: Sequence[str] = ()


def data_of(source: str, options: Options) -> Data:
    """What the options ask for.

    Args:
        source: scenes, another benchmark of two captions and two pictures, or a folder of Flickr30k Entities.
        options: Where files, pictures and features are, and how many.

    Raises:
        ValueError: An unknown source, or an option that means nothing for it.
    """
    from cacr._hub import here
    from cacr._messages import unknown
    from cacr.benchmarks import BENCHMARKS

    squares = [name for name, one in BENCHMARKS.items() if one.kind == "two by two"]
    if source in squares and not Path(source).is_dir():
        return _benchmark(source, options)
    if (folder := here(source)).is_dir():
        return _entities(folder, options)
    raise ValueError(
        unknown("pairs", source, squares) + " Or a folder of Flickr30k Entities (Sentences and Annotations)."
    )


def _entities(folder: Path, given: Options) -> Data:
    from cacr.data.grounding import open_entities

    if strange := [name for name in given.given() if name not in OF_ENTITIES]:
        raise ValueError(f"--{strange[0]} means nothing for the folder {folder}; leave it out")
    images = given.images or None
    pairs = open_entities(folder, given.split, given.features, images, given.missing, given.n, given.detect)
    pictures = len({one.cluster for one in pairs})
    said = f"{len(pairs)} captions of {pictures} pictures of Flickr30k Entities ({folder.name})."
    note = "A caption's own articles belong to its phrases and count as words that name something."
    return Data(said, pairs, [one.example for one in pairs], notes=[note])


def _benchmark(name: str, options: Options) -> Data:
    """Scenes with the whole truth; others say nothing of words and regions."""
    from cacr.data.grounding import Grounded, grounded_scenes

    work, options = opened_to_look(name, options)
    examples: Sequence[Example] = work.examples
    example_of = [one.example for one in examples for _ in one.captions]
    said = f"{len(examples)} examples of {name}, version {work.version}: {len(example_of)} true pairs."
    if name == SCENES:
        assert options.seed is not None
        pairs = grounded_scenes(options.seed, len(examples))
        return Data(said, pairs, example_of, examples, work.picture, exact=True, notes=list(work.notes))
    pairs = [
        Grounded(caption, work.picture(key), [], f"{one.example}-{i}", one.cluster or one.pictures[0])
        for one in examples
        for i, (caption, key) in enumerate(zip(one.captions, one.pictures, strict=True))
    ]
    note = f"{name} does not say which words mean which regions: no alignment accuracy is measured."
    return Data(said, pairs, example_of, examples, work.picture, known=False, notes=[*work.notes, note])


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
    which = "all" if layers is None else layers
    looked = look_many(scorer, captions, pictures, which, heads, match=False)  # examples are matched below
    measured, lost, named, shown_words = [], dict[str, int](), 0, 0
    for attended, one, example in zip(looked, given.pairs, given.example_of, strict=True):
        truth, why = _truth(attended, one, scorer, given) if given.known else (None, "")
        if why:
            lost[why] = lost.get(why, 0) + 1
        elif truth is not None and attended.spans is not None:
            named += sum(one.names(*span) for span in attended.spans)
            shown_words += int(truth.any(-1).sum())
        measured.append(measure(attended, truth, one.example, example, one.cluster))
        step(1)
    notes += [
        f"{name}: {count} of {len(measured)} pairs without accuracies: {why}." for why, count in lost.items()
    ]
    if shown_words < named:
        notes.append(
            f"{name}: {shown_words} of {named} words of phrases have a true region (overlap of a half; of patches: "
            "the centre in a true box); accuracies are of these."
        )
    if not given.examples or given.picture is None:
        return Subject(name, measured)
    found = []
    for start in range(0, len(given.examples), AT_ONCE):
        some = given.examples[start : start + AT_ONCE]
        shown = {key: given.picture(key) for one in some for key in one.pictures}
        asked = [(c, shown[key]) for one in some for c in one.captions for key in one.pictures]
        found.append(scorer.match([c for c, _ in asked], [p for _, p in asked]).view(-1, 2, 2))
        step(len(some))
    match = torch.cat(found).double().numpy()
    clusters = [one.cluster or one.pictures[0] for one in given.examples]
    names, tags = [one.example for one in given.examples], [one.tags for one in given.examples]
    return Subject(name, measured, match, names, clusters, tags)


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


__all__ = ["Data", "analyze", "data_of", "subject"]
