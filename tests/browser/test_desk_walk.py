"""The desk's whole way on the real back end: upload, read, review by keyboard, second opinion, sign, amend, verify."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Visitor, sign_in
from tests.browser.test_signout import choose_diagnosis, password_of
from tests.portal import Portal

pytestmark = pytest.mark.browser
READ = 240_000  # ms until both networks have read a few pictures on a busy machine
NUMBER = "ACC-26-07001"
APL, AML = "9866/3", "9861/3"


def saved(page: Page) -> None:
    expect(page.locator("#review-state")).to_have_text("✓ Saved", timeout=PATIENCE)


def find(page: Page) -> None:
    """From the worklist to the case, as people do."""
    page.locator("#q").fill(NUMBER.rpartition("-")[2])
    row = page.locator("tbody tr", has_text=NUMBER)
    expect(row).to_have_count(1)
    row.get_by_role("link", name=NUMBER).click()
    expect(page.get_by_role("heading", name=NUMBER)).to_be_visible()
    page.wait_for_load_state("load")  # the keys are there


def sign(page: Page, portal: Portal, version: int) -> str:
    """Preview, prove who signs, sign; answers the check code of the signed version."""
    expect(page.locator("#draft-state")).to_contain_text("✓ Saved")
    page.locator("#to-signing").click()
    page.get_by_label("Password of").fill(password_of(portal))
    page.get_by_role("button", name=re.compile(f"^Sign version {version}")).click()
    expect(page.get_by_text("Current version")).to_be_visible(timeout=PATIENCE)
    return page.locator(".report-code code").nth(1).inner_text()[:16]


@pytest.mark.timeout(900)
def test_from_upload_to_a_verified_amendment(visitor: Visitor, portal: Portal, smears: Path) -> None:
    # The technician opens an urgent case and brings its smears; both networks read them.
    page = visitor("technician").go("/cases/new/")
    page.get_by_label("Medical record number").fill("7799-701")
    page.locator("input[name=name]").fill("Rendered Person 71")
    page.get_by_label("Accession number").fill(NUMBER)
    page.get_by_text("Urgent").click()
    page.get_by_role("button", name="Open the case").click()
    expect(page.get_by_role("heading", name=NUMBER)).to_be_visible()
    page.wait_for_load_state("load")
    page.locator("#files").set_input_files([smears / f"apl-{number}.jpg" for number in range(3, 7)])
    expect(page.locator("#upload-summary")).to_have_text("All 4 files done: 4 accepted", timeout=PATIENCE)
    expect(page.locator("#gallery li.tile.done")).to_have_count(4, timeout=READ)

    # The pathologist finds it and reviews it without a mouse: to the next undecided one, confirm, and on.
    first = visitor(None)
    page = first.page
    sign_in(page, portal, "pathologist")
    find(page)
    saved(page)
    expect(page.locator("#report-missing")).to_contain_text("4 images are not decided")
    page.keyboard.press("n")
    for left in (3, 2, 1, 0):
        page.keyboard.press("c")
        expect(page.locator("#gallery li.tile.decided")).to_have_count(4 - left)
    saved(page)
    page.keyboard.press("z")
    expect(page.locator("#gallery li.tile.decided")).to_have_count(3)
    page.keyboard.press("y")
    expect(page.locator("#gallery li.tile.decided")).to_have_count(4)
    saved(page)
    page.reload()
    expect(page.locator("#gallery li.tile.decided")).to_have_count(4)
    choose_diagnosis(page, "9866")
    expect(page.locator("#draft-state")).to_contain_text("✓ Saved")

    # A colleague is asked; until they have answered nothing can be signed.
    page.locator("#case-second").get_by_role("link", name="Ask a colleague").click()
    page.get_by_role("checkbox").nth(0).check()
    page.get_by_label("Question").fill("Microgranular variant?")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#case-second")).to_contain_text("waiting")
    expect(page.locator("#report-missing")).to_contain_text(re.compile("opinion", re.IGNORECASE))

    # The colleague sees the smear and the networks, and nothing that was decided.
    second = visitor("pathologist", number=1)
    colleague = second.go("/notices/")
    colleague.get_by_role("link", name=re.compile(f"asks for your opinion on.*{NUMBER}")).first.click()
    expect(colleague.locator("#case-second")).to_contain_text("Microgranular variant?")
    expect(colleague.locator("#case-report")).to_contain_text("Shown once you have answered")
    expect(colleague.locator("#gallery .by-person:visible")).to_have_count(0)
    colleague.get_by_label("Your diagnosis").select_option(APL)
    colleague.get_by_role("button", name="Give my opinion").click()
    expect(colleague.locator("#case-report")).not_to_contain_text("Shown once you have answered")
    expect(colleague.locator("#gallery .by-person:visible")).to_have_count(4)

    # Signed, printed, and closed to further decisions.
    page = first.page
    page.reload()
    expect(page.locator("#report-missing")).to_contain_text("Nothing is missing")
    page.get_by_label("Statement").fill("Promyelocytes with bundles of Auer rods.")
    one = sign(page, portal, 1)
    pdf = page.evaluate(
        "fetch(document.querySelector('a[href$=\"/report/1/pdf\"]').href).then(async (answer) => "
        "[answer.status, (await answer.text()).slice(0, 5)])"
    )
    assert pdf == [200, "%PDF-"]
    case = re.search(r"/cases/(\d+)/", page.url)
    assert case is not None
    path = f"/cases/{case[1]}/"
    expect(first.go(path).locator("#case-report")).to_contain_text("signed")

    # What came later changes the diagnosis: a second version, the first one stays.
    page.get_by_role("link", name="Change it").click()
    page.get_by_label("Reason").first.fill("PML::RARA was not found.")
    page.get_by_role("button", name="Open the case for an amendment").click()
    expect(page.locator("#case-report")).to_contain_text("Open for an amendment of version 1")
    choose_diagnosis(page, "9861")
    two = sign(page, portal, 2)
    assert one != two

    # Whoever holds a print asks without an account which of the two counts.
    holder = visitor(None)
    for code, standing in ((two, "Current"), (one, "Superseded")):
        asked = holder.go("/verify/")
        asked.get_by_label("Check code").fill(code)
        asked.get_by_role("button", name="Check").click()
        expect(asked.get_by_role("heading", name=standing, exact=True)).to_be_visible()
        expect(asked.locator("main")).not_to_contain_text("Rendered Person")

    # The history knows all of it, and the laboratory's figures count it.
    events = first.go(f"{path}history/")
    expect(events.get_by_text("The chain is intact")).to_be_visible()
    for words in ("uploaded apl-3.jpg", "asked", "signed"):
        expect(events.locator("tbody")).to_contain_text(words)
    figures = visitor("administrator").go("/laboratory/?days=7")
    expect(figures.get_by_role("heading", name="What came in, what went out")).to_be_visible()
    expect(figures.locator("main")).to_contain_text("Reports amended")
    expect(figures.get_by_role("region", name="Cells: overrides by class and network")).to_contain_text("of 4")
