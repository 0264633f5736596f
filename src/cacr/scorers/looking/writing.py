"""Pairs of models that write: the passage that is scored, with the caption's last token, and the caption's place in it.

    likelihood   [ picture … "describe the picture" … | CAPTION ]         the caption is the answer
    VQAScore     [ picture … "does this figure show" CAPTION "?" | yes ]   the caption is in the question

A model with an encoder (Florence-2, BLIP-2 with T5) has its text-image attention there: the question's words.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cacr.attention.layouts import Layout
from cacr.attention.layouts.decoders import LAYOUTS, PALIGEMMA_SUFFIX
from cacr.data.pairs import Answered, Picture
from cacr.scorers.generative.likelihood import LikelihoodScorer
from cacr.scorers.generative.limits import check_length
from cacr.scorers.generative.passage_writing import SUFFIX
from cacr.scorers.generative.passages import Passage, batched, image_token, keeping
from cacr.scorers.generative.scorer import GenerativeScorer
from cacr.scorers.looking.pair import Pair, Spans, Words
from cacr.scorers.looking.places import seen_by
from cacr.scorers.looking.words import readable, special_ids, trimmed

INSTRUCTION = "qformer_input_ids"


def why_not(scorer: GenerativeScorer) -> str | None:
    """Why a scorer that writes cannot be looked into, if so."""
    if isinstance(scorer, LikelihoodScorer) and scorer.writer.begins_answer is not None:
        return (
            f"{scorer.name} reads the picture in an encoder, and its likelihood puts the caption into the decoder, "
            "whose words never share an attention with the picture. Open it with "
            'score="vqascore", which puts the caption into the encoder\'s question'
        )
    return None


def writing_pair(scorer: GenerativeScorer, caption: str, picture: Picture) -> Pair:
    """A pair for the whole model of a scorer that writes.

    Raises:
        ValueError: A caption that is not found again in what the model reads, or one that is too long.
    """
    prompt, answer = scorer.passages(caption)[0]
    scorer.writer.show(picture.image)
    passage = scorer.writer.write(prompt, answer)
    check_length(scorer.model, scorer._limits, passage.inputs, caption)
    said = isinstance(scorer, LikelihoodScorer) and not isinstance(caption, Answered)
    inputs = batched(scorer.model, [_with_last(passage) if said else passage])
    layout, name = _layout(scorer, said)
    ids = inputs[name][0].tolist()
    if said:
        text, begin = _said(scorer, prompt, caption)
        found, spans = _place(scorer, ids, text, begin, caption, passage.answer)
    else:
        asked = caption.question if isinstance(caption, Answered) else caption
        found, spans = _place(scorer, ids, prompt, _begin(scorer, caption, prompt, asked), asked)
    special = set(special_ids(scorer.writer.tokenizer).tolist())
    words = [i for i, place in enumerate(found) if ids[place] not in special]
    found, spans = [found[i] for i in words], None if spans is None else [spans[i] for i in words]
    mask = torch.zeros(1, len(ids), dtype=torch.bool, device=scorer.model.device)
    mask[0, found] = True
    tokens = readable(scorer.writer.tokenizer, [ids[i] for i in found], caption, spans)
    seen = seen_by(scorer.model, scorer.processor, inputs, picture.image)
    regions = None if seen.keep is None else _regions(scorer, inputs, seen.keep.to(scorer.model.device))
    given = {**inputs, **keeping(scorer.model, 1)}
    return Pair(given, Words(mask, tokens, spans), seen, regions, layout)


def _layout(scorer: GenerativeScorer, said: bool) -> tuple[str | Layout, str]:
    """The layout, and the name of the text that it counts.

    PaliGemma's answer is a suffix, which the picture cannot see; InstructBLIP's caption is read by its language model.
    """
    kind = scorer.model.config.model_type
    if kind == "paligemma" and said:
        return PALIGEMMA_SUFFIX, "input_ids"
    if kind == "instructblip":
        language = LAYOUTS[kind][1]
        return (language, "input_ids") if language.fits(scorer.model) else ("auto", INSTRUCTION)
    return "auto", "input_ids"


def _with_last(passage: Passage) -> Passage:
    """The passage with the answer's last token, which is scored and not read."""
    inputs = dict(passage.inputs)
    for name in passage.along:
        last = inputs[name][:, -1:]
        if name == passage.reads:
            last = torch.full_like(last, passage.answer[-1])
        inputs[name] = torch.cat([inputs[name], last], 1)
    return Passage(
        inputs, passage.along, (*passage.tokens, passage.answer[-1]), passage.start, passage.answer
    )


def _said(scorer: GenerativeScorer, prompt: str, caption: str) -> tuple[str, int]:
    """The text in which the caption is tokenized, and where it begins there."""
    if scorer.model.config.model_type in SUFFIX or not prompt:
        return caption, 0
    apart = prompt[-1].isspace() or caption[:1].isspace() or prompt.endswith(_specials(scorer))
    text = prompt + ("" if apart else " ") + caption
    return text, len(text) - len(caption)


def _specials(scorer: GenerativeScorer) -> tuple[str, ...]:
    """Special tokens as texts: no blank is put between one and what is said after it."""
    tokenizer = scorer.writer.tokenizer
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return (*tokenizer.all_special_tokens, *(str(one) for one in added.values() if one.special))


def _begin(scorer: GenerativeScorer, caption: str, prompt: str, asked: str) -> int:
    """Where in a prompt the caption stands: taken out there, it leaves the prompt of an empty caption."""
    without = scorer.ask("") if isinstance(caption, Answered) else scorer.passages("")[0][0]
    begin = prompt.find(asked)
    while begin >= 0 and prompt[:begin] + prompt[begin + len(asked) :] != without:
        begin = prompt.find(asked, begin + 1)
    return begin if begin >= 0 else prompt.rfind(asked)


def _place(
    scorer: GenerativeScorer,
    ids: Sequence[int],
    text: str,
    begin: int,
    caption: str,
    answer: Sequence[int] = (),
) -> tuple[list[int], Spans]:
    """The places of a caption's tokens among ``ids``, and the characters of each.

    Args:
        scorer: For its tokenizer.
        ids: What the model reads.
        text: What was tokenized, the caption within it.
        begin: The caption's first character in ``text``.
        caption: The caption or question alone.
        answer: The caption's tokens at the end of ``ids``, where it is the answer.
    """
    tokenizer = scorer.writer.tokenizer
    if begin >= 0 and tokenizer.is_fast:
        out = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        tokens, offsets = list(out["input_ids"]), out["offset_mapping"]
        end = begin + len(caption)
        own = [
            i
            for i, (a, b) in enumerate(offsets)
            if min(b, end) > max(a, begin) or (a == b and begin < a < end)
        ]
        place = image_token(scorer.model.config)
        first = max((i + 1 for i, token in enumerate(tokens) if token == place), default=0)
        for start in (first, own[0]) if own else ():  # with the words between picture and caption, or without
            run = tokens[start : own[-1] + 1]
            at = _last(ids, run)
            if at >= 0:
                inside = [(max(offsets[i][0], begin) - begin, min(offsets[i][1], end) - begin) for i in own]
                return [at + i - start for i in own], [trimmed(caption, *one) for one in inside]
    for run in (
        list(answer),
        tokenizer(" " + caption, add_special_tokens=False).input_ids,
        tokenizer(caption, add_special_tokens=False).input_ids,
    ):
        at = _last(ids, run)
        if at >= 0:
            return list(range(at, at + len(run))), None
    raise ValueError(
        f"the tokens of {caption!r} are not found in what {scorer.name} reads of {text!r}; leave out a prompt or "
        "template of your own that changes the caption"
    )


def _last(ids: Sequence[int], run: Sequence[int]) -> int:
    """Where ``run`` begins in ``ids`` for the last time; -1 where it does not occur, or is empty."""
    starts = range(len(ids) - len(run), -1, -1) if run else ()
    return next((at for at in starts if list(ids[at : at + len(run)]) == list(run)), -1)


def _regions(scorer: GenerativeScorer, inputs: dict[str, Tensor], keep: Tensor) -> Tensor:
    """[1, token], True at the kept places of the picture."""
    image = torch.isin(inputs["input_ids"], torch.tensor([image_token(scorer.model.config)]).to(keep.device))
    return image.masked_scatter(image, keep)
