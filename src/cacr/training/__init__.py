"""Fine-tuning with mined hard negatives and an attention loss, on the stock transformers Trainer."""

from cacr.training.config import TrainConfig
from cacr.training.groups import GroupCollator, GroupDataset
from cacr.training.mixin import CongruenceTrainerMixin
from cacr.training.run import train
from cacr.training.trainer import RetrievalTrainer

__all__ = [
    "CongruenceTrainerMixin",
    "GroupCollator",
    "GroupDataset",
    "RetrievalTrainer",
    "TrainConfig",
    "train",
]
