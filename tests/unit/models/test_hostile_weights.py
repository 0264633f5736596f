"""Checkpoints from strangers: nothing in them is executed, and none takes more memory than a few times its size."""

import io
import json
import os
import pickle
import shutil
import tarfile
import zipfile

import pytest
import torch
from safetensors.torch import load_file

from cacr._weights import read_weights
from cacr.models.checkpoints import conversion, read_checkpoint
from cacr.models.loading import load_model, load_processor
from cacr.models.tokenizers import open_tokenizer
from cacr.scorers.contrastive import load_open_clip
from cacr.tiny_models.tokenizers import word_tokenizer

TRUNCATION = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
CODE = 'import pathlib\n\npathlib.Path("{mark}").mkdir()\n'


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def torch_file(value, zipped):
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def tar(mark):
    """The layout of torch before 0.1.10: pickles in a tar."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(Bomb(mark), protocol=2)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


BOMBS = {
    "a pickle": lambda mark: pickle.dumps(Bomb(mark)),
    "an old pickle": lambda mark: pickle.dumps(Bomb(mark), protocol=0),
    "a torch zip": lambda mark: torch_file({"model": Bomb(mark)}, True),
    "a torch file": lambda mark: torch_file({"model": Bomb(mark)}, False),
    "a tar": tar,
}


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("name", ["uniter.pt", "rosita.pkl", "pytorch_model.bin"])
def test_a_pickle_bomb_stays_unexecuted(tmp_path, kind, name):
    mark, path = tmp_path / "executed", tmp_path / name
    path.write_bytes(BOMBS[kind](mark))
    with pytest.raises(ValueError, match=rf"{name} cannot be read as a checkpoint"):
        conversion(path)
    if name == "uniter.pt":
        with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
            load_open_clip(path, quick_gelu=True, tokenizer=word_tokenizer(begin=97, end=98))
    assert not mark.exists()
    if kind != "a tar":  # the bomb is one: plain unpickling sets it off
        torch.load(io.BytesIO(path.read_bytes()), weights_only=False) if "torch" in kind else pickle.loads(
            path.read_bytes()
        )
        assert mark.exists()


@pytest.mark.parametrize("kind", ["one number everywhere", "one tensor under many names", "half, one number"])
def test_a_tensor_that_shows_few_numbers_many_times_is_refused(tmp_path, kind):
    one = torch.ones(1, dtype=torch.float16 if "half" in kind else torch.float32)
    state = {"a": one.expand(10**9)} if "number" in kind else {f"a{i}": torch.ones(1000) for i in range(1)}
    if "names" in kind:
        state = {f"a{i}": state["a0"] for i in range(5000)}
    torch.save({"state_dict": state}, tmp_path / "uniter.pt")
    with pytest.raises(ValueError, match="its tensors would take"):
        read_checkpoint(tmp_path / "uniter.pt")


def test_tied_tensors_are_read(tmp_path):
    tensor = torch.ones(1000)
    torch.save({"a": tensor, "b": tensor}, tmp_path / "uniter.pt")
    assert read_checkpoint(tmp_path / "uniter.pt").state["b"].sum() == 1000


def test_packed_members_and_arrays_of_bytes_are_refused(tmp_path):
    plain, packed = tmp_path / "plain.pt", tmp_path / "packed.pt"
    torch.save({"a": torch.zeros(1_000_000)}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, old.read(member))
    with pytest.raises(ValueError, match=r"packed\.pt cannot be read as a checkpoint \(it is a packed zip"):
        read_weights(packed)
    made = b"\x80\x02c__builtin__\nbytearray\nJ\x00\x00\x00\x40\x85R."  # bytearray(2**30)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(tmp_path / "bytes.pt", "w") as new:
        for member in old.namelist():
            new.writestr(member, made if member.endswith("data.pkl") else old.read(member))
    with pytest.raises(ValueError, match="it makes arrays of bytes"):
        read_weights(tmp_path / "bytes.pt")


@pytest.fixture
def folder(data, tmp_path):
    """A model folder of ours."""
    done = conversion(data / "uniter_tiny.pt", data / "uniter_tiny.json")
    done.model.save_pretrained(tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def changed(folder, name, **values):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_python_files_in_a_model_folder_are_never_run(folder, tmp_path):
    mark = tmp_path / "executed"
    for name in ("configuration_own.py", "modeling_own.py", "tokenization_own.py", "processing_own.py"):
        (folder / name).write_text(CODE.format(mark=mark))
    own = {
        "AutoConfig": "configuration_own.Config",
        "AutoModel": "modeling_own.Model",
        "AutoTokenizer": ["tokenization_own.Words", "tokenization_own.Words"],
        "AutoProcessor": "processing_own.Processor",
    }
    changed(folder, "config.json", auto_map=own)
    changed(folder, "tokenizer_config.json", auto_map=own, tokenizer_class="OwnTokenizer")
    load_model(folder)
    for read in (load_processor, lambda place: open_tokenizer(place, True, 1000)):
        try:
            read(folder)
        except ValueError as error:
            assert str(folder) in str(error)
    assert not mark.exists()


def test_a_configuration_of_endless_layers_is_refused_at_once(folder):
    changed(folder, "config.json", num_hidden_layers=10**9)
    with pytest.raises(ValueError, match=r"config\.json is no configuration of uniter: 1000000000 layers"):
        load_model(folder)


@pytest.mark.parametrize("name", ["initializer_range", "layer_norm_eps", "hidden_dropout_prob"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5])
def test_a_rate_that_nothing_can_be_computed_with_is_refused(data, folder, name, value):
    says = rf"{name} is {value}; expected a number from 0 to 1"
    changed(folder, "config.json", **{name: value})
    with pytest.raises(ValueError, match=rf"(?s)config\.json is no configuration of uniter: .*{says}"):
        load_model(folder)
    with pytest.raises(ValueError, match=rf"(?s)uniter_tiny\.pt is not one of UniterConfig: .*{says}"):
        conversion(
            data / "uniter_tiny.pt", json.loads((data / "uniter_tiny.json").read_text()) | {name: value}
        )


def test_a_tokenizer_that_panics_when_it_is_used_is_refused(folder):
    """A template with a special token that the file does not define."""
    tokens = json.loads((folder / "tokenizer.json").read_text())
    tokens["post_processor"]["single"].append({"SpecialToken": {"id": "[CLSS]", "type_id": 0}})
    changed(folder, "tokenizer.json", **tokens)
    for read in (load_processor, lambda place: open_tokenizer(place, True, 1000)):
        with pytest.raises(ValueError, match=rf"{folder.name} .* panics"):
            read(folder)


def test_a_tokenizer_that_cannot_encode_unknown_words_is_refused(folder):
    tokens = json.loads((folder / "tokenizer.json").read_text())
    tokens["model"]["unk_token"] = "[NONE]"
    changed(folder, "tokenizer.json", **tokens)
    for read in (load_processor, lambda place: open_tokenizer(place, True, 1000)):
        with pytest.raises(ValueError, match=rf"{folder.name} .*\[UNK\] token"):
            read(folder)


def test_trying_a_tokenizer_changes_nothing_that_is_saved(folder, tmp_path):
    changed(folder, "tokenizer.json", truncation=TRUNCATION)
    load_processor(folder).save_pretrained(tmp_path / "again")
    saved = json.loads((tmp_path / "again" / "tokenizer.json").read_text())
    assert saved == json.loads((folder / "tokenizer.json").read_text())


@pytest.mark.parametrize("value", [["uniter"], {"a": 1}, 7, None, True])
def test_a_kind_that_is_no_word_is_refused(folder, value):
    changed(folder, "config.json", model_type=value)
    with pytest.raises(ValueError, match=r"config\.json has model_type"):
        load_model(folder)


@pytest.mark.parametrize(
    "words", ["", "\0", "[PAD]\n" * 1000, "\ufeff[CLS]\n[SEP]", "[CLS]\n[SEP]\n[MASK]\n" + "x" * 10**6]
)
def test_a_vocabulary_that_fits_no_model_is_refused(tmp_path, words):
    (tmp_path / "vocab.txt").write_text(words)
    with pytest.raises(ValueError, match=r"tokenizer"):
        open_tokenizer(tmp_path / "vocab.txt", True, 100)


def test_a_shuffled_file_of_safetensors_is_refused(data, tmp_path):
    path = tmp_path / "uniter.safetensors"
    shutil.copy(data / "uniter_tiny.safetensors", path)
    assert load_file(path)
    content = bytearray(path.read_bytes())
    for header in (2**63, 10**9, 0, 5):
        path.write_bytes(header.to_bytes(8, "little") + content[8:])
        with pytest.raises(ValueError, match=r"uniter\.safetensors cannot be read as a checkpoint"):
            read_checkpoint(path)


def test_a_header_of_endless_tensors_is_refused_before_it_is_read(tmp_path):
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"{n}": entry for n in range(80_000)}).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(
        ValueError, match=r"model\.safetensors .*its header would have 5,[0-9,]+ bytes; expected"
    ):
        read_weights(file)
