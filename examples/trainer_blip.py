"""The regularizer in the transformers Trainer: BLIP learns which captions match, and matched pairs are regularized.

    python examples/trainer_blip.py

Words look at the picture in BLIP, never the reverse: the language direction of the loss alone exists.
"""

import tempfile
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Trainer, TrainingArguments, default_data_collator

from cacr.tiny_models import TINY
from cacr.training import CongruenceTrainerMixin


class MatchingTrainer(Trainer):
    """The class computes no loss of its own, so it is written here: cross entropy of its matching head."""

    loss_is_scaled_for_ga = False  # a mean over the micro-batch: the Trainer divides it by their number

    def compute_loss(
        self, model: Any, inputs: dict, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        loss = F.cross_entropy(outputs.itm_score, labels)
        return (loss, outputs) if return_outputs else loss


class CongruenceTrainer(CongruenceTrainerMixin, MatchingTrainer):
    """The mixin first, and no compute_loss here: the mixin's adds the regularizer to what the one above returns."""


def main(steps: int = 30, weight: float = 10.0) -> CongruenceTrainer:
    """Train, print the first and the last line of the log, and return the trainer."""
    torch.manual_seed(0)
    # BlipForImageTextRetrieval, tiny, with random weights. For a real checkpoint change this line to
    #   model = BlipForImageTextRetrieval.from_pretrained("Salesforce/blip-itm-base-coco")
    model = TINY["blip_itm"]().model
    data = pairs(16)
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=2,
            learning_rate=3e-3,
            logging_first_step=True,
            logging_steps=0.2,  # a fifth of the run
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,  # labels are no argument of the model
            label_names=["labels"],
            use_cpu=True,  # leave this out to use a GPU
        )
        # options for cacr.attach, which the trainer calls on its model; cacr.attach(model, ...) may stand here too
        options = {"weight": weight, "schedule": "exp", "select": lambda batch: batch["labels"] == 1}
        trainer = CongruenceTrainer(
            model, args, data_collator=default_data_collator, train_dataset=data, regularizer=options
        )
        print(trainer.regularizer)
        trainer.train()

    lines = [line for line in trainer.state.log_history if "loss" in line]
    for line in (lines[0], lines[-1]):
        task = line["loss"] - line["cacr_loss"]  # the Trainer's loss is their sum
        parts = [f"{name} {line[name]:.3g}" for name in ("cacr_loss", "cacr_weight", "cacr_language")]
        print(f"step {line['step']:3}: loss of the task {task:.3g},", ", ".join(parts))
    return trainer


def pairs(count: int) -> list[dict[str, Tensor]]:
    """Random pictures and captions, each right and with the caption of the next; your data set and processor."""
    pictures, captions = torch.randn(count, 3, 32, 32), torch.randint(10, 90, (count, 7))
    return [
        {
            "input_ids": captions[(index + wrong) % count],
            "attention_mask": torch.ones(7, dtype=torch.long),
            "pixel_values": pictures[index],
            "labels": torch.tensor(1 - wrong),
        }
        for index in range(count)
        for wrong in (0, 1)
    ]


if __name__ == "__main__":
    main()
