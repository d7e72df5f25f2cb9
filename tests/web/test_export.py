"""The page: what a choice holds is shown, and the same choice is what is sent."""

from __future__ import annotations

import io
from typing import Any
from zipfile import ZipFile

import pytest
from django.test import Client

from diagnosis import review
from diagnosis.models import AuditEvent, Case
from tests.cast import Cast
from tests.smears import make_image
from tests.web.test_pages import signed_in

pytestmark = pytest.mark.django_db
URL = "/laboratory/export/"


@pytest.fixture
def client(cast: Cast, settings: Any, tmp_path: Any) -> Client:
    settings.MEDIA_ROOT = tmp_path
    case = cast.case()
    for label in ("blast", "blast", "lymphocyte"):
        review.decide(actor=cast.pathologist, image=make_image(case), verdict="override", label=label)
    make_image(case)
    return signed_in(cast.administrator)


def test_the_page_shows_and_then_sends_the_choice(client: Client) -> None:
    page = client.get(f"{URL}?tasks=cell&signed=no&labels=blast")
    text = page.content.decode()
    assert "2 pictures of 1 patient" in text
    assert "1 more is not decided" in text
    hidden = page.context["hidden"]
    assert hidden == [("tasks", "cell"), ("signed", "no"), ("labels", "blast")]
    sent = client.post(URL, {"tasks": ["cell"], "signed": "no", "labels": ["blast"]})
    assert sent["Content-Type"] == "application/zip"
    assert "attachment" in sent["Content-Disposition"]
    names = ZipFile(io.BytesIO(b"".join(sent.streaming_content))).namelist()  # type: ignore[arg-type]
    assert sum(name.endswith(".png") for name in names) == 2
    assert AuditEvent.objects.filter(action="data.exported").count() == 1


def test_looking_alone_exports_nothing(client: Client) -> None:
    client.get(f"{URL}?tasks=cell&signed=no")
    assert not AuditEvent.objects.filter(action="data.exported").exists()


def test_nothing_signed_yet_says_what_to_do(client: Client) -> None:
    page = client.get(URL)
    assert page.status_code == 200
    assert "No decided picture fits this choice." in page.content.decode()
    assert "Download the zip" not in page.content.decode()
    assert client.post(URL, {"tasks": ["cell"], "signed": "yes"}).status_code == 422


def test_too_much_is_refused_before_it_begins(client: Client, settings: Any) -> None:
    settings.EXPORT_MAX_IMAGES = 2
    page = client.get(f"{URL}?tasks=cell&signed=no").content.decode()
    assert "Too much for one export" in page
    assert "3 pictures of 1 patient" in page
    assert "Download the zip" not in page


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("signed=no", "Choose fields, single cells, or both."),
        ("tasks=cell&signed=no&since=2026-02-02&until=2026-02-01", "The first day is after the last one."),
        ("tasks=cell&signed=no&since=yesterday", "Enter a valid date."),
        ("tasks=cell&signed=no&labels=unicorn", "Select a valid choice."),
        ("tasks=cell&signed=maybe", "Select a valid choice."),
    ],
)
def test_what_does_not_fit_stays_and_is_told(client: Client, asked: str, told: str) -> None:
    page = client.get(f"{URL}?{asked}")
    assert page.status_code == 422
    assert told in page.content.decode()


def test_the_laboratory_page_leads_there_for_administrators_alone(client: Client, cast: Cast) -> None:
    assert URL in client.get("/laboratory/").content.decode()
    assert URL not in signed_in(cast.pathologist).get("/laboratory/").content.decode()
    assert Case.objects.exists()
