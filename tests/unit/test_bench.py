"""The benches run: a small sample of each, without looking at any speed."""

import json
from pathlib import Path

import pytest
import torch
from bench import features, full_size, retrieval
from bench.__main__ import BENCHES, ratio


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.__name__)
def test_every_bench_says_what_it_divides(bench):
    assert " / " in bench.__doc__


def test_a_ratio_of_a_job_to_itself_is_about_one():
    assert 0.2 < ratio(lambda: sum(range(20_000)), lambda: sum(range(20_000))) < 5


def test_reading_features_is_timed_against_raw_bytes_and_databases(capsys):
    pytest.importorskip("lmdb")
    ratios = features.main(pictures=1_000, sample=50, rounds=3)
    assert {name.split(" / ")[0] for name in ratios} == {"random", "in order"}
    assert all(ratio > 0 for ratio in ratios.values())
    assert "1,000 pictures" in capsys.readouterr().out


def test_retrieval_is_timed_against_a_loop_that_scores_the_same(tmp_path, capsys):
    from cacr.regions import Regions, write_features

    g = torch.Generator().manual_seed(0)
    box = torch.tensor([[0.1, 0.1, 0.5, 0.5]]).repeat(3, 1)
    found = {f"{i}.jpg": Regions(torch.randn(3, 8, generator=g), box) for i in range(3)}
    write_features(tmp_path / "features.safetensors", found)
    lines = [json.dumps({"image": name, "captions": ["a dog", "a small dog runs"]}) + "\n" for name in found]
    (tmp_path / "captions.jsonl").write_text("".join(lines))
    sizes = {"region_dim": 8, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ratios = retrieval.main(tmp_path, rounds=1, count=2, sizes=sizes | {"intermediate_size": 64})
    assert set(ratios) == {"ours", "loop", "unpadded", "bfloat16", "bfloat16 away"} and ratios["ours"] == 1
    assert 0 < ratios["bfloat16 away"] < 0.1
    assert "24 pairs a round" in capsys.readouterr().out


def test_whole_benchmarks_are_measured_on_generated_pictures(capsys):
    data = Path(__file__).parents[1] / "data" / "benchmarks" / "vsr"
    (line,) = full_size.main(data, names=["vsr"], n=3, models=["clip"])
    assert (line["examples"], line["pairs"]) == (3, 3) and line["gibibytes"] > 0.1
    assert "3 pictures, " in capsys.readouterr().out
