"""From a question, an answer and a picture to a passage: by the model's own processor, its pictures prepared once.

The answer's tokens are those that it has after the prompt: prompt and answer are tokenized together, and where that
changes the end of the prompt, the changed end counts as the answer's beginning.
"""

from __future__ import annotations

import copy
from typing import Any

from PIL import Image
from torch import Tensor
from transformers import BatchFeature, PreTrainedConfig

from cacr.scorers.generative.passages import Passage, image_token
from cacr.scorers.generative.prompts import placeholder
from cacr.scorers.generative.splicing import Splicer, is_along

SUFFIX = ("paligemma",)
"""Families whose processor takes the answer apart from the prompt, which the model reads in both directions."""


class _PreparedOnce:
    """An image processor that gives again what it gave for the picture at hand."""

    def __init__(self, inner: Any):
        self._inner, self._given = inner, dict[str, BatchFeature]()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copying and pickling ask before there is an inner one
            raise AttributeError(name)
        return getattr(self.__dict__["_inner"], name)

    def __call__(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        key = repr((args, sorted(kwargs.items(), key=lambda item: item[0])))
        if key not in self._given:
            self._given[key] = self._inner(images, *args, **kwargs)
        return BatchFeature(dict(self._given[key]))

    def forget(self) -> None:
        self._given.clear()


class PassageWriter:
    """Writes passages for one model.

    Args:
        processor: The model's processor.
        config: The model's configuration.
        begins_answer: The decoder's first token, for a model with an encoder; None for a decoder alone.

    Raises:
        ValueError: A processor without a tokenizer or without an image processor.
    """

    def __init__(self, processor: Any, config: PreTrainedConfig, begins_answer: int | None = None):
        for part in ("tokenizer", "image_processor"):
            if getattr(processor, part, None) is None:
                raise ValueError(
                    f"{type(processor).__name__} has no {part}; a model that writes about pictures needs the whole "
                    "processor: AutoProcessor.from_pretrained(folder)"
                )
        self.processor = copy.copy(processor)
        self._pictures = _PreparedOnce(processor.image_processor)
        self.processor.image_processor = self._pictures
        self.tokenizer, self.config, self.begins_answer = processor.tokenizer, config, begins_answer
        self._image: Image.Image | None = None
        self._shown = 0
        self._seen: dict[str, Tensor] = {}
        self._prompts: dict[str, dict[str, Tensor]] = {}
        added = getattr(self.tokenizer, "added_tokens_decoder", {})
        special = {*self.tokenizer.all_special_ids, *(i for i, token in added.items() if token.special)}
        around = ("bos", "eos", "pad", "cls", "sep")
        if self.tokenizer.unk_token_id not in [getattr(self.tokenizer, f"{one}_token_id") for one in around]:
            special.discard(
                self.tokenizer.unk_token_id
            )  # a word; in OPT's and GPT-2's, also the end of a text
        self._special, self._splicer = special, Splicer(image_token(config), special)
        alone = list(self.tokenizer("a").input_ids)
        self._opening = next((i for i, token in enumerate(alone) if token not in special), 0)
        self._closing = next((i for i, token in enumerate(reversed(alone)) if token not in special), 0)

    def show(self, image: Image.Image) -> None:
        """From now on, passages are about this picture."""
        self._image = image
        self._shown += 1
        self._pictures.forget()
        self._prompts.clear()
        self._seen.clear()
        self._splicer.show()

    def write(self, prompt: str, answer: str) -> Passage:
        """The passage of a prompt, which holds the placeholder of the picture, and an answer.

        Raises:
            ValueError: An answer without a token, or a placeholder of a picture in a caption or an answer.
        """
        mark = placeholder(self.processor)
        if mark and (mark in answer or prompt.count(mark) > 1):
            raise ValueError(
                f"{prompt + answer!r}: {mark!r} stands for a picture; take it out of the caption"
            )
        known = self._splicer.passage(prompt, answer)
        if known is not None:
            return known
        if prompt not in self._prompts:
            self._prompts[prompt] = self._read(prompt)
        asked = self._prompts[prompt]
        passage = self._decoded(asked, answer) if self._has_encoder else self._joined(asked, prompt, answer)
        if not passage.answer or passage.start < 0:
            raise ValueError(
                f"the answer or caption {answer!r} has no token to score; expected a word or more"
            )
        self._splicer.learn(prompt, answer, passage)
        return passage

    @property
    def _has_encoder(self) -> bool:
        return self.begins_answer is not None

    def _joined(self, asked: dict[str, Tensor], prompt: str, answer: str) -> Passage:
        """The answer in the same row as the prompt."""
        if self.config.model_type in SUFFIX:
            full = self._read(prompt, suffix=answer)
            ids = full["input_ids"][0].tolist()
            ids = ids[:-1] if ids[-1] == self.tokenizer.eos_token_id else ids
        else:
            # nothing comes between a special token, such as one that ends the user's turn, and what is said after it
            ends = asked["input_ids"].numel() > 0 and int(asked["input_ids"][0, -1]) in self._special
            apart = not prompt or ends or prompt[-1].isspace() or answer[:1].isspace()
            full = self._read(prompt + ("" if apart else " ") + answer)
            ids = full["input_ids"][0].tolist()
        before = asked["input_ids"][0].tolist()
        same = next((i for i, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(before))
        cut = len(ids) - 1
        along = frozenset(name for name in full if is_along(name, full))
        inputs = {
            name: full[name][:, :cut] if name in along else values
            for name, values in (full | {name: asked[name] for name in full if name not in along}).items()
        }
        return Passage(inputs, along, tuple(ids[:cut]), same - 1, tuple(ids[same:]), about=(self._shown,))

    def _decoded(self, asked: dict[str, Tensor], answer: str) -> Passage:
        """The answer for a decoder, the prompt for an encoder. Special tokens around an answer are not counted."""
        assert self.begins_answer is not None
        ids = list(self.tokenizer(answer).input_ids)
        ids = ids[: len(ids) - self._closing]
        tokens = (self.begins_answer, *ids[:-1])
        name = "decoder_input_ids"
        inputs = {**asked, name: asked["input_ids"].new_tensor([tokens])}
        about = (self._shown, *asked["input_ids"][0].tolist())
        said = tuple(ids[self._opening :])
        return Passage(inputs, frozenset((name,)), tokens, self._opening, said, name, about)

    def _read(self, text: str, **kwargs: Any) -> dict[str, Tensor]:
        """What the processor makes of a text and the picture, without the special tokens that end a text."""
        if self._image is None:
            raise ValueError("no picture yet; call show(image) first")
        begin = self.tokenizer.bos_token
        own = bool(begin) and text.startswith(begin)  # a chat template that writes the beginning itself
        if own:
            kwargs["add_special_tokens"] = False
        read = dict(self.processor(text=[text], images=[self._image], return_tensors="pt", **kwargs))
        read.pop("labels", None)
        if not self._has_encoder and not own and "suffix" not in kwargs and self._ends(read):
            along = [name for name in read if is_along(name, read)]
            read |= {name: read[name][:, : -self._closing] for name in along}
        if self.config.model_type == "blip":
            # BLIP's captions begin with a token of their own, as in its generate()
            read["input_ids"] = read["input_ids"].clone()
            read["input_ids"][:, 0] = self.config.get_text_config().bos_token_id
        for name in read:
            if not is_along(name, read) and not name.startswith("qformer_"):
                # one copy of the picture for all captions
                read[name] = self._seen.setdefault(name, read[name])
        return read

    def _ends(self, read: dict[str, Tensor]) -> bool:
        """Whether the tokenizer ended the text with tokens of its own."""
        last = read["input_ids"][0, -self._closing :].tolist() if self._closing else []
        return bool(last) and set(last) <= self._special
