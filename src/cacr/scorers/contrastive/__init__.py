"""Models whose words and picture never look at each other: CLIP, SigLIP and their kin, OpenCLIP checkpoints."""

from cacr.scorers.contrastive.open_clip import OpenClipScorer, load_open_clip
from cacr.scorers.contrastive.scorer import DualEncoderScorer

__all__ = ["DualEncoderScorer", "OpenClipScorer", "load_open_clip"]
