"""Key images chosen in the gallery and beside the large picture, and the images that a line of the page rests on."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, PHONE, WIDE, Visitor
from tests.browser.test_every_page import examine
from tests.browser.test_gallery import opened, seeded, tile
from tests.portal import Portal

__all__ = ["seeded"]  # a fixture
pytestmark = pytest.mark.browser


def key_images(portal: Portal, case: int) -> list[int]:
    code = (
        "import json; from diagnosis.models import ReportDraft as D;"
        f"print(json.dumps((D.objects.filter(case={case}).first() or D()).key_images))"
    )
    found: list[int] = json.loads(portal.manage("shell", "-v", "0", "-c", code))
    return found


def saved(page: Page) -> None:
    expect(page.locator("#draft-state")).to_contain_text("✓ Saved", timeout=PATIENCE)


def test_by_a_key_in_the_gallery_and_beside_the_picture(visitor: Visitor, portal: Portal, seeded: Any) -> None:
    case, images = seeded("blast blast blast monocyte monocyte monocyte neutrophil")
    visit = visitor("pathologist")
    page = opened(visit, case)
    page.locator(f"#open-{images[1]}").focus()
    page.keyboard.press("k")
    expect(page.locator("#review-said")).to_have_text("Key image: #2. 1 of 6 chosen.")
    expect(tile(page, images[1])).to_have_attribute("data-key", "")
    expect(page.locator("#key-strip li")).to_have_count(1)
    saved(page)
    assert key_images(portal, case) == [images[1]]
    # What is typed beside it is saved with it, and a live look takes no mark away.
    page.get_by_label("Comment", exact=False).first.fill("Many blasts.")
    for image in images[:2]:
        page.locator(f"#open-{image}").focus()
        page.keyboard.press("x")
    page.get_by_role("button", name="Key image K").click()
    expect(page.locator("#key-strip li")).to_have_count(2)
    saved(page)
    assert set(key_images(portal, case)) == set(images[:2])
    page.evaluate("document.dispatchEvent(new CustomEvent('live:look'))")
    page.wait_for_timeout(1_500)
    expect(page.locator("#gallery-groups li[data-key]")).to_have_count(2)
    # More than a report shows is refused in words, and nothing is changed.
    page.keyboard.press("Escape")
    for image in images[2:]:
        page.locator(f"#open-{image}").focus()
        page.keyboard.press("x")
    page.keyboard.press("k")
    expect(page.locator("#review-said")).to_contain_text("A report shows up to 6 key images, and 2 are chosen.")
    page.keyboard.press("Escape")
    assert list(examine(page)) == []
    page.set_viewport_size({"width": 1440, "height": 900})
    page.reload()
    expect(page.locator("#gallery-groups li[data-key]")).to_have_count(2)

    # Beside the large picture.
    page = visit.go(f"/images/{images[3]}/")
    button = page.get_by_role("button", name="Key image of the report")
    expect(button).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("k")
    expect(button).to_have_attribute("aria-pressed", "true")
    assert set(key_images(portal, case)) == {*images[:2], images[3]}
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert set(key_images(portal, case)) == set(images[:2])


def test_what_a_line_rests_on_is_shown_in_the_gallery(visitor: Visitor, seeded: Any) -> None:
    case, _ = seeded("blast " * 12 + "monocyte monocyte")
    page = opened(visitor("pathologist"), case)
    link = page.locator("#case-reading .rests-on").get_by_role("link", name=re.compile("show all 12 images"))
    link.click()
    shown = page.locator("#gallery-groups li.tile:visible")
    expect(shown).to_have_count(12)
    page.get_by_role("button", name=re.compile("^All 14")).click()
    expect(shown).to_have_count(14)
    link.click()  # the address stands already
    expect(shown).to_have_count(12)


def test_the_menu_of_a_phone(visitor: Visitor, portal: Portal) -> None:
    visit = visitor("pathologist", viewport=WIDE, has_touch=True)
    page = visit.go("/")
    menu = page.get_by_role("navigation", name="Main")
    expect(menu).to_be_visible()
    expect(page.get_by_role("button", name="Menu")).to_be_hidden()
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    expect(menu).to_be_hidden()
    page.get_by_role("button", name="Menu").tap()
    expect(menu).to_be_visible()
    for link in menu.get_by_role("link").all():
        box = link.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
        assert box["height"] >= 40
    assert list(examine(page)) == []
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    page.get_by_role("button", name="Menu").tap()
    menu.get_by_role("link", name="Laboratory").tap()
    expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile("[Ll]aboratory|figures"))
