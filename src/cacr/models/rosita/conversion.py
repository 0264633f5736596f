"""Original ROSITA checkpoints (a dict of state dicts, one a module) to our model.

Names become BERT's, half precision becomes float32, sizes are read off the weights. The match head of pre-training and
that of fine-tuning are one and the same, class 1 a match.

Source: github.com/MILVLG/rosita, rosita/modeling. Nothing is unpickled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedModel

from cacr._messages import unknown
from cacr.models.checkpoints import Checkpoint, conversion
from cacr.models.rosita.configuration import RositaConfig
from cacr.models.rosita.modeling import RositaForImageTextRetrieval, RositaModel, RositaPreTrainedModel
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

HEADS: dict[str, type[RositaPreTrainedModel]] = {
    "retrieval": RositaForImageTextRetrieval,
    "base": RositaModel,
}
_RENAME = [
    (r"^module\.", ""),
    (r"\.module\.", "."),
    (r"\.mhatt\.dense_q\.", ".attention.self.query."),
    (r"\.mhatt\.dense_k\.", ".attention.self.key."),
    (r"\.mhatt\.dense_v\.", ".attention.self.value."),
    (r"\.mhatt\.dense_merge\.", ".attention.output.dense."),
    (r"\.layer_norm0\.", ".attention.output.LayerNorm."),
    (r"\.ffn\.dense0\.", ".intermediate.dense."),
    (r"\.ffn\.dense1\.", ".output.dense."),
    (r"\.layer_norm1\.", ".output.LayerNorm."),
    (r"^backbone\.layers\.", "rosita.encoder.layer."),
    (r"^text_embeddings\.", "rosita.embeddings."),
    (r"^visual_embeddings\.dense_imgfeat\.", "rosita.region_embeddings.feature_linear."),
    (r"^visual_embeddings\.dense_bboxfeat\.", "rosita.region_embeddings.position_linear."),
    (r"^visual_embeddings\.", "rosita.region_embeddings."),
    (r"^pooler\.", "rosita.pooler."),
    (r"^mm_itm_head\.dense\.", "itm_output."),
]


def convert_original_checkpoint(
    checkpoint: str | os.PathLike[str],
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    head: str | None = None,
) -> PreTrainedModel:
    """A model with the weights of an original checkpoint.

    Args:
        checkpoint: The .pkl, or a .safetensors with keys ``module.key``.
        config: The original configuration (path or dict) with its names (HHEAD, DROPOUT_R). If None, sizes are read off
            the weights; then heads are 64 wide as in the release.
        head: "retrieval", "base", or None for what the checkpoint holds.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is broken, holds no ROSITA, or its shapes do not fit the configuration.
    """
    if head is not None and head not in HEADS:
        raise ValueError(unknown("head", head, HEADS))
    return conversion(checkpoint, config, head, kind="rosita").model


def convert(
    checkpoint: Checkpoint, config: str | os.PathLike[str] | Mapping[str, Any] | None, head: str | None
) -> Conversion:
    """The same of a checkpoint read already; see `cacr.models.checkpoints.conversion`."""
    path = checkpoint.path
    ours = renamed(checkpoint.state, _RENAME)
    state = {name: value for name, (_, value) in ours.items()}
    head = head or ("retrieval" if "itm_output.weight" in state else "base")
    if head not in HEADS:
        raise ValueError(unknown("head", head, HEADS))
    if head == "retrieval" and "itm_output.weight" not in state:
        raise ValueError(
            f"{path} has no mm_itm_head, so it is no retrieval model (a VQA or REC one?); expected rosita-base.pkl, "
            'itr-coco-base.pkl or itr-flickr-base.pkl. Take head="base" for its encoder'
        )
    regions = "region_embeddings.feature_linear.weight"
    sizes = bert_sizes(state, "rosita", regions, path, "a ROSITA checkpoint")
    values = with_sizes(_known(checkpoint.settings) | _known(settings(config)), sizes)
    if head == "base":
        ours = {name.removeprefix("rosita."): found for name, found in ours.items()}
    state = {name: value for name, (_, value) in ours.items()}
    model, _ = fill(HEADS[head], configured(RositaConfig, values, path), state, path)
    return Conversion("rosita", head, model, (*left_out(ours, model), *checkpoint.skipped))


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the weights do not tell, in our names."""
    known = {}
    if "HHEAD" in values:
        known["num_attention_heads"] = values["HHEAD"]
    if "DROPOUT_R" in values:
        known |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), values["DROPOUT_R"])
    own = set(RositaConfig.__annotations__) - {"model_type"}
    return known | {name: value for name, value in values.items() if name in own}
