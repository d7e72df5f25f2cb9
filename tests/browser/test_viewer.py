"""The viewer: honest zoom, lengths in µm, light that is view only, two pictures and two networks side by side."""

from __future__ import annotations

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from mlcore import phantom
from tests.browser.conftest import PATIENCE, PHONE, Visitor
from tests.browser.test_every_page import examine
from tests.portal import Portal

pytestmark = pytest.mark.browser
SCALE = 0.1  # µm per pixel
APART = (240, 100)  # px between the marks of the measured picture: 260 px, 26.0 µm


def marked() -> bytes:
    """A rendered field with two small squares of pure blue, `APART` pixels from one another."""
    pixels = np.array(Image.open(io.BytesIO(phantom.rendered_smear("ALL pre-B", seed=4100)[0].data)).convert("RGB"))
    x, y = pixels.shape[1] // 2 - 120, pixels.shape[0] // 2 - 50
    for left, top in ((x, y), (x + APART[0], y + APART[1])):
        pixels[top - 2 : top + 3, left - 2 : left + 3] = (0, 0, 255)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def case_of_three(portal: Portal, number: str, um_per_pixel: float | None) -> dict[str, int]:
    """A case with the marked picture and two cells, all read. Ids by name."""
    token = portal.credentials["api_token"]
    body = json.dumps({"accession_number": number, "patient": {"mrn": number}}).encode()
    status, case = portal.request("POST", "/api/v1/cases/", body=body, token=token)
    assert status == 201, case
    found = {"case": case["id"]}
    cells = phantom.rendered_smear("APL", seed=4100)
    for name, data in (("marked", marked()), ("one", cells[0].data), ("two", cells[1].data)):
        scale = f'--B\r\nContent-Disposition: form-data; name="um_per_pixel"\r\n\r\n{um_per_pixel}\r\n'
        file = f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}.png"\r\n\r\n'
        status, image = portal.request(
            "POST", f"/api/v1/cases/{case['id']}/images/", token=token, content_type="multipart/form-data; boundary=B",
            body=(scale if um_per_pixel else "").encode() + file.encode() + data + b"\r\n--B--\r\n",
        )  # fmt: skip
        assert status == 201, image
        found[name] = image["id"]
    for pk in (found["marked"], found["one"], found["two"]):
        portal.wait_for(lambda pk=pk: portal.get(f"/api/v1/images/{pk}/", token)[1]["status"] == "done", "it", 180)
    return found


@pytest.fixture(scope="module")
def pictures(portal: Portal) -> dict[str, int]:
    """Three pictures of a known scale."""
    return case_of_three(portal, "V-1", SCALE)


@pytest.fixture(scope="module")
def unscaled(portal: Portal) -> dict[str, int]:
    """Three pictures without one."""
    return case_of_three(portal, "V-2", None)


def opened(page: Page) -> Page:
    """The page once its pictures are on their stages."""
    for percent in page.locator("[data-percent]").all():
        expect(percent).to_have_text(re.compile(r"\d+ %"), timeout=PATIENCE)
    page.wait_for_timeout(700)  # the first zoom comes to rest
    return page


def marks(page: Page) -> list[tuple[float, float]]:
    """Where the two blue squares are on the screen, found in a photograph of it."""
    shot = np.array(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
    blue = (shot[..., 2] > 200) & (shot[..., 0] < 60) & (shot[..., 1] < 60)
    rows, columns = np.nonzero(blue)
    assert len(rows), "the marks are not in sight"
    middle = columns.mean()
    return [
        (float(columns[part].mean()) + 0.5, float(rows[part].mean()) + 0.5)
        for part in (columns < middle, columns >= middle)
    ]


def stored(portal: Portal, pk: int) -> Any:
    """The stored file and all that is said of an image, but for who has looked at it."""
    token = portal.credentials["api_token"]
    data = portal.get(f"/api/v1/images/{pk}/file/", token)[1]
    return hashlib.sha256(data).hexdigest(), portal.get(f"/api/v1/images/{pk}/", token)[1]


def test_without_a_scale_measuring_is_refused_until_somebody_enters_it(
    visitor: Visitor, unscaled: dict[str, int]
) -> None:
    visit = visitor("pathologist")
    visit.expected = ("422",)
    page = opened(visit.go(f"/images/{unscaled['one']}/"))
    page.keyboard.press("Shift+M")
    expect(page.locator("#measure-panel")).to_contain_text("The scale of this picture is not known: enter µm per pixel")
    box = page.locator("#viewer").bounding_box()
    assert box is not None
    for part in (0.4, 0.6):
        page.mouse.click(box["x"] + box["width"] * part, box["y"] + box["height"] / 2)
    expect(page.locator("[data-lengths] li")).to_have_count(0)
    page.get_by_role("button", name="Enter µm per pixel").click()
    field = page.get_by_label("µm per pixel")
    expect(field).to_be_focused()
    field.fill("about 1")
    field.press("Enter")
    expect(page.get_by_text("Enter a number, such as 0.102.")).to_be_visible()
    expect(field).to_have_value("about 1")
    field.fill("0,1")
    page.get_by_label("Also for the 2 other images of this case without a scale").check()
    page.get_by_role("button", name="Save the scale").click()
    expect(page.get_by_text("3 images have 0.1 µm per pixel now.")).to_be_visible()
    expect(page.locator("[data-scale-words]")).to_have_text(re.compile("µm"))


def test_a_known_length_is_measured_by_mouse_and_by_keyboard(
    visitor: Visitor, portal: Portal, pictures: dict[str, int]
) -> None:
    page = opened(visitor("pathologist").go(f"/images/{pictures['marked']}/"))
    assert stored(portal, pictures["marked"])[1]["um_per_pixel"] == SCALE
    page.keyboard.press("Shift+F")
    expect(page.locator("[data-percent]")).to_have_text("100 %")
    page.wait_for_timeout(700)
    ends = marks(page)
    # At 100 % a pixel of the picture is one of the screen.
    assert ends[1][0] - ends[0][0] == pytest.approx(APART[0], abs=1)
    page.get_by_role("button", name="Measure lengths").click()
    for x, y in ends:
        page.mouse.click(x, y)
        page.wait_for_timeout(400)  # two clicks, not one double click
    first = page.locator("[data-lengths] li").first
    expect(first).to_contain_text(re.compile(r"1: (25\.9|26\.0|26\.1) µm"))
    # Larger on the screen, and as long on the slide.
    page.locator("[data-zoom=in]").click()
    page.wait_for_timeout(700)
    expect(first).to_contain_text("µm")
    # By keyboard alone: from the middle 50 px to the right, set, at 100 %.
    page.keyboard.press("Shift+F")
    page.wait_for_timeout(700)
    page.locator(".openseadragon-canvas").focus()
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    for _ in range(2):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("[data-lengths] li").nth(1)).to_contain_text("2: 5.2 µm")
    expect(page.locator("[data-measure-words]")).to_contain_text("Length 2: 5.2 µm")
    # Kept while walking through the case, deleted one by one, and none of it stored.
    page.locator("#following").click()
    opened(page)
    expect(page.locator("[data-lengths] li")).to_have_count(0)
    page.locator("#previous").click()
    opened(page)
    expect(page.locator("[data-lengths] li")).to_have_count(2)
    page.get_by_role("button", name="Delete length 1").click()
    expect(page.locator("[data-lengths] li")).to_have_count(1)
    expect(page.locator("[data-lengths] li")).to_contain_text("1: 5.2 µm")
    page.locator(".openseadragon-canvas").focus()
    page.keyboard.press("Shift+M")
    page.keyboard.press("Delete")
    expect(page.locator("[data-lengths] li")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("#measure-toggle")).to_have_attribute("aria-pressed", "false")


def test_light_changes_what_is_seen_and_nothing_else(
    visitor: Visitor, portal: Portal, pictures: dict[str, int]
) -> None:
    before = stored(portal, pictures["one"])
    page = opened(visitor("pathologist").go(f"/images/{pictures['one']}/"))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))

    def middle() -> np.ndarray:
        box = page.locator("#viewer").bounding_box()
        assert box is not None
        clip = {
            "x": box["x"] + box["width"] / 2 - 60,
            "y": box["y"] + box["height"] / 2 - 60,
            "width": 120,
            "height": 120,
        }
        return np.array(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")).astype(float)  # type: ignore[arg-type]

    plain = middle()
    page.keyboard.press("Shift+L")
    expect(page.locator("#light-brightness")).to_be_focused()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="Light changed, view only")).to_be_visible()
    assert middle().mean() > plain.mean() + 20
    page.locator("#light-gamma").fill("-50")
    page.locator("#light-contrast").fill("40")
    assert not [line for line in sent if not line.startswith("GET")]
    # It stays for the case, over a walk to the next picture and back.
    page.locator("#following").click()
    opened(page)
    expect(page.get_by_role("button", name="Light changed, view only")).to_be_visible()
    page.locator("#previous").click()
    opened(page)
    page.keyboard.press("Shift+R")
    expect(page.get_by_role("button", name="Light changed, view only")).to_be_hidden()
    page.mouse.move(5, 5)
    assert np.abs(middle() - plain).mean() < 2
    page.keyboard.press("Shift+I")
    assert np.abs(middle() - (255 - plain)).mean() < 6
    assert stored(portal, pictures["one"]) == before


#: What a turn and a mirror do to a way on the screen, x to the right and y downwards.
TURNED = {"r": lambda x, y: (-y, x), "f": lambda x, y: (-x, y)}


def test_turned_and_mirrored_only_for_the_eye(visitor: Visitor, portal: Portal, pictures: dict[str, int]) -> None:
    before = stored(portal, pictures["marked"])
    page = opened(visitor("pathologist").go(f"/images/{pictures['marked']}/"))

    def way() -> tuple[float, float]:
        page.mouse.move(5, 5)
        (left, top), (right, bottom) = marks(page)
        return right - left, bottom - top

    def as_long_as(expected: tuple[float, float]) -> None:
        x, y = way()
        off = min(abs(x - expected[0]) + abs(y - expected[1]), abs(x + expected[0]) + abs(y + expected[1]))
        assert off < 3, f"{x}, {y} is not {expected}"

    def scale() -> tuple[str | None, str]:
        return page.locator("[data-scale-bar]").get_attribute("style"), page.locator("[data-scale-words]").inner_text()

    upright, bar = way(), scale()
    expected = upright
    page.keyboard.press("h")
    page.locator("#heat-opacity").fill("0")  # there, but not over the marks
    badge = page.locator("[data-turned]")
    for keys, said in (
        ("r", "turned 90°"), ("r", "turned 180°"), ("f", "turned 180°, mirrored"), ("r", "turned 90°, mirrored"),
        ("f", "turned 90°"),
    ):  # fmt: skip
        page.keyboard.press(keys)
        expected = TURNED[keys](*expected)
        expect(badge).to_contain_text(f"◆ {said}, view only")
        as_long_as(expected)
        assert scale() == bar
        # The heat map lies as the picture does: what turns (240, 100) into the way of the marks turns it, too.
        a, b, c, d = page.locator(".heat-layer").evaluate(
            "(map) => { let m = new DOMMatrix(); for (let e = map; e.id !== 'viewer'; e = e.parentElement)"
            " m = new DOMMatrix(getComputedStyle(e).transform).multiply(m); return [m.a, m.b, m.c, m.d]; }"
        )
        zoom = np.hypot(*upright) / np.hypot(*APART)
        heat = (zoom * (a * APART[0] + c * APART[1]), zoom * (b * APART[0] + d * APART[1]))
        assert np.hypot(heat[0] - expected[0], heat[1] - expected[1]) < 3, (keys, heat, expected)

    # A length has as many micrometres as upright, and its ends lie on the marks, mirrored too.
    page.keyboard.press("f")
    page.keyboard.press("Shift+M")
    for x, y in marks(page):
        page.mouse.click(x, y)
    page.mouse.move(5, 5)
    expect(page.locator("[data-lengths] li")).to_contain_text("1: 26.0 µm")
    page.get_by_role("button", name="Delete length 1").click()
    ends = marks(page)
    for x, y in ends:
        page.mouse.click(x, y)
    circles = page.locator(".measure-sheet circle.kept").evaluate_all(
        "(all) => all.map((each) => { const box = each.getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2]; })"
    )
    for found, wanted in zip(sorted(circles), sorted(map(list, ends)), strict=True):
        assert found == pytest.approx(wanted, abs=1.5)
    page.get_by_role("button", name="Delete length 1").click()
    page.locator(".openseadragon-canvas").focus()
    page.keyboard.press("Shift+M")
    # Dragging takes the picture along, arrows pan as they point, 0 sets it upright.
    page.keyboard.press("+")
    page.wait_for_timeout(900)
    (left, top), _ = marks(page)
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(900)
    assert marks(page)[0][0] < left - 20
    assert marks(page)[0][1] == pytest.approx(top, abs=2)
    page.keyboard.press("0")
    page.wait_for_timeout(900)
    expect(badge).to_be_hidden()
    as_long_as(upright)
    # By pointer; and the next visit begins upright.
    page.get_by_role("button", name="Turn by 90°").click()
    page.get_by_role("button", name="Mirror", exact=True).click()
    expect(page.get_by_role("button", name="Mirror", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(badge).to_contain_text("turned 90°, mirrored")
    badge.click()
    expect(badge).to_be_hidden()
    page.keyboard.press("r")
    page.reload()
    opened(page)
    expect(badge).to_be_hidden()
    assert stored(portal, pictures["marked"]) == before


def test_two_pictures_turn_together_until_they_are_unlinked(visitor: Visitor, pictures: dict[str, int]) -> None:
    page = opened(visitor("pathologist").go(f"/images/{pictures['one']}/compare/{pictures['two']}/"))
    badges = page.locator("[data-turned]")
    page.keyboard.press("r")
    for badge in badges.all():
        expect(badge).to_contain_text("turned 90°")
    page.get_by_role("button", name="Mirror", exact=True).nth(1).click()
    for badge in badges.all():
        expect(badge).to_contain_text("mirrored")
    page.get_by_label("Move together").uncheck()
    badges.nth(0).click()
    expect(badges.nth(0)).to_be_hidden()
    expect(badges.nth(1)).to_be_visible()


def seen(page: Page) -> list[list[float]]:
    """What each stage shows: the middle in the picture's pixels, and points of the screen a pixel."""
    page.wait_for_timeout(900)
    return [[float(part) for part in place.split()] for place in page.locator("[data-stage]").evaluate_all(
        "(places) => places.map((place) => place.dataset.seen)")]  # fmt: skip


def test_two_pictures_stay_in_step(visitor: Visitor, pictures: dict[str, int]) -> None:
    page = visitor("pathologist").go(f"/images/{pictures['one']}/")
    page.get_by_role("link", name="with another image").click()
    opened(page)
    strip = page.get_by_role("navigation", name="Right picture: choose another")
    strip.get_by_role("link", name="#1").click()
    page.wait_for_url(re.compile(rf"/images/{pictures['one']}/compare/{pictures['marked']}/$"))
    opened(page)
    start = seen(page)
    page.locator("[data-zoom=in]").first.click()
    page.locator(".openseadragon-canvas").first.focus()
    page.keyboard.press("ArrowRight")
    moved = seen(page)
    assert moved[0][2] == pytest.approx(1.5 * start[0][2], rel=0.01)
    assert moved[1][2] / start[1][2] == pytest.approx(moved[0][2] / start[0][2], rel=0.01)
    by = [(moved[side][0] - start[side][0]) * moved[side][2] for side in (0, 1)]
    assert by[0] > 10
    assert by[1] == pytest.approx(by[0], abs=1)  # as far on the screen
    # The other one leads just as well.
    page.locator("[data-zoom=out]").nth(1).click()
    back = seen(page)
    assert back[0][2] / moved[0][2] == pytest.approx(back[1][2] / moved[1][2], rel=0.01)
    # The same scale: both have 0.1 µm per pixel, so a pixel is as large on both.
    page.get_by_label("Same scale").check()
    same = seen(page)
    assert same[0][2] == pytest.approx(same[1][2], rel=0.001)
    page.get_by_label("Move together").uncheck()
    page.locator("[data-zoom=in]").first.click()
    alone = seen(page)
    assert alone[0][2] > 1.4 * same[0][2]
    assert alone[1] == pytest.approx(same[1], rel=0.001)


def test_two_networks_on_one_picture(visitor: Visitor, pictures: dict[str, int]) -> None:
    page = visitor("pathologist").go(f"/images/{pictures['one']}/")
    page.keyboard.press("Shift+C")
    opened(page)
    for network in ("CNN", "MobileNet"):
        expect(page.get_by_role("region", name=network, exact=True)).to_contain_text(f"Where {network} found signs of")
    expect(page.locator(".heat-layer")).to_have_count(2)
    expect(page.get_by_role("heading", name="Class by class")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^Blast"))).to_contain_text("%")
    with page.expect_response(re.compile("class=monocyte")):
        page.get_by_label("Class", exact=True).select_option("monocyte")
    start = seen(page)
    page.keyboard.press("+")
    moved = seen(page)
    assert moved[0][2] > 1.4 * start[0][2]
    assert moved[1] == pytest.approx(moved[0], rel=0.001)


def test_by_touch_on_a_phone(visitor: Visitor, pictures: dict[str, int]) -> None:
    visit = visitor("pathologist", viewport=PHONE, has_touch=True)
    page = opened(visit.go(f"/images/{pictures['two']}/"))
    page.get_by_role("button", name="Measure lengths").tap()
    box = page.locator("#viewer").bounding_box()
    assert box is not None
    for part in (0.4, 0.6):
        page.touchscreen.tap(box["x"] + box["width"] * part, box["y"] + box["height"] / 2)
        page.wait_for_timeout(500)
    expect(page.locator("[data-lengths] li")).to_contain_text(re.compile(r"1: \d+\.\d µm"))


def test_clinical_data_from_an_empty_card_to_a_caught_slip(visitor: Visitor, new_case: Any, smears: Path) -> None:
    case = new_case()
    visit = visitor("technician")
    visit.expected = ("422",)
    page = visit.go(f"/cases/{case}/")
    page.get_by_role("link", name="Enter clinical data").click()
    page.get_by_label("White cells").fill("42,5")
    page.get_by_label("Haemoglobin").fill("81")
    page.get_by_label("CD117").select_option("dim")
    page.get_by_label("Haemoglobin").press("Enter")
    expect(page.get_by_text("If you meant 81 g/l, that is 8.1 g/dl.")).to_be_visible()
    expect(page.get_by_label("White cells")).to_have_value("42,5")
    page.get_by_role("button", name="Save as 8.1 g/dl").click()
    card = page.locator("#case-clinical")
    expect(card).to_contain_text("42.5")
    expect(card).to_contain_text("8.1")
    expect(card).to_contain_text("CD117")
    page.get_by_role("link", name="Edit the request").click()
    page.get_by_text("Urgent", exact=True).click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#case-head")).to_contain_text("Urgent")


def test_pages_of_the_viewer_without_findings(visitor: Visitor, pictures: dict[str, int]) -> None:
    visit = visitor("pathologist")
    visit.expected = ("422", "409")
    one, case = pictures["one"], pictures["case"]
    found: list[str] = []
    page = opened(visit.go(f"/images/{one}/"))
    page.keyboard.press("Shift+M")
    page.keyboard.press("Shift+L")
    page.keyboard.press("Shift+I")
    page.locator("#scale-form summary").click()
    found += examine(page)
    for path in (f"/images/{one}/compare/", f"/images/{one}/compare/{pictures['two']}/", f"/cases/{case}/clinical/",
                 f"/cases/{case}/request/", f"/cases/{case}/patient/"):  # fmt: skip
        visit.go(path).wait_for_load_state("networkidle")
        found += examine(page)
    page = visit.go(f"/cases/{case}/clinical/")
    page.get_by_label("White cells").fill("8500")
    page.get_by_label("Platelets").fill("3000")
    page.get_by_role("button", name="Save", exact=True).last.click()
    page.get_by_text("Nothing is stored yet").wait_for()
    found += examine(page)
    assert found == [], "\n".join(found)
