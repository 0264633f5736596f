"""Losses on attention blocks, the ranking loss they accompany, and the schedules of their weight.

Add a loss: one file here, one line in ``LOSSES``, one test file.
"""

from cacr.losses.congruence import READINGS, Reading, cacr_loss, congruence, project
from cacr.losses.divergence import symmetric_kl
from cacr.losses.flatness import flatness_loss
from cacr.losses.iais import iais_loss
from cacr.losses.ranking import hardest_negatives, ranking_loss
from cacr.losses.registry import LOSSES, AttentionLoss, attention_loss
from cacr.losses.schedules import SCHEDULES, schedule_weight
from cacr.losses.soft_equivalence import soft_equivalence_loss
from cacr.losses.streaming import cacr_loss_from_query_key, iais_loss_from_query_key

__all__ = [
    "LOSSES",
    "READINGS",
    "SCHEDULES",
    "AttentionLoss",
    "Reading",
    "attention_loss",
    "cacr_loss",
    "cacr_loss_from_query_key",
    "congruence",
    "flatness_loss",
    "hardest_negatives",
    "iais_loss",
    "iais_loss_from_query_key",
    "project",
    "ranking_loss",
    "schedule_weight",
    "soft_equivalence_loss",
    "symmetric_kl",
]
