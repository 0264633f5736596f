"""UNITER's database: which regions count, and which values of strangers are refused."""

import hashlib
import json
import pickle
import sys

import numpy as np
import pytest
import torch

from cacr.regions import open_features

NAME = "feat_th0.2_max100_min10"


@pytest.fixture(autouse=True)
def _packages():
    pytest.importorskip("lmdb")  # writes what is read here
    pytest.importorskip("msgpack")


def packed_map(**fields):
    msgpack = pytest.importorskip("msgpack")
    return msgpack.packb(fields, use_bin_type=True)


def array(a, **changes):
    given = {
        "nd": True,
        "type": a.dtype.str,
        "kind": b"",
        "shape": list(a.shape),
        "data": a.tobytes(),
    } | changes
    return {key.encode(): value for key, value in given.items()}


def test_the_stored_database_gives_the_released_readers_numbers(data):
    store = open_features(data / "feature_stores" / "coco_val2014")
    expected = json.loads((data / "feature_stores" / "expected.json").read_text())["lmdb"]
    (image_id,) = store
    regions = store[image_id.removesuffix(".npz")]
    area = regions.extents01[:, :1] * regions.extents01[:, 1:]
    positions = torch.cat([regions.boxes01, regions.extents01, area], 1)
    for tensor, name in ((regions.features, "features"), (positions, "img_pos_feat")):
        assert hashlib.sha256(tensor.numpy().tobytes()).hexdigest() == expected[f"{name}_sha256"]


@pytest.mark.parametrize("form", ["packed", "npz_bytes"])
def test_both_forms_of_a_value_give_the_same_regions(tmp_path, make, form):
    arrays = make.uniter_arrays()
    make.lmdb(tmp_path / NAME, {"a.npz": getattr(make, form)(arrays | {"allow_pickle": np.asarray(False)})})
    store = open_features(tmp_path / NAME)
    assert "a" in store and "a.npz" in store and list(store) == ["a.npz"]
    regions = store["a"]
    assert torch.equal(regions.features, torch.from_numpy(arrays["features"]).float())
    assert torch.equal(regions.extents01, torch.from_numpy(arrays["norm_bb"][:, 4:]).float())
    assert torch.equal(regions.object_ids, torch.from_numpy(arrays["soft_labels"][:, 1:].argmax(1)))
    assert regions.object_confidence.tolist() == arrays["conf"][:, 0].astype(np.float32).tolist()
    assert not (tmp_path / NAME / "lock.mdb").exists()
    again = pickle.loads(pickle.dumps(store))
    assert make.same(again["a"], regions)


def test_confidence_is_compared_in_float16(tmp_path, make):
    """0.3 in float16 is more than 0.3: a confidence of exactly that does not pass it all the same."""
    arrays = make.uniter_arrays(12)
    arrays["conf"] = np.array([0.9] * 4 + [0.3] * 8, np.float16)
    make.lmdb(tmp_path / "all", {"a.npz": make.packed(arrays)})
    assert len(open_features(tmp_path, threshold=0.3, min_regions=1)["a"]) == 4
    assert len(open_features(tmp_path, threshold=0.3)["a"]) == 10
    assert len(open_features(tmp_path, max_regions=3, min_regions=2)["a"]) == 3


@pytest.mark.parametrize(
    ("folder", "counts", "expected"),
    [
        (NAME, {f"nbb_{NAME[5:]}.json": {"a.npz": 7}}, 7),
        ("all", {"nbb.json": {"a.npz": 8}}, 8),
        ("all", {"nbb.json": {"a.npz": 8}, f"nbb_{NAME[5:]}.json": {"a.npz": 7}}, 7),
        ("feat_numbb5", {}, 5),
        (NAME, {}, 12),
        ("all_compressed", {}, 10),
    ],
)
def test_regions_are_counted_as_the_releases_do(tmp_path, make, folder, counts, expected):
    make.lmdb(tmp_path / folder, {"a.npz": make.packed(make.uniter_arrays(12))})
    for name, numbers in counts.items():
        (tmp_path / name).write_text(json.dumps(numbers))
    assert len(open_features(tmp_path / folder)["a"]) == expected


def test_a_database_says_how_its_regions_are_counted_and_how_wide_they_are(tmp_path, make):
    make.lmdb(tmp_path / "feat_numbb5", {"a.npz": make.packed(make.uniter_arrays(12))})
    store = open_features(tmp_path / "feat_numbb5")
    assert store.width == make.width
    assert (
        store.describe() == "LMDB of UNITER's layout, regions 5 a picture: 1 pictures, 8 numbers per region"
    )


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"a.npz": 13}, "13 regions should count, but it holds 12"),
        ({"b.npz": 5}, "does not name it"),
        ({"a.npz": -1}, "holds no numbers of regions"),
        ([], "expected an object"),
    ],
)
def test_counts_of_another_database_are_refused(tmp_path, make, counts, message):
    make.lmdb(tmp_path / NAME, {"a.npz": make.packed(make.uniter_arrays(12))})
    (tmp_path / f"nbb_{NAME[5:]}.json").write_text(json.dumps(counts))
    with pytest.raises(ValueError, match=message):
        open_features(tmp_path / NAME)["a"]


FEATURES, BOXES = np.zeros((2, 4), np.float16), np.zeros((2, 6), np.float16)


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "neither an npz file nor msgpack"),
        (b"\xc1", "neither an npz file nor msgpack"),
        (b"\xdf\xff\xff\xff\xff", "neither an npz file nor msgpack"),
        (b"\x91" * 5000, "neither an npz file nor msgpack"),
        (b"PK", "not a readable npz"),
        (b"\x05", "msgpack int"),
        (b"\x80", "no two-dimensional array norm_bb"),
        ({"features": array(FEATURES, kind=b"O", data=pickle.dumps(Bomb()))}, "never unpickled"),
        ({"features": array(FEATURES, kind=b"V")}, "never unpickled"),
        ({"features": array(FEATURES, type="|O8")}, r"type '\|O8'; expected a plain number"),
        ({"features": array(FEATURES, type="<f3")}, "expected a plain number"),
        ({"features": array(FEATURES, shape=[2, 5])}, "needs 20 bytes but has 16"),
        ({"features": array(FEATURES, shape=[2**40, 2**40])}, "but has 16"),
        ({"features": array(FEATURES, shape=[-2, -4])}, "expected whole numbers"),
        ({"features": array(FEATURES, data=None)}, "no data and shape"),
        ({"features": array(FEATURES[:1])}, r"norm_bb has shape \(2, 6\); expected \[1, 6\]"),
        ({"conf": array(np.zeros(3, np.float16))}, r"conf has shape \(3,\)"),
        ({"features": array(np.full((2, 4), np.nan, np.float16))}, "NaN"),
    ],
)
def test_a_crafted_value_is_refused_by_picture(tmp_path, make, value, message):
    if isinstance(value, dict):
        value = packed_map(**{"features": array(FEATURES), "norm_bb": array(BOXES)} | value)
    make.lmdb(tmp_path / "feat_numbb2", {"a.npz": value})
    with pytest.raises(ValueError, match=rf"feat_numbb2, picture a\.npz: .*{message}"):
        open_features(tmp_path / "feat_numbb2")["a"]


def test_a_database_cut_anywhere_is_refused(tmp_path, make):
    folder = make.lmdb(tmp_path / "feat_numbb2", {"a.npz": make.packed(make.uniter_arrays(60))})
    whole = (folder / "data.mdb").read_bytes()
    for length in [*range(0, 200, 7), *range(200, len(whole), 997), len(whole) - 1]:
        (folder / "data.mdb").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"data\.mdb is (cut off|not an LMDB database, or is cut off)"):
            open_features(folder)


def test_an_empty_database_is_refused(tmp_path, make):
    with pytest.raises(ValueError, match="holds no picture"):
        open_features(make.lmdb(tmp_path / "all", {}))


def test_two_stores_of_one_database_live_side_by_side(tmp_path, make):
    make.lmdb(tmp_path / "all", {"a.npz": make.packed(make.uniter_arrays())})
    one, two = open_features(tmp_path), open_features(tmp_path / "all" / "data.mdb", threshold=0.5)
    assert make.same(one["a"], two["a"])
    del one
    assert len(two["a"]) == 10


def test_options_that_contradict_the_folder_are_refused(tmp_path, make):
    make.lmdb(tmp_path / NAME, {"a.npz": make.packed(make.uniter_arrays())})
    with pytest.raises(ValueError, match="leave the options out or name another folder"):
        open_features(tmp_path / NAME, threshold=0.3)
    with pytest.raises(ValueError, match="is not compressed; leave the option out"):
        open_features(tmp_path / NAME, compressed=True)
    with pytest.raises(ValueError, match="expected a threshold within 0-1"):
        open_features(tmp_path / NAME, threshold=3)


def test_a_picture_does_not_change_when_the_next_is_read(tmp_path, make):
    """Large values are read into the same memory."""
    values = {f"{i}.npz": make.packed(make.uniter_arrays(400, seed=i)) for i in range(2)}
    make.lmdb(tmp_path / "feat_numbb400", values)
    store = open_features(tmp_path / "feat_numbb400")
    first = store["0"]
    before = first.features.clone()
    assert not torch.equal(store["1"].features, before)
    assert torch.equal(first.features, before)


def test_features_need_no_package_of_their_own(tmp_path, make, monkeypatch):
    make.lmdb(tmp_path / NAME, {"a.npz": make.packed(make.uniter_arrays())})
    for package in ("lmdb", "msgpack", "lz4"):
        monkeypatch.setitem(sys.modules, package, None)
    assert len(open_features(tmp_path / NAME)["a"]) == 12


def test_a_key_that_is_no_name_is_refused(tmp_path, make):
    import lmdb

    folder = make.lmdb(tmp_path / "all", {"a.npz": b""})
    with lmdb.open(str(folder), lock=False) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"\xff", b"")
    with pytest.raises(ValueError, match=r"data\.mdb is not a database of pictures: a key is no name"):
        open_features(folder)
