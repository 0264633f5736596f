"""A Q-Former between picture and words: BLIP-2 and InstructBLIP."""

from __future__ import annotations

from typing import Any

import torch
import transformers as T

from cacr.tiny_models import _batches as b
from cacr.tiny_models._tiny import TinyModel

QUERIES = 4

_QFORMER: dict[str, Any] = {
    "vocab_size": b.VOCABULARY,
    "max_position_embeddings": 40,
    **b.LAYERS,
    **b.NO_DROPOUT,
}
_OPT: dict[str, Any] = {
    "model_type": "opt",
    "vocab_size": b.VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "ffn_dim": 64,
    "word_embed_proj_dim": 32,
    "max_position_embeddings": 64,
    "dropout": 0.0,
}
_T5: dict[str, Any] = {
    "model_type": "t5",
    "vocab_size": b.VOCABULARY,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 3,
    "num_heads": 4,
    "dropout_rate": 0.0,
    "decoder_start_token_id": 0,
}
_LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": b.VOCABULARY,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    **b.LAYERS,
}


def _blip2_config(
    language: dict[str, Any], image_token: int | None = None, text_input: bool = False
) -> T.Blip2Config:
    return T.Blip2Config(
        vision_config={**b.PICTURE, **b.LAYERS},
        qformer_config={**_QFORMER, "use_qformer_text_input": text_input},
        text_config=dict(language),
        num_query_tokens=QUERIES,
        image_text_hidden_size=16,
        image_token_index=image_token,
    )


@b.seeded
def blip2_itm() -> TinyModel:
    """BLIP-2's matching head: a Q-Former over [queries | words], its queries looking at the picture; no loss."""
    return b.tiny(
        T.Blip2ForImageTextRetrieval(_blip2_config(_OPT, text_input=True)),
        **b.words(),
        pixel_values=b.pixels(),
        use_image_text_matching_head=torch.tensor(True),
    )


@b.seeded
def blip2_itm_placeholders() -> TinyModel:
    """`blip2_itm` with a placeholder for every query in the text, as newer processors write it."""
    inputs = b.after_picture(QUERIES)
    del inputs["labels"]
    return b.tiny(
        T.Blip2ForImageTextRetrieval(_blip2_config(_OPT, b.IMAGE_TOKEN, text_input=True)),
        **inputs,
        pixel_values=b.pixels(),
        use_image_text_matching_head=torch.tensor(True),
    )


@b.seeded
def blip2_opt() -> TinyModel:
    """BLIP-2 with a causal language model over [queries | words]."""
    return b.tiny(
        T.Blip2ForConditionalGeneration(_blip2_config(_OPT, b.IMAGE_TOKEN)),
        **b.after_picture(QUERIES, pad=1),
        pixel_values=b.pixels(),
    )


@b.seeded
def blip2_t5() -> TinyModel:
    """BLIP-2 with an encoder over [queries | words] and a decoder of the answer."""
    inputs = b.after_picture(QUERIES)
    inputs["labels"] = b.captions(b.words())
    return b.tiny(
        T.Blip2ForConditionalGeneration(_blip2_config(_T5, b.IMAGE_TOKEN)), **inputs, pixel_values=b.pixels()
    )


@b.seeded
def instruct_blip() -> TinyModel:
    """InstructBLIP: a Q-Former over [queries | instruction], then Llama over [queries | words]."""
    config = T.InstructBlipConfig(
        vision_config={**b.PICTURE, **b.LAYERS},
        qformer_config=dict(_QFORMER),
        text_config=dict(_LLAMA),
        num_query_tokens=QUERIES,
        image_token_index=b.IMAGE_TOKEN,
    )
    instruction = {f"qformer_{name}": value for name, value in b.words().items()}
    return b.tiny(
        T.InstructBlipForConditionalGeneration(config),
        **b.after_picture(QUERIES),
        **instruction,
        pixel_values=b.pixels(),
    )
