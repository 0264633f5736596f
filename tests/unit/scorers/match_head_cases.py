"""Every scorer of a matching head on a tiny model, with the model's own forward pass of a pair."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import transformers as T

from cacr.scorers.match_heads.blip import BlipScorer
from cacr.scorers.match_heads.blip2 import Blip2Scorer
from cacr.scorers.match_heads.bridgetower import BridgeTowerScorer
from cacr.scorers.match_heads.flava import FlavaScorer
from cacr.scorers.match_heads.lxmert import LxmertScorer
from cacr.scorers.match_heads.vilt import ViltScorer
from cacr.scorers.match_heads.visual_bert import VisualBertScorer
from cacr.tiny_models import processors, query_formers, single_stream, two_stream
from cacr.tiny_models._batches import seeded, tiny
from cacr.tiny_models.tokenizers import word_tokenizer


@seeded
def bridge_tower_contrastive():
    config = two_stream.bridge_tower().model.config
    config.contrastive_hidden_size, config.logit_scale_init_value = 16, 2.6592
    return tiny(T.BridgeTowerForContrastiveLearning(config))


def of_pixels(read, **options):
    """The plain forward pass of a pair of words and pixels, and what ``read`` takes of its output."""

    def alone(model, processor, caption, picture):
        return read(model(**processor(images=picture.image, text=caption, return_tensors="pt"), **options))

    return alone


def of_two_texts(read, **options):
    """The same for a processor that returns lists of lists."""

    def alone(model, processor, caption, picture):
        inputs = processor(images=[picture.image], text=[caption], return_tensors="pt")
        return read(model(**inputs, **options))

    return alone


def match(logits):
    """Log odds of the second of two classes."""
    return logits[0, 1] - logits[0, 0]


def bridge_tower_cosine(out):
    return (out.text_embeds @ out.image_embeds.T)[0, 0]


def lxmert(model, tokenizer, caption, picture):
    regions = picture.regions
    out = model(
        **tokenizer(caption, return_tensors="pt"),
        visual_feats=regions.features[None],
        visual_pos=regions.boxes01[None],
    )
    return match(out.cross_relationship_score)


def visual_bert(model, tokenizer, caption, picture):
    features = picture.regions.features[None]
    out = model(
        **tokenizer(caption, return_tensors="pt"),
        visual_embeds=features,
        visual_token_type_ids=torch.ones(features.shape[:2], dtype=torch.long),
    )
    return -match(out.seq_relationship_logits)


@dataclass(frozen=True)
class Case:
    """A scorer, a score of it, a tiny model, and the plain forward pass of a pair."""

    scorer: type
    score: str
    build: Callable
    processor: Callable
    alone: Callable
    head: str
    """Beginning of the names of the weights of the head."""

    def __call__(self):
        return self.scorer(self.build().model, self.processor(), score=self.score)


CASES = {
    "blip": Case(
        BlipScorer,
        "itm",
        two_stream.blip_itm,
        processors.blip,
        of_pixels(lambda out: match(out.itm_score)),
        "itm_head",
    ),
    "blip-itc": Case(
        BlipScorer,
        "itc",
        two_stream.blip_itm,
        processors.blip,
        of_pixels(lambda out: out.itm_score, use_itm_head=False),
        "text_proj",
    ),
    "blip2": Case(
        Blip2Scorer,
        "itm",
        query_formers.blip2_itm,
        processors.blip2,
        of_pixels(lambda out: match(out.logits_per_image), use_image_text_matching_head=True),
        "itm_head",
    ),
    "blip2-itc": Case(
        Blip2Scorer,
        "itc",
        query_formers.blip2_itm,
        processors.blip2,
        of_pixels(lambda out: out.logits_per_image, use_image_text_matching_head=False),
        "text_projection",
    ),
    "blip2-placeholders": Case(
        Blip2Scorer,
        "itm",
        query_formers.blip2_itm_placeholders,
        lambda: processors.blip2_placeholders(query_formers.QUERIES),
        of_two_texts(lambda out: match(out.logits_per_image), use_image_text_matching_head=True),
        "itm_head",
    ),
    "blip2-placeholders-itc": Case(
        Blip2Scorer,
        "itc",
        query_formers.blip2_itm_placeholders,
        lambda: processors.blip2_placeholders(query_formers.QUERIES),
        of_two_texts(lambda out: out.logits_per_image, use_image_text_matching_head=False),
        "text_projection",
    ),
    "vilt": Case(
        ViltScorer,
        "itm",
        single_stream.vilt,
        processors.vilt,
        of_pixels(lambda out: out.logits[0, 0]),
        "rank_output",
    ),
    "lxmert": Case(LxmertScorer, "itm", two_stream.lxmert, word_tokenizer, lxmert, "cls.seq_relationship"),
    "visual_bert": Case(
        VisualBertScorer,
        "itm",
        single_stream.visual_bert,
        word_tokenizer,
        visual_bert,
        "cls.seq_relationship",
    ),
    "bridgetower": Case(
        BridgeTowerScorer,
        "itm",
        two_stream.bridge_tower,
        processors.bridge_tower,
        of_pixels(lambda out: match(out.logits)),
        "itm_score",
    ),
    "bridgetower-itc": Case(
        BridgeTowerScorer,
        "itc",
        bridge_tower_contrastive,
        processors.bridge_tower,
        lambda model, *pair: of_pixels(bridge_tower_cosine)(model, *pair) * model.logit_scale.exp(),
        "itc_text_head",
    ),
    "flava": Case(
        FlavaScorer,
        "itm",
        single_stream.flava,
        processors.flava,
        of_pixels(lambda out: match(out.itm_logits), return_loss=False),
        "itm_head",
    ),
    "flava-itc": Case(
        FlavaScorer,
        "itc",
        single_stream.flava,
        processors.flava,
        of_pixels(lambda out: out.contrastive_logits_per_image, return_loss=False),
        "flava.text_projection",
    ),
}

OF_REGIONS = ("lxmert", "visual_bert")
OF_PIXELS = tuple(name for name in CASES if name not in OF_REGIONS)
