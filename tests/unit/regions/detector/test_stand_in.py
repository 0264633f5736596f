"""An object-detection model of transformers stands in for the detector."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import YolosConfig, YolosForObjectDetection

from cacr.regions.detector import TransformersDetector


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
