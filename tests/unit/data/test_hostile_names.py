"""A picture's name, whoever wrote it, reaches nothing outside of the folder of pictures; the folder's own links do."""

import os

import pytest
from PIL import Image

from cacr.data import CaptionedPictures, NamedPictures
from cacr.data.entries import Entry, inside
from cacr.data.pictures import PictureFolder

OUT = (
    "../secret.jpg",
    "inner/../../secret.jpg",
    "..\\secret.jpg",
    "inner\\..\\..\\secret.jpg",
    "C:secret.jpg",
    "C:\\secret.jpg",
    "\\\\host\\share\\secret.jpg",
    "a.jpg\0.png",
    "..",
    "",
)


@pytest.fixture
def folder(tmp_path):
    """A folder of pictures with an inner one, and a picture beside it that no name may reach."""
    (tmp_path / "pictures" / "inner").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.jpg")
    Image.new("RGB", (6, 5)).save(tmp_path / "pictures" / "a.jpg")
    return tmp_path / "pictures"


@pytest.mark.parametrize("name", [*OUT, "absolute"])
def test_a_name_that_leads_out_is_refused_wherever_it_comes_from(folder, name):
    name = str(folder.parent / "secret.jpg") if name == "absolute" else name
    assert not inside(name)
    with pytest.raises(ValueError, match=r"t\.json names the picture .* outside of every folder"):
        NamedPictures([name], "t.json", images=folder)
    with pytest.raises(ValueError, match="outside of"):
        PictureFolder(folder, [name]).image(name)


@pytest.mark.skipif(os.name != "posix", reason="looks at what is opened by its times")
@pytest.mark.parametrize("name", ["../others/secret.jpg", "absolute"])
def test_folders_outside_are_not_even_listed(folder, name):
    others = folder.parent / "others"
    others.mkdir()
    name = str(others / "secret.jpg") if name == "absolute" else name
    os.utime(others, (1, 1))
    assert not [one for one in PictureFolder(folder, [name]).files._names if "secret" in one]
    assert others.stat().st_atime == 1


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "/".join(["x" * 200] * 50) + "/z.jpg"])
def test_a_name_too_long_for_any_file_system_is_a_missing_picture(folder, name):
    with pytest.raises(FileNotFoundError, match="no picture files"):
        NamedPictures([name], "t.json", images=folder)


def test_links_of_the_folder_are_followed(folder, tmp_path):
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "val2014").symlink_to(tmp_path)
    entries = [Entry(name, ["x"]) for name in ("link.jpg", "val2014/secret.jpg")]
    pairs = CaptionedPictures(entries, "set", images=folder)
    assert [pairs.picture(image).image.size for image in (0, 1)] == [(4, 4)] * 2


def test_a_link_to_what_is_no_file_is_a_missing_picture(folder):
    (folder / "zero.jpg").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.jpg")
    for name in ("zero.jpg", "pipe.jpg"):
        with pytest.raises(FileNotFoundError, match="no picture"):
            PictureFolder(folder, [name]).image(name)


def test_a_link_to_what_is_no_picture_says_nothing_of_it(folder, tmp_path):
    (tmp_path / "password").write_text("swordfish")
    (folder / "p.jpg").symlink_to(tmp_path / "password")
    with pytest.raises(ValueError, match=r"p\.jpg is not a readable picture") as caught:
        PictureFolder(folder, ["p.jpg"]).image("p.jpg")
    assert "swordfish" not in str(caught.value)
