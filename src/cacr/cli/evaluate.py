"""``cacr eval``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from cacr._files import may_begin, working_in
from cacr._messages import unknown
from cacr._processes import rank, sharing, wait_for_all, world_size
from cacr.benchmarks import BENCHMARKS, Benchmark, Options
from cacr.benchmarks.benchmark import Work
from cacr.benchmarks.tables import Form
from cacr.cli.show import asked_form, bar, finish, print_evaluation
from cacr.data import Scorer

OF_THE_FOLDER = ("out", "resume", "form")
"""Options that say where, and not what is measured with what."""


def evaluate(
    model: str,
    benchmarks: list[str],
    /,
    *,
    out: Path | None = None,
    resume: bool = False,
    data: Path | None = None,
    images: list[Path] | None = None,
    features: Path | None = None,
    detector: str | None = None,
    missing: Literal["refuse", "skip"] = "refuse",
    split: str | None = None,
    n: Annotated[int | None, Parameter(alias="--limit")] = None,
    seed: int | None = None,
    errata: bool = True,
    score: str | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    device: str | None = None,
    memory: float | None = None,
    template: str | None = None,
    answer: str | None = None,
    normalize: bool | None = None,
    pool: Literal["mean", "sum"] | None = None,
    quick_gelu: bool | None = None,
    tokenizer: Path | None = None,
    form: Form = "text",
) -> int:
    """Measure a model on benchmarks: every number with its n and interval, one record per example on disk.

    Several GPUs share the work under torchrun: torchrun --nproc-per-node 8 -m cacr eval MODEL BENCHMARK --out RUN

    Args:
        model: A model folder (RUN/model), a name on the hub, an OpenCLIP checkpoint, scenes-start, constant, random.
        benchmarks: Names; `cacr benchmarks` lists them with what each needs.
        out: A new folder for the records; evaluation-BENCHMARKS inside the model's folder, if not given.
        resume: Go on in an existing folder: what was answered is not asked again.
        data: The benchmark's files, or a folder with one folder per benchmark, under its name (sugarcrepe, vsr, …).
        images: Folders of the pictures, if they do not lie beside the files.
        features: Region features of the pictures, for models that read regions.
        detector: Find regions on the fly in place of features: a checkpoint as for `cacr features`.
        missing: Examples whose pictures are not there: refuse the whole, or skip them and say how many.
        split: Only this part of the benchmark.
        n: Only the first examples; under torchrun give it as --limit.
        seed: Album of the embedded world; the test album if not given.
        errata: Correct the known errors of published annotations, where the benchmark lists them.
        score: Which of the model's scores: match, itm, itc, vqascore, likelihood, plausibility; the first it has.
        dtype: Precision of the model.
        device: cpu, cuda, cuda:1; a GPU if there is one and none is named.
        memory: GiB that the activations of a forward pass may take, about.
        template: VQAScore's question, with {caption} in it.
        answer: VQAScore's answer, Yes if not given; some models answer in lower case.
        normalize: VQAScore as log P(Yes) - log P(No), which has a threshold, in place of log P(Yes).
        pool: Likelihood and plausibility per token (mean) or of the whole caption (sum).
        quick_gelu: Whether an OpenCLIP checkpoint without a configuration computes with QuickGELU.
        tokenizer: Folder of CLIP's tokenizer, for an OpenCLIP checkpoint without one.
        form: How tables are printed; --json is --form json.
    """
    given = {name: value for name, value in locals().items() if name not in OF_THE_FOLDER}
    out = out or _folder(model, benchmarks)
    if not resume and rank() == 0 and not may_begin(out):
        raise FileExistsError(
            f"{out} exists and is not overwritten; go on with it by --resume, or give another folder with --out"
        )
    scorer, works = open_works(**given)
    form = asked_form(form)
    with sharing():
        out.mkdir(parents=True, exist_ok=True)
        with working_in(out, rank()):
            tables = {b.name: _measure(b, work, scorer, out, options, form) for b, options, work in works}
    if rank() == 0:
        then = {"Make the tables again": f"cacr rescore {out}"}
        finish(f"Records are in {out}.", {"records": out}, then, form, **tables)
    return 0


def open_works(
    model: str, benchmarks: list[str], **given: Any
) -> tuple[Scorer, list[tuple[Benchmark, Options, Work]]]:
    """The scorer, and of each benchmark what it is told and what it asks: a missing file is said before that.

    Args:
        model: As of `evaluate`.
        benchmarks: Names.
        given: Every other option of `evaluate` but `OF_THE_FOLDER`, under its name.

    Raises:
        FileNotFoundError: No such model, or no such data.
        ValueError: No or an unknown benchmark, an option that means nothing for any of them or for the model, data
            that cannot be read, or pictures without what the model reads.
    """
    import torch

    from cacr.scorers import open_scorer

    chosen = [known_benchmark(name) for name in dict.fromkeys(benchmarks)]
    if not chosen:
        raise ValueError(f"no benchmark is named; known: {', '.join(BENCHMARKS)}")
    given = {name: value for name, value in given.items() if value is not None}
    given["dtype"] = getattr(torch, given["dtype"])
    told = {one.name: given.pop(one.name) for one in fields(Options) if one.name in given}
    told["images"] = tuple(told.get("images", ()))
    told["detector"] = open_detector_on(told.get("detector"), given.get("device"))
    scorer = open_scorer(model, **given)
    options = options_of(chosen, Options(**told))
    if getattr(scorer, "looks_at", "pixels") == "nothing":  # no picture is looked for, so none can be missing
        options = {name: replace(one, blind=True, features=None, images=()) for name, one in options.items()}
    works = [(b, options[b.name], b.open(options[b.name])) for b in chosen]
    for benchmark, _, work in works:
        check_sight(benchmark, work, scorer)
    return scorer, works


def _measure(benchmark: Benchmark, work: Work, scorer: Any, out: Path, options: Options, form: Form) -> Any:
    """Ask what is not answered yet, and print the table; the table's numbers."""
    from cacr.benchmarks.records import read_about, read_records
    from cacr.benchmarks.running import answer, check_finished, finish
    from cacr.environment import environment

    if (out / f"{benchmark.name}.jsonl").is_file():
        check_finished(benchmark, work, scorer, out, options)
        records = read_records(out, [benchmark.name])[benchmark.name] if rank() == 0 else []
    else:
        with bar(visible=rank() == 0) as progress:
            task = progress.add_task(benchmark.name, total=None, note="")
            scored = 0

            def count(pairs: int) -> None:
                nonlocal scored
                scored += pairs
                progress.update(task, note=f"{scored:,} pairs")

            scorer.progress = count
            answer(
                benchmark,
                work,
                scorer,
                out,
                options,
                worker=rank(),
                workers=world_size(),
                report=lambda done, parts: progress.update(task, completed=done, total=parts),
            )
        wait_for_all()
        records = finish(benchmark, work, scorer, out, options, environment()) if rank() == 0 else []
    if rank() != 0:
        return None
    return print_evaluation(benchmark, records, read_about(out, benchmark.name), form)


def options_of(benchmarks: Sequence[Benchmark], given: Options) -> dict[str, Options]:
    """Benchmark -> what of the options it takes.

    Raises:
        ValueError: An option that means nothing for any of them.
    """
    taken = frozenset().union(*(benchmark.takes for benchmark in benchmarks))
    if strange := [name for name in given.given() if name not in taken]:
        raise ValueError(
            f"--{strange[0]} means nothing for {', '.join(benchmark.name for benchmark in benchmarks)}; leave it out"
        )
    return {benchmark.name: given.of(benchmark.takes) for benchmark in benchmarks}


def check_sight(benchmark: Benchmark, work: Work, scorer: Any) -> None:
    """Raises ValueError where the model reads what the pictures do not have; before anything is asked."""
    pairs, examples = getattr(work, "pairs", None), getattr(work, "examples", None)
    if pairs is None and not examples:
        return
    first = pairs.picture(0) if examples is None else work.picture(examples[0].pictures[0])  # type: ignore[attr-defined,union-attr]
    has = {"pixels": first.read_image, "regions": first.read_regions}
    cure = {
        "pixels": "give the folders of the pictures: --images FOLDER…",
        "regions": "give --features FILE, or find regions on the fly: --detector CHECKPOINT --images FOLDER",
    }
    looks_at = getattr(scorer, "looks_at", None)
    if looks_at in has and has[looks_at] is None:
        raise ValueError(
            f"{scorer.name} reads {looks_at}, and the pictures of {benchmark.name} have none; {cure[looks_at]}"
        )


def known_benchmark(name: str) -> Benchmark:
    """A benchmark by name. Raises ValueError for an unknown one."""
    if name not in BENCHMARKS:
        raise ValueError(unknown("benchmark", name, BENCHMARKS))
    return BENCHMARKS[name]


def _folder(model: str, benchmarks: list[str]) -> Path:
    named = "-".join(benchmarks) if len(benchmarks) < 4 else f"{len(benchmarks)}-benchmarks"
    return Path(model if Path(model).is_dir() else "runs") / f"evaluation-{named}"


def open_detector_on(name: str | None, device: str | None) -> Any:
    """A detector on the device that a model is put on; None if none is named."""
    if name is None:
        return None
    from cacr.regions.detector import open_detector
    from cacr.scorers.placing import device_of

    found = open_detector(name)
    found.to(device_of(device))
    return found
