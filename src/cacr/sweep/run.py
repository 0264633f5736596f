"""Run after run with options that Optuna chooses; killed, it goes on where it was.

OUT/sweep.db         every trial (SQLite, Optuna's format)     OUT/trial-0003/   the run of trial 3
OUT/trials.jsonl     the trials in readable form               OUT/best.toml     the best trial's configuration
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from cacr._disk import writing
from cacr._files import may_begin, working_in, write_text_whole
from cacr._json import json_lines, read_json
from cacr._processes import world_size
from cacr._stopping import stop_if_told
from cacr.sweep.plan import RECALL, SweepPlan
from cacr.training.config import TrainConfig
from cacr.training.metrics import DEV
from cacr.training.run import check_processes, clear_checkpoints, open_data, train
from cacr.training.start import starting_model

logger = logging.getLogger(__name__)
STUDY = "sweep"


@dataclass(frozen=True)
class Trial:
    """One run of a search, as its table shows it.

    Args:
        number: From 0.
        state: complete, pruned or failed.
        options: What was chosen.
        value: The objective, 0-1; None if it failed.
        low: Of its 95 % interval; over what was measured, for one seed.
        high: Of its 95 % interval.
        n: Examples (for recall: held-out pictures) that it was measured on.
        why: Of a failed one.
    """

    number: int
    state: str
    options: Mapping[str, Any]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    why: str = ""


Progress = Callable[[int, int, dict[str, float]], None]
"""Called with the trial, its steps done and its latest numbers."""


def sweep(
    config: TrainConfig,
    plan: SweepPlan,
    resume: bool = False,
    progress: Progress = lambda trial, step, numbers: None,
) -> list[Trial]:
    """Search as planned around a configuration; its ``out`` is the folder of the search.

    Args:
        config: What all runs share.
        plan: What differs, and what is sought.
        resume: Go on with a search that was stopped: its unfinished run is resumed, none is done twice.
        progress: Called after every step.

    Returns:
        All trials, the best first. The best of many is chosen by luck too: measure it on other pictures.

    Raises:
        FileExistsError: The folder exists and ``resume`` is not set.
        FileNotFoundError: There is nothing to resume.
        ImportError: Optuna is not installed.
        ValueError: The objective cannot be measured, the plan has changed, or every trial failed.
    """
    optuna = _optuna()
    if world_size() > 1:
        raise ValueError(
            "a search runs its trials one after the other in one process; start it without torchrun"
        )
    _check_objective(config, plan)
    out = config.out
    if not resume and not may_begin(out):
        raise FileExistsError(
            f"{out} exists and is not overwritten. Go on with it by --resume, or name another folder with --out"
        )
    if resume and not (out / "sweep.json").is_file():
        raise FileNotFoundError(
            f"no search to resume in {out}: it has no sweep.json. Start it without --resume"
        )
    check_processes(config)
    starting_model(config, open_data(config))  # what is missing is said before there is a folder
    out.mkdir(parents=True, exist_ok=True)
    with working_in(out), writing(out / "sweep.db"), _database(out / "sweep.db") as storage:
        _keep_plan(out / "sweep.json", config, plan)
        study = optuna.create_study(
            study_name=STUDY,
            storage=storage,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(plan.warm_up) if plan.prune else optuna.pruners.NopPruner(),
            load_if_exists=True,
        )
        states = optuna.trial.TrialState
        for unfinished in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            _run(study, optuna.trial.Trial(study, unfinished._trial_id), config, plan, progress)
        while len(study.get_trials(deepcopy=False)) < plan.trials:
            number = len(study.get_trials(deepcopy=False))
            study.sampler = _sampler(plan, number)
            stop_if_told()
            _run(study, study.ask(), config, plan, progress)
        return _report(study, config, out)


@contextmanager
def _database(path: Path) -> Iterator[Any]:
    """Optuna's storage in a file, whose connections are closed at the end."""
    from optuna.storages import RDBStorage

    storage = RDBStorage(f"sqlite:///{path}")
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _run(study: Any, trial: Any, config: TrainConfig, plan: SweepPlan, progress: Progress) -> None:
    """One trial to its end; the run folder of a killed one is resumed."""
    import optuna

    states = optuna.trial.TrialState
    options = {}
    for place, (name, where) in enumerate(plan.space.items(), start=1):
        study.sampler = _sampler(plan, trial.number, place)  # an option is the same, whenever it is drawn
        options[name] = _suggest(trial, name, where)
    folder = config.out / f"trial-{trial.number:04d}"

    def told(step: int, numbers: dict[str, float]) -> None:
        progress(trial.number, step, numbers)
        recall = numbers.get(f"{DEV}recall")
        if plan.objective == RECALL and recall is not None:
            trial.report(recall, step)
            if plan.prune and trial.should_prune():
                raise optuna.TrialPruned

    try:
        one = replace(config, out=folder, **options)
        if not (folder / "model").is_dir():
            train(one, resume=(folder / "config.toml").is_file(), progress=told)
        found = _measured(one, plan)
    except optuna.TrialPruned:
        found, state = _last_recall(folder), states.PRUNED
    except (
        ValueError,
        TypeError,
        RuntimeError,
    ) as error:  # of these options; lost disks and connections go on up
        logger.warning("trial %d failed: %s", trial.number, error)
        trial.set_user_attr("why", str(error))
        study.tell(trial, state=states.FAIL)
        return
    else:
        state = states.COMPLETE
    for name, value in found.items():
        trial.set_user_attr(name, value)
    clear_checkpoints(folder)
    study.tell(trial, None if state is states.PRUNED else found["value"], state=state)


def _sampler(plan: SweepPlan, trial: int, option: int = 0) -> Any:
    from optuna.samplers import TPESampler

    seed = (100_003 * plan.seed + trial) * 1_009 + option
    return TPESampler(seed=seed, n_startup_trials=plan.warm_up)


def _suggest(trial: Any, name: str, where: Any) -> Any:
    if isinstance(where, list):
        return trial.suggest_categorical(name, where)
    low, high, log = where["low"], where["high"], where.get("log", False)
    kind = next(str(f.type) for f in fields(TrainConfig) if f.name == name)
    if isinstance(low, int) and isinstance(high, int) and "float" not in kind:
        return trial.suggest_int(name, low, high, log=log)
    return trial.suggest_float(name, low, high, log=log)


def _measured(config: TrainConfig, plan: SweepPlan) -> dict[str, float]:
    """The objective of a finished run, with its interval and n."""
    if plan.objective == RECALL:
        lines = _recalls(config.out)
        return _with_interval(max(lines, key=lambda line: line[f"{DEV}recall"]))
    from cacr.benchmarks import BENCHMARKS, table
    from cacr.benchmarks.benchmark import Options
    from cacr.data.scenes import SEEDS
    from cacr.scorers import RegionScorer

    name, group, metric = plan.objective.split("/")
    scorer = RegionScorer.from_pretrained(config.out / "model")
    records = BENCHMARKS[name].measure(scorer, Options(n=plan.examples, seed=SEEDS["dev"]))
    rows = [row for row in table(BENCHMARKS[name], records) if (row.group, row.metric) == (group, metric)]
    if not rows:
        raise ValueError(f"the benchmark {name} has no {metric} of {group}")
    estimate = rows[0].estimate
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}


def _last_recall(run: Path) -> dict[str, float]:
    lines = _recalls(run)
    return _with_interval(lines[-1]) if lines else {}


def _recalls(run: Path) -> list[dict[str, float]]:
    return [line for _, line in json_lines(run / "metrics.jsonl") if f"{DEV}recall" in line]


def _with_interval(line: Mapping[str, float]) -> dict[str, float]:
    value, error = line[f"{DEV}recall"], line[f"{DEV}recall_error"]
    low, high = max(0.0, value - 1.96 * error), min(1.0, value + 1.96 * error)
    return {"value": value, "low": low, "high": high, "n": int(line[f"{DEV}pictures"])}


def _report(study: Any, config: TrainConfig, out: Path) -> list[Trial]:
    trials = [
        Trial(
            t.number,
            {"FAIL": "failed"}.get(t.state.name, t.state.name.lower()),
            t.params,
            **{
                name: t.user_attrs[name]
                for name in ("value", "low", "high", "n", "why")
                if name in t.user_attrs
            },
        )
        for t in study.get_trials(deepcopy=False)
    ]
    write_text_whole(out / "trials.jsonl", "".join(json.dumps(t.__dict__) + "\n" for t in trials))
    complete = [t for t in trials if t.state == "complete"]
    if not complete:
        failed = next((t for t in trials if t.why), None)
        why = f"; trial {failed.number}: {failed.why}" if failed else ""
        raise ValueError(f"none of {len(trials)} trials came to its end{why}")
    best = max(complete, key=lambda t: t.value or 0.0)
    write_text_whole(out / "best.toml", replace(config, out=out / "best", **best.options).to_toml())
    rest = [t for t in trials if t.state != "complete"]
    return [*sorted(complete, key=lambda t: -(t.value or 0.0)), *rest]


def _check_objective(config: TrainConfig, plan: SweepPlan) -> None:
    if plan.objective == RECALL:
        if not config.dev:
            raise ValueError('the objective is "recall", and no dev_split is given to measure it on')
        return
    from cacr._messages import unknown
    from cacr.benchmarks import BENCHMARKS

    name = plan.objective.split("/")[0]
    embedded = [known for known in BENCHMARKS if known.startswith("scenes")]
    if name not in embedded:
        raise ValueError(unknown("benchmark", name, embedded))


def _keep_plan(file: Path, config: TrainConfig, plan: SweepPlan) -> None:
    """The plan that made the trials; a search with another one would mix what cannot be compared. More trials may."""
    now = {"config": config.to_toml().splitlines()[1:], "plan": {**plan.__dict__, "space": dict(plan.space)}}
    del now["plan"]["trials"]  # type: ignore[attr-defined]
    if file.is_file() and read_json(file) != json.loads(json.dumps(now)):
        raise ValueError(
            f"{file} belongs to a search with other options; go on with those, or name another folder"
        )
    write_text_whole(file, json.dumps(now, indent=1) + "\n")


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            'a search needs Optuna, which is not installed: pip install "cacr[sweep]"'
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
