"""A real browser on a real portal: gunicorn and a worker as processes of their own, the networks that ship."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from mlcore import phantom
from tests.portal import ROOT, Portal

PATIENCE = 60_000  # ms; the machine may be busy with other tests
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def portal() -> Iterator[Portal]:
    subprocess.run([sys.executable, "scripts/assets.py", "--dev"], cwd=ROOT, check=True)
    portal = Portal()
    try:
        portal.prepare()
        portal.start_web()
        portal.start_worker()
        yield portal
    finally:
        portal.stop()


@pytest.fixture(scope="session")
def smears(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered pictures that no test shares with another: `smears / "apl-0.jpg"` … and two that are unfit."""
    folder = tmp_path_factory.mktemp("smears")
    for story, name in (("APL", "apl"), ("reactive", "reactive")):
        for number, image in enumerate(phantom.rendered_smear(story, seed=4000)[:8]):
            (folder / f"{name}-{number}.jpg").write_bytes(image.data)
    whole = (folder / "apl-0.jpg").read_bytes()
    (folder / "cut-off.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "letter.jpg").write_text("Dear colleague, the smear follows by post.")
    return folder


@dataclass
class Visit:
    """One person at one browser. Whatever the console or the policy complains about fails the test at its end."""

    page: Page
    context: BrowserContext
    url: str
    complaints: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()  # parts of complaints that the test causes on purpose

    def go(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def listen(self, page: Page) -> None:
        def said(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                self.complaints.append(f"{page.url}: {message.text}")

        page.on("console", said)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))

    def unexpected(self) -> list[str]:
        return [line for line in self.complaints if not any(part in line for part in self.expected)]


def sign_in(page: Page, portal: Portal, role: str, *, number: int = 0) -> None:
    """Through the page that people use; `number` picks among several of the role."""
    person = [user for user in portal.credentials["users"] if user["role"] == role][number]
    page.goto(portal.url)
    page.get_by_label("Email").fill(person["email"])
    page.get_by_label("Password").fill(person["password"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("heading", name="Worklist").wait_for()


@pytest.fixture(scope="session")
def sessions() -> dict[tuple[str, int], Any]:
    """Signed-in cookies by person, so that each signs in only once."""
    return {}


Visitor = Callable[..., Visit]


@pytest.fixture
def visitor(chromium: Browser, portal: Portal, sessions: dict[tuple[str, int], Any]) -> Iterator[Visitor]:
    """`visitor("pathologist")` opens a browser window for that person; options go to the browser context."""
    visits: list[Visit] = []

    def open_for(role: str | None, *, number: int = 0, **options: Any) -> Visit:
        if role and (role, number) not in sessions:
            fresh = chromium.new_context()
            fresh.set_default_timeout(PATIENCE)
            sign_in(fresh.new_page(), portal, role, number=number)
            sessions[role, number] = fresh.storage_state()
            fresh.close()
        context = chromium.new_context(
            **{"viewport": WIDE, "storage_state": sessions[role, number] if role else None} | options
        )
        context.set_default_timeout(PATIENCE)
        visit = Visit(context.new_page(), context, portal.url)
        visit.listen(visit.page)
        visits.append(visit)
        return visit

    yield open_for
    found = [line for visit in visits for line in visit.unexpected()]
    for visit in visits:
        visit.context.close()
    assert found == []


_numbers = itertools.count(1)  # one portal serves all tests of a session


@pytest.fixture
def new_case(portal: Portal) -> Callable[..., int]:
    """Opens a case through the API and answers its id; brings the pictures of `upload`, waits until they are read."""

    def open_case(*, upload: list[Path] | None = None, name: str = "Rendered Person 50") -> int:
        number = next(_numbers)
        status, case = portal.request(
            "POST", "/api/v1/cases/", token=portal.credentials["api_token"],
            body=json.dumps(
                {"accession_number": f"B-{number}", "specimen": "peripheral_blood", "priority": "routine",
                 "patient": {"mrn": f"M-{number}", "name": name}}
            ).encode(),
        )  # fmt: skip
        assert status == 201, case
        case_id: int = case["id"]
        token = portal.credentials["api_token"]
        for path in upload or []:
            status, image = portal.upload(case_id, path.read_bytes(), path.name)
            assert status == 201, image
        wanted = len(upload or [])

        def all_read() -> bool:
            progress = portal.get(f"/api/v1/cases/{case_id}/", token)[1]["assessment"].get("progress", {})
            return bool(progress) and progress["done"] + progress["failed"] == wanted

        if wanted:
            portal.wait_for(all_read, "the readings", seconds=180)
        return case_id

    return open_case
