"""Hub tables: text at once, pictures when asked for, broken ones named; parts are found as the hub lays them out."""

import io

import pytest
import torch
from PIL import Image

from cacr.benchmarks import Options
from cacr.benchmarks.picture_tables import KEPT, PictureTable, images_beside, table_files
from cacr.regions import Regions

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def png(color, size=(4, 3)):
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()


def write_table(path, columns, pictures=(), rows_in_group=2):
    """As the package datasets writes it: pictures are structs of bytes and path."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    arrays = {
        name: pa.array(values, kind) if name in pictures else pa.array(values)
        for name, values in columns.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays), path, row_group_size=rows_in_group)
    return path


def five(tmp_path, **changed):
    columns = {
        "caption": [f"caption {i}" for i in range(5)],
        "image": [{"bytes": png((i, 0, 0)), "path": f"some/{i}.png"} for i in range(5)],
    }
    return write_table(tmp_path / "test.parquet", columns | changed, ["image"])


def test_rows_are_text_and_optional_columns_may_be_absent(tmp_path):
    table = PictureTable([five(tmp_path)], ["caption"], ["image"], ["tag"])
    assert table.rows[4] == {"caption": "caption 4", "tag": None}
    assert table.stored_name(4, "image") == "4.png"


def test_each_picture_is_that_of_its_row_in_any_order(tmp_path):
    files = [five(tmp_path / "a"), five(tmp_path / "b")]
    table = PictureTable(files, ["caption"], ["image"])
    for row in (9, 0, 5, 3, 4, 8, 1, 2, 7, 6):
        assert table.image(row, "image").getpixel((0, 0)) == (row % 5, 0, 0)
    assert table.where(7) == f"{files[1]}, row 3"


def test_no_more_than_two_row_groups_are_kept(tmp_path):
    table = PictureTable([five(tmp_path)], ["caption"], ["image"])
    assert not table._kept
    for row in range(5):
        table.image(row, "image")
        assert len(table._kept) <= KEPT
    assert list(table._kept) == [2, 4]


def test_pictures_inside_a_plain_binary_column_are_read(tmp_path):
    file = write_table(tmp_path / "test.parquet", {"caption": ["a"], "image": [png((7, 8, 9))]})
    table = PictureTable([file], ["caption"], ["image"])
    assert table.image(0, "image").getpixel((0, 0)) == (7, 8, 9)
    assert table.stored_name(0, "image") is None


@pytest.mark.parametrize(
    "data, said",
    [
        (b"no picture", "no readable picture"),
        (png((1, 2, 3), (64, 64))[:90], "no readable"),
        (None, "no picture inside"),
    ],
)
def test_a_broken_picture_is_named_by_row_and_file_when_it_is_asked_for(tmp_path, data, said):
    images = [{"bytes": data if i == 3 else png((i, 0, 0)), "path": None} for i in range(5)]
    file = five(tmp_path, image=images)
    table = PictureTable([file], ["caption"], ["image"])
    assert table.image(2, "image").size == (4, 3)
    with pytest.raises(ValueError, match=rf"test.parquet, row 4 has {said}.*column image"):
        table.image(3, "image")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8)
    table = PictureTable([five(tmp_path)], ["caption"], ["image"])
    with pytest.raises(ValueError, match=r"row 1 has no readable picture.*exceeds limit"):
        table.image(0, "image")


def test_a_missing_column_is_named_beside_those_there_are(tmp_path):
    with pytest.raises(ValueError, match="no column negative_image; it has caption, image"):
        PictureTable([five(tmp_path)], ["caption"], ["image", "negative_image"])


def test_a_column_of_paths_alone_is_no_column_of_pictures(tmp_path):
    file = five(tmp_path, image=[{"path": "a.png"}] * 5)
    pq.write_table(pa.table({"caption": ["a"], "image": ["a.png"]}), file)
    with pytest.raises(ValueError, match="the column image is string; expected pictures inside"):
        PictureTable([file], ["caption"], ["image"])


def test_a_file_that_is_no_table_is_named(tmp_path):
    (tmp_path / "test.parquet").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ValueError, match="test.parquet is not a readable Parquet file"):
        PictureTable([tmp_path / "test.parquet"], ["caption"], ["image"])


def test_equal_pictures_have_equal_digests(tmp_path):
    images = [{"bytes": png((i // 2, 0, 0)), "path": None} for i in range(5)]
    digests = PictureTable([five(tmp_path, image=images)], ["caption"], ["image"]).digests("image")
    assert [digests.index(one) for one in digests] == [0, 0, 2, 2, 4]


def test_a_detector_finds_the_regions_of_pictures_inside(tmp_path):
    class Center:
        def detect(self, pictures):
            return [
                Regions(torch.full((1, 2), float(one.width)), torch.tensor([[0.0, 0, 1, 1]]))
                for one in pictures
            ]

    table = PictureTable([five(tmp_path)], ["caption"], ["image"])
    picture = table.pictures({"three": (3, "image")}, Options(detector=Center()))("three")
    assert picture.image_id == "three"
    assert picture.image.getpixel((0, 0)) == (3, 0, 0)
    assert picture.regions.features.tolist() == [[4.0, 4.0]]
    with pytest.raises(ValueError, match="no region features for picture three"):
        _ = table.pictures({"three": (3, "image")})("three").regions


@pytest.mark.parametrize(
    "names, part, found",
    [
        (["data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"], "test", [0, 1]),
        (["test-00000-of-00001-14f2e7301669b3c1.parquet", "train-00000-of-00001.parquet"], "test", [0]),
        (
            ["default/test/0000.parquet", "default/test/0001.parquet", "default/train/0000.parquet"],
            "test",
            [0, 1],
        ),
        (["train.parquet", "test.parquet"], "train", [0]),
        (["data/test-00000-of-00001.parquet", "default/test/0000.parquet"], "test", [0]),
    ],
)
def test_a_part_is_found_as_the_hub_lays_it_out(tmp_path, names, part, found):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert table_files(tmp_path, "b", "Get it.", part) == [tmp_path / names[i] for i in found]


def test_a_part_with_a_file_missing_is_refused(tmp_path):
    (tmp_path / "test-00001-of-00002.parquet").touch()
    with pytest.raises(FileNotFoundError, match="has 1 of 2 files of the part test"):
        table_files(tmp_path, "b", "Get it.", "test")
    with pytest.raises(ValueError, match="unknown part of b 'tset'. Did you mean 'test'"):
        table_files(tmp_path, "b", "Get it.", "tset")


def test_a_packed_folder_of_pictures_is_named(tmp_path):
    file = tmp_path / "list.json"
    assert images_beside(file, ["images"], Options()) == []
    (tmp_path / "images.zip").touch()
    with pytest.raises(FileNotFoundError, match="images.zip is not unpacked"):
        images_beside(file, ["images"], Options())
    assert images_beside(file, ["images"], Options(blind=True)) == []
    assert images_beside(file, ["images"], Options(images=(tmp_path,))) == []
    (tmp_path / "images").mkdir()
    assert images_beside(file, ["images"], Options()) == [tmp_path / "images"]


def test_one_file_in_place_of_a_folder_is_taken_for_the_part(tmp_path):
    file = tmp_path / "mine.parquet"
    file.touch()
    assert table_files(file, "cola", "Get it there.", "test") == [file]
