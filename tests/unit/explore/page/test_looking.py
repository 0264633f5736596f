"""Selecting, keys, themes, small screens, and text that wants to be a script."""

import pytest
from tests.unit.explore.page.making import one_item, random_attended, two_by_two

CONTRASTS = """() => {
    const light = ([r, g, b]) => [r, g, b].map(x => x / 255)
        .map(x => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
        .reduce((sum, x, k) => sum + x * [0.2126, 0.7152, 0.0722][k], 0);
    const parse = text => {
        const n = text.match(/[\\d.]+/g).map(Number);
        return { rgb: n.slice(0, 3), alpha: n[3] ?? 1 };
    };
    const ground = node => parse(getComputedStyle(node).backgroundColor);
    const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !node.checkVisibility()) continue;
        if (node.closest("script, style, option, title")) continue;
        let back = node;
        while (back && ground(back).alpha < 1) back = back.parentElement;
        const style = getComputedStyle(node), colour = node.closest("svg") ? style.fill : style.color;
        const [a, b] = [parse(colour).rgb, back ? ground(back).rgb : [255, 255, 255]].map(light);
        found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), walker.currentNode.data]);
    }
    return found;
}"""
FIRST_PAINT = """() => new Promise(done => new PerformanceObserver(list => {
    const first = list.getEntriesByName("first-contentful-paint")[0];
    if (first) done(first.startTime);
}).observe({ type: "paint", buffered: true }))"""
OUTLINE = """() => {
    const style = getComputedStyle(document.activeElement);
    return [style.outlineStyle, style.outlineWidth];
}"""
CHOSEN = "() => document.querySelector('.word.chosen')?.innerText ?? null"


def test_hovering_shows_and_clicking_keeps_a_word(opened):
    page = opened(one_item())
    assert page.evaluate(CHOSEN) == "square"  # suggested: the longest
    page.locator(".word").nth(1).hover()
    assert page.evaluate(CHOSEN) == "red"
    page.mouse.move(1, 1)
    assert page.evaluate(CHOSEN) == "square"
    page.locator(".word").nth(1).click()
    page.mouse.move(1, 1)
    assert page.evaluate(CHOSEN) == "red"
    assert page.locator('.word[aria-pressed="true"]').inner_text() == "red"
    assert page.locator(".maps .row-label.marked").first.inner_html() == "red"


def test_a_row_of_the_maps_keeps_its_word(opened):
    page = opened(one_item())
    page.locator(".matrix .row-label").nth(5).click()
    assert page.evaluate(CHOSEN) == "blue"
    assert (
        "Row “blue”" in page.locator(".readout").inner_text()
        or "“blue”" in page.locator(".readout").inner_text()
    )


def test_a_line_of_a_list_chooses_its_region_or_word(opened):
    page = opened(one_item())
    line = page.locator(".lists .card").nth(0).locator(".value").nth(1)
    region = line.get_attribute("data-index")
    line.click()
    assert f"region {region} attends" in page.locator(".lists h3").nth(1).inner_text()
    word = page.locator(".lists .card").nth(1).locator(".value").nth(0)
    name = word.locator(".name").inner_text()
    word.click()
    assert (
        f"Where {name} attends" in page.locator(".lists h3").nth(0).inner_text()
        or page.evaluate(CHOSEN) is None
    )


def test_everything_can_be_reached_and_used_with_keys(opened):
    page = opened([one_item(), one_item(seed=2)])
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("""() => { const a = document.activeElement;
            return a.id || a.dataset.choice?.split("-")[0] || a.classList[0] || a.tagName; }""")
        )
    wanted = {
        "next",
        "item",
        "theme",
        "layer",
        "head",
        "Through the picture",
        "Relations among",
        "hit",
        "word",
        "matrix",
        "value",
    }
    assert wanted <= reached
    page.locator(".word").nth(0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(CHOSEN) == "red"
    page.keyboard.press("Enter")
    assert page.locator('.word[aria-pressed="true"]').inner_text() == "red"
    page.keyboard.press("Escape")
    assert page.evaluate(CHOSEN) is None
    page.keyboard.press("[")
    assert page.locator("output").inner_text() == "0"
    page.keyboard.press("]")
    assert page.locator("output").inner_text() == "1"
    page.locator('.hit[data-region="0"]').focus()
    page.keyboard.press("ArrowRight")
    assert "region 1 attends" in page.locator(".lists h3").nth(1).inner_text()
    page.locator(".matrix").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    assert page.locator(".readout").inner_text().startswith("“red” → “red”")
    page.keyboard.press("Enter")
    assert page.evaluate(CHOSEN) == "red"
    page.keyboard.press("PageDown")
    assert page.locator("#item").input_value() == "1"


def test_focus_is_visible(opened):
    page = opened(one_item())
    page.locator("#theme").focus()
    page.keyboard.press("Tab")
    assert page.evaluate(OUTLINE) == ["solid", "3px"]


def test_patches_can_be_walked_with_keys(opened):
    page = opened(one_item(grid=(6, 8)))
    page.locator(".stage svg.grid").focus()
    for key in ("ArrowDown", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert "patch 9 (row 1, column 1)" in page.locator(".lists h3").nth(1).inner_text()
    lines = page.locator(".lines")
    assert not lines.is_visible()  # drawn on demand
    page.get_by_text("Lines between patches").click()
    assert page.evaluate("document.querySelector('.lines').style.display") == ""


def test_markup_in_captions_titles_and_names_is_text(opened):
    hostile = "<img/src=x/onerror=alert(1)> </script><script>alert(2)</script> &amp; \"'<b>"
    from cacr.explore.page import Item

    made = random_attended(hostile, model=hostile)
    item = Item(hostile, [hostile], [None], {hostile: [[made]]}, note=hostile)
    page = opened([item], title=hostile)
    assert page.title() == hostile == page.locator("#title").text_content()
    assert page.locator(".item-title").text_content() == hostile
    assert page.locator(".word-text").all_text_contents() == hostile.split()
    assert page.locator(".pane h2").text_content() == hostile
    made_by_text = (
        "document.querySelectorAll('main script, img[src=x], b:not(.pair-match, .readout b)').length"
    )
    assert page.evaluate(made_by_text) == 0


def test_the_address_names_what_is_shown_and_shows_it_again(opened):
    page = opened([one_item(), one_item(seed=2)])
    page.locator("#next").click()
    page.locator(".layer").fill("0")
    page.locator(".head").select_option("2")
    page.locator(".word").nth(4).click()
    page.locator('.hit[data-region="2"]').dispatch_event("click")
    page.locator('[data-choice="Through the picture-hard"]').click()
    page.wait_for_url(lambda url: "hard" in url)
    where = page.evaluate("location.hash")
    assert "item=1&layer=0&head=1" in where and "word=0-0-4" in where and "region=0-0-2" in where
    again = opened([one_item(), one_item(seed=2)], where)
    for selector in (".readout", ".lists", ".maps h3"):
        assert again.locator(selector).first.inner_text() == page.locator(selector).first.inner_text()
    assert again.locator(".head").input_value() == "2" and again.locator(".layer").input_value() == "0"


def test_an_address_that_fits_nothing_is_ignored(opened):
    page = opened(one_item(), "#item=99&layer=x&head=77&word=5-5-5&region=-1&models=7&caption=4&view=all")
    assert page.locator("#item").input_value() == "0" and page.evaluate(CHOSEN) == "square"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened, scheme):
    page = opened([two_by_two(match=((1.0, 2.0), (0.5, 3.0))), one_item(queries=True)], scheme=scheme)
    page.locator("#help summary").click()
    page.locator('.hit[data-region="1"]').first.dispatch_event("click")
    for step in range(2):
        found = page.evaluate(CONTRASTS)
        assert len(found) > 60
        assert [(ratio, text) for ratio, text in found if ratio < 4.5] == []
        if step == 0:
            page.locator("#next").click()


def test_the_button_changes_the_theme(opened):
    page = opened(one_item(), scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.locator("#theme").click()
    assert page.evaluate(ground) != dark and page.locator("#theme").inner_text() == "Dark"


LONG = " ".join(
    ["a", "extraordinarily", "uncharacteristically", "long", "caption", "of", "many", "words"] * 3
)
OUTSIDE = """width => [...document.querySelectorAll("main *")].filter(node => !node.closest(".scroll") &&
    node.checkVisibility() && node.getBoundingClientRect().right > width + 0.5).map(node => node.className)"""


@pytest.mark.parametrize("width", [320, 400])
def test_a_phone_shows_one_column_and_nothing_wider(opened, width):
    def check(page):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OUTSIDE, width) == []

    four = opened(two_by_two(models=("one", "a-model-with-a-long-name")), width=width, height=700)
    for choice in ("0", "0-1"):
        four.locator(f'[data-choice="Model-{choice}"]').click()
        check(four)
    four.locator("#all").click()
    check(four)
    kinds = ({"regions": 40}, {"grid": (6, 8)}, {"queries": True, "regions": 32})
    page = opened([one_item(caption=LONG, **kind) for kind in kinds], "#direction=vision", width=width)
    for _ in kinds:
        check(page)
        page.locator("#next").dispatch_event("click")


def test_touch_chooses_without_hovering(touched):
    page = touched([one_item()])
    page.locator(".word").nth(1).tap()
    assert page.evaluate(CHOSEN) == "red"
    page.locator('.hit[data-region="2"]').dispatch_event("click")
    assert "region 2 attends" in page.locator(".lists h3").nth(1).inner_text()


def test_without_script_a_sentence_says_so(browser, tmp_path):
    from cacr.explore.page import write_page

    path = write_page([one_item()], tmp_path / "page.html").path
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(path.as_uri())
    assert "needs JavaScript" in page.locator("noscript").inner_text()
    context.close()


def test_the_words_are_there_before_the_numbers(opened):
    page = opened(one_item())
    order = page.evaluate("""() => { const all = [...document.scripts];
        return [all.findIndex(s => !s.type), all.findIndex(s => s.id === "block-0")]; }""")
    assert order[0] < order[1]
    assert page.evaluate("[...BLOCKS.keys()]") == [0]  # an item's numbers are inflated when it is shown


@pytest.mark.slow
def test_the_first_paint_of_a_large_page_comes_within_a_second(opened):
    from tests.unit.explore.page.test_writing import items_of

    page = opened(items_of(20, 20, "base", layers=12, heads=0, regions=36))
    painted = page.evaluate(FIRST_PAINT)
    print(f"first contentful paint after {painted:.0f} ms")
    assert painted < 1000
