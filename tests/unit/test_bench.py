"""The benches run and tell what they divide; peers compute what we do; the page comes from the JSON alone."""

import json
import platform
from pathlib import Path

import pytest
import torch
from bench import features, full_size, memory, page, peers, products, retrieval
from bench.__main__ import main, run
from bench.benches import BENCHES
from bench.cases import Case
from bench.measuring import Row, Setting, machine, ratios, rounds, row
from torch.testing import assert_close

from cacr import AttentionBlocks, cacr_loss

ALONE = ("step", "retrieval")
"""Benches with tests of their own."""


@pytest.fixture
def given():
    """Three examples of different lengths: [CLS], words, [SEP], regions."""
    g = torch.Generator().manual_seed(0)
    query, key = (torch.randn(3, 2, 17, 8, dtype=torch.float64, generator=g).requires_grad_() for _ in "qk")
    text_mask = torch.zeros(3, 17, dtype=torch.bool)
    region_mask = text_mask.clone()
    for example, (words, regions) in enumerate(((6, 9), (4, 7), (5, 8))):
        text_mask[example, 1 : 1 + words] = True
        region_mask[example, 8 : 8 + regions] = True
    return query, key, text_mask, region_mask


@pytest.mark.parametrize("direction", ["language", "vision", "both"])
@pytest.mark.parametrize("peer", [peers.release_loop, peers.block_loop], ids=lambda peer: peer.__name__)
def test_the_peers_compute_our_loss_and_its_gradients(given, peer, direction):
    ours = cacr_loss(AttentionBlocks.from_query_key(*given), direction)
    theirs = peer(*given, direction)
    assert_close(theirs, ours, rtol=1e-12, atol=0)
    wanted = torch.autograd.grad(ours, given[:2])
    for mine, other in zip(wanted, torch.autograd.grad(theirs, given[:2]), strict=True):
        assert_close(other, mine, rtol=1e-9, atol=1e-12 * float(mine.abs().max()))


def test_a_release_is_called_by_its_own_names_without_what_it_never_needs(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "layer.py").write_text("from utils.heatmap import plot_attention_headmap as plot\n")
    lines = ["from apex.normalization.fused_layer_norm import FusedLayerNorm", "from .layer import plot"]
    lines += ["class UniterEncoder:", "    def iais_singular(self):", "        return FusedLayerNorm"]
    (tmp_path / "model" / "model.py").write_text("\n".join(lines))
    release = peers.open_release(tmp_path)
    assert release.UniterEncoder().iais_singular() is torch.nn.LayerNorm
    assert peers.has_loss(release, "singular") and not peers.has_loss(release, "soft")


def test_a_folder_without_a_release_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model/model.py under .*KhoomeiK/CACR"):
        peers.open_release(tmp_path)


def test_a_release_without_the_loss_is_refused(given, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.py").write_text("class UniterEncoder:\n    pass\n")
    with pytest.raises(ImportError, match="no loss 'soft'"):
        peers.released_loss(peers.open_release(tmp_path), *given)


@pytest.mark.parametrize("name", [name for name in BENCHES if name not in ALONE])
def test_every_bench_runs_and_every_row_says_what_it_divides(name):
    if name == "features":
        pytest.importorskip("lmdb")
    rows = run(name, Setting(quick=True))
    assert rows and len({one.name for one in rows}) == len(rows)
    for one in rows:
        assert " / " in one.divides and one.size and one.machine and one.date
        assert one.minimum > 0 and one.median > 0


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_says_how_it_measures(name):
    assert BENCHES[name].title and BENCHES[name].about


def test_a_job_against_itself_takes_about_as_long():
    spent = rounds({"one": lambda: sum(range(50_000)), "same": lambda: sum(range(50_000))}, 15)
    one = row("same", "a job / itself", spent["one"], spent["same"], size="50,000 numbers")
    assert 0.7 < one.minimum < 1.4 and 0.7 < one.median < 1.4


def test_rounds_turn_their_order_around_and_do_not_count_the_first():
    seen = []
    spent = rounds({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, 3, warmups=1)
    assert "".join(seen) in ("abbaabba", "baabbaab")
    assert [len(each) for each in spent.values()] == [3, 3]


def test_the_minimum_is_of_both_sides_and_the_median_of_pairs():
    assert ratios([2.0, 9.0, 4.0], [1.0, 1.0, 4.0]) == (2.0, 2.0)
    assert ratios([3.0, 8.0, 6.0], [3.0, 2.0, 1.0]) == (3.0, 4.0)


@pytest.mark.parametrize(
    ("numbers", "asked", "holds"),
    [
        ((3.0, 4.0), {"floor": 3.0}, True),
        ((2.9, 4.0), {"floor": 3.0}, False),
        ((4.0, 2.9), {"floor": 3.0}, False),
        ((1.0, 2.0), {"ceiling": 2.0}, True),
        ((1.0, 2.1), {"ceiling": 2.0}, False),
        ((1.0, 2.0), {}, None),
    ],
)
def test_what_was_asked_for_holds_when_both_numbers_do(numbers, asked, holds):
    assert Row("", "a / b", *numbers, 1, "", "cpu", **asked).holds is holds


@pytest.mark.parametrize("mebibytes", [64, 256])
def test_the_peak_of_a_known_amount_is_found(mebibytes):
    found = memory.peak(lambda: torch.ones(mebibytes, 2**20, dtype=torch.uint8)) / 2**20
    assert 0.8 * mebibytes < found < 1.2 * mebibytes


def test_the_arithmetic_is_counted_as_it_is_written_out():
    case = Case(regions=10, batch=3, text=1, heads=2, width=4)
    counted = {d: products.flops(Case(10, 3, 1, 2, 4, d)) / 3 for d in ("language", "vision", "both")}
    square, thin, across = 2 * 10 * 10 * 4, 2 * 10 * 10 * 1, 2 * 10 * 1 * 4
    words, ends = 2 * 3 * 2 * 1 * 1 * 4, 2 * 2 * 10 * 1 * 1
    assert case.direction == "both"
    assert counted["language"] == 2 * 4 * square + 2 * thin + 2 * across + words + ends
    assert counted["vision"] == 2 * 3 * square + 2 * thin + 2 * across + words + ends
    assert counted["both"] == 2 * 4 * square + 4 * thin + 4 * across + words + 2 * ends


def result(name="loss", device="cpu", median=2.0):
    return Row(
        name, "a / b", 1.5, median, 3, "small", device, floor=1.0, machine="a machine", date="2026-01-01"
    )


def test_a_partial_run_keeps_other_rows(tmp_path):
    bench = BENCHES["scenes"]
    first = page.merged({}, "attach", BENCHES["attach"], [result()], "cpu", 4.2)
    first = page.merged(first, "scenes", bench, [result("on a GPU", "cuda"), result("old")], "cuda", 1.0)
    then = page.merged(first, "scenes", bench, [result("new", median=9.0)], "cpu", 2.0)
    assert then["attach"] == first["attach"]
    assert [one["name"] for one in then["scenes"]["rows"]] == ["new", "on a GPU"]
    assert then["scenes"]["seconds"] == {"cuda": 1, "cpu": 2}


def test_the_page_is_made_from_the_json_alone(tmp_path):
    sections = page.merged({}, "scenes", BENCHES["scenes"], [result()], "cpu", 4.2)
    sections["scenes"]["title"] = "A title that only the JSON has"
    page.write(sections, BENCHES, tmp_path)
    written = (tmp_path / "speed.md").read_text()
    assert "## A title that only the JSON has" in written
    assert "| a / b | small | 1.5 | 2 | 3 | at least 1: yes | A, 2026-01-01 |" in written
    (tmp_path / "speed.md").unlink()
    assert main(["--page", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "speed.md").read_text() == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1.0062, "1.006"),
        (0.98, "0.980"),
        (2.345, "2.35"),
        (0.000216, "2.2e-04"),
        (157_097.2, "157,097"),
        (None, ""),
    ],
)
def test_numbers_are_written_with_the_digits_that_say_something(value, written):
    assert page.number(value) == written


def test_a_machine_is_told_without_its_name():
    told = machine()
    assert f"torch {torch.__version__}" in told and "thread" in told and "cores" in told
    assert platform.node() not in told


def test_a_run_of_one_bench_writes_its_rows_and_keeps_the_rest(tmp_path, capsys):
    before = {"attach": page.merged({}, "attach", BENCHES["attach"], [result()], "cpu", 4.2)["attach"]}
    page.write(before, BENCHES, tmp_path)
    assert main(["scenes", "--out", str(tmp_path)]) == 0
    after = json.loads((tmp_path / "speed.json").read_text())
    assert after["attach"] == before["attach"] and list(after) == ["attach", "scenes"]
    assert after["scenes"]["rows"][0]["machine"] == machine()
    assert "resizing a picture / drawing a scene" in capsys.readouterr().out


def test_a_quick_run_writes_nothing(tmp_path, capsys):
    assert main(["loss-in-step", "--quick", "--out", str(tmp_path)]) == 0
    assert list(tmp_path.iterdir()) == []
    printed = capsys.readouterr().out
    assert "the loss of a true pair / a step" in printed and "asked" not in printed


def test_an_unknown_bench_is_named(capsys):
    with pytest.raises(SystemExit):
        main(["scnes"])
    assert "no bench 'scnes'; known: region-models" in capsys.readouterr().err


def test_a_run_leaves_the_number_of_threads_as_it_was(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert main(["scenes", "--quick", "--out", str(tmp_path)]) == 0
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit):
        main(["--device", "cuda"])
    assert "torch finds no CUDA device here" in capsys.readouterr().err


def test_what_is_missing_is_said_and_fails_the_run_but_not_the_others(tmp_path, capsys):
    folder = tmp_path / "nowhere"
    assert main(["region-models", "scenes", "--quick", "--release", str(folder)]) == 1
    printed = capsys.readouterr().out
    assert "did not run: FileNotFoundError: no model/model.py under" in printed
    assert "resizing a picture / drawing a scene" in printed and printed.endswith(
        "did not run: region-models\n"
    )


def test_reading_features_is_timed_in_both_orders():
    pytest.importorskip("lmdb")
    found = features.measure(pictures=1_000, sample=50, repetitions=3)
    assert set(found) == {"random", "in order"}
    assert all(len(each) == 3 and min(each) > 0 for spent in found.values() for each in spent.values())


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
    assert set(ratios) == {"captions", "ours", "loop", "unpadded", "bfloat16", "bfloat16 away"}
    assert ratios["captions"] == 2 and ratios["ours"] == 1
    assert 0 < ratios["bfloat16 away"] < 0.1
    assert "24 pairs a round" in capsys.readouterr().out


@pytest.mark.slow
def test_whole_benchmarks_are_measured_on_generated_pictures(capsys):
    data = Path(__file__).parents[1] / "data" / "benchmarks" / "vsr"
    (line,) = full_size.main(data, names=["vsr"], n=3, models=["clip"])
    assert (line["examples"], line["pairs"]) == (3, 3) and line["gibibytes"] > 0.1
    assert "3 pictures, " in capsys.readouterr().out
