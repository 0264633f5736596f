"""Configuration of ROSITA."""

from huggingface_hub.dataclasses import strict

from cacr.models.rates import RatedConfig


@strict
class RositaConfig(RatedConfig):
    """Sizes of a ROSITA model; the defaults are those of the released one.

    Fields of BERT keep BERT's names and meaning. ``region_dim`` is the width of a region's features (2048 for
    bottom-up attention), ``region_position_dim`` the 5 box numbers.

    Source: github.com/MILVLG/rosita, configs and modeling.
    """

    model_type = "rosita"
    vocab_size: int = 30522  # bert-base-uncased
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2  # the second is never used
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    cls_token_id: int | None = 101
    sep_token_id: int | None = 102
    mask_token_id: int | None = 103
    region_dim: int = 2048
    region_position_dim: int = 5
    # Read by BertLayer and BertSelfAttention, never changed here.
    chunk_size_feed_forward: int = 0
    is_decoder: bool = False
    add_cross_attention: bool = False
    use_cache: bool = False
    tie_word_embeddings: bool = True
