"""What a hand does with the page: clicks and the focus outlive a change of what is shown; nothing is cut off."""

import re
import time

import pytest
from tests.unit.explore.page.making import one_item, random_attended, two_by_two

from cacr.explore.page import Item, write_page

CHOSEN = "() => document.querySelector('.word.chosen')?.innerText ?? null"
FOCUSED = """() => { const node = document.activeElement;
    return [node.tagName, node.className, node.dataset.index]; }"""
FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
CUT = """() => [...document.querySelectorAll(".scroll")].map(box => box.scrollWidth - box.clientWidth)"""
TOPS = """() => [...document.querySelectorAll(".maps .row-label")].map(label =>
    label.getBoundingClientRect().top + label.getBoundingClientRect().height / 2)"""


def middle(node):
    box = node.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def line(page, which, k):
    return page.locator(".lists .card").nth(which).locator(".value:visible").nth(k)


def test_a_click_on_a_list_after_one_on_a_word_is_not_lost(opened):
    page = opened(one_item())
    page.mouse.click(*middle(page.locator(".word").nth(1)))
    wanted = line(page, 0, 2).get_attribute("data-index")
    page.mouse.move(*middle(line(page, 0, 2)))
    page.mouse.down()
    page.mouse.up()
    assert f"region {wanted} attends" in page.locator(".lists h3").nth(1).inner_text()
    word = line(page, 1, 1).locator(".name").inner_text()
    page.mouse.click(*middle(line(page, 1, 1)))
    assert page.evaluate(CHOSEN) == word


def test_a_tap_on_a_list_after_one_on_a_word_is_not_lost(touched):
    page = touched([one_item()])
    page.locator(".word").nth(1).tap()
    wanted = line(page, 0, 1).get_attribute("data-index")
    line(page, 0, 1).tap()
    assert f"region {wanted} attends" in page.locator(".lists h3").nth(1).inner_text()


def test_keys_go_from_a_word_into_its_list_and_stay_there(opened):
    page = opened(one_item())
    page.keyboard.press("Escape")  # no word is kept: the list is that of the word in focus
    page.locator(".word").nth(0).focus()
    page.keyboard.press("ArrowRight")
    wanted = line(page, 0, 0).get_attribute("data-index")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == ["BUTTON", "value", wanted]
    assert page.evaluate(CHOSEN) == "red"
    page.keyboard.press("Enter")
    assert page.evaluate(FOCUSED) == ["BUTTON", "value", wanted]
    assert f"region {wanted} attends" in page.locator(".lists h3").nth(1).inner_text()


def test_the_focus_outlives_a_change_of_the_window_and_of_the_item(opened):
    page = opened([one_item(), one_item(seed=2)])
    for node in (page.locator(".word").nth(2), page.locator('.hit[data-region="2"]'), page.locator(".layer")):
        node.focus()
        page.set_viewport_size({"width": 1000, "height": 900})
        page.evaluate(FRAMES)
        assert page.evaluate("WIDTH") < 1000
        assert node.evaluate("node => node === document.activeElement")
        page.set_viewport_size({"width": 1280, "height": 900})
        page.evaluate(FRAMES)
        assert page.evaluate("WIDTH") > 1000
        assert node.evaluate("node => node === document.activeElement")
    page.locator(".word").nth(2).focus()
    page.keyboard.press("PageDown")
    assert page.locator(".word").nth(2).evaluate("node => node === document.activeElement")
    page.locator("#previous").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "item"  # there is nothing before the first


def test_the_first_click_on_the_suggested_word_keeps_it(opened):
    page = opened(one_item())
    assert page.locator('.word[aria-pressed="true"]').count() == 0
    page.locator(".word").nth(2).click()
    assert page.locator('.word[aria-pressed="true"]').inner_text() == page.evaluate(CHOSEN) == "square"
    page.locator(".word").nth(2).click()
    page.mouse.move(1, 1)
    page.locator("#theme").focus()
    assert page.evaluate(CHOSEN) is None


def test_brackets_typed_with_altgr_change_the_layer_and_commands_do_not(opened):
    page = opened(one_item())
    press = """more => document.dispatchEvent(
        new KeyboardEvent("keydown", { key: "[", ctrlKey: true, altKey: true, ...more }))"""
    page.evaluate(press, {})
    assert page.locator("output").inner_text() == "1"
    page.evaluate(press, {"modifierAltGraph": True})
    assert page.locator("output").inner_text() == "0"


@pytest.mark.parametrize("words", [3, 4, 9])
@pytest.mark.parametrize("width", [640, 768, 900])
def test_maps_of_a_few_words_are_whole_and_their_rows_stand_level(opened, words, width):
    caption = " ".join(["a", "red", "square", "above", "one", "blue", "disc", "and", "more"][:words])
    page = opened(one_item(caption=caption), width=width)
    assert page.evaluate(CUT) == [0, 0, 0]
    tops = page.evaluate(TOPS)
    own, carried, apart = tops[:words], tops[words : 2 * words], tops[2 * words :]
    beside = int(re.search(r"across-(\d)", page.locator(".three").get_attribute("class"))[1])
    for rows, level in ((carried, beside > 1), (apart, beside > 2)):
        assert max(abs(a - b) for a, b in zip(own, rows, strict=True)) < 0.5 or not level
    numbers = page.evaluate("""() => { const box = document.querySelector(".bars").getBoundingClientRect();
        const ends = [...document.querySelectorAll(".bar-number")].map(node => node.getBoundingClientRect().right);
        return Math.max(...ends) - box.right; }""")
    assert numbers <= 0


def test_small_differences_below_zero_are_not_cut_off(opened):
    page = opened(two_by_two(models=("start", "cacr")), "#models=0-1", width=700)
    assert page.evaluate("""() => { const number = document.querySelector(".apart .bar-number"),
        box = number.closest("svg").getBoundingClientRect();
        number.classList.add("marked");
        number.textContent = "−0.00159";
        return number.getBoundingClientRect().right <= box.right; }""")


def test_the_printed_page_is_light_and_names_layer_head_and_reading(opened):
    page = opened(one_item(), "#layer=0&head=2&maps=hard", scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(19, 21, 24)"
    page.emulate_media(media="print")
    assert page.evaluate(ground) == "rgb(247, 247, 245)" and page.evaluate("themeNow()") == "light"
    assert not page.locator(".controls").is_visible()
    assert page.locator(".pair-line").inner_text() == "layer 0, head 2, hard · match 0.500"


def test_heads_of_a_layer_that_has_only_their_mean_cannot_be_chosen(opened, tmp_path):
    item = one_item(layers=6, heads=4, regions=30)
    whole = write_page([item], tmp_path / "whole.html")
    page = opened(item, "#layer=5&head=2", budget_mb=0.85 * whole.bytes / 1e6)
    assert "layer 5, head 2" in page.locator(".pair-line").inner_text()
    kept = page.evaluate("META.models[0].apart")
    for layer in (0, 1, 4, 5):
        page.locator(".layer").fill(str(layer))
        values = item.views["one"][0][0].at(layer, 2 if layer in kept else None).lv[0, 2]
        assert line(page, 0, 0).get_attribute("data-index") == str(int(values.argmax()))
        assert page.locator('.head option[value="3"]').is_disabled() == (layer not in kept)
        assert ("mean of 4 heads" in page.locator(".pair-line").inner_text()) == (layer not in kept)


def test_two_hundred_words_can_be_looked_at(opened):
    caption = " ".join(f"word{k}" for k in range(200))
    started = time.monotonic()
    page = opened(one_item(caption=caption, layers=1, heads=0, regions=4))
    moves = page.evaluate("""() => {
        const map = document.querySelector(".matrix"), box = document.querySelector(".cells").getBoundingClientRect();
        const started = performance.now();
        for (let k = 0; k < 20; k++)
            map.dispatchEvent(new PointerEvent("pointermove", { clientX: box.x + 13 * k + 6, clientY: box.y + 6 }));
        return (performance.now() - started) / 20; }""")
    print(f"open after {time.monotonic() - started:.1f} s, a move takes {moves:.1f} ms")
    assert moves < 50
    assert page.locator(".readout").inner_text().startswith("“word0” → “word19”")
    assert (
        page.evaluate("document.querySelectorAll('.maps *').length") < 3000
    )  # no node for each of 80000 cells


def test_without_script_the_title_is_there_and_nothing_waits(browser, tmp_path):
    path = write_page([one_item()], tmp_path / "page.html", title="<b>Mine</b>").path
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("h1").inner_text() == "<b>Mine</b>"
    assert "…" not in page.locator("body").inner_text()
    context.close()


def test_an_old_browser_is_told_so_and_waits_for_nothing(browser, tmp_path):
    path = write_page([one_item()], tmp_path / "page.html").path
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(path.as_uri())
    page.locator("[role=alert]").wait_for(timeout=5000)
    assert "browser of 2023 or later" in page.locator("[role=alert]").inner_text()
    assert page.get_by_text("Unpacking").count() == 0
    context.close()


def test_a_model_is_named_in_short_and_its_whole_name_is_at_hand(opened):
    attended = random_attended(model="runs/one/model")
    page = opened(Item("x", [attended.caption], [None], {"one": [[attended]]}))
    head = page.locator(".pane h2")
    assert head.inner_text() == "one" and head.get_attribute("title") == "runs/one/model"
