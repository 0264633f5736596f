"""A model folder with its code opens without this package, and gives what this package gives, bit for bit."""

import json
import os
import subprocess
import sys

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification
from transformers.dynamic_module_utils import get_imports

from cacr.data.scenes import scene, tokenizer
from cacr.models.families import families
from cacr.models.loading import load_model, load_processor
from cacr.models.remote_code import write_remote_code

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 60,
    "cls_token_id": 1,
    "sep_token_id": 2,
    "mask_token_id": 3,
}
STRANGER = """
import sys, torch

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "cacr":
            raise ImportError("there is no cacr here")

sys.meta_path.insert(0, Without())
import transformers

def plain(model):
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()  # at addresses of its own, as in the other process
    return model.eval()

said = {}
for folder in sys.argv[2:]:
    asked = torch.load(f"{folder}/asked.pt", weights_only=True)
    for where in (folder, f"{folder}/again"):
        given = {"trust_remote_code": True}
        processor = transformers.AutoProcessor.from_pretrained(where, **given)
        inputs = processor(asked["captions"], [processor.regions_type(**one) for one in asked["regions"]])
        with torch.no_grad():
            names = transformers.AutoConfig.from_pretrained(where, **given).auto_map
            for name in [one for one in names if "Model" in one]:
                model = plain(getattr(transformers, name).from_pretrained(where, **given))
                said[f"{where} {name}"] = model(**inputs)[0]
                said[f"{where} {name} module"] = type(model).__module__
                if name == "AutoModelForSequenceClassification":
                    matching = model
        if where == folder:
            matching.save_pretrained(f"{folder}/again")
            processor.save_pretrained(f"{folder}/again")
assert not any(name.partition(".")[0] == "cacr" for name in sys.modules)
torch.save(said, sys.argv[1])
"""


def saved(kind, folder):
    """A tiny model of a family and its processor."""
    family = families()[kind]
    words = tokenizer()
    one = scene(0, 0)
    torch.manual_seed(0)
    sizes = SIZES | {"region_dim": one.regions.features.shape[1], "vocab_size": len(words)}
    model = family.scoring[0](family.config(**sizes))
    model.save_pretrained(folder)
    family.processor(words).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """Folder of each family, and what a process without this package said of them."""
    root = tmp_path_factory.mktemp("remote")
    folders = {kind: saved(kind, root / kind) for kind in families()}
    scenes = [scene(0, i) for i in range(3)]
    asked = {
        "captions": [one.caption for one in scenes],
        "regions": [
            {
                "features": one.regions.features,
                "boxes01": one.regions.boxes01,
                "object_names": list(one.regions.object_names or ()) or None,
            }
            for one in scenes
        ],
    }
    for folder in folders.values():
        write_remote_code(folder)
        torch.save(asked, folder / "asked.pt")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_MODULES_CACHE": str(root / "modules"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", STRANGER, str(root / "said.pt"), *map(str, folders.values())]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folders, scenes, torch.load(root / "said.pt", weights_only=True)


@pytest.mark.parametrize("kind", families())
def test_without_this_package_it_gives_the_same_to_the_bit(strangers, kind):
    folders, scenes, said = strangers
    model, folder = load_model(folders[kind]), folders[kind]
    inputs = load_processor(folder)([one.caption for one in scenes], [one.regions for one in scenes])
    with torch.no_grad():
        expected = {
            "AutoModel": model.base_model(**inputs).last_hidden_state,
            "AutoModelForSequenceClassification": model(**inputs).rank_scores,
        }
    for name, values in expected.items():
        assert said[f"{folder} {name} module"].startswith("transformers_modules.")
        assert torch.equal(said[f"{folder} {name}"], values), name


@pytest.mark.parametrize("kind", families())
def test_saved_again_without_this_package_it_still_opens(strangers, kind):
    folders, _, said = strangers
    name = f"{folders[kind]}/again AutoModelForSequenceClassification"
    assert torch.equal(said[name], said[f"{folders[kind]} AutoModelForSequenceClassification"])


@pytest.mark.parametrize("kind", families())
def test_with_this_package_its_own_classes_are_used(strangers, kind):
    folders, *_ = strangers
    model = AutoModelForSequenceClassification.from_pretrained(folders[kind], trust_remote_code=True)
    assert type(model) is families()[kind].scoring[0]
    assert type(AutoModel.from_pretrained(folders[kind])).__module__.startswith("cacr.models.")


@pytest.mark.parametrize("kind", families())
def test_the_code_needs_torch_and_transformers_and_no_more(strangers, kind):
    folders, *_ = strangers
    needed = {name for path in folders[kind].glob("*.py") for name in get_imports(path)}
    assert needed - set(sys.stdlib_module_names) == {"huggingface_hub", "torch", "transformers"}


def test_what_is_saved_elsewhere_names_no_files_that_are_not_there(strangers, tmp_path):
    folders, *_ = strangers
    load_model(folders["uniter"]).save_pretrained(tmp_path)
    load_processor(folders["uniter"]).save_pretrained(tmp_path)
    for name in ("config.json", "processor_config.json"):
        assert "auto_map" in json.loads((folders["uniter"] / name).read_text())
        assert "auto_map" not in json.loads((tmp_path / name).read_text())


def test_written_twice_it_is_the_same(tmp_path):
    saved("uniter", tmp_path)
    before = {path: path.read_bytes() for path in [*write_remote_code(tmp_path), tmp_path / "config.json"]}
    write_remote_code(tmp_path)
    assert {path: path.read_bytes() for path in before} == before


def test_a_file_of_somebody_else_is_not_overwritten_and_nothing_is_changed(tmp_path):
    saved("uniter", tmp_path)
    (tmp_path / "modeling_uniter.py").write_text("mine = 1\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"modeling_uniter\.py was not written by cacr .*move it away"):
        write_remote_code(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_each_file_says_where_it_is_from_and_its_licence(tmp_path):
    saved("oscar", tmp_path)
    for path in write_remote_code(tmp_path):
        first, second = path.read_text().splitlines()[:2]
        assert first.startswith("# Written by cacr ") and "from its cacr/" in first
        assert "MIT" in second


def test_a_folder_of_another_model_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="has model_type 'bert'"):
        write_remote_code(tmp_path)
