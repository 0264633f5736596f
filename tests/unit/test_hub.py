"""A name of the hub is read like a folder: what is copied, what is recorded, and what is said where it fails."""

import json
import shutil
import time
from io import BytesIO
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from tests.hub import Repository
from tests.unit.benchmarks.test_bivlc import write

from cacr._hub import address, here, model_here, origin, recorded
from cacr.benchmarks import BENCHMARKS, Options
from cacr.benchmarks.bivlc import BIVLC
from cacr.data import open_captions
from cacr.data.fingerprint import describe
from cacr.data.scenes import SceneCaptions
from cacr.models.loading import load_model, load_processor
from cacr.models.shipped import shipped_model
from cacr.regions import Regions, open_features, write_features
from cacr.scorers import RegionScorer, open_scorer
from cacr.training import TrainConfig
from cacr.training.folder import data_of
from cacr.training.start import starting_model


def contents(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in Path(folder).rglob("*")
        if file.is_file()
    }


@pytest.fixture
def model(hub):
    """The name of a model on the hub: the shipped start."""
    with shipped_model() as folder:
        hub.put(
            "me/start",
            contents(folder) | {"evil.py": b"raise SystemExit", "optimizer.bin": b"", "x.pkl": b""},
        )
    return "me/start"


@pytest.fixture
def features(tmp_path):
    """The bytes of a features file of two pictures."""
    g = torch.Generator().manual_seed(0)
    regions = {
        name: Regions(torch.randn(2, 8, generator=g), torch.tensor([[0, 0, 0.5, 0.5]] * 2))
        for name in ("a.jpg", "b.jpg")
    }
    write_features(tmp_path / "own.safetensors", regions)
    return (tmp_path / "own.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("hf://me/m", "hf://me/m"),
        ("hf:/datasets/me/d/a/b.json", "hf://datasets/me/d/a/b.json"),  # as a Path has it
        (
            "hf://datasets/me/d@refs/convert/parquet/default",
            "hf://datasets/me/d@refs/convert/parquet/default",
        ),
        ("hf://models/me/m@v1", "hf://me/m@v1"),
        ("https://huggingface.co/datasets/me/d/tree/main/x", "hf://datasets/me/d@main/x"),
        ("https://hf.co/me/m", "hf://me/m"),
    ],
)
def test_addresses_are_those_of_huggingface_hub_and_of_its_pages(said, meant):
    assert str(address(said)) == meant
    parse_hf_uri = pytest.importorskip("huggingface_hub.utils._hf_uris").parse_hf_uri
    theirs = parse_hf_uri(said.replace("hf:/d", "hf://d"))
    ours = address(said)
    assert (ours.kind, ours.repo, ours.revision, ours.path) == (
        theirs.type,
        theirs.id,
        theirs.revision,
        theirs.path_in_repo,
    )


@pytest.mark.parametrize(
    "said", ["hf://m", "hf://datasets/d", "hf://datasets/me/d/../x", "hf://spaces/me/s", "hf://"]
)
def test_half_an_address_is_refused(said):
    with pytest.raises(ValueError, match="expected hf://datasets/OWNER/NAME"):
        here(said)


def test_what_lies_here_is_meant_and_not_the_hub(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("me/start").mkdir(parents=True)
    assert model_here("me/start") == Path("me/start")
    assert here("features.safetensors") == Path("features.safetensors")
    Path("hf:/datasets/me/d").mkdir(parents=True)
    assert here("hf://datasets/me/d") == Path("hf:/datasets/me/d")
    assert not hub.asked


def test_a_model_by_its_name_scores_as_from_its_folder(hub, model):
    scenes = SceneCaptions(2, 4)
    asked = (scenes.captions, [scenes.picture(i) for i in range(4)])
    with shipped_model() as folder:
        expected = RegionScorer.from_pretrained(folder).match(*asked)
    for scorer in (
        RegionScorer.from_pretrained(model),
        open_scorer(model),
        open_scorer("hf://me/start@main"),
    ):
        assert torch.equal(scorer.match(*asked), expected)
    assert torch.equal(
        load_model(model).state_dict()["uniter.embeddings.word_embeddings.weight"],
        starting_model(TrainConfig(model=model), scenes)[0].state_dict()[
            "uniter.embeddings.word_embeddings.weight"
        ],
    )
    assert type(load_processor(model)).__name__ == "UniterProcessor"
    copied = {Path(one).name for one in hub.asked if "/resolve/" in one}
    assert copied == {"config.json", "model.safetensors", *(f"{n}.json" for n in ("processor_config",))} | {
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_records_name_the_commit_that_was_read(hub, model, features):
    sha = hub.repositories["model", model].refs["main"]
    assert describe(open_scorer(model))["hub"] == f"hf://me/start@{sha}"
    data = hub.put("me/d", {"features.safetensors": features, "captions.jsonl": b"{}"}, "dataset")
    told = Options(Path("hf://datasets/me/d"), Path("hf://datasets/me/d/features.safetensors")).to_json()
    assert told == {
        "data": f"hf://datasets/me/d@{data}",
        "features": f"hf://datasets/me/d@{data}/features.safetensors",
    }
    found = data_of(TrainConfig(data="hf://datasets/me/d", model=model))
    assert found["hub"] == {
        "data": f"hf://datasets/me/d@{data}",
        "features": f"hf://datasets/me/d@{data}/features.safetensors",
        "model": f"hf://me/start@{sha}",
    }
    assert found["features"]["bytes"] == len(features)
    assert recorded(Path("hf://datasets/me/d")) == "hf://datasets/me/d"
    assert origin("/data/features.safetensors") is None


def test_a_revision_is_what_is_read(hub, features):
    first = hub.put("me/d", {"captions.jsonl": b'{"image": "a.jpg", "caption": "one"}\n'}, "dataset")
    hub.put("me/d", {"captions.jsonl": b'{"image": "a.jpg", "caption": "two"}\n', "a.jpg": b""}, "dataset")
    hub.repositories["dataset", "me/d"].commits[first]["a.jpg"] = b""
    assert open_captions(f"hf://datasets/me/d@{first}").captions == ["one"]
    assert open_captions("hf://datasets/me/d").captions == ["two"]


def test_features_and_captions_of_the_hub_are_read_like_files(hub, features):
    hub.put(
        "me/f", {"deep/features.safetensors": features, "deep/other.json": b"", "top.json": b""}, "dataset"
    )
    store = open_features("hf://datasets/me/f/deep/features.safetensors")
    assert list(store) == ["a.jpg", "b.jpg"]
    assert [Path(one).name for one in hub.asked if one.startswith("GET /datasets")] == [
        "features.safetensors"
    ]
    lines = "".join(json.dumps({"image": name, "caption": f"a {name}"}) + "\n" for name in store)
    hub.put("me/c", {"captions.jsonl": lines.encode(), "features.safetensors": features}, "dataset")
    pairs = open_captions("hf://datasets/me/c")
    assert pairs.picture(1).regions.features.shape == (2, 8)
    asked = Options(Path("hf://datasets/me/c"))
    assert BENCHMARKS["retrieval"].open(asked).pairs.captions == pairs.captions


def test_pictures_may_lie_on_the_hub(hub, tmp_path):
    png = BytesIO()
    Image.new("RGB", (2, 2), (1, 2, 3)).save(png, "png")
    commit = hub.put("me/p", {"in/a.png": png.getvalue()}, "dataset")
    (tmp_path / "captions.jsonl").write_text('{"image": "a.png", "caption": "a"}\n')
    pictures = Path("hf://datasets/me/p/in")
    asked = Options(tmp_path, images=(pictures,))
    for pairs in (BENCHMARKS["retrieval"].open(asked).pairs, open_captions(tmp_path, images=pictures)):
        assert pairs.picture(0).image.getpixel((0, 0)) == (1, 2, 3)
    assert asked.to_json()["images"] == [f"hf://datasets/me/p@{commit}/in"]


def test_a_benchmark_is_read_from_a_repository_of_the_layout_that_its_reader_knows(hub, tmp_path):
    write(tmp_path / "bivlc", 4, shards=2)
    files = contents(tmp_path / "bivlc")
    commit = hub.put("imirandam/BiVLC", files | {"README.md": b"a card"}, "dataset")
    asked = Options(Path("hf://datasets/imirandam/BiVLC"))
    work, local = BIVLC.open(asked), BIVLC.open(Options(tmp_path / "bivlc"))
    assert [one.captions for one in work.examples] == [one.captions for one in local.examples]
    assert work.version == local.version
    assert asked.to_json() == {"data": f"hf://datasets/imirandam/BiVLC@{commit}"}


def test_what_was_copied_is_read_without_a_network(hub, model, features, monkeypatch):
    hub.put("me/f", {"features.safetensors": features}, "dataset")
    before = describe(open_scorer(model)), len(open_features("hf://datasets/me/f/features.safetensors"))
    hub.broken["/revision/"] = fails
    assert (
        len(open_features("hf://datasets/me/f/features.safetensors")) == 2
    )  # out of order is as good as away
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert (
        describe(open_scorer(model)),
        len(open_features("hf://datasets/me/f/features.safetensors")),
    ) == before
    shutil.rmtree(constants.HF_HUB_CACHE)
    with pytest.raises(FileNotFoundError, match=r"HF_HUB_OFFLINE is set.*: hf download me/start$"):
        open_scorer(model)
    command = "hf download me/f features.safetensors --repo-type dataset$"
    with pytest.raises(FileNotFoundError, match=command):
        open_features("hf://datasets/me/f/features.safetensors")


def test_weights_that_are_pickles_are_not_copied_for_a_model_of_ours(hub, model):
    files = hub.repositories["model", model].files
    hub.put("me/old", {"config.json": files["config.json"], "pytorch_model.bin": b"pickle"})
    with pytest.raises(FileNotFoundError, match=r"no model\.safetensors.*Pickled weights are not taken"):
        load_model("me/old")
    assert not any("pytorch_model" in one for one in hub.asked)


def test_what_the_hub_does_not_have_is_named(hub, features):
    hub.put("me/f", {"features.safetensors": features, "code.py": b""}, "dataset")
    for said, why in {
        "hf://datasets/me/none": "the hub has no dataset me/none, or it is private",
        "hf://datasets/me/f@old": "me/f has no revision old on the hub",
        "hf://datasets/me/f/none.json": "none.json is not there",
        "hf://datasets/me/f/code.py": "nothing of it is read here",
    }.items():
        with pytest.raises(FileNotFoundError, match=why):
            here(said)
    with pytest.raises(
        FileNotFoundError, match="no model folder run/model; expected RUN/model .* no model run/model"
    ):
        open_scorer("run/model")


def test_a_gated_repository_says_where_its_terms_are(hub):
    hub.put("facebook/winoground", {"examples.jsonl": b""}, "dataset")
    hub.repositories["dataset", "facebook/winoground"].gated = True
    with pytest.raises(
        FileNotFoundError, match=f"accept its terms at {hub.url}/datasets/facebook/winoground"
    ):
        here("hf://datasets/facebook/winoground")


@pytest.mark.parametrize(
    "name", ["../../../../escaped.json", "/escaped.json", "a/../../../../../escaped.json"]
)
def test_a_file_name_that_leads_out_of_the_cache_is_refused(hub, tmp_path, name):
    hub.put("me/d", {name: b"{}", "captions.jsonl": b"{}"}, "dataset")
    with pytest.raises(ValueError, match="the hub did not give hf://datasets/me/d: Invalid filename"):
        here("hf://datasets/me/d")
    assert not list(tmp_path.rglob("escaped.json"))


def cut_off(status, headers, content):
    return status, headers | {"Content-Length": str(len(content) + 100)}, content


def fails(status, headers, content):
    return 500, {}, b"oh"


def no_json(status, headers, content):
    return status, headers, b"<html>"


@pytest.mark.parametrize(
    ("part", "answer", "error", "why"),
    [
        ("/revision/", fails, FileNotFoundError, "the hub does not answer .*500"),
        ("/revision/", no_json, ValueError, "the hub did not give hf://datasets/me/d"),
        ("/tree/", no_json, ValueError, "the hub did not give hf://datasets/me/d"),
        ("/tree/", cut_off, FileNotFoundError, "the hub did not give hf://datasets/me/d"),
        ("/revision/", lambda *_: (200, {}, b'{"id": "me/d", "sha": "../../x"}'), FileNotFoundError, "me/d"),
        ("/revision/", lambda *_: (200, {}, b"[]"), ValueError, "what the hub says of .* is not understood"),
        ("/tree/", lambda *_: (200, {}, b'[{"type": "file"}]'), ValueError, "is not understood"),
    ],
)
def test_an_answer_that_is_broken_is_a_sentence(hub, part, answer, error, why, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between tries
    hub.put("me/d", {"captions.jsonl": b"{}"}, "dataset")
    hub.broken[part] = answer
    with pytest.raises(error, match=why):
        here("hf://datasets/me/d")


def test_a_file_that_is_cut_off_is_never_under_its_name(hub, tmp_path, features, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between tries
    hub.put("me/f", {"features.safetensors": features}, "dataset")
    hub.broken["/resolve/"] = lambda status, headers, content: (
        status,
        headers | {"Content-Length": str(len(content))},
        content[:-100],
    )
    with pytest.raises(FileNotFoundError, match="the hub did not give"):
        here("hf://datasets/me/f/features.safetensors")
    assert not list((tmp_path / "cache").rglob("features.safetensors"))
    hub.broken.clear()
    assert len(open_features("hf://datasets/me/f/features.safetensors")) == 2


def test_an_empty_repository_is_no_folder_of_captions(hub):
    hub.repositories["dataset", "me/empty"] = Repository()
    with pytest.raises(FileNotFoundError, match="is not there, or nothing of it is read here"):
        open_captions("hf://datasets/me/empty")
