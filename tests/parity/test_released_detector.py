"""Our detector computes what the released one does: each rule by itself, each step from the step before, whole cases.

Numbers of rules and choices lie in tests/data; those that need the narrow model's weights come from the reference data.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import load

from cacr.regions.detector import BottomUpDetector, DetectorConfig
from cacr.regions.detector.boxes import decode, suppress
from cacr.regions.detector.heads import choose_regions
from cacr.regions.detector.pictures import batch, pixels_bgr, prepare
from cacr.regions.detector.pooling import roi_pool
from cacr.regions.detector.proposals import cell_anchors, choose

CASES = {
    "default": {},
    "one_threshold": {"min_regions": 1, "max_regions": 24, "thresholds": (0.3,)},
    "second_threshold": {"min_regions": 60, "max_regions": 60, "thresholds": (0.1, 0.3, 0.5, 0.7, 0.9)},
    "padded": {"min_regions": 5, "max_regions": 100, "thresholds": (0.3,)},
    "scale800": {
        "short_side": 800,
        "long_side": 1333,
        "candidates": 6000,
        "proposals": 300,
        "min_regions": 36,
        "max_regions": 36,
    },
}
NARROW = DetectorConfig(
    short_side=256, long_side=400, candidates=2000, proposals=150, min_regions=10, max_regions=24
)


@pytest.fixture(scope="module")
def stored():
    return load("detector")


@pytest.fixture
def golden(reference_data):
    return reference_data / "golden" / "detector"


@pytest.fixture
def narrow(golden):
    return BottomUpDetector.from_original(golden)


def arrays(path):
    with np.load(path, allow_pickle=False) as opened:
        return {name: torch.from_numpy(np.asarray(opened[name])) for name in opened.files}


def test_pooling_is_bit_equal(stored):
    assert torch.equal(roi_pool(stored["roi_features"], stored["roi_boxes"]), stored["roi_pooled"])


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_suppression_keeps_the_same_boxes_in_the_same_order(stored, threshold):
    kept = suppress(stored["nms_boxes"], stored["nms_scores"], threshold)
    assert torch.equal(kept, stored[f"nms_keep_{threshold}"])


@pytest.mark.parametrize(("name", "weights"), [("rpn", (1, 1, 1, 1)), ("head", (10, 10, 5, 5))])
def test_boxes_are_decoded_alike(stored, name, weights):
    torch.testing.assert_close(
        decode(stored["delta_boxes"], stored["deltas"], weights), stored[f"applied_{name}"]
    )


@pytest.mark.parametrize("k", range(8))
def test_pictures_are_prepared_alike(stored, k):
    height, width = stored[f"prepared_{k}.shape_hw"].tolist()
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    pattern = ((3 * x + 5 * y + 7 * c + (x * y) // 11 + 440) % 256).astype(np.uint8)
    image = prepare(torch.from_numpy(pattern), DetectorConfig())
    assert list(image.shape[1:]) == stored[f"prepared_{k}.size"].tolist()
    torch.testing.assert_close(image[:, ::37, ::41], stored[f"prepared_{k}.sample"], atol=1e-4, rtol=0)


def test_anchors_of_a_new_model_are_those_of_the_public_one(stored):
    cells = cell_anchors()
    torch.testing.assert_close(stored["anchors"][:12], cells, atol=1e-4, rtol=0)


def test_proposals_from_the_stored_logits(stored):
    logits = stored["rpn_objectness_logits"].permute(0, 2, 3, 1).flatten()
    deltas = stored["rpn_anchor_deltas"].view(12, 4, 16, 22).permute(2, 3, 0, 1).reshape(-1, 4)
    boxes, scores = choose(stored["anchors"], logits, deltas, (256, 341), NARROW)
    assert torch.equal(scores, stored["proposal_logits"])
    torch.testing.assert_close(boxes, stored["proposal_boxes"], atol=1e-3, rtol=0)


@pytest.mark.parametrize("case", [name for name in CASES if name != "scale800"])
def test_regions_from_the_stored_predictions(stored, case):
    config = replace(NARROW, **CASES[case])
    chosen = choose_regions(
        stored["obj_logits"], stored["box_deltas"], stored["proposal_boxes"], (256, 341), config
    )
    real = int(stored[f"{case}.preds_per_image"])
    scale = stored["scales_yx"][0][[1, 0, 1, 0]]
    assert torch.equal(chosen.object_ids, stored[f"{case}.obj_ids"][0, :real])
    torch.testing.assert_close(chosen.object_confidence, stored[f"{case}.obj_probs"][0, :real])
    torch.testing.assert_close(chosen.boxes * scale, stored[f"{case}.boxes"][0, :real], atol=1e-2, rtol=0)


def test_the_second_threshold_is_tried_when_the_first_leaves_too_few(stored):
    kept = stored["second_threshold.kept_per_threshold"]
    confidence, ids = stored["obj_logits"].softmax(-1)[:, :-1].max(-1)
    own = stored["box_deltas"].view(len(ids), -1, 4)[torch.arange(len(ids)), ids]
    boxes = decode(stored["proposal_boxes"], own, (10, 10, 5, 5)).clamp_min(0)
    boxes = boxes.minimum(torch.tensor([341.0, 256, 341, 256]))
    counts = [len(suppress(boxes, confidence, float(f"{threshold:.1f}"))) for threshold in kept[:, 0]]
    assert counts == kept[:, 1].int().tolist()


@torch.no_grad()
def test_each_step_of_the_network(golden, narrow):
    steps = arrays(golden / "steps.npz")
    image = prepare(pixels_bgr(Image.open(golden / "input.png")), narrow.config)[None]
    torch.testing.assert_close(image, steps["image"], atol=1e-4, rtol=0)
    stem = narrow.backbone.stem(image)
    res2 = narrow.backbone.res2(stem)
    res3 = narrow.backbone.res3(res2)
    close = {"atol": 1e-4, "rtol": 1e-4}
    torch.testing.assert_close(stem[:, :, ::4, ::4], steps["stem_every_4th"], **close)
    torch.testing.assert_close(res2[:, :, ::4, ::4], steps["res2_every_4th"], **close)
    torch.testing.assert_close(res3, steps["res3"], **close)
    torch.testing.assert_close(narrow.backbone.res4(steps["res3"]), steps["res4"], **close)
    logits, deltas = narrow.proposal_generator.rpn_head(steps["res4"])
    torch.testing.assert_close(logits, steps["rpn_objectness_logits"], **close)
    torch.testing.assert_close(deltas, steps["rpn_anchor_deltas"], **close)
    assert torch.equal(narrow.proposal_generator.anchor_generator(16, 22), steps["anchors"])
    boxes, _ = narrow.proposal_generator(steps["res4"], [(256, 341)], narrow.config)
    torch.testing.assert_close(boxes[0], steps["proposal_boxes"], atol=1e-2, rtol=0)
    rows = steps["roi_rows"]
    some = torch.cat([torch.zeros(len(rows), 1), steps["proposal_boxes"][rows]], 1)
    pooled = roi_pool(steps["res4"], some)
    assert torch.equal(pooled, steps["roi_pooled_rows"])
    torch.testing.assert_close(narrow.roi_heads.res5(pooled), steps["roi_res5_rows"], **close)
    features = narrow.roi_heads(steps["res4"], [steps["proposal_boxes"]], 14)
    torch.testing.assert_close(features, steps["feature_pooled"], **close)
    objects, attributes, box_deltas = narrow.roi_heads.box_predictor(steps["feature_pooled"])
    torch.testing.assert_close(objects, steps["obj_logits"], **close)
    torch.testing.assert_close(attributes, steps["attr_logits"], **close)
    torch.testing.assert_close(box_deltas, steps["box_deltas"], **close)


def same(regions, outputs, case, row=0, fractions=True):
    real = int(outputs[f"{case}.preds_per_image"][row])
    assert len(regions) == real

    def stored(key):
        return outputs[f"{case}.{key}"][row, :real]

    assert torch.equal(regions.object_ids, stored("obj_ids"))
    assert torch.equal(regions.attribute_ids, stored("attr_ids"))
    torch.testing.assert_close(regions.boxes, stored("boxes"), atol=1e-2, rtol=0)
    torch.testing.assert_close(regions.features, stored("roi_features"), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(regions.object_confidence, stored("obj_probs"), atol=1e-4, rtol=0)
    torch.testing.assert_close(regions.attribute_confidence, stored("attr_probs"), atol=1e-4, rtol=0)
    if fractions:
        torch.testing.assert_close(regions.boxes01, stored("normalized_boxes"), atol=1e-4, rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_whole_cases(golden, narrow, case):
    outputs = arrays(golden / "outputs.npz")
    narrow.config = replace(narrow.config, **CASES[case])
    regions = narrow(Image.open(golden / "input.png"))
    assert regions.size == (640, 480)
    same(regions, outputs, case)


def test_padding_pictures_into_one_batch_is_the_references_and_only_on_request(golden, narrow):
    outputs = arrays(golden / "outputs.npz")
    pictures = [outputs[f"batch.input{i}_bgr"] for i in (0, 1)]
    prepared = batch([prepare(p, narrow.config) for p in pictures], [p.shape[:2] for p in pictures])
    torch.testing.assert_close(
        prepared.images[:, :, ::8, ::8], outputs["batch.images_every_8th"], atol=1e-4, rtol=0
    )
    for row, regions in enumerate(narrow.detect(pictures, pad=True)):
        same(regions, outputs, "batch", row, fractions=False)  # the reference divides by the wrong axis
        height, width, _ = pictures[row].shape
        torch.testing.assert_close(
            regions.boxes01, regions.boxes / torch.tensor([width, height, width, height])
        )
    for row, regions in enumerate(narrow.detect(pictures)):
        same(regions, outputs, f"single{row}")


def test_a_full_size_detector_has_the_tensors_of_the_public_checkpoint(golden):
    with torch.device("meta"):
        detector = BottomUpDetector()
    listed = json.loads((golden / "full_size_state_dict.json").read_text())
    ours = {
        name: [list(value.shape), str(value.dtype).removeprefix("torch.")]
        for name, value in detector.state_dict().items()
    }
    assert ours == listed
