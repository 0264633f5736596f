"""Files of regions and pictures that were made to harm: refused by name, with little read and little kept in memory."""

import json
import os
import resource
import struct
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import save_file

from cacr.regions import open_features
from cacr.regions.detector import DetectorConfig
from cacr.regions.detector.bottom_up import FULL_SIZE, BottomUpDetector
from cacr.regions.picture_files import open_image

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures memory in a forked child")


def refused(path, room=2 << 30):
    """Bytes that opening a file needed until it was refused, and the sentence; in a child with so much more memory."""
    answer, end = os.pipe()
    child = os.fork()
    if not child:
        has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (has + room,) * 2)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            store = open_features(path)
            said = f"read {len(store[next(iter(store))])}"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        os.write(end, f"{grown << 10} {said}".encode())
        os._exit(0)
    os.close(end)
    with os.fdopen(answer) as opened:
        grown, said = opened.read().split(" ", 1)
    os.waitpid(child, 0)
    assert said.startswith("ValueError")
    return int(grown), said


def safetensors(path, header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


FLOATS = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
NONE = b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"a": FLOATS, "b": FLOATS}, "starts at byte 0"),
        ({"a": FLOATS | {"data_offsets": [4, 12]}}, "starts at byte 4"),
        ({"a": FLOATS | {"shape": [-2]}}, "has shape"),
        ({"a": FLOATS | {"shape": [2.0]}}, "has shape"),
        ({"a": FLOATS | {"shape": [2**62, 2**62]}}, "has shape"),
        ({"a": FLOATS | {"shape": [0, 2**63], "data_offsets": [0, 0]}}, "has shape"),
        ({"a": FLOATS | {"shape": [1] * 70 + [2]}}, "has shape"),
        ({"a": FLOATS | {"dtype": "F4_X"}}, "type F4_X"),
        ({"a": FLOATS | {"dtype": ["F32"]}}, "no list of tensors"),
        ({"a": {}}, "no list of tensors"),
        ({"a": 5}, "no list of tensors"),
        ({"a": FLOATS, "__metadata__": {"format": 5}}, "metadata"),
        ({"a": FLOATS, "__metadata__": []}, "no list of tensors"),
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"shape":[1]}}', "something twice"),
        (
            b"[" * 5_000,
            "no list of tensors|Expecting value",
        ),  # Python's readers of JSON differ in their depth
        (b"{}", "ends at byte|end at byte"),
    ],
)
def test_a_safetensors_header_that_lies_is_refused(tmp_path, header, message):
    path = safetensors(tmp_path / "f.safetensors", header, bytes(8))
    with pytest.raises(ValueError, match=rf"f\.safetensors is not a readable .*({message})"):
        open_features(path)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 200_000_000, 11])
def test_a_header_longer_than_its_file_is_refused(tmp_path, length):
    (tmp_path / "f.safetensors").write_bytes(struct.pack("<Q", length) + b'{"a":1}   ')
    with pytest.raises(ValueError, match=rf"its header should have {length} bytes"):
        open_features(tmp_path / "f.safetensors")


@pytest.mark.parametrize(
    "header",
    [
        b"{" + b",".join(NONE % i for i in range(200_000)) + b"}",
        b'{"a":[' + b"[]," * 4_000_000 + b"0]}",
        b'{"a":[' + b"0," * 5_000_000 + b"0]}",
    ],
    ids=["tensors", "lists", "numbers"],
)
def test_a_header_of_many_things_costs_no_multiple_of_it(tmp_path, header):
    path = safetensors(tmp_path / "f.safetensors", header)
    grown, said = refused(path)
    assert "describes too many tensors" in said
    assert grown < 4 * path.stat().st_size + (16 << 20)


def test_ids_of_pictures_that_are_not_there_are_not_even_made(tmp_path):
    ids = json.dumps([str(i) for i in range(500_000)])
    tensors = {
        name: {"dtype": kind, "shape": shape, "data_offsets": [0, 0]}
        for name, kind, shape in (
            ("features", "F16", [0, 4]),
            ("boxes01", "F32", [0, 4]),
            ("offsets", "I64", [0]),
            ("sizes", "I64", [0, 2]),
        )
    }
    path = safetensors(
        tmp_path / "f.safetensors", {"__metadata__": {"format": "cacr-regions-1", "image_ids": ids}} | tensors
    )
    grown, said = refused(path)
    assert "has no list of image_ids" in said
    assert grown < 5 * path.stat().st_size


@pytest.mark.parametrize("before", [b"", b"1\t1\tAAAA\n"])
def test_a_line_of_gigabytes_is_refused_before_it_is_read(tmp_path, before):
    path = tmp_path / "f.tsv"
    with path.open("wb") as file:
        file.write(before + b"2\t1\t")
        file.truncate(20 << 30)  # a hole: it takes no room on the disk
    grown, said = refused(path, 20 << 30)  # room to map the file, none to copy it
    assert f"line {1 + before.count(10)} has more than 256 MB" in said
    assert grown < 300 << 20  # pages of the file itself


@pytest.mark.parametrize("line", [b"%d\t1\t\n", b"%d\t[]\n"])
def test_a_file_of_millions_of_short_lines_is_refused_early(tmp_path, line):
    path = tmp_path / "f.tsv"
    path.write_bytes(b"".join(line % i for i in range(300_000)))
    grown, said = refused(path)
    assert "too short to hold regions" in said
    assert grown < 4 * path.stat().st_size + (16 << 20)


def test_a_line_of_json_of_many_things_costs_no_multiple_of_it(tmp_path):
    path = tmp_path / "f.tsv"
    path.write_bytes(b'1\t{"a":[' + b"[]," * 5_000_000 + b"0]}\n")
    grown, said = refused(path)
    assert "more than its regions need" in said
    assert grown < 4 * path.stat().st_size + (16 << 20)


def test_an_archive_of_many_members_is_refused_before_they_are_listed(tmp_path):
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        warnings.simplefilter("ignore")  # the same name again
        for _ in range(22_000):
            archive.writestr(zipfile.ZipInfo("x.npy"), b"")
    with pytest.raises(ValueError, match=r"a\.npz is .*its directory has \d+ bytes"):
        open_features(tmp_path)


def test_bombs_inside_of_an_archive_are_refused_by_what_they_claim(tmp_path):
    arrays = {"boxes": np.zeros((1, 4)), "image_w": 4, "image_h": 4}
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((1, 2**25 + 1)), **arrays)
    assert (tmp_path / "a.npz").stat().st_size < 2**20
    with pytest.raises(ValueError, match="more than 256 MB when unpacked"):
        open_features(tmp_path)


def test_a_pipe_is_no_features_file(tmp_path):
    os.mkfifo(tmp_path / "f.tsv")
    with pytest.raises(ValueError, match="is no file and no folder"):
        open_features(tmp_path / "f.tsv")


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    Image.new("1", (400, 300)).save(tmp_path / "a.png")
    monkeypatch.setattr(
        Image, "MAX_IMAGE_PIXELS", 400 * 300 - 1
    )  # Pillow itself only warns up to twice of it
    with pytest.raises(ValueError, match=r"a\.png is too large a picture"):
        open_image(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400 * 300)
    assert open_image(tmp_path / "a.png").size == (400, 300)


def test_the_limit_of_pixels_is_pillows():
    assert Image.MAX_IMAGE_PIXELS == 89_478_485


def test_a_text_in_a_picture_that_unpacks_to_too_much_is_refused(tmp_path):
    more = PngImagePlugin.PngInfo()
    more.add_text("a", "x" * (70 << 20), zip=True)
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png", pnginfo=more)
    with pytest.raises(ValueError, match=r"a\.png is not a readable picture"):
        open_image(tmp_path / "a.png")


@pytest.mark.parametrize("form", ["EPS", "PCX", "TGA", "ICO"])  # for EPS Pillow starts a program
def test_a_file_in_a_form_that_photographs_never_have_is_no_picture(tmp_path, form):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.jpg", form)
    with pytest.raises(ValueError, match=r"a\.jpg is not a readable picture: cannot identify"):
        open_image(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a {x: 1}\nb: &b {<<: [*a, *a]}\n", "merged"),
        ("a: !!python/object/apply:os.getcwd []\n", "not YAML"),
        ("a: " + "[" * 301, "more lists and mappings"),
        ("- " * 5_000, "recursion"),
        ("MODEL:\n  PIXEL_STD: [1.0, 0.0, 1.0]\n", "no std_bgr of 0"),
        ("MODEL:\n  PIXEL_MEAN: [1.0, .nan, 1.0]\n", "finite numbers"),
        ("MODEL:\n  PIXEL_MEAN: [1.0, 2.0]\n", "expected 3 finite numbers"),
        ("INPUT:\n  MIN_SIZE_TEST: 1000000\n", "expected 1 to 10000"),
        ("INPUT:\n  MIN_SIZE_TEST: .inf\n", "expected int"),
        ("ROI_BOX_HEAD:\n  POOLER_RESOLUTION: 100000\n", "expected 1 to 100"),
        ("a: b\n" * 100_000, "has more than"),
    ],
)
def test_a_hostile_configuration_of_a_detector_is_refused(tmp_path, text, message):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"config\.yaml.*{message}"):
        DetectorConfig.from_original(tmp_path / "config.yaml")


def test_values_that_refer_to_each_other_are_shown_shortly(tmp_path):
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    (tmp_path / "config.yaml").write_text("\n".join([*lines, "MODEL:", "  PIXEL_MEAN: [*a39]"]))
    with pytest.raises(ValueError, match="expected tuple") as caught:
        DetectorConfig.from_original(tmp_path / "config.yaml")
    assert len(str(caught.value)) < 1_000


def test_weights_of_a_detector_that_tell_of_a_huge_one_are_refused_before_it_is_built(tmp_path):
    state = BottomUpDetector(DetectorConfig(), dict.fromkeys(FULL_SIZE, 1)).state_dict()
    state["roi_heads.box_predictor.cls_score.weight"] = torch.empty(10_000_000, 0)
    state["roi_heads.res5.0.conv3.weight"] = torch.empty(10_000_000, 0)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="is no bottom-up-attention detector: .* of another shape"):
        BottomUpDetector.from_original(tmp_path)


def test_a_weight_of_a_detector_that_is_a_single_number_is_refused(tmp_path):
    state = BottomUpDetector(DetectorConfig(), dict.fromkeys(FULL_SIZE, 1)).state_dict()
    state["roi_heads.res5.0.conv3.weight"] = torch.tensor(1.0)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors: roi_heads\..* has shape \(\)"):
        BottomUpDetector.from_original(tmp_path)
