"""The releases' flaws are repeated on request, exactly, and never otherwise."""

from dataclasses import replace

import pytest
import torch

from cacr.data.scenes import SceneCaptions
from cacr.models.pairs import paired
from cacr.training import GroupCollator, GroupDataset, TrainConfig
from cacr.training.release import release_indices
from cacr.training.run import arguments
from cacr.training.start import starting_model
from cacr.training.trainer import RetrievalTrainer

CONFIG = TrainConfig(loss="none", scenes=16, steps=2, batch=2, candidates=5, negatives=3)


def trainer(config, tmp_path):
    pairs = SceneCaptions(7, 16, alike=4)
    model, processor = starting_model(config, pairs)
    config = replace(config, out=tmp_path / "run")
    items = GroupDataset(pairs, 4, config.candidates)
    collator = GroupCollator(pairs, processor)
    made = RetrievalTrainer(
        recipe=config, processor=processor, model=model, args=arguments(config), train_dataset=items
    )
    return made, collator([items[0], items[1]])


def gathered_as_released(model, batch, group):
    """A group's scores as the releases compute them: compacted by gather indices made with the last length."""
    captions, images = batch["captions"][group], batch["images"][group]
    text = {name: values[captions] for name, values in batch["text"].items()}
    lengths = text["attention_mask"].sum(1).tolist()
    longest, regions = max(lengths), int(batch["regions"]["region_mask"][images[0]].sum())
    words = model.uniter.embeddings(text["input_ids"][:, :longest])
    picture = {name: values[images][:, :regions] for name, values in batch["regions"].items()}
    modality = model.uniter.embeddings.token_type_embeddings.weight[1]
    seen = model.uniter.region_embeddings(picture["region_features"], picture["region_positions"], modality)
    both = torch.cat([words, seen], 1)
    scores = []
    for row, length in enumerate(lengths):
        index = torch.arange(longest + regions)
        index[length : length + regions] = torch.arange(lengths[-1], lengths[-1] + regions)
        compact = both[row : row + 1, index[: length + regions]]
        hidden = model.uniter.encoder(compact, attention_mask=None).last_hidden_state
        scores.append(model.rank_output(model.uniter.pooler(hidden))[0, 0])
    return torch.stack(scores)


@torch.no_grad()
def test_image_anchored_groups_are_indexed_as_the_releases_do(tmp_path):
    made, batch = trainer(replace(CONFIG, reproduce_release_indexing=True), tmp_path)
    model = made.model.eval()
    index = release_indices(batch)
    lengths = batch["text"]["attention_mask"].sum(1)[batch["captions"]]
    assert (lengths[:2].amax(1) != lengths[:2, -1]).any()  # else there would be nothing to see
    ours = made._mine(model, batch, index)
    for group in range(2):
        torch.testing.assert_close(ours[group], gathered_as_released(model, batch, group), atol=2e-5, rtol=0)
    right = made._mine(model, batch)
    assert (ours[:2] - right[:2]).abs().max() > 1e-3  # the flaw matters
    torch.testing.assert_close(ours[2:], right[2:], atol=2e-5, rtol=0)  # text-anchored groups are right


def test_what_is_learned_from_is_indexed_as_what_was_mined(tmp_path):
    made, batch = trainer(replace(CONFIG, dropout=0.0, reproduce_release_indexing=True), tmp_path)
    index, chosen = release_indices(batch), torch.tensor([[0, 5, 2], [0, 1, 3], [0, 4, 1], [0, 2, 5]])
    learned, _ = made._learn(made.model.train(), batch, chosen, index)
    mined = made._mine(made.model, batch, index).gather(1, chosen)
    torch.testing.assert_close(learned.float(), mined, atol=2e-5, rtol=0)
    right, _ = made._learn(made.model, batch, chosen)
    assert (learned[:2] - right[:2]).abs().max() > 1e-3
    learned.sum().backward()
    assert made.model.rank_output.weight.grad.abs().sum() > 0


@torch.no_grad()
def test_a_pair_is_mined_once_and_its_score_is_that_of_the_pair_alone(tmp_path):
    made, batch = trainer(CONFIG, tmp_path)
    model = made.model.eval()
    every = torch.stack([batch["captions"], batch["images"]], -1).flatten(0, 1)
    assert batch["pairs"].shape[1] == len(every.unique(dim=0)) < len(every)
    found = made._mine(model, batch)
    for group, place in ((0, 0), (1, 3), (3, 5)):
        rows = batch["captions"][group, place][None], batch["images"][group, place][None]
        one = model(**paired(made.processor, batch["text"], batch["regions"], *rows)).rank_scores[0, 0]
        torch.testing.assert_close(found[group, place], one, atol=1e-5, rtol=0)


def test_the_releases_weight_is_the_schedules_times_the_batch(tmp_path):
    plain, _ = trainer(replace(CONFIG, loss="cacr", weight=0.5, accumulate=3), tmp_path)
    released, _ = trainer(
        replace(CONFIG, loss="cacr", weight=0.5, accumulate=3, reproduce_release_weight=True), tmp_path
    )
    assert released.regularizer.weight == plain.regularizer.weight * 6


def test_the_flaw_of_indexing_belongs_to_plain_uniter():
    with pytest.raises(ValueError, match="index wrongly only without an attention loss"):
        replace(CONFIG, loss="cacr", reproduce_release_indexing=True)
