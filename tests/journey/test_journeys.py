"""What people do, the demo, a run of one's own, photographs, figures."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.faults.laboratory import Laboratory

from cacr.benchmarks.records import read_records

ROOT = Path(__file__).parents[2]
CACR = [sys.executable, "-m", "cacr"]


def printed(*arguments, cwd):
    """What a command prints as its result, in a process of its own from the very start."""
    done = subprocess.run([*CACR, *map(str, arguments)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Commands in processes of their own, forked where all is imported: that takes longer than most commands."""
    with Laboratory(tmp_path_factory.mktemp("said")) as laboratory:

        def run(*arguments, cwd, expect=0):
            process = laboratory.start(arguments, cwd)
            assert process.ended() == [expect], process.said
            return process.said

        yield run


SMALL = ["--steps", "40", "--candidates", "5", "--negatives", "2", "--scenes", "40", "--save-every", "2"]
SMALL += ["--warmup", "1"]


SHORT_DEMO = ["demo", "--out", "d", "--seeds", "2", "--steps", "4", "--examples", "20", "--gallery", "8"]


def test_the_demo_leaves_a_report_that_can_be_remade(tmp_path, run):
    out = run(
        *SHORT_DEMO,
        cwd=tmp_path,
    )
    assert "relation" in out
    folder = tmp_path / "d"
    results = json.loads((folder / "results.json").read_text())
    for column in results.values():
        assert set(column["scores"]) == {"start", "none", "IAIS", "CACR", "CACR rows", "flat"}
        for score in column["scores"].values():
            assert score["n"] > 0
            assert score["low"] <= score["value"] <= score["high"]
        assert all(
            d["seeds"] == 2 and d["verdict"] in ("resolved", "not resolved")
            for d in column["difference from none"].values()
        )
    readme = (folder / "README.md").read_text()
    for link in re.findall(r"\]\((figures/[^)]+)\)", readme):
        with Image.open(folder / link) as picture:
            assert min(picture.size) > 200
    again = run("rescore", "d/arms/CACR-seed-0/records", cwd=tmp_path)
    assert "group match" in again
    assert "McNemar" in run(
        "compare", "d/arms/CACR-seed-0/records", "d/arms/none-seed-0/records", cwd=tmp_path
    )
    unfinished = folder / "arms" / "flat-seed-1" / "records" / "scenes.jsonl"
    unfinished.unlink()
    run(
        *SHORT_DEMO,
        "--resume",
        cwd=tmp_path,
    )
    assert unfinished.is_file()


def listen():
    """Hear Ctrl-C, which a job in the background ignores."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.slow
def test_ctrl_c_leaves_a_partial_report(tmp_path):
    arguments = ["demo", "--out", "d", "--seeds", "9", "--steps", "6", "--examples", "8", "--gallery", "4"]
    process = subprocess.Popen(
        [*CACR, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=listen,
    )
    deadline = time.monotonic() + 120
    finished = tmp_path / "d" / "arms" / "flat-seed-0" / "records" / "scenes-retrieval.jsonl"
    while not finished.is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Partial:" in (tmp_path / "d" / "README.md").read_text()
    assert json.loads((tmp_path / "d" / "results.json").read_text())
    assert "Traceback" not in said


@pytest.mark.slow
def test_photographs_are_learned_by_heart(tmp_path, reference_data, run):
    subprocess.run(
        [sys.executable, ROOT / "examples" / "photographs.py", reference_data / "real", tmp_path / "photos"],
        check=True,
    )
    run("train", "photographs", "--data", "photos", "--out", "run", cwd=tmp_path)
    run("eval", "run/model", "retrieval", "--data", "photos", "--out", "scores", cwd=tmp_path)
    records = read_records(tmp_path / "scores")["retrieval"]
    assert len(records) == 48
    assert all(record["rank"] == 1 for record in records)
    for name, folder, count in (("sugarcrepe", "sugarcrepe", 8), ("sugarcrepe++", "scpp", 5)):
        data = [
            "--data",
            reference_data / "annotations" / folder,
            "--features",
            "photos/features.safetensors",
        ]
        said = run("eval", "run/model", name, *data, "--missing", "skip", "--out", name, cwd=tmp_path)
        assert "examples left out: their pictures are not there" in " ".join(said.split())
        records = read_records(tmp_path / name)[name]
        assert len(records) == count
        assert {picture for record in records for picture in record["pictures"]} == {"000000058350.jpg"}
        learned = [
            record["match"][0][0] for record in records
        ]  # true captions of a picture that it knows by heart
        assert all(score > record["match"][-1][0] for score, record in zip(learned, records, strict=True))
    run(
        "explore",
        "run/model",
        "--pairs",
        "photos",
        "--example",
        "COCO_val2014_000000399879.jpg",
        "--n",
        "2",
        "--out",
        "page.html",
        "--figures",
        "figures",
        cwd=tmp_path,
    )
    assert (tmp_path / "page.html").stat().st_size < 5e6
    drawn = sorted((tmp_path / "figures").iterdir())
    assert len(drawn) == 6  # two captions: words, boxes and relations of each
    for name in drawn:
        with Image.open(name) as picture:
            assert min(picture.size) > 300


def test_a_folder_of_ones_own_goes_through_every_command(tmp_path, run):
    """Seeded pictures and features in the documented layout; the real ones need the reference data."""
    from cacr.regions import Regions, write_features

    photos = tmp_path / "photos"
    photos.mkdir()
    g = torch.Generator().manual_seed(0)
    regions = {}
    with (photos / "captions.jsonl").open("w") as file:
        for index, thing in enumerate(("dog", "cat", "cup", "car")):
            Image.new("RGB", (60, 40), ("red", "green", "blue", "white")[index]).save(photos / f"{thing}.png")
            corners = torch.rand(5, 2, generator=g) * 20
            boxes = torch.cat([corners, corners + 15], 1)
            regions[thing] = Regions.from_pixels(torch.randn(5, 12, generator=g), boxes, (60, 40))
            file.write(
                json.dumps({"image": f"{thing}.png", "captions": [f"a {thing} stands", f"one {thing}"]})
                + "\n"
            )
    write_features(photos / "features.safetensors", regions)
    run(
        "train",
        "photographs",
        "--data",
        "photos",
        "--out",
        "run",
        "--steps",
        "3",
        "--candidates",
        "3",
        "--negatives",
        "2",
        cwd=tmp_path,
    )
    shown = printed("eval", "run/model", "retrieval", "--data", "photos", "--json", cwd=tmp_path)
    assert json.loads(shown)["retrieval"]["rows"][0]["n"] == 8
    run(
        "explore",
        "run/model",
        "--pairs",
        "photos/cup.png",
        "--caption",
        "one cup",
        "--features",
        "photos/features.safetensors",
        "--out",
        "cup.html",
        cwd=tmp_path,
    )
    assert "one cup" in (tmp_path / "cup.html").read_text()
    run("features", "--convert", "photos/features.safetensors", "-o", "again.safetensors", cwd=tmp_path)
    said = run("eval", "run/model", "scenes", "--out", "no", cwd=tmp_path, expect=1)
    assert "features of 40 numbers per region" in said


def test_photographs_become_regions_a_model_and_a_score(tmp_path, run):
    """A small random detector in place of the published one; everything else as a person would do it."""
    from cacr.regions.detector import BottomUpDetector, DetectorConfig

    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    with (photos / "captions.jsonl").open("w") as file:
        for i, thing in enumerate(("dog", "cat", "cup", "car", "hat", "bus")):
            noise = rng.integers(0, 255, (4, 6, 3), dtype=np.uint8)
            Image.fromarray(noise).resize((90, 60)).save(photos / f"{thing}.png")
            line = {"image": f"{thing}.png", "captions": [f"a {thing}"], "split": "train" if i < 4 else "val"}
            file.write(json.dumps(line) + "\n")
    (photos / "broken.jpg").write_bytes(b"not a picture")
    torch.manual_seed(0)
    (tmp_path / "detector").mkdir()
    weights = BottomUpDetector.new(DetectorConfig(), width=8).state_dict()
    save_file(weights, tmp_path / "detector" / "model.safetensors")
    (tmp_path / "detector" / "config.json").write_text(json.dumps({"INPUT": {"MIN_SIZE_TEST": 96}}))
    detect = ["features", "photos", "-o", "photos/features.safetensors", "--detector", "detector"]
    said = run(*detect, "--max-regions", "8", "--half", cwd=tmp_path)
    assert "skipped broken.jpg" in said
    assert "Wrote the regions of 6 pictures" in said
    short = ["--steps", "4", "--candidates", "3", "--negatives", "2", "--save-every", "2"]
    halves = ["--split", "train", "--dev-split", "val"]
    said = run("train", "photographs", "--data", "photos", "--out", "run", *short, *halves, cwd=tmp_path)
    command = " ".join(said.split()).split("Measure it: cacr ")[1].split()
    shown = printed(*command, "--json", cwd=tmp_path)
    assert json.loads(shown)["retrieval"]["rows"][0]["n"] == 2
    item = {"filename": "dog.png", "caption": "a dog", "negative_caption": "a cat"}
    (tmp_path / "swap_obj.json").write_text(json.dumps({"0": item}))
    on_the_fly = ["--images", "photos", "--detector", "detector", "--out", "on-the-fly"]
    run("eval", "run/model", "sugarcrepe", "--data", "swap_obj.json", *on_the_fly, cwd=tmp_path)
    (record,) = read_records(tmp_path / "on-the-fly")["sugarcrepe"]
    assert record["match"][0] != record["match"][1]


def test_an_original_checkpoint_becomes_a_folder(tmp_path, data, run):
    run("convert", data / "uniter_tiny.pt", "uniter", "--config", data / "uniter_tiny.json", cwd=tmp_path)
    assert (tmp_path / "uniter" / "model.safetensors").is_file()
    said = run("convert", data / "uniter_tiny.pt", "uniter", cwd=tmp_path, expect=1)
    assert "Traceback" not in said
