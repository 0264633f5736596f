"""Pictures are in a page once, however often they are shown, and what has none has no number."""

from PIL import Image

from cacr.explore.page.pictures import Pictures


def test_equal_pictures_share_a_number_and_none_has_none():
    pictures = Pictures()
    red, again, blue = (Image.new("RGB", (30, 20), color) for color in ("red", "red", "blue"))
    assert [pictures.number(one) for one in (red, None, blue, again, red)] == [0, None, 1, 0, 0]
    assert len(pictures.sources) == 2
    assert pictures.bytes == sum(map(len, pictures.sources))
