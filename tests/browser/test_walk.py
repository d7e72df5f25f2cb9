"""The walk that the product is for: a smear goes from upload to a reviewed verdict, by two people, in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, Visitor, sign_in
from tests.portal import Portal

pytestmark = pytest.mark.browser
READ = 180_000  # ms until both networks have read a few pictures on a busy machine


def test_from_upload_to_reviewed_verdict(visitor: Visitor, portal: Portal, smears: Path) -> None:
    # The technician signs in and opens a case.
    visit = visitor(None)
    page = visit.page
    sign_in(page, portal, "technician")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="New case").click()
    page.get_by_label("Medical record number").fill("7799-123")
    page.get_by_label("Name").fill("Rendered Person 77")
    page.get_by_label("Accession number").fill("ACC-26-09001")
    page.get_by_text("Urgent").click()
    page.get_by_role("button", name="Open the case").click()
    expect(page.get_by_role("heading", name="ACC-26-09001")).to_be_visible()
    expect(page.get_by_text("No images yet").first).to_be_visible()

    # They bring smears and watch them finish. The page is never reloaded: this mark survives.
    page.evaluate("window.notReloaded = true")
    page.locator("#files").set_input_files([smears / f"apl-{n}.jpg" for n in range(4)])
    expect(page.locator("#upload-summary")).to_have_text("All 4 files done: 4 accepted", timeout=PATIENCE)
    expect(page.locator("#gallery li.tile")).to_have_count(4, timeout=PATIENCE)
    expect(page.locator("#gallery li.tile.done")).to_have_count(4, timeout=READ)
    expect(page.locator("#case-reading .verdict b")).to_have_text(re.compile(r"\d+ %"))
    expect(page.locator("#gallery")).to_contain_text("4 undecided")
    assert page.evaluate("window.notReloaded") is True
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

    # The pathologist finds the case in the worklist and opens its first image.
    sign_in(page, portal, "pathologist")
    page.locator("#q").fill("09001")
    row = page.locator("tr", has_text="ACC-26-09001")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(row).to_contain_text("urgent")
    row.get_by_role("link").click()
    page.locator("#gallery li.tile[data-number='1'] a").dblclick()
    expect(page.get_by_role("heading", name="What the networks see")).to_be_visible()
    expect(page.locator(".opinion")).to_have_count(2)
    expect(page.locator(".openseadragon-canvas canvas").first).to_be_visible()

    # They agree with it: saved at once, said truthfully, and a person's word looks like one.
    page.get_by_role("button", name=re.compile("^Agree")).click()
    expect(page.locator("#save-state")).to_have_text("✓ Saved")
    expect(page.locator(".decided-now .by-person")).to_be_visible()
    page.get_by_role("link", name="Next undecided image").click()
    expect(page.get_by_role("heading", name="#2 of 4")).to_be_visible()

    # They override the next one, with a reason.
    page.get_by_label("Class to override with").select_option("monocyte")
    page.get_by_label("Comment").fill("Folded nucleus, grey cytoplasm.")
    page.locator("#override").click()
    expect(page.locator(".decided-now")).to_contain_text("Monocyte")
    expect(page.locator(".decided-now")).to_contain_text("Folded nucleus")
    page.reload()
    expect(page.locator(".decided-now")).to_contain_text("overrides")

    # The case shows both, the networks' words beside the person's, and the history knows who did what.
    page.locator("#to-case").click()
    tile = page.locator("#gallery li.tile[data-number='2']")
    expect(tile.locator(".by-person")).to_have_text("Monocyte")
    expect(tile.locator(".by-network")).to_be_visible()
    expect(page.locator("#gallery")).to_contain_text("2 undecided")
    page.get_by_role("link", name="All events").click()
    expect(page.get_by_text("The chain is intact")).to_be_visible()
    events = page.locator("tbody")
    expect(events).to_contain_text("Demo Technician uploaded apl-0.jpg")
    expect(events).to_contain_text(re.compile("Pathologist agreed that"))
    expect(events).to_contain_text(re.compile("Pathologist decided that .* shows monocyte"))


def test_worklist_follows_what_is_being_read(
    visitor: Visitor, portal: Portal, new_case: Callable[..., int], smears: Path
) -> None:
    case = new_case()
    portal.kill("worker")
    try:
        portal.upload(case, (smears / "reactive-0.jpg").read_bytes(), "reactive-0.jpg")
        visit = visitor("pathologist")
        accession = visit.go(f"/cases/{case}/").locator("h1").inner_text()
        page = visit.go(f"/?q={accession}")
        page.evaluate("window.notReloaded = true")
        row = page.locator(f"#case-{case}")
        expect(row).to_contain_text("reading 0 of 1")
        row.get_by_role("link").focus()
    finally:
        portal.start_worker()
    expect(row).not_to_contain_text("reading", timeout=READ)
    expect(row.locator(".read-bar")).to_contain_text("%")
    expect(row.get_by_role("link")).to_be_focused()
    assert page.evaluate("window.notReloaded") is True


def test_known_patient_is_filled_in_and_a_conflict_is_told(visitor: Visitor, portal: Portal) -> None:
    visit = visitor("technician")
    visit.expected = ("422",)
    page = visit.go("/cases/new/")
    page.get_by_label("Medical record number").fill("7799-500")
    page.get_by_label("Name").fill("Rendered Person 61")
    page.get_by_label("Accession number").fill("ACC-26-09500")
    page.get_by_role("button", name="Open the case").click()
    expect(page.get_by_role("heading", name="ACC-26-09500")).to_be_visible()

    page = visit.go("/cases/new/")
    page.get_by_label("Medical record number").fill("7799-500")
    page.get_by_label("Accession number").focus()
    expect(page.get_by_text("Known patient")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Rendered Person 61")
    page.get_by_label("Name").fill("Somebody Else")
    page.get_by_label("Accession number").fill("ACC-26-09501")
    page.get_by_role("button", name="Open the case").click()
    expect(page.get_by_text("Nothing is stored yet.")).to_be_visible()
    name = page.get_by_label("Name")
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_value("Somebody Else")
    expect(page.get_by_label("Accession number")).to_have_value("ACC-26-09501")

    # Emptied fields and a taken accession number are told beside their field too.
    page.get_by_label("Name").fill("Rendered Person 61")
    page.get_by_label("Accession number").fill("ACC-26-09500")
    page.get_by_role("button", name="Open the case").click()
    expect(page.get_by_label("Accession number")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Accession number").fill("")
    page.get_by_role("button", name="Open the case").click()
    expect(page.get_by_text("Please enter the accession number.")).to_be_visible()
