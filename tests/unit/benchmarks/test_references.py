"""Published scores are valid, carry their source, and stand beside nothing that they were not measured on."""

import math

import pytest

from cacr.benchmarks.references import METRICS, all_references, read_references, references_for
from cacr.benchmarks.sugarcrepe import PARTS
from cacr.benchmarks.vsr import SPLITS

# fmt: off
BENCHMARKS = (
    "winoground", "sugarcrepe", "sugarcrepe++", "bivlc", "vg-relation", "vg-attribution",
    "coco-order", "flickr30k-order", "valse", "vsr", "cola", "naturalbench", "mmvp-vlm",
    "colorswap", "eqben-mini", "whatsup", "flickr30k", "coco-5k", "coco-1k", "aro",
)
# fmt: on
DIRECTIONS = {"image to caption", "caption to image"}
GROUPS = {"sugarcrepe": set(PARTS), "vsr": set(SPLITS), "flickr30k": DIRECTIONS, "coco-5k": DIRECTIONS}
"""Benchmark -> groups of its own tables or splits, beside all."""


def score(benchmark, model, metric, group="all", source=""):
    (found,) = (
        one for one in references_for(benchmark, group, metric) if one.model == model and source in one.source
    )
    return found


@pytest.mark.parametrize("one", all_references(), ids=lambda one: f"{one.benchmark} {one.model} {one.metric}")
def test_every_score_names_its_benchmark_metric_group_and_source(one):
    assert one.benchmark in BENCHMARKS
    assert one.metric in METRICS
    assert one.group in {"all", "mean of parts", *GROUPS.get(one.benchmark, ())}
    assert one.source
    assert 0 < one.value < 1


def test_the_two_tables_of_the_paper_that_differ_are_both_there_and_say_so():
    first = score("winoground", "UNITER-large", "group", source="Table 1")
    second = score("winoground", "UNITER-large", "group", source="Table 2")
    assert (first.value, second.value) == (0.105, 0.1375)
    assert "say which one" in first.note
    assert "say which one" in second.note


@pytest.mark.parametrize(
    ("model", "table", "text", "image", "group"),
    [
        ("CACR-base", "Table 2", 0.3925, 0.1775, 0.1425),
        ("IAIS-base", "Table 2", 0.375, 0.1675, 0.13),
        ("UNITER-base", "Table 2", 0.3275, 0.1175, 0.085),
        ("IAIS-large", "Table 1", 0.425, 0.1975, 0.16),
        ("LXMERT", "Table 1", 0.1925, 0.07, 0.04),
        ("MTurk human", "Table 1", 0.895, 0.885, 0.855),
    ],
)
def test_the_papers_winoground_scores(model, table, text, image, group):
    found = [score("winoground", model, metric, source=table).value for metric in ("text", "image", "group")]
    assert found == [text, image, group]


def test_the_papers_retrieval_is_by_direction():
    assert score("flickr30k", "CACR-base", "R@1", "caption to image").value == 0.7088
    assert score("flickr30k", "CACR-base", "R@1", "image to caption").value == 0.835


def test_scores_of_another_split_of_vsr_have_its_name():
    assert score("vsr", "LXMERT", "accuracy").value == 0.612
    assert score("vsr", "LXMERT", "accuracy", "random/test").value == 0.701


def test_n_gives_wilsons_interval_and_no_n_gives_none():
    cacr = score("winoground", "CACR-base", "group").estimate
    assert (cacr.n, cacr.low, cacr.high) == (
        400,
        pytest.approx(0.112, abs=5e-4),
        pytest.approx(0.180, abs=5e-4),
    )
    assert score("sugarcrepe", "NegCLIP", "accuracy", "swap_obj").n == 245
    unknown = score("colorswap", "BLIP-ITM", "group")
    assert unknown.n is None
    assert math.isnan(unknown.estimate.low)


def test_an_average_of_parts_is_beside_no_group_of_ones_own():
    assert references_for("sugarcrepe", "all", "accuracy") == []
    assert references_for("sugarcrepe", "mean of parts", "accuracy")


def test_the_best_comes_first():
    values = [one.value for one in references_for("winoground", "all", "group")]
    assert values == sorted(values, reverse=True)
    assert references_for("no-such-benchmark") == []


ENTRY = '[[published]]\nbenchmark = "vsr"\nmodel = "m"\nsource = "s"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ENTRY + "scores = { accuracy = 61.2 }", "accuracy is 61.2; expected a fraction"),
        (ENTRY + "scores = { acuracy = 0.6 }", "unknown metric 'acuracy'. Did you mean 'accuracy'"),
        (
            ENTRY + "scores = { accuracy = 0.6 }\nnotes = ''",
            "unknown key of reference 1 'notes'. Did you mean 'note'",
        ),
        (
            ENTRY.replace("vsr", "vrs") + "scores = { accuracy = 0.6 }",
            "unknown benchmark 'vrs'. Did you mean 'vsr'",
        ),
        (ENTRY.replace('source = "s"\n', "") + "scores = { accuracy = 0.6 }", "reference 1 has no source"),
        (2 * (ENTRY + "scores = { accuracy = 0.6 }\n"), "vsr / all / accuracy / m / s comes twice"),
        (ENTRY + "n = 1.5\nscores = { accuracy = 0.6 }", "n is 1.5; expected a number of examples"),
        ("[size]", "unknown part of the references 'size'. Did you mean 'sizes'"),
        ("[sizes]\nvsr = 9", "the sizes of vsr are 9"),
        (ENTRY + "scores = 0.5", "the scores of reference 1 are 0.5"),
        ("scores =", "the references are no TOML"),
    ],
)
def test_a_wrong_entry_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        read_references(text)
