"""UNITER as a transformers citizen: saving, loading, checkpointing, heads, and sentences for what is wrong."""

import json

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining

from cacr.data.scenes import tokenizer
from cacr.models.uniter import (
    UniterConfig,
    UniterForImageTextRetrieval,
    UniterForPreTraining,
    UniterProcessor,
    convert_original_checkpoint,
    load_model,
    position_features,
)
from cacr.models.weights import guess_heads
from cacr.regions import Regions


@pytest.fixture
def config():
    return UniterConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=12,
        region_dim=6,
        region_label_dim=9,
        cls_token_id=1,
        sep_token_id=2,
        mask_token_id=3,
    )


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    return {
        "input_ids": torch.randint(4, 50, (3, 5), generator=g),
        "region_features": torch.randn(3, 4, 6, generator=g),
        "region_positions": torch.rand(3, 4, 7, generator=g),
    }


def test_a_saved_model_loads_with_the_same_scores(config, batch, tmp_path):
    model = UniterForImageTextRetrieval(config).eval()
    model.save_pretrained(tmp_path)
    assert torch.equal(load_model(tmp_path)(**batch).rank_scores, model(**batch).rank_scores)


def test_the_auto_classes_know_it(config, tmp_path):
    UniterForPreTraining(config).save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).region_dim == 6
    assert type(AutoModel.from_config(config)).__name__ == "UniterModel"
    assert isinstance(AutoModelForPreTraining.from_pretrained(tmp_path), UniterForPreTraining)


def test_activation_checkpointing_gives_the_same_gradients(config, batch):
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    model = UniterForImageTextRetrieval(config).train()
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.activation_checkpointing_enable()
        model.zero_grad()
        model(**batch).rank_scores.sum().backward()
        gradients.append(model.uniter.embeddings.word_embeddings.weight.grad.clone())
    assert_close(*gradients)


def test_a_pair_without_masks_is_all_real(config, batch):
    model = UniterForImageTextRetrieval(config).eval()
    masks = {"attention_mask": torch.ones(3, 5), "region_mask": torch.ones(3, 4)}
    assert torch.equal(model(**batch).rank_scores, model(**batch, **masks).rank_scores)


def test_the_ranking_head_can_start_from_the_match_head(config, batch):
    model = UniterForImageTextRetrieval(config).eval()
    model.init_rank_from_itm()
    out = model(**batch)
    assert_close(out.rank_scores[:, 0], out.itm_logits[:, 1])


def test_each_pretraining_head_adds_its_loss(config, batch):
    model = UniterForPreTraining(config).eval()
    hidden = torch.tensor([[1, 0, 0, 0]] * 3)
    targets = {
        "labels": torch.where(torch.arange(5) == 2, batch["input_ids"], -100),
        "itm_labels": torch.tensor([1, 0, 1]),
        "region_labels": torch.where(hidden.bool(), 3, -100),
        "region_targets": batch["region_features"][:, 0],
    }
    single = [model(**batch, hidden_regions=hidden, **{name: value}).loss for name, value in targets.items()]
    assert_close(model(**batch, hidden_regions=hidden, **targets).loss, torch.stack(single).sum())
    assert model(**batch).loss is None


def test_labels_give_the_match_loss(config, batch):
    model = UniterForImageTextRetrieval(config).eval()
    out = model(**batch, labels=torch.tensor([0, 1, 1]))
    assert_close(out.loss, torch.nn.functional.cross_entropy(out.itm_logits, torch.tensor([0, 1, 1])))


def test_eager_attentions_are_recorded(config, batch):
    model = UniterForImageTextRetrieval(config).eval()
    model.set_attn_implementation("eager")
    attentions = model(**batch, output_attentions=True).attentions
    assert [a.shape for a in attentions] == [(3, 2, 9, 9)] * 2


def test_regions_without_boxes_are_refused(config, batch):
    del batch["region_positions"]
    with pytest.raises(ValueError, match="without region_positions"):
        UniterForImageTextRetrieval(config)(**batch)


def test_old_key_names_are_translated(data, tmp_path):
    state = torch.load(data / "uniter_tiny.pt", weights_only=True)
    old = {}
    for name, value in state.items():
        if name.endswith("LayerNorm.weight"):
            name = name.replace(".weight", ".gamma")
        if name.endswith("LayerNorm.bias"):
            name = name.replace(".bias", ".beta")
        old["module." + name] = value.half()
    old = {name: value for name, value in old.items() if "rank_output" not in name}
    torch.save(old, tmp_path / "old.pt")
    model = convert_original_checkpoint(tmp_path / "old.pt", data / "uniter_tiny.json")
    assert model.dtype == torch.float32
    assert_close(model.rank_output.weight, model.itm_output.weight[1:])


def test_sizes_are_read_off_the_weights(data):
    by_json = convert_original_checkpoint(data / "uniter_tiny.pt", data / "uniter_tiny.json")
    by_weights = convert_original_checkpoint(data / "uniter_tiny.pt")
    for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "region_dim"):
        assert getattr(by_weights.config, name) == getattr(by_json.config, name)


@pytest.mark.parametrize(("width", "heads"), [(768, 12), (1024, 16), (192, 3), (144, 12), (96, 4), (16, 4)])
def test_heads_are_64_wide_where_nothing_states_them_and_else_12_or_4(width, heads):
    assert guess_heads(width) == heads


def test_a_truncated_original_checkpoint_is_named(data, tmp_path):
    whole = (data / "uniter_tiny.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.pt cannot be read as a checkpoint .* cut off"):
        convert_original_checkpoint(tmp_path / "cut.pt")


def test_another_checkpoint_is_named(tmp_path):
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "resnet.pt")
    with pytest.raises(ValueError, match=r"resnet\.pt is not a UNITER checkpoint"):
        convert_original_checkpoint(tmp_path / "resnet.pt")


def test_a_pickle_is_never_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "boom"), "w"))

    torch.save({"x": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(ValueError, match="never unpickled"):
        convert_original_checkpoint(tmp_path / "bomb.pt")
    assert not (tmp_path / "boom").exists()


def test_a_configuration_of_another_model_is_named(data):
    with pytest.raises(ValueError, match=r"has shape .*; the configuration wants"):
        convert_original_checkpoint(data / "uniter_tiny.pt", {"type_vocab_size": 5})


def test_a_truncated_saved_model_is_named(config, tmp_path):
    UniterForImageTextRetrieval(config).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors is not a readable checkpoint .* cut off"):
        load_model(tmp_path)


def test_a_saved_model_of_another_shape_is_named(config, tmp_path):
    UniterForImageTextRetrieval(config).save_pretrained(tmp_path)
    changed = json.loads((tmp_path / "config.json").read_text()) | {"region_dim": 2048}
    (tmp_path / "config.json").write_text(json.dumps(changed))
    with pytest.raises(
        ValueError, match=r"feature_linear\.weight has shape \(16, 6\); .*config\.json wants \(16, 2048\)"
    ):
        load_model(tmp_path)


def test_a_configuration_that_fits_and_cannot_be_loaded_is_named(config, tmp_path):
    UniterForImageTextRetrieval(config).save_pretrained(tmp_path)
    changed = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(changed | {"quantization_config": {}}))
    with pytest.raises(ValueError, match=r"cannot be loaded as uniter: .*copy the whole model folder"):
        load_model(tmp_path)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config\.json in"):
        load_model(tmp_path)


def test_box_numbers_are_the_seven_of_uniter():
    assert_close(
        position_features(torch.tensor([[0.1, 0.2, 0.5, 0.8]])),
        torch.tensor([[0.1, 0.2, 0.5, 0.8, 0.4, 0.6, 0.24]]),
    )


def test_box_numbers_take_the_extents_that_a_file_states():
    boxes, stated = torch.tensor([[0.1, 0.2, 0.5, 0.8]]), torch.tensor([[0.41, 0.59]])
    assert_close(
        position_features(boxes, stated), torch.tensor([[0.1, 0.2, 0.5, 0.8, 0.41, 0.59, 0.41 * 0.59]])
    )


def test_the_processor_uses_them():
    boxes, stated = torch.tensor([[0.1, 0.2, 0.5, 0.8]]), torch.tensor([[0.41, 0.59]])
    regions = [Regions(torch.zeros(1, 6), boxes, extents01=stated), Regions(torch.zeros(1, 6), boxes)]
    positions = UniterProcessor(tokenizer()).encode_regions(regions)["region_positions"][:, 0]
    assert_close(positions[:, 4:6], torch.tensor([[0.41, 0.59], [0.4, 0.6]]))
