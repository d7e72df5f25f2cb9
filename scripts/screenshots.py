"""Take the README's screenshots: `python scripts/screenshots.py [FOLDER]` (default `docs/images`).

Starts a portal of its own with the demo's cases and its weeks behind them, reviews a part of one case as a pathologist
would, and photographs the pages at 1440 and 390 px, light and dark. Each file ends below 300 kB.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageColor
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.portal import Portal  # noqa: E402
from tests.servers import chromium_binary  # noqa: E402

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
LARGEST = 300_000  # bytes
SIZES = {1440: {"viewport": {"width": 1440, "height": 900}}, 390: {"viewport": {"width": 390, "height": 844}}}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    portal = Portal()
    try:
        portal.prepare()
        portal.start_web()
        portal.start_worker()
        print(portal.manage("load_demo", "--url", portal.url), flush=True)
        (folder / "report-pdf.png").write_bytes(small(printed(portal)))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_binary(), args=FLAGS)
            state = sign_in(browser, portal)
            pages = review(browser, portal, state)
            for width, options in SIZES.items():
                for scheme in ("light", "dark"):
                    context = browser.new_context(color_scheme=scheme, storage_state=state, **options)  # type: ignore[arg-type]
                    context.set_default_timeout(120_000)
                    for name, show in pages.items():
                        page = context.new_page()
                        show(page)
                        path = folder / f"{name}-{width}-{scheme}.png"
                        path.write_bytes(small(page.screenshot()))
                        print(f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}", flush=True)
                        page.close()
                    context.close()
            browser.close()
    finally:
        portal.stop()


def printed(portal: Portal) -> bytes:
    """The first page of the amended report, as it comes out of the printer."""
    file = portal.var / "page.png"
    code = (
        "from pathlib import Path; from diagnosis.models import Report; from diagnosis.reporting import pdf; "
        "report = Report.objects.filter(kind='addendum').first(); "
        f"Path({str(file)!r}).write_bytes(pdf.pages(report.content, site='https://portal.example', ppi=96)[0])"
    )
    portal.manage("shell", "-v", "0", "-c", code)
    return file.read_bytes()


def sign_in(browser: Browser, portal: Portal) -> dict[str, object]:
    """The cookies of the demo pathologist."""
    person = next(user for user in portal.credentials["users"] if user["role"] == "pathologist")
    context = browser.new_context()
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(portal.url)
    page.get_by_label("Email").fill(person["email"])
    page.get_by_label("Password").fill(person["password"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("heading", name="Worklist").wait_for()
    state = context.storage_state()
    context.close()
    return dict(state)


def review(browser: Browser, portal: Portal, state: dict[str, object]) -> dict[str, Callable[[Page], None]]:
    """Decide on a few images of the case that is shown; answers how to bring each page before the camera."""
    context = browser.new_context(storage_state=state)  # type: ignore[arg-type]
    context.set_default_timeout(120_000)
    page = context.new_page()

    def case_of(words: str, view: str = "") -> str:
        page.goto(f"{portal.url}/?view={view}")
        link = page.locator("tbody tr", has_text=words).first.get_by_role("link").first
        return f"{portal.url}{str(link.get_attribute('href')).partition('?')[0]}"

    case, fields = case_of("think of APL"), case_of("ALL pattern", "unassigned")
    signed = case_of("Rendered Person 44", "signed")
    page.goto(case, wait_until="load")
    page.locator("#review-state", has_text="✓ Saved").wait_for()
    page.keyboard.press("n")
    for decided in range(1, 5):
        page.keyboard.press("c")
        page.locator("#gallery li.tile.decided").nth(decided - 1).wait_for()
    page.locator("#review-state", has_text="✓ Saved").wait_for()
    cell = str(page.locator("#gallery li.tile > a").nth(2).get_attribute("href"))
    page.goto(fields)
    field = str(page.locator("#gallery li.tile > a").first.get_attribute("href"))
    page.goto(f"{signed}report/")
    report = page.url
    code = page.locator(".report-code code").nth(1).inner_text()[:16]
    context.close()

    def at(address: str, *, settle: int = 0, focus: str = "") -> Callable[[Page], None]:
        def show(page: Page) -> None:
            page.goto(address, wait_until="networkidle")
            if focus:
                page.locator(focus).evaluate("element => element.scrollIntoView({block: 'start'})")
            page.wait_for_timeout(settle)

        return show

    def reviewing(page: Page) -> None:
        at(case)(page)
        page.locator("#gallery").evaluate("element => element.scrollIntoView({block: 'start'})")
        page.keyboard.press("n")
        page.keyboard.press("Shift+ArrowRight")
        page.wait_for_timeout(500)

    def heat_map(page: Page) -> None:
        page.goto(portal.url + cell, wait_until="networkidle")
        with page.expect_response(lambda answer: "/heat/" in answer.url):
            page.get_by_label("Heat map", exact=True).check()
        page.wait_for_timeout(1_500)

    return {
        "worklist": at(f"{portal.url}/"),
        "case": at(case),
        "review": reviewing,
        "image": at(portal.url + field, settle=1_500),
        "heat-map": heat_map,
        "compare": at(f"{portal.url}{cell.partition('?')[0]}compare/", settle=2_000),
        "report": at(report),
        "verify": at(f"{portal.url}/verify/{code}/"),
        "laboratory": at(f"{portal.url}/laboratory/"),
        "figures": at(f"{portal.url}/laboratory/", focus="#agreement"),
    }


def small(png: bytes) -> bytes:
    """The same picture as a palette PNG below `LARGEST` bytes.

    The colours of the design keep their places in the palette, alone and half mixed with their backgrounds, so
    that a rare red, amber or green stays what it means; the smear takes the rest.
    """
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 224, 192, 160, 144):
        design = design_colours()[: colours - 64]
        rest = picture.quantize(colours - len(design), kmeans=1).getpalette() or []
        palette = Image.new("P", (1, 1))
        palette.putpalette([channel for colour in design for channel in colour] + rest)
        out = io.BytesIO()
        picture.quantize(palette=palette, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() < LARGEST:
            return out.getvalue()
    raise RuntimeError("this page does not fit into the size that the README allows")


def design_colours() -> list[tuple[int, ...]]:
    """The colours of `tokens.css`, then each of those that carry meaning half mixed with a light and a dark surface."""
    text = (ROOT / "static" / "css" / "tokens.css").read_text()
    pure = list(dict.fromkeys(ImageColor.getrgb(value)[:3] for value in re.findall(r"#[0-9a-f]{6}", text)))
    grounds = [ImageColor.getrgb(colour) for colour in ("#ffffff", "#1d1925")]
    signs = [colour for colour in pure if max(colour) - min(colour) > 60]
    mixed = [
        tuple((one + other) // 2 for one, other in zip(colour, ground, strict=True))
        for colour in signs
        for ground in grounds
    ]
    return [*pure, *mixed]


if __name__ == "__main__":
    main()
