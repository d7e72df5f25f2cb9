"""The batch page in Chromium, with tus-js-client: outcomes, a reload and a killed server in mid-upload, pause."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import PATIENCE, Visit, Visitor
from tests.browser.test_every_page import examine
from tests.hostile import jpeg
from tests.portal import Portal
from tests.smears import picture

pytestmark = pytest.mark.browser
_numbers = itertools.count(1)


def open_batch(visit: Visit) -> Page:
    page = visit.go("/batches/")
    page.get_by_role("button", name="New batch").click()
    page.get_by_role("heading", name="Bring files").wait_for()
    return page


@pytest.fixture
def accession(portal: Portal) -> str:
    """Of a new case, long enough to be found in a name."""
    number = f"BATCH-{next(_numbers)}"
    body = {"accession_number": number, "patient": {"mrn": f"MRN-{number}"}}
    token = portal.credentials["api_token"]
    status, case = portal.request("POST", "/api/v1/cases/", token=token, body=json.dumps(body).encode())
    assert status == 201, case
    return number


def test_each_file_has_its_outcome_and_the_tray_assigns(
    visitor: Visitor, portal: Portal, accession: str, tmp_path: Path
) -> None:
    for name, data in (
        (f"{accession} one.jpg", jpeg(seed=500)),
        ("IMG_1.jpg", jpeg(seed=501)),
        ("a.jpg", b"no picture"),
    ):
        (tmp_path / name).write_bytes(data)
    page = open_batch(visitor("technician"))
    page.locator("#files").set_input_files(sorted(tmp_path.iterdir()))
    expect(page.locator("#sending-words")).to_have_text("All 3 sent", timeout=PATIENCE)
    rows = page.locator("#batch-files tbody tr")
    expect(rows).to_have_count(3, timeout=PATIENCE)
    found = list(examine(page))
    page.get_by_role("link", name="Assign 1 in the tray").click()
    page.get_by_label("IMG_1.jpg").check()
    found += examine(page)
    page.get_by_label("Accession number of the case").fill(accession)
    page.get_by_role("button", name="Assign 1").click()
    expect(page.locator(".messages")).to_contain_text(f"{accession}: 1 accepted.")
    for path in ("/batches/", "/batches/rules/", "/tray/"):
        page.goto(portal.url + path)
        found += examine(page)
    assert found == []


def test_a_reload_and_a_killed_server_lose_nothing(
    visitor: Visitor, portal: Portal, accession: str, tmp_path: Path
) -> None:
    big = picture(7, side=1800)  # of several pieces
    assert len(big) > 9_000_000
    (tmp_path / f"{accession} big.png").write_bytes(big)
    for number in range(3):
        (tmp_path / f"{accession} {number}.jpg").write_bytes(jpeg(seed=600 + number))
    visit = visitor("technician")
    visit.expected = ("Failed to load resource", "net::ERR")
    page = open_batch(visit)
    pieces = 0

    def after_the_first(route: Route) -> None:
        nonlocal pieces
        if route.request.method == "PATCH" and route.request.headers.get("upload-offset") not in (None, "0"):
            route.abort("connectionreset")
        else:
            pieces += 1
            route.continue_()

    page.route("**/uploads/**", after_the_first)
    page.locator("#files").set_input_files(sorted(tmp_path.iterdir()))
    expect(page.locator("#sending-list")).to_contain_text("trying again", timeout=PATIENCE)
    page.unroute("**/uploads/**")
    portal.kill("web")
    portal.start_web()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.headers.get('upload-offset', '')}"))
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.locator("#batch-files tbody tr").filter(has_text="Accepted")).to_have_count(4, timeout=PATIENCE)
    assert "PATCH 0" not in sent  # it went on where it was, from the copy that the browser kept
    assert not any(line.startswith("POST") for line in sent)


def test_pause_and_go_on(visitor: Visitor, portal: Portal, accession: str, tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{accession} {number}.jpg").write_bytes(jpeg(seed=700 + number) + os.urandom(4))
    page = open_batch(visitor("technician"))
    held: list[Route] = []
    page.route("**/uploads/", lambda route: held.append(route))  # nothing gets on while somebody reaches for the button
    page.locator("#files").set_input_files(sorted(tmp_path.iterdir()))
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#sending-words")).to_contain_text("paused")
    page.unroute("**/uploads/")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#sending-words")).to_have_text("All 30 sent", timeout=PATIENCE)


def test_the_bell_tells_that_a_batch_is_read_and_leads_to_it(visitor: Visitor, accession: str, tmp_path: Path) -> None:
    (tmp_path / f"{accession} 1.jpg").write_bytes(jpeg(seed=800))
    (tmp_path / "IMG_1.jpg").write_bytes(jpeg(seed=801))
    visit = visitor("technician")
    page = open_batch(visit)
    address = page.url
    name = page.locator("h1").inner_text()
    page.locator("#files").set_input_files(sorted(tmp_path.iterdir()))
    expect(page.locator("#sending-words")).to_have_text("All 2 sent", timeout=PATIENCE)
    # The worker's sweep notes it a few seconds after the last reading; the bell looks every 45 s, and at once when
    # the page is seen again.
    visit.go("/notices/")
    notice = page.get_by_role("link", name=f"Batch {name}: 1 read, 1 waits in the tray.").first
    for _ in range(30):
        if notice.count():
            break
        page.wait_for_timeout(2_000)
        page.reload()
    assert "unread" in (page.locator("#bell").get_attribute("aria-label") or "")
    expect(page.locator("#bell .count")).to_be_visible()
    assert list(examine(page)) == []
    notice.click()
    assert page.url == address
    visit.go("/notices/")
    expect(notice).not_to_contain_text("Unread")
    visit.go("/notices/settings/")
    expect(page.get_by_label("A batch that I opened is read: in the portal")).to_be_checked()
    expect(page.get_by_label("A batch that I opened is read: by mail")).not_to_be_checked()
    assert list(examine(page)) == []
