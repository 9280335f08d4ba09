"""For everybody: keyboard, screen reader, light and dark, a narrow phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Opener
from tests.browser.pages import expect_answer, expect_merging, sample

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


def violations(page: Page) -> list[str]:
    """What axe finds, with the elements that it finds it in."""
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {[node['html'][:120] for node in rule['nodes']][:4]}" for rule in found]


def overflow(page: Page) -> int:
    """Pixels that the page is wider than its window."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wide


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    open_page: Opener, address: str, viewport: dict[str, int], scheme: str
) -> None:
    page = open_page(address, viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    expect(page.locator("#known")).to_contain_text("knows")
    assert violations(page) == []
    assert overflow(page) == 0
    sample(page)
    expect_answer(page)
    expect_merging(page)
    for closed in page.locator("summary:visible").all():
        closed.click()
    assert violations(page) == []
    assert overflow(page) == 0
    page.get_by_role("button", name="Keys").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []


def test_everything_can_be_done_with_the_keyboard_alone(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the picture")).to_be_focused()
    names = []
    for _ in range(16):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label')"))
    assert {"keys-open", "choose", "photograph", "Sample: cat", "level", "controller", "level-for-all"} <= set(names)
    page.get_by_role("button", name="Sample: cat").focus()
    page.keyboard.press("Enter")
    expect_answer(page)
    page.locator("#level").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#ours-level")).to_have_text("L = 11")
    expect(page.locator("#said")).to_contain_text("L = 11")
    page.get_by_role("button", name="layer3.0.conv2").focus()
    page.keyboard.press("Enter")
    expect_merging(page, "layer3.0.conv2")
    page.locator("#cells [tabindex='0']").focus()
    before = page.locator("#patch-title").inner_text()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#patch-title")).not_to_have_text(before)


def test_what_has_the_focus_is_seen(page: Page) -> None:
    page.keyboard.press("Tab")
    for _ in range(6):
        page.keyboard.press("Tab")
        seen: list[str] = page.evaluate(
            """() => { const one = document.activeElement;
            const shown = one.matches('.file input') ? one.nextElementSibling : one;
            const style = getComputedStyle(shown); return [style.outlineStyle, style.outlineWidth]; }"""
        )
        assert seen == ["solid", "3px"]


def test_answers_are_said_and_pictures_have_words(page: Page) -> None:
    sample(page)
    expect_answer(page)
    expect_merging(page)
    expect(page.get_by_role("status").first).to_contain_text("cat, ")
    expect(page.locator("#groups")).to_have_accessible_name(page.locator("#patch-title").inner_text()
        + " " + page.locator("#sentence").inner_text())  # fmt: skip
    expect(page.locator("#cells [aria-selected=true]")).to_have_accessible_name(
        f"row 2, column 2: r = {page.locator('#sentence').inner_text().split('r = ')[1]}"
    )


def test_motion_is_left_out_where_it_is_unwanted(open_page: Opener, address: str) -> None:
    page = open_page(address, reduced_motion="reduce")
    sample(page)
    expect_answer(page)
    assert page.locator("#bars .bar").first.evaluate("(bar) => getComputedStyle(bar).transitionDuration") == "0s"
