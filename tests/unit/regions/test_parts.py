"""Regions collected in parts survive a killed process, and the joined file is the one written at once."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cacr.regions import PartWriter, join_parts, open_features, write_features


def pictures(make, n=7, **kwargs):
    return {f"{i}.jpg": make.some(1 + i % 3, seed=i, **kwargs) for i in range(n)}


@pytest.mark.parametrize("full", [False, True])
def test_the_joined_file_is_the_one_written_at_once(tmp_path, make, full):
    many = pictures(make, full=full)
    with PartWriter(tmp_path / "parts", pictures=3) as writer:
        for image_id, regions in many.items():
            writer.add(image_id, regions)
    assert [part.name for part in writer.parts] == [f"part-0-0000{i}.safetensors" for i in range(3)]
    join_parts(writer.parts, tmp_path / "joined.safetensors")
    write_features(tmp_path / "once.safetensors", many)
    assert (tmp_path / "joined.safetensors").read_bytes() == (tmp_path / "once.safetensors").read_bytes()


@pytest.mark.parametrize("full", [False, True])
def test_pictures_are_joined_in_the_order_asked_for(tmp_path, make, full):
    many = pictures(make, full=full)
    for worker in (0, 1):
        with PartWriter(tmp_path / "parts", worker, pictures=2) as writer:
            for image_id in list(many)[worker::2]:
                writer.add(image_id, many[image_id])
    join_parts(writer.parts, tmp_path / "joined.safetensors", order=list(many))
    store = open_features(tmp_path / "joined.safetensors")
    assert list(store) == list(many)
    assert all(make.same(store[image_id], regions) for image_id, regions in many.items())
    assert {*open_features(tmp_path / "parts")} == {*many}


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (["0.jpg", "x"], "1 pictures of the order are in no part, e.g. x"),
        (["0.jpg"] * 2, "names 0.jpg twice"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(tmp_path, make, order, message):
    with PartWriter(tmp_path) as writer:
        writer.add("0.jpg", make.some())
    with pytest.raises(ValueError, match=message):
        join_parts(writer.parts, tmp_path / "out.safetensors", order)


def test_a_run_goes_on_where_the_last_one_ended(tmp_path, make):
    many = pictures(make)
    first = PartWriter(tmp_path, pictures=3)
    for image_id in list(many)[:5]:
        first.add(image_id, many[image_id])  # the last two are never flushed: the process was killed
    second = PartWriter(tmp_path, pictures=3)
    assert second.done == set(list(many)[:3])
    with second, pytest.raises(RuntimeError):
        for image_id, regions in many.items():
            if image_id not in second.done:
                second.add(image_id, regions)
            if image_id == "5.jpg":
                raise RuntimeError("stopped")
    assert PartWriter(tmp_path).done == set(list(many)[:6])
    with pytest.raises(ValueError, match=r"picture 0\.jpg is in .* already"):
        PartWriter(tmp_path).add("0.jpg", many["0.jpg"])


def test_a_killed_writers_leftover_is_removed_and_a_living_ones_is_not(tmp_path, make):
    killed = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    from cacr._files import beside

    living = beside(tmp_path / "part-1-00000.safetensors")
    dead = living.with_name(living.name.replace(f".{os.getpid()}.", f".{killed.stdout.strip()}."))
    elsewhere = tmp_path / f".part-2-00000.safetensors.another-machine.{killed.stdout.strip()}.tmp"
    for file in (living, dead, elsewhere):
        file.write_bytes(b"half")
    writer = PartWriter(tmp_path)
    assert (living.exists(), dead.exists(), elsewhere.exists()) == (True, False, True)
    assert (writer.done, writer.parts) == (set(), [])


def test_a_kill_while_writing_leaves_no_file_under_the_final_name(tmp_path, make, monkeypatch):
    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_features(tmp_path / "f.safetensors", pictures(make))
    assert not (tmp_path / "f.safetensors").exists()


def test_a_broken_part_is_named(tmp_path, make):
    with PartWriter(tmp_path) as writer:
        writer.add("a", make.some())
    whole = writer.parts[0].read_bytes()
    writer.parts[0].write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"part-0-00000\.safetensors is not .* remove it, and its pictures"):
        PartWriter(tmp_path)


def test_the_same_picture_in_two_parts_is_refused(tmp_path, make):
    for folder in "ab":
        with PartWriter(tmp_path / folder) as writer:
            writer.add("1.jpg", make.some())
    parts = sorted(tmp_path.glob("*/*.safetensors"))
    with pytest.raises(ValueError, match=r"a/part-0-00000.* and .*b/part-0-00000.* both hold picture 1\.jpg"):
        join_parts(parts, tmp_path / "out.safetensors")


def test_files_of_other_widths_are_named_in_a_folder_of_several(tmp_path, make):
    write_features(tmp_path / "a.safetensors", {"1": make.some()})
    wide = make.some()
    wide = replace(wide, features=torch.cat([wide.features, wide.features], 1))
    write_features(tmp_path / "b.safetensors", {"2": wide})
    with pytest.raises(ValueError, match=r"numbers per region \(8 in a\.safetensors, 16 in b\.safetensors\)"):
        open_features(tmp_path)


def test_parts_with_other_fields_or_types_are_refused(tmp_path, make):
    for name, full, dtype in (
        ("a", False, torch.float32),
        ("b", True, torch.float32),
        ("c", False, torch.float16),
    ):
        write_features(tmp_path / f"{name}.safetensors", {name: make.some(full=full)}, dtype=dtype)
    for other, what in (("b", "attribute_confidence"), ("c", "features")):
        with pytest.raises(ValueError, match=f"differ in .*{what}"):
            join_parts(
                [tmp_path / "a.safetensors", tmp_path / f"{other}.safetensors"], tmp_path / "o.safetensors"
            )
    assert not list(tmp_path.glob("*o.safetensors*"))


def test_names_of_classes_are_told_apart_across_parts(tmp_path, make):
    """Each part counts its own names from 0."""
    for i, folder in enumerate("ab"):
        with PartWriter(tmp_path / folder) as writer:
            writer.add(folder, make.some(seed=5 * i, full=True))
    join_parts(sorted(tmp_path.glob("*/*.safetensors")), tmp_path / "out.safetensors")
    store = open_features(tmp_path / "out.safetensors")
    assert store["a"].object_names == ("name 0", "name 1", "name 2")
    assert store["b"].object_names == ("name 5", "name 6", "name 7")


def test_more_parts_than_open_files_are_joined(tmp_path, make):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with PartWriter(tmp_path / "parts", pictures=1) as writer:
        for i in range(300):
            writer.add(str(i), make.some(1, seed=i))
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 200, hard))
    try:
        join_parts(writer.parts, tmp_path / "out.safetensors", order=[str(i) for i in reversed(range(300))])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert make.same(open_features(tmp_path / "out.safetensors")["7"], make.some(1, seed=7))


@pytest.mark.parametrize("wrong", [{"worker": -1}, {"pictures": 0}, {"dtype": torch.int8}])
def test_settings_that_mean_nothing_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="expected"):
        PartWriter(tmp_path, **wrong)
