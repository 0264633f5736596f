"""Scorers of CLIP, SigLIP and their kin give the model's own logit of each pair, and say what they ran."""

import logging

import pytest
import torch
import transformers as T
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from cacr.data.pairs import Answered, Picture
from cacr.scorers.contrastive.scorer import DualEncoderScorer
from cacr.tiny_models import _batches as b
from cacr.tiny_models.tokenizers import word_tokenizer

VISION = {**b.PICTURE, **b.LAYERS}
SIZE = {"height": b.IMAGE_SIZE, "width": b.IMAGE_SIZE}
SHORT = {"shortest_edge": b.IMAGE_SIZE}
TEXT = {"vocab_size": b.VOCABULARY, "max_position_embeddings": 24, **b.LAYERS}
MARKS = {"pad_token_id": 0, "bos_token_id": 97, "eos_token_id": 98}
BERT = {**TEXT, **b.NO_DROPOUT, "pad_token_id": 0}


def _tokenizer(**options):
    return word_tokenizer(begin=97, end=98, **options)


def _noisy(model):
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 0 and "logit" not in name:
                parameter.add_(0.15 * torch.randn(parameter.shape, generator=g))
    return model.eval()


def clip(**changes):
    config = T.CLIPConfig(
        text_config={**TEXT, **MARKS, **changes},
        vision_config={**VISION, "hidden_act": "gelu"},
        projection_dim=16,
    )
    pixels = T.CLIPImageProcessorPil(size=SHORT, crop_size=SIZE)
    return _noisy(T.CLIPModel(config)), T.CLIPProcessor(pixels, _tokenizer()), {"padding": True}


def siglip():
    config = T.SiglipConfig(text_config={**TEXT, **MARKS, "projection_size": 32}, vision_config=VISION)
    processor = T.SiglipProcessor(T.SiglipImageProcessorPil(size=SIZE), _tokenizer())
    processor.tokenizer.model_input_names = ["input_ids"]  # as published: padding is read like words
    processor.tokenizer.init_kwargs["model_input_names"] = ["input_ids"]  # so that it is saved
    model = _noisy(T.SiglipModel(config))
    torch.nn.init.constant_(model.logit_scale, 2.0)
    torch.nn.init.constant_(model.logit_bias, -3.0)
    return model, processor, {"padding": "max_length", "max_length": 24}


def _letters():
    """SigLIP 2's own class, as published: no mask, padding at the end; letters are its words."""
    marks = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", ".", *"abcdefghijklmnopqrstuvwxyz"]
    vocabulary = {mark: index for index, mark in enumerate(marks)}
    return T.Siglip2Tokenizer(vocab=vocabulary, model_input_names=["input_ids"], padding_side="right")


def siglip2():
    config = T.Siglip2Config(
        text_config={**TEXT, **MARKS, "max_position_embeddings": 64, "projection_size": 32},
        vision_config={**b.LAYERS, "patch_size": 16, "num_patches": 16},
    )
    processor = T.Siglip2Processor(T.Siglip2ImageProcessorPil(patch_size=16), _letters())
    model = _noisy(T.Siglip2Model(config))
    torch.nn.init.constant_(model.logit_scale, 2.0)
    torch.nn.init.constant_(model.logit_bias, 0.5)
    return model, processor, {"padding": "max_length", "max_length": 64, "truncation": True}


def chinese_clip():
    config = T.ChineseCLIPConfig(text_config=BERT, vision_config=VISION, projection_dim=16)
    pixels = T.ChineseCLIPImageProcessorPil(size=SIZE, crop_size=SIZE)
    return _noisy(T.ChineseCLIPModel(config)), T.ChineseCLIPProcessor(pixels, _tokenizer()), {"padding": True}


def alt_clip():
    text = {**BERT, "pad_token_id": 1, "project_dim": 32}
    config = T.AltCLIPConfig(text_config=text, vision_config=VISION, projection_dim=16)
    pixels = T.CLIPImageProcessorPil(size=SHORT, crop_size=SIZE)
    tokenizer = word_tokenizer(begin=97, end=98, pad=1)
    return _noisy(T.AltCLIPModel(config)), T.AltCLIPProcessor(pixels, tokenizer), {"padding": True}


def meta_clip2():
    config = T.MetaClip2Config(text_config={**TEXT, **MARKS}, vision_config=VISION, projection_dim=16)
    pixels = T.CLIPImageProcessorPil(size=SHORT, crop_size=SIZE)
    return _noisy(T.MetaClip2Model(config)), T.CLIPProcessor(pixels, _tokenizer()), {"padding": True}


def align():
    stages = {
        "kernel_sizes": [3],
        "in_channels": [8],
        "out_channels": [8],
        "strides": [1],
        "expand_ratios": [1],
    }
    stages |= {"depthwise_padding": [], "num_block_repeats": [1], "num_channels": 3}
    config = T.AlignConfig(
        text_config={**BERT, "max_position_embeddings": 64},
        vision_config={"image_size": 32, "hidden_dim": 32, "width_coefficient": 0.25, **stages},
        projection_dim=8,
        temperature_init_value=0.25,
    )
    processor = T.AlignProcessor(T.EfficientNetImageProcessorPil(size=SIZE), _tokenizer())
    return _noisy(T.AlignModel(config)), processor, {"padding": "max_length", "max_length": 64}


FAMILIES = {one.__name__: one for one in (clip, siglip, siglip2, chinese_clip, alt_clip, meta_clip2, align)}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return FAMILIES[request.param]()


def _alone(model, processor, options):
    def alone(caption, picture):
        inputs = processor(text=[caption], images=[picture.image], return_tensors="pt", **options)
        return model(**inputs).logits_per_image[0, 0]

    return alone


def test_every_match_is_the_logit_of_the_pair_alone(family, captions, pictures, every_pair_equals):
    model, processor, options = family
    scorer = DualEncoderScorer(model, processor)
    every_pair_equals(scorer, _alone(model, processor, options), captions, pictures)


def test_batches_of_one_give_the_same(family, captions, pictures):
    model, processor, _ = family
    whole = DualEncoderScorer(model, processor).grid(captions, pictures)
    single = DualEncoderScorer(model, processor, memory=1e-9).grid(captions, pictures)
    assert_close(single, whole, rtol=0, atol=1e-5)


def test_a_saved_folder_scores_the_same(family, captions, pictures, tmp_path):
    model, processor, _ = family
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded = DualEncoderScorer.from_pretrained(tmp_path, device="cpu")
    here = DualEncoderScorer(model, processor)
    assert_close(loaded.grid(captions, pictures), here.grid(captions, pictures), rtol=0, atol=1e-6)
    assert loaded.name == tmp_path.name
    told, expected = loaded.describe(), here.describe()
    for record in (told, expected):
        record.pop("config")  # parts of it are filled in by loading
        record.pop("weights")  # loading sets the row of padding to 0, which nothing reads
    assert told == expected


def test_loading_leaves_the_tokenizer_as_it_was(folder):
    loaded = DualEncoderScorer.from_pretrained(folder, device="cpu").processor
    assert loaded.tokenizer.backend == "tokenizers"
    assert type(loaded.image_processor) is T.CLIPImageProcessorPil


def test_captions_are_embedded_once_for_many_pictures(captions, pictures):
    model, processor, _ = clip()
    scorer = DualEncoderScorer(model, processor, memory=1e-9)
    calls = []
    hook = model.text_model.register_forward_hook(lambda *_: calls.append(1))
    for picture in pictures:
        scorer.grid(captions, [picture])
    hook.remove()
    assert len(calls) == len(captions)


def test_progress_counts_every_pair(captions, pictures):
    model, processor, _ = clip()
    scorer, done = DualEncoderScorer(model, processor, memory=1e-9), []
    scorer.progress = done.append
    scorer.grid(captions, pictures)
    assert sum(done) == len(captions) * len(pictures) and len(done) == len(pictures)
    done.clear()
    scorer.match([captions[0], captions[1], captions[0]], [pictures[0], pictures[2], pictures[0]])
    assert sum(done) == 2


@pytest.mark.parametrize("build", [clip, siglip])
def test_rows_of_captions_and_pictures_that_were_encoded_match_one_by_one(build, captions, pictures):
    model, processor, _ = build()
    scorer = DualEncoderScorer(model, processor)
    with torch.no_grad():
        found = scorer.forward(scorer.encode_captions(captions[:3]), scorer.encode_pictures(pictures))
    assert_close(found, scorer.match(captions[:3], pictures), rtol=0, atol=1e-5)


def test_a_sigmoid_says_true_above_0_and_a_softmax_says_nothing():
    for build, threshold in ((clip, None), (siglip, 0.0), (siglip2, 0.0)):
        model, processor, _ = build()
        assert DualEncoderScorer(model, processor).threshold == threshold


def test_an_answered_question_is_read_as_a_sentence(pictures):
    model, processor, _ = clip()
    scorer = DualEncoderScorer(model, processor)
    answered = Answered("is the dog red ?", "yes")
    assert_close(scorer.match([answered], pictures[:1]), scorer.match([str(answered)], pictures[:1]))


def test_captions_cut_to_the_maximum_are_counted_once(pictures, caplog):
    model, processor, _ = clip()
    scorer = DualEncoderScorer(model, processor, name="tiny")
    long = " ".join(["a red circle"] * 20)
    with caplog.at_level(logging.WARNING, logger="cacr"):
        match = scorer.match([long, "a dog runs"], pictures[:2])
        scorer.match([long], pictures[:1])
    said = [record.getMessage() for record in caplog.records if record.name.startswith("cacr")]
    assert len(said) == 1 and "tiny reads 24 tokens: 1 of 2 captions are longer and cut" in said[0]
    cut = processor(
        text=[long],
        images=[pictures[0].image],
        return_tensors="pt",
        truncation=True,
        max_length=24,
        padding=True,
    )
    assert_close(match[0], model(**cut).logits_per_image[0, 0].detach(), rtol=0, atol=1e-5)


def test_a_position_before_the_first_is_no_room_for_words(pictures):
    model, processor, _ = alt_clip()
    scorer = DualEncoderScorer(model, processor)
    assert scorer.max_text_length == 22  # of 24: RoBERTa's words begin behind its padding
    assert scorer.grid(["a red circle " * 20], pictures).isfinite().all()


def test_the_record_tells_one_activation_from_another():
    quick, plain = (DualEncoderScorer(*clip(hidden_act=act)[:2]).describe() for act in ("quick_gelu", "gelu"))
    assert (quick["text_activation"], plain["text_activation"]) == ("quick_gelu", "gelu")
    assert quick["vision_activation"] == "gelu"
    assert quick["image_size"] == 32 and quick["max_text_length"] == 24 and quick["embedding_width"] == 16
    assert quick["model_type"] == "clip" and quick["dtype"] == "float32" and quick["logit_bias"] == 0
    assert quick["image_processor"] == "CLIPImageProcessorPil"


def test_the_record_gives_scale_bias_and_padding_of_siglip():
    told = DualEncoderScorer(*siglip()[:2]).describe()
    assert told["logit_scale"] == pytest.approx(torch.tensor(2.0).exp().item(), abs=1e-4)
    assert told["logit_bias"] == -3.0 and told["padding"] == "to the maximum" and not told["padding_masked"]


def test_half_precision_gives_float32_near_the_full_one(captions, pictures):
    model, processor, _ = clip()
    full = DualEncoderScorer(model, processor).grid(captions, pictures)
    half = DualEncoderScorer(model.to(torch.bfloat16), processor).grid(captions, pictures)
    assert half.dtype == torch.float32 and not half.equal(full)
    assert_close(half, full, rtol=0, atol=0.3)


def test_an_embedding_that_is_no_number_is_refused(captions, pictures):
    model, processor, _ = clip()
    torch.nn.init.constant_(model.visual_projection.weight, float("inf"))
    with pytest.raises(ValueError, match="embeds the picture '0.png' as something infinite.*use float32"):
        DualEncoderScorer(model, processor).grid(captions, pictures)


def test_a_picture_without_pixels_is_named(captions):
    model, processor, _ = clip()
    with pytest.raises(ValueError, match=r"no pixels for picture blind\.png"):
        DualEncoderScorer(model, processor).match(captions[:1], [Picture("blind.png")])


def test_a_picture_of_one_pixel_is_scored(captions):
    model, processor, _ = clip()
    dot = Picture("dot.png", read_image=lambda: Image.new("RGB", (1, 1), "red"))
    assert DualEncoderScorer(model, processor).match(captions[:1], [dot]).isfinite().all()


def test_nothing_asked_is_nothing_answered(captions, pictures):
    scorer = DualEncoderScorer(*clip()[:2])
    assert scorer.grid(captions, []).shape == (4, 0) and scorer.grid([], pictures).shape == (0, 3)
    assert scorer.match([], []).shape == (0,)


def test_a_name_that_is_no_folder_and_no_model_says_what_to_do():
    with pytest.raises(
        FileNotFoundError, match="no model '/nowhere/clip': there is no such folder.*hf download"
    ):
        DualEncoderScorer.from_pretrained("/nowhere/clip")


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config\.json in .*save_pretrained"):
        DualEncoderScorer.from_pretrained(tmp_path)


def test_an_open_clip_folder_is_sent_to_its_own_scorer(tmp_path):
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"OpenClipScorer\.from_pretrained"):
        DualEncoderScorer.from_pretrained(tmp_path)


def test_another_kind_of_model_is_refused_by_name(tmp_path):
    T.BertConfig(num_hidden_layers=1).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="unknown model_type 'bert'.*Known: clip, siglip"):
        DualEncoderScorer.from_pretrained(tmp_path)


@pytest.fixture
def folder(tmp_path):
    model, processor, _ = clip()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    return tmp_path


def test_weights_cut_off_are_named(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ValueError, match="the weights of .* cannot be read.*Copy the whole model folder"):
        DualEncoderScorer.from_pretrained(folder)


def test_a_tensor_that_is_missing_is_never_random(folder):
    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lack 1 tensors of CLIPModel, first visual_projection\.weight"):
        DualEncoderScorer.from_pretrained(folder)


def test_a_tensor_of_another_shape_is_refused(folder):
    state = load_file(folder / "model.safetensors")
    state["visual_projection.weight"] = torch.zeros(3, 3)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"cannot be read .*not belong to its config\.json"):
        DualEncoderScorer.from_pretrained(folder)


def test_a_broken_configuration_is_named(folder):
    (folder / "config.json").write_text("{broken")
    with pytest.raises(ValueError, match=r"config\.json is no configuration"):
        DualEncoderScorer.from_pretrained(folder)


def test_a_folder_without_processor_says_how_to_save_one(folder):
    (folder / "processor_config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no processor .*processor\.save_pretrained"):
        DualEncoderScorer.from_pretrained(folder)


def test_a_processor_without_tokenizer_is_refused():
    model, processor, _ = clip()
    with pytest.raises(ValueError, match="TokenizersBackend has no tokenizer"):
        DualEncoderScorer(model, processor.tokenizer)
