"""An object-detection model of transformers stands in for the detector."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import YolosConfig, YolosForObjectDetection

from cacr.regions.detector import TransformersDetector
from cacr.regions.detector.opening import open_detector


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    config = YolosConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=[32, 48],
        patch_size=16,
        num_detection_tokens=7,
        num_labels=5,
    )
    where = tmp_path_factory.mktemp("yolos")
    YolosForObjectDetection(config).save_pretrained(where)
    settings = {
        "image_processor_type": "YolosImageProcessor",
        "size": {"shortest_edge": 32, "longest_edge": 64},
    }
    (where / "preprocessor_config.json").write_text(json.dumps(settings))
    return where


def test_its_queries_are_regions(folder):
    detector = TransformersDetector.from_pretrained(folder, max_regions=5)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    regions = detector(picture)
    assert regions.features.shape == (5, 16)
    assert regions.size == (60, 40)
    assert regions.object_confidence.diff().max() <= 0
    assert regions.object_names[0].startswith("LABEL_")
    assert len(detector.detect([picture, picture])) == 2


def test_its_features_are_the_hidden_states_of_the_queries(folder):
    detector = TransformersDetector.from_pretrained(folder, max_regions=7)
    picture = Image.new("RGB", (60, 40), "green")
    inputs = detector.processor(images=picture, return_tensors="pt")
    with torch.no_grad():
        hidden = detector.model(**inputs).last_hidden_state[0]
    ours = detector(picture).features
    for feature in ours:
        assert (hidden[-7:] - feature).abs().amax(1).min() < 1e-5


def test_what_is_no_detection_model_is_named(tmp_path):
    with pytest.raises(ValueError, match="is no object-detection model of transformers"):
        TransformersDetector.from_pretrained(tmp_path)


def test_a_folder_of_transformers_is_opened_with_36_regions_or_as_many_as_asked(folder):
    assert open_detector(str(folder)).max_regions == 36
    few = open_detector(str(folder), most=3)
    assert isinstance(few, TransformersDetector) and len(few(Image.new("RGB", (60, 40)))) == 3


@pytest.mark.parametrize("option", [{"least": 2}, {"config": Path("config.yaml")}])
def test_options_of_the_other_detector_are_refused(folder, option):
    with pytest.raises(ValueError, match="is a model of transformers, for which --detector-config"):
        open_detector(str(folder), **option)


@pytest.mark.parametrize("content", ["{", '"model"', '{"MIN_DETECTIONS": "many"}'])
def test_a_folder_that_is_none_of_transformers_is_read_as_the_original(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=str(tmp_path)) as refused:
        open_detector(str(tmp_path))
    assert "model of transformers" not in str(refused.value)


def test_its_settings_are_all_that_its_regions_depend_on(folder):
    one = TransformersDetector.from_pretrained(folder, max_regions=5)
    assert one.describe() == "YolosForObjectDetection, 16 numbers a region, 5 regions"
    before = one.settings()
    assert before == TransformersDetector.from_pretrained(folder, max_regions=5).settings()
    assert TransformersDetector.from_pretrained(folder, max_regions=6).settings() != before
    one.processor.size = {"shortest_edge": 16, "longest_edge": 64}
    assert one.settings() != before


def test_it_moves_to_a_device_and_gives_itself(folder):
    detector = TransformersDetector.from_pretrained(folder)
    assert detector.to("meta") is detector and detector.device.type == "meta"
