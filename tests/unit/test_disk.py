"""What a disk refuses is said in a sentence, however a library says it."""

import errno
import os
import pickle
import sqlite3
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from cacr._disk import NotWritten, refused, told, writing
from cacr._files import beside


def as_optuna_says(text):
    error = RuntimeError("An exception is raised during the commit.")
    error.__cause__ = sqlite3.OperationalError(text)
    return error


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), errno.ENOSPC),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), errno.EDQUOT),
        (
            SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
            errno.ENOSPC,
        ),
        (Exception("Read-only file system (os error 30)"), errno.EROFS),
        (as_optuna_says("database or disk is full"), errno.ENOSPC),
        (as_optuna_says("disk I/O error"), errno.EIO),
        (as_optuna_says("attempt to write a readonly database"), errno.EROFS),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"), errno.EIO),
    ],
)
def test_the_file_and_the_reason_are_named_whatever_the_library_says(tmp_path, error, number):
    sentence = rf"{tmp_path}/model could not be written: .+\. .+"
    with pytest.raises(NotWritten, match=sentence) as said, writing(tmp_path / "model"):
        raise error
    assert said.value.errno == number
    assert said.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a sentence about No space left on device"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "x"),
        RuntimeError("shapes do not fit"),
        PermissionError(errno.EACCES, "Permission denied", "/elsewhere/features.tsv"),
        NotWritten("said already", errno.ENOSPC),
    ],
)
def test_other_errors_pass_as_they_are(tmp_path, error):
    with pytest.raises(type(error)) as raised, writing(tmp_path / "model"):
        raise error
    assert raised.value is error


def test_room_is_said_where_room_is_lacking(tmp_path):
    sentence = r"\([\d,]+ bytes are free, 12,345 are needed\)\. Make room and give"
    with pytest.raises(NotWritten, match=sentence), writing(tmp_path / "f.safetensors", 12345):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_above_that_cannot_be_made_is_the_files_matter(tmp_path):
    model = tmp_path / "a" / "b" / "model"
    with pytest.raises(NotWritten, match=r"a/b/model could not be written: the disk"), writing(model):
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path / "a"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_torch_does_not_say_why_it_cannot_write_so_it_is_tried(tmp_path, monkeypatch, number):
    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    (tmp_path / "full").symlink_to("/dev/full")
    monkeypatch.setattr("cacr._disk.TemporaryFile", refuse)
    with pytest.raises(NotWritten, match="full could not be written") as said, writing(tmp_path / "full"):
        torch.save(torch.zeros(100_000), tmp_path / "full")
    assert said.value.errno == number


def test_sqlite_does_not_say_why_it_cannot_open_a_file_so_it_is_tried(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("cacr._disk.TemporaryFile", refuse)
    with (
        pytest.raises(NotWritten, match=r"a\.db could not be written: the disk is read-only"),
        writing(tmp_path / "a.db"),
    ):
        sqlite3.connect(tmp_path / "nowhere" / "a.db")


def test_what_nobody_made_a_sentence_of_is_told_at_the_end():
    assert told(OSError(errno.EROFS, "Read-only file system", "runs")).startswith(
        "runs could not be read or written"
    )
    assert "could not be read or written: permission is denied" in told(
        PermissionError(errno.EACCES, "Permission denied", "runs")
    )
    assert told(NotADirectoryError(errno.ENOTDIR, "Not a directory", "a.txt/b")) == "a.txt/b: not a directory"
    assert told(OSError(errno.ENOSPC, "No space left on device")).startswith(
        f"{Path.cwd()} could not be read or written"
    )
    assert told(ValueError("a sentence")) is None
    assert told(NotWritten("a sentence", errno.ENOSPC)) is None


def test_it_comes_whole_out_of_a_worker_process():
    error = pickle.loads(pickle.dumps(NotWritten("the sentence", errno.ENOSPC)))
    assert (str(error), type(error)) == ("the sentence", NotWritten)


def test_every_reason_is_an_error_of_this_system():
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
        assert refused(RuntimeError(f"torch: {os.strerror(number)}")) == number


@pytest.mark.parametrize("ending", ["tmp", "parts"])
def test_a_name_that_was_hidden_until_it_is_whole_is_not_shown(tmp_path, ending):
    hidden = beside(tmp_path / "made.safetensors", ending) / "part-0-00000.safetensors"
    with pytest.raises(NotWritten, match=rf"^{tmp_path}/made\.safetensors could not"), writing(hidden):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_the_room_is_left_out_where_the_system_does_not_say_it(tmp_path, monkeypatch):
    def unknown(folder):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("shutil.disk_usage", unknown)
    with pytest.raises(NotWritten) as said, writing(tmp_path / "model", 12_345):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "bytes" not in str(said.value) and "(" not in str(said.value).removeprefix(str(tmp_path))
    assert ". Make room and give" in str(said.value)
