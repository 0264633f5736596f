"""What cannot be converted of OpenCLIP, or is broken or hostile, is refused with its name."""

import json
import struct
import zipfile

import pytest
import torch
from safetensors.torch import load_file
from tests.unit.scorers.open_clip_cases import WEIGHTS, change_weights, configure

from cacr.scorers.contrastive.open_clip import CONFIG, load_open_clip
from cacr.tiny_models.tokenizers import word_tokenizer


@pytest.mark.parametrize(
    "name, says",
    [
        ("visual.trunk.patch_embed.proj.weight", "one of timm's. Is it SigLIP.*DualEncoderScorer"),
        ("visual.layer1.0.conv1.weight", "ResNet"),
        ("text_decoder.ln_final.weight", "CoCa"),
        ("text.transformer.embeddings.word_embeddings.weight", "one of transformers'"),
        ("text_model.embeddings.token_embedding.weight", "in the format of transformers already"),
        ("visual.transformer.resblocks.0.ls_1.gamma", "layer scale"),
        ("logit_bias", "trained with a sigmoid"),
        ("visual.transformer.resblocks.0.attn.ln_q.weight", "no place for, first visual"),
    ],
)
def test_another_kind_of_model_is_refused_by_name(open_clip_folder, clip_words, name, says):
    change_weights(open_clip_folder, lambda state: state.update({name: torch.zeros(4)}))
    with pytest.raises(ValueError, match=says):
        load_open_clip(open_clip_folder, tokenizer=clip_words)


@pytest.mark.parametrize(
    "part, values, says",
    [
        ("vision_cfg", {"timm_model_name": "vit_base"}, "timm_model_name = 'vit_base'"),
        ("vision_cfg", {"pool_type": "avg"}, "pool_type = 'avg', expected 'tok'"),
        ("text_cfg", {"no_causal_mask": True}, "no_causal_mask = True"),
        ("text_cfg", {"hf_model_name": "roberta-base"}, "hf_model_name = 'roberta-base'"),
        ("text_cfg", {"new_trick": 1}, "unknown setting new_trick = 1 in text_cfg"),
        (None, {"quickgelu": True}, "unknown setting 'quickgelu'. Did you mean 'quick_gelu'"),
        (None, {"quick_gelu": "no"}, "quick_gelu is 'no'; expected true or false"),
        ("vision_cfg", {"image_size": [[32], [32, 1]]}, r"image_size is \[\[32\], \[32, 1\]\] by"),
        ("vision_cfg", {"head_width": True}, "no attention heads that are True wide"),
        ("text_cfg", {"heads": True}, "True attention heads do not divide"),
        (None, {"multimodal_cfg": {}}, "CoCa"),
        (None, {"init_logit_bias": -10}, "sigmoid by its configuration"),
        (
            "vision_cfg",
            {"layers": [3, 4, 6, 3]},
            r"vision layers is \[3, 4, 6, 3\] by its configuration, but 2",
        ),
        (
            "vision_cfg",
            {"image_size": 64},
            "image_size is 64 by its configuration, but its weights have 4 x 4",
        ),
        ("vision_cfg", {"head_width": 0}, "24 wide has no attention heads that are 0 wide"),
        ("text_cfg", {"width": 99}, "text width is 99 by its configuration, but 16 by its weights"),
        ("text_cfg", {"heads": 3}, "3 attention heads do not divide the 16 numbers of its text tower"),
    ],
)
def test_a_setting_that_makes_another_model_is_refused(open_clip_folder, clip_words, part, values, says):
    configure(open_clip_folder, part, **values)
    with pytest.raises(ValueError, match=says):
        load_open_clip(open_clip_folder, tokenizer=clip_words)


def test_a_file_cut_off_is_named(open_clip_folder, clip_words):
    weights = open_clip_folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:3000])
    with pytest.raises(ValueError, match=f"{WEIGHTS} cannot be read as a checkpoint.*download it again"):
        load_open_clip(open_clip_folder, tokenizer=clip_words)


def test_a_torch_file_cut_off_is_named(open_clip_folder, clip_words, tmp_path):
    torch.save(load_file(open_clip_folder / WEIGHTS), tmp_path / "cut.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"cut\.pt cannot be read as a checkpoint"):
        load_open_clip(tmp_path / "cut.pt", quick_gelu=True, tokenizer=clip_words)


class _Runs:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of a checkpoint ran')",))


def test_a_pickle_with_code_is_never_run(tmp_path, clip_words):
    torch.save({"state_dict": {"visual.conv1.weight": _Runs()}}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match=r"evil\.pt cannot be read .*never unpickled here"):
        load_open_clip(tmp_path / "evil.pt", quick_gelu=True, tokenizer=clip_words)


def test_a_program_with_weights_is_never_run(tmp_path, clip_words):
    with zipfile.ZipFile(tmp_path / "ViT-B-32.pt", "w") as file:  # the parts by which torch knows TorchScript
        file.writestr("ViT/constants.pkl", b"")
        file.writestr("ViT/version", "3")
    with pytest.raises(ValueError, match=r"is a program with weights \(TorchScript\).*openai/clip-vit-base"):
        load_open_clip(tmp_path / "ViT-B-32.pt", quick_gelu=True, tokenizer=clip_words)


def test_a_header_that_lies_is_named(open_clip_folder, clip_words):
    (open_clip_folder / WEIGHTS).write_bytes(struct.pack("<Q", 2**40) + b"{}")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        load_open_clip(open_clip_folder, tokenizer=clip_words)


@pytest.mark.parametrize(
    "name, shape, says",
    [
        ("visual.ln_post.weight", (7,), r"visual\.ln_post\.weight gives .* the shape \(7,\).*want \(24,\)"),
        ("visual.proj", (24,), r"visual\.proj has shape \(24,\); expected 2 axes"),
        (
            "transformer.resblocks.1.attn.in_proj_weight",
            (40, 16),
            r"in_proj_weight has shape \(40, 16\).*a third each",
        ),
        ("transformer.resblocks.1.attn.in_proj_weight", (45, 16), r"the shape \(15, 16\).*want \(16, 16\)"),
        ("logit_scale", (3,), r"logit_scale gives logit_scale the shape \(3,\)"),
        ("visual.positional_embedding", (12, 24), "12 positions; expected one and a square"),
        (
            "visual.conv1.weight",
            (24, 3, 8, 4),
            "patch_size is 8 by its configuration, but 4|image_size is 32",
        ),
    ],
)
def test_a_tensor_of_another_shape_is_named(open_clip_folder, clip_words, name, shape, says):
    change_weights(open_clip_folder, lambda state: state.update({name: torch.zeros(shape)}))
    with pytest.raises(ValueError, match=says):
        load_open_clip(open_clip_folder, tokenizer=clip_words)


@pytest.mark.parametrize(
    "name, says",
    [
        ("visual.ln_pre.bias", r"lacks 1 of \d+ tensors, first the one for vision_model\.pre_layrnorm\.bias"),
        ("text_projection", r"lacks 1 of \d+ tensors, first the one for text_projection\.weight"),
        ("token_embedding.weight", r"lacks token_embedding\.weight"),
        ("visual.conv1.weight", r"no OpenCLIP checkpoint: it has no visual\.conv1\.weight"),
    ],
)
def test_a_tensor_that_is_missing_is_never_random(open_clip_folder, clip_words, name, says):
    change_weights(open_clip_folder, lambda state: state.pop(name))
    with pytest.raises(ValueError, match=says):
        load_open_clip(open_clip_folder, tokenizer=clip_words)


def test_layers_that_are_missing_are_named(open_clip_folder, clip_words):
    change_weights(
        open_clip_folder, lambda state: [state.pop(name) for name in list(state) if "resblocks.0" in name]
    )
    with pytest.raises(ValueError, match=r"holds the layers \[1\] of visual\.; expected all from 0 on"):
        load_open_clip(open_clip_folder, tokenizer=clip_words)


def test_a_folder_without_weights_says_what_it_holds(tmp_path, clip_words):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(
        FileNotFoundError, match=r"it holds notes\.txt; expected open_clip_model\.safetensors or"
    ):
        load_open_clip(tmp_path, tokenizer=clip_words)
    with pytest.raises(FileNotFoundError, match="no OpenCLIP checkpoint at .*nowhere; .*hf download"):
        load_open_clip(tmp_path / "nowhere", tokenizer=clip_words)


def test_a_tokenizer_that_cannot_be_had_says_what_to_give(open_clip_folder):
    with pytest.raises(FileNotFoundError, match=r"no tokenizer for .*Give CLIP's \(tokenizer=FOLDER"):
        load_open_clip(open_clip_folder, tokenizer=open_clip_folder / "nowhere")


def test_a_tokenizer_of_another_vocabulary_is_refused(open_clip_folder):
    with pytest.raises(ValueError, match="its end of text is 2; the model has 99 words"):
        load_open_clip(open_clip_folder, tokenizer=word_tokenizer())


def test_a_broken_configuration_is_named(open_clip_folder, clip_words):
    (open_clip_folder / CONFIG).write_text("{broken")
    with pytest.raises(ValueError, match=f"{CONFIG} is not JSON"):
        load_open_clip(open_clip_folder, tokenizer=clip_words)


@pytest.mark.parametrize("model_cfg", [None, 7, "vision_cfg", []])
def test_settings_that_are_no_names_and_values_are_refused(open_clip_folder, clip_words, model_cfg):
    (open_clip_folder / CONFIG).write_text(json.dumps({"model_cfg": model_cfg}))
    with pytest.raises(
        ValueError, match=f"the configuration of .*{WEIGHTS} is .*; expected names and values"
    ):
        load_open_clip(open_clip_folder, tokenizer=clip_words)


@pytest.mark.parametrize(
    "values, says",
    [
        ({"mean": True}, "mean is True in its preprocess_cfg; expected three numbers"),
        ({"mean": [0.5, 0.5, float("nan")]}, "mean is .*nan"),
        ({"mean": [0.5, 0.5]}, "expected three numbers"),
        ({"std": [0.5, 0.5, 10**400]}, "std is "),
        ({"std": [0.5, 0.5, 0]}, "std is .*none that is 0"),
        ({"interpolation": ["bicubic"]}, "known are 'shortest'"),
        ({"resize_mode": {}}, "known are 'shortest'"),
    ],
)
def test_a_preparation_that_cannot_be_done_is_refused(open_clip_folder, clip_words, values, says):
    told = json.loads((open_clip_folder / CONFIG).read_text())
    (open_clip_folder / CONFIG).write_text(json.dumps(told | {"preprocess_cfg": values}))
    with pytest.raises(ValueError, match=f"{WEIGHTS}: .*{says}"):
        load_open_clip(open_clip_folder, tokenizer=clip_words)


def test_a_tokenizers_name_that_is_none_is_refused(open_clip_folder):
    configure(open_clip_folder, "text_cfg", hf_tokenizer_name=5)
    with pytest.raises(FileNotFoundError, match=f"no tokenizer for .*{WEIGHTS}: 5 has none"):
        load_open_clip(open_clip_folder)
