"""A converted OSCAR or ROSITA is measured, looked into and trained as it comes from `cacr convert`."""

import json

import pytest
import torch
from torch.testing import assert_close

from cacr.cli import main
from cacr.data.pairs import Picture
from cacr.models.loading import load_model
from cacr.regions import Regions, write_features
from cacr.scorers import RegionScorer
from cacr.scorers.looking import look_many
from cacr.training import TrainConfig, train

CAPTIONS = ["A mug in some grass.", "the zebra sits on a small table", "a woman behind the green car"]
KINDS = ["oscar", "rosita"]


@pytest.fixture(params=KINDS)
def folder(request, data, tmp_path):
    source = {"oscar": "oscar/retrieval", "rosita": "rosita/rosita_tiny.safetensors"}[request.param]
    arguments = ["convert", str(data / source), str(tmp_path / "model")]
    arguments += ["--tokenizer", str(data / request.param / "vocab.txt")]
    if request.param == "rosita":
        arguments += ["--config", str(data / "rosita" / "rosita_tiny.json")]
    assert main(arguments) == 0
    return tmp_path / "model"


@pytest.fixture
def pictures():
    g = torch.Generator().manual_seed(0)
    found = []
    for i, count in enumerate((3, 5, 2)):
        corner = torch.rand(count, 2, generator=g) / 2
        regions = Regions(
            torch.randn(count, 32, generator=g),
            torch.cat([corner, corner + 0.3], 1),
            object_names=["dog", "green street", "cat", "hat", "wall"][:count],
        )
        found.append(Picture(str(i), lambda regions=regions: regions))
    return found


@pytest.fixture
def photos(tmp_path, pictures):
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = [json.dumps({"image": f"{i}.jpg", "captions": [c]}) + "\n" for i, c in enumerate(CAPTIONS)]
    (folder / "captions.jsonl").write_text("".join(lines))
    write_features(folder / "features.safetensors", {f"{i}.jpg": p.regions for i, p in enumerate(pictures)})
    return folder


def test_a_pair_scores_the_same_alone_and_among_others(folder, pictures):
    scorer = RegionScorer.from_pretrained(folder, device="cpu")
    pairs = [(c, i) for c in range(3) for i in range(3)]
    together = scorer.match([CAPTIONS[c] for c, _ in pairs], [pictures[i] for _, i in pairs])
    for number, (c, i) in enumerate(pairs):
        inputs = scorer.processor([CAPTIONS[c]], [pictures[i].regions])
        with torch.no_grad():
            assert_close(together[number], scorer.model(**inputs).rank_scores[0, 0], rtol=0, atol=1e-5)


def test_attention_comes_with_the_words_of_the_caption_alone(folder, pictures):
    scorer = RegionScorer.from_pretrained(folder, device="cpu")
    looked = list(look_many(scorer, CAPTIONS, pictures))
    assert list(looked[0].tokens[:5]) == ["a", "mug", "in", "some", "grass"]
    assert not {"[CLS]", "[SEP]", "dog"} & {token for one in looked for token in one.tokens}
    assert [one.regions for one in looked] == [3, 5, 2]


def test_it_says_what_its_score_is(folder):
    about = RegionScorer.from_pretrained(folder, device="cpu").describe()
    assert about["score"] == "rank_scores, the logit of a match minus that of none"
    assert (about["layers"], about["region_dim"]) == (3, 32)


def test_features_of_another_detector_are_named(folder):
    scorer = RegionScorer.from_pretrained(folder, device="cpu")
    wrong = Regions(torch.zeros(1, 40), torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    with pytest.raises(ValueError, match="features of 40 numbers per region; the model .* was made for 32"):
        scorer.match(["a"], [Picture("x", lambda: wrong)])


def test_it_is_fine_tuned_and_measured_at_once(folder, photos, tmp_path):
    config = TrainConfig(
        data=str(photos),
        model=str(folder),
        out=tmp_path / "run",
        steps=2,
        batch=2,
        candidates=4,
        negatives=2,
        warmup=1,
        log_every=1,
        freeze_layers=1,
        loss="cacr",
    )
    trained = load_model(train(config))
    start = load_model(folder)
    changed = {
        name
        for (name, a), b in zip(start.state_dict().items(), trained.state_dict().values(), strict=True)
        if not torch.equal(a, b)
    }
    assert any(".layer.2.attention.self.query." in name for name in changed)
    assert not any("embeddings" in name or ".layer.0." in name for name in changed)
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["language"] > 0 and last["vision"] > 0
    arguments = ["eval", str(tmp_path / "run" / "model"), "retrieval", "--data", str(photos)]
    assert main([*arguments, "--out", str(tmp_path / "records")]) == 0
    assert any((tmp_path / "records").iterdir())
