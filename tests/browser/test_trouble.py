"""Errors are told in words, and a service that went is waited for."""

import re
from pathlib import Path

from live_server import LAX, LiveServer, free_port
from playwright.sync_api import Page, expect

from tests.browser.conftest import Opener
from tests.browser.pages import CAT, GIF, PROBLEM, answer_json, drop, expect_answer, sample


def test_a_format_that_is_not_taken_is_named(page: Page) -> None:
    drop(page, GIF, "moving.gif", "image/gif")
    expect(page.locator("#error")).to_contain_text("GIF")
    expect(page.locator("#lead")).to_have_text("No answer for this picture.")
    sample(page)
    expect_answer(page)
    expect(page.locator("#error")).to_be_hidden()


def test_nothing_of_the_picture_before_stands_beside_one_that_is_refused(page: Page) -> None:
    sample(page)
    expect_answer(page)
    expect(page.locator("#merging")).to_be_visible()
    drop(page, GIF, "moving.gif", "image/gif")
    expect(page.locator("#lead")).to_have_text("No answer for this picture.")
    expect(page.locator("#merging")).to_be_hidden()
    sample(page)
    expect(page.locator("#merging")).to_be_visible()


def test_a_level_that_fails_leaves_the_others_and_no_dots(page: Page) -> None:
    answer_json(page, "**/classify?*L=dense*", {**PROBLEM, "detail": "the engine failed"}, status=500)
    sample(page)
    expect(page.locator("#error")).to_contain_text("The engine failed")
    expect(page.locator("#compare")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#compare tr:nth-child(4) td").first).not_to_have_text(re.compile(r"\d"))
    expect(page.locator("#compare tr:nth-child(4) td").last).to_have_text(re.compile(r"[\d.]+"))


def test_what_is_no_picture_and_what_is_too_large_is_told(page: Page) -> None:
    drop(page, b"not a picture at all", "letter.txt", "text/plain")
    expect(page.locator("#error")).to_contain_text("image")
    drop(page, CAT.read_bytes() + bytes(11 * 2**20), "large.jpg")
    expect(page.locator("#error")).to_contain_text("bytes")


def test_a_busy_service_is_asked_again_after_the_time_that_it_names(page: Page) -> None:
    busy = {**PROBLEM, "detail": "64 images wait already"}
    answer_json(page, "**/classify?*", busy, status=429, times=1)
    page.evaluate(
        """() => { window.told = []; new MutationObserver(() => told.push(document.querySelector('#error').textContent))
        .observe(document.querySelector('#error'), { childList: true }); }"""
    )
    sample(page)
    expect_answer(page)
    expect(page.locator("#error")).to_be_hidden()
    told: list[str] = page.evaluate("window.told")
    assert "The service is busy: 64 images wait already. Trying again in 1 s." in told


def test_pictures_that_may_not_be_explained_now_are_told_of_and_come_later(page: Page) -> None:
    few = {**PROBLEM, "detail": "60 images a minute may be explained"}
    answer_json(page, "**/explain?*", few, status=429, times=1)
    sample(page)
    expect(page.locator("#sentence")).not_to_be_empty()
    expect(page.locator("#merging-error")).to_be_hidden()


def test_an_explanation_that_is_turned_off_is_told_and_answers_go_on(page: Page) -> None:
    off = {**PROBLEM, "detail": "/explain is turned off: start the service with HASTE_EXPLAIN_PER_MINUTE above 0"}
    answer_json(page, "**/explain?*", off, status=404)
    sample(page)
    expect_answer(page)
    expect(page.locator("#merging-error")).to_contain_text("/explain is turned off")


def test_a_service_that_went_is_waited_for_and_the_question_is_asked_again(open_page: Opener, tmp_path: Path) -> None:
    port = free_port()
    with LiveServer(tmp_path / "first.log", **LAX, port=port):
        page = open_page(f"http://127.0.0.1:{port}")
        sample(page)
        expect_answer(page)
    expect(page.locator("#banner")).to_have_text("The service does not answer; trying again…")
    page.get_by_label("Choose a picture").set_input_files(CAT.with_name("ship.jpg"))
    expect(page.locator("#lead")).to_have_text("Asking…")
    with LiveServer(tmp_path / "second.log", **LAX, port=port):
        expect(page.locator("#banner")).to_be_hidden()
        expect(page.locator("#said")).to_contain_text("ship")
        expect_answer(page)
