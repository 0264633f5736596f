"""``cacr sweep``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from cacr.cli.show import bar, console, finish
from cacr.recipes import recipe_path
from cacr.sweep import SweepPlan
from cacr.sweep import sweep as search
from cacr.training import TrainConfig

SHOWN = 20


def sweep(
    recipe: str,
    /,
    *,
    config: Annotated[TrainConfig, Parameter(name="*")] = TrainConfig(),
    trials: int | None = None,
    resume: bool = False,
) -> int:
    """Search for good options of a recipe; its table [sweep] says what and for what.

    Args:
        recipe: A recipe file (.toml) with a table [sweep], or the name of a packaged one. Options override its values.
        config: What all runs share. --out is the folder of the search.
        trials: Runs, in place of the recipe's number; a finished search goes on if it gets more.
        resume: Go on with a search that was stopped.
    """
    from dataclasses import asdict, replace

    plan = SweepPlan.from_recipe(recipe_path(recipe))
    plan = plan if trials is None else replace(plan, trials=trials)
    with bar() as progress:
        task = progress.add_task("sweep", total=plan.trials * config.steps, note="")

        def show(trial: int, step: int, numbers: dict[str, float]) -> None:
            progress.update(
                task, completed=trial * config.steps + step, note=f"trial {trial} of {plan.trials}"
            )

        found = search(config, plan, resume=resume, progress=show)
    table = Table(title=f"{plan.objective}, one seed a trial", title_justify="left")
    for name in ("trial", "state", "% [95 % interval]", "n", *plan.space):
        table.add_column(name)
    for trial in found[:SHOWN]:
        value = (
            "-"
            if trial.value is None
            else f"{100 * trial.value:.1f} [{100 * (trial.low or 0):.1f}, {100 * (trial.high or 0):.1f}]"
        )
        chosen = [
            f"{x:.3g}" if isinstance(x, float) else str(x)
            for x in (trial.options.get(n, "-") for n in plan.space)
        ]
        table.add_row(str(trial.number), trial.state, value, str(trial.n or "-"), *chosen)
    console.print(table, markup=False)
    best = config.out / "best.toml"
    finish(
        f"All {len(found)} trials are in {config.out / 'trials.jsonl'}. The best was chosen on these examples, so its "
        "value here flatters it: run it again with other seeds, and measure it on other pictures.",
        {"search": config.out, "trials": config.out / "trials.jsonl", "best": best},
        {"Run it": f"cacr train {best} --out RUN"},
        objective=plan.objective,
        trials=[asdict(trial) for trial in found],
    )
    return 0
