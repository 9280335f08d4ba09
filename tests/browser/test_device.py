"""The device: live tiles, the frontier with the present point, and what may be changed for everybody."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.app.harness import FakeEngine, calibrated
from tests.app.live import Live, live
from tests.browser.conftest import Opener
from tests.browser.pages import answer_json, expect_answer, sample

KEYS: dict[str, Any] = {"data_key": "data-key-0123456789", "admin_key": "admin-key-0123456789"}


@pytest.fixture
def served() -> Iterator[Live]:
    """The real server with a quick engine of one model, calibrated at dense, exact, 12 and 8."""
    with live(calibrated("small"), slo_ms=60_000) as running:
        yield running


def test_the_tiles_count_what_is_asked(open_page: Opener, served: Live) -> None:
    page = open_page(f"http://127.0.0.1:{served.port}")
    expect(page.locator("#tile-level")).to_have_text("12")
    expect(page.locator("#tile-p95-hint")).to_have_text("nothing asked in the last minute")
    sample(page)
    expect(page.locator("#tile-p95")).to_have_text(re.compile(r"[\d.]+ ms"))
    expect(page.locator("#tile-p95-hint")).to_have_text("9 requests in the last minute")
    expect(page.locator("#tile-rate")).to_have_text(re.compile(r"\d\.\d"))
    flops = served.service.metrics.registry.get_sample_value
    dense, executed = (flops(f"haste_{kind}_flops_total", {"model": "small"}) for kind in ("dense", "executed"))
    assert dense
    assert executed
    expect(page.locator("#tile-saved")).to_have_text(f"{100 * (1 - executed / dense):.1f} %")


def test_tiles_rest_while_the_tab_is_hidden(open_page: Opener, served: Live) -> None:
    page = open_page(f"http://127.0.0.1:{served.port}")
    expect(page.locator("#tile-level")).to_have_text("12")
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.wait_for_timeout(500)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(4000)
    assert asked == []
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(1000)
    assert any(url.endswith("/metrics") for url in asked)


def test_the_frontier_has_the_present_point_on_it(open_page: Opener, served: Live) -> None:
    page = open_page(f"http://127.0.0.1:{served.port}")
    expect(page.locator("#frontier svg")).to_have_attribute("aria-label", re.compile("now at L = 12$"))
    expect(page.locator("#frontier .point.here")).to_have_count(1)
    expect(page.locator("#frontier .point.here")).to_contain_text("L = 12 now")
    expect(page.locator("#frontier-words")).to_contain_text("Now: L = 12, 6.0 ms an image")
    page.get_by_text("Frontier as a table").click()
    expect(page.locator("#frontier-rows tr.here")).to_contain_text("L = 12 (now)")
    page.select_option("#batch", "8")
    expect(page.locator("#frontier-words")).to_contain_text("Now: L = 12")


def test_a_level_that_is_not_on_the_frontier_is_told(open_page: Opener, served: Live) -> None:
    page = open_page(f"http://127.0.0.1:{served.port}")
    page.fill("#level", "10")
    page.get_by_role("button", name="Use L = 10 for every request").click()
    expect(page.locator("#tile-level")).to_have_text("10")
    expect(page.locator("#frontier-words")).to_contain_text("L = 10, which is not on the frontier")
    sample(page)
    expect_answer(page)
    expect(page.locator("#frontier .last")).to_have_count(1)


def test_a_device_that_was_not_calibrated_says_how_to(open_page: Opener) -> None:
    with live(FakeEngine("small")) as running:
        page = open_page(f"http://127.0.0.1:{running.port}")
        words = page.locator("#frontier-words")
        expect(words).to_contain_text("was not calibrated")
        expect(words).to_contain_text("haste calibrate")
        expect(words).to_contain_text("HASTE_CALIBRATION")


def test_a_calibration_that_comes_after_the_page_is_shown(open_page: Opener, served: Live) -> None:
    page = open_page("about:blank")

    def still_loading(route: Route) -> None:
        found = route.fetch().json()
        found["models"][0] |= {"ready": False, "calibration": None}
        route.fulfill(body=json.dumps(found), content_type="application/json")

    page.route("**/models", still_loading, times=1)
    page.goto(f"http://127.0.0.1:{served.port}")
    expect(page.locator("#frontier-words")).to_contain_text("was not calibrated")
    expect(page.locator("#frontier .point.here")).to_have_count(1)


def test_a_model_with_a_level_of_its_own_gets_the_one_that_is_offered(open_page: Opener) -> None:
    with live(calibrated("small"), slo_ms=60_000) as running:
        address = f"http://127.0.0.1:{running.port}"
        httpx.patch(f"{address}/config", json={"models": {"small": {"L": 14}}}).raise_for_status()
        page = open_page(address)
        expect(page.locator("#level")).to_have_value("14")
        page.fill("#level", "20")
        page.get_by_role("button", name="Use L = 20 for every request of small").click()
        expect(page.locator("#tile-level")).to_have_text("20")
        assert running.service.steering.level("small") == 20


def test_the_controller_is_switched_for_everybody(open_page: Opener, served: Live) -> None:
    page = open_page(f"http://127.0.0.1:{served.port}")
    switch = page.get_by_role("switch", name="Controller on")
    expect(switch).to_be_checked()
    switch.press("Space")
    expect(switch).not_to_be_checked()
    expect(page.locator("#controller-words")).to_contain_text("It does nothing now")
    assert not served.service.steering.state.controller.enabled
    switch.click()
    expect(page.locator("#controller-words")).not_to_contain_text("It does nothing now")
    assert served.service.steering.state.controller.enabled


def test_keys_are_asked_for_when_they_are_needed_and_kept_in_the_tab(open_page: Opener) -> None:
    with live(calibrated("small"), slo_ms=60_000, **KEYS) as running:
        page = open_page(f"http://127.0.0.1:{running.port}")
        dialog = page.get_by_role("dialog", name="Data key")
        expect(dialog).to_contain_text("This needs a key that allows it")
        page.locator("#key").fill("wrong")
        dialog.get_by_role("button", name="Use the key").click()
        expect(dialog).to_be_visible()
        page.locator("#key").fill(KEYS["data_key"])
        page.keyboard.press("Enter")
        sample(page)
        expect_answer(page)
        page.get_by_role("button", name="Use L = 12 for every request").click()
        admin = page.get_by_role("dialog", name="Admin key")
        expect(admin).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#device-error")).to_contain_text("Not changed: this needs a key")
        page.get_by_role("button", name="Use L = 12 for every request").click()
        expect(admin.get_by_role("textbox", name="Admin key")).to_be_focused()
        page.locator("#key").fill(KEYS["admin_key"])
        page.keyboard.press("Enter")
        expect(admin).to_be_hidden()
        expect(page.locator("#device-error")).to_be_hidden()
        kept: dict[str, str] = page.evaluate("({...sessionStorage})")
        assert set(kept.values()) == set(KEYS.values())
        assert page.evaluate("localStorage.length") == 0
        page.reload()
        expect(page.locator("#known")).to_contain_text("knows ten classes")
        expect(page.locator("#keys")).to_be_hidden()


def test_a_change_that_is_forbidden_says_why(open_page: Opener, served: Live) -> None:
    page = open_page(f"http://127.0.0.1:{served.port}")
    expect(page.locator("#controller")).to_be_enabled()
    detail = "the service listens beyond this machine, without an admin key; set HASTE_ADMIN_KEY"
    answer_json(page, "**/config", {"detail": detail}, status=403)
    page.locator("#controller").click()
    expect(page.locator("#device-error")).to_contain_text("Not changed: the service listens beyond this machine")
    expect(page.locator("#controller")).to_be_checked()


def test_another_model_can_be_asked(open_page: Opener) -> None:
    with live(FakeEngine("small", "other"), slo_ms=60_000) as running:
        page: Page = open_page(f"http://127.0.0.1:{running.port}")
        sample(page)
        expect_answer(page)
        page.get_by_label("Model").select_option("other")
        expect(page.locator("#known")).to_contain_text("(other)")
        expect(page.locator("#lead")).to_contain_text("10.0 %")
        sum_of = running.service.metrics.registry.get_sample_value
        expect_answer(page)
        page.wait_for_timeout(1500)  # nothing more comes
        assert sum_of("haste_inference_requests_total", {"model": "other", "outcome": "ok"}) == 9
