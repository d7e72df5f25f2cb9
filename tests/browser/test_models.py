"""The model pages in a browser: full reports, one with holes, a card alone; by keyboard, on a phone, in both themes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, Visitor
from tests.browser.test_every_page import examine
from tests.portal import Portal
from tests.web.reports import cell_report, external_report, field_report, lay

pytestmark = pytest.mark.browser

ADD = """
import json, sys
from diagnosis.models import ModelRelease
releases = [ModelRelease.objects.create(**values, stage="retired") for values in json.loads({rows!r})]
card = ModelRelease.objects.get(task="cell", network="cnn", stage="active")
releases.append(ModelRelease.objects.create(
    task="cell", network="cnn", version="0.9", digest="0" * 64, bundle={folder!r}, stage="retired", card=card.card))
print("ids", *(release.pk for release in releases))
"""
#: Whatever the keyboard must reach, in the order of the page; a scrolling region is reached to be scrolled.
STOPS = """[...document.querySelectorAll("main a[href], main button, main summary, main [tabindex='0']")]
  .filter((e) => e.checkVisibility({visibilityProperty: true}))"""


@pytest.fixture(scope="module")
def released(portal: Portal, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Path of the page of a retired release by what its report is: cell, field, external, and card for none at all."""
    folder = tmp_path_factory.mktemp("bundles")
    reports = {"cell": cell_report(), "field": field_report(), "external": external_report()}
    rows = [lay(folder / name, report, version=f"0.9-{name}") for name, report in reports.items()]
    said = portal.manage("shell", "-c", ADD.format(rows=json.dumps(rows), folder=str(folder / "none")))
    ids = next(line for line in said.splitlines() if line.startswith("ids ")).split()[1:]
    return {name: f"/models/{pk}/" for name, pk in zip((*reports, "card"), ids, strict=True)}


@pytest.mark.parametrize("name", ["cell", "field", "external", "card"])
def test_nothing_is_wrong_with_the_page(name: str, visitor: Visitor, released: dict[str, str]) -> None:
    page = visitor("pathologist").go(released[name])
    page.wait_for_load_state("networkidle")
    for closed in page.locator("details.numbers:not([open]) > summary").all():
        if closed.is_visible():
            closed.click()
    assert list(examine(page)) == []


def test_list_with_every_kind_of_release(visitor: Visitor, released: dict[str, str]) -> None:
    page = visitor("technician").go("/models/")
    for path in released.values():
        expect(page.locator(f'a[href="{path}"]').first).to_be_attached()
    assert list(examine(page)) == []


def test_keyboard_reaches_everything(visitor: Visitor, released: dict[str, str]) -> None:
    page = visitor("pathologist").go(released["cell"])
    count = page.evaluate(f"window.stops = {STOPS}; window.stops.length")
    assert count > 30
    page.evaluate("document.getElementById('content').focus()")
    for number in range(count):
        page.keyboard.press("Tab")
        focused, outline, what = page.evaluate(
            """(number) => { const e = document.activeElement;
            return [e === window.stops[number], getComputedStyle(e).outlineStyle, e.outerHTML.slice(0, 80)]; }""",
            number,
        )
        assert (focused, outline) == (True, "solid"), what

    # A part of the page, then the numbers behind a drawing.
    page.get_by_role("navigation", name="On this page").get_by_role("link", name="Calibration").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{page.url.split('#')[0]}#calibration")
    expect(page.locator("#calibration")).to_be_in_viewport()
    behind = page.locator("#calibration details")
    behind.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(behind.get_by_role("columnheader", name="Named right")).to_be_visible()


def test_wide_tables_scroll_within_themselves(visitor: Visitor, released: dict[str, str]) -> None:
    page = visitor("pathologist", viewport=PHONE, reduced_motion="reduce").go(released["cell"])
    matrix = page.get_by_role("region", name="Confusion matrix")
    matrix.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("(e) => e.scrollLeft > 0", arg=matrix.element_handle())
    assert page.evaluate("document.scrollingElement.scrollLeft") == 0
    # The name of a row stays in sight.
    matrix.evaluate("(e) => { e.scrollLeft = e.scrollWidth; }")
    expect(matrix.get_by_role("rowheader", name="Promyelocyte")).to_be_in_viewport()
    expect(matrix.get_by_role("columnheader", name="Smudge cell")).to_be_in_viewport(ratio=0.5)
    # What the figures mean is said beneath the table where there is no room in it.
    page.locator("#figures").get_by_text("What the figures mean").click()
    expect(page.locator("#figures dd").first).to_be_visible()


def test_drawings_keep_their_words_and_the_report_can_be_taken_away(visitor: Visitor, released: dict[str, str]) -> None:
    page = visitor("pathologist").go("/models/")
    page.locator(f'a[href="{released["cell"]}"]').click()
    expect(page.get_by_role("heading", name="Where not to trust it")).to_be_visible()
    assert beyond_the_drawing(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the whole report").click()
    assert json.loads(Path(download.value.path()).read_text())["format"] == 2


def test_from_an_opinion_to_its_model(visitor: Visitor, new_case: Callable[..., int], smears: Path) -> None:
    case = new_case(upload=[smears / "apl-6.jpg"])
    page = visitor("pathologist").go(f"/cases/{case}/")
    page.locator("#case-reading .read-by").get_by_role("link", name="CNN").click()
    expect(page.get_by_role("heading", name="CNN", level=1)).to_be_visible()
    page.go_back()
    page.locator("#gallery li.tile a").first.dblclick()
    page.get_by_role("link", name=re.compile("MobileNet .+: how good is it")).click()
    expect(page.get_by_role("heading", name="Where not to trust it")).to_be_visible()
    page.get_by_role("link", name="All models").click()
    expect(page.get_by_role("heading", name="Models", exact=True)).to_be_visible()


def beyond_the_drawing(page: Page) -> list[str]:
    """Words of a drawing that reach beyond it."""
    found: list[str] = page.evaluate(
        """[...document.querySelectorAll(".chart > svg text")].filter((word) => {
          const [inner, outer] = [word.getBoundingClientRect(), word.ownerSVGElement.getBoundingClientRect()];
          return inner.left < outer.left - 1 || inner.right > outer.right + 1
            || inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1;
        }).map((word) => word.textContent)"""
    )
    return found
