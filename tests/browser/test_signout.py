"""From the draft to a signed report in a real browser: nothing typed is lost, the signer is asked, the check tells."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_every_page import examine
from tests.portal import Portal

pytestmark = pytest.mark.browser
AWAY = ("Failed to load resource", "net::ERR")


def password_of(portal: Portal, role: str = "pathologist") -> str:
    return str(next(user["password"] for user in portal.credentials["users"] if user["role"] == role))


def decide_all(page: Page, portal: Portal, url: str, case: int) -> list[int]:
    found = portal.get(f"/api/v1/cases/{case}/images/", portal.credentials["api_token"])[1]["results"]
    ids = [image["id"] for image in found]
    for pk in ids:
        page.goto(f"{url}/images/{pk}/")
        page.get_by_role("button", name=re.compile("^Agree")).click()
        page.locator(".decided-now").wait_for()
    return ids


def choose_diagnosis(page: Page, words: str) -> None:
    box = page.get_by_role("combobox", name="Diagnosis")
    box.click()
    page.keyboard.type(words)
    page.keyboard.press("Enter")


def test_a_draft_survives_a_reload_and_an_absent_server(visitor: Visitor, new_case: Callable[..., int]) -> None:
    visit = visitor("pathologist")
    visit.expected = AWAY
    page = visit.go(f"/cases/{new_case()}/")
    state = page.locator("#draft-state")
    comment = page.get_by_label("Comment", exact=False).and_(page.locator("textarea"))
    choose_diagnosis(page, "9866")
    expect(state).to_contain_text("✓ Saved")
    expect(page.get_by_role("combobox", name="Diagnosis")).to_have_value(re.compile("^Acute promyelocytic"))
    expect(page.locator("#report-missing")).not_to_contain_text("No diagnosis")
    expect(page.locator("#report-missing")).to_contain_text("nothing to report on")

    visit.context.set_offline(True)
    comment.fill("Typed while the server was away.")
    expect(state).to_contain_text("Not saved – trying again")
    visit.context.set_offline(False)
    expect(state).to_contain_text("✓ Saved")

    # The server does not answer, and the page is closed and opened again.
    page.route("**/report/draft/", lambda route: route.abort())
    comment.fill("Typed before the laptop was closed.")
    expect(state).to_contain_text("Not saved – trying again")
    page.unroute("**/report/draft/")
    page.reload()
    expect(comment).to_have_value("Typed before the laptop was closed.")
    expect(state).to_contain_text("✓ Saved")
    page.reload()
    expect(comment).to_have_value("Typed before the laptop was closed.")
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft:'))") == []


def test_two_pathologists_write_and_neither_overwrites_the_other(
    visitor: Visitor, new_case: Callable[..., int]
) -> None:
    case = new_case()
    first, second = visitor("pathologist"), visitor("pathologist", number=1)
    second.expected = AWAY
    one, two = first.go(f"/cases/{case}/"), second.go(f"/cases/{case}/")
    one.locator("#report-comment").fill("What the first wrote.")
    expect(one.locator("#draft-state")).to_contain_text("✓ Saved")
    two.locator("#report-comment").fill("What the second wrote.")
    expect(two.locator("#draft-problem")).to_contain_text("What the first wrote.")
    expect(two.locator("#report-comment")).to_have_value("What the second wrote.")
    expect(two.locator("#draft-state")).to_contain_text("two drafts")
    two.get_by_role("button", name="Keep mine").click()
    expect(two.locator("#draft-state")).to_contain_text("✓ Saved")
    one.reload()
    expect(one.locator("#report-comment")).to_have_value("What the second wrote.")


def test_sign_amend_and_verify(visitor: Visitor, portal: Portal, new_case: Callable[..., int], smears: Path) -> None:
    case = new_case(upload=[smears / "apl-2.jpg", smears / "apl-3.jpg"])
    visit = visitor("pathologist")
    visit.expected = (*AWAY, "409", "422")
    page = visit.page
    images = decide_all(page, portal, visit.url, case)

    visit.go(f"/cases/{case}/")
    choose_diagnosis(page, "promyelocytic")
    page.get_by_label("Statement").fill("Promyelocytes with Auer rods.")
    # A link that leaves waits for the save.
    page.get_by_role("link", name="Choose up to 6").click()
    page.get_by_role("heading", name="Key images of").wait_for()
    page.locator("input[type=checkbox]").first.check()
    expect(page.locator("#key-count")).to_have_text("1 of 6 chosen")
    page.get_by_role("button", name="Use these").click()
    expect(page.locator("#report-missing")).to_contain_text("Nothing is missing")
    found: list[str] = []

    page.get_by_role("link", name="Preview and sign").click()
    expect(page.get_by_role("heading", name="Your signature")).to_be_visible()
    found += examine(page)
    page.get_by_label("Password of").fill("not the password")
    page.get_by_role("button", name=re.compile("^Sign version 1")).click()
    expect(page.get_by_role("alert")).to_contain_text("this is not your password")
    expect(page.locator(".report")).to_contain_text("Promyelocytes with Auer rods.")
    page.get_by_label("Password of").fill(password_of(portal))
    page.get_by_role("button", name=re.compile("^Sign version 1")).click()
    expect(page.get_by_text("Current version")).to_be_visible()
    found += examine(page)
    first = page.locator(".report-code code").nth(1).inner_text()
    status, document = portal.request("GET", f"/api/v1/cases/{case}/reports/1/", token=portal.credentials["api_token"])
    assert (status, document["content_hash"]) == (200, first)

    # Nothing can be decided in a signed case.
    visit.go(f"/images/{images[0]}/")
    expect(page.locator("#agree")).to_have_count(0)

    visit.go(f"/cases/{case}/report/change/")
    found += examine(page)
    page.get_by_label("Reason").fill("PML::RARA was not found.")
    page.get_by_role("button", name="Open the case for an amendment").click()
    expect(page.locator("#case-report")).to_contain_text("Open for an amendment of version 1")
    choose_diagnosis(page, "9861")
    expect(page.locator("#draft-state")).to_contain_text("✓ Saved")
    page.get_by_role("link", name="Preview and sign").click()
    expect(page.get_by_role("heading", name="What this version changes")).to_be_visible()
    page.get_by_label("Password of").fill(password_of(portal))
    page.get_by_role("button", name=re.compile("^Sign version 2")).click()
    expect(page.get_by_text("Current version")).to_be_visible()
    visit.go(f"/cases/{case}/report/1/")
    expect(page.get_by_text("Superseded by version 2").first).to_be_visible()
    found += examine(page)

    # Whoever holds the first version asks, without an account.
    holder = visitor(None)
    holder.expected = ("404",)
    asked = holder.go("/verify/")
    found += examine(asked)
    asked.get_by_label("Check code").fill("-".join(first[at : at + 4] for at in range(0, 16, 4)).upper())
    asked.get_by_role("button", name="Check").click()
    expect(asked.get_by_role("heading", name="Superseded")).to_be_visible()
    expect(asked.locator("main")).not_to_contain_text("Rendered Person")
    found += examine(asked)
    # The file itself is hashed in the browser: one that was never signed is not known.
    asked.locator("#pdf").set_input_files([smears / "letter.jpg"])
    expect(asked.get_by_role("heading", name="Unknown")).to_be_visible()
    assert found == []


def test_other_pages_of_the_sign_out(visitor: Visitor, new_case: Callable[..., int]) -> None:
    case = new_case()
    pathologist, administrator = visitor("pathologist"), visitor("administrator")
    found: list[str] = []
    for path in ("/templates/", f"/cases/{case}/report/sign/", f"/cases/{case}/report/images/"):
        found += examine(pathologist.go(path))
    found += examine(administrator.go("/account/laboratory/"))
    page = pathologist.go("/templates/")
    page.get_by_label("Title").fill("Flow cytometry")
    page.get_by_label("Text").fill("Flow cytometry is advised.")
    page.get_by_role("button", name="Store").click()
    page.get_by_role("link", name="Change Flow cytometry").wait_for()
    found += examine(page)
    page = pathologist.go(f"/cases/{case}/")
    page.locator("#report-comment").fill("Before.")
    page.get_by_role("button", name="Insert").click()
    expect(page.locator("#report-comment")).to_have_value("Before.\nFlow cytometry is advised.")
    expect(page.locator("#draft-state")).to_contain_text("✓ Saved")
    box = page.get_by_role("combobox", name="Diagnosis")
    box.click()
    page.keyboard.type("lymphoblastic nothing")
    expect(page.get_by_role("listbox")).to_contain_text("No diagnosis has these words")
    box.fill("mature b 9823")
    expect(page.get_by_role("listbox").get_by_role("option")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(box).to_have_value("")
    assert found == []
