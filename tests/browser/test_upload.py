"""Uploads: every file ends as one outcome in words, a failure takes no neighbour down, nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import PATIENCE, Visitor
from tests.portal import Portal

pytestmark = pytest.mark.browser


def test_each_file_has_its_outcome(visitor: Visitor, new_case: Callable[..., int], smears: Path) -> None:
    case = new_case()
    page = visitor("technician").go(f"/cases/{case}/")
    page.locator("#files").set_input_files(
        [smears / name for name in ("reactive-0.jpg", "cut-off.jpg", "letter.jpg", "reactive-1.jpg")]
    )
    summary = page.locator("#upload-summary")
    expect(summary).to_have_text("All 4 files done: 2 accepted, 2 not accepted", timeout=PATIENCE)
    page.locator("#files").set_input_files(smears / "reactive-0.jpg")
    expect(summary).to_have_text("All 5 files done: 2 accepted, 1 already here, 2 not accepted", timeout=PATIENCE)
    rows = page.locator(".upload-row")
    expect(rows.nth(0)).to_contain_text("✓ Accepted")
    expect(rows.nth(1)).to_contain_text(re.compile("▲ Not accepted.*cut off", re.IGNORECASE))
    expect(rows.nth(2)).to_contain_text("▲ Not accepted")
    expect(rows.nth(3)).to_contain_text("✓ Accepted")
    expect(rows.nth(4)).to_contain_text("◆ Already in this case")
    expect(page.locator("#gallery li.tile")).to_have_count(2, timeout=PATIENCE)


def test_files_that_were_chosen_before_the_script_came_are_taken(
    visitor: Visitor, new_case: Callable[..., int], smears: Path
) -> None:
    visit = visitor("technician")
    held: list[Route] = []
    visit.page.route("**/upload*.js", lambda route: held.append(route))
    with visit.page.expect_request("**/upload*.js"):
        visit.page.goto(f"{visit.url}/cases/{new_case()}/", wait_until="commit")
    visit.page.locator("#files").set_input_files([smears / f"reactive-{n}.jpg" for n in (6, 7)])
    expect(visit.page.locator("#upload-board")).to_be_hidden()
    assert len(held) == 1
    held[0].continue_()
    expect(visit.page.locator("#upload-summary")).to_have_text("All 2 files done: 2 accepted", timeout=PATIENCE)


def test_a_pdf_that_was_chosen_before_the_script_came_is_checked(visitor: Visitor, smears: Path) -> None:
    visit = visitor(None)
    visit.expected = ("404",)
    held: list[Route] = []
    visit.page.route("**/verify*.js", lambda route: held.append(route))
    with visit.page.expect_request("**/verify*.js"):
        visit.page.goto(f"{visit.url}/verify/", wait_until="commit")
    visit.page.locator("#pdf").set_input_files(smears / "letter.jpg")
    assert len(held) == 1
    held[0].continue_()
    expect(visit.page.get_by_role("heading", name="Unknown")).to_be_visible()


def test_a_broken_transfer_is_tried_again(visitor: Visitor, new_case: Callable[..., int], smears: Path) -> None:
    case = new_case()
    visit = visitor("technician")
    visit.expected = ("Failed to load resource",)
    page = visit.go(f"/cases/{case}/")
    broken: list[str] = []

    def break_it(route: Route) -> None:
        # The second file never gets through; its neighbours are let through at once.
        if b"reactive-3.jpg" in (route.request.post_data_buffer or b""):
            broken.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/cases/*/images/", break_it)
    page.locator("#files").set_input_files([smears / f"reactive-{n}.jpg" for n in (2, 3, 4)])
    expect(page.locator("#upload-summary")).to_have_text(
        "All 3 files done: 2 accepted, 1 not uploaded", timeout=PATIENCE
    )
    assert len(broken) == 3
    row = page.locator(".upload-row").nth(1)
    expect(row).to_contain_text("Nothing is lost here")
    page.unroute("**/cases/*/images/")
    row.get_by_role("button", name="Try again").click()
    expect(page.locator("#upload-summary")).to_have_text("All 3 files done: 3 accepted", timeout=PATIENCE)


def test_without_javascript(visitor: Visitor, new_case: Callable[..., int], smears: Path) -> None:
    case = new_case()
    page = visitor("technician", java_script_enabled=False).go(f"/cases/{case}/")
    page.locator("#files").set_input_files([smears / "reactive-5.jpg", smears / "letter.jpg"])
    page.get_by_role("button", name="Upload").click()
    rows = page.locator("tbody tr")
    expect(rows.nth(0)).to_contain_text("✓ Accepted")
    expect(rows.nth(1)).to_contain_text("▲ Not accepted")
    page.get_by_role("link", name="Back to the case").click()
    expect(page.locator("#gallery li.tile")).to_have_count(1)


def test_says_when_no_worker_runs_and_goes_on_when_one_does(
    visitor: Visitor, portal: Portal, new_case: Callable[..., int], smears: Path
) -> None:
    case = new_case()
    page = visitor("technician").go(f"/cases/{case}/")
    page.evaluate("window.notReloaded = true")
    portal.kill("worker")
    try:
        page.locator("#files").set_input_files(smears / "reactive-6.jpg")
        expect(page.locator("#gallery")).to_contain_text("Waiting", timeout=PATIENCE)
        expect(page.locator("#gallery")).to_contain_text("No worker is running", timeout=PATIENCE)
    finally:
        portal.start_worker()
    expect(page.locator("#gallery li.tile.done")).to_have_count(1, timeout=180_000)
    expect(page.locator("#gallery")).not_to_contain_text("No worker is running")
    assert page.evaluate("window.notReloaded") is True


def test_live_status_keeps_scroll_focus_and_tells_of_a_server_that_is_away(
    visitor: Visitor, portal: Portal, new_case: Callable[..., int], smears: Path
) -> None:
    case = new_case(upload=[smears / "apl-4.jpg", smears / "apl-5.jpg"])
    visit = visitor("technician", viewport={"width": 390, "height": 844})
    visit.expected = ("Failed to load resource",)
    page = visit.go(f"/cases/{case}/")
    portal.kill("worker")
    try:
        page.locator("#files").set_input_files(smears / "apl-6.jpg")
        expect(page.locator("#gallery li.tile")).to_have_count(3, timeout=PATIENCE)
        page.locator("#gallery li.tile a").nth(1).focus()
        page.evaluate("document.activeElement.scrollIntoView({block: 'center'})")
        focus, place = "document.activeElement.id", "document.activeElement.getBoundingClientRect().top"
        focused, stood = page.evaluate(focus), page.evaluate(place)
        page.route("**/live/", lambda route: route.abort("connectionrefused"))
        expect(page.locator("#live-status")).to_contain_text("The server does not answer", timeout=PATIENCE)
        page.unroute("**/live/")
        expect(page.locator("#live-status")).to_be_hidden(timeout=PATIENCE)
    finally:
        portal.start_worker()
    expect(page.locator("#gallery li.tile.done")).to_have_count(3, timeout=180_000)
    assert page.evaluate(focus) == focused
    # Whatever grew or shrank above it, what the person looks at stays where it was.
    assert abs(page.evaluate(place) - stood) < 120
