"""A second opinion on the real back end: asked, given blind, differing, adjudicated, and taken into the report."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, WIDE, Visitor
from tests.browser.test_every_page import examine

pytestmark = pytest.mark.browser
AML, APL = "9861/3", "9866/3"
SHOTS = os.environ.get("SHOTS")  # a folder: photographs of each step, to be looked at


def shoot(page: Page, name: str) -> None:
    if not SHOTS:
        return
    for viewport in (WIDE, PHONE):
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=f"{SHOTS}/{name}-{viewport['width']}-{scheme}.png", full_page=True)
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="light")


def test_from_question_to_adjudication(visitor: Visitor, new_case: Callable[..., int], smears: Path) -> None:
    case = new_case(upload=[smears / "apl-3.jpg", smears / "apl-4.jpg"])
    first, second, third = (visitor("pathologist", number=number) for number in range(3))
    found: list[str] = []

    # Nothing is chosen: the page says what is missing and keeps what was typed.
    page = first.go(f"/cases/{case}/")
    first.expected = ("422",)
    card = page.locator("#case-second")
    card.get_by_role("link", name="Ask a colleague").click()
    page.get_by_label("Question").fill("Promyelocytes or large lymphocytes?")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose your own diagnosis first")
    expect(page.get_by_label("Question")).to_have_value("Promyelocytes or large lymphocytes?")
    name = page.locator("label.choice:not(.off)").nth(0).inner_text()
    page.get_by_role("checkbox").nth(0).check()
    page.get_by_label("Your own diagnosis").select_option(AML)
    shoot(page, "ask")
    found += examine(page)
    page.get_by_role("button", name="Ask").click()
    expect(card).to_contain_text("waiting")
    shoot(page, "asked")

    # The colleague is told by the bell and sees no decision.
    page = second.go("/")
    expect(page.locator("#bell .count")).to_be_visible()
    page.locator("#bell").click()
    shoot(page, "notices")
    found += examine(page)
    page.get_by_role("link", name=re.compile("asks for your opinion on")).first.click()
    card = page.locator("#case-second")
    expect(card).to_contain_text("Promyelocytes or large lymphocytes?")
    expect(page.locator("#case-report")).to_contain_text("Shown once you have answered")
    expect(page.get_by_role("link", name="Ask a colleague")).to_have_count(0)
    shoot(page, "blinded")
    found += examine(page)
    second.expected = ("422",)
    card.get_by_role("button", name="Give my opinion").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose the diagnosis that you come to")
    found += examine(page)
    shoot(page, "answer-again")
    page.get_by_label("What you see").fill("Bundles of Auer rods.")
    page.get_by_label("Your diagnosis").select_option(APL)
    page.get_by_role("button", name="Give my opinion").click()
    expect(page.locator("#case-second")).to_contain_text("Two opinions differ")
    expect(page.locator("#case-second")).to_contain_text("Acute myeloid leukaemia, not further specified")

    # The one who asked is told; a third pathologist settles it.
    page = first.go(f"/cases/{case}/")
    expect(page.locator("#case-second")).to_contain_text(name)
    expect(page.locator("#case-second")).to_contain_text("Bundles of Auer rods.")
    shoot(page, "differs")
    found += examine(page)
    page.get_by_role("link", name="Settle it together").click()
    expect(page.get_by_role("checkbox")).to_have_count(1)
    page = third.go("/notices/")
    page.get_by_role("link", name=re.compile("Two opinions on .* differ")).first.click()
    page.get_by_role("link", name="Adjudicate").click()
    page.get_by_label("Diagnosis that settles it").select_option(APL)
    page.get_by_label("Why").fill("Auer rods in bundles; PML::RARA found.")
    shoot(page, "adjudicate")
    found += examine(page)
    page.get_by_role("button", name="Settle it").click()
    expect(page.locator("#case-second")).to_contain_text("as adjudicator")

    # It goes into the report by a click, and by nothing else.
    page = first.go(f"/cases/{case}/")
    expect(page.locator("#report-diagnosis")).to_have_value("")
    shoot(page, "settled")
    page.get_by_role("button", name="Take it into the report").click()
    expect(page.locator("#report-diagnosis")).to_have_value(APL)
    expect(page.get_by_role("button", name="Take it into the report")).to_have_count(0)
    for path, shot in (("/opinions/", "opinions"), ("/notices/settings/", "settings")):
        page = first.go(path)
        shoot(page, shot)
        found += examine(page)
    if SHOTS:
        Path(SHOTS, "found.txt").write_text("\n".join(found))
    assert found == []


def test_the_bell_follows_without_a_reload(visitor: Visitor, new_case: Callable[..., int], smears: Path) -> None:
    case = new_case(upload=[smears / "reactive-3.jpg"])
    colleague = visitor("pathologist", number=1)
    page = colleague.go("/notices/")
    if page.get_by_role("button", name="Mark all as read").count():
        page.get_by_role("button", name="Mark all as read").click()
    expect(page.locator("#bell .count")).to_be_hidden()
    asker = visitor("pathologist").go(f"/cases/{case}/opinion/")
    asker.get_by_role("checkbox").nth(0).check()
    asker.get_by_label("Your own diagnosis").select_option("reactive")
    asker.get_by_role("button", name="Ask").click()
    expect(asker.locator("#case-second")).to_contain_text("waiting")
    # As when the page is looked at again after a while.
    page.wait_for_timeout(5_200)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#bell .count")).to_have_text("1")
    expect(page.locator("#bell")).to_have_attribute("aria-label", "Notices, 1 unread")


def test_settings_without_scripts(visitor: Visitor) -> None:
    page = visitor("technician", java_script_enabled=False).go("/notices/settings/")
    box = page.get_by_role("checkbox", name="A reading failed for good in a case: by mail")
    expect(box).not_to_be_checked()
    box.check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("checkbox", name="A reading failed for good in a case: by mail")).to_be_checked()
