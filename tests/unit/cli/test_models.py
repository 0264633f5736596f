"""`cacr models` says what attach finds, and what it measured."""

import json

import pytest

from cacr.cli import main
from cacr.tiny_models import DUAL_ENCODERS, TINY
from cacr.tiny_models.survey import as_markdown, cost, survey


def test_every_architecture_has_a_row_and_dual_encoders_are_refused():
    rows = {one.architecture: one for one in survey()}
    assert list(rows) == [*TINY, *DUAL_ENCODERS]
    assert rows["visual_bert"].blocks == ("S_LL", "S_LV", "S_VL", "S_VV")
    assert rows["llava"].blocks == ("S_LL", "S_LV", "S_VV") and "causal" in rows["llava"].absent
    assert rows["clip"].blocks == () and "dual encoder" in rows["clip"].absent
    page = as_markdown(list(rows.values()), repetitions=0)
    assert "| llava | LlavaForConditionalGeneration | interface | S_LL S_LV S_VV |" in page
    assert "| clip | CLIPModel | refused | - |" in page


def test_costs_are_ratios_of_quartiles_and_bytes():
    (low, middle, high), memory = cost("visual_bert", repetitions=3)
    assert 0.3 < low <= middle <= high < 3
    assert 1 < memory < 1.1  # something is saved for the regularizer, and little


def test_the_command_prints_a_table_or_json(capsys, tmp_path):
    assert main(["models", "llava", "--repetitions", "0", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["architectures"]
    assert row["backends"] == ["interface"] and row["time"] is None
    assert main(["models", "vilt", "--repetitions", "2", "--out", str(tmp_path / "models.md")]) == 0
    assert "2 pairs of steps" in (tmp_path / "models.md").read_text()
    assert capsys.readouterr().out.endswith(f"The table is in {tmp_path / 'models.md'}: 1 architectures.\n")
    assert main(["models", "vilt", "--repetitions", "0"]) == 0
    told, _, page = capsys.readouterr().out.partition("\n\n")
    assert told == "vilt: S_LL S_LV S_VL S_VV"
    assert page.rstrip("\n") == as_markdown(list(survey(0, ["vilt"])), 0).rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["llavva"], "unknown architecture 'llavva'. Did you mean 'llava'"),
        (["llava", "--repetitions", "1"], "repetitions is 1; expected 0, or 2 and more"),
    ],
)
def test_a_mistake_gets_a_sentence(arguments, sentence, capsys):
    assert main(["models", *arguments]) != 0
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_a_file_that_exists_is_not_overwritten(tmp_path, capsys):
    page = tmp_path / "models.md"
    page.write_text("mine")
    assert main(["models", "llava", "--out", str(page)]) != 0
    assert page.read_text() == "mine"
    assert "exists and is not overwritten" in " ".join(capsys.readouterr().err.split())
