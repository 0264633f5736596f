"""The file: its size, what is left out to keep it small, its policy, and what is refused."""

import base64
import hashlib
import io
import json
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.unit.explore.page.making import one_item, random_attended, soft_picture, two_by_two

from cacr.explore.page import Item, write_page
from cacr.explore.page.arrays import KINDS, fields, packed, part
from cacr.explore.page.fitting import spaced
from cacr.explore.page.pictures import data_uri

WORDS = "one two three four five six seven eight nine ten " * 3


def items_of(number, words, seen, **options):
    """Pairs with pictures of their own; the same attention in each saves time and not a byte of the page."""
    caption = " ".join(WORDS.split()[:words])
    attended, size = random_attended(caption, **options), (384, 384) if options.get("grid") else (640, 480)
    pictures = [soft_picture(index, size) for index in range(number)]
    return [
        Item(f"pair {index}", [caption], [picture], {seen: [[replace(attended, image=picture)]]})
        for index, picture in enumerate(pictures)
    ]


def meta_of(path):
    text = path.read_text("utf-8")
    return json.loads(
        re.search(r'<script type="application/json" id="meta">(.*?)</script>', text, re.DOTALL)[1]
    )


def picture_sizes(path):
    found = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]{100,})", path.read_text("utf-8"))
    return [Image.open(io.BytesIO(base64.b64decode(one))).size for one in found]


def test_twenty_pairs_of_a_base_model_take_less_than_five_megabytes(tmp_path):
    written = write_page(items_of(20, 20, "base", layers=12, heads=12, regions=36), tmp_path / "page.html")
    assert written.bytes == (tmp_path / "page.html").stat().st_size < 5_000_000
    assert written.layers["base"] == list(range(12))
    assert "12 heads" in written.left_out
    assert meta_of(written.path)["left_out"] == written.left_out


def test_twenty_pairs_of_a_large_patch_model_take_less_than_five_megabytes(tmp_path):
    items = items_of(20, 30, "large", layers=24, heads=0, grid=(24, 24))
    written = write_page(items, tmp_path / "page.html")
    assert written.bytes < 5_000_000
    assert written.layers["large"][0] == 0 and written.layers["large"][-1] == 23
    assert "of 24 layers" in written.left_out


def test_a_small_patch_page_keeps_first_and_last_layer_when_layers_must_go(tmp_path):
    items = items_of(2, 30, "large", layers=8, heads=2, grid=(24, 24))
    written = write_page(items, tmp_path / "page.html", budget_mb=0.6)
    assert written.bytes < 600_000 and written.apart["large"] == []
    kept = written.layers["large"]
    assert 2 <= len(kept) < 8 and (kept[0], kept[-1]) == (0, 7)
    assert f"{8 - len(kept)} of 8 layers" in written.left_out


def test_nothing_is_left_out_where_everything_fits(tmp_path):
    written = write_page([one_item()], tmp_path / "page.html")
    assert written.left_out == "" and written.apart == written.layers == {"one": [0, 1]}


def test_a_budget_that_is_too_small_is_refused_with_the_size_of_the_rest(tmp_path):
    with pytest.raises(ValueError, match="do not fit into 0.01 MB even with the last layer alone"):
        write_page([one_item()], tmp_path / "page.html", budget_mb=0.01)
    assert list(tmp_path.iterdir()) == []


def test_heads_are_kept_for_some_layers_where_they_do_not_fit_for_all(tmp_path):
    item = one_item(layers=6, heads=4, regions=30)
    whole = write_page([item], tmp_path / "whole.html")
    written = write_page([item], tmp_path / "page.html", budget_mb=0.85 * whole.bytes / 1e6)
    kept = written.apart["one"]
    assert written.layers["one"] == list(range(6)) and 1 <= len(kept) < 6 and kept[-1] == 5
    assert f"its 4 heads one by one in {6 - len(kept)} of 6 layers (kept: " in written.left_out


def test_pictures_are_made_smaller_before_numbers_are_left_out(tmp_path):
    items = items_of(20, 6, "one", layers=1, heads=0)
    large = write_page(items, tmp_path / "large.html")
    assert large.left_out == "" and 640 in [max(size) for size in picture_sizes(large.path)]
    pictures = sum(len(data_uri(item.images[0])) for item in items)
    small = write_page(items, tmp_path / "small.html", budget_mb=1.9 * pictures / 1e6)
    assert {max(size) for size in picture_sizes(small.path)} == {448}
    assert small.left_out == "Pictures are made smaller (448 pixels at most), to keep the file small."
    assert small.bytes < large.bytes


def test_half_a_character_in_a_caption_becomes_the_sign_for_none(tmp_path):
    attended = random_attended("a red \ud800 square")
    item = Item("\ud800", [attended.caption], [None], {"one": [[attended]]})
    path = write_page([item], tmp_path / "page.html").path
    assert meta_of(path)["items"][0]["captions"] == ["a red \ufffd square"]


def test_layers_are_spaced_evenly_with_the_first_and_the_last():
    assert spaced(range(24), 4) == [0, 8, 15, 23]
    for number in range(2, 12):
        kept = spaced(range(12), number)
        assert (kept[0], kept[-1]) == (0, 11) and len(set(kept)) == number
    assert spaced([3, 7], 5) == [3, 7]


def test_packed_numbers_come_back():
    numbers = np.array([0.5, -2.25, np.nan, 1e-5, 700.0], "<f2")
    planes = np.frombuffer(zlib.decompress(packed([numbers[:2], numbers[2:]])), np.uint8).reshape(2, -1)
    again = (planes[0].astype("<u2") << 8 | planes[1]).view("<f2")
    np.testing.assert_array_equal(again, numbers)


def test_equal_pictures_are_stored_once(tmp_path):
    text = write_page([two_by_two()], tmp_path / "page.html").path.read_text("utf-8")
    assert text.count("data:image/jpeg;base64,/9j") == 2


def test_the_policy_names_the_hashes_of_the_script_and_the_style(tmp_path):
    text = write_page([one_item()], tmp_path / "page.html").path.read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
    for tag in ("script", "style"):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_text_of_users_cannot_leave_its_place_in_the_file(tmp_path):
    hostile = "</script><script>alert(1)</script><!-- [[SCRIPT]]"
    item = one_item(caption=hostile)
    text = write_page([item], tmp_path / "page.html", title=hostile).path.read_text("utf-8")
    assert "<script>alert" not in text and "<!--" not in text
    assert meta_of(tmp_path / "page.html")["items"][0]["captions"] == [hostile]


def test_a_file_is_overwritten_only_when_asked(tmp_path):
    path = tmp_path / "deep" / "page.html"
    write_page([one_item()], path)
    with pytest.raises(FileExistsError, match="is not overwritten"):
        write_page([one_item()], path, title="other")
    assert write_page([one_item()], path, title="other", overwrite=True).path == path
    assert "<title>other</title>" in path.read_text("utf-8")
    assert [found.name for found in path.parent.iterdir()] == ["page.html"]


def test_items_that_do_not_fit_together_are_refused(tmp_path):
    path, one = tmp_path / "page.html", random_attended()
    with pytest.raises(ValueError, match="no items"):
        write_page([], path)
    with pytest.raises(ValueError, match="layers or heads of one differ"):
        write_page([one_item(), one_item(layers=3)], path)
    with pytest.raises(ValueError, match="expected the same models"):
        write_page([one_item(), one_item(model="two")], path)
    with pytest.raises(ValueError, match="match of a view of one is nan; expected a finite number"):
        one_item(match=float("nan"))
    with pytest.raises(ValueError, match="3 captions; expected a list of one or two"):
        Item("x", [one.caption] * 3, [None], {"one": [[one]] * 3})
    with pytest.raises(ValueError, match=r"expected \[2\], as views\[model\]\[caption\]\[image\]"):
        Item("x", [one.caption], [None, None], {"one": [[one]]})
    with pytest.raises(ValueError, match='is of "a red square above a blue disc" where "other" was expected'):
        Item("x", ["other"], [None], {"one": [[one]]})


def test_tiny_pictures_are_kept_pixel_by_pixel_and_large_ones_are_made_smaller():
    assert data_uri(soft_picture(0, (64, 64))).startswith("data:image/png")
    large = data_uri(soft_picture(0, (2000, 1000)))
    with Image.open(io.BytesIO(base64.b64decode(large.split(",")[1]))) as image:
        assert image.size == (640, 320) and image.format == "JPEG"


def test_attention_on_half_precision_still_gives_finite_divergences(tmp_path):
    item = one_item(sharp=30.0)
    written = write_page([item], tmp_path / "page.html")
    attended = item.views["one"][0][0]
    units, at = part(attended, 0, None), 0
    for _, rows, columns, kind in fields(attended):
        length = rows * columns * (2 if kind == "single" else 1)
        assert np.isfinite(units[at : at + length].view(KINDS[kind])).all()
        at += length
    assert written.bytes and at == len(units)
