"""Original checkpoints are recognized by their keys and converted, or refused with a sentence."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from cacr.cli import main
from cacr.models import oscar, rosita, uniter
from cacr.models.checkpoints import conversion, read_checkpoint, recognize
from cacr.models.loading import load_model, load_processor
from cacr.models.tokenizers import open_tokenizer


@pytest.fixture
def oscar_folder(data, tmp_path):
    folder = tmp_path / "checkpoint-0132780"
    shutil.copytree(data / "oscar" / "retrieval", folder)
    shutil.copy(data / "oscar" / "vocab.txt", folder)
    (folder / "training_args.bin").write_bytes(b"a pickle")
    return folder


@pytest.fixture
def oscar_state(data):
    return torch.load(data / "oscar" / "retrieval" / "pytorch_model.bin", weights_only=True)


def changed_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_each_kind_is_recognized_by_its_keys(data, oscar_folder):
    assert recognize(read_checkpoint(data / "uniter_tiny.pt").state) == "uniter"
    assert recognize(read_checkpoint(oscar_folder).state) == "oscar"
    assert recognize(read_checkpoint(data / "rosita" / "rosita_tiny.safetensors").state) == "rosita"


def test_each_kind_becomes_its_own_model(data, oscar_folder):
    found = [
        type(conversion(path, config).model).__name__
        for path, config in (
            (data / "uniter_tiny.safetensors", data / "uniter_tiny.json"),
            (oscar_folder, None),
            (oscar_folder / "pytorch_model.bin", None),
            (data / "rosita" / "rosita_tiny.safetensors", data / "rosita" / "rosita_tiny.json"),
        )
    ]
    assert found == [
        "UniterForImageTextRetrieval",
        *["OscarForImageTextRetrieval"] * 2,
        "RositaForImageTextRetrieval",
    ]


def test_a_trained_ranking_head_is_kept(data):
    state = torch.load(data / "uniter_tiny.pt", weights_only=True)
    assert {name.split(".")[0] for name in state} == {
        "uniter",
        "itm_output",
        "rank_output",
    }  # as IAIS releases it
    done = conversion(data / "uniter_tiny.pt", data / "uniter_tiny.json")
    assert torch.equal(done.model.rank_output.weight, state["rank_output.weight"])
    assert not torch.equal(done.model.rank_output.weight, done.model.itm_output.weight[1:])
    assert done.made == () and done.left_out == ()


def test_a_missing_ranking_head_is_made_of_the_match_head_and_said(data, tmp_path):
    state = load_file(data / "uniter_tiny.safetensors")
    torch.save({name: value for name, value in state.items() if "rank_output" not in name}, tmp_path / "u.pt")
    done = conversion(tmp_path / "u.pt", data / "uniter_tiny.json")
    assert "starts as the match row" in done.made[0]
    assert_close(done.model.rank_output.weight, done.model.itm_output.weight[1:])


def test_state_dicts_by_module_are_read_beside_an_optimizer(data, tmp_path):
    flat = load_file(data / "rosita" / "rosita_tiny.safetensors")
    modules = {"epoch": 3, "net_optim": {"state": {}, "param_groups": [{"lr": 0.1}]}}
    for name, value in flat.items():
        module, rest = name.split(".", 1)
        modules.setdefault(module, {})[rest] = value
    torch.save(modules, tmp_path / "new.pkl")
    torch.save(modules, tmp_path / "old.pkl", _use_new_zipfile_serialization=False)
    for name in ("new.pkl", "old.pkl"):
        read = read_checkpoint(tmp_path / name)
        assert read.state.keys() == flat.keys()
        assert read.skipped == ("epoch", "net_optim")


def test_what_is_left_out_is_listed_by_its_own_name(oscar_folder, oscar_state):
    torch.save(oscar_state | {"bert.extra.weight": torch.zeros(2)}, oscar_folder / "pytorch_model.bin")
    assert conversion(oscar_folder).left_out == ("bert.extra.weight",)
    assert set(conversion(oscar_folder, head="base").left_out) == {
        "bert.extra.weight",
        "classifier.weight",
        "classifier.bias",
    }


def test_old_names_and_half_precision_are_translated(oscar_folder, oscar_state):
    before = conversion(oscar_folder).model
    old = {
        "module."
        + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): value
        for name, value in oscar_state.items()
    }
    torch.save(old, oscar_folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    after = conversion(oscar_folder).model
    assert all(
        torch.equal(a, b)
        for a, b in zip(before.state_dict().values(), after.state_dict().values(), strict=True)
    )
    torch.save(
        {name: value.half() for name, value in oscar_state.items()}, oscar_folder / "pytorch_model.bin"
    )
    assert conversion(oscar_folder).model.dtype == torch.float32


@pytest.mark.parametrize("says", [0, None])
def test_a_layer_norm_that_the_configuration_denies_is_asked_about(oscar_folder, says):
    changed_config(oscar_folder, use_img_layernorm=says)
    with pytest.raises(ValueError, match=r"the weights hold a bert\.LayerNorm\. Say which is right"):
        conversion(oscar_folder)
    assert conversion(oscar_folder, {"use_img_layernorm": 1}).model.config.use_region_layer_norm
    done = conversion(oscar_folder, {"use_img_layernorm": 0})
    assert done.left_out == ("bert.LayerNorm.weight", "bert.LayerNorm.bias")


def test_a_layer_norm_without_weights_is_asked_about(oscar_folder, oscar_state):
    state = {name: value for name, value in oscar_state.items() if not name.startswith("bert.LayerNorm")}
    torch.save(state, oscar_folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"the weights hold no bert\.LayerNorm"):
        conversion(oscar_folder)
    done = conversion(oscar_folder, {"use_img_layernorm": 1})
    assert "starts fresh" in done.made[0]
    assert torch.equal(done.model.oscar.region_embeddings.layer_norm.weight, torch.ones(48))
    assert not conversion(oscar_folder, {"use_img_layernorm": 0}).model.config.use_region_layer_norm


@pytest.mark.parametrize("held", [True, False])
def test_weights_without_a_configuration_say_themselves_whether_they_have_a_layer_norm(
    oscar_state, tmp_path, held
):
    state = {n: v for n, v in oscar_state.items() if held or not n.startswith("bert.LayerNorm")}
    torch.save(state, tmp_path / "pytorch_model.bin")
    done = conversion(tmp_path / "pytorch_model.bin")
    assert (done.model.config.use_region_layer_norm, done.left_out, done.made) == (held, (), ())


def test_a_classifier_of_two_layers_is_recognized(oscar_folder, oscar_state):
    state = {name: value for name, value in oscar_state.items() if not name.startswith("classifier")}
    state |= {"classifier.0.weight": torch.randn(144, 48), "classifier.0.bias": torch.randn(144)}
    state |= {"classifier.2.weight": torch.randn(1, 144), "classifier.2.bias": torch.randn(1)}
    torch.save(state, oscar_folder / "pytorch_model.bin")
    model = conversion(oscar_folder).model
    assert (model.config.classifier, model.config.classifier_scale, model.config.num_labels) == ("mlp", 3, 1)
    assert torch.equal(model.classifier[2].weight, state["classifier.2.weight"])


def test_a_match_head_starts_from_the_pretraining_head_and_it_is_said(oscar_folder, oscar_state):
    state = {name: value for name, value in oscar_state.items() if not name.startswith("classifier")}
    contrast = torch.randn(3, 48)
    state |= {"cls.seq_relationship.weight": contrast, "cls.seq_relationship.bias": torch.tensor([1.0, 2, 3])}
    torch.save(state, oscar_folder / "pytorch_model.bin")
    done = conversion(oscar_folder, head="retrieval")
    assert torch.equal(done.model.classifier.weight, contrast[[2, 0]])
    assert done.model.classifier.bias.tolist() == [3, 1]
    assert "a match is its class 0, none its last" in done.made[0]
    with pytest.raises(ValueError, match=r"lacks .* tensors of OscarForPreTraining, first cls\.predictions"):
        conversion(oscar_folder)  # what it holds is a pre-training head, without the words


def test_a_checkpoint_of_another_kind_is_named(data, oscar_folder, tmp_path):
    with pytest.raises(ValueError, match="is not a UNITER checkpoint but an OSCAR checkpoint"):
        uniter.convert_original_checkpoint(oscar_folder)
    with pytest.raises(ValueError, match="is not an OSCAR checkpoint but a UNITER checkpoint"):
        oscar.convert_original_checkpoint(data / "uniter_tiny.pt")
    with pytest.raises(ValueError, match="is not a ROSITA checkpoint but a UNITER checkpoint"):
        rosita.convert_original_checkpoint(data / "uniter_tiny.pt")
    torch.save({"bert.embeddings.word_embeddings.weight": torch.zeros(2, 2)}, tmp_path / "bert.bin")
    with pytest.raises(
        ValueError, match=r"bert\.bin: this checkpoint is a BERT without a map of region features"
    ):
        conversion(tmp_path / "bert.bin")
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "resnet.pt")
    with pytest.raises(ValueError, match=r"of no kind known here: 1 tensors, first conv\.weight"):
        conversion(tmp_path / "resnet.pt")


def test_a_head_of_questions_and_one_that_is_absent_are_named(data, oscar_folder, oscar_state, tmp_path):
    state = oscar_state | {"classifier.weight": torch.zeros(3129, 48), "classifier.bias": torch.zeros(3129)}
    torch.save(state, oscar_folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="its classifier has 3129 classes, so it answers questions"):
        conversion(oscar_folder)
    flat = load_file(data / "rosita" / "rosita_tiny.safetensors")
    torch.save({n: v for n, v in flat.items() if "mm_itm_head" not in n}, tmp_path / "vqa.pkl")
    with pytest.raises(ValueError, match="has no mm_itm_head, so it is no retrieval model"):
        conversion(tmp_path / "vqa.pkl", head="retrieval")
    assert type(conversion(tmp_path / "vqa.pkl").model).__name__ == "RositaModel"
    with pytest.raises(ValueError, match="unknown head 'retreival'. Did you mean 'retrieval'"):
        conversion(oscar_folder, head="retreival")


def test_pickles_are_refused(oscar_folder, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "boom"), "w"))

    with pytest.raises(ValueError, match="is never loaded; give the folder it lies in"):
        conversion(oscar_folder / "training_args.bin")
    for zipped in (True, False):
        torch.save({"x": Bomb()}, tmp_path / "bomb.bin", _use_new_zipfile_serialization=zipped)
        with pytest.raises(ValueError, match="never unpickled") as said:
            conversion(tmp_path / "bomb.bin")
        assert "weights_only" not in str(said.value)  # torch's own message advises to switch it off
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_broken_files_are_named(oscar_folder, oscar_state, zipped):
    path = oscar_folder / "pytorch_model.bin"
    torch.save(oscar_state, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for rest in (
        b"",
        whole[:10],
        whole[: len(whole) // 2],
        whole[:-20],
        b"version https://git-lfs.github.com",
    ):
        path.write_bytes(rest)
        with pytest.raises(ValueError, match=r"pytorch_model\.bin cannot be read as a checkpoint"):
            conversion(oscar_folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "holds list; expected a state dict"),
        ({"a": torch.zeros(1), "b": 3}, "holds a dict of Tensor, int; expected"),
        ({"a": "text"}, "holds a dict of str; expected"),
        ({1: torch.zeros(1)}, "1 is no plain tensor under a name"),
        ({"a": torch.zeros(2, 2).to_sparse()}, "'a' is no plain tensor under a name"),
    ],
)
def test_what_is_no_state_dict_is_named(content, said, tmp_path):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=said):
        conversion(tmp_path / "x.pt")


def test_a_layer_that_is_missing_is_named(oscar_folder, oscar_state):
    torch.save(
        {n: v for n, v in oscar_state.items() if ".layer.1." not in n}, oscar_folder / "pytorch_model.bin"
    )
    with pytest.raises(ValueError, match=r"holds the layers \[0, 2\]; expected all from 0 on"):
        conversion(oscar_folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_attention_heads": 7}, "multiple of the number of attention|not a multiple"),
        ({"num_attention_heads": "many"}, "is not one of OscarConfig"),
        ({"type_vocab_size": 10**15}, "the configuration wants"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named(oscar_folder, changes, said):
    with pytest.raises(ValueError, match=said):
        conversion(oscar_folder, changes)


def test_folders_without_weights_and_converted_ones_are_named(oscar_folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        conversion(tmp_path / "nothing")
    conversion(oscar_folder).model.save_pretrained(tmp_path / "ours")
    with pytest.raises(ValueError, match="is a model folder of this package already"):
        conversion(tmp_path / "ours")
    (oscar_folder / "pytorch_model.bin").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"it holds config\.json, training_args\.bin, vocab\.txt; expected"
    ):
        conversion(oscar_folder)


def test_a_folder_of_another_kind_of_model_is_named(oscar_folder):
    (oscar_folder / "model.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    with pytest.raises(
        ValueError, match=r"has model_type None \(an original checkpoint\? Run `cacr convert`"
    ):
        load_model(oscar_folder)
    changed_config(oscar_folder, model_type="bert")
    with pytest.raises(ValueError, match="has model_type 'bert'; expected one of uniter, oscar, rosita"):
        load_model(oscar_folder)


def test_the_command_says_what_it_found_and_saves_the_tokenizer_that_lies_there(
    oscar_folder, tmp_path, capsys
):
    assert main(["convert", str(oscar_folder), str(tmp_path / "ours")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Found an OSCAR checkpoint, head retrieval: 3 layers of 4 heads, 48 wide, 200 words" in said
    assert "regions of 32 + 6 numbers" in said
    processor = load_processor(tmp_path / "ours")
    assert type(processor).__name__ == "OscarProcessor"
    assert processor.max_text_length == 64  # the model has no more positions
    assert processor.tokenizer.tokenize("A MUG") == ["a", "mug"]
    assert load_model(tmp_path / "ours").config.num_hidden_layers == 3


def test_the_command_takes_a_tokenizer(data, tmp_path, capsys):
    arguments = ["convert", str(data / "rosita" / "rosita_tiny.safetensors"), str(tmp_path / "ours")]
    arguments += ["--config", str(data / "rosita" / "rosita_tiny.json")]
    assert main([*arguments, "--tokenizer", str(data / "rosita")]) == 0
    assert type(load_processor(tmp_path / "ours")).__name__ == "RositaProcessor"
    assert main([*arguments[:2], str(tmp_path / "bare"), *arguments[3:]]) == 0
    assert "--tokenizer FOLDER" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(FileNotFoundError, match=r"no tokenizer\.json in"):
        load_processor(tmp_path / "bare")


def test_a_tokenizer_that_does_not_fit_is_named(data, tmp_path):
    with pytest.raises(ValueError, match="has ids up to 199; the model has embeddings for 100 words"):
        open_tokenizer(data / "oscar", True, 100)
    with pytest.raises(FileNotFoundError, match="no tokenizer at"):
        open_tokenizer(tmp_path, True, 200)
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe\x00broken")
    with pytest.raises(ValueError, match="cannot be read as a tokenizer"):
        open_tokenizer(tmp_path, True, 200)
    (tmp_path / "vocab.txt").unlink()
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot be read as a tokenizer"):
        open_tokenizer(tmp_path, True, 200)
