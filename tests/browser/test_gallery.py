"""The gallery in a real Chromium: a case reviewed by keyboard, by mouse and by finger, and nothing lost on the way."""

from __future__ import annotations

import itertools
import json
import re
import signal
from collections import Counter
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE, PHONE, WIDE, Visit, Visitor
from tests.browser.test_every_page import examine
from tests.portal import Portal

pytestmark = pytest.mark.browser
_numbers = itertools.count(1)


@pytest.fixture
def seeded(portal: Portal) -> Any:
    """`seeded("blast blast? lymphocyte")`: a read case, its id and those of its images."""

    def seed(said: str) -> tuple[int, list[int]]:
        code = f"from tests.browser.reviewing import make; make('G-{next(_numbers)}', {said!r})"
        case, *images = map(int, portal.manage("shell", "-v", "0", "-c", code).split())
        return case, images

    return seed


def decisions(portal: Portal, case: int) -> dict[int, list[str]]:
    """By image, every class that was ever stored for it, oldest first ("" for taken back)."""
    code = (
        f"import json; from diagnosis.models import Decision as D; rows = D.objects.filter(image__case={case})"
        ".order_by('id'); print(json.dumps(list(map(list, rows.values_list('image', 'label')))))"
    )
    found: dict[int, list[str]] = {}
    for image, label in json.loads(portal.manage("shell", "-v", "0", "-c", code)):
        found.setdefault(image, []).append(label)
    return found


def opened(visit: Visit, case: int) -> Page:
    page = visit.go(f"/cases/{case}/")
    page.wait_for_load_state("load")
    expect(page.locator("#review-state")).to_have_text("✓ Saved", timeout=PATIENCE)
    return page


def tile(page: Page, image: int) -> Locator:
    return page.locator(f"#tile-{image}")


def group(page: Page, label: str) -> Locator:
    return page.locator(f"#group-cell-{label}")


def saved(page: Page) -> None:
    expect(page.locator("#review-state")).to_have_text("✓ Saved", timeout=PATIENCE)


def test_a_case_is_reviewed_by_keyboard_alone(visitor: Visitor, portal: Portal, seeded: Any) -> None:
    case, (b1, b2, b3, m1, m2, n1) = seeded("blast blast blast? monocyte monocyte neutrophil")
    page = opened(visitor("pathologist"), case)
    key = page.keyboard.press
    titles = page.locator(".group:visible h3").all_inner_texts()
    assert titles[0] == "Blast"  # the malignant pattern first, though another class may be the larger
    key("n")
    first = page.evaluate("document.activeElement.closest('li').dataset.number")
    assert first == "3" or page.locator(f"#tile-{b3}").get_attribute("data-doubt") == "networks disagree"
    page.locator(f"#open-{b1}").focus()
    key("c")  # confirm: the next undecided one is there already
    expect(tile(page, b1)).to_have_class(re.compile("decided"))
    expect(page.locator("#review-said")).to_have_text("Confirmed: image 1.")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "option"
    page.locator(f"#open-{b2}").focus()
    key("l")  # reassign: it moves to its class at once
    expect(group(page, "lymphocyte").locator(f"#tile-{b2}")).to_be_visible()
    expect(tile(page, b2).locator(".by-person")).to_have_text("Lymphocyte")
    expect(tile(page, b2).locator(".by-network")).to_have_text("Blast")
    saved(page)
    # The whole class at once.
    page.locator(f"#open-{m1}").focus()
    key("Control+a")
    expect(page.locator("#review-picked")).to_have_text(re.compile(r"\d selected"))
    key("Enter")
    saved(page)
    expect(tile(page, m1)).to_have_class(re.compile("agrees"))
    expect(tile(page, m2)).to_have_class(re.compile("agrees"))
    # Withdraw, undo, redo; Shift and arrows select.
    page.locator(f"#open-{m1}").focus()
    key("w")
    expect(tile(page, m1)).not_to_have_class(re.compile("decided"))
    key("z")
    expect(tile(page, m1)).to_have_class(re.compile("decided"))
    key("Shift+Z")
    expect(tile(page, m1)).not_to_have_class(re.compile("decided"))
    key("Control+z")
    expect(tile(page, m1)).to_have_class(re.compile("decided"))
    saved(page)
    page.locator(f"#open-{m1}").focus()
    key("Shift+ArrowRight")
    expect(page.locator("#review-picked")).to_have_text("2 selected")
    key("Escape")
    page.locator(f"#open-{n1}").focus()
    key("x")
    expect(page.locator(f"#open-{n1}")).to_have_attribute("aria-selected", "true")
    key("s")
    saved(page)
    key("?")
    expect(page.get_by_role("dialog")).to_contain_text("Next undecided image")
    key("Escape")
    # A reload and another machine know the same steps.
    page.reload()
    expect(tile(page, b2).locator(".by-person")).to_have_text("Lymphocyte")
    page.locator(f"#open-{b2}").focus()
    key("z")
    saved(page)
    expect(tile(page, n1)).not_to_have_class(re.compile("decided"), timeout=PATIENCE)
    stored = decisions(portal, case)
    assert stored[b1] == ["blast"]
    assert stored[b2] == ["lymphocyte"]
    assert stored[m1][-1] == "monocyte"
    assert stored[n1] == ["neutrophil", ""]
    # Open the big picture, whose page keeps the same rules.
    page.locator(f"#open-{b2}").focus()
    key("o")
    expect(page.locator("#withdraw")).to_be_visible()
    page.wait_for_load_state("load")  # its keys are there
    key("w")
    expect(page.locator("#save-state")).to_have_text("✓ Saved")
    expect(page.locator(".decided-now")).to_have_count(0)
    key("z")
    expect(page.locator(".decided-now .by-person")).to_have_text("Lymphocyte")


def test_fields_have_keys_of_their_own(visitor: Visitor, portal: Portal, seeded: Any) -> None:
    case, (field, cell) = seeded("field:benign blast")
    page = opened(visitor("pathologist"), case)
    page.locator(f"#open-{field}").focus()
    expect(page.locator("[data-palette=cell]")).to_be_hidden()
    page.keyboard.press("b")  # a class of cells
    expect(page.locator("#review-said")).to_have_text("Blast is a class of cells.")
    page.keyboard.press("1")
    saved(page)
    page.locator(f"#open-{cell}").focus()
    page.keyboard.press("b")
    saved(page)
    assert decisions(portal, case) == {field: ["pro_b"], cell: ["blast"]}


def test_a_lost_connection_and_a_closed_laptop_lose_nothing(visitor: Visitor, portal: Portal, seeded: Any) -> None:
    case, images = seeded("blast " * 6)
    visit = visitor("pathologist")
    visit.expected = ("Failed to load resource", "ERR_INTERNET")
    page = opened(visit, case)
    page.locator(f"#open-{images[0]}").focus()
    page.keyboard.press("c")
    saved(page)
    visit.context.set_offline(True)
    for image, key in zip(images[1:5], "cmlw", strict=True):
        page.locator(f"#open-{image}").focus()
        page.keyboard.press(key)
    page.locator(f"#open-{images[1]}").focus()
    page.keyboard.press("p")  # decided again before the first of the two has arrived
    expect(page.locator("#review-state")).to_have_text("▲ Not saved – trying again (4 waiting)", timeout=PATIENCE)
    expect(tile(page, images[2])).to_have_attribute("data-pending", "")
    expect(tile(page, images[2])).to_have_class(re.compile("decided"))
    # The lid is shut with everything still waiting.
    page.close(run_before_unload=False)
    assert decisions(portal, case) == {images[0]: ["blast"]}
    visit.context.set_offline(False)
    visit.page = visit.context.new_page()
    visit.listen(visit.page)
    page = opened(visit, case)
    expect(tile(page, images[1]).locator(".by-person")).to_have_text("Promyelocyte", timeout=PATIENCE)
    assert decisions(portal, case) == {
        images[0]: ["blast"], images[1]: ["blast", "promyelocyte"], images[2]: ["monocyte"], images[3]: ["lymphocyte"],
    }  # fmt: skip
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.includes('outbox')).length") == 0


def test_a_server_that_dies_in_the_middle_loses_nothing_and_stores_nothing_twice(
    visitor: Visitor, portal: Portal, seeded: Any
) -> None:
    case, images = seeded("blast " * 12)
    visit = visitor("pathologist")
    visit.expected = ("Failed to load resource", "net::ERR")
    page = opened(visit, case)
    page.locator(f"#open-{images[0]}").focus()
    for at in range(12):
        page.keyboard.press("c")
        if at == 3:
            portal.kill("web", signal.SIGKILL)
        if at == 8:
            expect(page.locator("#review-state")).to_contain_text("Not saved – trying again", timeout=PATIENCE)
            portal.start_web()
    saved(page)
    stored = decisions(portal, case)
    assert Counter(len(labels) for labels in stored.values()) == {1: 12}
    assert set(stored) == set(images)
    expect(page.locator("#gallery-counts")).to_contain_text("✓ all decided", timeout=PATIENCE)


def test_what_waits_is_sent_from_any_page(visitor: Visitor, portal: Portal, seeded: Any) -> None:
    case, images = seeded("blast blast monocyte")
    visit = visitor("pathologist")
    visit.expected = ("Failed to load resource", "net::ERR", "chrome-error")
    page = opened(visit, case)
    portal.kill("web", signal.SIGKILL)
    page.locator(f"#open-{images[0]}").focus()
    page.keyboard.press("c")
    page.keyboard.press("l")
    expect(page.locator("#review-state")).to_have_text("▲ Not saved – trying again (2 waiting)", timeout=PATIENCE)
    # The tab is closed, and the next one never sees the case.
    page.close()
    assert decisions(portal, case) == {}
    portal.start_web()
    visit.page = page = visit.context.new_page()
    visit.listen(page)
    page.route("**/review/", lambda route: route.abort("connectionreset"))
    visit.go("/")
    line = page.locator("#unsaved")
    expect(line).to_contain_text("▲ 2 steps of your review not saved – trying again", timeout=PATIENCE)
    expect(line.get_by_role("link")).to_have_attribute("href", f"/cases/{case}/")
    assert list(examine(page)) == []
    page.unroute("**/review/")
    expect(line).to_have_text("✓ 2 steps of your review saved", timeout=PATIENCE)
    assert decisions(portal, case) == {images[0]: ["blast"], images[1]: ["lymphocyte"]}
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.includes('outbox')).length") == 0
    visit.go("/models/")
    expect(page.locator("#unsaved")).to_be_hidden()


def test_what_is_refused_elsewhere_is_said_until_it_is_understood(
    visitor: Visitor, portal: Portal, seeded: Any
) -> None:
    case, images = seeded("blast blast")
    visit, colleague = (visitor("pathologist", number=number) for number in (0, 1))
    visit.expected = ("Failed to load resource", "net::ERR")
    page = opened(visit, case)
    page.route("**/review/", lambda route: route.abort("connectionreset"))
    page.locator(f"#open-{images[0]}").focus()
    page.keyboard.press("c")
    expect(page.locator("#review-state")).to_contain_text("Not saved", timeout=PATIENCE)
    other = opened(colleague, case)
    other.locator(f"#open-{images[0]}").focus()
    other.keyboard.press("m")
    saved(other)
    page.locator("#to-list").click()  # within the portal nobody is asked whether to leave
    expect(page).to_have_url(re.compile(r"/(\?.*)?$"))
    line = page.locator("#unsaved")
    page.unroute("**/review/")
    expect(line).to_contain_text("One image was left as it is", timeout=PATIENCE)
    expect(line).to_contain_text("decided on “monocyte”")
    visit.go("/models/")
    expect(line).to_contain_text("One image was left as it is")
    assert decisions(portal, case) == {images[0]: ["monocyte"]}
    line.get_by_role("link").click()
    expect(page.locator("#gallery-groups li.tile:visible")).to_have_count(1)
    page.locator("#unsaved").get_by_role("button", name="Understood").click()
    expect(page.locator("#unsaved")).to_be_hidden()
    visit.go("/models/")
    expect(page.locator("#unsaved")).to_be_hidden()


def test_an_answer_that_gets_lost_is_asked_for_again_and_stored_once(
    visitor: Visitor, portal: Portal, seeded: Any
) -> None:
    case, images = seeded("blast blast")
    visit = visitor("pathologist")
    visit.expected = ("Failed to load resource", "net::ERR")
    page = opened(visit, case)
    lost: list[int] = []

    def swallow(route: Any) -> None:
        if not lost:
            lost.append(route.fetch().status)  # stored, and nobody hears of it
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/review/", swallow)
    page.locator(f"#open-{images[0]}").focus()
    page.keyboard.press("c")
    saved(page)
    assert lost == [200]
    assert decisions(portal, case) == {images[0]: ["blast"]}


def test_two_browsers_in_one_case(visitor: Visitor, portal: Portal, seeded: Any) -> None:
    case, images = seeded("blast blast blast")
    first, second = (visitor("pathologist", number=number) for number in (0, 1))
    second.expected = ("Failed to load resource", "net::ERR")
    one, other = opened(first, case), opened(second, case)
    # Each sees what the other decides, without doing anything.
    one.locator(f"#open-{images[0]}").focus()
    one.keyboard.press("m")
    expect(tile(other, images[0]).locator(".by-person")).to_have_text("Monocyte", timeout=20_000)
    # Both at the same image: the second is told, and nothing of the first is overwritten.
    other.route("**/live/**", lambda route: route.abort())  # their page has not heard of it yet
    one.locator(f"#open-{images[1]}").focus()
    one.keyboard.press("l")
    saved(one)
    other.locator(f"#open-{images[1]}").focus()
    other.keyboard.press("x")
    other.locator(f"#open-{images[2]}").focus()
    other.keyboard.press("x")
    other.keyboard.press("p")
    alert = other.locator("#review-notices")
    expect(alert).to_contain_text("One image was left as it is")
    expect(alert).to_contain_text("decided on “lymphocyte”")
    saved(other)
    expect(tile(other, images[1]).locator(".by-person")).to_have_text("Lymphocyte")
    expect(tile(other, images[2]).locator(".by-person")).to_have_text("Promyelocyte")
    assert decisions(portal, case) == {images[0]: ["monocyte"], images[1]: ["lymphocyte"], images[2]: ["promyelocyte"]}
    alert.get_by_role("button", name="Understood").click()
    # With open eyes now.
    other.locator(f"#open-{images[1]}").focus()
    other.keyboard.press("p")
    saved(other)
    assert decisions(portal, case)[images[1]] == ["lymphocyte", "promyelocyte"]


def test_signed_out_in_the_middle(visitor: Visitor, portal: Portal, seeded: Any) -> None:
    case, images = seeded("blast blast")
    visit = visitor("pathologist")
    visit.expected = ("401",)
    page = opened(visit, case)
    kept = visit.context.cookies()
    visit.context.clear_cookies(name="sessionid")
    page.locator(f"#open-{images[0]}").focus()
    page.keyboard.press("c")
    expect(page.locator("#review-state")).to_have_text("▲ Not saved – you are signed out (1 waiting)")
    expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
    assert decisions(portal, case) == {}
    visit.context.add_cookies(kept)
    saved(page)
    assert decisions(portal, case) == {images[0]: ["blast"]}


def test_a_browser_that_stores_nothing_says_so_and_still_saves(visitor: Visitor, portal: Portal, seeded: Any) -> None:
    case, images = seeded("blast")
    visit = visitor("pathologist")
    visit.expected = ("Failed to load resource", "ERR_INTERNET")
    visit.context.add_init_script("Storage.prototype.setItem = () => { throw new Error('full'); };")
    page = opened(visit, case)
    visit.context.set_offline(True)
    page.locator(f"#open-{images[0]}").focus()
    page.keyboard.press("c")
    expect(page.locator("#review-state")).to_contain_text("Keep this page open: the browser stores nothing")
    visit.context.set_offline(False)
    saved(page)
    assert decisions(portal, case) == {images[0]: ["blast"]}


def test_by_mouse(visitor: Visitor, portal: Portal, seeded: Any) -> None:
    case, (b1, b2, b3, n1) = seeded("blast blast blast neutrophil")
    page = opened(visitor("pathologist"), case)
    order = page.locator("#group-cell-blast li.tile").evaluate_all("list => list.map((li) => Number(li.dataset.image))")
    page.locator(f"#open-{order[0]}").click()
    page.locator(f"#open-{order[2]}").click(modifiers=["Shift"])
    expect(page.locator("#review-picked")).to_have_text("3 selected")
    page.get_by_role("button", name="Confirm").click()
    saved(page)
    page.locator(f"#open-{n1}").drag_to(page.locator("[data-class=monocyte]"))
    expect(group(page, "monocyte").locator(f"#tile-{n1}")).to_be_visible()
    page.locator(f"#open-{b1}").drag_to(group(page, "monocyte"))
    saved(page)
    assert decisions(portal, case) == {b1: ["blast", "monocyte"], b2: ["blast"], b3: ["blast"], n1: ["monocyte"]}
    page.locator("[data-filter=decided]").first.click()
    expect(page.locator("#gallery li.tile:visible")).to_have_count(4)
    page.locator("[data-filter=undecided]").first.click()
    expect(page.get_by_text("No image fits this filter.")).to_be_visible()
    page.get_by_role("button", name="Show all images").click()
    page.get_by_label("Order within a class").select_option("arrival")
    page.get_by_label("Size of the images").fill("88")
    page.reload()
    expect(page.get_by_label("Order within a class")).to_have_value("arrival")
    expect(page.get_by_label("Size of the images")).to_have_value("88")
    page.locator(f"#open-{n1}").dblclick()
    expect(page.get_by_role("heading", name="What the networks see")).to_be_visible()


def test_by_finger(visitor: Visitor, portal: Portal, seeded: Any) -> None:
    case, (b1, b2) = seeded("blast blast")
    page = opened(visitor("pathologist", viewport=PHONE, has_touch=True, is_mobile=True), case)
    for image in (b1, b2):
        page.locator(f"#open-{image}").scroll_into_view_if_needed()
        page.locator(f"#open-{image}").tap()
    expect(page.locator("#review-picked")).to_have_text("2 selected")
    page.locator("[data-class=promyelocyte]").tap()
    saved(page)
    assert decisions(portal, case) == {b1: ["promyelocyte"], b2: ["promyelocyte"]}


def test_a_flag_leads_to_its_images(visitor: Visitor, seeded: Any) -> None:
    case, images = seeded("blast blast? lymphocyte")
    page = opened(visitor("pathologist"), case)
    page.evaluate(f"location.hash = '#images={images[1]}'")
    expect(page.locator("#gallery li.tile:visible")).to_have_count(1)


def test_the_gallery_passes_axe_and_fits(visitor: Visitor, seeded: Any) -> None:
    case, images = seeded("field:pro_b field:benign? blast blast? monocyte neutrophil")
    visit = visitor("pathologist")
    page = opened(visit, case)
    page.locator(f"#open-{images[2]}").focus()
    page.keyboard.press("c")
    page.keyboard.press("x")
    saved(page)
    assert list(examine(page)) == []
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    page = visitor("technician").go(f"/cases/{case}/")
    expect(page.locator("#review-bar")).to_have_count(0)
    page.locator(f"#open-{images[0]}").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What the networks see")).to_be_visible()
