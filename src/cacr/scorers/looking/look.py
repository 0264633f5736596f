"""Look at a pair: run a scorer's whole model, watched, and say what the attention's rows and columns stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from cacr.attention import AttentionBlocks, watch
from cacr.attention.attended import BLANK, Attended
from cacr.attention.choices import innermost
from cacr.attention.cut import BLOCKS
from cacr.attention.layouts import Layout, layout_for
from cacr.data import Scorer
from cacr.data.pairs import Answered, Picture
from cacr.scorers.looking.pair import Pair, Seen, Words
from cacr.scorers.regions import RegionScorer

Layers = str | int | Sequence[int]
MOST = 64
"""Pairs of one forward pass of `look_many`, at most."""


def look(
    scorer: Scorer,
    caption: str,
    picture: Picture,
    layers: Layers = "all",
    heads: str = "each",
    match: bool = True,
) -> Attended:
    """The attention of a caption and a picture in a scorer's model, with its tokens, regions and match.

    Args:
        scorer: Of any family whose model `cacr.watch` supports.
        caption: The caption; of a question with its answer, the question's words count.
        picture: With what the model reads, regions or pixels.
        layers: "all", "last", a number from 0 or from -1, or several.
        heads: "each", or "mean", which takes less memory.
        match: Whether the pair's match is asked for too, which runs the model once more; without, it is None.

    Raises:
        ValueError: A scorer whose model has no text-image attention, a layer that it does not have, a caption
            without a word, or a picture without what the model reads.

    Examples:
        >>> from cacr.scorers import open_scorer
        >>> from cacr.data.scenes import scene
        >>> from cacr.data.pairs import Picture
        >>> one = scene(0, 0)
        >>> looked = look(open_scorer("scenes-start"), one.caption, Picture("0", lambda: one.regions), layers="last")
        >>> looked.regions == len(one.regions) and " ".join(looked.tokens) == one.caption
        True
    """
    if why := can_look(scorer):
        raise ValueError(why)
    _refuse_empty([caption])
    if isinstance(scorer, RegionScorer):
        return _region_batch(scorer, [caption], [picture], layers, heads, match)[0]
    pair = _pair(scorer, caption, picture)
    _refuse_wordless([caption], [pair.words])
    blocks = _watched(scorer, pair.inputs, pair.words.mask, layers, heads, pair.layout, pair.region_mask)
    score = float(scorer.match([caption], [picture])[0]) if match else None
    return _attended(scorer, caption, pair.words, pair.seen, blocks, score)


def look_many(
    scorer: Scorer,
    captions: Sequence[str],
    pictures: Sequence[Picture],
    layers: Layers = "all",
    heads: str = "each",
    match: bool = True,
) -> Iterator[Attended]:
    """`look` at caption i with picture i, one after the other; models of regions take several pairs at a time.

    Args:
        scorer: As for `look`, like all that is not named here.
        captions: One a pair.
        pictures: One a pair.
        layers: As for `look`.
        heads: As for `look`.
        match: As for `look`.

    Raises:
        ValueError: Different numbers of both, or as `look`.
    """
    if len(captions) != len(pictures):
        raise ValueError(
            f"{len(captions)} captions and {len(pictures)} pictures; expected one picture a caption"
        )
    if why := can_look(scorer):
        raise ValueError(why)
    if not isinstance(scorer, RegionScorer):
        return (look(scorer, c, p, layers, heads, match) for c, p in zip(captions, pictures, strict=True))
    return _batches(scorer, captions, pictures, layers, heads, match)


def can_look(scorer: Scorer) -> str | None:
    """None where `look` can look into the scorer's model; otherwise the sentence that says why not."""
    from cacr.scorers.generative.scorer import GenerativeScorer
    from cacr.scorers.generative.text_only import TextOnlyScorer
    from cacr.scorers.looking.writing import why_not
    from cacr.scorers.match_heads.heads import MatchHeadScorer

    model: Any = getattr(scorer, "model", None)
    if model is None or isinstance(scorer, TextOnlyScorer):
        return (
            f"{scorer.name} looks at no picture, so it has no attention between words and regions to look at"
        )
    try:
        layout_for(innermost(model))
    except ValueError as error:
        return str(error)
    if isinstance(scorer, MatchHeadScorer) and scorer.score == "itc":
        return (
            f'the score "itc" of {scorer.name} compares caption and picture after each was encoded alone: there is no '
            'attention between them. Open it with score="itm"'
        )
    if isinstance(scorer, GenerativeScorer):
        return why_not(scorer)
    if not isinstance(scorer, RegionScorer | MatchHeadScorer):
        return (
            f"{scorer.name} is a {type(scorer).__name__}, of which cacr does not know what its model reads of a pair; "
            "use cacr.watch on the model"
        )
    return None


def _pair(scorer: Any, caption: str, picture: Picture) -> Pair:
    from cacr.scorers.generative.scorer import GenerativeScorer
    from cacr.scorers.looking.match_heads import head_pair
    from cacr.scorers.looking.writing import writing_pair

    with torch.no_grad():
        make = writing_pair if isinstance(scorer, GenerativeScorer) else head_pair
        return make(scorer, caption, picture)


def _batches(
    scorer: RegionScorer,
    captions: Sequence[str],
    pictures: Sequence[Picture],
    layers: Layers,
    heads: str,
    match: bool,
) -> Iterator[Attended]:
    config = scorer.model.config
    longest = scorer.processor.max_text_length
    each = scorer.pair_bytes(longest, 100) * config.num_hidden_layers
    step = min(MOST, max(1, int(scorer.memory * 2**30 / each)))
    for start in range(0, len(captions), step):
        some = slice(start, start + step)
        yield from _region_batch(scorer, captions[some], pictures[some], layers, heads, match)


def _region_batch(
    scorer: RegionScorer,
    captions: Sequence[str],
    pictures: Sequence[Picture],
    layers: Layers,
    heads: str,
    match: bool,
) -> list[Attended]:
    from cacr.scorers.looking.regions import region_batch

    _refuse_empty(captions)
    with torch.no_grad():
        inputs, mask, words, seen = region_batch(scorer, captions, pictures)
    _refuse_wordless(captions, words)
    blocks = _watched(scorer, inputs, mask, layers, heads)
    matches = scorer.match(captions, pictures).tolist() if match else [None] * len(captions)
    return [
        _attended(
            scorer,
            caption,
            words[row],
            seen[row],
            {layer: _alone(some, row) for layer, some in blocks.items()},
            matches[row],
        )
        for row, caption in enumerate(captions)
    ]


def _refuse_wordless(captions: Sequence[str], words: Sequence[Words]) -> None:
    for caption, own in zip(captions, words, strict=True):
        if all(token == BLANK for token in own.tokens):
            raise ValueError(_wordless(caption))


def _refuse_empty(captions: Sequence[str]) -> None:
    """Before a model's own processor says something else about it."""
    for caption in captions:
        said = caption.question if isinstance(caption, Answered) else caption
        if not said.strip():
            raise ValueError(_wordless(caption))


def _wordless(caption: str) -> str:
    return f"the caption {str(caption)!r} has no word to look at; expected one or more"


@torch.no_grad()  # not inference mode: what comes out may be used where gradients are on
def _watched(
    scorer: Any,
    inputs: Mapping[str, Any],
    text_mask: Tensor,
    layers: Layers,
    heads: str,
    layout: str | Layout = "auto",
    region_mask: Tensor | None = None,
) -> dict[int, AttentionBlocks]:
    """Blocks of each layer, on the CPU."""
    regions = None if region_mask is None else lambda inputs: region_mask
    options = {"layout": layout, "heads": heads, "region_mask": regions}
    with watch(scorer.model, layer=layers, text_mask=lambda inputs: text_mask, **options) as attention:
        scorer.model(**inputs)
        return {layer: _on_cpu(attention.blocks(layer)) for layer in attention.layers}


def _on_cpu(blocks: AttentionBlocks) -> AttentionBlocks:
    values = {f.name: getattr(blocks, f.name) for f in fields(blocks)}
    moved: dict[str, Any] = {k: v.cpu() if isinstance(v, Tensor) else v for k, v in values.items()}
    return AttentionBlocks(**moved)


def _alone(blocks: AttentionBlocks, row: int) -> AttentionBlocks:
    """One example of a batch, without its padding."""
    one = blocks[row : row + 1]
    ends = {"l": int(one.text_mask.sum()), "v": int(one.region_mask.sum())}

    def cut(name: str) -> Tensor | None:
        block = getattr(one, name)
        return None if block is None else block[..., : ends[name[0]], : ends[name[1]]].clone()

    parts: dict[str, Any] = {name: cut(name) for name in (*BLOCKS, "ll_support", "vv_support")}
    return AttentionBlocks(
        **parts,
        space=one.space,
        text_mask=one.text_mask[:, : ends["l"]],
        region_mask=one.region_mask[:, : ends["v"]],
    )


def _attended(
    scorer: Scorer,
    caption: str,
    words: Words,
    seen: Seen,
    blocks: Mapping[int, AttentionBlocks],
    match: float | None,
) -> Attended:
    return Attended(
        model=scorer.name,
        caption=str(caption),
        tokens=words.tokens,
        blocks=blocks,
        image=seen.image,
        boxes01=seen.boxes01,
        grid=seen.grid,
        spans=words.spans,
        region_names=seen.names,
        match=match,
    )
