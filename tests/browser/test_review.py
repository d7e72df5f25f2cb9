"""The image page: keyboard alone, heat map, saves that tell the truth, two people at one image."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, Visitor
from tests.portal import Portal

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def read_case(portal: Portal, smears: Path, request: pytest.FixtureRequest) -> list[int]:
    """A case with three read pictures: their image ids."""
    token = portal.credentials["api_token"]
    body = (
        b'{"accession_number": "R-1", "specimen": "peripheral_blood", "priority": "routine", "patient": {"mrn": "R-1"}}'
    )
    status, case = portal.request("POST", "/api/v1/cases/", body=body, token=token)
    assert status == 201, case
    ids = []
    for number in range(3):
        status, image = portal.upload(case["id"], (smears / f"apl-{number}.jpg").read_bytes(), f"apl-{number}.jpg")
        assert status == 201, image
        ids.append(image["id"])
    for pk in ids:
        portal.wait_for(lambda pk=pk: portal.get(f"/api/v1/images/{pk}/", token)[1]["status"] == "done", "it", 180)
    return ids


def test_keyboard_alone(visitor: Visitor, read_case: list[int]) -> None:
    page = visitor("pathologist").go("/")
    key = page.keyboard.press

    def arrived(heading: str) -> None:
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        page.wait_for_load_state()  # the page's own keys work once its scripts have run

    key("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    key("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("R-1")
    expect(page).to_have_url(re.compile("q=R-1"), timeout=PATIENCE)  # the list that was found stands
    expect(page.locator("tbody tr")).to_have_count(1, timeout=PATIENCE)
    page.locator("#q").press("Tab")
    for _ in range(20):
        if page.evaluate("document.activeElement.classList.contains('accession')"):
            break
        key("Tab")
    key("Enter")
    arrived("R-1")
    for _ in range(40):
        if page.evaluate("Boolean(document.activeElement.closest('[data-gallery]'))"):
            break
        key("Tab")
    key("ArrowRight")
    key("ArrowLeft")
    page.locator("#gallery li.tile[data-number='1'] a").focus()
    key("o")
    arrived("#1 of 3")
    key("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    key("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    key("ArrowRight")
    arrived("#2 of 3")
    # Inside the picture the page's letters mean the same, and the arrows pan instead of turning the page.
    page.locator(".openseadragon-canvas").first.focus()
    key("ArrowRight")
    key("h")
    arrived("#2 of 3")
    expect(page.locator("#heat-words")).to_contain_text("Where CNN found signs of")
    key("a")
    expect(page.locator("#save-state")).to_have_text("✓ Saved")
    key("n")
    arrived("#3 of 3")
    key("o")
    expect(page.locator("#label")).to_be_focused()
    page.keyboard.type("Lympho")
    key("Tab")
    expect(page.locator("#override")).to_be_focused()
    key("Enter")
    expect(page.locator(".decided-now")).to_contain_text("Lymphocyte")
    page.locator("#opinions").click()
    key("u")
    arrived("R-1")


def test_heat_map_lies_over_the_picture(visitor: Visitor, read_case: list[int]) -> None:
    page = visitor("pathologist").go(f"/images/{read_case[0]}/")
    expect(page.locator(".openseadragon-canvas canvas").first).to_be_visible()
    with page.expect_response(re.compile(r"/heat/\d+\.png\?class=")) as answer:
        page.get_by_label("Heat map", exact=True).check()
    assert answer.value.status == 200
    assert answer.value.headers["content-type"] == "image/png"
    with page.expect_response(re.compile(r"class=neutrophil")):
        page.get_by_label("Class", exact=True).select_option("neutrophil")
    expect(page.locator("#heat-words")).to_contain_text("“Neutrophil”")
    with page.expect_response(re.compile(r"/heat/\d+\.png\?class=neutrophil")):
        page.get_by_label("Network", exact=True).select_option(label="MobileNet")
    expect(page.locator("#heat-words")).to_contain_text("Where MobileNet")
    page.locator("#heat-opacity").focus()
    page.keyboard.press("Home")
    expect(page.locator("#heat-percent")).to_have_text("0 %")


def test_an_unsaved_decision_says_so_and_is_sent_again(visitor: Visitor, read_case: list[int]) -> None:
    visit = visitor("pathologist")
    visit.expected = ("Failed to load resource", "htmx:")  # what htmx itself logs of a request that found nobody
    page = visit.go(f"/images/{read_case[0]}/")
    agree = page.get_by_role("button", name=re.compile("^Agree"))
    expect(agree).to_be_visible()
    visit.context.set_offline(True)
    page.get_by_label("Comment").fill("Seen on two fields.")
    agree.click()
    expect(page.locator("#save-state")).to_contain_text("Not saved – trying again")
    visit.context.set_offline(False)
    expect(page.locator("#save-state")).to_have_text("✓ Saved", timeout=PATIENCE)
    expect(page.locator(".decided-now")).to_contain_text("Seen on two fields.")


def test_two_people_at_one_image(visitor: Visitor, new_case: Callable[..., int], smears: Path) -> None:
    case = new_case(upload=[smears / "reactive-7.jpg"])
    first, second = visitor("pathologist"), visitor("pathologist", number=1)
    second.expected = ("409",)
    for visit in (first, second):
        visit.go(f"/cases/{case}/").locator("#gallery li.tile a").first.dblclick()
        expect(visit.page.locator("#decide")).to_be_visible()
    first.page.get_by_label("Class to override with").select_option("basophil")
    first.page.locator("#override").click()
    expect(first.page.locator("#save-state")).to_have_text("✓ Saved")

    second.page.get_by_label("Class to override with").select_option("eosinophil")
    second.page.get_by_label("Comment").fill("Orange granules.")
    second.page.locator("#override").click()
    expect(second.page.get_by_role("alert")).to_contain_text("Somebody else decided meanwhile")
    expect(second.page.locator("#save-state")).to_have_text("▲ Not saved")
    expect(second.page.locator(".decided-now .by-person")).to_have_text("Basophil")
    expect(second.page.get_by_label("Comment")).to_have_value("Orange granules.")
    # What stands is in front of them now; a second click is a decision with open eyes.
    second.page.locator("#override").click()
    expect(second.page.locator("#save-state")).to_have_text("✓ Saved")
    expect(second.page.locator(".decided-now .by-person")).to_have_text("Eosinophil")
    expect(second.page.get_by_text("1 earlier decision")).to_be_visible()
