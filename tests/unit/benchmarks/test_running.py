"""An evaluation keeps its answers as they are made: stopped, resumed or shared, it gives the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from cacr.benchmarks import BENCHMARKS, Options
from cacr.benchmarks.records import read_about, read_records
from cacr.benchmarks.running import answer, check_finished, finish, parts_folder
from cacr.scorers import ConstantScorer, RandomScorer

SCENES, RETRIEVAL = BENCHMARKS["scenes"], BENCHMARKS["scenes-retrieval"]
OPTIONS = Options(n=150, seed=0)
FEW = Options(n=40, seed=0)


class Stopping(RandomScorer):
    """Is killed at its third request."""

    asked = 0

    def match(self, captions, pictures):
        self.asked += 1
        if self.asked == 4:  # the first is the fingerprint's
            raise KeyboardInterrupt
        return super().match(captions, pictures)


def run(benchmark, scorer, out, options, **share):
    work = benchmark.open(options)
    answer(benchmark, work, scorer, out, options, **share)
    return finish(benchmark, work, scorer, out, options, {})


def test_records_on_disk_are_those_measured_in_memory(tmp_path):
    for benchmark, options in ((SCENES, OPTIONS), (RETRIEVAL, FEW)):
        written = run(benchmark, RandomScorer(), tmp_path, options)
        assert written == benchmark.measure(RandomScorer(), options)
        assert read_records(tmp_path)[benchmark.name] == written
        assert not parts_folder(tmp_path, benchmark).exists()


@pytest.mark.parametrize(
    "benchmark, options", [(SCENES, OPTIONS), (RETRIEVAL, FEW)], ids=["pairs", "retrieval"]
)
def test_a_stopped_evaluation_goes_on_to_the_same_bytes_without_asking_again(tmp_path, benchmark, options):
    run(benchmark, RandomScorer(), tmp_path / "whole", options)
    work = benchmark.open(options)
    stopping = Stopping()
    with pytest.raises(KeyboardInterrupt):
        answer(benchmark, work, stopping, tmp_path / "stopped", options)
    kept = sorted(parts_folder(tmp_path / "stopped", benchmark).glob("part-*"))
    assert len(kept) == 2 < work.parts
    before = [file.stat().st_mtime_ns for file in kept]
    answer(benchmark, work, RandomScorer(), tmp_path / "stopped", options)
    assert [file.stat().st_mtime_ns for file in kept] == before
    finish(benchmark, work, RandomScorer(), tmp_path / "stopped", options, {})
    for ending in ("jsonl", "json"):
        name = f"{benchmark.name}.{ending}"
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_shares_of_several_processes_make_the_same_bytes(tmp_path):
    run(SCENES, RandomScorer(), tmp_path / "one", OPTIONS)
    work = SCENES.open(OPTIONS)
    for worker in (2, 0, 1):
        answer(SCENES, work, RandomScorer(), tmp_path / "three", OPTIONS, worker=worker, workers=3)
    finish(SCENES, work, RandomScorer(), tmp_path / "three", OPTIONS, {})
    assert (tmp_path / "three/scenes.jsonl").read_bytes() == (tmp_path / "one/scenes.jsonl").read_bytes()


def test_it_does_not_finish_without_all_parts(tmp_path):
    work = SCENES.open(OPTIONS)
    answer(SCENES, work, RandomScorer(), tmp_path, OPTIONS, worker=0, workers=2)
    with pytest.raises(FileNotFoundError, match="1 of 3 parts of scenes are not there.*--resume"):
        finish(SCENES, work, RandomScorer(), tmp_path, OPTIONS, {})


def test_another_model_or_other_data_may_not_add_to_answers(tmp_path):
    answer(SCENES, SCENES.open(OPTIONS), RandomScorer(), tmp_path, OPTIONS)
    with pytest.raises(ValueError, match="another evaluation: scorer differ"):
        answer(SCENES, SCENES.open(OPTIONS), RandomScorer(seed=1), tmp_path, OPTIONS)
    other = Options(n=150, seed=1)
    with pytest.raises(ValueError, match="another evaluation: version, options differ"):
        answer(SCENES, SCENES.open(other), RandomScorer(), tmp_path, other)


def test_finished_records_are_of_this_model_or_refused(tmp_path):
    run(SCENES, RandomScorer(), tmp_path, OPTIONS)
    work = SCENES.open(OPTIONS)
    check_finished(SCENES, work, RandomScorer(), tmp_path, OPTIONS)
    with pytest.raises(ValueError, match="from another evaluation: scorer differ"):
        check_finished(SCENES, work, ConstantScorer(), tmp_path, OPTIONS)


def test_records_are_never_overwritten(tmp_path):
    run(SCENES, RandomScorer(), tmp_path, OPTIONS)
    with pytest.raises(FileExistsError, match="exists and is not overwritten"):
        answer(SCENES, SCENES.open(OPTIONS), RandomScorer(), tmp_path, OPTIONS)


def test_a_record_says_what_was_measured_with_what(tmp_path):
    run(SCENES, RandomScorer(), tmp_path, OPTIONS)
    about = read_about(tmp_path, "scenes")
    assert about["version"] == "scenes-1, album 0" and about["n"] == 150
    assert about["scorer"]["name"] == "random:0" and len(about["scorer"]["fingerprint"]) == 4
    assert about["options"] == {"n": 150, "seed": 0}
    row = next(row for row in about["table"] if (row["group"], row["metric"]) == ("relation", "group"))
    assert (
        row["n"] == 75 and row["low"] < row["value"] < row["high"] and row["chance"] == pytest.approx(1 / 6)
    )


def test_a_picture_that_examples_share_is_asked_for_in_one_request(tmp_path):
    from cacr.benchmarks.examples import PART, Example, ExamplesWork
    from cacr.data import Picture

    examples = [Example(str(i), ["a", "b"], [f"picture {i % 7}"]) for i in range(7 * PART)]
    work = ExamplesWork(examples, lambda name: Picture(name), "1")
    requests = []

    class Listening(ConstantScorer):
        def match(self, captions, pictures):
            requests.append({picture.image_id for picture in pictures})
            assert len({id(picture) for picture in pictures}) == len(requests[-1])
            return super().match(captions, pictures)

    records = work.records([work.ask(Listening(), part) for part in range(work.parts)])
    assert [record["example"] for record in records] == [str(i) for i in range(7 * PART)]
    assert sum(len(names) for names in requests) == 7


def test_a_scorer_with_a_threshold_leaves_it_in_the_record():
    class Deciding(ConstantScorer):
        threshold = 0.5

    assert SCENES.measure(Deciding(), FEW)[0]["threshold"] == 0.5
    assert "threshold" not in SCENES.measure(ConstantScorer(), FEW)[0]


def test_too_few_matches_are_named():
    class Short(ConstantScorer):
        def match(self, captions, pictures):
            return torch.zeros(1)

    with pytest.raises(ValueError, match="constant gave 1 matches for 160 pairs"):
        SCENES.measure(Short(), FEW)


def command(out, *more):
    return [
        sys.executable,
        "-m",
        "cacr",
        "eval",
        "scenes-start",
        "scenes",
        "--seed",
        "0",
        "--out",
        str(out),
        *more,
    ]


def test_killed_at_a_random_moment_it_resumes_to_the_same_table(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command(tmp_path / "whole"), env=environment, check=True, capture_output=True)
    out = tmp_path / "killed"
    process = subprocess.Popen(command(out), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    parts = out / "scenes.parts"
    deadline = time.monotonic() + 60
    while len(list(parts.glob("part-*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (out / "scenes.jsonl").exists()
    refused = subprocess.run(command(out), env=environment, capture_output=True, text=True)
    assert refused.returncode == 1 and "--resume" in " ".join(refused.stderr.split())
    subprocess.run(command(out, "--resume"), env=environment, check=True, capture_output=True)
    assert (out / "scenes.jsonl").read_bytes() == (tmp_path / "whole/scenes.jsonl").read_bytes()
    now, then = (json.loads((folder / "scenes.json").read_text()) for folder in (out, tmp_path / "whole"))
    assert now["table"] == then["table"]


def test_two_processes_share_an_evaluation(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    alone = command(tmp_path / "one", "--limit", "200")
    subprocess.run(alone, env=environment, check=True, capture_output=True)
    together = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        "29533",
    ]
    together += command(tmp_path / "two", "--limit", "200")[1:]
    done = subprocess.run(together, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "two/scenes.jsonl").read_bytes() == (tmp_path / "one/scenes.jsonl").read_bytes()
