"""A browser for all tests, a real service with the real network, and a page that must not complain."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chromium import chromium
from live_server import LAX, ROOT, LiveServer
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.pages import WAIT_MS

Opener = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=WAIT_MS)
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Of a service without keys and without a calibration, which refuses nothing for being much."""
    with LiveServer(ROOT / "build" / "test-page.log", **LAX, explain_per_minute=6_000) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Opener]:
    """Opens an address in a context of its own; what the scripts of the page fail with fails the test."""
    contexts, faults = list[BrowserContext](), list[str]()

    def open_it(url: str, **options: Any) -> Page:
        chosen: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}} | options
        context = browser.new_context(**chosen)
        context.set_default_timeout(WAIT_MS)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        context.on(
            "console", lambda message: faults.append(message.text) if "Security Policy" in message.text else None
        )
        contexts.append(context)
        page: Page = context.new_page()
        page.goto(url)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def page(open_page: Opener, address: str) -> Page:
    """At desktop width, before anything is asked."""
    return open_page(address)
