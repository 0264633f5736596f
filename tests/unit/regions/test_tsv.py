"""TSV files of bottom-up attention, LXMERT and VinVL: read by offset, and refused where a line is broken."""

import hashlib
import json
import pickle

import numpy as np
import pytest
import torch

from cacr.regions import open_features


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_end_as_they_like(tmp_path, make, end, last):
    lines = [make.bottom_up_line("12", 2), make.bottom_up_line("a.jpg", 3)]
    (tmp_path / "f.tsv").write_bytes((end.join(lines) + (end if last else "")).encode())
    store = pickle.loads(pickle.dumps(open_features(tmp_path / "f.tsv")))
    assert {image_id: len(regions) for image_id, regions in store.items()} == {"12": 2, "a.jpg": 3}
    assert store["12"].size == (40, 30)
    assert store.describe() == "TSV of bottom-up attention: 2 pictures, 8 numbers per region"
    assert [file.name for file in tmp_path.iterdir()] == ["f.tsv"]


def test_the_stored_lxmert_line_gives_its_arrays(data):
    expected = json.loads((data / "feature_stores" / "expected.json").read_text())["lxmert.tsv"]
    (regions,) = open_features(data / "feature_stores" / "lxmert.tsv").values()
    for tensor, name in ((regions.boxes, "boxes"), (regions.features, "features")):
        assert hashlib.sha256(tensor.numpy().tobytes()).hexdigest() == expected[f"{name}_sha256"]
    assert regions.size == (expected["image_w"], expected["image_h"])
    assert regions.object_ids.tolist() == expected["objects_id"]
    assert regions.attribute_confidence.dtype is torch.float32


def test_the_stored_vinvl_line_gives_its_row(data):
    expected = json.loads((data / "feature_stores" / "expected.json").read_text())["vinvl_retrieval"]
    store = open_features(data / "feature_stores" / "vinvl_retrieval")
    regions = store["124629"]
    rows = torch.cat([regions.features, regions.boxes01, regions.extents01], 1)
    assert hashlib.sha256(rows.numpy().tobytes()).hexdigest() == expected["features_sha256"]
    assert list(regions.object_names) == expected["classes"]
    assert (regions.size, store.width) == ((640, 427), 2048)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_boxes": -3}, "num_boxes is -3; expected 1 to"),
        ({"num_boxes": 0}, "num_boxes is 0"),
        ({"num_boxes": 10**30}, "num_boxes is 1000"),
        ({"num_boxes": "many"}, "num_boxes is not a whole number"),
        ({"num_boxes": 2}, "boxes have 6 numbers"),
        ({"num_boxes": 7}, "boxes has 48 bytes; expected a multiple of 28"),
        ({"boxes": "AA*A"}, "boxes is not base64"),
        ({"boxes": "AAA"}, "boxes is not base64"),
        ({"boxes": ""}, "boxes has 0 bytes"),
        ({"image_w": 0}, "image_w is 0"),
        ({"image_w": 10**400}, "image_w is"),
        ({"image_w": 5}, "lies outside of the picture"),
        (
            {"features": "AAAAAAAAAAAAAAAA"},
            "features have 1 numbers per region, those of the first picture 8",
        ),
        ({"features": "A\tA"}, "its line has 7 columns"),
    ],
)
def test_a_broken_line_is_refused_by_picture(tmp_path, make, changes, message):
    text = make.bottom_up_line("good") + "\n" + make.bottom_up_line("bad", **changes) + "\n"
    (tmp_path / "f.tsv").write_text(text)
    store = open_features(tmp_path / "f.tsv")
    assert store.width == make.width
    with pytest.raises(ValueError, match=rf"f\.tsv, picture bad: .*{message}"):
        store["bad"]


def test_a_line_written_twice_counts_once_and_a_different_one_is_refused(tmp_path, make):
    line = make.bottom_up_line("1")
    (tmp_path / "f.tsv").write_text(f"{line}\n{line}\n")
    assert len(open_features(tmp_path / "f.tsv")) == 1
    (tmp_path / "f.tsv").write_text(f"{line}\n{make.bottom_up_line('1', 2)}\n")
    with pytest.raises(ValueError, match="line 2 is a second, different one of picture 1"):
        open_features(tmp_path / "f.tsv")


@pytest.mark.parametrize("text", [b"", b"\n", b"\t\n", b"a\n", b"\xff\xfe\tx\n", b"a\tb\tc\td\n"])
def test_other_text_is_refused(tmp_path, text):
    (tmp_path / "f.tsv").write_bytes(text)
    with pytest.raises(ValueError, match=r"f\.tsv"):
        open_features(tmp_path / "f.tsv")


@pytest.mark.parametrize("layout", ["bottom_up", "vinvl", "captioning"])
def test_a_file_cut_anywhere_is_read_or_refused(tmp_path, make, layout):
    lines = {
        "bottom_up": lambda i: make.bottom_up_line(i),
        "vinvl": lambda i: make.vinvl_line(i),
        "captioning": lambda i: make.vinvl_line(i, captioning=True),
    }[layout]
    whole = (lines("1") + "\n" + lines("2") + "\n").encode()
    path = tmp_path / "features.tsv"
    path.write_bytes(whole)
    full = dict(open_features(path))
    for length in range(0, len(whole) - 1):
        path.write_bytes(whole[:length])
        try:
            store = open_features(path)
            assert store.width and make.same(store["1"], full["1"]) and not make.same(store["2"], full["2"])
        except KeyError:
            assert "2" not in store
        except ValueError as error:
            assert "features.tsv" in str(error)
        except AssertionError:
            # a row cut at a multiple of its regions is narrower, which only a whole line before it shows;
            # the last line lacks nothing when only its end is cut
            assert length < whole.index(b"\n") or length == len(whole) - 1


def vinvl(folder, make, labels=None, index=None, captioning=False):
    text = (
        make.vinvl_line("1", captioning=captioning)
        + "\n"
        + make.vinvl_line("2", captioning=captioning)
        + "\n"
    )
    (folder / "features.tsv").write_text(text)
    if labels is not None:
        (folder / "predictions.tsv").write_text(f"1\t{json.dumps(labels)}\n")
    if index is not None:
        (folder / "features.lineidx").write_text(index)
    return open_features(folder)


OBJECTS = [{"class": name, "conf": 0.5, "rect": [0, 0, 1, 1]} for name in ("dog", "cat", "dog")]


@pytest.mark.parametrize("captioning", [False, True])
def test_vinvl_rows_are_split_and_named(tmp_path, make, captioning):
    labels = OBJECTS if captioning else {"image_h": 30, "image_w": 40, "objects": OBJECTS}
    store = vinvl(tmp_path, make, labels, captioning=captioning)
    regions = store["1"]
    assert store.width == make.width
    assert torch.allclose(regions.extents01, regions.boxes01[:, 2:] - regions.boxes01[:, :2])
    assert regions.object_names == ("dog", "cat", "dog")
    assert regions.size == (None if captioning else (40, 30))
    assert store["2"].object_names is None
    assert store.describe().endswith("with names of classes")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (OBJECTS[:2], "no list of its 3 objects"),
        ({"objects": 5}, "no list of its 3 objects"),
        ([1, 2, 3], 'an object without "class"'),
        ([{"class": "dog", "conf": 10**400}] * 3, 'an object without "class"'),
        ({"image_h": -1, "image_w": 4, "objects": OBJECTS}, "image_h is -1"),
    ],
)
def test_broken_labels_are_refused(tmp_path, make, labels, message):
    store = vinvl(tmp_path, make)
    del store
    with pytest.raises(ValueError, match=rf"picture 1: .*{message}"):
        vinvl(tmp_path, make, labels)["1"]


@pytest.mark.parametrize("index", ["", "x", "0\n99999999\n", "0\n7\n", "5\n", "0\n0\n", "-1\n", "0\n-5\n"])
def test_an_index_that_points_elsewhere_is_refused(tmp_path, make, index):
    with pytest.raises(
        ValueError, match=r"features\.lineidx (does not point at the lines|is no index of lines)"
    ):
        vinvl(tmp_path, make, index=index)


def test_an_index_is_used(tmp_path, make):
    start = len(make.vinvl_line("1")) + 1
    assert list(vinvl(tmp_path, make, index=f"0\n{start}\n")) == ["1", "2"]


def test_rows_without_positions_are_refused(tmp_path, make):
    (tmp_path / "features.tsv").write_text(f"1\t2\t{make.b64(np.zeros((2, 6)))}\n")
    with pytest.raises(ValueError, match="a region has 6 numbers; expected"):
        open_features(tmp_path)["1"]
