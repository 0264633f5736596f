"""What training reads and weighs: batches at the edge are exact, or name the caption or picture that is wrong."""

import pytest
import torch
from torch.testing import assert_close

import cacr
from cacr.data.pairs import Picture
from cacr.data.scenes import SceneCaptions, tokenizer
from cacr.losses import hardest_negatives, ranking_loss, schedule_weight
from cacr.models.rosita import RositaProcessor
from cacr.models.uniter import UniterProcessor
from cacr.regions import open_features, write_features
from cacr.tiny_models import TINY
from cacr.training import GroupCollator, GroupDataset

NAN, INF = float("nan"), float("inf")
FAMILIES = ["uniter", "oscar", "rosita", "visual_bert", "vilt", "lxmert", "bridgetower", "git"]


class Album(SceneCaptions):
    """Scenes with other captions, or with regions of a store."""

    def __init__(self, captions=None, store=None):
        super().__init__(1, 4)
        self.captions = captions or list(self.captions)
        self.store = store

    def picture(self, image):
        own = super().picture(image)
        return own if self.store is None else Picture(own.image_id, lambda: self.store[own.image_id])


def batch(album, processor=UniterProcessor, items=1):
    groups = GroupDataset(album, items, 2)
    return GroupCollator(album, processor(tokenizer()))([groups[i] for i in range(items)])


def test_a_batch_of_one_item_is_a_batch():
    made = batch(Album())
    assert made["captions"].shape == made["images"].shape == (2, 3)


@pytest.mark.parametrize(
    ("processor", "caption"), [(UniterProcessor, ""), (UniterProcessor, "\n "), (RositaProcessor, "?! 🙂")]
)
def test_a_caption_without_a_word_is_named_with_its_picture(processor, caption):
    album = Album()
    album.captions[2] = caption
    with pytest.raises(
        ValueError, match=rf"caption 2, .* of picture {album.image_ids[2]}, has no word that the model"
    ):
        batch(album, processor, items=4)


def test_a_broken_picture_of_a_store_is_named_with_its_file(tmp_path):
    album, file = Album(), tmp_path / "f.safetensors"
    pictures = {name: album.picture(i).regions for i, name in enumerate(album.image_ids)}
    pictures[album.image_ids[1]].features[0, 0] = 12345.0
    write_features(file, pictures, dtype=torch.float32)
    pack = lambda value: torch.tensor([value]).numpy().tobytes()
    file.write_bytes(file.read_bytes().replace(pack(12345.0), pack(NAN)))
    with pytest.raises(ValueError, match=rf"f\.safetensors, picture {album.image_ids[1]}: features hold NaN"):
        batch(Album(store=open_features(file)), items=4)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_example_without_a_word_is_refused_or_left_out_and_the_others_are_exact(family):
    def run(rows=slice(None), masked=False, select=None):
        tiny = TINY[family]()
        inputs = {k: v[rows].clone() if isinstance(v, torch.Tensor) else v for k, v in tiny.inputs.items()}
        if masked:
            inputs["attention_mask"][1] = 0
        model = tiny.model.train()
        with cacr.attach(model, select=select):
            loss = model(**inputs).cacr_loss
        loss.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
        return loss

    with pytest.raises(ValueError, match="no word that counts.* in example 1 of those selected"):
        run(masked=True)
    torch.manual_seed(0)
    assert_close(run(masked=True, select="paired"), run(rows=slice(1)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", ["uniter", "vilt", "git"])
@pytest.mark.parametrize("value", [NAN, INF])
def test_an_input_that_is_not_finite_is_not_hidden_by_attach(family, value):
    tiny = TINY[family]()
    name = next(k for k, v in tiny.inputs.items() if isinstance(v, torch.Tensor) and v.is_floating_point())
    tiny.inputs[name][1] = value
    with cacr.attach(tiny.model.train()):
        assert not tiny.model(**tiny.inputs).cacr_loss.isfinite()


@pytest.mark.parametrize("weight", [NAN, INF, -INF, 1e39, 1e-50, 1e-40])
def test_a_weight_that_float32_does_not_hold_is_refused(weight):
    tiny = TINY["uniter"]()
    with pytest.raises(ValueError, match=r"weight is .*; expected 0 or a number up to 3.4e\+38"):
        cacr.attach(tiny.model, weight=weight)


@pytest.mark.parametrize("weight", [1e30, 1e-30, 0.0, -1.0])
def test_huge_and_tiny_weights_are_exact(weight):
    def loss(weight):
        tiny = TINY["uniter"]()
        with cacr.attach(tiny.model.train(), weight=weight):
            return tiny.model(**tiny.inputs).cacr_loss.double()

    assert_close(loss(weight), loss(1.0) * weight, rtol=1e-6, atol=0)


@pytest.mark.parametrize("factor", [NAN, INF, 1e60])
def test_a_schedule_that_gives_no_number_is_refused(factor):
    tiny = TINY["uniter"]()
    with pytest.raises(ValueError, match="weight 1 x schedule .* is .*; expected 0 or a number"):
        cacr.attach(tiny.model, schedule=lambda done: factor, total_steps=3)


@pytest.mark.parametrize("kind", ["exp", "log"])
@pytest.mark.parametrize("rate", [NAN, INF, -1e4])
def test_a_rate_that_is_no_steepness_is_refused(kind, rate):
    with pytest.raises(ValueError, match="expected a steepness of 0 or more"):
        schedule_weight(1, 10, kind, rate)


def test_a_steep_schedule_begins_at_0():
    assert schedule_weight(0, 10, "exp", 1e308) == 0 and schedule_weight(10, 10, "exp", 1e308) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_matches_of_any_size_rank_exactly(dtype):
    match = torch.tensor([[6e4, -6e4, INF], [-INF, 6e4, 0.0]], dtype=dtype)
    assert_close(ranking_loss(match, reduce="none"), torch.tensor([[0.0, 0.2], [1.2, 0.7]]))


def test_of_equal_negatives_the_first_are_the_hardest():
    assert hardest_negatives(torch.ones(2, 300), 3).tolist() == [[1, 2, 3]] * 2


def test_a_match_that_is_no_number_stays_one_through_mining():
    match = torch.tensor([[0.0, 1.0, NAN, 2.0]])
    kept = hardest_negatives(match, 1)
    assert ranking_loss(torch.cat([match[:, :1], match.gather(1, kept)], 1)).isnan()
