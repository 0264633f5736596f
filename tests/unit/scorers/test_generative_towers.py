"""The vision tower sees a picture once if its tensors follow the batch's rows, and is left alone if they do not."""

from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from transformers.modeling_outputs import BaseModelOutput

from cacr.scorers.generative import towers
from cacr.scorers.generative.likelihood import LikelihoodScorer
from cacr.scorers.generative.passages import Passage, log_probabilities
from cacr.tiny_models import TINY
from cacr.tiny_models.chat_processors import WRITING

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
TEXTS = [[20, 21, 22, 23], [20, 21, 30], [40, 41, 42, 43, 44], [20, 21, 50]]


@contextmanager
def pictures_through(tower):
    seen: list[int] = []
    first = next(module for module in tower.modules() if isinstance(module, nn.Conv2d))
    hook = first.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    try:
        yield seen
    finally:
        hook.remove()


@pytest.fixture(scope="module")
def mistral3():
    """The tiny model, and passages of its two pictures (the second is narrower) with four texts each."""
    tiny = TINY["mistral3"]()
    model, inputs = tiny.model, tiny.inputs
    passages = []
    for picture, length in enumerate((8, 6)):
        before = inputs["input_ids"][picture, :length].tolist()
        for text in TEXTS:
            ids = torch.tensor([[*before, *text]])
            read = {"input_ids": ids[:, :-1], "attention_mask": torch.ones_like(ids[:, :-1])}
            seen = {name: inputs[name][picture : picture + 1] for name in ("pixel_values", "image_sizes")}
            tokens = tuple(ids[0, :-1].tolist())
            about, start = (picture,), length - 1
            passages.append(Passage(read | seen, frozenset(read), tokens, start, tuple(text), about=about))
    return model, passages


def plain(model, passage):
    logits = model(**passage.inputs).logits[0, passage.start :].log_softmax(-1)
    return logits[range(len(passage.answer)), list(passage.answer)]


@torch.no_grad()
@pytest.mark.parametrize("chosen", [[0, 1, 2, 3], [0, 1, 4, 5], [5, 0, 7, 2, 6], [0, 4]])
def test_pictures_that_share_a_row_of_pixtral_are_read_as_in_the_plain_forward_pass(mistral3, chosen):
    model, passages = mistral3
    latest = towers.LatestPicture()
    for _ in range(2):
        found = log_probabilities(model, [passages[i] for i in chosen], latest=latest)
        for i, one in zip(chosen, found, strict=True):
            assert_close(one, plain(model, passages[i]), rtol=0, atol=1e-5)


class Tower(nn.Module):
    """Features of a picture, with the sizes of pictures if given; ``joined`` puts all pictures into one row."""

    def __init__(self, joined=False):
        super().__init__()
        self.joined, self.rows = joined, []

    def forward(self, pixel_values, image_sizes=None, masks=None):
        self.rows.append(len(pixel_values))
        features = pixel_values.flatten(1)
        if image_sizes is not None:
            features = features * image_sizes
        return (features[None] if self.joined else features, [features.mean(1)])


class Sees(nn.Module):
    def __init__(self, joined=False):
        super().__init__()
        self.vision_tower = Tower(joined)


PIXELS = torch.arange(3.0)[[0, 0, 1, 2, 1], None, None, None].expand(5, 1, 1, 2)


def test_tensors_beside_the_pixels_are_cut_with_them():
    model, sizes = Sees(), torch.tensor([[2.0], [2.0], [3.0], [4.0], [3.0]])
    expected = model.vision_tower(PIXELS, sizes)
    for each in range(2):
        model.vision_tower.rows.clear()
        with towers.each_picture_once(model, [0, 0, 1, 2, 1]):
            found = model.vision_tower(PIXELS, image_sizes=sizes)
        assert torch.equal(found[0], expected[0]) and torch.equal(found[1][0], expected[1][0])
        assert model.vision_tower.rows == ([3] if each else [2, 3]), "two rows show once what it gives a row"


@pytest.mark.parametrize(
    ("model", "sizes"),
    [(Sees(joined=True), None), (Sees(), torch.tensor(2.0)), (Sees(), torch.ones(1, 2))],
)
def test_a_tower_is_left_alone_if_a_tensor_does_not_follow_the_rows(model, sizes):
    expected = model.vision_tower(PIXELS, sizes)[0]
    with towers.each_picture_once(model, [0, 0, 1, 2, 1], towers.LatestPicture()):
        assert torch.equal(model.vision_tower(PIXELS, sizes)[0], expected)
    assert model.vision_tower.rows[-1] == 5


def test_it_leaves_no_trace_on_the_tower():
    model = Sees()
    with pytest.raises(RuntimeError, match="stop"), towers.each_picture_once(model, [0, 0]):
        raise RuntimeError("stop")
    assert "forward" not in vars(model.vision_tower)


def test_the_last_picture_of_a_batch_is_not_seen_again_in_the_next():
    model, latest = Sees(), towers.LatestPicture()
    model.vision_tower(PIXELS)
    for pictures, seen in (
        ([0, 0, 1], [2, 2]),
        ([1, 1, 1], []),
        ([1, 2, 2], [1]),
        ([0, 2, 0], [1]),
        ([2], [1]),
        ([1, 2], [1]),
        ([2, 2], []),
    ):
        rows = torch.tensor(pictures, dtype=torch.float)[:, None, None, None].expand(-1, 1, 1, 2)
        expected = model.vision_tower(rows)[0]
        model.vision_tower.rows.clear()
        with towers.each_picture_once(model, pictures, latest):
            assert torch.equal(model.vision_tower(rows)[0], expected)
        assert model.vision_tower.rows == seen


class Named(Tower):
    """Features by name, and beside them what is no tensor."""

    def forward(self, pixel_values, image_sizes=None):
        features, _ = super().forward(pixel_values, image_sizes)
        return BaseModelOutput(features, ([features + 1], None))


def test_outputs_by_name_are_joined_by_name_and_what_is_no_tensor_stays():
    model, latest = Sees(), towers.LatestPicture()
    model.vision_tower = Named()
    for pictures, seen in (([0, 1], [2, 2]), ([1, 2], [1])):
        rows = torch.tensor(pictures, dtype=torch.float)[:, None, None, None].expand(-1, 1, 1, 2)
        expected = Named()(rows)
        model.vision_tower.rows.clear()
        with towers.each_picture_once(model, pictures, latest):
            found = model.vision_tower(rows)
        assert model.vision_tower.rows == seen and type(found) is BaseModelOutput
        assert torch.equal(found.last_hidden_state, expected.last_hidden_state)
        (other,), nothing = found.hidden_states
        assert torch.equal(other, expected.hidden_states[0][0]) and nothing is None


def test_a_tower_is_left_alone_if_it_is_given_what_may_hold_rows():
    model = Sees()
    expected = model.vision_tower(PIXELS)[0]
    model.vision_tower.rows.clear()
    with towers.each_picture_once(model, [0, 0, 1, 2, 1]):
        assert torch.equal(model.vision_tower(PIXELS, masks=[1, 2, 3, 4, 5])[0], expected)
    assert model.vision_tower.rows == [5]


def test_a_tower_with_a_forward_of_its_own_keeps_it():
    """As accelerate's hooks put there."""
    model = Sees()
    own = model.vision_tower.forward = lambda pixels: Tower.forward(model.vision_tower, pixels * 2)
    with towers.each_picture_once(model, [0, 0, 1, 2, 1]):
        assert torch.equal(model.vision_tower(PIXELS)[0], 2 * PIXELS.flatten(1))
    assert model.vision_tower.forward is own


@pytest.mark.parametrize("family", ["paligemma", "florence2", "git"])
def test_a_picture_is_seen_once_however_many_batches_its_captions_take(family, captions, pictures):
    model, processor = WRITING[family].model().model, WRITING[family].processor()
    together = LikelihoodScorer(model, processor, keep_prefix=False).grid(captions, pictures)
    scorer = LikelihoodScorer(model, processor, keep_prefix=False, memory=1e-6)
    with pictures_through(towers.vision_tower(model)) as seen:
        one_by_one = scorer.grid(captions, pictures)
    assert seen == [1, 1, 1]
    assert_close(one_by_one, together, rtol=0, atol=1e-5)
