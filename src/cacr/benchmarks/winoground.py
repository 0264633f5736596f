"""Winoground: two images, two captions made of the same words. Match them.

Paper: Thrush et al. 2022, arXiv:2204.03162.  Gated on the Hub: accept its terms first.
"""

from cacr.benchmarks.outcomes import CHANCE, group_match, score

__all__ = ["CHANCE", "group_match", "score"]
