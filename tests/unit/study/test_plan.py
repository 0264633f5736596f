"""A plan says all that is run and compared, before it is run; a mistake in it gets a sentence."""

from dataclasses import replace
from pathlib import Path

import pytest

from cacr.data.scenes import SEEDS
from cacr.losses import LOSSES
from cacr.study import StudyPlan, jobs_of, plan_path

SHORT = """
[study]
seeds = [0, 3]
steps = 40
album = 2
[starts.asked]
mask_relations = true
[[arms]]
name = "none"
loss = "none"
[[arms]]
name = "rows, asked"
loss = "cacr-rows"
steps = 120
start = "asked"
[[contrasts]]
arm = "rows, asked"
against = "none"
"""


@pytest.fixture
def packaged():
    return StudyPlan.from_toml(plan_path("congruence"))


@pytest.fixture
def short(tmp_path):
    (tmp_path / "plan.toml").write_text(SHORT)
    return StudyPlan.from_toml(tmp_path / "plan.toml")


def test_the_packaged_plan_holds_each_primary_arm_against_its_own_flat_control(packaged):
    arms = {arm.name: arm for arm in packaged.arms}
    primary = [one for one in packaged.contrasts if one.family == "primary"]
    assert len(primary) == 7
    for one in primary:
        ours, control = (packaged.recipe_of(arms[name], 0) for name in (one.arm, one.against))
        assert replace(ours, loss=control.loss) == control  # the same but for the loss
        assert arms[one.arm].start == arms[one.against].start
        assert control.loss.startswith("flat") and not ours.loss.startswith("flat")
        assert LOSSES[ours.loss].heads == LOSSES[control.loss].heads


def test_the_packaged_plan_holds_every_arm_against_none_of_the_same_steps_and_start(packaged):
    arms = {arm.name: arm for arm in packaged.arms}
    secondary = [one for one in packaged.contrasts if one.family == "secondary"]
    assert [one.arm for one in secondary] == [a.name for a in packaged.arms if a.options["loss"] != "none"]
    for one in secondary:
        ours, none = (packaged.recipe_of(arms[name], 0) for name in (one.arm, one.against))
        assert (none.loss, none.steps, arms[one.arm].start) == ("none", ours.steps, arms[one.against].start)


def test_the_packaged_plan_has_seven_seeds_on_an_album_of_its_own(packaged):
    assert packaged.seeds == tuple(range(7))
    assert packaged.album == SEEDS["study"]
    assert sorted(SEEDS.values()) == sorted(set(SEEDS.values()))
    assert (len(packaged.arms), packaged.primary) == (15, "scenes/relation/group")


def test_jobs_come_as_starts_then_seed_by_seed(short, tmp_path):
    jobs = jobs_of(short, tmp_path)
    assert [(job.arm, job.seed) for job in jobs] == [
        ("scenes-start", None),
        ("asked", None),
        ("none", 0),
        ("rows, asked", 0),
        ("none", 3),
        ("rows, asked", 3),
    ]
    assert {(job.album, job.measured) for job in jobs} == {(2, (("scenes", 800), ("scenes-retrieval", 100)))}


def test_an_arm_has_its_loss_steps_start_and_a_tenth_of_warm_up(short, tmp_path):
    jobs = jobs_of(short, tmp_path)
    none, rows = jobs[2].recipe, jobs[3].recipe
    assert (none.loss, none.steps, none.warmup, none.model, none.seed) == ("none", 40, 4, "scenes-start", 0)
    assert (rows.loss, rows.steps, rows.warmup) == ("cacr-rows", 120, 12)
    assert Path(rows.model) == jobs[1].pretrain.out == jobs[3].needs
    assert jobs[1].pretrain.mask_relations
    assert rows.batch == none.batch == 2  # the recipe's


@pytest.mark.parametrize(
    ("change", "to", "message"),
    [
        ('loss = "none"', 'loss = "nune"', "unknown loss 'nune'. Did you mean 'none'"),
        ('loss = "none"', 'lose = "none"', "arm 'none': unknown option 'lose'. Did you mean 'loss'"),
        ('loss = "none"', "loss = 3", "arm 'none': loss is 3; expected a value of type str"),
        ('loss = "none"', "seed = 3", "arm 'none': unknown option 'seed'"),
        ('start = "asked"', 'start = "askd"', "unknown start 'askd'. Did you mean 'asked'"),
        ('against = "none"', 'against = "non"', "unknown arm 'non'. Did you mean 'none'"),
        ('against = "none"', 'against = "rows, asked"', "with itself"),
        ('against = "none"', "", "expected an arm and what it is held against"),
        ("[[contrasts]]", '[[contrasts]]\nfamily = "first"', "unknown family 'first'"),
        ("[[contrasts]]", '[[contrasts]]\nagaints = "x"', "unknown option 'againts'. Did you mean 'against'"),
        ("[[contrasts]]", "[[contrast]]", "unknown table 'contrast'. Did you mean 'contrasts'"),
        ("seeds = [0, 3]", "seeds = [0, 0]", "expected different numbers"),
        ("seeds = [0, 3]", "seeds = []", "one at least"),
        ("seeds = [0, 3]", "seeds = 3", "expected a list of whole numbers"),
        ("seeds = [0, 3]", "", "gives no seeds"),
        ("steps = 40", "steps = 0", "steps is 0; expected 1 or more"),
        ("steps = 40", 'steps = "many"', "steps is 'many'; expected a value of type int"),
        (
            "steps = 40",
            'steps = 40\nprimary = "scenes/relation/grup"',
            "Did you mean 'scenes/relation/group'",
        ),
        ("mask_relations", "mask_relation", "unknown option 'mask_relation'. Did you mean 'mask_relations'"),
        ('name = "none"', 'name = "asked"', "an arm and a start are both named 'asked'"),
        ('name = "none"', 'name = "Rows asked"', "names must differ in letters or digits"),
        ('name = "none"', 'name = "--"', "an arm's name is '--'"),
        ("[study]", "[study", "is not TOML"),
        ("[starts.asked]\nmask_relations = true", "[starts]\nasked = 3", "expected the table"),
    ],
)
def test_a_mistake_gets_a_sentence(tmp_path, change, to, message):
    file = tmp_path / "plan.toml"
    assert change in SHORT
    file.write_text(SHORT.replace(change, to))
    with pytest.raises(ValueError, match=message) as said:
        StudyPlan.from_toml(file)
    assert str(file) in str(said.value)


def test_a_plan_is_found_by_name_or_path(tmp_path):
    assert plan_path("congruence").is_file()
    with pytest.raises(FileNotFoundError, match="unknown plan 'congruense'. Did you mean 'congruence'"):
        plan_path("congruense")
    with pytest.raises(FileNotFoundError, match="no plan at"):
        StudyPlan.from_toml(tmp_path / "none.toml")
