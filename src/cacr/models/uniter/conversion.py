"""Original UNITER, IAIS and CACR checkpoints (a plain ``torch.save`` of the state dict) to our model.

Older names are translated (``module.``, ``gamma``/``beta``, ``bert.``), half precision becomes float32, and the
vocabulary and the width of region features are read off the weights, since some releases padded the vocabulary.
A trained ranking head is kept as it is; only where there is none it starts from the match row.

Source: github.com/ChenRocks/UNITER and github.com/lancopku/IAIS, release layouts. Nothing is unpickled.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedModel

from cacr._messages import unknown
from cacr.models.checkpoints import Checkpoint, conversion
from cacr.models.uniter.configuration import UniterConfig
from cacr.models.uniter.modeling import (
    UniterForImageTextRetrieval,
    UniterModel,
    UniterPreTrainedModel,
)
from cacr.models.uniter.pretraining import UniterForPreTraining
from cacr.models.weights import (
    Conversion,
    bert_sizes,
    configured,
    fill,
    left_out,
    renamed,
    settings,
    with_sizes,
)

HEADS: dict[str, type[UniterPreTrainedModel]] = {
    "retrieval": UniterForImageTextRetrieval,
    "pretraining": UniterForPreTraining,
    "base": UniterModel,
}

_RENAME = [
    (r"^module\.", ""),
    (r"^bert\.", ""),
    (r"^(embeddings|img_embeddings|encoder|pooler)\.", r"uniter.\1."),
    (r"\.gamma$", ".weight"),
    (r"\.beta$", ".bias"),
    (r"^uniter\.embeddings\.LayerNorm\.", "uniter.embeddings.layer_norm."),
    (r"^uniter\.img_embeddings\.LayerNorm\.", "uniter.img_embeddings.layer_norm."),
    (r"^uniter\.img_embeddings\.img_linear\.", "uniter.img_embeddings.feature_linear."),
    (r"^uniter\.img_embeddings\.img_layer_norm\.", "uniter.img_embeddings.feature_layer_norm."),
    (r"^uniter\.img_embeddings\.pos_linear\.", "uniter.img_embeddings.position_linear."),
    (r"^uniter\.img_embeddings\.pos_layer_norm\.", "uniter.img_embeddings.position_layer_norm."),
    (r"^uniter\.img_embeddings\.", "uniter.region_embeddings."),
    (r"^feat_regress\.", "region_regression."),
]
_COPIES = re.compile(r"^region_regression\.weight$|position_ids$")  # a transposed tie; a buffer
_ORIGINAL_FIELDS = {"img_dim": "region_dim", "img_label_dim": "region_label_dim"}


def convert_original_checkpoint(
    checkpoint: str | os.PathLike[str],
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    head: str | None = "retrieval",
) -> PreTrainedModel:
    """A model with the weights of an original checkpoint.

    Args:
        checkpoint: ``.pt`` or ``.safetensors`` with the original key names.
        config: The original json (path or dict). If None, sizes are read off the weights; then heads are 64 wide
            as in every released UNITER (a smaller model gets 12 heads if its width allows, else 4).
        head: "retrieval" (the ranking head starts from the match row where the checkpoint has none),
            "pretraining" or "base".

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is broken, holds no UNITER, or its shapes do not fit the configuration.
    """
    if head is not None and head not in HEADS:
        raise ValueError(unknown("head", head, HEADS))
    return conversion(checkpoint, config, head, kind="uniter").model


def convert(
    checkpoint: Checkpoint, config: str | os.PathLike[str] | Mapping[str, Any] | None, head: str | None
) -> Conversion:
    """The same of a checkpoint read already; see `cacr.models.checkpoints.conversion`."""
    head = head or "retrieval"
    if head not in HEADS:
        raise ValueError(unknown("head", head, HEADS))
    path = checkpoint.path
    ours = {
        name: found for name, found in renamed(checkpoint.state, _RENAME).items() if not _COPIES.search(name)
    }
    state = {name: value for name, (_, value) in ours.items()}
    regions = "region_embeddings.feature_linear.weight"
    sizes = bert_sizes(state, "uniter", regions, path, "a UNITER checkpoint")
    if "region_classifier.net.3.weight" in state:
        sizes["region_label_dim"] = state["region_classifier.net.3.weight"].shape[0]
    values = with_sizes(_known(checkpoint.settings) | _known(settings(config)), sizes)
    if head == "base":
        ours = {name.removeprefix("uniter."): found for name, found in ours.items()}
    state = {name: value for name, (_, value) in ours.items()}
    model, lacking = fill(
        HEADS[head], configured(UniterConfig, values, path), state, path, may_lack=["rank_output."]
    )
    made = []
    if lacking:
        assert isinstance(model, UniterForImageTextRetrieval)
        model.init_rank_from_itm()
        made.append(
            "The ranking head starts as the match row of the pre-training head: the checkpoint has none."
        )
    return Conversion("uniter", head, model, left_out(ours, model), tuple(made))


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    translated = {_ORIGINAL_FIELDS.get(name, name): value for name, value in values.items()}
    return {name: value for name, value in translated.items() if name in UniterConfig.__dataclass_fields__}
