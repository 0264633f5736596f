"""What a scorer of a matching head cannot use is named: another model, half a folder, another size of pictures."""

import pytest

from cacr.scorers.match_heads.blip import BlipScorer
from cacr.scorers.match_heads.bridgetower import BridgeTowerScorer
from cacr.tiny_models import processors, two_stream
from cacr.tiny_models.tokenizers import word_tokenizer


def test_a_picture_of_another_size_than_the_first_is_named(captions, pictures):
    processor = processors.blip()
    processor.image_processor.do_resize = False
    scorer = BlipScorer(two_stream.blip_itm().model, processor)
    with pytest.raises(ValueError, match=r"0\.png 64 x 64 pixels and 1\.png 80 x 48"):
        scorer.match(captions[:2], pictures[:2])


def test_another_kind_of_model_is_named(tmp_path):
    two_stream.lxmert().model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="a model of kind 'lxmert'; expected 'blip'"):
        BlipScorer.from_pretrained(tmp_path)


def test_a_captioner_is_no_matcher(tmp_path):
    two_stream.blip_captioning().model.save_pretrained(tmp_path)
    processors.blip().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a BlipForConditionalGeneration without itm_head"):
        BlipScorer.from_pretrained(tmp_path)


def test_weights_that_are_cut_off_are_named(tmp_path):
    two_stream.blip_itm().model.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match="are cut off"):
        BlipScorer.from_pretrained(tmp_path)


def test_a_folder_without_a_model_or_a_processor_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no config.json in"):
        BlipScorer.from_pretrained(tmp_path)
    two_stream.blip_itm().model.save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="no processor in"):
        BlipScorer.from_pretrained(tmp_path)


def test_a_tokenizer_is_no_processor_of_pictures():
    with pytest.raises(ValueError, match="processor of blip is a .* without tokenizer and image_processor"):
        BlipScorer(two_stream.blip_itm().model, word_tokenizer())


def test_an_unknown_score_names_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown score for BlipScorer: 'itx'.*Known: itm, itc"):
        BlipScorer(two_stream.blip_itm().model, processors.blip(), score="itx")


def test_a_model_without_the_score_is_named():
    with pytest.raises(ValueError, match="'itc' is computed by a BridgeTowerForContrastiveLearning"):
        BridgeTowerScorer(two_stream.bridge_tower().model, processors.bridge_tower(), score="itc")
