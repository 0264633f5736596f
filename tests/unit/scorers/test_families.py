"""Every family that is listed is opened by name from a saved folder, tells pairs apart, and takes a whole benchmark."""

import importlib
import json

import pytest
import torch

from cacr.benchmarks import BENCHMARKS, Options
from cacr.cli import main
from cacr.data import Picture
from cacr.data.fingerprint import describe
from cacr.data.scenes import scene
from cacr.regions import Regions
from cacr.scorers.opening import FAMILIES, GENERATIVE, TEXT_ONLY, open_scorer, scores_of
from cacr.tiny_models import TINY, processors
from cacr.tiny_models.chat_processors import WRITING
from cacr.tiny_models.tokenizers import word_tokenizer

HEADS = {
    "blip_itm": "blip",
    "blip2_itm": "blip-2",
    "vilt": "vilt",
    "bridgetower": "bridgetower",
    "flava": "flava",
}
READABLE = ("llava", "paligemma", "florence2", "git", "blip", "blip2_opt")
"""Those whose processors can be saved and opened without torchvision."""
LISTED = sorted({where for some in (*FAMILIES.values(), GENERATIVE, TEXT_ONLY) for where in some.values()})


@pytest.mark.parametrize("where", LISTED)
def test_every_class_that_is_listed_exists(where):
    module, name = where.split(":")
    assert callable(getattr(importlib.import_module(f"cacr.scorers.{module}"), name).from_pretrained)


def asked(scorer):
    """The matches of two captions with two pictures."""
    captions = ["a red circle is left of a blue square", "a dog sits on the grass"]
    width, g = getattr(scorer, "region_dim", None), torch.Generator().manual_seed(0)
    pictures = []
    for i in (0, 1):
        boxes = torch.rand(3, 2, generator=g) / 2
        regions = width and Regions(torch.randn(3, width, generator=g), torch.cat([boxes, boxes + 0.3], 1))
        image = scene(0, i).image
        pictures.append(Picture(f"{i}.png", lambda regions=regions: regions, lambda image=image: image))
    return scorer.match([c for c in captions for _ in pictures], pictures * 2).view(2, 2)


@pytest.mark.parametrize("tiny", HEADS)
def test_models_with_a_match_head_open_by_name(tmp_path, tiny):
    TINY[tiny]().model.save_pretrained(tmp_path)
    processors.PROCESSORS[HEADS[tiny]]().save_pretrained(tmp_path)
    for score in scores_of(str(tmp_path)):
        if tiny == "bridgetower" and score == "itc":
            continue  # another class, saved by itself
        scorer = open_scorer(str(tmp_path), score=score, device="cpu")
        match = asked(scorer)
        assert len(match.unique()) == 4 and scorer.name == str(tmp_path)
        json.dumps(describe(scorer))


@pytest.mark.parametrize("tiny", ["lxmert", "visual_bert"])
def test_models_of_regions_open_by_name(tmp_path, tiny):
    TINY[tiny]().model.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    assert len(asked(open_scorer(str(tmp_path), device="cpu")).unique()) == 4


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("tiny", READABLE)
def test_models_that_write_open_by_name(tmp_path, tiny):
    WRITING[tiny].model().model.save_pretrained(tmp_path)
    WRITING[tiny].processor().save_pretrained(tmp_path)
    assert list(scores_of(str(tmp_path))) == ["vqascore", "likelihood"]
    scorer = open_scorer(str(tmp_path), device="cpu")
    assert len(asked(scorer).unique()) == 4
    json.dumps(describe(scorer))


def test_options_of_a_family_reach_it_and_others_are_named(tmp_path):
    WRITING["llava"].model().model.save_pretrained(tmp_path)
    WRITING["llava"].processor().save_pretrained(tmp_path)
    scorer = open_scorer(str(tmp_path), normalize=True, answer="yes", other="no", device="cpu")
    assert scorer.threshold == 0.0 and "log P('yes')" in scorer.describe()["score"]
    for strange in ("quick_gelu", "tokenizer", "processor", "folder", "kwargs"):
        with pytest.raises(ValueError, match=f"{strange} means nothing for"):
            open_scorer(str(tmp_path), **{strange: "x"})


def test_a_benchmark_runs_from_the_command_line(tmp_path):
    WRITING["llava"].model().model.save_pretrained(tmp_path / "llava")
    WRITING["llava"].processor().save_pretrained(tmp_path / "llava")
    arguments = ["eval", str(tmp_path / "llava"), "scenes", "--n", "6", "--out", str(tmp_path / "run")]
    assert main([*arguments, "--answer", "yes", "--device", "cpu"]) == 0
    about = json.loads((tmp_path / "run" / "scenes.json").read_text())
    assert about["scorer"]["model"] == "LlavaForConditionalGeneration" and about["n"] == 6
    assert about["scorer"]["score"] == "log P('yes')"


def test_a_language_model_alone_cannot_tell_pictures_apart(tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=99, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    records = BENCHMARKS["scenes"].measure(open_scorer(str(tmp_path), device="cpu"), Options(n=20))
    outcomes = BENCHMARKS["scenes"].right(records)
    assert not outcomes["image"].any() and not outcomes["group match"].any()
