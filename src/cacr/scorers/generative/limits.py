"""How many tokens a model has positions for, where it learned one vector a position (GPT-2, OPT, GIT, BLIP, BART).

Rotary and relative positions go on beyond what a model was trained on, so these have no limit here.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from transformers import PreTrainedModel

_LEAVES = ("wpe", "embed_positions", "position_embeddings", "position_embedding")
"""What models call the table of positions."""
_SEES = ("vision", "visual", "image")
"""Parts of the names of modules that see pictures, whose positions are places of a picture."""


def position_limits(model: nn.Module) -> dict[str, int]:
    """How many tokens may stand in ``input_ids`` and in ``qformer_input_ids``, by name, where that is limited."""
    limits: dict[str, int] = {}
    for name, module in model.named_modules():
        if not isinstance(module, nn.Embedding) or name.split(".")[-1] not in _LEAVES:
            continue
        if any(part.startswith(_SEES) for part in name.split(".")):
            continue
        reads = "qformer_input_ids" if "qformer" in name else "input_ids"
        limits[reads] = min(_places(module), limits.get(reads, _places(module)))
    return limits


def check_length(
    model: PreTrainedModel, limits: Mapping[str, int], inputs: Mapping[str, Tensor], words: str
) -> None:
    """Raises ValueError where the model has no position for a token: an index error in the middle of it otherwise.

    Args:
        model: The model, for its name.
        limits: Of `position_limits`.
        inputs: What the model reads: ``input_ids``, ``decoder_input_ids`` and ``qformer_input_ids``, [1, token].
        words: The caption or the prompt with its answer, for the message.
    """
    for name, values in inputs.items():
        limit = limits.get(name.removeprefix("decoder_")) if name.endswith("input_ids") else None
        if limit is not None and values.shape[1] > limit:
            raise ValueError(
                f"the caption or prompt {words!r} takes {values.shape[1]} tokens ({name}), and "
                f"{type(model).__name__} has positions for {limit}; shorten it, or use a model that reads more"
            )


def _places(module: nn.Embedding) -> int:
    """Rows of the table, without those before the first position (OPT and BART: 2; RoBERTa: the padding's and one)."""
    before = getattr(module, "offset", None)
    if before is None:
        before = 0 if module.padding_idx is None else module.padding_idx + 1
    return module.num_embeddings - int(before)
