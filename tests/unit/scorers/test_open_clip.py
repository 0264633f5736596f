"""OpenCLIP checkpoints give the logits of open_clip itself."""

import json

import pytest
import torch
import transformers as T
from safetensors.torch import load_file
from tests.unit.scorers.open_clip_cases import WEIGHTS, change_weights, configure
from torch.testing import assert_close

from cacr.scorers.contrastive.open_clip import CONFIG, OpenClipScorer, load_open_clip
from cacr.scorers.contrastive.scorer import DualEncoderScorer
from cacr.scorers.opening import FAMILIES, open_scorer, scores_of


@pytest.fixture(params=["gelu", "quick_gelu"])
def stored(request, data):
    """Folder of a tiny model made by open_clip, and what it gave."""
    folder = data / "open_clip" / request.param
    return folder, load_file(folder / "expected.safetensors")


def _logits(model, expected):
    with torch.no_grad():
        return model(input_ids=expected["token_ids"], pixel_values=expected["pixels"]).logits_per_text


def test_gives_the_logits_of_open_clip(stored, clip_words):
    folder, expected = stored
    model, _ = load_open_clip(folder, tokenizer=clip_words)
    assert_close(_logits(model, expected), expected["logits_per_text"], rtol=0, atol=1e-5)
    with torch.no_grad():
        text = model.get_text_features(expected["token_ids"]).pooler_output
    assert_close(torch.nn.functional.normalize(text, dim=-1), expected["text_embeds"], rtol=0, atol=1e-5)


def test_the_wrong_activation_would_be_seen(stored, clip_words):
    folder, expected = stored
    model, _ = load_open_clip(folder, quick_gelu=folder.name == "gelu", tokenizer=clip_words)
    assert (_logits(model, expected) - expected["logits_per_text"]).abs().max() > 1e-3


def test_a_training_checkpoint_of_torch_is_the_same(stored, clip_words, tmp_path):
    folder, expected = stored
    state = {f"module.{name}": value for name, value in load_file(folder / WEIGHTS).items()}
    torch.save(
        {"epoch": 3, "name": "run", "state_dict": state, "optimizer": {"lr": 1e-4}}, tmp_path / "epoch_3.pt"
    )
    config = json.loads((folder / CONFIG).read_text())["model_cfg"]
    model, _ = load_open_clip(tmp_path / "epoch_3.pt", config=config, tokenizer=clip_words)
    assert_close(_logits(model, expected), expected["logits_per_text"], rtol=0, atol=1e-5)


def test_a_text_tower_apart_and_half_precision_are_read(open_clip_folder, clip_words):
    expected = load_file(open_clip_folder / "expected.safetensors")

    def change(state):
        for name in [name for name in state if not name.startswith(("visual.", "logit_scale"))]:
            state[f"text.{name}"] = state.pop(name)
        state["logit_scale"] = state["logit_scale"].half()[None]

    change_weights(open_clip_folder, change)
    model, _ = load_open_clip(open_clip_folder, tokenizer=clip_words)
    assert_close(_logits(model, expected), expected["logits_per_text"], rtol=0, atol=0.02)
    assert model.dtype == torch.float32


def test_without_configuration_sizes_come_from_the_weights(tmp_path, clip_words):
    towers = {"hidden_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    config = T.CLIPConfig(
        text_config={**towers, "vocab_size": 99, "max_position_embeddings": 20, "eos_token_id": 98},
        vision_config={**towers, "image_size": 16, "patch_size": 8},
        projection_dim=6,
    )
    model = T.CLIPModel(config).eval()
    torch.save(_in_open_clips_names(model.state_dict()), tmp_path / "negclip.pth")
    scorer = OpenClipScorer.from_pretrained(
        tmp_path / "negclip.pth", device="cpu", quick_gelu=True, tokenizer=clip_words
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
def test_a_folder_and_a_file_are_opened_by_name(open_clip_folder, clip_words, which):
    assert scores_of(str(open_clip_folder / which)) == FAMILIES["open_clip"]
    scorer = open_scorer(str(open_clip_folder / which), device="cpu", tokenizer=clip_words)
    assert type(scorer) is OpenClipScorer
    expected = load_file(open_clip_folder / "expected.safetensors")
    assert_close(_logits(scorer.model, expected), expected["logits_per_text"], rtol=0, atol=1e-5)


def test_a_size_of_pictures_may_be_told_by_side(open_clip_folder, clip_words):
    size = json.loads((open_clip_folder / CONFIG).read_text())["model_cfg"]["vision_cfg"]["image_size"]
    configure(open_clip_folder, "vision_cfg", image_size=[size, size])
    model, _ = load_open_clip(open_clip_folder, tokenizer=clip_words)
    assert model.config.vision_config.image_size == size
    configure(open_clip_folder, "vision_cfg", image_size=[size, 2 * size])
    with pytest.raises(ValueError, match=r"image_size is \[\d+, \d+\] by its configuration"):
        load_open_clip(open_clip_folder, tokenizer=clip_words)


def test_every_match_is_the_logit_of_the_pair_alone(
    stored, clip_words, captions, pictures, every_pair_equals
):
    scorer = OpenClipScorer.from_pretrained(stored[0], device="cpu", tokenizer=clip_words)
    model, processor = load_open_clip(stored[0], tokenizer=clip_words)

    def alone(caption, picture):
        inputs = processor(
            text=[caption], images=[picture.image], return_tensors="pt", truncation=True, max_length=16
        )
        return model(**inputs).logits_per_image[0, 0]

    every_pair_equals(scorer, alone, captions, pictures)


def test_a_converted_model_saves_as_a_folder_of_transformers(
    stored, clip_words, captions, pictures, tmp_path
):
    model, processor = load_open_clip(stored[0], tokenizer=clip_words)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    saved = DualEncoderScorer.from_pretrained(tmp_path, device="cpu").grid(captions, pictures)
    here = OpenClipScorer.from_pretrained(stored[0], device="cpu", tokenizer=clip_words).grid(
        captions, pictures
    )
    assert_close(saved, here, rtol=0, atol=1e-6)


def test_a_tokenizer_beside_the_weights_is_found(open_clip_folder, clip_words, captions, pictures):
    clip_words.save_pretrained(open_clip_folder)
    found = OpenClipScorer.from_pretrained(open_clip_folder, device="cpu").grid(captions, pictures)
    given = OpenClipScorer.from_pretrained(open_clip_folder, device="cpu", tokenizer=clip_words).grid(
        captions, pictures
    )
    assert found.equal(given)


def test_vocabulary_and_merges_alone_make_a_tokenizer(open_clip_folder, tmp_path):
    (tmp_path / "words").mkdir()
    letters = {letter: 10 + i for i, letter in enumerate("adogruns")}
    ends = {f"{letter}</w>": 20 + i for i, letter in enumerate("adogruns")}
    ids = letters | ends | {"do": 40, "dog</w>": 41, "<|startoftext|>": 97, "<|endoftext|>": 98}
    (tmp_path / "words" / "vocab.json").write_text(json.dumps(ids))
    (tmp_path / "words" / "merges.txt").write_text("#version: 0.2\nd o\ndo g</w>\n")
    _, processor = load_open_clip(open_clip_folder, tokenizer=tmp_path / "words")
    assert processor(text=["A dog"])["input_ids"] == [[97, ends["a</w>"], 41, 98]]


def test_pictures_are_prepared_as_the_configuration_says(open_clip_folder, clip_words, pictures):
    told = json.loads((open_clip_folder / CONFIG).read_text())
    told["preprocess_cfg"] |= {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "resize_mode": "squash"}
    (open_clip_folder / CONFIG).write_text(json.dumps(told))
    _, processor = load_open_clip(open_clip_folder, tokenizer=clip_words)
    image = pictures[1].image
    seen = processor(images=[image], return_tensors="pt")["pixel_values"][0]
    square = torch.tensor(list(image.resize((32, 32), 3).tobytes())).view(32, 32, 3).permute(2, 0, 1)
    assert_close(seen, (square / 255 - 0.5) / 0.25, rtol=0, atol=1e-5)


def test_the_activation_must_be_told_where_there_is_no_configuration(open_clip_folder, clip_words):
    (open_clip_folder / CONFIG).unlink()
    with pytest.raises(
        ValueError, match="weights do not tell the activation. Say quick_gelu=True for OpenAI's"
    ):
        load_open_clip(open_clip_folder, tokenizer=clip_words)


def test_heads_of_a_wide_tower_must_be_told(tmp_path, clip_words):
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
        load_open_clip(tmp_path / "h.pt", quick_gelu=False, tokenizer=clip_words)
    model, _ = load_open_clip(
        tmp_path / "h.pt", config={"vision_cfg": {"head_width": 80}}, quick_gelu=False, tokenizer=clip_words
    )
    assert model.config.vision_config.num_attention_heads == 16
