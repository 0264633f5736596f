"""A sample of the faults (all: ``python -m tests.faults``), and that the harness sees what it is there to see."""

import json
import signal
from random import Random

import pytest

from tests.faults.commands import COMMANDS
from tests.faults.driver import bench, check_equal, check_left, go_on
from tests.faults.fault import Miss, Trial
from tests.faults.faults import FAULTS
from tests.faults.stopping import RESUMABLE
from tests.faults.whole import belongings, broken_files, leave_belongings

TRAIN = COMMANDS["train"]


@pytest.fixture(scope="module")
def on():
    with bench() as made:
        yield made


@pytest.mark.parametrize(
    ("name", "points"), [("train", 2), ("eval", 1), ("features --convert", 2), ("convert", 2)]
)
def test_a_run_killed_where_it_changes_the_disk_goes_on_to_the_same_results(on, name, points):
    row = on.row(FAULTS["kill -9 at a change of the disk"], COMMANDS[name], points, seed=1)
    assert row.survived == row.tried == points, row.misses


def test_a_training_told_to_stop_saves_its_step_and_goes_on_to_the_same_results(on):
    whole = on.unbroken(TRAIN)
    folder = on.fresh(TRAIN, "stopped")
    before = belongings(folder, TRAIN.out)
    trial = Trial(TRAIN, folder, Random(0), whole, on.laboratory)
    lines = [i for i, change in enumerate(whole.changes[0], 1) if change == "open run/metrics.jsonl"]
    victim = trial.start(at=lines[2], action="term")  # of step 4: it ends step 5
    assert victim.ended() == [RESUMABLE], victim.said
    assert "Traceback" not in victim.said
    saved = [int(file.parent.name.split("-")[1]) for file in folder.glob("run/checkpoints/*/complete")]
    assert sorted(saved) == [3, 5]
    check_left(folder, TRAIN, before)
    go_on(trial)
    check_equal(folder, TRAIN, whole.results)


def test_of_two_runs_in_one_folder_the_second_is_refused_and_the_first_is_unharmed(on):
    row = on.row(FAULTS["two runs in one folder"], TRAIN, 1, seed=0)
    assert row.survived == 1, row.misses


@pytest.mark.slow
@pytest.mark.parametrize("before", [1, 2, 3, 4, 5])
def test_a_search_killed_while_it_draws_options_draws_the_same_ones_again(on, before):
    search = COMMANDS["sweep"]
    whole = on.unbroken(search)
    begun = next(i for i, change in enumerate(whole.changes[0]) if "trial-0001" in change)
    commits = [i for i, change in enumerate(whole.changes[0][:begun], 1) if change == "commit"]
    trial = Trial(search, on.fresh(search, f"drawing {before}"), Random(0), whole, on.laboratory)
    assert trial.start(at=commits[-before], action="kill").ended() == [-signal.SIGKILL]
    go_on(trial)
    check_equal(trial.folder, search, whole.results)


def test_results_that_differ_in_one_bit_are_a_miss(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 1, "loss": 0.25}\n')
    with pytest.raises(Miss, match=r"not equal metrics\.jsonl"):
        check_equal(tmp_path, TRAIN, {"metrics.jsonl": "another digest"})
    with pytest.raises(Miss, match=r"missing model/config\.json; not in the unbroken run metrics\.jsonl"):
        check_equal(tmp_path, TRAIN, {"model/config.json": "a digest"})


def test_half_a_file_under_a_final_name_is_seen_and_one_being_written_is_not(tmp_path):
    leave_belongings(tmp_path, "run")
    before = belongings(tmp_path, "run")
    run = tmp_path / "run"
    (run / "checkpoints" / "checkpoint-3").mkdir(parents=True)
    (run / "checkpoints" / "checkpoint-3" / "optimizer.pt").write_bytes(b"half")
    (run / ".model.somewhere.12.tmp").mkdir()
    (run / ".model.somewhere.12.tmp" / "config.json").write_text('{"hidden')
    (run / "metrics.jsonl").write_text('{"step": 1}\n{"ste')
    assert not broken_files(tmp_path, before)
    (run / "checkpoints" / "checkpoint-3" / "complete").touch()
    (run / "environment.json").write_text(json.dumps({"python": "3"})[:-1])
    assert [one.split()[0] for one in broken_files(tmp_path, before)] == [
        "run/checkpoints/checkpoint-3/optimizer.pt",
        "run/environment.json",
    ]


def test_a_users_own_file_that_is_gone_is_a_miss(tmp_path):
    leave_belongings(tmp_path, "run")
    before = belongings(tmp_path, "run")
    (tmp_path / ".run.mine.tmp").unlink()
    with pytest.raises(Miss, match=r"a user's own files have changed: \.run\.mine\.tmp"):
        check_left(tmp_path, TRAIN, before)
