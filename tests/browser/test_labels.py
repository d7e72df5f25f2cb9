"""Labels and scanning in Chromium: the pages, and a hand scanner, which is a keyboard that types a code and Enter."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from mlcore.phantom import render_field
from tests.browser.conftest import PATIENCE, WIDE, Visitor
from tests.browser.test_batches import accession, open_batch
from tests.browser.test_every_page import examine
from tests.hostile import jpeg
from tests.mlcore.test_codes import pasted, qr
from tests.portal import Portal

pytestmark = pytest.mark.browser
__all__ = ["accession"]


def case_of(portal: Portal, number: str) -> int:
    status, found = portal.get(f"/api/v1/cases/?search={number}", portal.credentials["api_token"])
    assert status == 200
    return int(found["results"][0]["id"])


def tray_with(page: Page, tmp_path: Path, *seeds: int) -> None:
    """Pictures without a name wait in the tray, and the page is there."""
    for seed in seeds:
        (tmp_path / f"IMG_{seed}.jpg").write_bytes(jpeg(seed=seed))
    page.locator("#files").set_input_files(sorted(tmp_path.iterdir()))
    expect(page.locator("#batch-files tbody tr")).to_have_count(len(seeds), timeout=PATIENCE)
    page.goto(page.url.split("/batches/")[0] + "/tray/")


@pytest.mark.parametrize("around", ["{}", "]C1{}", "~{}#"])
def test_a_scan_after_a_tick_by_keyboard_assigns(
    visitor: Visitor, portal: Portal, accession: str, tmp_path: Path, around: str
) -> None:
    seed = 9_000 + len(around)
    page = open_batch(visitor("technician"))
    tray_with(page, tmp_path, seed)
    box = page.get_by_label(f"IMG_{seed}.jpg")
    for _ in range(60):  # by Tab alone from the field, which has the focus at first
        if box.evaluate("box => box === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(box).to_be_checked()
    page.keyboard.type(around.format(accession))  # the focus is on the box still
    expect(page.get_by_label("Accession number of the case")).to_have_value(around.format(accession))
    page.keyboard.press("Enter")
    expect(page.locator(".messages")).to_contain_text(f"{accession}: 1 accepted.")


def test_a_scan_before_any_tick_waits_in_the_field(
    visitor: Visitor, portal: Portal, accession: str, tmp_path: Path
) -> None:
    visit = visitor("technician")
    visit.expected = ("422",)
    page = open_batch(visit)
    tray_with(page, tmp_path, 9_100)
    page.keyboard.type(accession)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Tick the pictures")
    expect(page.get_by_label("Accession number of the case")).to_have_value(accession)
    page.get_by_label("IMG_9100.jpg").check()
    page.keyboard.type(accession)  # scanned once more: it takes the place of what stands there
    page.keyboard.press("Enter")
    expect(page.locator(".messages")).to_contain_text(f"{accession}: 1 accepted.")


def test_a_code_in_a_picture_finds_its_case(visitor: Visitor, accession: str, tmp_path: Path) -> None:
    seen = pasted(render_field("benign", seed=77, size=(700, 500)), qr(accession, 6), angle=5)
    out = io.BytesIO()
    Image.fromarray(np.asarray(seen)).save(out, "JPEG", quality=90)
    (tmp_path / "DSC_0001.jpg").write_bytes(out.getvalue())
    page = open_batch(visitor("technician"))
    page.locator("#files").set_input_files(sorted(tmp_path.iterdir()))
    row = page.locator("#batch-files tbody tr")
    expect(row).to_contain_text("Its case was found by the code in the picture.", timeout=PATIENCE)
    expect(row).to_contain_text(accession)


def test_labels_are_chosen_and_printed(visitor: Visitor, portal: Portal, accession: str) -> None:
    case = case_of(portal, accession)
    second = json.dumps({"accession_number": f"{accession}-B", "patient": {"mrn": f"{accession}-B"}})
    token = portal.credentials["api_token"]
    assert portal.request("POST", "/api/v1/cases/", token=token, body=second.encode())[0] == 201
    visit = visitor("technician")
    page = visit.go(f"/cases/{case}/")
    page.get_by_role("link", name="Labels for slides").click()
    button = page.get_by_role("button", name="as PDF")
    expect(button).to_have_text("1 label as PDF")
    expect(page.get_by_label("First free label of the sheet")).to_be_hidden()
    page.get_by_label("Printed on").select_option("a4-65")
    expect(page.get_by_label("First free label of the sheet")).to_be_visible()
    page.get_by_label("Smears of each case").fill("4")
    expect(button).to_have_text("4 labels as PDF")
    found = list(examine(page))
    sent = page.request.post(
        page.url,
        form={
            "csrfmiddlewaretoken": page.locator("#labels [name=csrfmiddlewaretoken]").input_value(),
            "stock": "a4-65", "code": "both", "stain": "case", "first": "1", "smears": "4", "copies": "1",
            "start": "3", "ticked": str(case),
        },
        headers={"Referer": page.url},
    )  # fmt: skip
    assert (sent.status, sent.headers["content-type"], sent.body()[:5]) == (200, "application/pdf", b"%PDF-")
    administrator = visitor("administrator").go("/labels/settings/")
    found += examine(administrator)
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    worklist = visit.go("/?view=all")
    worklist.get_by_role("link", name="Labels").click()
    expect(worklist.get_by_role("button", name="as PDF")).to_have_text("0 labels as PDF")
    worklist.get_by_role("button", name="Tick all").click()
    expect(worklist.get_by_role("button", name="as PDF")).not_to_have_text("0 labels as PDF")
    found += examine(worklist)
    assert found == []
