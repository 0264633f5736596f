"""The blind baseline: how plausible a caption is to a language model that sees no picture.

A benchmark whose wrong captions are odd sentences can be answered without looking; this shows how far one gets
(Hsieh et al. 2023, arXiv:2306.14610, on hackable negatives; Lin et al. 2023, arXiv:2306.01879, "blind" scores).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cacr._messages import unknown
from cacr.data.pairs import Answered, Picture
from cacr.scorers.encoded import Latest, ModelScorer
from cacr.scorers.generative.limits import check_length, position_limits
from cacr.scorers.generative.passages import Passage, log_probabilities, passage_bytes
from cacr.scorers.generative.prefixes import AHEAD
from cacr.scorers.loading import load_beside, load_whole
from cacr.scorers.placing import settle


class TextOnlyScorer(ModelScorer):
    """Log P of a caption under a causal language model; of an `Answered` one, log P of the answer after the question.

    Pictures are never read, and all of them score alike. With two captions and two pictures (Winoground) the pictures
    tie, which is wrong, so the image score is 0; the likelier caption wins for both, so text and group are 0 too.
    What it can solve are benchmarks with one picture and a wrong caption (SugarCrepe, ARO, VALSE).

    Args:
        model: A model made by ``AutoModelForCausalLM``; it is put into eval mode.
        tokenizer: Its tokenizer.
        name: For tables and records.
        memory: GiB that the activations of a forward pass may take, about. If None, what suits the device.
        pool: The mean over the caption's tokens or their sum. The sum prefers short captions.

    Raises:
        ValueError: A pool that is neither, memory of nothing, a tokenizer without a token that begins a text, or a
            model whose words see what follows them (BERT, RoBERTa: ``AutoModelForCausalLM`` opens these, too).
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        name: str = "",
        memory: float | None = None,
        pool: Literal["mean", "sum"] = "mean",
    ):
        super().__init__(model, name or f"{model.config.model_type}, text only", memory)
        if pool not in ("mean", "sum"):
            raise ValueError(unknown("pool", pool, ["mean", "sum"]))
        _refuse_seeing_ahead(model)
        begins = [tokenizer.bos_token_id, tokenizer.eos_token_id]
        self._begin = next((token for token in begins if token is not None), None)
        if self._begin is None:
            raise ValueError(
                "the tokenizer has neither bos_token nor eos_token, so nothing would come before a caption's first "
                "word; set tokenizer.bos_token"
            )
        self.tokenizer, self.pool = tokenizer, pool
        self._latest, self._limits = Latest(), position_limits(model)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        device: str | None = None,
        dtype: torch.dtype = torch.float32,
        **kwargs: Any,
    ) -> TextOnlyScorer:
        """From a folder or a name on the hub; on a GPU if there is one and none is named."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = settle(load_whole(AutoModelForCausalLM, folder, dtype), device)
        return cls(model, load_beside(AutoTokenizer, folder, "tokenizer"), **kwargs)

    def score_pairs(
        self, captions: Sequence[str], pictures: Sequence[Picture], rows: Tensor, columns: Tensor
    ) -> Tensor:
        """The plausibility of captions[rows[i]], whatever the picture: each caption is scored once."""
        plausible: Tensor = self._latest.of(captions, self._plausible)
        self.progress(len(rows))
        return plausible[rows]

    def _plausible(self, captions: Sequence[str]) -> Tensor:
        """Log P of each caption, the longest first, as many at a time as the memory holds: [caption]."""
        passages = [self._passage(caption) for caption in captions]
        order = sorted(range(len(passages)), key=lambda i: -len(passages[i].tokens))
        plausible = torch.empty(len(passages))
        pad = int(self.tokenizer.pad_token_id or 0)
        while order:
            room = self.memory * 2**30 / passage_bytes(self.model, passages[order[0]])
            some, order = order[: max(1, int(room))], order[max(1, int(room)) :]
            found = log_probabilities(self.model, [passages[i] for i in some], pad)
            for i, answer in zip(some, found, strict=True):
                plausible[i] = answer.mean() if self.pool == "mean" else answer.sum()
        return plausible

    def _passage(self, caption: str) -> Passage:
        before = caption.question if isinstance(caption, Answered) else ""
        prompt = [self._begin, *self.tokenizer(before, add_special_tokens=False).input_ids]
        ids = [self._begin, *self.tokenizer(str(caption), add_special_tokens=False).input_ids]
        same = next((i for i, (a, b) in enumerate(zip(prompt, ids, strict=False)) if a != b), len(prompt))
        if len(ids) <= same:
            raise ValueError(
                f"the answer or caption {caption!r} has no token to score; expected a word or more"
            )
        row = torch.tensor([ids[:-1]])
        inputs = {"input_ids": row, "attention_mask": torch.ones_like(row)}
        check_length(self.model, self._limits, inputs, str(caption))
        return Passage(inputs, frozenset(inputs), tuple(ids[:-1]), same - 1, tuple(ids[same:]))

    def describe(self) -> dict[str, Any]:
        """The model's class and size, the pool, and the token that a caption follows."""
        return super().describe() | {
            "score": {"mean": "log P(caption) per token", "sum": "log P(caption)"}[self.pool],
            "sees_pictures": False,
            "begins_with": self.tokenizer.convert_ids_to_tokens(self._begin),
        }


@torch.inference_mode()
def _refuse_seeing_ahead(model: PreTrainedModel) -> None:
    """Raises ValueError unless two rows that differ in their last token have equal logits before it."""
    words = int(model.config.get_text_config().vocab_size)
    row = [(words // 2 + i) % words for i in range(7)]
    ids = torch.tensor([row, [*row[:-1], words // 3]], device=model.device)
    one, another = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, :-1].float()
    apart = float((one - another).abs().max())
    # in half precision, experts that take other tokens together round a little differently
    rounding = 0.0 if model.dtype in (torch.float32, torch.float64) else 0.1 * float(one.std())
    if apart > max(AHEAD, rounding):
        raise ValueError(
            f"{type(model).__name__} sees the words that follow (another ending changes logits before it by "
            f"{apart:.2g}), so that it has no probability of a caption; give a causal language model, such as GPT-2 "
            "or Llama"
        )
