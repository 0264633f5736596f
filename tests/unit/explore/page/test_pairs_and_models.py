"""Two captions x two pictures with their matches, and two models side by side."""

import math

import pytest
from tests.unit.explore.page.making import random_attended, soft_picture, to_three_digits, two_by_two

from cacr.explore.page import Item

MATCHES = """() => [...document.querySelectorAll(".match b")].map(cell => cell.textContent)"""
BARS = """() => [...document.querySelectorAll(".apart .bar-number")].map(number => number.textContent)"""


@pytest.mark.parametrize(
    "match, verdict",
    [
        (((2.0, 1.0), (0.5, 3.0)), ("right", "right", "right")),
        (((2.0, 1.0), (2.5, 3.0)), ("wrong", "right", "wrong")),
        (((2.0, 2.5), (0.5, 3.0)), ("right", "wrong", "wrong")),
        (((2.0, 2.0), (2.0, 2.0)), ("wrong", "wrong", "wrong")),
    ],
)
def test_matches_are_shown_with_what_is_right_in_words(opened, match, verdict):
    page = opened(two_by_two(match))
    for text, number in zip(page.evaluate(MATCHES), [x for row in match for x in row], strict=True):
        assert to_three_digits(text, number)
    said = page.locator(".verdict").inner_text().replace("✓ ", "").replace("✗ ", "")
    assert said == " · ".join(
        f"{name} {word}" for name, word in zip(("text", "image", "group"), verdict, strict=True)
    )
    picks = [" ".join(text.split()) for text in page.locator(".pick").all_inner_texts()]
    assert ("tie" in picks[0]) == (match[0][0] == match[0][1])
    if match[0][0] != match[0][1]:
        larger = int(match[0][1] > match[0][0])
        assert picks[0].startswith(f"picture {larger} larger {'✓' if larger == 0 else '✗'}")


def test_a_cell_of_the_table_shows_its_pair(opened):
    item = two_by_two()
    page = opened(item)
    page.locator('[data-pair="1-0"]').click()
    assert page.locator(".word-text").all_inner_texts() == item.captions[1].split()
    assert page.locator(".pair-line").inner_text() == (
        "caption 1 with picture 0 · layer 1, mean of 3 heads, soft · match 0.500"
    )
    page.locator(".word").nth(1).click()
    first = page.locator(".lists .value").first
    values = item.views["one"][1][0].at().lv[0, 1]
    assert int(first.get_attribute("data-index")) == int(values.argmax())
    assert to_three_digits(first.locator(".number").inner_text(), float(values.max()))


def test_all_four_pairs_are_shown_at_once_for_a_word_of_both_captions(opened):
    item = two_by_two()
    page = opened(item)
    page.locator("#all").click()
    page.locator(".four-row").nth(0).locator(".word").nth(
        1
    ).click()  # "red": word 1 of one caption, 5 of the other
    chosen = page.evaluate("[...document.querySelectorAll('.word.chosen')].map(word => word.dataset.word)")
    assert chosen == ["1", "5"]
    for c, word in ((0, 1), (1, 5)):
        for i in range(2):
            said = page.locator(f'figure[data-pair="{c}-{i}"] .top-region').inner_text()
            values = item.views["one"][c][i].at().lv[0, word]
            assert f"region {int(values.argmax())}:" in said
            assert to_three_digits(said.split()[-1], float(values.max()))
    first, second = (page.locator(".four-row").nth(c).bounding_box() for c in (0, 1))
    assert first["y"] == second["y"] and first["x"] + first["width"] < second["x"]
    assert page.locator(".pair-line").inner_text() == "one · layer 1, mean of 3 heads, soft"
    page.locator("#all").click()
    assert page.locator(".maps").count() == 1


def test_pairs_without_the_chosen_word_are_told_from_nothing_chosen(opened):
    images = [soft_picture(50), soft_picture(51)]
    captions = ["a red disc above", "a green disc below"]
    views = [[random_attended(caption, image=image) for image in images] for caption in captions]
    page = opened(Item("x", captions, images, {"one": views}), "#view=all&word=0-0-1")
    said = page.locator(".top-region")
    assert [text.split(" most at")[0] for text in said.all_inner_texts()] == [
        *["“red”"] * 2,
        *["this caption does not have the chosen word"] * 2,
    ]
    page.keyboard.press("Escape")
    assert said.all_inner_texts() == ["choose a word of a caption"] * 4


def test_matches_that_differ_never_look_equal(opened):
    page = opened(two_by_two(((2.0001, 2.0002), (0.5, 3.0))))
    assert page.evaluate(MATCHES) == ["2.0001", "2.0002", "0.50000", "3.0000"]
    assert page.locator(".pair-match").inner_text() == "2.0001"


def test_one_control_of_two_models_sets_both_to_what_an_address_says_of_the_first(opened):
    item = two_by_two(models=("start", "cacr"))
    page = opened(item, "#models=0-1&layer=0-1&head=2-mean")
    assert page.locator("output").all_inner_texts() == ["0"]
    assert page.evaluate("[STATE.layer, STATE.head]") == [[0, 0], [3, 3]]
    said = page.locator(".pane .pair-line").all_inner_texts()
    assert all("layer 0, head 2, soft" in text for text in said) and len(said) == 2


def test_without_matches_no_verdict_is_given(opened):
    page = opened(two_by_two(((None, None), (None, None))))
    assert page.evaluate(MATCHES) == ["–"] * 4
    assert page.locator(".verdict").count() == 0


def test_two_models_are_shown_one_by_one_or_side_by_side(opened):
    item = two_by_two(models=("start", "cacr"))
    page = opened(item)
    assert page.locator(".pane h2").all_inner_texts() == ["start"]
    page.locator('[data-choice="Model-1"]').click()
    assert page.locator(".pane h2").all_inner_texts() == ["cacr"]
    page.locator('[data-choice="Model-0-1"]').click()
    assert page.locator(".pane h2").all_inner_texts() == ["start", "cacr"]
    page.locator(".pane").nth(0).locator(".word").nth(5).click()
    for m, model in enumerate(item.views):
        pane, values = page.locator(".pane").nth(m), item.views[model][0][0].at().lv[0, 5]
        assert pane.locator(".word.chosen").inner_text() == "blue"
        assert to_three_digits(pane.locator(".lists .number").first.inner_text(), float(values.max()))


UNCOVERED = """() => [...document.querySelectorAll(".word, .lists .number, .map")].every((node) => {
    node.scrollIntoView({ block: "center" });
    const { left, top, width, height } = node.getBoundingClientRect();
    const there = document.elementFromPoint(left + width / 2, top + height / 2);
    return node.contains(there) || there.contains(node);
})"""


@pytest.mark.parametrize("shown", ["0", "0-1"])
def test_a_picture_that_stays_while_one_scrolls_covers_nothing(opened, shown):
    page = opened(two_by_two(models=("start", "cacr")), f"#models={shown}")
    page.set_viewport_size({"width": 1280, "height": 760})
    assert page.evaluate(UNCOVERED)


@pytest.mark.parametrize("carried", ["soft", "hard"])
def test_the_difference_of_divergences_is_the_first_less_the_second(opened, carried):
    from cacr.explore.relations import relations

    item = two_by_two(models=("start", "cacr"))
    page = opened(item, "#models=0-1")
    page.locator(f'[data-choice="Through the picture-{carried}"]').click()
    one, two = (
        getattr(relations(item.views[model][0][0].at()), f"{carried}_divergence") for model in item.views
    )
    for text, a, b in zip(page.evaluate(BARS), one.tolist(), two.tolist(), strict=True):
        said, wanted = float(text.replace("−", "-")), a - b
        assert abs(said - wanted) <= 0.501 * 10.0 ** (math.floor(math.log10(abs(wanted))) - 2) + 1e-6


def test_models_that_cut_words_differently_share_the_words_they_have_in_common(opened):
    from dataclasses import replace

    one = random_attended("a red disc above", model="one")
    two = random_attended("a r ##ed disc above", model="two", seed=5, layers=3)
    two = replace(two, caption=one.caption, spans=[(0, 1), (2, 3), (3, 5), (6, 10), (11, 16)])
    page = opened(Item("x", [one.caption], [None], {"one": [[one]], "two": [[two]]}), "#models=0-1")
    page.locator(".pane").nth(0).locator(".word").nth(2).click()
    assert page.locator(".pane").nth(1).locator(".word.chosen").inner_text() == "disc"
    assert page.locator(".layer").count() == 2  # different layers: a slider for each
    page.locator('.layer[data-model="1"]').fill("0")
    assert page.locator("output").all_inner_texts() == ["1", "0"]
    assert len(page.evaluate(BARS)) == 4
