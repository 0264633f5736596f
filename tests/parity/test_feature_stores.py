"""Published layouts of region features give the numbers that the published readers give."""

import hashlib
import json

import numpy as np
import pytest
import torch

from cacr.regions import open_features

LMDBS = (
    "uniter/coco_val2014/feat_th0.2_max100_min10",
    "uniter/coco_val2014/feat_th0.2_max100_min10_compressed",
    "uniter/coco_val2014/feat_numbb36",
    "uniter_numpy2/coco_val2014/feat_th0.2_max100_min10_compressed",
    "iais/coco_val2014/all",
)
PICTURES = (58350, 124629, 268556)


@pytest.fixture
def stores(reference_data):
    return reference_data / "golden" / "feature_stores"


def sha(tensor: torch.Tensor) -> str:
    return hashlib.sha256(np.ascontiguousarray(tensor.numpy(), dtype="<f4").tobytes()).hexdigest()


def positions(regions) -> torch.Tensor:
    """UNITER's seven numbers, the last one computed in float32 when read."""
    area = regions.extents01[:, :1] * regions.extents01[:, 1:]
    return torch.cat([regions.boxes01, regions.extents01, area], 1)


def check(regions, expected):
    assert len(regions) == expected["nbb"]
    assert sha(regions.features) == expected["features_sha256"]
    assert sha(positions(regions)) == expected["img_pos_feat_sha256"]
    assert positions(regions)[0].tolist() == expected["img_pos_feat_row0"]
    assert regions.features[0, :4].tolist() == expected["features_first"]


@pytest.mark.parametrize("name", LMDBS)
def test_a_database_gives_the_released_readers_numbers(stores, name):
    expected = json.loads((stores / "expected.json").read_text())
    store = open_features(stores / name)
    of_store = {key.split("|")[1]: value for key, value in expected.items() if key.split("|")[0] == name}
    assert set(store) == set(of_store)
    for image_id, values in of_store.items():
        check(store[image_id], values)
    assert not (stores / name / "lock.mdb").exists()


def test_every_expected_database_is_checked(stores):
    expected = json.loads((stores / "expected.json").read_text())
    assert {key.split("|")[0] for key in expected} == set(LMDBS)


def test_a_database_without_counts_is_counted_by_confidence_in_float16(stores, tmp_path):
    """The plain database cut to what passes 0.2 stores all that counts; a higher threshold keeps less of it."""
    (tmp_path / "all").mkdir()
    source = stores / "uniter/coco_val2014/feat_th0.2_max100_min10"
    (tmp_path / "all" / "data.mdb").write_bytes((source / "data.mdb").read_bytes())
    expected = json.loads((stores / "expected.json").read_text())
    for image_id, regions in open_features(tmp_path).items():
        assert len(regions) == expected[f"uniter/coco_val2014/{source.name}|{image_id}"]["nbb"]


def test_npz_files_are_the_same_regions_and_the_rule_cuts_them(stores):
    counts = json.loads((stores / "uniter/coco_val2014/nbb_th0.2_max100_min10.json").read_text())
    database = open_features(stores / "uniter/coco_val2014/feat_th0.2_max100_min10")
    every = open_features(stores / "npz")
    cut = open_features(stores / "npz", threshold=0.2)
    for image_id, n in counts.items():
        assert len(every[image_id]) == 36
        assert len(cut[image_id]) == n
        assert torch.equal(cut[image_id].features, database[image_id].features)
        assert torch.equal(cut[image_id].object_ids, database[image_id].object_ids)
        assert torch.equal(every[image_id].first(n).boxes01, database[image_id].boxes01)


@pytest.mark.parametrize("file", ["butd.tsv", "lxmert.tsv"])
def test_tsv_files_give_the_stored_arrays(stores, file):
    expected = json.loads((stores / "expected_tsv.json").read_text())
    store = open_features(stores / "tsv" / file)
    of_file = {key.split("|")[1]: value for key, value in expected.items() if key.startswith(file)}
    assert set(store) == set(of_file)
    for image_id, values in of_file.items():
        regions = store[image_id]
        assert (len(regions), *regions.size) == (values["num_boxes"], values["image_w"], values["image_h"])
        assert sha(regions.boxes) == values["boxes_sha256"]
        assert sha(regions.features) == values["features_sha256"]
        if file == "lxmert.tsv":
            assert regions.object_ids.tolist() == values["objects_id"]
            assert regions.object_confidence.tolist() == values["objects_conf"]


@pytest.mark.parametrize("folder", ["vinvl_retrieval", "vinvl_captioning"])
def test_vinvl_files_give_the_stored_rows(stores, folder):
    expected = json.loads((stores / "expected_tsv.json").read_text())
    for store in (open_features(stores / folder), open_features(stores / folder / "features.tsv")):
        of_folder = {key.split("|")[1]: value for key, value in expected.items() if key.startswith(folder)}
        assert set(store) == set(of_folder)
        for image_id, values in of_folder.items():
            regions = store[image_id]
            rows = torch.cat([regions.features, regions.boxes01, regions.extents01], 1)
            assert len(regions) == values["num_boxes"]
            assert sha(rows) == values["features_sha256"]
            assert rows[0, 2048:].tolist() == values["position_row0"]
            assert list(regions.object_names) == values["classes"]
            assert (regions.size is not None) == (folder == "vinvl_retrieval")


def test_the_folder_above_asks_which_setting(stores):
    above = stores / "uniter/coco_val2014"
    with pytest.raises(
        ValueError, match=r"several databases: feat_numbb36, feat_th0\.2_max100_min10, feat_th0"
    ):
        open_features(above)
    assert open_features(above, threshold=0.2).path.name == "feat_th0.2_max100_min10"
    assert open_features(above, threshold=0.2, compressed=True).path.name.endswith("min10_compressed")
    with pytest.raises(ValueError, match=r"no database of Setting\(threshold=0\.3"):
        open_features(above, threshold=0.3)
    assert open_features(stores / "iais/coco_val2014").path.name == "all"
