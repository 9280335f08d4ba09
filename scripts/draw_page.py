"""Takes the pictures of the page in docs/images: a real service, a real browser, two widths, two colour schemes."""

from io import BytesIO
from pathlib import Path

from chromium import chromium
from live_server import ROOT, LiveServer
from PIL import Image
from playwright.sync_api import Browser, Page, expect

FOLDER = ROOT / "docs" / "images"
SIZES = {"desktop": (1280, 900, "#layers-title"), "phone": (390, 844, "#cell-words")}
"""Width and height of the window, and what the picture ends above: below it is more of the same."""
SAMPLE, LAYER, LEVEL = "cat", "layer3.1.conv2", "10"
CALIBRATION_MS = 500
WAIT_MS, SETTLE_MS = 60_000, 2_000
COLOURS = 192
MAX_BYTES = 200_000


def fill(page: Page) -> None:
    """A sample's answer, a layer that merges, a patch, and tiles with a rate."""
    page.click(f"button[aria-label='Sample: {SAMPLE}']")
    page.wait_for_selector("#merging:not([hidden])", timeout=WAIT_MS)
    page.fill("#level", LEVEL)
    page.select_option("#layer", LAYER)
    expect(page.locator("#patch-title")).to_contain_text(LAYER)  # no predicates: the page's policy forbids eval
    expect(page.locator("#said")).to_contain_text(f"L = {LEVEL}")
    expect(page.locator(".stale")).to_have_count(0)
    expect(page.locator("#compare")).to_have_attribute("aria-busy", "false", timeout=WAIT_MS)
    expect(page.locator("#tile-p95")).to_contain_text("ms")
    page.wait_for_timeout(SETTLE_MS)
    page.mouse.move(0, 0)


def take(browser: Browser, address: str, size: str, scheme: str) -> bytes:
    """A PNG of the page down to its end."""
    width, height, end = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        device_scale_factor=1,
    )
    page = context.new_page()
    page.goto(address)
    fill(page)
    box = page.locator(end).bounding_box()
    assert box is not None
    bottom = box["y"] + page.evaluate("scrollY")
    picture: bytes = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": bottom})
    context.close()
    return picture


def save(picture: bytes, path: Path) -> None:
    """As a PNG of few colours; SystemExit where even so it is too large for a page of documentation."""
    image = Image.open(BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        raise SystemExit(f"{path} has {path.stat().st_size} bytes, more than {MAX_BYTES}: take fewer COLOURS")


def main() -> None:
    """All four."""
    expect.set_options(timeout=WAIT_MS)
    FOLDER.mkdir(parents=True, exist_ok=True)
    log = ROOT / "build" / "page-server.log"
    settings = {"calibration_ms": CALIBRATION_MS, "explain_per_minute": 600}
    with LiveServer(log, **settings) as server, chromium() as browser:
        for size in SIZES:
            for scheme in ("light", "dark"):
                path = FOLDER / f"page-{size}-{scheme}.png"
                save(take(browser, f"http://127.0.0.1:{server.port}/", size, scheme), path)
                print(path.relative_to(ROOT), path.stat().st_size)


if __name__ == "__main__":
    main()
