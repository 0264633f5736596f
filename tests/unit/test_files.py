"""Writing: whole under a final name or not there, nothing overwritten unasked, one process at a time."""

import errno
import fcntl
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cacr._disk import NotWritten
from cacr._files import (
    beside,
    may_begin,
    publish,
    remove_leftovers,
    remove_whole,
    working_in,
    write_bytes_new,
    write_bytes_whole,
    write_text_whole,
    write_whole,
)


def refusing(monkeypatch, function, number, owner=os):
    """Let a function of the system answer with an error."""

    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(owner, function, refuse)


def fill(folder):
    folder.mkdir()
    (folder / "weights").write_bytes(b"1")
    (folder / "inner").mkdir()
    (folder / "inner" / "words").write_bytes(b"2")


@pytest.fixture
def ended():
    """The number of a process that has ended."""
    code = "import os; print(os.getpid())"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def left_by(path, process):
    """What a process leaves that was killed while it wrote a path."""
    living = beside(path)
    return living.with_name(living.name.replace(f".{os.getpid()}.", f".{process}."))


@pytest.mark.parametrize("write", [write_bytes_whole, write_bytes_new])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_refused_file_is_named_and_leaves_nothing_behind(tmp_path, monkeypatch, write, number):
    refusing(monkeypatch, "fsync", number)
    with pytest.raises(
        NotWritten, match=r"table\.md could not be written: .*\. .* the same command again"
    ) as said:
        write(tmp_path / "table.md", b"new")
    assert said.value.errno == number
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_stays_as_it_was_where_the_new_one_is_refused(tmp_path, monkeypatch):
    write_text_whole(tmp_path / "table.md", "old")
    refusing(monkeypatch, "fsync", errno.ENOSPC)
    with pytest.raises(NotWritten, match=r"bytes are free, 3 are needed"):
        write_text_whole(tmp_path / "table.md", "new")
    assert (tmp_path / "table.md").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_every_file_of_a_folder_is_on_the_disk_before_the_folder_has_its_name(tmp_path, monkeypatch):
    happened, fsync, rename = [], os.fsync, os.rename

    def noted(file):
        happened.append(str(Path(f"/proc/self/fd/{file}").readlink()).rpartition(".tmp")[2])
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "rename", lambda *names: (happened.append("renamed"), rename(*names)))
    write_whole(tmp_path / "model", fill)
    end = happened.index("renamed")
    assert {"", "/weights", "/inner", "/inner/words"} <= set(happened[:end])
    assert happened[end + 1 :] == [str(tmp_path)]


@pytest.mark.parametrize("inside", [[], ["mine.txt"]])
def test_a_folder_that_appeared_meanwhile_is_not_replaced(tmp_path, inside):
    def slow(folder):
        fill(folder)
        (tmp_path / "model").mkdir()  # another process is quicker
        for name in inside:
            (tmp_path / "model" / name).touch()

    with pytest.raises(FileExistsError, match=r"model exists and is not overwritten"):
        write_whole(tmp_path / "model", slow)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    assert [file.name for file in (tmp_path / "model").iterdir()] == inside


def test_a_folder_that_appears_at_the_last_moment_is_not_replaced(tmp_path, monkeypatch):
    rename = os.rename

    def late(old, new):
        Path(new).mkdir()  # after the last look, before the rename
        (Path(new) / "mine.txt").touch()
        rename(old, new)

    monkeypatch.setattr(os, "rename", late)
    with pytest.raises(FileExistsError, match=r"model exists and is not overwritten; give another name"):
        write_whole(tmp_path / "model", fill)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    assert [file.name for file in (tmp_path / "model").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EEXIST])
def test_publishing_replaces_nothing_with_and_without_links(tmp_path, monkeypatch, number):
    (tmp_path / "page.html").write_text("mine")
    (tmp_path / "new").write_text("new")
    refusing(monkeypatch, "link", number)
    with pytest.raises(FileExistsError, match=r"page\.html exists and is not overwritten"):
        publish(tmp_path / "new", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == "mine"


def test_a_file_system_without_links_takes_new_files(tmp_path, monkeypatch):
    refusing(monkeypatch, "link", errno.EPERM)
    write_bytes_new(tmp_path / "figures" / "a.png", b"new")
    assert (tmp_path / "figures" / "a.png").read_bytes() == b"new"
    assert len(list((tmp_path / "figures").iterdir())) == 1


@pytest.mark.parametrize("write", [write_bytes_whole, write_bytes_new])
def test_the_next_writer_of_a_file_removes_what_a_killed_one_left(tmp_path, ended, write):
    path = tmp_path / "a[1].md"
    left, other = left_by(path, ended), left_by(tmp_path / "b.md", ended)
    left.touch()
    other.touch()
    write(path, b"whole")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([path.name, other.name])


def test_the_next_process_in_a_folder_removes_what_a_killed_one_left(tmp_path, ended):
    for name in ("a.md", "model"):
        left_by(tmp_path / name, ended).touch()
    for mine in (".a.mine.tmp", ".gitignore", "a.tmp", beside(tmp_path / "a").name):
        (tmp_path / mine).touch()
    with working_in(tmp_path):
        names = {file.name for file in tmp_path.iterdir()}
    assert names == {".lock", ".a.mine.tmp", ".gitignore", "a.tmp", beside(tmp_path / "a").name}


def test_what_a_living_process_of_another_user_writes_stays(tmp_path, monkeypatch, ended):
    theirs = left_by(tmp_path / "a.md", ended)
    theirs.touch()
    refusing(monkeypatch, "kill", errno.EPERM)  # how the system says that it lives and is not ours
    remove_leftovers(tmp_path)
    assert theirs.exists()
    monkeypatch.undo()
    remove_leftovers(tmp_path)
    assert not theirs.exists()


def test_a_number_that_no_process_can_have_is_left_alone(tmp_path):
    strange = left_by(tmp_path / "a.md", 10**30)
    strange.touch()
    remove_leftovers(tmp_path)
    assert strange.exists()


def test_a_folder_that_is_not_there_has_no_leftovers(tmp_path):
    remove_leftovers(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_cannot_sync_folders_takes_files_and_only_folders_are_excused(
    tmp_path, monkeypatch
):
    fsync = os.fsync

    def files_only(opened):
        if Path(f"/proc/self/fd/{opened}").is_dir():
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(opened)

    monkeypatch.setattr(os, "fsync", files_only)
    write_whole(tmp_path / "model", fill)
    assert (tmp_path / "model" / "weights").read_bytes() == b"1"
    monkeypatch.undo()
    refusing(monkeypatch, "fsync", errno.EINVAL)
    with pytest.raises(OSError, match="Invalid argument"):
        write_whole(tmp_path / "other", fill)
    assert not (tmp_path / "other").exists()


def test_what_a_killed_removal_leaves_is_a_leftover(tmp_path, monkeypatch, ended):
    fill(tmp_path / "parts")
    monkeypatch.setattr("shutil.rmtree", lambda *args, **kwargs: None)  # killed there
    remove_whole(tmp_path / "parts")
    monkeypatch.undo()
    assert not (tmp_path / "parts").exists()
    beside(tmp_path / "parts").rename(left_by(tmp_path / "parts", ended))
    remove_leftovers(tmp_path, "parts")
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_in_a_folder_is_refused(tmp_path):
    refused = pytest.raises(BlockingIOError, match="another process is at work in")
    with working_in(tmp_path), refused, working_in(tmp_path):
        pass
    with working_in(tmp_path), working_in(tmp_path, worker=1):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_no_other_process(tmp_path, monkeypatch, caplog, number):
    refusing(monkeypatch, "flock", number, fcntl)
    with caplog.at_level(logging.WARNING), working_in(tmp_path):
        pass
    assert "has no locks" in caplog.text


def test_a_lock_that_the_disk_refuses_is_said(tmp_path, monkeypatch):
    refusing(monkeypatch, "flock", errno.EIO, fcntl)
    with pytest.raises(NotWritten, match="the disk reports an error"), working_in(tmp_path):
        pass


def test_a_lock_of_a_folder_that_was_removed_meanwhile_holds_nothing(tmp_path, monkeypatch):
    folder, flock = tmp_path / "parts", fcntl.flock
    folder.mkdir()

    def late(file, how):
        remove_whole(folder)  # the other process ends its work now
        return flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(BlockingIOError, match="another process has just ended"), working_in(folder):
        pass


def test_work_may_begin_where_a_process_ended_before_it_made_anything(tmp_path, ended):
    folder = tmp_path / "run"
    assert may_begin(folder)
    folder.mkdir()
    (folder / ".lock").touch()
    left_by(folder / "settings.json", ended).touch()
    assert may_begin(folder)
    (folder / "notes.txt").touch()
    assert not may_begin(folder)
    assert not may_begin(folder / "notes.txt")
