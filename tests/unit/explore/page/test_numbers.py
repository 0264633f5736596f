"""What the page shows are the arrays' numbers, to three digits."""

from itertools import pairwise

import pytest
import torch
from tests.unit.explore.page.making import maps_by_loops, one_item, random_attended, to_three_digits

READ_LIST = """part => [...document.querySelectorAll(".lists .card")][part].querySelectorAll(".value").values()
    .map(line => [Number(line.dataset.index), line.querySelector(".number").textContent]).toArray()"""
READ_CELLS = """which => {
    const node = document.querySelectorAll(".matrix")[which], cells = document.querySelectorAll(".cells")[which];
    const box = cells.getBoundingClientRect(), count = cells.width, size = box.width / count, said = [];
    for (let k = 0; k < count * count; k++) {
        const [column, row] = [k % count, Math.floor(k / count)];
        const middle = { clientX: box.x + (column + 0.5) * size, clientY: box.y + (row + 0.5) * size };
        node.dispatchEvent(new PointerEvent("pointermove", middle));
        said.push(["own", "carried"].map(name => document.querySelector(`[data-${name}]`).textContent));
    }
    return said;
}"""
READ_BARS = (
    """() => [...document.querySelectorAll(".maps .bars .bar-number")].map(number => number.textContent)"""
)


def check_list(page, part, expected):
    more = page.locator(".lists .card").nth(part).locator("> button")
    if more.is_visible() and not more.inner_text().startswith("Fewer"):
        more.click()
    said = page.evaluate(READ_LIST, part)
    assert sorted(index for index, _ in said) == list(range(len(expected)))
    numbers = [float(expected[index]) for index, _ in said]
    assert all(a >= b - abs(b) / 1024 for a, b in pairwise(numbers))  # highest first
    for index, text in said:
        assert to_three_digits(text, float(expected[index])), (index, text, float(expected[index]))


def check_maps(page, expected, carried):
    own, other = expected["own"].flatten(), expected[carried].flatten()
    for which in (0, 1):
        said = page.evaluate(READ_CELLS, which)
        assert len(said) == len(own)
        for (first, second), a, b in zip(said, own, other, strict=True):
            assert to_three_digits(first, float(a)) and to_three_digits(second, float(b)), (
                first,
                second,
                a,
                b,
            )
    for text, number in zip(page.evaluate(READ_BARS), expected[f"{carried} apart"], strict=True):
        assert to_three_digits(text, float(number)), (text, number)


def attended_of(item):
    return next(iter(item.views.values()))[0][0]


def test_a_word_shows_its_row_of_lv(opened):
    item = one_item()
    page = opened(item)
    for word in (0, 2, 6):
        page.locator(".word").nth(word).hover()
        check_list(page, 0, attended_of(item).at().lv[0, word])
        page.mouse.move(1, 1)


def test_a_region_shows_its_row_of_vl(opened):
    item = one_item()
    page = opened(item)
    page.locator('.hit[data-region="3"]').dispatch_event("click")
    check_list(page, 1, attended_of(item).at().vl[0, 3])
    assert "region 3 attends" in page.locator(".lists h3").nth(1).inner_text()


def test_a_region_of_a_model_without_vl_shows_the_column_of_lv_by_its_name(opened):
    item = one_item(vl=False)
    page = opened(item)
    page.locator('.hit[data-region="3"]').dispatch_event("click")
    check_list(page, 1, attended_of(item).at().lv[0, :, 3])
    card = page.locator(".lists .card").nth(1).inner_text()
    assert "no S_VL" in card and "column of" in card


@pytest.mark.parametrize("carried", ["soft", "hard"])
def test_maps_and_divergences_are_those_of_the_layer_and_the_head(opened, carried):
    item = one_item()
    page = opened(item)
    page.locator(f'[data-choice="Through the picture-{carried}"]').click()
    page.locator(".word").nth(3).click()
    for layer, head in ((1, None), (0, None), (0, 2), (1, 1)):
        page.locator(".layer").fill(str(layer))
        page.locator(".head").select_option("0" if head is None else str(head + 1))
        blocks = attended_of(item).at(layer, head)
        check_maps(page, maps_by_loops(blocks.ll[0], blocks.vv[0], blocks.lv[0]), carried)
        check_list(page, 0, blocks.lv[0, 3])


def test_cells_of_a_map_are_as_dark_as_their_numbers_are_high(opened):
    item = one_item()
    page = opened(item)
    pixels = page.evaluate("""() => { const map = document.querySelector(".cells");
        return [...map.getContext("2d").getImageData(0, 0, map.width, map.height).data]; }""")
    light = torch.tensor(pixels).view(-1, 4)[:, :3].sum(1).double()
    blocks = attended_of(item).at()
    own = maps_by_loops(blocks.ll[0], blocks.vv[0], blocks.lv[0])["own"].flatten()
    assert (light[own.sort().indices].diff() <= 0).all() and light.min() < light.max() - 200


def nearly_flat(words=4, regions=5, best=3):
    """Attention of which half precision keeps nothing but evenness: the highest is higher by less than that."""
    from dataclasses import replace

    from cacr.explore.page import Item

    one = random_attended("a red square above", layers=1, heads=0, regions=regions)
    lv, vl = torch.full((1, words, regions), 1 / regions), torch.full((1, regions, words), 1 / words)
    lv[..., best] += 1e-6
    vl[..., 2] += 1e-6
    flat = replace(one, blocks={0: replace(one.blocks[0], lv=lv, vl=vl)})
    return Item("flat", [one.caption], [one.image], {"one": [[flat]]})


def test_the_highest_of_a_nearly_flat_row_is_that_of_the_model(opened):
    page = opened(nearly_flat())
    page.locator(".word").nth(1).click()
    assert page.locator(".lists .value").first.get_attribute("data-index") == "3"
    page.locator('.hit[data-region="1"]').dispatch_event("click")
    assert page.locator(".lists .card").nth(1).locator(".value").first.get_attribute("data-index") == "2"
    for hard in (False, True):
        if hard:
            page.locator('[data-choice="Through the picture-hard"]').click()
        place = (
            "name => Number(document.querySelector('.best').getAttribute(name)) - "
            "Number(document.querySelector('.hit[data-region=\"3\"]').getAttribute(name))"
        )
        assert [page.evaluate(place, name) for name in ("x", "y", "width")] == [0, 0, 0]


def test_the_vision_direction_is_its_mirror(opened):
    item = one_item()
    page = opened(item)
    page.locator('[data-choice="Relations among-vision"]').click()
    blocks = attended_of(item).at()
    for carried in ("soft", "hard"):
        page.locator(f'[data-choice="Through the picture-{carried}"]').click()
        check_maps(page, maps_by_loops(blocks.vv[0], blocks.ll[0], blocks.vl[0]), carried)


def test_the_vision_direction_says_why_it_is_not_there(opened):
    page = opened([one_item(grid=(9, 8)), one_item(vl=False)])
    page.locator('[data-choice="Relations among-vision"]').click()
    assert "up to 64 regions" in page.locator(".why").inner_text()
    page.locator("#next").click()
    assert "no S_VL" in page.locator(".why").inner_text()


def test_a_causal_model_leaves_blank_what_a_word_may_not_see(opened):
    item = one_item(causal=True, vl=False)
    page = opened(item)
    said = page.evaluate(READ_CELLS, 0)
    seen = attended_of(item).at().ll_support[0].flatten()
    assert [first != "–" for first, _ in said] == seen.tolist()
    assert page.evaluate(READ_BARS)[0] == "0"


def test_patches_and_queries_show_the_same_arrays(opened):
    patches, queries = one_item(grid=(6, 8), seed=3), one_item(queries=True, regions=9, seed=4)
    page = opened([patches, queries])
    for item in (patches, queries):
        page.locator(".word").nth(3).click()
        check_list(page, 0, attended_of(item).at().lv[0, 3])
        page.locator("#next").dispatch_event("click")


def test_a_patch_under_the_pointer_is_the_one_that_is_named(opened):
    item = one_item(grid=(6, 8))
    page = opened(item)
    box = page.locator(".stage svg.grid").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 2.5 / 8, box["y"] + box["height"] * 4.5 / 6)
    assert "patch 34 (row 4, column 2)" in page.locator(".lists h3").nth(1).inner_text()
    check_list(page, 1, attended_of(item).at().vl[0, 34])


def test_the_heat_map_is_brightest_where_attention_is_highest(opened):
    item = one_item(grid=(6, 8))
    page = opened(item)
    page.locator(".word").nth(3).click()
    pixels = page.evaluate("""() => { const heat = document.querySelector(".heat");
        return [...heat.getContext("2d").getImageData(0, 0, heat.width, heat.height).data]; }""")
    values = attended_of(item).at().lv[0, 3]
    opacity = torch.tensor(pixels).view(-1, 4)[:, 3]
    assert len(opacity) == 48 and int(opacity.argmax()) == int(values.argmax())


def test_the_highest_box_is_emphasized_and_hard_shows_it_alone(opened):
    item = one_item()
    page = opened(item)
    page.locator(".word").nth(1).click()
    values = attended_of(item).at().lv[0, 1]
    first = int(values.argmax())
    box = attended_of(item).boxes01[first] * torch.tensor([240, 180, 240, 180])
    assert abs(float(page.locator(".best").get_attribute("x")) - float(box[0])) < 0.1
    assert to_three_digits(page.locator(".tag").first.inner_text().split()[-1], float(values[first]))
    opacity = "() => [...document.querySelectorAll('.seen')].map(box => Number(box.style.opacity))"
    assert max(page.evaluate(opacity)) == 1
    page.locator('[data-choice="Through the picture-hard"]').click()
    assert max(page.evaluate(opacity)) == 0


def test_very_small_attention_is_said_to_be_small(opened):
    item = one_item(sharp=9.0)
    page = opened(item)
    page.locator(".word").nth(1).click()
    values = attended_of(item).at().lv[0, 1]
    assert float(values.min()) < 1e-4
    check_list(page, 0, values)


def test_the_starting_model_of_the_scenes_is_shown_as_it_attends(opened):
    from cacr.data.scenes import winoground_like
    from cacr.explore.page import Item
    from cacr.scorers import open_scorer
    from cacr.scorers.looking import look

    example, scorer = winoground_like(3, 1)[0], open_scorer("scenes-start")
    looked = look(scorer, example.captions[0], example.picture(0))
    item = Item("scene", [looked.caption], [example.picture(0).image], {scorer.name: [[looked]]})
    page = opened(item)
    page.locator(".word").nth(1).click()
    check_list(page, 0, looked.at().lv[0, 1])
    blocks = looked.at()
    check_maps(page, maps_by_loops(blocks.ll[0], blocks.vv[0], blocks.lv[0]), "soft")
    assert to_three_digits(page.locator(".pair-match").inner_text(), looked.match)


def test_names_of_regions_are_shown(opened):
    from dataclasses import replace

    from cacr.explore.page import Item

    named = replace(random_attended(), region_names=["dog", "cat", "sky", "tree", "<i>sun</i>"])
    page = opened(Item("one", [named.caption], [None], {"one": [[named]]}))
    page.locator('.hit[data-region="4"]').dispatch_event("click")
    assert "region 4 · <i>sun</i>" in page.locator(".lists h3").nth(1).inner_text()
