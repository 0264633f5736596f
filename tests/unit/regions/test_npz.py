"""Folders of npz files: both namings, and archives that claim too much."""

import io
import zipfile

import numpy as np
import pytest
import torch

from cacr.regions import open_features


def pixel_arrays(n=3, width=8):
    x = np.random.default_rng(0).random((n, width), dtype=np.float32)
    return {"x": x, "boxes": np.array([[0, 0, 10, 10]] * n, np.float32), "image_w": 40, "image_h": 30}


@pytest.mark.parametrize("transposed", [False, True])
def test_features_on_their_side_are_told_by_the_number_of_boxes(tmp_path, transposed):
    arrays = pixel_arrays()
    np.savez(tmp_path / "a.npz", **arrays | ({"x": np.asfortranarray(arrays["x"].T)} if transposed else {}))
    store = open_features(tmp_path)
    assert torch.equal(store["a"].features, torch.from_numpy(arrays["x"]))
    assert store["a.npz"].size == (40, 30)
    assert store.describe() == "folder of npz files: 1 pictures, 8 numbers per region"


def test_uniters_files_give_every_region_or_those_that_count(tmp_path, make):
    arrays = make.uniter_arrays(12)
    (tmp_path / "a.npz").write_bytes(make.npz_bytes(arrays))
    assert len(open_features(tmp_path)["a"]) == 12
    assert len(open_features(tmp_path, threshold=0.5, min_regions=2)["a"]) == (arrays["conf"] > 0.5).sum()
    (tmp_path / "a.npz").write_bytes(make.npz_bytes(arrays | {"nbb": 5}))
    assert len(open_features(tmp_path)["a"]) == 5


def test_a_picture_that_is_not_there_is_named_beside_one_that_is(tmp_path):
    np.savez(tmp_path / "a.npz", **pixel_arrays())
    with pytest.raises(KeyError) as refused:
        open_features(tmp_path)["b"]
    assert str(refused.value) == f"{tmp_path} has no picture 'b'; it holds 1, e.g. 'a'"


def test_text_for_numbers_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([["x"]]), boxes=np.zeros((1, 4)), image_w=4, image_h=4)
    with pytest.raises(ValueError, match=r"a\.npz holds <U1 features"):
        open_features(tmp_path)


def test_objects_are_never_unpickled(tmp_path):
    np.savez(
        tmp_path / "a.npz", x=np.array([[{}]], dtype=object), boxes=np.zeros((1, 4)), image_w=4, image_h=4
    )
    with pytest.raises(ValueError, match=r"a\.npz holds object features; .*never unpickled"):
        open_features(tmp_path)


def test_an_archive_that_unpacks_to_too_much_is_refused_before(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as out,
        out.open("x.npy", "w") as member,
    ):
        for _ in range(257):
            member.write(bytes(2**20))
    assert (tmp_path / "a.npz").stat().st_size < 2**20
    with pytest.raises(ValueError, match=r"a\.npzs? arrays need more than 256 MB|a\.npz: .*more than 256 MB"):
        open_features(tmp_path)


def test_a_header_that_claims_more_than_there_is_is_refused(tmp_path):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 8)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as out:
        out.writestr("x.npy", stream.getvalue() + bytes(32))
    with pytest.raises(ValueError, match="but has 32"):
        open_features(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_w": 0}, "image_w is 0; expected 1 to"),
        ({"image_w": np.nan}, "image_w is not a whole number"),
        ({"image_w": np.ones(3)}, "image_w is not a whole number"),
        ({"boxes": np.zeros((3, 5), np.float32)}, r"boxes \(3, 5\); expected"),
        ({"boxes": np.float32(1)}, "boxes"),
        ({"x": np.zeros(3, np.float32)}, r"features have shape \(3,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, changes, message):
    np.savez(tmp_path / "a.npz", **pixel_arrays() | changes)
    with pytest.raises(ValueError, match=rf"a\.npz: .*{message}"):
        open_features(tmp_path)


def test_a_missing_array_is_named(tmp_path):
    arrays = pixel_arrays()
    del arrays["boxes"]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=r"a\.npz has no array boxes or bbox but image_h, image_w, x"):
        open_features(tmp_path)


@pytest.mark.parametrize("kind", ["uniter", "pixels"])
def test_a_file_cut_anywhere_is_refused(tmp_path, make, kind):
    whole = make.npz_bytes(make.uniter_arrays() if kind == "uniter" else pixel_arrays())
    for length in [*range(0, len(whole), 11), len(whole) - 1]:
        (tmp_path / "a.npz").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.npz"):
            open_features(tmp_path)


def test_a_file_changed_anywhere_is_read_or_refused(tmp_path, make):
    whole = make.npz_bytes(make.uniter_arrays())
    for place in range(0, len(whole), 5):
        (tmp_path / "a.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        try:
            open_features(tmp_path)
        except ValueError as error:
            assert "a.npz" in str(error)
