"""One fine-tuning run, from a configuration to a self-contained folder that a killed run can resume in.

RUN/config.toml       the resolved configuration        RUN/metrics.jsonl     a line per log_every steps
RUN/environment.json  versions, machine, git commit     RUN/checkpoints/      to resume from
RUN/model/            the result, with its processor    RUN/README.md         the command that repeats it

The same call runs in every process of torchrun or accelerate launch; the first one writes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import EarlyStoppingCallback, PreTrainedModel, PrinterCallback, TrainingArguments, set_seed

from cacr._files import working_in, write_whole
from cacr._processes import rank, world_size
from cacr._stopping import STOPPED, Preempted, after_this_step
from cacr.data import CaptionSet, open_captions
from cacr.data.scenes import SEEDS, SceneCaptions
from cacr.models.processing import RegionProcessor
from cacr.training.checkpoints import checkpoints, remove_unfinished
from cacr.training.config import TrainConfig
from cacr.training.folder import check_run_folder, make_run_folder, note_resumed
from cacr.training.groups import GroupCollator, GroupDataset
from cacr.training.guard import Guard
from cacr.training.metrics import DEV, Metrics, Progress
from cacr.training.processes import connected, losing_none, on_main
from cacr.training.start import check_fits, freeze, freeze_unused, starting_model
from cacr.training.trainer import RetrievalTrainer


def train(config: TrainConfig, resume: bool = False, progress: Progress = lambda step, numbers: None) -> Path:
    """Fine-tune as configured and return the folder of the trained model, ``config.out / "model"``.

    Args:
        config: What to do.
        resume: Go on in an existing run folder from its latest whole checkpoint; the result is bit-equal on CPU to
            that of a run never killed.
        progress: Called after every step.

    Raises:
        BlockingIOError: Another process is at work in the run folder.
        ConnectionError: Another process of this run was lost; it can be resumed.
        FileExistsError: The run folder exists and ``resume`` is not set, or holds a finished run.
        FileNotFoundError: Data, features or the starting model are missing.
        NonFiniteLoss: A loss or gradient was nan or infinite, and ``config.nonfinite`` does not skip it.
        Preempted: SIGTERM came: the step was ended and saved, and the run can be resumed.
        ValueError: They do not fit each other, or the folder to resume holds another configuration.
    """
    check_processes(config)
    with losing_none(), connected(on_cpu=not torch.cuda.is_available()):
        checkpoint = on_main(lambda: check_run_folder(config, resume))
        set_seed(config.seed)
        pairs = open_data(config)
        dev = open_data(config, dev=True) if config.dev else None
        model, processor = starting_model(config, pairs)
        check_fits(model, pairs, config)
        freeze(model, config.freeze_layers)
        with _held(config.out):
            on_main(lambda: check_run_folder(config, resume))  # nobody else began meanwhile
            if resume:
                on_main(lambda: note_resumed(config, checkpoint, pairs))
                on_main(lambda: remove_unfinished(config.out))
            else:
                on_main(lambda: make_run_folder(config, pairs))
            return _train(config, checkpoint, pairs, dev, model, processor, progress)


def _train(
    config: TrainConfig,
    checkpoint: Path | None,
    pairs: CaptionSet,
    dev: CaptionSet | None,
    model: PreTrainedModel,
    processor: RegionProcessor,
    progress: Progress,
) -> Path:
    freeze_unused(model, processor([pairs.captions[0]], [pairs.picture(pairs.image_of_caption[0]).regions]))
    groups = GroupDataset(
        pairs, config.steps * config.batch * config.accumulate, config.candidates, config.seed
    )
    with after_this_step() as told:
        guard = Guard(config.nonfinite, config.out, told, groups.of_step(config.batch * config.accumulate))
        trainer = _trainer(config, groups, dev, model, processor, progress, guard)
        if checkpoint is not None:
            trainer.go_on(checkpoint)
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    for tracker in {"wandb", "trackio"} & set(config.trackers):
        import_module(tracker).finish()  # the next run of this process is another one
    if guard.stopped and trainer.state.global_step < config.steps:
        raise Preempted(STOPPED)
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)

    def save(folder: Path) -> None:
        trainer.accelerator.unwrap_model(trainer.model).save_pretrained(folder, state_dict=weights)
        processor.save_pretrained(folder)

    on_main(lambda: write_whole(config.out / "model", save))
    return config.out / "model"


def _trainer(
    config: TrainConfig,
    groups: GroupDataset,
    dev: CaptionSet | None,
    model: PreTrainedModel,
    processor: RegionProcessor,
    progress: Progress,
    guard: Guard,
) -> RetrievalTrainer:
    trainer = RetrievalTrainer(
        recipe=config,
        processor=processor,
        dev=dev,
        eval_dataset=dev,
        model=model,
        args=arguments(config),
        guard=guard,
        train_dataset=groups,
        data_collator=GroupCollator(groups.pairs, processor),
        callbacks=[Metrics(config.out / "metrics.jsonl", progress)],
    )
    if config.patience:
        trainer.add_callback(EarlyStoppingCallback(config.patience))
    trainer.remove_callback(PrinterCallback)  # metrics.jsonl and the progress bar say it
    if config.checkpointing:
        model.activation_checkpointing_enable()
    if rank():
        torch.manual_seed(config.seed + rank())  # each process its own dropout
    return trainer


def open_data(config: TrainConfig, dev: bool = False) -> CaptionSet:
    """The captioned pictures that a configuration names, to train on or those held out."""
    if config.data == "scenes":
        if not dev:
            return SceneCaptions(SEEDS["train"], config.scenes, alike=config.alike, places=config.places)
        if config.dev_split != "dev":
            raise ValueError(f"dev_split is {config.dev_split!r}; the embedded world has one, named dev")
        return SceneCaptions(SEEDS["dev"], config.dev_pictures)
    return open_captions(config.data, config.dev_split if dev else config.split, config.features)


def check_processes(config: TrainConfig) -> None:
    """See that the processes can share a batch, and that the machine can do what is asked, before anything is made.

    Raises:
        ImportError: A tracker is not installed.
        ValueError: They cannot, or there is nothing to share; fp16 without a GPU.
    """
    processes, gpus = world_size(), torch.cuda.device_count()
    if processes == 1 and gpus > 1:
        raise ValueError(
            f"{gpus} GPUs and one process: start one process per GPU with torchrun --nproc-per-node {gpus} -m "
            "cacr train …, or show one with CUDA_VISIBLE_DEVICES=0"
        )
    if config.precision == "fp16" and not gpus:
        raise ValueError('precision is "fp16", which needs a GPU; give bf16 or fp32 (--precision fp32)')
    for tracker in config.trackers:
        if find_spec(tracker) is None:
            raise ImportError(
                f"{tracker} is not installed: pip install {tracker}, or leave it out of --track"
            )
    if config.batch % processes:
        raise ValueError(
            f"batch is {config.batch}, and {processes} processes share it; give a multiple of {processes}, or start "
            "fewer processes"
        )
    if config.shard and processes == 1:
        raise ValueError(
            "shard is set and there is one process; start several with torchrun, or leave it out"
        )


def arguments(config: TrainConfig) -> TrainingArguments:
    """The configuration in the Trainer's terms."""
    several = world_size() > 1
    return TrainingArguments(
        output_dir=str(config.out / "checkpoints"),
        per_device_train_batch_size=config.batch // world_size(),
        gradient_accumulation_steps=config.accumulate,
        max_steps=config.steps,
        learning_rate=config.lr,
        warmup_steps=config.warmup,
        weight_decay=config.weight_decay,
        adam_beta2=config.beta2,
        max_grad_norm=config.clip,
        lr_scheduler_type="linear",
        logging_steps=config.log_every,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if config.dev else "no",
        eval_steps=config.save_every,
        save_strategy="steps",
        save_steps=config.save_every,
        save_total_limit=3,  # the best, the newest whole one, and the one being written
        load_best_model_at_end=config.dev,
        metric_for_best_model=f"{DEV}recall" if config.dev else None,
        greater_is_better=True if config.dev else None,
        restore_callback_states_from_checkpoint=config.patience > 0,
        seed=config.seed,
        bf16=config.precision == "bf16",
        fp16=config.precision == "fp16",
        use_cpu=not torch.cuda.is_available() and (several or not torch.accelerator.is_available()),
        ddp_find_unused_parameters=False if several else None,
        fsdp=True if config.shard else None,  # type: ignore[arg-type]
        dataloader_num_workers=config.readers,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        report_to=config.trackers or "none",
        run_name=config.out.name,
        disable_tqdm=True,
    )


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The run folder, made if it is not there and held by the main process."""
    with ExitStack() as stack:

        def hold() -> None:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(working_in(folder))

        on_main(hold)
        yield


def clear_checkpoints(run: Path) -> None:
    """Delete what is only needed to resume; logs of trackers stay."""
    for folder in checkpoints(run):
        shutil.rmtree(folder, ignore_errors=True)
