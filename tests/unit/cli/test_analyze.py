"""`cacr analyze` from the shell: scenes, Flickr30k Entities, benchmarks without truth, and what it refuses."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.unit.scorers.looking.cases import SCORERS

from cacr.benchmarks import Options
from cacr.cli import main
from cacr.cli.analyze import _truth, data_of, subject
from cacr.cli.named import named_models
from cacr.data import Picture
from cacr.data.grounding import Grounded, Phrase
from cacr.data.scenes import winoground_like
from cacr.regions import Regions, write_features

N = 6


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch):
    from cacr.explore.analysis import correlations

    monkeypatch.setattr(correlations, "DRAWS", 60)


def said(capsys, *arguments, expect=0):
    capsys.readouterr()
    assert main(["analyze", *(str(argument) for argument in arguments)]) == expect
    out = capsys.readouterr()
    return " ".join((out.out + out.err).split())


def read(folder):
    return json.loads((folder / "analysis.json").read_text())


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Scenes as Winoground's files and as Flickr30k Entities, with features."""
    folder = tmp_path_factory.mktemp("drawn")
    for name in ("winoground/images", "entities/Sentences", "entities/Annotations", "entities/images"):
        (folder / name).mkdir(parents=True)
    lines, features = [], {}
    for number, one in enumerate(winoground_like(2, N)):
        row = {"id": number}
        for i in (0, 1):
            name = f"ex_{number}_img_{i}"
            row |= {f"caption_{i}": one.captions[i], f"image_{i}": name}
            one.scenes[i].image.save(folder / f"winoground/images/{name}.png")
            features[f"{name}.png"] = one.scenes[i].regions
        lines.append(json.dumps(row))
        entity(folder / "entities", 100 + number, one.scenes[0], one.claims[0])
        features[f"{100 + number}.jpg"] = one.scenes[0].regions
    (folder / "winoground/examples.jsonl").write_text("\n".join(lines))
    write_features(folder / "features.safetensors", features)
    return folder


def entity(folder, number, scene, claim):
    """A scene as people would have annotated it: chain 1 + i is thing i, with the box of its region."""
    words, chain = [], {thing.kind: 1 + i for i, thing in enumerate(scene.things)}
    for index, (word, kind) in enumerate(claim.words()):
        before = claim.words()[index - 1][1] if index else None
        after = claim.words()[index + 1][1] if index + 1 < len(claim.words()) else None
        opening = f"[/EN#{chain[kind]}/other " if kind and before != kind else ""
        words.append(f"{opening}{word}{']' if kind and after != kind else ''}")
    (folder / f"Sentences/{number}.txt").write_text(" ".join(words) + "\n")
    things = ""
    for i in range(len(scene.things)):
        boxes = [box for box, owner in zip(scene.boxes, scene.owners, strict=True) if owner == i]
        x1, y1, x2, y2 = max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
        edges = {"xmin": round(x1) + 1, "ymin": round(y1) + 1, "xmax": round(x2), "ymax": round(y2)}
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in edges.items())
        things += f"<object><name>{1 + i}</name><bndbox>{inner}</bndbox></object>"
    size = "<size><width>96</width><height>96</height><depth>3</depth></size>"
    (folder / f"Annotations/{number}.xml").write_text(f"<annotation>{size}{things}</annotation>")
    Image.new("RGB", (96, 96)).save(folder / f"images/{number}.jpg")


def test_scenes_are_measured_with_their_truth_and_models_are_compared(capsys, tmp_path):
    out = tmp_path / "out"
    told = said(capsys, "scenes-start", "again=scenes-start", "--n", N, "--layers", "1", "-1", "--out", out)
    assert "Wrote" in told and "analysis.md" in told
    found = read(out)
    assert found["data"] == f"{N} examples of scenes, version scenes-1, album 2: {2 * N} true pairs."
    assert [(one["name"], one["layers"], one["heads"]) for one in found["models"]] == [
        ("scenes-start", [1, 2], 4), ("again", [1, 2], 4),
    ]  # fmt: skip
    (argmax,) = [
        row for row in found["means"]
        if (row["arm"], row["measure"], row["layer"], row["head"]) == ("again", "argmax_lv", 1, "mean")
    ]  # fmt: skip
    assert argmax["value"] > 0.7 and argmax["n"] == 2 * N and argmax["clusters"] == N
    assert {row["value"] for row in found["differences"]} == {0}
    assert "Does the entropy of argmax indices go with the score" in (out / "analysis.md").read_text()
    assert len((out / "records.jsonl").read_text().splitlines()) == 2 * 2 * N
    refused = said(capsys, "scenes-start", "--out", out, expect=1)
    assert "is not overwritten" in refused


def test_the_numbers_are_those_of_the_scorer_and_of_the_benchmark(capsys, tmp_path):
    said(capsys, "scenes-start", "--n", N, "--seed", 3, "--heads", "mean", "--out", tmp_path / "a")
    assert main(["eval", "scenes-start", "scenes", "--n", str(N), "--out", str(tmp_path / "e")]) == 0
    records = [json.loads(line) for line in (tmp_path / "e/scenes.jsonl").read_text().splitlines()]
    by_example = {one["example"]: one["match"] for one in records}
    lines = [json.loads(line) for line in (tmp_path / "a/records.jsonl").read_text().splitlines()]
    for line in lines:
        for mine, theirs in zip(line["match"], by_example[line["example"]], strict=True):
            assert mine == pytest.approx(theirs, abs=1e-4)
        assert len(line["values"]["argmax_lv"]) == 3 and len(line["values"]["argmax_lv"][0]) == 1
        assert line["named"] == 4


def test_a_benchmark_without_truth_says_so(capsys, drawn, tmp_path):
    files = ("--data", drawn / "winoground", "--features", drawn / "features.safetensors")
    told = said(
        capsys, "scenes-start", "--pairs", "winoground", *files, "--layers", "2", "--out", tmp_path / "o"
    )
    assert "does not say which words mean which regions" in told
    found = read(tmp_path / "o")
    assert not any(row["measure"].startswith("argmax") for row in found["means"])
    assert {row["what"] for row in found["correlations"]} == {"spearman_soft", "auc_group", "biserial_group"}
    said(capsys, "scenes-start", "--n", N, "--layers", "2", "--out", tmp_path / "s")
    own = [row for row in read(tmp_path / "s")["means"] if row["measure"] == "soft_language"]
    theirs = [row for row in found["means"] if row["measure"] == "soft_language"]
    assert [row["value"] for row in own] == pytest.approx([row["value"] for row in theirs], rel=1e-3)


def test_flickr30k_entities_are_measured_with_their_boxes(capsys, drawn, tmp_path):
    features = ("--features", drawn / "features.safetensors")
    told = said(
        capsys, "scenes-start", "--pairs", drawn / "entities", *features, "--n", 5, "--out", tmp_path / "o"
    )
    assert "articles belong to its phrases" in told
    found = read(tmp_path / "o")
    assert found["data"].startswith("5 captions of 5 pictures of Flickr30k Entities")
    assert found["correlations"] == [] and found["scores"] == []
    means = {(r["measure"], r["layer"]): r for r in found["means"] if r["head"] == "mean"}
    assert means["soft_lv", 1]["value"] > means["chance_lv", 1]["value"] + 0.1
    assert (
        1 / 8 <= means["chance_lv", 1]["value"] <= 1 / 6 + 1e-9
    )  # one region a thing: its half overlaps too little
    assert means["argmax_lv", 1]["n"] == 5


def test_regions_of_entities_may_be_found_on_the_fly(drawn):
    class Found:
        """Finds the regions that the embedded world has."""

        def detect(self, pictures):
            return [winoground_like(2, 1)[0].scenes[0].regions for _ in pictures]

    options = Options(detector=Found(), images=(drawn / "entities" / "images",), n=1)
    given = data_of(str(drawn / "entities"), options)
    with pytest.raises(ValueError, match="features"):
        _ = data_of(str(drawn / "entities"), Options(images=options.images, n=1)).pairs[0].picture.regions
    assert len(given.pairs[0].picture.regions) == len(winoground_like(2, 1)[0].scenes[0].regions)


@pytest.mark.parametrize("family", ["blip", "blip2"])
def test_patches_have_a_truth_by_their_centres_and_queries_have_none(family):
    notes = []
    given = data_of("scenes", Options(n=2))
    found = subject(family, SCORERS[family].build(), given, None, "each", lambda done: None, notes)
    chance = found.values("chance_lv")[:, 0, 0]
    if family == "blip2":
        assert np.isnan(chance).all() and len(notes) == 1
        assert "4 of 4 pairs without accuracies: the positions of the image side have no place" in notes[0]
        return
    assert notes == []
    for pair, share in zip(given.pairs, chance, strict=True):
        wanted = []
        for phrase in pair.phrases:
            x1, y1, x2, y2 = phrase.boxes01[0].tolist()
            centres = [((i % 4 + 0.5) / 4, (i // 4 + 0.5) / 4) for i in range(16)]
            wanted.append(sum(x1 <= x < x2 and y1 <= y < y2 for x, y in centres) / 16)
        # each phrase has two words; things between centres have no patch, and their words do not count
        seen = [value for value in wanted if value]
        assert share == pytest.approx(sum(seen) / len(seen)) if seen else np.isnan(share)


def test_words_whose_thing_no_patch_shows_are_counted_in_a_note():
    given, notes = data_of("scenes", Options(n=2)), []
    first = given.pairs[0]
    hidden = replace(
        first.phrases[0], boxes01=torch.tensor([[0.01, 0.01, 0.02, 0.02]])
    )  # between all centres
    given.pairs[0] = replace(first, phrases=[hidden, *first.phrases[1:]])
    subject("blip", SCORERS["blip"].build(), given, None, "each", lambda done: None, notes)
    assert len(notes) == 1 and notes[0].startswith("blip: 14 of 16 words of phrases have a true region")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"size": (60, 40)}, "the model cuts pictures, so boxes of the whole picture do not fit"),
        ({"size": (40, 40)}, ""),
        ({"size": (60, 40), "cuts": False}, ""),
        ({"size": (60, 40), "looks_at": "regions"}, ""),
        (
            {"size": (40, 40), "spans": None},
            "the model changes captions, so its tokens have no place in them",
        ),
    ],
)
def test_truth_is_unknown_where_tokens_or_boxes_are_not_those_of_the_data(changes, why):
    asked = {"spans": [(0, 1), (2, 5)], "cuts": True, "looks_at": "pixels"} | changes
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    image = Image.new("RGB", asked["size"])
    picture = Picture("p", lambda: Regions(torch.zeros(1, 2), box), lambda: image)
    attended = SimpleNamespace(tokens=["a", "dog"], regions=1, spans=asked["spans"], boxes01=box)
    images = SimpleNamespace(do_center_crop=asked["cuts"])
    scorer = SimpleNamespace(looks_at=asked["looks_at"], processor=SimpleNamespace(image_processor=images))
    one = Grounded("a dog", picture, [Phrase(2, 5, box, "dog")], "e", "c")
    truth, said = _truth(attended, one, scorer, SimpleNamespace(exact=False))
    assert said == why
    assert truth.tolist() == [[False], [not why]]


def test_what_cannot_be_done_is_said_before_the_work(capsys, drawn, tmp_path):
    refused = lambda *arguments: said(capsys, *arguments, "--out", tmp_path / "no", expect=1)
    assert "looks at no picture" in refused("constant")
    assert "Did you mean 'scenes'" in refused("scenes-start", "--pairs", "scene")
    assert "Flickr30k Entities; expected the folders" in refused("scenes-start", "--pairs", tmp_path)
    assert "--features means nothing for scenes" in refused("scenes-start", "--features", drawn)
    assert "--seed means nothing for winoground" in refused(
        "scenes-start", "--pairs", "winoground", "--seed", 2
    )
    entities = ("--pairs", drawn / "entities")
    assert "--data means nothing for the folder" in refused("scenes-start", *entities, "--data", drawn)
    assert "--seed means nothing for the folder" in refused("scenes-start", *entities, "--seed", 2)
    assert "expected 1 example or more" in refused("scenes-start", "--n", 0)
    assert "layer" in refused("scenes-start", "--n", 1, "--layers", 7)
    assert "region features" in refused("scenes-start", *entities)
    assert "needs its files" in refused("scenes-start", "--pairs", "winoground")
    assert not (tmp_path / "no").exists()


def test_a_model_that_is_refused_costs_no_measuring_of_those_before_it(capsys, monkeypatch, tmp_path):
    from cacr.cli import analyze

    measured = []
    monkeypatch.setattr(analyze, "subject", lambda name, *rest: measured.append(name))
    told = said(capsys, "a=scenes-start", "b=constant", "--n", 1, "--out", tmp_path / "no", expect=1)
    assert "b: constant looks at no picture" in told and measured == []
    strangers = ("a:0=scenes-start", "a:1=scenes-start", "b:5=scenes-start")
    told = said(capsys, *strangers, "--n", 1, "--out", tmp_path / "no", expect=1)
    assert "shares no seed" in told and measured == []


def test_a_pair_is_matched_only_in_the_square_of_its_example():
    from cacr.scorers import open_scorer

    scorer, given, matched = open_scorer("scenes-start"), data_of("scenes", Options(n=3)), []
    whole = scorer.match

    def match(captions, pictures):
        matched.extend(captions)
        return whole(captions, pictures)

    scorer.match = match
    found = subject("m", scorer, given, [0], "mean", lambda done: None, [])
    assert len(matched) == 4 * 3 and found.match.shape == (3, 2, 2)


def test_help_says_which_models_may_be_given(capsys):
    told = " ".join(said(capsys, "--help").replace("│", " ").split())
    assert "with attention between text and image" in told and "that `cacr models` lists" not in told


def test_models_are_named_or_called_like_their_run(tmp_path):
    assert named_models(["a=b", "c:0=runs/x/model"]) == {"a": "b", "c:0": "runs/x/model"}
    assert named_models(["arms/CACR-seed-0/run/model"]) == {"CACR-seed-0": "arms/CACR-seed-0/run/model"}
    assert named_models(["random:1"]) == {"random-1": "random:1"}  # no arm, as nobody named one
    strange = tmp_path / "x=y"
    strange.mkdir()
    assert named_models([str(strange)]) == {"x=y": str(strange)}
    for models, match in (
        ([], "no model is given"),
        (["=x"], "names no model"),
        (["x="], "names no model"),
        (["one/m", "two/m"], "two models are called m; give them names: m-1=one/m m-2=two/m"),
    ):
        with pytest.raises(ValueError, match=match):
            named_models(models)
