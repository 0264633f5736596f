"""docs/first_ten_minutes.md is a transcript: every command and block runs as it stands, and prints what it shows."""

import json

import numpy as np
import pytest
from PIL import Image
from tests.journey.pages import DOCS, follow, numbers_are_near

from cacr.benchmarks.outcomes import two_by_two
from cacr.benchmarks.records import read_records
from cacr.cli import main
from cacr.tiny_models import TINY, processors

PAGE = DOCS / "first_ten_minutes.md"
MODEL = "dandelin/vilt-b32-finetuned-coco"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A cache of the hub in which a small random model has the name of the one that the page downloads."""
    import huggingface_hub.constants

    cache = tmp_path / "hub"
    snapshot = cache / f"models--{MODEL.replace('/', '--')}" / "snapshots" / ("0" * 40)
    TINY["vilt"]().model.save_pretrained(snapshot)
    processors.PROCESSORS["vilt"]().save_pretrained(snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    return cache


def share(records, metric):
    relations = [record for record in records["scenes"] if "relation" in record["tags"]]
    return two_by_two(relations)[metric].mean()


def test_a_stranger_measures_fixes_and_looks_and_brings_own_pictures(hub, tmp_path, monkeypatch, capsys):
    place = tmp_path / "empty"
    (place / "my-photos").mkdir(parents=True)
    monkeypatch.chdir(place)
    for number in range(1, 5):
        noise = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((160, 120)).save(place / "my-photos" / f"{number}.jpg")

    def cacr(arguments):
        capsys.readouterr()
        assert main(arguments) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    done = list(follow(PAGE, {}, cacr))
    assert [step.kind for step, _ in done] == [*["console"] * 5, "file", *["console"] * 3, "python"]
    numbers_are_near(*done[0], abs=2.0)  # percent; those after training are other machines' own
    before, after = (read_records(place / name) for name in ("before", "after"))
    assert np.mean([record["rank"] == 1 for record in before["scenes-retrieval"]]) > 0.75
    assert share(before, "group") < 0.22
    assert share(after, "group match") >= share(before, "group match") + 0.1
    lines = [json.loads(line) for line in (place / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["language"] < lines[0]["language"]
    assert "some grass in a mug" in (place / "other.html").read_text()
    assert len(read_records(place / "mine")["retrieval"]) == 8
