"""Models with pre-training heads: UNITER's original checkpoints of them, and vocabularies that grow."""

import re

import pytest
import torch
from torch.testing import assert_close

from cacr.models.oscar import OscarConfig, OscarForPreTraining
from cacr.models.uniter import (
    UniterConfig,
    UniterForPreTraining,
    UniterModel,
    convert_original_checkpoint,
)

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 12,
    "region_dim": 6,
    "cls_token_id": 1,
    "sep_token_id": 2,
    "mask_token_id": 3,
}
FAMILIES = {
    "uniter": (UniterForPreTraining, UniterConfig(**SIZES, region_label_dim=9), 7),
    "oscar": (OscarForPreTraining, OscarConfig(**{k: v for k, v in SIZES.items() if "token_id" not in k}), 6),
}
ORIGINAL = [
    ("region_embeddings", "img_embeddings"),
    ("feature_linear", "img_linear"),
    ("feature_layer_norm", "img_layer_norm"),
    ("position_linear", "pos_linear"),
    ("position_layer_norm", "pos_layer_norm"),
    (r"\.layer_norm\.", ".LayerNorm."),
    ("region_regression", "feat_regress"),
]
HEADS = ("prediction_logits", "region_features", "region_logits", "itm_logits")


@pytest.fixture(params=FAMILIES)
def family(request):
    """A model whose bias of words differs from word to word, and a batch."""
    kind, config, box = FAMILIES[request.param]
    model = kind(config).eval()
    torch.nn.init.normal_(model.cls.predictions.bias)
    g = torch.Generator().manual_seed(0)
    batch = {
        "input_ids": torch.randint(4, 50, (3, 5), generator=g),
        "region_features": torch.randn(3, 4, 6, generator=g),
        "region_positions": torch.rand(3, 4, box, generator=g),
    }
    return model, batch


def original(model, path):
    """The model's weights as UNITER's releases name and hold them."""
    state = {}
    for name, value in model.state_dict().items():
        for ours, theirs in ORIGINAL:
            name = re.sub(ours, theirs, name)
        state[name] = value.clone()
    del state["cls.predictions.decoder.bias"]  # it has one bias, of another name
    state["feat_regress.weight"] = state["uniter.img_embeddings.img_linear.weight"].t()
    torch.save(state, path)
    return path


@pytest.mark.parametrize("family", ["uniter"], indirect=True)
def test_every_pretraining_head_of_an_original_checkpoint_predicts_the_same(family, tmp_path):
    model, batch = family
    path = original(model, tmp_path / "pretrained.pt")
    converted = convert_original_checkpoint(path, {"num_attention_heads": 2}, head="pretraining")
    assert converted.config.region_label_dim == 9
    with torch.no_grad():
        ours, theirs = converted.eval()(**batch), model(**batch)
    for name in HEADS:
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name


@pytest.mark.parametrize("family", ["uniter"], indirect=True)
def test_an_original_checkpoint_gives_its_encoder_alone(family, tmp_path):
    model, batch = family
    path = original(model, tmp_path / "pretrained.pt")
    converted = convert_original_checkpoint(path, {"num_attention_heads": 2}, head="base").eval()
    assert type(converted) is UniterModel
    assert torch.equal(converted(**batch).last_hidden_state, model.uniter(**batch).last_hidden_state)


def test_words_that_are_added_are_predicted_and_the_others_as_before(family, tmp_path):
    model, batch = family
    before = model(**batch).prediction_logits
    model.resize_token_embeddings(53, mean_resizing=False)
    words, decoder = model.get_input_embeddings(), model.get_output_embeddings()
    assert decoder.weight is words.weight and decoder.bias is model.cls.predictions.bias
    after = model(**batch).prediction_logits
    assert after.shape[-1] == model.config.vocab_size == 53
    assert_close(after[..., :50], before)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    batch["input_ids"][0, 0] = 52
    assert torch.equal(again(**batch).prediction_logits, model(**batch).prediction_logits)


def test_embeddings_and_decoders_of_another_may_be_put_in_their_place(family):
    model, batch = family
    words, decoder = torch.nn.Embedding(50, 16), torch.nn.Linear(16, 50)
    model.set_input_embeddings(words)
    model.set_output_embeddings(decoder)
    assert model.get_input_embeddings() is words and model.get_output_embeddings() is decoder
    assert model.cls.predictions.bias is decoder.bias
    torch.nn.init.zeros_(decoder.weight)
    assert torch.equal(model(**batch).prediction_logits, decoder.bias.expand(3, 5, 50))


def test_embeddings_in_place_of_token_ids_predict_the_same(family):
    model, batch = family
    expected = model(**batch).prediction_logits
    embedded = model.get_input_embeddings()(batch.pop("input_ids"))
    assert torch.equal(model(**batch, inputs_embeds=embedded).prediction_logits, expected)


def test_pictures_alone_have_no_words_to_predict(family):
    model, batch = family
    del batch["input_ids"]
    assert model(**batch).prediction_logits.shape[:2] == (3, 0)
