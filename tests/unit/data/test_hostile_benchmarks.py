"""No benchmark's annotation file makes a picture be opened, or a folder be listed, outside of those of the pictures."""

import json

import pytest
from PIL import Image
from tests.fuzz.readers_benchmarks import READERS

from cacr.benchmarks import BENCHMARKS, Options
from cacr.benchmarks.benchmark import ask_all
from cacr.scorers import ConstantScorer

ENDINGS = (".jpg", ".jpeg", ".png", ".npy")
BEFORE = ("../", "/etc/", "a/../../", "..\\", "a\0")
TEXTS = [one for one in READERS if one.text and not one.file.endswith(".csv") and "coco_qa" not in one.file]


def renamed(value, before):
    """The same JSON with something before the name of every picture."""
    if isinstance(value, dict):
        return {
            key: f"{before}{one}"
            if key.startswith("image_") and isinstance(one, str)
            else renamed(one, before)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [renamed(one, before) for one in value]
    return f"{before}{value}" if isinstance(value, str) and value.endswith(ENDINGS) else value


@pytest.mark.parametrize("reader", TEXTS, ids=lambda one: one.name)
@pytest.mark.parametrize("before", BEFORE)
def test_a_name_that_leads_out_is_refused_or_looked_for_inside(reader, before, tmp_path):
    folder = tmp_path / "data"
    (folder / reader.file).parent.mkdir(parents=True)
    (folder / "images").mkdir()
    whole = not reader.file.endswith(".jsonl")
    lines = [json.loads(line) for line in ([reader.seeds[0]] if whole else reader.seeds[0].splitlines())]
    text = "\n".join(json.dumps(renamed(one, before)) for one in lines)
    for name in (word.rpartition("/")[2] for word in text.split('"') if word.endswith(ENDINGS)):
        Image.new("RGB", (4, 4)).save(
            tmp_path / name.replace("\\", "").replace("u0000", "").replace(".npy", ".png")
        )
    (folder / reader.file).write_text(text)
    benchmark = BENCHMARKS[reader.name.split()[1]]
    with pytest.raises((ValueError, FileNotFoundError), match="outside of|no picture files"):
        ask_all(benchmark.open(Options(data=folder, images=(folder / "images",))), ConstantScorer())
