"""Every page, light and dark, 1440 and 390 px: no axe-core finding, no sideways scroll, targets large enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import PHONE, WIDE, Visitor
from tests.portal import ROOT, Portal

pytestmark = pytest.mark.browser
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SETTLE = """new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => {
  for (const each of document.getAnimations()) { try { each.finish(); } catch { each.cancel(); } }
  requestAnimationFrame(resolve);
})))"""
SMALL = """[...document.querySelectorAll("button, .btn, nav a, .rests-on a, select, summary, "
  + "label.check, label.choice, input:not([type=hidden], [type=checkbox], [type=radio], [type=file], [type=range])")]
  .filter((e) => e.checkVisibility({visibilityProperty: true}) && !e.closest(".visually-hidden"))
  .map((e) => [e, e.getBoundingClientRect()])
  .filter(([e, box]) => box.width && box.height < 39.5)
  .map(([e, box]) => `${e.tagName} ${e.className} ${e.textContent.trim().slice(0, 30)} ${box.height}`)"""


def examine(page: Page) -> Iterator[str]:
    """Everything that is wrong with the page as it stands, in each theme and at each width."""
    for viewport in (WIDE, PHONE):
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            # Colours fade from one theme to the other; what is looked at is where they end.
            page.evaluate(SETTLE)
            where = f"{page.url} {viewport['width']} px {scheme}"
            # Given as text, the script goes in through the debugger and not past the page's policy.
            page.evaluate(AXE.read_text())
            for finding in page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]:
                targets = [node["target"] for node in finding["nodes"][:3]]
                yield f"{where}: {finding['id']} ({finding['impact']}) at {targets}"
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > viewport["width"]:
            yield f"{page.url} scrolls sideways at {viewport['width']} px: {wide} px"
    yield from (f"{page.url}: smaller than a finger: {small}" for small in page.evaluate(SMALL))


def test_pages_of_the_clinic(visitor: Visitor, portal: Portal, new_case: Callable[..., int], smears: Path) -> None:
    empty, full = new_case(), new_case(upload=[smears / "apl-0.jpg", smears / "reactive-0.jpg"])
    image = portal.get(f"/api/v1/cases/{full}/images/", portal.credentials["api_token"])[1]["results"][0]["id"]
    visit = visitor("pathologist")
    visit.expected = ("404", "403", "422")
    found: list[str] = []
    for path in (
        "/", "/?q=nobody-is-called-this", "/?view=mine", "/views/", "/cases/new/",
        f"/cases/{empty}/", f"/cases/{full}/",
        f"/cases/{full}/history/", f"/images/{image}/", "/cases/999999/", "/account/people/", "/models/",
        "/laboratory/", "/laboratory/?days=365", "/laboratory/overrides/",
        "/notices/", "/notices/settings/", "/opinions/", f"/cases/{full}/opinion/",
        f"/cases/{full}/opinion/adjudicate/",
    ):  # fmt: skip
        visit.go(path).wait_for_load_state("networkidle")
        found += examine(visit.page)
    page = visit.go("/cases/new/")
    page.get_by_role("button", name="Open the case").click()
    page.get_by_text("Nothing is stored yet.").wait_for()
    found += examine(page)
    page = visit.go(f"/images/{image}/")
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    page.get_by_role("button", name="Agree").click()
    page.locator(".decided-now").wait_for()
    page.get_by_label("Heat map", exact=True).check()
    page.locator(".menu summary").click()
    found += examine(page)
    assert found == []


def test_pages_of_people(visitor: Visitor) -> None:
    stranger, administrator = visitor(None), visitor("administrator")
    found: list[str] = []
    for visit, paths in (
        (stranger, ("/account/login/", "/account/password/reset/")),
        (administrator, (
            "/laboratory/export/", "/laboratory/webhooks/", "/account/profile/", "/account/tokens/", "/account/people/",
            "/account/2fa/",
        )),
    ):  # fmt: skip
        for path in paths:
            visit.go(path).wait_for_load_state("networkidle")
            found += examine(visit.page)
    assert found == []


def test_upload_outcomes_without_javascript(visitor: Visitor, new_case: Callable[..., int], smears: Path) -> None:
    case = new_case()
    page = visitor("technician").go(f"/cases/{case}/")
    # The plain form's own page, reached here with scripts on so that axe-core can look at it.
    page.evaluate(
        """() => { const form = document.getElementById("upload"); const plain = form.cloneNode(true);
        form.replaceWith(plain); plain.noValidate = true; }"""
    )
    page.locator("#files").set_input_files([smears / "apl-7.jpg", smears / "letter.jpg"])
    page.evaluate("document.getElementById('upload').submit()")
    page.get_by_role("heading", name="Upload to").wait_for()
    assert list(examine(page)) == []
