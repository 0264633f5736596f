"""The detector keeps its promises: rules against loops, pictures that do not depend on neighbors, readable errors."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from cacr.regions.detector import BottomUpDetector, DetectorConfig, attribute_names, object_names
from cacr.regions.detector.boxes import cut, suppress
from cacr.regions.detector.heads import choose_regions
from cacr.regions.detector.opening import open_detector
from cacr.regions.detector.pooling import roi_pool

SMALL = DetectorConfig(short_side=64, long_side=100, proposals=30, min_regions=4, max_regions=9)


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(3)
    return BottomUpDetector.new(SMALL, width=8)


def photograph(width=90, height=60, seed=0):
    values = np.random.default_rng(seed).integers(0, 255, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((width, height))


def pooled_by_loops(features, boxes, cells, scale):
    """The rules of RoIPool, one cell at a time."""
    out = torch.zeros(len(boxes), features.shape[1], cells, cells)
    height, width = features.shape[-2:]

    def rounded(x):
        return int(math.copysign(math.floor(abs(x) + 0.5), x))

    for r, (picture, *corners) in enumerate(boxes.tolist()):
        x1, y1, x2, y2 = (rounded(np.float32(c) * np.float32(scale)) for c in corners)
        w, h = (np.float32(max(b - a + 1, 1)) / np.float32(cells) for a, b in ((x1, x2), (y1, y2)))
        for i in range(cells):
            for j in range(cells):
                top = min(max(math.floor(np.float32(i) * h) + y1, 0), height)
                bottom = min(max(math.ceil(np.float32(i + 1) * h) + y1, 0), height)
                left = min(max(math.floor(np.float32(j) * w) + x1, 0), width)
                right = min(max(math.ceil(np.float32(j + 1) * w) + x1, 0), width)
                if bottom > top and right > left:
                    out[r, :, i, j] = features[int(picture), :, top:bottom, left:right].amax((1, 2))
    return out


def test_pooling_agrees_with_its_rules_written_as_loops():
    g = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 23, 31, generator=g)
    corners = torch.rand(60, 2, generator=g) * torch.tensor([480.0, 350.0])
    boxes = torch.cat(
        [torch.arange(60)[:, None] % 2, corners, corners + 300 * torch.rand(60, 2, generator=g)], 1
    )
    boxes[0, 1:] = torch.tensor([0.0, 0.0, 8.0, 8.0])  # half a cell
    assert torch.equal(roi_pool(features, boxes, 7), pooled_by_loops(features, boxes, 7, 1 / 16))


def test_suppression_agrees_with_its_rule_written_as_loops():
    g = torch.Generator().manual_seed(1)
    corners = torch.rand(80, 2, generator=g) * 50
    boxes = torch.cat([corners, corners + 30 * torch.rand(80, 2, generator=g)], 1)
    scores = (torch.rand(80, generator=g) * 10).round()  # with ties
    kept = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        overlaps = []
        for j in kept:
            both = (
                torch.minimum(boxes[i, 2:], boxes[j, 2:]) - torch.maximum(boxes[i, :2], boxes[j, :2])
            ).clamp(0)
            areas = [(boxes[k, 2:] - boxes[k, :2]).prod() for k in (i, j)]
            overlaps.append(float(both.prod() / (sum(areas) - both.prod())))
        if not any(overlap > 0.4 for overlap in overlaps):
            kept.append(i)
    assert suppress(boxes, scores, 0.4).tolist() == kept
    assert suppress(boxes, scores, 0.4, most=5).tolist() == kept[:5]


def test_boxes_are_cut_at_the_borders():
    boxes = torch.tensor([[-3.0, 2.0, 70.0, 90.0]])
    assert cut(boxes, (50, 60)).tolist() == [[0.0, 2.0, 60.0, 50.0]]


def test_too_few_regions_are_all_that_the_last_threshold_leaves():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [30, 0, 40, 10]])
    logits = torch.tensor([[3.0, 0, 0], [2.0, 0, 0], [1.0, 0, 0]])
    config = DetectorConfig(min_regions=3, max_regions=3, thresholds=(0.5, 0.9))
    chosen = choose_regions(logits, torch.zeros(3, 8), boxes, (50, 50), config)
    assert chosen.proposals.tolist() == [0, 2]


def test_a_picture_does_not_depend_on_the_others_of_its_call(detector):
    pictures = [photograph(), photograph(60, 90, 1), photograph(90, 60, 2)]
    together = detector.detect(pictures)
    for picture, regions in zip(pictures, together, strict=True):
        alone = detector(picture)
        torch.testing.assert_close(regions.features, alone.features)
        torch.testing.assert_close(regions.boxes, alone.boxes, atol=1e-3, rtol=0)
        assert regions.size == picture.size


def test_regions_say_class_attribute_and_confidence(detector):
    regions = detector(photograph())
    n = len(regions)
    assert 4 <= n <= 9
    assert regions.object_confidence.diff().max() <= 0  # best first
    assert len(regions.object_names) == n
    assert regions.attribute_ids.max() < 400
    assert detector.width == regions.features.shape[1]


def test_each_class_and_attribute_has_one_name(detector):
    """The first of several, and 400 that differ; "gray,grey" is the first line of the list."""
    assert len(object_names()) == 1600 and len(set(attribute_names())) == 400
    assert attribute_names()[:3] == ("gray", "multi colored", "double decker")
    assert not any("," in name for name in (*object_names(), *attribute_names()))


def test_random_weights_are_the_same_every_time_and_take_the_numbers_of_regions(monkeypatch):
    monkeypatch.setattr(BottomUpDetector, "new", lambda new=BottomUpDetector.new: new(SMALL, width=8))
    first = open_detector("random")
    torch.manual_seed(7)
    again = open_detector("random", most=3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert (first.config.min_regions, first.config.max_regions) == (4, 9)
    assert (again.config.min_regions, again.config.max_regions) == (3, 3)


def test_red_and_blue_are_not_mixed_up(detector):
    red = Image.new("RGB", (90, 60), "red")
    bgr = torch.tensor([0, 0, 255], dtype=torch.uint8).expand(60, 90, 3)
    torch.testing.assert_close(detector(red).features, detector(bgr).features)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_pictures_of_every_mode_are_read(detector, mode):
    assert detector(photograph().convert(mode)).size == (90, 60)


def test_a_saved_detector_comes_back(detector, tmp_path):
    state = {name: value.contiguous() for name, value in detector.state_dict().items()}
    state.pop("backbone.stem.conv1.norm.num_batches_tracked")  # absent in some checkpoints
    save_file(state, tmp_path / "model.safetensors")
    original = {
        "INPUT": {"MIN_SIZE_TEST": 64, "MAX_SIZE_TEST": 100},
        "RPN": {"POST_NMS_TOPK_TEST": 30},
        "MIN_DETECTIONS": 4,
        "MAX_DETECTIONS": 9,
    }
    (tmp_path / "config.json").write_text(json.dumps(original))
    again = BottomUpDetector.from_original(tmp_path)
    assert again.config == SMALL
    torch.testing.assert_close(again(photograph()).features, detector(photograph()).features)


def test_a_yaml_configuration_is_read(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "MIN_DETECTIONS: 10\nMAX_DETECTIONS: 100\nROI_HEADS:\n  NMS_THRESH_TEST: 0.3\n"
    )
    config = DetectorConfig.from_original(tmp_path / "config.yaml")
    assert (config.min_regions, config.max_regions, config.thresholds) == (10, 100, (0.3,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"INPUT": {"FORMAT": "RGB"}}', "INPUT.FORMAT is 'RGB'; this detector is built for 'BGR'"),
        ('{"MIN_DETECTIONS": "many"}', "MIN_DETECTIONS is 'many'; expected int"),
        ('{"MIN_DETECTIONS": 50, "MAX_DETECTIONS": 36}', "min_regions is 50 and max_regions 36"),
        ("[1]", "holds list; expected names and values"),
        ("{", "not readable as a configuration"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        DetectorConfig.from_original(tmp_path / "config.json")


def test_broken_yaml_is_named(tmp_path):
    (tmp_path / "config.yaml").write_text("a: [1")
    with pytest.raises(ValueError, match="is not YAML"):
        DetectorConfig.from_original(tmp_path / "config.yaml")


def test_what_is_no_detector_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no detector at"):
        BottomUpDetector.from_original(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="no weights in"):
        BottomUpDetector.from_original(tmp_path)
    save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="it has no backbone.stem.conv1.weight among its 1 tensors"):
        BottomUpDetector.from_original(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        BottomUpDetector.from_original(tmp_path)


def test_a_pickle_is_never_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    torch.save({"backbone.stem.conv1.weight": Bomb()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="never unpickled"):
        BottomUpDetector.from_original(tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_a_name_on_the_hub_that_cannot_be_reached_says_what_to_do(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="hf download"):
        BottomUpDetector.from_original("someone/no-such-detector")
