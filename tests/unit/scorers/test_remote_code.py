"""Python files that come with a model are never run, whatever its configuration says."""

import json

import pytest

from cacr.scorers import open_scorer
from cacr.scorers.contrastive.loading import load_dual_encoder
from cacr.scorers.opening import scores_of

AUTO = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoProcessor")
TOKENIZER = {"AutoTokenizer": ["own.Own", None]}


@pytest.fixture
def folder(tmp_path):
    """A folder with a Python file that leaves a mark, and configurations that name it for everything."""

    def write(kind, **more):
        place = tmp_path / "model"
        place.mkdir()
        (place / "own.py").write_text(
            f"import pathlib\n\npathlib.Path({str(tmp_path / 'executed')!r}).mkdir()\n"
        )
        own = {"auto_map": dict.fromkeys(AUTO, "own.Own") | TOKENIZER}
        for name in (
            "config.json",
            "tokenizer_config.json",
            "processor_config.json",
            "preprocessor_config.json",
        ):
            (place / name).write_text(json.dumps({"model_type": kind, **own, **more}))
        return place

    yield write
    assert not (tmp_path / "executed").exists()


def test_a_kind_of_its_own_is_refused_with_a_sentence(folder):
    with pytest.raises(ValueError, match="unknown kind of model at .*model: 'own'.*never run"):
        open_scorer(str(folder("own")))


@pytest.mark.parametrize(
    "kind", ["clip", "siglip", "vilt", "blip-2", "llava", "gpt2", "uniter", "qwen2_vl", "altclip"]
)
def test_a_known_kind_is_that_of_transformers_whatever_else_it_names(folder, kind):
    place = folder(kind)
    assert scores_of(str(place))
    with pytest.raises((ValueError, FileNotFoundError, ImportError), match="model"):
        open_scorer(str(place))


def test_a_dual_encoder_of_its_own_is_refused(folder):
    with pytest.raises(ValueError, match=r"config\.json is no configuration: .*custom code"):
        load_dual_encoder(folder("own"))


@pytest.mark.parametrize("where", [{}, {"text_config": {}}, {"vision_config": {}}], ids=str)
def test_a_configuration_of_endless_layers_is_refused_at_once(folder, where):
    deep = {"num_hidden_layers": 10**9}
    with pytest.raises(
        ValueError, match=r"config\.json: num_hidden_layers is 1000000000; expected 1000 at most"
    ):
        open_scorer(str(folder("clip", **(dict.fromkeys(where, deep) or deep))))
