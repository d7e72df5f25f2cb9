"""The page of an evaluation report in a real browser, opened from a file: fetches nothing, can be read and printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from mlcore.report.html import render
from tests.browser.test_every_page import examine
from tests.mlcore.report_sample import sample

pytestmark = pytest.mark.browser


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(render(sample()), encoding="utf-8")
    return path


def test_the_report_is_readable_in_both_themes_and_on_a_phone(chromium: Browser, report: Path) -> None:
    page = chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(report.as_uri())
        assert list(examine(page)) == []
        assert asked == [report.as_uri()]
    finally:
        page.close()


def test_the_report_prints_with_its_banner_on_every_sheet(chromium: Browser, report: Path) -> None:
    page = chromium.new_page()
    try:
        page.goto(report.as_uri())
        printed = page.pdf(prefer_css_page_size=True)
        sheets = len(re.findall(rb"/Type\s*/Page\b", printed))
        assert 8 < sheets < 25
        # A4 in points, as the page itself asks for.
        assert re.search(rb"/MediaBox\s*\[\s*0 0 59[45][.\d]* 84[12]", printed)
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.querySelector('.ruo')).display") == "table-header-group"
        assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert page.evaluate("getComputedStyle(document.querySelector('figure')).breakInside") == "avoid"
    finally:
        page.close()
