"""The dashboard's pages: right for an empty laboratory and for a busy one, and to be taken away as tables."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnosis import dashboard
from diagnosis.models import Case, Decision, Report, SmearImage
from diagnosis.web.laboratory.views import TABLES
from tests.cast import Cast
from tests.smears import make_image
from tests.web.test_pages import read, signed_in

pytestmark = pytest.mark.django_db
URL = "/laboratory/"


def text(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def open_page(client: Client, address: str = URL) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    page = answer.content.decode()
    assert ' style="' not in page
    assert "None" not in text(page).split()
    assert "nan" not in text(page).lower().split()
    assert "Research use only – not for diagnostic use" in page
    return page


def decide(cast: Cast, image: SmearImage, label: str, *, days: float = 1, who: Any = None) -> None:
    Decision.objects.create(
        image=image,
        label=label,
        reading_label="blast",
        verdict="agree" if label == "blast" else "override",
        decided_by=(who or cast.pathologist).user,
        decided_at=timezone.now() - timedelta(days=days),
    )


def busy(cast: Cast, *, before: int = 12, now: int = 12) -> list[Case]:
    """A month in which people agree, and one in which they override half of it."""
    cases = []
    for number in range(before + now):
        late = number < before
        days = 40 if late else 3
        case = cast.case(created_at=timezone.now() - timedelta(days=days + 1), image_count=6)
        for at in range(6):
            image = make_image(case)
            SmearImage.objects.filter(pk=image.pk).update(uploaded_at=case.created_at)
            image.refresh_from_db()
            for network in ("cnn", "mobilenet"):
                read(image, "blast", network=network)
            decide(cast, image, "monocyte" if not late and at % 2 else "blast", days=days)
        Report.objects.create(
            case=case, version=1, kind="original", content={}, content_hash=str(case.pk), pdf=b"", pdf_sha256="",
            signed_by=cast.pathologist.user, signed_at=timezone.now() - timedelta(days=days), signed_with="password",
        )  # fmt: skip
        cases.append(case)
    return cases


def test_an_empty_laboratory_says_what_will_be_here(cast: Cast) -> None:
    page = open_page(signed_in(cast.administrator))
    assert "Nothing happened in this period yet" in page
    assert "Look at the whole year" in page
    assert "No worker has been heard of" in page
    assert "Paul Pathologist" in page
    for days in dashboard.PERIODS:
        open_page(signed_in(cast.administrator), f"{URL}?days={days}")


def test_a_busy_laboratory(cast: Cast) -> None:
    busy(cast)
    client = signed_in(cast.pathologist)
    page = open_page(client)
    said = text(page)
    assert "Cases opened 12 as many as before (12)" in said
    assert "People override the networks more often than in the 30 days before, beyond chance" in said
    assert "Both together, cells : 0.0 % of 72 before, 50.0 % of 72 now (+50.0 points" in said
    assert "CNN 1.0.0, cells : 0.0 %" in said
    assert re.search(r"Monocyte 100\.0 % 36 of 36", said)
    assert 'id="overrides-cell-name"' in page
    for days in (7, 90, 365):
        open_page(client, f"{URL}?days={days}")
    assert "Nothing happened" in open_page(signed_in(cast.stranger))


def test_links_lead_to_the_images_behind_a_share(cast: Cast) -> None:
    cases = busy(cast)
    client = signed_in(cast.pathologist)
    addresses = {
        html.unescape(found) for found in re.findall(r'href="(/laboratory/overrides/[^"]+)"', open_page(client))
    }
    assert addresses
    for address in addresses:
        page = open_page(client, address)
        assert page.count('class="by-person"') == 36
    assert cases[-1].accession_number in page
    assert cases[0].accession_number not in page
    release = cases[0].images.first().analyses.first().release  # type: ignore[union-attr]
    none = open_page(client, f"{URL}overrides/?task=cell&source={release.pk}&decided=basophil")
    assert "No such image" in none


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 200), ("?task=field&source=-1", 200), ("?task=tissue", 404), ("?task=cell&source=99999", 404)],
)
def test_addresses_that_name_nothing(cast: Cast, query: str, status: int) -> None:
    assert signed_in(cast.pathologist).get(f"{URL}overrides/{query}").status_code == status


def test_every_table_can_be_taken_away(cast: Cast) -> None:
    busy(cast)
    cast.pathologist.user.full_name = "=cmd|' /C calc'!A0"
    cast.pathologist.user.save()
    client = signed_in(cast.administrator)
    page = open_page(client)
    offered = set(re.findall(r'href="/laboratory/([\w-]+)\.csv\?days=30"', page))
    assert offered <= set(TABLES)
    for table in TABLES:
        answer = client.get(reverse("laboratory-table", args=[table]), {"days": "30"})
        assert answer.status_code == 200
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert "attachment" in answer["Content-Disposition"]
        lines = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert len({len(line) for line in lines}) == 1, table
        assert not any(cell.startswith("=") for line in lines for cell in line)
    overrides = client.get("/laboratory/overrides-cell.csv").content.decode("utf-8-sig")
    assert overrides.splitlines()[0].startswith('"Class, as people decided",Both together,CNN 1.0.0,MobileNet 1.0.0')
    assert "monocyte,1.0,1.0,1.0,36,36,12," in overrides
    assert client.get("/laboratory/nothing.csv").status_code == 404


def test_the_page_asks_the_same_however_much_there_is(
    cast: Cast, django_assert_max_num_queries: Any, django_assert_num_queries: Any
) -> None:
    client = signed_in(cast.pathologist)
    busy(cast, before=1, now=1)
    with django_assert_max_num_queries(32) as few:
        client.get(URL)
    busy(cast, before=3, now=8)
    with django_assert_num_queries(len(few)):
        client.get(URL)


def test_what_stands_still_is_said_first(cast: Cast) -> None:
    image = make_image(cast.case())
    analysis = read(image, "blast")
    analysis.state = "queued"
    analysis.save()
    page = open_page(signed_in(cast.pathologist))
    assert "Nothing is being read" in page
