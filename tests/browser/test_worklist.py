"""The worklist in a real browser: claiming, saved views, the keyboard, two people at one case, no script at all."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, PHONE, Visitor
from tests.browser.test_every_page import examine
from tests.portal import Portal

pytestmark = pytest.mark.browser


def accession(portal: Portal, case: int) -> str:
    number: str = portal.get(f"/api/v1/cases/{case}/", portal.credentials["api_token"])[1]["accession_number"]
    return number


def test_claim_take_over_and_release(visitor: Visitor, portal: Portal, new_case: Callable[..., int]) -> None:
    case = new_case()
    number = accession(portal, case)
    first, second = visitor("pathologist"), visitor("pathologist", number=1)
    page = first.go(f"/?view=unassigned&q={number}")
    row = page.locator(f"#case-{case}")
    row.get_by_role("button", name=f"Claim {number}").click()
    page.get_by_role("heading", name="No case fits").wait_for()  # it has left the unassigned ones
    page.locator("#tile-mine").click()
    expect(page.locator(f"#case-{case}")).to_contain_text("You")

    other = second.go(f"/cases/{case}/")
    other.locator("#take-over summary").click()
    expect(other.get_by_text("If you take it over, it is yours")).to_be_visible()
    other.get_by_role("button", name="Take it over").click()
    expect(other.locator("#case-head")).to_contain_text("Yours")
    expect(other.locator("#case-events")).to_contain_text("took the case over from")

    page.goto(f"{first.url}/cases/{case}/?from=mine")
    expect(page.locator("#take-over summary")).to_contain_text("Held by")
    other.get_by_role("button", name="Release").click()
    expect(other.get_by_role("button", name="Claim")).to_be_visible()


def test_saved_view(visitor: Visitor, new_case: Callable[..., int]) -> None:
    new_case()
    page = visitor("pathologist").go("/?view=late")
    page.locator("#flag").select_option("networks_disagree")
    page.get_by_role("heading", name="No case fits").wait_for()
    page.get_by_text("Views", exact=True).click()
    page.get_by_label("Save what the list shows now as").fill("Late and unsure")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved as “Late and unsure”.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?view=late&flag=networks_disagree$"))
    page.goto(page.url.split("?")[0])
    page.get_by_text("Views", exact=True).click()
    page.get_by_role("link", name="Late and unsure").click()
    expect(page.locator("#flag")).to_have_value("networks_disagree")
    expect(page.locator("#tile-late")).to_have_attribute("aria-current", "true")
    page.locator(".menu.views summary").click()
    assert list(examine(page)) == []
    page.goto(page.url.split("?")[0] + "views/")
    assert list(examine(page)) == []
    page.get_by_role("button", name="Delete Late and unsure").click()
    page.get_by_role("heading", name="No saved views").wait_for()


def test_by_keyboard_from_the_list_through_the_cases(
    visitor: Visitor, portal: Portal, new_case: Callable[..., int]
) -> None:
    cases = [new_case(name="Keyboard Walker") for _ in range(3)]
    page = visitor("pathologist").go("/?view=open&q=keyboard+walker")
    expect(page.locator("tbody tr")).to_have_count(3)
    press = page.keyboard.press
    page.wait_for_load_state()
    press("j")
    press("j")
    press("k")
    expect(page.locator(f"#case-{cases[0]} .accession")).to_be_focused()
    press("c")
    expect(page.locator(f"#case-{cases[0]}")).to_contain_text("You")
    page.wait_for_load_state()
    press("j")
    press("Enter")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text(accession(portal, cases[0]))
    for key, at in (("]", 1), ("]", 2), ("[", 1)):
        page.wait_for_load_state()
        press(key)
        expect(heading).to_have_text(accession(portal, cases[at]))
    page.locator("#to-list").click()
    expect(page.locator("#q")).to_have_value("keyboard walker")
    press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("nobody is called so")
    expect(page.get_by_role("heading", name="No case fits")).to_be_visible(timeout=PATIENCE)


def test_without_script_and_on_a_phone(visitor: Visitor, portal: Portal, new_case: Callable[..., int]) -> None:
    case = new_case(name="Plain Person")
    number = accession(portal, case)
    page = visitor("pathologist", java_script_enabled=False, viewport=PHONE).go("/")
    page.get_by_label("Search by accession").fill(number)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name=number).click()
    page.get_by_role("button", name="Claim").click()
    expect(page.locator("#case-head")).to_contain_text("Yours")
    page.get_by_role("button", name="Release").click()
    page.get_by_role("link", name="Back to the worklist").click()
    expect(page.get_by_label("Search by accession")).to_have_value(number)
    page.get_by_text("Views", exact=True).click()
    page.get_by_label("Save what the list shows now as").fill("Plain view")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved as “Plain view”.")).to_be_visible()
    page.goto(page.url.split("?")[0] + "views/")
    page.get_by_role("button", name="Delete Plain view").click()


def test_take_next(visitor: Visitor, new_case: Callable[..., int], smears: object) -> None:
    from pathlib import Path

    new_case(upload=[Path(str(smears)) / "reactive-3.jpg"])
    page = visitor("pathologist").go("/")
    page.wait_for_load_state()
    page.keyboard.press("n")
    expect(page.locator("#case-head")).to_contain_text("Yours")
    expect(page.locator("#to-list")).to_have_attribute("href", "/?view=mine")
