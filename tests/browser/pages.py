"""What a person does on the page, and what the tests wait for."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Request, Route, expect

SAMPLES = Path(__file__).parent.parent.parent / "haste" / "samples"
CAT = SAMPLES / "cat.jpg"
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
WAIT_MS = 60_000
SENTENCE = re.compile(r"^\d+ -> \d+, r = \d+\.\d %$")
PROBLEM = {"type": "urn:haste:problem:x", "title": "x", "request_id": "x"}

_TRANSFER = """([data, name, type]) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  return transfer;
}"""


def transfer(page: Page, content: bytes, name: str, kind: str) -> Any:
    """A DataTransfer in the page that holds one file."""
    return page.evaluate_handle(_TRANSFER, [base64.b64encode(content).decode(), name, kind])


def drop(page: Page, content: bytes, name: str = "cat.jpg", kind: str = "image/jpeg") -> None:
    """As a file manager's drag does."""
    held = transfer(page, content, name, kind)
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#picture", event, {"dataTransfer": held})


def sample(page: Page, name: str = "cat") -> None:
    page.get_by_role("button", name=f"Sample: {name}").click()


def expect_answer(page: Page) -> None:
    """A class, five bars and three columns."""
    expect(page.locator("#bars li")).to_have_count(5)
    expect(page.locator("#compare td")).to_have_count(12)
    expect(page.locator("#compare")).not_to_contain_text("…")
    expect(page.locator("#compare")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#lead strong")).to_have_text(page.locator("#bars .name").first.inner_text())


def expect_merging(page: Page, layer: str | None = None) -> None:
    """A map, and a sentence of the layer."""
    expect(page.locator("#sentence")).to_have_text(SENTENCE)
    if layer is not None:
        expect(page.locator("#patch-title")).to_contain_text(layer)


def posts(page: Page, path: str) -> list[str]:
    """The addresses of the requests to a path, as they will come."""
    seen: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and f"/{path}?" in request.url:
            seen.append(request.url)

    page.on("request", note)
    return seen


def answer_json(page: Page, pattern: str, body: object, status: int = 200, times: int | None = None) -> None:
    """Let the browser see this instead of what the service says, so many times."""
    headers = {"Retry-After": "1"} if status in (429, 503) else {}

    def fulfil(route: Route) -> None:
        route.fulfill(status=status, headers=headers, content_type="application/json", body=json.dumps(body))

    page.route(pattern, fulfil, times=times)
