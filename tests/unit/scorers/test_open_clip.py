"""OpenCLIP checkpoints give the logits of open_clip itself, and what cannot be converted is refused by name."""

import json
import shutil
import struct
import zipfile

import pytest
import torch
import transformers as T
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from cacr.scorers.contrastive.open_clip import CONFIG, OpenClipScorer, load_open_clip
from cacr.scorers.contrastive.scorer import DualEncoderScorer
from cacr.scorers.opening import FAMILIES, open_scorer, scores_of
from cacr.tiny_models.tokenizers import word_tokenizer

WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture(scope="module")
def words():
    """The end of a text is the highest id, as in CLIP's vocabulary."""
    return word_tokenizer(begin=97, end=98)


@pytest.fixture(params=["gelu", "quick_gelu"])
def stored(request, data):
    """Folder of a tiny model made by open_clip, and what it gave."""
    folder = data / "open_clip" / request.param
    return folder, load_file(folder / "expected.safetensors")


@pytest.fixture
def folder(data, tmp_path):
    """A folder that may be broken."""
    return shutil.copytree(data / "open_clip" / "gelu", tmp_path / "tiny")


def _change(folder, change):
    """Weights changed by ``change(state)``."""
    state = load_file(folder / WEIGHTS)
    change(state)
    save_file({name: value.contiguous() for name, value in state.items()}, folder / WEIGHTS)


def _configure(folder, part=None, **values):
    told = json.loads((folder / CONFIG).read_text())
    (told["model_cfg"][part] if part else told["model_cfg"]).update(values)
    (folder / CONFIG).write_text(json.dumps(told))


def _logits(model, expected):
    with torch.no_grad():
        return model(input_ids=expected["token_ids"], pixel_values=expected["pixels"]).logits_per_text


def test_gives_the_logits_of_open_clip(stored, words):
    folder, expected = stored
    model, _ = load_open_clip(folder, tokenizer=words)
    assert_close(_logits(model, expected), expected["logits_per_text"], rtol=0, atol=1e-5)
    with torch.no_grad():
        text = model.get_text_features(expected["token_ids"]).pooler_output
    assert_close(torch.nn.functional.normalize(text, dim=-1), expected["text_embeds"], rtol=0, atol=1e-5)


def test_the_wrong_activation_would_be_seen(stored, words):
    folder, expected = stored
    model, _ = load_open_clip(folder, quick_gelu=folder.name == "gelu", tokenizer=words)
    assert (_logits(model, expected) - expected["logits_per_text"]).abs().max() > 1e-3


def test_a_training_checkpoint_of_torch_is_the_same(stored, words, tmp_path):
    folder, expected = stored
    state = {f"module.{name}": value for name, value in load_file(folder / WEIGHTS).items()}
    torch.save(
        {"epoch": 3, "name": "run", "state_dict": state, "optimizer": {"lr": 1e-4}}, tmp_path / "epoch_3.pt"
    )
    config = json.loads((folder / CONFIG).read_text())["model_cfg"]
    model, _ = load_open_clip(tmp_path / "epoch_3.pt", config=config, tokenizer=words)
    assert_close(_logits(model, expected), expected["logits_per_text"], rtol=0, atol=1e-5)


def test_a_text_tower_apart_and_half_precision_are_read(folder, words):
    expected = load_file(folder / "expected.safetensors")

    def change(state):
        for name in [name for name in state if not name.startswith(("visual.", "logit_scale"))]:
            state[f"text.{name}"] = state.pop(name)
        state["logit_scale"] = state["logit_scale"].half()[None]

    _change(folder, change)
    model, _ = load_open_clip(folder, tokenizer=words)
    assert_close(_logits(model, expected), expected["logits_per_text"], rtol=0, atol=0.02)
    assert model.dtype == torch.float32


def test_without_configuration_sizes_come_from_the_weights(tmp_path, words):
    towers = {"hidden_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    config = T.CLIPConfig(
        text_config={**towers, "vocab_size": 99, "max_position_embeddings": 20, "eos_token_id": 98},
        vision_config={**towers, "image_size": 16, "patch_size": 8},
        projection_dim=6,
    )
    model = T.CLIPModel(config).eval()
    torch.save(_in_open_clips_names(model.state_dict()), tmp_path / "negclip.pth")
    scorer = OpenClipScorer.from_pretrained(
        tmp_path / "negclip.pth", device="cpu", quick_gelu=True, tokenizer=words
    )
    pixels, ids = torch.randn(2, 3, 16, 16), torch.tensor([[97, 30, 40, 98, 0], [97, 50, 98, 0, 0]])
    with torch.no_grad():
        found, plain = (m(ids, pixels).logits_per_text for m in (scorer.model, model))
    assert_close(found, plain, rtol=0, atol=1e-5)
    told = scorer.describe()
    assert told["vision_activation"] == told["text_activation"] == "quick_gelu"
    assert told["converted_from"] == "OpenCLIP, negclip.pth" and scorer.name == "negclip"


def _in_open_clips_names(state):
    """Written the other way round, as loops, to check the conversion."""
    own = {
        "logit_scale": state["logit_scale"],
        "text_projection": state["text_projection.weight"].T,
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "visual.proj": state["visual_projection.weight"].T,
        "visual.conv1.weight": state["vision_model.embeddings.patch_embedding.weight"],
        "visual.class_embedding": state["vision_model.embeddings.class_embedding"],
        "visual.positional_embedding": state["vision_model.embeddings.position_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        own[f"ln_final.{kind}"] = state[f"text_model.final_layer_norm.{kind}"]
        own[f"visual.ln_pre.{kind}"] = state[f"vision_model.pre_layrnorm.{kind}"]
        own[f"visual.ln_post.{kind}"] = state[f"vision_model.post_layernorm.{kind}"]
        for tower, prefix in (("text_model", ""), ("vision_model", "visual.")):
            layer, block = f"{tower}.encoder.layers.0", f"{prefix}transformer.resblocks.0"
            own[f"{block}.attn.in_proj_{kind}"] = torch.cat(
                [state[f"{layer}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            )
            own[f"{block}.attn.out_proj.{kind}"] = state[f"{layer}.self_attn.out_proj.{kind}"]
            own[f"{block}.ln_1.{kind}"] = state[f"{layer}.layer_norm1.{kind}"]
            own[f"{block}.ln_2.{kind}"] = state[f"{layer}.layer_norm2.{kind}"]
            own[f"{block}.mlp.c_fc.{kind}"] = state[f"{layer}.mlp.fc1.{kind}"]
            own[f"{block}.mlp.c_proj.{kind}"] = state[f"{layer}.mlp.fc2.{kind}"]
    return own


@pytest.mark.parametrize("which", [".", WEIGHTS])
def test_a_folder_and_a_file_are_opened_by_name(folder, words, which):
    assert scores_of(str(folder / which)) == FAMILIES["open_clip"]
    scorer = open_scorer(str(folder / which), device="cpu", tokenizer=words)
    assert type(scorer) is OpenClipScorer
    expected = load_file(folder / "expected.safetensors")
    assert_close(_logits(scorer.model, expected), expected["logits_per_text"], rtol=0, atol=1e-5)


def test_a_size_of_pictures_may_be_told_by_side(folder, words):
    size = json.loads((folder / CONFIG).read_text())["model_cfg"]["vision_cfg"]["image_size"]
    _configure(folder, "vision_cfg", image_size=[size, size])
    model, _ = load_open_clip(folder, tokenizer=words)
    assert model.config.vision_config.image_size == size
    _configure(folder, "vision_cfg", image_size=[size, 2 * size])
    with pytest.raises(ValueError, match=r"image_size is \[\d+, \d+\] by its configuration"):
        load_open_clip(folder, tokenizer=words)


def test_every_match_is_the_logit_of_the_pair_alone(stored, words, captions, pictures, every_pair_equals):
    scorer = OpenClipScorer.from_pretrained(stored[0], device="cpu", tokenizer=words)
    model, processor = load_open_clip(stored[0], tokenizer=words)

    def alone(caption, picture):
        inputs = processor(
            text=[caption], images=[picture.image], return_tensors="pt", truncation=True, max_length=16
        )
        return model(**inputs).logits_per_image[0, 0]

    every_pair_equals(scorer, alone, captions, pictures)


def test_a_converted_model_saves_as_a_folder_of_transformers(stored, words, captions, pictures, tmp_path):
    model, processor = load_open_clip(stored[0], tokenizer=words)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    saved = DualEncoderScorer.from_pretrained(tmp_path, device="cpu").grid(captions, pictures)
    here = OpenClipScorer.from_pretrained(stored[0], device="cpu", tokenizer=words).grid(captions, pictures)
    assert_close(saved, here, rtol=0, atol=1e-6)


def test_a_tokenizer_beside_the_weights_is_found(folder, words, captions, pictures):
    words.save_pretrained(folder)
    found = OpenClipScorer.from_pretrained(folder, device="cpu").grid(captions, pictures)
    given = OpenClipScorer.from_pretrained(folder, device="cpu", tokenizer=words).grid(captions, pictures)
    assert found.equal(given)


def test_vocabulary_and_merges_alone_make_a_tokenizer(folder, tmp_path):
    (tmp_path / "words").mkdir()
    letters = {letter: 10 + i for i, letter in enumerate("adogruns")}
    ends = {f"{letter}</w>": 20 + i for i, letter in enumerate("adogruns")}
    ids = letters | ends | {"do": 40, "dog</w>": 41, "<|startoftext|>": 97, "<|endoftext|>": 98}
    (tmp_path / "words" / "vocab.json").write_text(json.dumps(ids))
    (tmp_path / "words" / "merges.txt").write_text("#version: 0.2\nd o\ndo g</w>\n")
    _, processor = load_open_clip(folder, tokenizer=tmp_path / "words")
    assert processor(text=["A dog"])["input_ids"] == [[97, ends["a</w>"], 41, 98]]


def test_pictures_are_prepared_as_the_configuration_says(folder, words, pictures):
    told = json.loads((folder / CONFIG).read_text())
    told["preprocess_cfg"] |= {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "resize_mode": "squash"}
    (folder / CONFIG).write_text(json.dumps(told))
    _, processor = load_open_clip(folder, tokenizer=words)
    image = pictures[1].image
    seen = processor(images=[image], return_tensors="pt")["pixel_values"][0]
    square = torch.tensor(list(image.resize((32, 32), 3).tobytes())).view(32, 32, 3).permute(2, 0, 1)
    assert_close(seen, (square / 255 - 0.5) / 0.25, rtol=0, atol=1e-5)


def test_the_activation_must_be_told_where_there_is_no_configuration(folder, words):
    (folder / CONFIG).unlink()
    with pytest.raises(
        ValueError, match="weights do not tell the activation. Say quick_gelu=True for OpenAI's"
    ):
        load_open_clip(folder, tokenizer=words)


def test_heads_of_a_wide_tower_must_be_told(tmp_path, words):
    towers = {"num_hidden_layers": 1, "intermediate_size": 8}
    config = T.CLIPConfig(
        text_config={**towers, "hidden_size": 64, "num_attention_heads": 1, "vocab_size": 99},
        vision_config={
            **towers,
            "hidden_size": 1280,
            "num_attention_heads": 16,
            "image_size": 8,
            "patch_size": 8,
        },
        projection_dim=4,
    )
    torch.save(_in_open_clips_names(T.CLIPModel(config).state_dict()), tmp_path / "h.pt")
    with pytest.raises(
        ValueError, match="1280 wide, weights do not tell the number of attention heads.*80 in ViT-H"
    ):
        load_open_clip(tmp_path / "h.pt", quick_gelu=False, tokenizer=words)
    model, _ = load_open_clip(
        tmp_path / "h.pt", config={"vision_cfg": {"head_width": 80}}, quick_gelu=False, tokenizer=words
    )
    assert model.config.vision_config.num_attention_heads == 16


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
def test_another_kind_of_model_is_refused_by_name(folder, words, name, says):
    _change(folder, lambda state: state.update({name: torch.zeros(4)}))
    with pytest.raises(ValueError, match=says):
        load_open_clip(folder, tokenizer=words)


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
def test_a_setting_that_makes_another_model_is_refused(folder, words, part, values, says):
    _configure(folder, part, **values)
    with pytest.raises(ValueError, match=says):
        load_open_clip(folder, tokenizer=words)


def test_a_file_cut_off_is_named(folder, words):
    weights = folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:3000])
    with pytest.raises(ValueError, match=f"{WEIGHTS} cannot be read as a checkpoint.*download it again"):
        load_open_clip(folder, tokenizer=words)


def test_a_torch_file_cut_off_is_named(folder, words, tmp_path):
    torch.save(load_file(folder / WEIGHTS), tmp_path / "cut.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"cut\.pt cannot be read as a checkpoint"):
        load_open_clip(tmp_path / "cut.pt", quick_gelu=True, tokenizer=words)


class _Runs:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of a checkpoint ran')",))


def test_a_pickle_with_code_is_never_run(tmp_path, words):
    torch.save({"state_dict": {"visual.conv1.weight": _Runs()}}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match=r"evil\.pt cannot be read .*never unpickled here"):
        load_open_clip(tmp_path / "evil.pt", quick_gelu=True, tokenizer=words)


def test_a_program_with_weights_is_never_run(tmp_path, words):
    with zipfile.ZipFile(tmp_path / "ViT-B-32.pt", "w") as file:  # the parts by which torch knows TorchScript
        file.writestr("ViT/constants.pkl", b"")
        file.writestr("ViT/version", "3")
    with pytest.raises(ValueError, match=r"is a program with weights \(TorchScript\).*openai/clip-vit-base"):
        load_open_clip(tmp_path / "ViT-B-32.pt", quick_gelu=True, tokenizer=words)


def test_a_header_that_lies_is_named(folder, words):
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", 2**40) + b"{}")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        load_open_clip(folder, tokenizer=words)


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
def test_a_tensor_of_another_shape_is_named(folder, words, name, shape, says):
    _change(folder, lambda state: state.update({name: torch.zeros(shape)}))
    with pytest.raises(ValueError, match=says):
        load_open_clip(folder, tokenizer=words)


@pytest.mark.parametrize(
    "name, says",
    [
        ("visual.ln_pre.bias", r"lacks 1 of \d+ tensors, first the one for vision_model\.pre_layrnorm\.bias"),
        ("text_projection", r"lacks 1 of \d+ tensors, first the one for text_projection\.weight"),
        ("token_embedding.weight", r"lacks token_embedding\.weight"),
        ("visual.conv1.weight", r"no OpenCLIP checkpoint: it has no visual\.conv1\.weight"),
    ],
)
def test_a_tensor_that_is_missing_is_never_random(folder, words, name, says):
    _change(folder, lambda state: state.pop(name))
    with pytest.raises(ValueError, match=says):
        load_open_clip(folder, tokenizer=words)


def test_layers_that_are_missing_are_named(folder, words):
    _change(folder, lambda state: [state.pop(name) for name in list(state) if "resblocks.0" in name])
    with pytest.raises(ValueError, match=r"holds the layers \[1\] of visual\.; expected all from 0 on"):
        load_open_clip(folder, tokenizer=words)


def test_a_folder_without_weights_says_what_it_holds(tmp_path, words):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(
        FileNotFoundError, match=r"it holds notes\.txt; expected open_clip_model\.safetensors or"
    ):
        load_open_clip(tmp_path, tokenizer=words)
    with pytest.raises(FileNotFoundError, match="no OpenCLIP checkpoint at .*nowhere; .*hf download"):
        load_open_clip(tmp_path / "nowhere", tokenizer=words)


def test_a_tokenizer_that_cannot_be_had_says_what_to_give(folder):
    with pytest.raises(FileNotFoundError, match=r"no tokenizer for .*Give CLIP's \(tokenizer=FOLDER"):
        load_open_clip(folder, tokenizer=folder / "nowhere")


def test_a_tokenizer_of_another_vocabulary_is_refused(folder):
    with pytest.raises(ValueError, match="its end of text is 2; the model has 99 words"):
        load_open_clip(folder, tokenizer=word_tokenizer())


def test_a_broken_configuration_is_named(folder, words):
    (folder / CONFIG).write_text("{broken")
    with pytest.raises(ValueError, match=f"{CONFIG} is not JSON"):
        load_open_clip(folder, tokenizer=words)


@pytest.mark.parametrize("model_cfg", [None, 7, "vision_cfg", []])
def test_settings_that_are_no_names_and_values_are_refused(folder, words, model_cfg):
    (folder / CONFIG).write_text(json.dumps({"model_cfg": model_cfg}))
    with pytest.raises(
        ValueError, match=f"the configuration of .*{WEIGHTS} is .*; expected names and values"
    ):
        load_open_clip(folder, tokenizer=words)


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
def test_a_preparation_that_cannot_be_done_is_refused(folder, words, values, says):
    told = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(told | {"preprocess_cfg": values}))
    with pytest.raises(ValueError, match=f"{WEIGHTS}: .*{says}"):
        load_open_clip(folder, tokenizer=words)


def test_a_tokenizers_name_that_is_none_is_refused(folder):
    _configure(folder, "text_cfg", hf_tokenizer_name=5)
    with pytest.raises(FileNotFoundError, match=f"no tokenizer for .*{WEIGHTS}: 5 has none"):
        load_open_clip(folder)
