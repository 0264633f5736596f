"""Collecting features: nothing is done twice, nothing is lost, what cannot be read is listed."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from cacr.regions import open_features
from cacr.regions.collecting import _detected, collect, find_pictures, finish, parts_folder
from cacr.regions.detector import BottomUpDetector, DetectorConfig

SMALL = DetectorConfig(short_side=48, long_side=64, proposals=12, min_regions=2, max_regions=5)


class Counting(BottomUpDetector):
    """Counts the pictures that it sees; stops the run after some, as a person would."""

    seen = 0
    stop_after = None

    def detect(self, pictures, pad=False):
        self.seen += len(pictures)
        if self.stop_after is not None and self.seen > self.stop_after:
            raise KeyboardInterrupt
        return super().detect(pictures, pad)


def new_detector(seed=0):
    torch.manual_seed(seed)
    return Counting.new(SMALL, width=4)


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "album"
    (folder / "inner").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(7):
        size = (64, 48) if i % 2 else (48, 60)
        picture = Image.fromarray(rng.integers(0, 255, (*size[::-1], 3), dtype=np.uint8))
        picture.save(folder / ("inner" if i > 4 else ".") / f"{i}.png")
    (folder / "2b.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not a picture at all")
    return folder


def test_every_readable_picture_is_there_in_order_and_the_others_are_listed(album, tmp_path):
    pictures, out = find_pictures([album]), tmp_path / "f.safetensors"
    detector = new_detector()
    collect(pictures, detector, out, batch=2)
    done = finish(pictures, out)
    store = open_features(out)
    assert list(store) == ["0.png", "1.png", "2.png", "3.png", "4.png", "inner/5.png", "inner/6.png"]
    assert done.found == 7
    assert list(done.skipped) == ["2b.jpg"]
    assert "is not a readable picture" in done.skipped["2b.jpg"]
    assert not parts_folder(out).exists()
    alone = detector(Image.open(album / "3.png"))
    torch.testing.assert_close(store["3.png"].features, alone.features)
    torch.testing.assert_close(store["3.png"].boxes, alone.boxes, atol=1e-3, rtol=0)  # stored as fractions
    assert store["3.png"].object_ids.tolist() == alone.object_ids.tolist()


def test_pictures_of_many_sizes_do_not_fill_the_memory(tmp_path):
    """Sixteen batches wait at most, whatever their sizes; the one that is not readable is said when its turn comes."""
    for i in range(20):
        Image.new("RGB", (4 + i, 4)).save(tmp_path / f"{i:02}.png")
    (tmp_path / "20.png").write_bytes(b"no picture")
    asked = []

    class Seeing:
        def detect(self, pictures):
            asked.append(len(pictures))
            return [SimpleNamespace(size=one.size) for one in pictures]

    files = {path.name: path for path in sorted(tmp_path.glob("*.png"))}
    for batch, before in ((1, 20), (2, 0)):
        order = [name for name, _ in _detected(files, Seeing(), batch, 0)]
        assert sorted(order) == sorted(files) and order.index("20.png") == before
    for i in range(20, 40):
        Image.new("RGB", (4 + i, 4)).save(tmp_path / f"{i:02}.png")
    (tmp_path / "40.png").write_bytes(b"no picture")
    files = {path.name: path for path in sorted(tmp_path.glob("*.png"))}
    found = {}
    for name, regions in _detected(files, Seeing(), 2, 0):
        found[name] = regions
        if name == "40.png":
            assert 40 - (len(found) - 1) < 16 * 2
    assert len(found) == 41 and all(found[f"{i:02}.png"].size == (4 + i, 4) for i in range(40))


def test_a_stopped_run_does_no_picture_twice(album, tmp_path):
    pictures, out = find_pictures([album]), tmp_path / "f.safetensors"
    first = new_detector()
    first.stop_after = 3
    with pytest.raises(KeyboardInterrupt):
        collect(pictures, first, out, seconds=0)
    again = new_detector()
    result = collect(pictures, again, out)
    assert again.seen == 7 - 3
    assert result.found == 7
    finish(pictures, out)
    assert len(open_features(out)) == 7


def test_a_killed_run_goes_on_where_it_was(album, tmp_path):
    torch.manual_seed(0)
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(__file__).rsplit("/tests/", 1)[0]!r})
from pathlib import Path
from tests.unit.regions.test_collecting import new_detector
from cacr.regions.collecting import collect, find_pictures
detector = new_detector()
detect = detector.detect
def dying(pictures):
    if detector.seen == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return detect(pictures)
detector.detect = dying
collect(find_pictures([Path({str(album)!r})]), detector, Path({str(tmp_path / "f.safetensors")!r}), seconds=0)
"""
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    pictures, out = find_pictures([album]), tmp_path / "f.safetensors"
    again = new_detector()
    collect(pictures, again, out)
    assert again.seen == 3
    finish(pictures, out)
    assert len(open_features(out)) == 7


def test_two_workers_share_the_pictures_and_give_the_same_file(album, tmp_path):
    pictures = find_pictures([album])
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    collect(pictures, new_detector(), one)
    finish(pictures, one)
    seen = 0
    for worker in (0, 1):
        detector = new_detector()
        collect(pictures, detector, two, worker=worker, workers=2)
        seen += detector.seen
    done = finish(pictures, two, workers=2)
    assert seen == 7
    assert list(done.skipped) == ["2b.jpg"]
    assert one.read_bytes() == two.read_bytes()


def test_a_name_without_an_ending_becomes_a_folder_of_files(album, tmp_path, monkeypatch):
    monkeypatch.setattr("cacr.regions.collecting.SHARD", 3)
    pictures, out = find_pictures([album]), tmp_path / "features"
    collect(pictures, new_detector(), out, dtype=torch.float16)
    finish(pictures, out)
    store = open_features(out)
    assert list(store) == [name for name in pictures if name != "2b.jpg"]
    assert len(list(out.iterdir())) == 3


def test_pictures_of_an_earlier_start_that_are_asked_for_no_more_are_left_out(album, tmp_path):
    for out in (tmp_path / "features", tmp_path / "f.safetensors"):
        first = new_detector()
        first.stop_after = 4
        with pytest.raises(KeyboardInterrupt):
            collect(find_pictures([album]), first, out, seconds=0)
        few = {name: file for name, file in find_pictures([album]).items() if name.startswith("inner")}
        collect(few, new_detector(), out)
        assert finish(few, out).found == 2
        assert list(open_features(out)) == ["inner/5.png", "inner/6.png"]


def test_another_number_of_workers_may_go_on(album, tmp_path):
    pictures, out = find_pictures([album]), tmp_path / "f.safetensors"
    first = new_detector()
    first.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        collect(pictures, first, out, worker=1, workers=3, seconds=0)
    again = new_detector()
    collect(pictures, again, out)
    finish(pictures, out)
    assert again.seen == 5
    assert len(open_features(out)) == 7


def test_a_kill_after_the_file_was_written_leaves_it_and_is_cleaned_up(album, tmp_path):
    pictures, out = find_pictures([album]), tmp_path / "f.safetensors"
    collect(pictures, new_detector(), out)
    left = tmp_path / "left"
    shutil.copytree(parts_folder(out), left)
    finish(pictures, out)
    left.rename(parts_folder(out))  # as if the last step had not been reached
    before, detector = out.read_bytes(), new_detector()
    collect(pictures, detector, out)
    assert finish(pictures, out).found == 7
    assert detector.seen == 0
    assert out.read_bytes() == before
    assert not parts_folder(out).exists()


def test_a_picture_too_narrow_or_too_large_for_the_memory_is_listed(album, tmp_path):
    Image.new("RGB", (900, 3)).save(album / "narrow.png")

    class Small(Counting):
        def detect(self, pictures, pad=False):
            if len(pictures) > 1 or pictures[0].size == (48, 60):
                raise torch.OutOfMemoryError("out of memory")
            return super().detect(pictures, pad)

    torch.manual_seed(0)
    pictures, out = find_pictures([album]), tmp_path / "f.safetensors"
    collect(pictures, Small.new(SMALL, width=4), out, batch=3)
    skipped = finish(pictures, out).skipped
    assert "too narrow" in skipped["narrow.png"]
    assert skipped["0.png"] == "out of memory"
    assert list(open_features(out)) == ["1.png", "3.png", "inner/5.png"]


def test_another_detector_cannot_go_on_with_the_parts(album, tmp_path):
    pictures, out = find_pictures([album]), tmp_path / "f.safetensors"
    first = new_detector()
    first.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        collect(pictures, first, out, seconds=0)
    with pytest.raises(ValueError, match="holds regions from another run"):
        collect(pictures, new_detector(seed=1), out)
    same_weights = new_detector()
    same_weights.config = replace(SMALL, proposal_nms=0.6)
    with pytest.raises(ValueError, match="holds regions from another run"):
        collect(pictures, same_weights, out)


def test_an_existing_file_is_kept(album, tmp_path):
    out = tmp_path / "f.safetensors"
    out.write_text("mine")
    with pytest.raises(FileExistsError, match="is not overwritten"):
        collect(find_pictures([album]), new_detector(), out)
    assert out.read_text() == "mine"


def test_what_cannot_be_collected_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no picture or folder"):
        find_pictures([tmp_path / "nothing"])
    with pytest.raises(FileNotFoundError, match="no pictures in"):
        find_pictures([tmp_path])
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / folder / "x.png")
    with pytest.raises(ValueError, match=r"would both be named 'x\.png'"):
        find_pictures([tmp_path / "a", tmp_path / "b"])
    assert list(find_pictures([tmp_path])) == ["a/x.png", "b/x.png"]


def test_pictures_none_of_which_can_be_read_leave_nothing_behind(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    pictures, out = find_pictures([tmp_path / "a.jpg"]), tmp_path / "f.safetensors"
    collect(pictures, new_detector(), out)
    with pytest.raises(ValueError, match="none of 1 pictures could be read"):
        finish(pictures, out)
    assert not out.exists()
    assert not parts_folder(out).exists()


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "detector"
    folder.mkdir()
    save_file(new_detector().state_dict(), folder / "model.safetensors")
    sizes = {"MIN_SIZE_TEST": 48, "MAX_SIZE_TEST": 64}
    (folder / "config.json").write_text(
        json.dumps(
            {"INPUT": sizes, "RPN": {"POST_NMS_TOPK_TEST": 12}, "MIN_DETECTIONS": 2, "MAX_DETECTIONS": 5}
        )
    )
    return folder


def test_processes_of_torchrun_share_the_work(album, checkpoint, tmp_path):
    out = tmp_path / "f.safetensors"
    command = ["-m", "cacr", "features", str(album), "-o", str(out), "--detector", str(checkpoint)]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    said = subprocess.run([sys.executable, *torchrun, *command], capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr
    assert "1 pictures were skipped" in " ".join(said.stdout.split())
    assert json.loads((tmp_path / "f.safetensors.skipped.json").read_text()).keys() == {"2b.jpg"}
    assert len(open_features(out)) == 7
