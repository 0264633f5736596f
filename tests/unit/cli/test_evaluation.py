"""What `cacr eval`, `rescore` and `compare` print: tables that a machine reads, options that mean something, plots."""

import json
import shutil

import pytest
from PIL import Image

from cacr.benchmarks import BENCHMARKS
from cacr.cli import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two evaluations of two benchmarks, and one of fewer examples."""
    folder = tmp_path_factory.mktemp("runs")
    for name, model in (("one", "random:1"), ("two", "random:2")):
        assert (
            main(["eval", model, "scenes", "scenes-retrieval", "--n", "60", "--out", str(folder / name)]) == 0
        )
    assert main(["eval", "random:1", "scenes", "--n", "40", "--out", str(folder / "fewer")]) == 0
    return folder


def said(capsys, *arguments, expect=0):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == expect
    return capsys.readouterr()


def test_json_is_nothing_but_json(runs, capsys, tmp_path):
    for command in (["rescore", runs / "one", "--calibration"], ["compare", runs / "one", runs / "two"]):
        out = said(capsys, *command, "--form", "json", "--plot", tmp_path / f"{command[0]}.png").out
        assert json.loads(out)["scenes"]
    found = json.loads(said(capsys, "rescore", runs / "one", "--form", "json", "--calibration").out)
    assert {"rows", "notes", "references", "version", "calibration"} <= found["scenes"].keys()


def test_latex_is_tables_and_comments(runs, capsys):
    out = said(capsys, "compare", runs / "one", runs / "two", "--form", "latex").out
    inside = False
    for line in filter(None, out.splitlines()):
        inside = inside or line.startswith(r"\begin{tabular}")
        assert inside or line.startswith("%"), line
        inside = inside and not line.startswith(r"\end{tabular}")


def test_plots_are_pictures_and_are_refused_before_the_work(runs, capsys, tmp_path):
    said(capsys, "compare", runs / "one", runs / "two", "--plot", tmp_path / "p.png")
    for name in ("scenes", "scenes-retrieval"):
        with Image.open(tmp_path / f"p-{name}.png") as picture:
            assert min(picture.size) > 150
    again = said(capsys, "compare", runs / "one", runs / "two", "--plot", tmp_path / "p.png", expect=1)
    assert not again.out and "exists and is not overwritten" in " ".join(again.err.split())
    other = said(capsys, "rescore", runs / "fewer", "--plot", tmp_path / "p.txt", expect=1)
    assert not other.out and "expected a name that ends in" in " ".join(other.err.split())


def test_a_comparison_says_test_size_and_verdict(runs, capsys):
    out = said(capsys, "compare", runs / "one", runs / "two").out
    assert "exact McNemar" in out and "detectable points" in out and "not resolved" in out
    assert "Do the benchmarks order these 2 models alike?" in out


def test_shared_examples_are_those_of_scores_and_differences(runs, capsys):
    refused = said(capsys, "compare", runs / "one", runs / "fewer", expect=1)
    assert "--shared" in refused.err
    out = said(capsys, "compare", runs / "one", runs / "fewer", "--shared", "--form", "json").out
    found = json.loads(out)["scenes"]
    counts = {row["n"] for row in found["scores"]["rows"]} | {
        d["difference"]["n"] for d in found["differences"]
    }
    assert counts == {20}
    assert all(d["difference"]["value"] == 0 for d in found["differences"])  # the same answers


def test_other_questions_under_the_same_ids_are_refused(runs, capsys, tmp_path):
    (tmp_path / "changed").mkdir()
    lines = (runs / "one" / "scenes.jsonl").read_text().splitlines()
    record = json.loads(lines[3])
    record["captions"] = record["captions"][::-1]
    lines[3] = json.dumps(record)
    (tmp_path / "changed" / "scenes.jsonl").write_text("\n".join(lines) + "\n")
    refused = said(capsys, "compare", runs / "one", tmp_path / "changed", expect=1)
    assert "asked different things under the example" in " ".join(refused.err.split())


def test_an_evaluation_is_not_compared_with_itself(runs, capsys):
    refused = said(capsys, "compare", runs / "one", runs / "two" / ".." / "one", expect=1)
    assert "is given twice" in " ".join(refused.err.split())


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["random", "scenes", "--split", "dev"], "--split means nothing for scenes"),
        (["random", "scenes", "--data", "x"], "--data means nothing for scenes"),
        (["random", "sugarcrepe", "--data", "x", "--seed", "3"], "--seed means nothing for sugarcrepe"),
        (["random", "scenes", "--memory", "1"], "memory means nothing for random"),
        (["scenes-start", "scenes", "--score", "itm"], "unknown score"),
        (["scenes-start", "scenes", "--template", "x"], "template means nothing for"),
    ],
)
def test_options_that_mean_nothing_are_named(capsys, tmp_path, arguments, expected):
    refused = said(capsys, "eval", *arguments, "--out", tmp_path / "run", expect=1)
    assert expected in " ".join(refused.err.split())
    assert not (tmp_path / "run").exists()


def test_a_model_without_what_it_reads_is_told_before_anything_is_asked(capsys, tmp_path):
    (tmp_path / "captions.jsonl").write_text('{"image": "a.jpg", "captions": ["a dog"]}\n')
    data = ["--data", tmp_path / "swap_obj.json"]
    item = {"filename": "a.jpg", "caption": "a dog on a mat", "negative_caption": "a mat on a dog"}
    (tmp_path / "swap_obj.json").write_text(json.dumps({"0": item}))
    refused = said(capsys, "eval", "scenes-start", "sugarcrepe", *data, "--out", tmp_path / "run", expect=1)
    assert "scenes-start reads regions" in refused.err and "--features FILE" in " ".join(refused.err.split())
    assert not (tmp_path / "run").exists()
    assert main(["eval", "random", "sugarcrepe", *map(str, data), "--out", str(tmp_path / "run")]) == 0


def test_every_benchmark_is_listed_and_told(capsys):
    out = said(capsys, "benchmarks", "--json").out
    assert len(json.loads(out)) == 23
    told = " ".join(said(capsys, "benchmarks", "sugarcrepe", "vg-relation").out.split())
    assert "mean of parts" in told and "mean over ARO" in told and "obtain" in told


def test_without_names_every_benchmark_has_a_row(capsys):
    out = said(capsys, "benchmarks").out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    assert "".join(row[0] for row in rows) == "".join(BENCHMARKS)  # long names may take two lines
    assert "cacr eval MODEL NAME --data FOLDER" in " ".join(out.split())


def test_what_is_answered_is_shown_again_and_not_asked_again(capsys, tmp_path):
    command = ["eval", "random:1", "scenes", "--n", "20", "--form", "json", "--out", tmp_path / "run"]
    first = said(capsys, *command).out
    before = (tmp_path / "run" / "scenes.jsonl").stat().st_ino
    assert said(capsys, *command, "--resume").out == first
    assert (tmp_path / "run" / "scenes.jsonl").stat().st_ino == before
    command[1] = "random:2"
    assert "from another evaluation: scorer differ" in said(capsys, *command, "--resume", expect=1).err


def test_every_run_is_compared_with_the_one_that_is_named_beside_them(runs, capsys, tmp_path):
    shutil.copytree(runs / "one", tmp_path / "base")
    command = ["compare", runs / "one", runs / "two", "--form", "json", "--against"]
    found = json.loads(said(capsys, *command, tmp_path / "base").out)["scenes"]["differences"]
    assert {(one["ours"], one["theirs"]) for one in found} == {("one", "base"), ("two", "base")}
    assert {one["difference"]["value"] for one in found if one["ours"] == "one"} == {0}
    found = json.loads(said(capsys, *command, runs / "two").out)["scenes"]["differences"]
    assert {(one["ours"], one["theirs"]) for one in found} == {("one", "two")}


def test_runs_without_a_common_benchmark_are_told_what_each_has(runs, capsys, tmp_path):
    shutil.copytree(runs / "one", tmp_path / "other")
    for ending in ("json", "jsonl"):
        (tmp_path / "other" / f"scenes.{ending}").unlink()
    refused = " ".join(said(capsys, "compare", runs / "fewer", tmp_path / "other", expect=1).err.split())
    assert "no benchmark is in all of them: fewer has scenes; other has scenes-retrieval" in refused


def test_a_note_names_its_run_unless_all_have_it(runs, capsys, tmp_path):
    for name, notes in (("one", ["of both", "of one"]), ("two", ["of both"])):
        shutil.copytree(runs / name, tmp_path / name)
        about = tmp_path / name / "scenes.json"
        about.write_text(json.dumps(json.loads(about.read_text()) | {"notes": notes}))
    out = said(capsys, "compare", tmp_path / "one", tmp_path / "two", "--form", "json").out
    notes = json.loads(out)["scenes"]["scores"]["notes"]
    assert notes[:2] == ["of both", "one: of one"]


def test_runs_of_one_name_are_told_apart_by_the_folders_above(runs, capsys, tmp_path, monkeypatch):
    for name in ("one", "two"):
        shutil.copytree(runs / name, tmp_path / name / "run")
    names = lambda *folders: {
        run
        for one in json.loads(said(capsys, "compare", *folders, "--form", "json").out)["scenes"][
            "differences"
        ]
        for run in (one["ours"], one["theirs"])
    }
    assert names(tmp_path / "one" / "run", tmp_path / "two" / "run") == {"one/run", "two/run"}
    monkeypatch.chdir(tmp_path / "one" / "run")
    assert names(".", "../../two/run") == {"one/run", "two/run"}
