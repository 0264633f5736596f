"""Configuration of UNITER."""

from huggingface_hub.dataclasses import strict

from cacr.models.rates import RatedConfig


@strict
class UniterConfig(RatedConfig):
    """Sizes of a UNITER model; the defaults are UNITER-base's.

    Fields of BERT keep BERT's names and meaning. ``region_dim`` is the width of a region's features (2048 for
    bottom-up attention), ``region_position_dim`` the 7 box numbers, ``region_label_dim`` the detector's classes
    with background (pre-training head), ``margin`` that of the ranking loss.

    Source: github.com/ChenRocks/UNITER, config/uniter-base.json.
    """

    model_type = "uniter"
    vocab_size: int = 28996  # bert-base-cased
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"  # the exact one with erf, as in the original
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    cls_token_id: int | None = 101
    sep_token_id: int | None = 102
    mask_token_id: int | None = 103
    region_dim: int = 2048
    region_position_dim: int = 7
    region_label_dim: int = 1601
    margin: float = 0.2
    # Read by BertLayer and BertSelfAttention, never changed here.
    chunk_size_feed_forward: int = 0
    is_decoder: bool = False
    add_cross_attention: bool = False
    use_cache: bool = False
    tie_word_embeddings: bool = True
