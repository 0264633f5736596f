"""Rebuild the starting checkpoint of the embedded world: a model that knows things and places and no relations.

Two objectives, as in UNITER: masked words, and matching against three wrong pictures or captions. Words of relations
are never masked and words of places often; no wrong pair speaks of the same two things; and three relations in ten
are stated the wrong way round, as web captions are loose with them. So the model learns what is where, and nothing
asks it how things stand to each other. It ends where the models of the paper are: it retrieves nearly all pictures
and takes relation swaps for the same sentence.

`PretrainConfig.mask_relations` masks the words of relations as well, for a start that was asked.

The shipped checkpoint: ``OMP_NUM_THREADS=1 cacr pretrain --out OUT``, about four minutes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.models.bert.modeling_bert import BertOnlyMLMHead

from cacr._files import write_whole
from cacr.data.scenes import COLORS, SEEDS, SHAPES, SceneCaptions, tokenizer
from cacr.data.scenes.features import FEATURES
from cacr.data.scenes.grammar import LONGEST, RELATION_WORDS, SPECIAL, WORDS, place_word
from cacr.data.scenes.world import OPPOSITE, Kind
from cacr.models.pairs import EncodedPairs
from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval, UniterProcessor

NEGATIVES = 3


@dataclass(frozen=True)
class PretrainConfig:
    """Pre-training of the small UNITER on scenes."""

    out: Path
    """A new folder for the model."""
    scenes: int = 20_000
    """Unrelated scenes to learn from."""
    steps: int = 1_800
    """Optimizer steps."""
    groups: int = 16
    """Pairs per step for matching, each beside three wrong ones."""
    masked: int = 96
    """Pairs per step for masked words."""
    untrue: float = 0.3
    """Chance that a relation in a caption to match is turned into its opposite; at 0.5 relations would tell nothing."""
    lr: float = 1e-3
    """Peak learning rate; 200 steps of warm-up, then linear to 0."""
    mask_relations: bool = False
    """Also mask words of relations, so that the start is asked how things stand to each other."""
    seed: int = 0
    """Of the weights, the order and the masks."""


def small_config() -> UniterConfig:
    """The architecture of the embedded world: 3 layers, 96 wide, 4 heads; 0.36 million parameters."""
    return UniterConfig(
        vocab_size=len(WORDS),
        hidden_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=384,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=LONGEST,
        region_dim=FEATURES,
        initializer_range=0.08,
        cls_token_id=WORDS.index("[CLS]"),
        sep_token_id=WORDS.index("[SEP]"),
        mask_token_id=WORDS.index("[MASK]"),
    )


def pretrain(config: PretrainConfig, progress: Callable[[int], None] = lambda step: None) -> Path:
    """Train from scratch and write model and processor to ``config.out``.

    Raises:
        FileExistsError: The folder exists.
        NotWritten: The disk refused it.
    """
    if config.out.exists():
        raise FileExistsError(f"{config.out} exists and is not overwritten; give a new folder")
    torch.manual_seed(config.seed)
    scenes = SceneCaptions(SEEDS["pretrain"], config.scenes)
    processor = UniterProcessor(tokenizer(), max_text_length=LONGEST)
    pairs = EncodedPairs(processor, scenes.captions, [s.regions for s in scenes.scenes])
    model = UniterForImageTextRetrieval(small_config())
    words = BertOnlyMLMHead(model.config)
    words.predictions.decoder.weight = model.uniter.embeddings.word_embeddings.weight
    _spread_positions(model, pairs)
    weights = list({id(p): p for p in [*model.parameters(), *words.parameters()]}.values())
    optimizer = torch.optim.AdamW(weights, lr=config.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 200) * (1 - step / config.steps)
    )
    draw = _Draw(config, pairs.text["input_ids"], [{s.claim.first, s.claim.second} for s in scenes.scenes])
    model.train()
    for step in range(config.steps):
        some, ids, targets = draw.masked_words()
        captions, pictures = draw.matching(caption_anchored=step % 2 == 1)
        inputs = pairs.inputs(torch.cat([some, captions]), torch.cat([some, pictures]))
        inputs["input_ids"][: config.masked] = ids
        inputs["input_ids"][config.masked :] = draw.untrue(inputs["input_ids"][config.masked :])
        out = model.uniter(**inputs)
        match = model.rank_output(out.pooler_output[config.masked :]).view(config.groups, 1 + NEGATIVES)
        truth = F.one_hot(torch.zeros(config.groups, dtype=torch.long), 1 + NEGATIVES).float()
        guesses = words(out.last_hidden_state[: config.masked, : ids.shape[1]])
        loss = F.cross_entropy(match, truth) + F.binary_cross_entropy_with_logits(match, truth)
        loss = loss + F.cross_entropy(guesses.flatten(0, 1), targets.flatten(), ignore_index=-100)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        progress(step + 1)

    def save(folder: Path) -> None:
        model.eval().save_pretrained(folder)
        processor.save_pretrained(folder)

    write_whole(config.out, save)
    return config.out


def _spread_positions(model: UniterForImageTextRetrieval, pairs: EncodedPairs) -> None:
    """Start the box numbers centred and at unit spread; they are far from either."""
    seen = pairs.regions["region_positions"][pairs.regions["region_mask"].bool()]
    linear = model.uniter.region_embeddings.position_linear
    with torch.no_grad():
        linear.weight.copy_(0.5 * torch.randn_like(linear.weight) / seen.std(0))
        linear.bias.copy_(-linear.weight @ seen.mean(0))


class _Draw:
    """What each step sees."""

    def __init__(self, config: PretrainConfig, ids: Tensor, named: list[set[Kind]]):
        self.config, self.ids, self.named = config, ids, named
        self.rng, self.generator = random.Random(config.seed), torch.Generator().manual_seed(config.seed)
        self.place_ids = torch.tensor([i for i, word in enumerate(WORDS) if place_word(word)])
        self.relation_ids = torch.tensor([WORDS.index(word) for word in RELATION_WORDS])
        self.opposite = torch.arange(len(WORDS))
        for relation, other in OPPOSITE.items():
            self.opposite[WORDS.index(relation.split()[0])] = WORDS.index(other.split()[0])
        self.lookalikes = [_lookalikes(ids, tuple(names)) for names in (COLORS, SHAPES)]

    def masked_words(self) -> tuple[Tensor, Tensor, Tensor]:
        """Pairs, their ids with masks, and the words to guess (-100 elsewhere)."""
        some = torch.tensor([self.rng.randrange(len(self.ids)) for _ in range(self.config.masked)])
        ids = self.ids[some]
        tells_place = (ids == WORDS.index("at")).any(1, keepdim=True)
        chance = torch.where(torch.isin(ids, self.place_ids) & tells_place, 0.7, 0.15)
        hidden = torch.rand(ids.shape, generator=self.generator) < chance
        hidden &= ids >= len(SPECIAL)
        if not self.config.mask_relations:
            hidden &= tells_place | ~torch.isin(ids, self.relation_ids)
        return some, torch.where(hidden, WORDS.index("[MASK]"), ids), torch.where(hidden, ids, -100)

    def matching(self, caption_anchored: bool) -> tuple[Tensor, Tensor]:
        """Groups of a true pair and three wrong ones: one at random, one with its colors, one with its shapes."""
        own, other = [], []
        for _ in range(self.config.groups):
            anchor = self.rng.randrange(len(self.ids))
            pools = [range(len(self.ids)), *(alike[anchor] for alike in self.lookalikes)]
            wrong = [self._of_other_things(anchor, pool) for pool in pools]
            own += [anchor] * (1 + NEGATIVES)
            other += [anchor, *wrong]
        anchors, others = torch.tensor(own), torch.tensor(other)
        return (anchors, others) if caption_anchored else (others, anchors)

    def untrue(self, ids: Tensor) -> Tensor:
        """Captions of relations, some turned into their opposites."""
        opposite = self.opposite[ids]
        turned = torch.rand(len(ids), 1, generator=self.generator) < self.config.untrue
        return torch.where(turned & ~(ids == WORDS.index("at")).any(1, keepdim=True), opposite, ids)

    def _of_other_things(self, anchor: int, pool: Sequence[int]) -> int:
        for _ in range(20):
            other = self.rng.choice(pool)
            if self.named[other] != self.named[anchor]:
                return other
        return self.rng.randrange(len(self.ids))


def _lookalikes(ids: Tensor, names: tuple[str, ...]) -> list[list[int]]:
    """For each caption, those with the same two colors (or shapes): a bag of attributes tells them apart."""
    wanted = torch.tensor([WORDS.index(name) for name in names])
    pair = torch.where(torch.isin(ids, wanted), ids, 0).sort(1).values[:, -2:]
    _, group = torch.unique(pair, dim=0, return_inverse=True)
    members: dict[int, list[int]] = {}
    for caption, kind in enumerate(group.tolist()):
        members.setdefault(kind, []).append(caption)
    return [members[kind] for kind in group.tolist()]
