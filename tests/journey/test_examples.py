"""The examples run as they stand: in those of `attach` the regularizer does what the example says."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.testing import assert_close

from cacr.data import open_captions
from cacr.regions import open_features
from cacr.regularizer import Regularizer
from cacr.tiny_models import TINY

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def watched(monkeypatch):
    """Each regularizer with the blocks of a forward pass, in the order in which they were watched."""
    seen, original = [], Regularizer._on_blocks

    def _on_blocks(self):
        seen.append((self, dict(self._blocks)))
        original(self)

    monkeypatch.setattr(Regularizer, "_on_blocks", _on_blocks)
    return seen


def nats(numbers):
    return sum(numbers.get(name, 0.0) for name in ("language", "vision", "cacr_language", "cacr_vision"))


def all_finite(lines):
    return all(math.isfinite(value) for line in lines for value in line.values())


def logged(trainer):
    return [line for line in trainer.state.log_history if "loss" in line]


def test_the_plain_loop_regularizes_true_pairs_alone_and_detaches(watched, capsys):
    module = example("plain_loop")
    log = module.main(steps=16, weight=20.0)
    assert len(log) == len(watched) == 16  # neither mining nor wrong pairs, in 64 more forward passes
    assert all_finite(log)
    assert [line["weight"] for line in log] == pytest.approx(
        [20 * math.exp(5 * (i / 16 - 1)) for i in range(16)]
    )
    assert log[0]["cacr_loss"] == pytest.approx(log[0]["weight"] * nats(log[0]))
    assert log[-1]["loss"] < log[0]["loss"] and log[0]["ranking"] > 0
    assert 0 < nats(log[-1]) < nats(module.main(steps=16, weight=0.0)[-1])
    reg, _ = watched[0]
    assert not hasattr(reg.model, "_cacr_watch") and not reg.taps
    said = capsys.readouterr().out
    assert "S_LL S_LV S_VL S_VV" in said and "step  16: loss" in said


def test_trainer_blip_regularizes_matched_pairs_alone(monkeypatch, watched, capsys):
    module, matched = example("trainer_blip"), []
    original = module.MatchingTrainer.compute_loss

    def compute_loss(self, model, inputs, *args, **kwargs):
        matched.append(int((inputs["labels"] == 1).sum()))
        return original(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(module.MatchingTrainer, "compute_loss", compute_loss)
    trainer = module.main(steps=15, weight=100.0)
    assert len(watched) == 30  # two micro-batches a step
    assert [len(blocks[2]) if blocks else 0 for _, blocks in watched] == matched
    assert sum(matched) < 4 * len(matched)
    assert trainer.regularizer.model is trainer.model

    lines = logged(trainer)
    assert [line["step"] for line in lines] == [1, 3, 6, 9, 12, 15] and all_finite(lines)
    assert lines[0]["cacr_weight"] == pytest.approx(100 * math.exp(-5))
    assert lines[0]["cacr_loss"] > 0 and "cacr_vision" not in lines[0]
    assert lines[-1]["loss"] - lines[-1]["cacr_loss"] < lines[0]["loss"]
    assert 0 < nats(lines[-1]) < nats(logged(module.main(steps=15, weight=0.0))[-1])
    assert not Path(trainer.args.output_dir).exists()
    assert "no S_VL: only the text looks at the image" in capsys.readouterr().out


# transformers 5.23 has a new name for it; PEFT and TRL use that of 5.20
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing. is deprecated:FutureWarning")
def test_sft_lora_trains_adapters_alone(watched, capsys):
    for package in ("trl", "peft", "datasets"):
        pytest.importorskip(package)
    module = example("sft_lora")
    trainer = module.main(steps=10, weight=50.0)
    lines = logged(trainer)
    assert all_finite(lines) and lines[0]["cacr_weight"] == 50.0
    assert lines[0]["cacr_loss"] == pytest.approx(50 * lines[0]["cacr_language"])
    assert lines[-1]["loss"] - lines[-1]["cacr_loss"] < lines[0]["loss"] - lines[0]["cacr_loss"]
    assert lines[-1]["cacr_loss"] < 0.8 * lines[0]["cacr_loss"]
    assert nats(lines[-1]) < nats(logged(module.main(steps=10, weight=0.0))[-1])

    start = TINY["llava"]().model.state_dict()
    adapters = {}
    for name, value in trainer.model.get_base_model().state_dict().items():
        if "lora_" in name:
            adapters[name] = value
        else:
            assert torch.equal(value, start[name.replace(".base_layer", "")]), name
    assert len(adapters) == 24
    assert all(value.any() for value in adapters.values())  # those that start at 0 have moved
    said = capsys.readouterr().out
    assert "24 LoRA tensors were trained; the 73 others are unchanged: True" in said
    for _, blocks in watched:  # which color is the picture ? the picture is red, and not </s>
        assert blocks[2].text_mask.sum(1).tolist() == [10, 10]


def test_outside_model_needs_a_layout_alone(watched, capsys):
    log = example("outside_model").main(steps=20)
    assert len(log) == len(watched) == 20 and all_finite(log)
    assert log[-1]["loss"] < log[0]["loss"]
    assert 0 < log[-1]["cacr_loss"] < 0.8 * log[0]["cacr_loss"]
    for _, blocks in watched:
        assert blocks[2].text_mask.sum(1).tolist() == [6, 4] * 4  # padding and [CLS] left out
        assert blocks[2].region_mask.sum(1).tolist() == [16] * 8
    assert "(Attention, back end trace)" in capsys.readouterr().out


class Multihead(nn.MultiheadAttention):
    def __init__(self, width, heads):
        super().__init__(width, heads, batch_first=True)

    def forward(self, x, allowed):
        return super().forward(x, x, x, key_padding_mask=~allowed, need_weights=False)[0]


def test_outside_model_may_use_another_attention(monkeypatch, watched):
    module = example("outside_model")
    monkeypatch.setattr(module, "Attention", Multihead)
    log = module.main(steps=20)
    assert 0 < log[-1]["cacr_loss"] < 0.8 * log[0]["cacr_loss"]
    assert watched[0][1][2].lv.shape == (8, 6, 16)


def test_photographs_become_a_folder_that_says_what_their_files_said(tmp_path):
    source, rng = tmp_path / "downloaded", np.random.default_rng(0)
    source.mkdir()
    for name, color in (("dog.jpg", "brown"), ("sea.jpg", "blue")):
        Image.new("RGB", (60, 40), color).save(source / name)
        x1, y1 = rng.uniform(0, 20, (2, 36))
        np.savez(
            source / f"{name}.npz",
            x=rng.standard_normal((36, 2048)).astype("float32"),
            boxes=np.stack([x1, y1, x1 + 30, y1 + 15], 1).astype("float32"),
            image_w=60,
            image_h=40,
            text=[f" something {color}\n", f"a photograph in {color}"],
        )
    example("photographs").lay_out(source, tmp_path / "photos")
    pairs = open_captions(tmp_path / "photos")
    assert list(pairs.image_ids) == ["dog.jpg", "sea.jpg"]
    assert pairs.captions[2:] == ["something blue", "a photograph in blue"]
    for name, picture in zip(pairs.image_ids, map(pairs.picture, range(2)), strict=True):
        wanted = open_features(source)[name]
        assert_close(picture.regions.features, wanted.features)
        assert_close(picture.regions.boxes, wanted.boxes)
        assert picture.image.tobytes() == Image.open(source / name).tobytes()
