"""The live picture of merging: a patch, its channels in their buckets, the map and the layers."""

import json
import re

from playwright.sync_api import Page, Route, expect

from tests.browser.pages import expect_answer, expect_merging, posts, sample

LAYER = "layer3.1.conv2"


def look_into(page: Page, layer: str) -> None:
    sample(page)
    expect_answer(page)
    expect_merging(page)
    page.locator("#layers").get_by_role("button", name=layer).click()
    expect_merging(page, layer)


def test_nothing_is_explained_before_a_picture_is_there(page: Page) -> None:
    expect(page.locator("#merging-empty")).to_be_visible()
    expect(page.locator("#merging")).to_be_hidden()


def test_a_patch_that_is_clicked_shows_its_channels_and_the_sentence(page: Page) -> None:
    asked = posts(page, "explain")
    look_into(page, LAYER)
    cells = page.locator("#cells button")
    expect(cells).to_have_count(4)
    cells.first.click()
    expect(page.locator("#patch-title")).to_have_text(f"Patch in row 1, column 1 of {LAYER}")
    assert "row=0" in asked[-1]
    assert "column=0" in asked[-1]
    expect(cells.first).to_have_attribute("aria-selected", "true")
    expect(page.locator("#groups .cell")).to_have_count(256)
    before, after, ratio = re.findall(r"\d+\.?\d*", page.locator("#sentence").inner_text())
    assert float(ratio) == round(100 * (1 - int(after) / int(before)), 1)
    kept, buckets = page.locator("#groups .cell.kept").count(), page.locator("#groups .bucket").count()
    assert kept + buckets == int(after)


def test_channels_of_one_bucket_share_a_colour_and_stand_together(page: Page) -> None:
    look_into(page, LAYER)
    first, second = page.locator("#groups .bucket").nth(0), page.locator("#groups .bucket").nth(1)
    expect(first.locator("b")).to_have_text(re.compile(r"b\d+"))
    assert first.locator(".cell").count() >= 2
    colours = [box.evaluate("(box) => getComputedStyle(box).backgroundColor") for box in (first, second)]
    assert colours[0] != colours[1]
    first.locator(".cell").first.hover()
    expect(page.locator("#cell-words")).to_have_text(re.compile(r"Channel \d+: merged in bucket \d+, code [01]{12}, "))
    page.get_by_text("Channels as a table").click()
    expect(page.locator("#channel-table tbody tr")).to_have_count(page.locator("#groups .cell").count())


def test_the_sentence_is_that_of_the_paper_and_dropped_channels_are_grey(page: Page) -> None:
    def halve(route: Route) -> None:
        """64 channels: 40 in ten buckets of four, 14 alone, 10 dropped."""
        found = route.fetch().json()
        channels = [
            {"index": i, "code": "0101", "rms": 0.5}
            | ({"bucket": i // 4, "state": "merged"} if i < 40 else {"bucket": i, "state": "kept"})
            | ({"bucket": None, "state": "dropped", "code": None} if i >= 54 else {})
            for i in range(64)
        ]
        buckets = [{"id": b, "channels": list(range(4 * b, 4 * b + 4)), "size": 4} for b in range(10)]
        buckets += [{"id": i, "channels": [i], "size": 1} for i in range(40, 54)]
        found["patch"] |= {"channels": channels, "buckets": buckets}
        found["patch"] |= {"channels_before": 64, "channels_after": 24, "compression_ratio": 0.625}
        route.fulfill(body=json.dumps(found), content_type="application/json")

    page.route("**/explain?*", halve)
    sample(page)
    expect(page.locator("#sentence")).to_have_text("64 -> 24, r = 62.5 %")
    counts = [page.locator(f"#groups .cell.{state}").count() for state in ("merged", "kept", "dropped")]
    assert counts == [40, 14, 10]
    dropped = page.locator("#groups .cell.dropped").first
    red, green, blue = re.findall(r"\d+", dropped.evaluate("(cell) => getComputedStyle(cell).backgroundColor"))
    assert max(map(int, (red, green, blue))) - min(map(int, (red, green, blue))) < 20


def test_arrow_keys_move_the_chosen_patch_and_keep_the_focus(page: Page) -> None:
    look_into(page, LAYER)
    page.locator("#cells button").first.click()
    expect(page.locator("#patch-title")).to_contain_text("row 1, column 1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#patch-title")).to_contain_text("row 2, column 2")
    expect(page.locator("#cells [aria-selected=true]")).to_be_focused()
    page.keyboard.press("ArrowDown")  # there is none
    expect(page.locator("#cells [aria-selected=true]")).to_be_focused()


def test_every_layer_has_a_bar_and_what_is_served_otherwise_is_told(page: Page) -> None:
    look_into(page, LAYER)
    expect(page.locator("#layers tr")).to_have_count(21)
    expect(page.locator("#layers tr.here")).to_contain_text(LAYER)
    expect(page.locator("#layers .here .value")).to_have_text(re.compile(r"\d+\.\d %"))


def test_where_the_machine_does_otherwise_than_the_method_it_is_said(page: Page) -> None:
    def serve_zeros(route: Route) -> None:
        found = route.fetch().json()
        found["layers"][found["layer"]["index"]] |= {"form": "merge", "served_form": "zeros"}
        route.fulfill(body=json.dumps(found), content_type="application/json")

    page.route("**/explain?*", serve_zeros)
    sample(page)
    expect(page.locator("#served")).to_contain_text("On this machine /classify skips zeros here instead of merging")
    expect(page.locator("#forms")).to_contain_text("run otherwise in /classify on this machine")


def test_the_map_follows_the_level(page: Page) -> None:
    look_into(page, LAYER)
    before = page.locator("#cells").text_content()
    assert before
    page.fill("#level", "4")
    expect(page.locator("#cells")).not_to_have_text(before)
    expect(page.locator("#merging-error")).to_be_hidden()
