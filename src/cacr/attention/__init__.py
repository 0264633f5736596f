"""Attention within and between text and regions, cut out of any model's self-attention."""

from cacr.attention.blocks import AttentionBlocks
from cacr.attention.capture import QueryKeyCapture
from cacr.attention.precision import full_precision

__all__ = ["AttentionBlocks", "QueryKeyCapture", "full_precision"]
