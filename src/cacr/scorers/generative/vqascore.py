"""VQAScore: how probable "Yes" is as the answer to "Does this figure show …?", asked of a model that sees the picture.

Paper: Lin et al. 2024, arXiv:2404.01291. The published score is P(answer); its logarithm ranks alike. Where the
authors' CLIP-FlanT5 averages over "Yes" and the end of the text, the answer's own tokens count here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from cacr.data.pairs import Answered
from cacr.scorers.generative.scorer import GenerativeScorer

TEMPLATE = 'Does this figure show "{caption}"? Please answer yes or no.'
"""The question of the paper."""


class VQAScorer(GenerativeScorer):
    """log P of "Yes", asked whether the picture shows the caption: VQAScore, on a scale where it cannot underflow.

    An `Answered` caption is asked as its question; its match is log P of its answer.

    Args:
        model: As for `GenerativeScorer`, like all that is not named here.
        processor: Its processor.
        template: The question, with ``{caption}``.
        answer: What is said where the picture shows the caption. All its tokens count.
        other: What is said where it does not; used by ``normalize``.
        normalize: Whether the match is log P(answer) - log P(other), above 0 where the answer is the likelier one.
        **kwargs: ``name``, ``memory``, ``prompt`` and ``keep_prefix``.

    Raises:
        ValueError: A template without ``{caption}``.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: Any,
        *,
        template: str = TEMPLATE,
        answer: str = "Yes",
        other: str = "No",
        normalize: bool = False,
        **kwargs: Any,
    ):
        super().__init__(model, processor, **kwargs)
        if "{caption}" not in template:
            raise ValueError(f"the template {template!r} has no {{caption}}; write it where the caption goes")
        self.template, self.answer, self.other, self.normalize = template, answer, other, normalize
        self.threshold = 0.0 if normalize else None

    def passages(self, caption: str) -> list[tuple[str, str]]:
        """One passage with the answer; another with the other answer, where both are compared.

        Raises:
            ValueError: A question whose answer is neither of both, where both are compared.
        """
        if isinstance(caption, Answered):
            asked, answer = self.ask(caption.question), caption.answer
        else:
            asked, answer = self.ask(self.template.replace("{caption}", caption)), self.answer
        if not self.normalize:
            return [(asked, answer)]
        both = {self.answer.lower(): self.other, self.other.lower(): self.answer}
        if answer.lower() not in both:
            raise ValueError(
                f"normalize compares {self.answer!r} with {self.other!r}, and an answer is {answer!r}; score such "
                "questions with normalize=False"
            )
        return [(asked, answer), (asked, both[answer.lower()])]

    def combine(self, answers: Sequence[Tensor]) -> Tensor:
        """Log-probabilities of an answer's tokens are summed."""
        sums = [answer.sum() for answer in answers]
        return sums[0] - sums[1] if self.normalize else sums[0]

    def describe(self) -> dict[str, Any]:
        """Also the question and the answer."""
        score = f"log P({self.answer!r})" + (f" - log P({self.other!r})" if self.normalize else "")
        return super().describe() | {
            "score": score,
            "template": self.template,
            "prompt": self.ask(self.template),
        }
