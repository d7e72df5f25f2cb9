"""Take the README's screenshots: `python scripts/screenshots.py [FOLDER]` (default `docs/images`).

Starts a portal of its own with the rendered demo data, waits until everything is read, decides on a few images as a
pathologist would, and photographs the pages at 1440 and 390 px, light and dark. Each file ends below 300 kB.
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
PATIENCE = 600  # seconds for all readings


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    portal = Portal()
    try:
        portal.prepare()
        portal.manage("load_demo", "--url", portal.url)
        portal.start_web()
        portal.start_worker()
        token = portal.credentials["api_token"]
        portal.wait_for(lambda: is_read(portal, token), "the readings", seconds=PATIENCE, every=2.0)
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


def is_read(portal: Portal, token: str) -> bool:
    cases = portal.get("/api/v1/cases/?page_size=100", token)[1]["results"]
    return bool(cases) and all(case["status"] != "reading" for case in cases)


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
    page.goto(f"{portal.url}/")
    page.locator("tr", has_text="think of APL").first.get_by_role("link").click()
    page.locator("#gallery li.tile").first.wait_for()
    case = page.url
    images = [str(link.get_attribute("href")) for link in page.locator("#gallery li.tile > a").all()]
    for image in images[:3]:
        page.goto(portal.url + image)
        page.locator("#agree").click()
        page.locator(".decided-now").wait_for()
    page.goto(f"{portal.url}/")
    field_case = page.locator("tr", has_text="ALL pattern").first.get_by_role("link").get_attribute("href")
    page.goto(f"{portal.url}{field_case}")
    field = page.locator("#gallery li.tile > a").first.get_attribute("href")
    context.close()

    def worklist(page: Page) -> None:
        page.goto(f"{portal.url}/", wait_until="networkidle")

    def case_page(page: Page) -> None:
        page.goto(case, wait_until="networkidle")

    def image_page(page: Page) -> None:
        page.goto(f"{portal.url}{field}", wait_until="networkidle")
        page.wait_for_timeout(1_500)

    def heat_map(page: Page) -> None:
        page.goto(portal.url + images[1], wait_until="networkidle")
        with page.expect_response(lambda answer: "/heat/" in answer.url):
            page.get_by_label("Heat map", exact=True).check()
        page.wait_for_timeout(1_500)

    return {"worklist": worklist, "case": case_page, "image": image_page, "heat-map": heat_map}


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
