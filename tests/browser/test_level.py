"""The slider asks again as it moves, one request at a time; dense and exact are asked three times a picture."""

import re
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, Request, Route, expect

from tests.browser.pages import expect_answer, posts, sample


def levels(urls: list[str]) -> list[str]:
    return [parse_qs(urlsplit(url).query)["L"][0] for url in urls]


def test_the_slider_starts_at_the_level_of_the_service(page: Page) -> None:
    expect(page.locator("#level")).to_have_value("12")
    expect(page.locator("#level")).to_have_attribute("max", "32")


def test_a_picture_is_asked_three_ways_for_the_least_of_three_times_and_the_level_alone_again(page: Page) -> None:
    asked = posts(page, "classify")
    sample(page)
    expect_answer(page)
    first = ["12", "exact", "dense"] * 3
    assert levels(asked) == first
    page.fill("#level", "8")
    expect(page.locator("#said")).to_contain_text("L = 8")
    expect(page.locator("#ours-level")).to_have_text("L = 8")
    expect_answer(page)
    assert levels(asked) == [*first, "8", "8", "8"]


def test_dense_exact_and_haste_stand_side_by_side(page: Page) -> None:
    sample(page)
    expect_answer(page)
    rows = page.locator("#compare tr")
    titles = [rows.nth(row).locator("th").inner_text() for row in range(4)]
    assert titles == ["Class", "Probability", "FLOPs", "Milliseconds, at best"]
    dense, exact, haste = (page.locator(f"#compare tr:nth-child(3) td:nth-child({place})") for place in (2, 3, 4))
    expect(dense).to_have_text(re.compile(r"1\.11 Gall"))
    for saving in (exact, haste):
        expect(saving).to_have_text(re.compile(r"\d+ M.\d\d %"))


def test_the_quickest_of_three_forwards_counts(page: Page) -> None:
    times = {
        level: iter(forwards) for level, forwards in (("dense", (9, 4, 7)), ("exact", (5, 6, 3)), ("12", (2, 8, 8)))
    }

    def timed(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["timing_ms"]["forward"] = next(times[levels([route.request.url])[0]])
        route.fulfill(response=answer, json=body)

    page.route("**/classify?*", timed)
    sample(page)
    expect_answer(page)
    assert page.locator("#compare tr:nth-child(4) td").all_inner_texts() == ["4.0", "3.0", "2.0"]


def test_no_two_requests_that_compute_are_under_way_at_once(page: Page) -> None:
    under_way: set[Request] = set()
    most = 0

    def begin(request: Request) -> None:
        nonlocal most
        if request.method == "POST":
            under_way.add(request)
            most = max(most, len(under_way))

    def end(request: Request) -> None:
        under_way.discard(request)

    page.on("request", begin)
    page.on("requestfinished", end)
    page.on("requestfailed", end)
    sample(page)
    expect_answer(page)
    for level in range(13, 33):
        page.fill("#level", str(level))
        page.wait_for_timeout(40)
    expect(page.locator("#said")).to_contain_text("L = 32")
    expect(page.locator("#ours-level")).to_have_text("L = 32")
    assert most == 1


def test_a_slider_that_moves_on_asks_for_where_it_stops(page: Page) -> None:
    sample(page)
    expect_answer(page)
    asked = posts(page, "classify")
    page.evaluate(
        """() => { const slider = document.querySelector('#level');
        for (const level of [20, 21, 22]) { slider.value = level; slider.dispatchEvent(new Event('input')); } }"""
    )
    expect(page.locator("#said")).to_contain_text("L = 22")
    expect_answer(page)
    assert levels(asked) == ["22"] * 3


def test_the_page_says_what_the_network_knows(page: Page) -> None:
    known = page.locator("#known")
    expect(known).to_contain_text("knows ten classes: airplane, automobile, bird")
    expect(known).to_contain_text("Anything else gets the nearest of them")
