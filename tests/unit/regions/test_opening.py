"""What a path holds is recognized by content, and what is nothing of it is told what is known."""

import pytest

from cacr.regions import open_features, write_features


def test_the_name_of_a_file_does_not_matter(tmp_path, make):
    write_features(tmp_path / "one.safetensors", {"a": make.some()})
    (tmp_path / "one.safetensors").rename(tmp_path / "features.bin")
    (tmp_path / "two.bin").write_text(make.bottom_up_line("a") + "\n")
    assert open_features(tmp_path / "features.bin").kind == "features file"
    assert open_features(str(tmp_path / "two.bin")).kind == "TSV of bottom-up attention"


def test_nothing_there_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="no features at .*nowhere; make them with `cacr features"):
        open_features(tmp_path / "nowhere")


def test_an_empty_folder_is_told_the_kinds(tmp_path):
    with pytest.raises(ValueError, match=r"holds no region features; expected a features file .* VinVL"):
        open_features(tmp_path)


def test_two_kinds_in_a_folder_are_not_guessed_between(tmp_path, make):
    write_features(tmp_path / "one.safetensors", {"a": make.some()})
    (tmp_path / "a.npz").write_bytes(make.npz_bytes(make.uniter_arrays()))
    with pytest.raises(ValueError, match="holds features files and npz files; name the file"):
        open_features(tmp_path)


def test_one_npz_is_not_a_store(tmp_path, make):
    (tmp_path / "a.npz").write_bytes(make.npz_bytes(make.uniter_arrays()))
    with pytest.raises(ValueError, match="is one npz file; name the folder"):
        open_features(tmp_path / "a.npz")


def test_options_where_they_choose_nothing_are_refused(tmp_path, make):
    write_features(tmp_path / "one.safetensors", {"a": make.some()})
    with pytest.raises(ValueError, match="is a features file, where threshold chooses nothing"):
        open_features(tmp_path / "one.safetensors", threshold=0.2)
    with pytest.raises(ValueError, match="where compressed chooses nothing"):
        open_features(tmp_path, compressed=True)
