"""Caption likelihood: how probable a caption is, word by word, to a model that sees the picture.

Paper: Lin et al. 2023, arXiv:2306.01879 (VisualGPTScore; its sum or mean of log-probabilities, without its debiasing
by the caption's plausibility: that is `text_only`, which may be subtracted).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor
from transformers import PreTrainedModel

from cacr._messages import unknown
from cacr.data.pairs import Answered
from cacr.scorers.generative.prompts import captioning
from cacr.scorers.generative.scorer import GenerativeScorer


class LikelihoodScorer(GenerativeScorer):
    """log P of the caption's tokens given the picture: their mean, or their sum. VisualGPTScore.

    The sum prefers short captions. An `Answered` caption is asked as its question, and its answer is scored.

    Args:
        model: As for `GenerativeScorer`, like all that is not named here.
        processor: Its processor.
        pool: The mean over the caption's tokens or their sum.
        before: The whole text before a caption, with the processor's placeholder of the picture; None for the
            wording of the family ("a photo of", "<CAPTION>"), or "Describe the picture." in the chat template.
        **kwargs: ``name``, ``memory``, ``prompt`` and ``keep_prefix``.

    Raises:
        ValueError: A pool that is neither.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: Any,
        *,
        pool: Literal["mean", "sum"] = "mean",
        before: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(model, processor, **kwargs)
        if pool not in ("mean", "sum"):
            raise ValueError(unknown("pool", pool, ["mean", "sum"]))
        self.pool = pool
        self.before = captioning(processor, model.config.model_type, before)

    def passages(self, caption: str) -> list[tuple[str, str]]:
        """The caption after the text that asks for one."""
        if isinstance(caption, Answered):
            return [(self.ask(caption.question), caption.answer)]
        return [(self.before, caption)]

    def combine(self, answers: Sequence[Tensor]) -> Tensor:
        """The mean or the sum, in nats."""
        return answers[0].mean() if self.pool == "mean" else answers[0].sum()

    def describe(self) -> dict[str, Any]:
        """Also what stood before the caption, and the pool."""
        score = {"mean": "log P(caption) per token", "sum": "log P(caption)"}[self.pool]
        return super().describe() | {"score": score, "before": self.before}
