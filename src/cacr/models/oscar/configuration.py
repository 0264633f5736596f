"""Configuration of OSCAR and OSCAR+."""

from huggingface_hub.dataclasses import strict

from cacr.models.rates import RatedConfig


@strict
class OscarConfig(RatedConfig):
    """Sizes of an OSCAR or OSCAR+ (VinVL) model; the defaults are those of the base model.

    Fields of BERT keep BERT's names and meaning. ``region_dim`` is the width of a region's features alone (2048),
    ``region_position_dim`` the 6 box numbers joined to them. ``num_labels`` (of transformers) is 2 or 1: the classes of
    the match head. ``num_contrast_classes`` are those of the pre-training head, ``classifier`` is "linear" or "mlp",
    ``classifier_scale`` the width of the latter's hidden layer over ``hidden_size``.

    Source: github.com/microsoft/Oscar, oscar/modeling/modeling_bert.py.
    """

    model_type = "oscar"
    vocab_size: int = 30522  # bert-base-uncased
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
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
    region_position_dim: int = 6
    use_region_layer_norm: bool = True
    region_layer_norm_eps: float = 1e-12
    num_contrast_classes: int = 2
    classifier: str = "linear"
    classifier_scale: int = 2
    # Read by BertLayer and BertSelfAttention, never changed here.
    chunk_size_feed_forward: int = 0
    is_decoder: bool = False
    add_cross_attention: bool = False
    use_cache: bool = False
    tie_word_embeddings: bool = True
