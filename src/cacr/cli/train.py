"""``cacr train``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from cacr._processes import rank
from cacr.cli.show import bar, finish, tell
from cacr.recipes import recipe_names
from cacr.training import TrainConfig
from cacr.training import train as run


def train(
    recipe: str | None = None,
    /,
    *,
    config: Annotated[TrainConfig, Parameter(name="*")] = TrainConfig(),
    resume: bool = False,
    push_to_hub: str | None = None,
) -> int:
    """Fine-tune a UNITER, OSCAR or ROSITA with mined hard negatives and an attention loss.

    Several GPUs: torchrun --nproc-per-node 4 -m cacr train RECIPE --out RUN, or accelerate launch. See docs/scaling.md.

    Args:
        recipe: A recipe file (.toml), or the name of a packaged one such as scenes. Options override its values.
        config: The run.
        resume: Go on with the killed run in --out from its last checkpoint; the result is the same.
        push_to_hub: NAME or OWNER/NAME on the hub to put the model to at the end; `cacr push` does it later.
    """
    if recipe is None and config == TrainConfig() and not resume:
        raise ValueError(
            f"no recipe is given; expected one of {', '.join(recipe_names())}, the path of a .toml file, or options of "
            "your own. For instance: cacr train scenes --out runs/scenes"
        )
    main = rank() == 0  # one of several processes speaks
    if main:
        tell(
            f"Training with loss {config.loss}: {config.steps} steps, into {config.out}", "json"
        )  # beside the results
    last: dict[str, float] = {}
    with bar(visible=main) as progress:
        task = progress.add_task(f"train {config.loss}", total=config.steps, note="")

        def show(step: int, numbers: dict[str, float]) -> None:
            last.update(numbers, step=step)
            note = f"loss {numbers['loss']:.4f}" if "loss" in numbers else ""
            progress.update(task, completed=step, note=note)

        model = run(config, resume=resume, progress=show)
    if not main:
        return 0
    said, address = f"The model is in {model}, the losses in {config.out / 'metrics.jsonl'}.", None
    if push_to_hub is not None:
        from cacr.publishing import publish

        address = publish(model, push_to_hub)
        said += f"\nThe model is at {address}"
    what = "scenes scenes-retrieval"
    if config.data != "scenes":
        given = {"data": config.data, "features": config.features, "split": config.dev_split or config.split}
        what = " ".join(["retrieval", *(f"--{name} {value}" for name, value in given.items() if value)])
    finish(
        said,
        {"run": config.out, "model": model, "metrics": config.out / "metrics.jsonl"},
        {"Measure it": f"cacr eval {model} {what}"},
        last=last,
        address=address,
    )
    return 0
