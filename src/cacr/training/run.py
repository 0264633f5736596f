"""One fine-tuning run, from a configuration to a self-contained folder that a killed run can resume in.

RUN/config.toml       the resolved configuration        RUN/metrics.jsonl     a line per log_every steps
RUN/environment.json  versions, machine, git commit     RUN/checkpoints/      to resume from
RUN/model/            the result, with its processor    RUN/README.md         the command that repeats it
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from cacr.data import CaptionSet, PhotoFolder
from cacr.data.scenes import SEEDS, SceneCaptions
from cacr.models.uniter import (
    UniterConfig,
    UniterForImageTextRetrieval,
    UniterProcessor,
    load_model,
    load_processor,
)
from cacr.training.config import TrainConfig
from cacr.training.files import scenes_start, working_in, write_text_whole, write_whole
from cacr.training.folder import check_run_folder, make_run_folder
from cacr.training.groups import GroupCollator, GroupDataset
from cacr.training.tokenizers import tokenizer_of_captions
from cacr.training.trainer import RetrievalTrainer

Progress = Callable[[int, dict[str, float]], None]
"""Called with the steps done and the latest logged numbers."""


def train(config: TrainConfig, resume: bool = False, progress: Progress = lambda step, numbers: None) -> Path:
    """Fine-tune as configured and return the folder of the trained model, ``config.out / "model"``.

    Args:
        config: What to do.
        resume: Go on in an existing run folder from its latest whole checkpoint; the result is bit-equal on CPU to
            that of a run never killed.
        progress: Called after every step.

    Raises:
        BlockingIOError: Another process is at work in the run folder.
        FileExistsError: The run folder exists and ``resume`` is not set, or holds a finished run.
        FileNotFoundError: Data, features or the starting model are missing.
        ValueError: They do not fit each other, or the folder to resume holds another configuration.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("this was started as one of several processes; training runs in one process so far")
    checkpoint = check_run_folder(config, resume)
    set_seed(config.seed)
    pairs = open_data(config)
    model, processor = starting_model(config, pairs)
    _check_widths(model, pairs, config)
    freeze(model, config.freeze_layers)
    if not resume:
        make_run_folder(config)
    with working_in(config.out):
        return _train(config, checkpoint, pairs, model, processor, progress)


def _train(
    config: TrainConfig,
    checkpoint: Path | None,
    pairs: CaptionSet,
    model: UniterForImageTextRetrieval,
    processor: UniterProcessor,
    progress: Progress,
) -> Path:
    trainer = RetrievalTrainer(
        recipe=config,
        processor=processor,
        model=model,
        args=_arguments(config),
        train_dataset=GroupDataset(
            pairs, config.steps * config.batch * config.accumulate, config.candidates, config.seed
        ),
        data_collator=GroupCollator(pairs, processor),
        callbacks=[_Metrics(config.out / "metrics.jsonl", progress)],
    )
    trainer.remove_callback(PrinterCallback)  # metrics.jsonl and the progress bar say it
    if config.checkpointing:
        model.activation_checkpointing_enable()
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))

    def save(folder: Path) -> None:
        trainer.accelerator.unwrap_model(trainer.model).save_pretrained(folder)
        processor.save_pretrained(folder)

    write_whole(config.out / "model", save)
    return config.out / "model"


def open_data(config: TrainConfig) -> CaptionSet:
    """The captioned pictures that a configuration names."""
    if config.data == "scenes":
        return SceneCaptions(SEEDS["train"], config.scenes, alike=config.alike, places=config.places)
    return PhotoFolder(config.data, config.features, config.split)


def starting_model(
    config: TrainConfig, pairs: CaptionSet
) -> tuple[UniterForImageTextRetrieval, UniterProcessor]:
    """The model to start from and its processor."""
    if config.model == "scenes-start":
        with scenes_start() as folder:
            return load_model(folder), load_processor(folder)
    if config.model == "new":
        processor = UniterProcessor(tokenizer_of_captions(pairs.captions))
        return new_model(config, processor, pairs), processor
    folder = Path(config.model)
    if not folder.is_dir():
        raise FileNotFoundError(
            f'no model folder {folder}; expected "scenes-start", "new", or a folder with config.json and '
            "model.safetensors (make one of an original checkpoint with convert_original_checkpoint)"
        )
    return load_model(folder), load_processor(folder)


def new_model(
    config: TrainConfig, processor: UniterProcessor, pairs: CaptionSet
) -> UniterForImageTextRetrieval:
    """A random model of the configured size that reads the captions and regions of ``pairs``."""
    tokens = processor.tokenizer
    return UniterForImageTextRetrieval(
        UniterConfig(
            vocab_size=len(tokens),
            hidden_size=config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=4 * config.hidden,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            initializer_range=config.hidden**-0.5,  # BERT's 0.02 leaves a narrow model without a signal
            max_position_embeddings=processor.max_text_length,
            region_dim=pairs.picture(0).regions.features.shape[1],
            pad_token_id=tokens.pad_token_id,
            cls_token_id=tokens.cls_token_id,
            sep_token_id=tokens.sep_token_id,
            mask_token_id=tokens.mask_token_id,
        )
    )


def freeze(model: UniterForImageTextRetrieval, layers: int) -> None:
    """Keep the embeddings and the first layers as they are. 0: all learn."""
    encoder = model.uniter.encoder.layer
    if not 0 <= layers <= len(encoder):
        raise ValueError(f"freeze_layers is {layers}; the model has {len(encoder)} layers")
    if layers:
        for module in (model.uniter.embeddings, model.uniter.region_embeddings, *encoder[:layers]):
            module.requires_grad_(False)


def _check_widths(model: UniterForImageTextRetrieval, pairs: CaptionSet, config: TrainConfig) -> None:
    width = pairs.picture(0).regions.features.shape[1]
    if width != model.config.region_dim:
        raise ValueError(
            f"the features of {config.data} have {width} numbers per region; the model {config.model} was made for "
            f'{model.config.region_dim}. Use features of its own detector, or another model (model = "new")'
        )
    layers = model.config.num_hidden_layers
    if not -layers <= config.layer < layers:
        raise ValueError(f"layer is {config.layer}; the model has {layers} layers, counted from 0 or from -1")


def _arguments(config: TrainConfig) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(config.out / "checkpoints"),
        per_device_train_batch_size=config.batch,
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
        save_strategy="steps",
        save_steps=config.save_every,
        save_total_limit=2,
        seed=config.seed,
        bf16=config.precision == "bf16",
        fp16=config.precision == "fp16",
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


class _Metrics(TrainerCallback):
    """Writes metrics.jsonl and tells the progress. Lines after the resumed step are made again, so they go first."""

    def __init__(self, path: Path, progress: Progress):
        self.path, self.progress = path, progress
        self.latest: dict[str, float] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.path.is_file():
            lines = [line for line in self.path.read_text().splitlines() if _step(line) <= state.global_step]
            write_text_whole(self.path, "".join(f"{line}\n" for line in lines))
        self.progress(state.global_step, {})

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.progress(state.global_step, self.latest)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Any = None,
        **kwargs: Any,
    ) -> None:
        if state.is_world_process_zero and logs and "loss" in logs:
            self.latest = {name: value for name, value in logs.items() if isinstance(value, float)}
            with self.path.open("a") as file:
                file.write(json.dumps({"step": state.global_step} | self.latest) + "\n")


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):  # the last line of a killed run
        return float("inf")


def clear_checkpoints(run: Path) -> None:
    """Delete what is only needed to resume."""
    shutil.rmtree(run / "checkpoints", ignore_errors=True)
