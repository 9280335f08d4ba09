"""A picture comes in five ways, and its answer comes soon."""

import logging
import time

from playwright.sync_api import Page, expect

from tests.browser.pages import CAT, drop, expect_answer, sample, transfer

SOON_SECONDS = 1.0


def test_a_sample_that_is_clicked_is_answered(page: Page) -> None:
    sample(page, "ship")
    expect_answer(page)
    expect(page.locator("#preview")).to_have_attribute("alt", "Your picture: ship")


def test_a_picture_that_is_dropped_is_answered_soon(page: Page) -> None:
    sample(page, "ship")
    expect_answer(page)
    page.wait_for_timeout(1000)
    page.evaluate("document.querySelector('#said').textContent = ''")
    started = time.perf_counter()
    drop(page, CAT.read_bytes())
    expect(page.locator("#said")).to_contain_text("cat")
    seconds = time.perf_counter() - started
    logging.getLogger(__name__).info("answered %.2f s after the drop", seconds)
    assert seconds < SOON_SECONDS
    expect_answer(page)
    expect(page.locator("#preview")).to_have_attribute("alt", "Your picture: cat.jpg")


def test_a_picture_that_is_pasted_is_answered(page: Page) -> None:
    held = transfer(page, CAT.read_bytes(), "image.png", "image/png")
    page.evaluate("(held) => dispatchEvent(new ClipboardEvent('paste', { clipboardData: held }))", held)
    expect_answer(page)


def test_a_picture_that_is_chosen_is_answered_and_may_be_chosen_again(page: Page) -> None:
    for _ in range(2):
        page.get_by_label("Choose a picture").set_input_files(CAT)
        expect_answer(page)


def test_a_photograph_is_taken_with_the_camera_behind(page: Page) -> None:
    camera = page.get_by_label("Photograph")
    expect(camera).to_have_attribute("capture", "environment")
    expect(camera).to_have_attribute("accept", "image/*")
    camera.set_input_files(CAT)
    expect_answer(page)


def test_what_is_no_file_is_told_in_words(page: Page) -> None:
    page.evaluate("dispatchEvent(new ClipboardEvent('paste', { clipboardData: new DataTransfer() }))")
    expect(page.locator("#error")).to_contain_text("There was no picture in what you pasted")
