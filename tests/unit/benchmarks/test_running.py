"""An evaluation keeps its answers as they are made: stopped, resumed or shared, it gives the same bytes."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from cacr.benchmarks import BENCHMARKS, Options
from cacr.benchmarks.records import read_about, read_records
from cacr.benchmarks.running import answer, check_finished, finish, parts_folder, same_scorer
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
    with pytest.raises(ValueError, match="another evaluation: version, options, examples differ"):
        answer(SCENES, SCENES.open(other), RandomScorer(), tmp_path, other)


def test_finished_records_are_of_this_model_or_refused(tmp_path):
    run(SCENES, RandomScorer(), tmp_path, OPTIONS)
    work = SCENES.open(OPTIONS)
    check_finished(SCENES, work, RandomScorer(), tmp_path, OPTIONS)
    parts_folder(tmp_path, SCENES).mkdir()  # a kill left it after the records were whole
    with pytest.raises(ValueError, match="from another evaluation: scorer differ"):
        check_finished(SCENES, work, ConstantScorer(), tmp_path, OPTIONS)
    assert parts_folder(tmp_path, SCENES).exists()
    check_finished(SCENES, work, RandomScorer(), tmp_path, OPTIONS)
    assert {file.name for file in tmp_path.iterdir()} == {"scenes.json", "scenes.jsonl"}


def some_parts(out, options=OPTIONS, benchmark=SCENES):
    answer(benchmark, benchmark.open(options), RandomScorer(), out, options)
    return parts_folder(out, benchmark)


def test_parts_reach_the_disk_before_they_have_their_names(tmp_path, monkeypatch):
    synced, sync = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: synced.add(os.fstat(file).st_ino) or sync(file))
    parts = list(some_parts(tmp_path).glob("part-*"))
    assert len(parts) == 3 and {part.stat().st_ino for part in parts} <= synced


DAMAGES = {
    "empty": lambda content: b"",
    "cut in a line": lambda content: content[:-20],
    "a line less": lambda content: content[: content[:-1].rindex(b"\n") + 1],
    "a line more": lambda content: content + content.splitlines(keepends=True)[0],
    "garbage": lambda content: b"\xff\x00" * 50,
    "nested deep": lambda content: b"[" * 100_000,
    "no matches": lambda content: content.replace(b'"match"', b'"other"'),
    "another shape": lambda content: content.replace(b"[[", b"[[1.0, ").replace(b"], [", b"], [1.0, "),
    "another example": lambda content: content.replace(b'"index": 64,', b'"index": 63,'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_part_that_is_not_whole_is_asked_again(tmp_path, damage):
    run(SCENES, RandomScorer(), tmp_path / "whole", OPTIONS)
    part = some_parts(tmp_path / "damaged") / "part-00001"
    damaged = damage(part.read_bytes())
    assert damaged != part.read_bytes()
    part.write_bytes(damaged)
    work = SCENES.open(OPTIONS)
    with pytest.raises(ValueError, match="part-00001 is not whole .* again with --resume"):
        finish(SCENES, work, RandomScorer(), tmp_path / "damaged", OPTIONS, {})
    run(SCENES, RandomScorer(), tmp_path / "damaged", OPTIONS)
    assert (tmp_path / "damaged/scenes.jsonl").read_bytes() == (tmp_path / "whole/scenes.jsonl").read_bytes()


def test_an_empty_part_of_retrieval_is_asked_again(tmp_path):
    run(RETRIEVAL, RandomScorer(), tmp_path / "whole", FEW)
    part = some_parts(tmp_path / "damaged", FEW, RETRIEVAL) / "part-00001"
    part.write_bytes(b"")
    run(RETRIEVAL, RandomScorer(), tmp_path / "damaged", FEW)
    name = "scenes-retrieval.jsonl"
    assert (tmp_path / "damaged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_any_bytes_are_whole_for_work_that_cannot_tell(tmp_path):
    class Short:
        """Of one part, whose answer is a word."""

        version, notes, parts, asked = "1", (), 1, 0

        def ask(self, scorer, part):
            self.asked += 1
            return b"word"

    work = Short()
    for _ in range(2):
        answer(SCENES, work, RandomScorer(), tmp_path, OPTIONS)
    assert work.asked == 1
    (parts_folder(tmp_path, SCENES) / "part-00000").write_bytes(b"")
    answer(SCENES, work, RandomScorer(), tmp_path, OPTIONS)
    assert work.asked == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', "[" * 100_000, "\xff"])
def test_settings_that_are_broken_are_named_with_the_cure(tmp_path, content):
    folder = some_parts(tmp_path)
    (folder / "settings.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(
        ValueError,
        match=r"settings\.json .*(not JSON|expected an object).* remove .*scenes\.parts to ask all again",
    ):
        answer(SCENES, SCENES.open(OPTIONS), RandomScorer(), tmp_path, OPTIONS)


@pytest.mark.parametrize(
    "scorer",
    [None, 5, [], {}, {"fingerprint": "text"}, {"fingerprint": [[1], 2]}, {"fingerprint": [10**400]}],
)
def test_settings_without_the_scorer_are_of_another_evaluation(tmp_path, scorer):
    file = some_parts(tmp_path) / "settings.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"scorer": scorer}))
    with pytest.raises(ValueError, match="another evaluation: scorer differ"):
        answer(SCENES, SCENES.open(OPTIONS), RandomScorer(), tmp_path, OPTIONS)


def test_parts_without_settings_are_refused(tmp_path):
    (some_parts(tmp_path) / "settings.json").unlink()
    with pytest.raises(ValueError, match=r"scenes\.parts holds parts and no settings\.json"):
        answer(SCENES, SCENES.open(OPTIONS), RandomScorer(), tmp_path, OPTIONS)


def test_a_mistake_before_the_first_part_blocks_nothing(tmp_path):
    class Failing(RandomScorer):
        def match(self, captions, pictures):
            if len(captions) > 4:  # more than the fingerprint's
                raise ValueError("the template has no {caption}")
            return super().match(captions, pictures)

    with pytest.raises(ValueError, match="template"):
        answer(SCENES, SCENES.open(OPTIONS), Failing(seed=3), tmp_path, OPTIONS)
    assert (parts_folder(tmp_path, SCENES) / "settings.json").is_file()
    run(SCENES, RandomScorer(), tmp_path, OPTIONS)
    assert read_about(tmp_path, "scenes")["scorer"]["name"] == "random:0"


def test_files_that_moved_may_be_gone_on_with(tmp_path):
    def options(place):
        return Options(n=150, seed=0, data=tmp_path / place, images=(tmp_path / place,))

    some_parts(tmp_path, options("here"))
    answer(SCENES, SCENES.open(options("there")), RandomScorer(), tmp_path, options("there"))
    run(SCENES, RandomScorer(), tmp_path, options("here"))
    check_finished(SCENES, SCENES.open(options("there")), RandomScorer(), tmp_path, options("there"))
    assert str(tmp_path / "here") in read_about(tmp_path, "scenes")["options"]["data"]


@pytest.mark.parametrize("inside", ["", "a.npz"], ids=["file", "folder"])
def test_features_that_were_changed_in_between_are_refused(tmp_path, inside):
    store = tmp_path / "features"
    if inside:
        store.mkdir()
    file = store / inside
    file.write_bytes(b"one")
    options = Options(n=150, seed=0, features=store)
    work = SCENES.open(options)
    answer(SCENES, work, RandomScorer(), tmp_path / "stopped", options)
    run(SCENES, RandomScorer(), tmp_path / "finished", options)
    answer(SCENES, work, RandomScorer(), tmp_path / "stopped", options)
    check_finished(SCENES, work, RandomScorer(), tmp_path / "finished", options)
    moved = store.rename(tmp_path / "moved")
    other = Options(n=150, seed=0, features=moved)
    answer(SCENES, work, RandomScorer(), tmp_path / "stopped", other)
    (moved / inside).write_bytes(b"two")
    os.utime(moved / inside, ns=(1, 1))
    with pytest.raises(ValueError, match="another evaluation: stores differ"):
        answer(SCENES, work, RandomScorer(), tmp_path / "stopped", other)
    with pytest.raises(ValueError, match="another evaluation: stores differ"):
        check_finished(SCENES, work, RandomScorer(), tmp_path / "finished", other)


def test_other_examples_left_out_are_another_evaluation(tmp_path):
    def work(left_out):
        whole = SCENES.open(OPTIONS)
        return dataclasses.replace(
            whole, examples=[one for i, one in enumerate(whole.examples) if i != left_out]
        )

    answer(SCENES, work(3), RandomScorer(), tmp_path, OPTIONS)
    answer(SCENES, work(3), RandomScorer(), tmp_path, OPTIONS)
    with pytest.raises(ValueError, match="another evaluation: examples differ"):
        answer(SCENES, work(4), RandomScorer(), tmp_path, OPTIONS)


def command(out, *more):
    return [
        sys.executable,
        *["-m", "cacr", "eval", "scenes-start", "scenes", "--seed", "0", "--out"],
        str(out),
        *more,
    ]


def test_two_processes_share_an_evaluation(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    alone = command(tmp_path / "one", "--limit", "200")
    subprocess.run(alone, env=environment, check=True, capture_output=True)
    together = [
        sys.executable,
        *["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
    ]
    together += command(tmp_path / "two", "--limit", "200")[1:]
    done = subprocess.run(together, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "two/scenes.jsonl").read_bytes() == (tmp_path / "one/scenes.jsonl").read_bytes()


def test_what_is_left_of_another_evaluation_is_not_overwritten(tmp_path):
    run(SCENES, RandomScorer(), tmp_path, FEW)
    (tmp_path / "scenes.jsonl").unlink()
    about = (tmp_path / "scenes.json").read_bytes()
    with pytest.raises(ValueError, match="from another evaluation: scorer differ"):
        answer(SCENES, SCENES.open(FEW), RandomScorer(1), tmp_path, FEW)
    assert (tmp_path / "scenes.json").read_bytes() == about
    assert run(SCENES, RandomScorer(), tmp_path, FEW) == SCENES.measure(RandomScorer(), FEW)


def test_the_same_weights_under_another_name_are_the_same_scorer():
    one = {"name": "a/model", "weights": "x", "dtype": "float32", "fingerprint": [1.0]}
    assert same_scorer(one, one | {"name": "/home/a/model/"})
    assert not same_scorer(one, one | {"weights": "y"})
    assert not same_scorer(one, one | {"dtype": "bfloat16"})
    assert not same_scorer({"name": "random:0", "fingerprint": []}, {"name": "random:1", "fingerprint": []})
