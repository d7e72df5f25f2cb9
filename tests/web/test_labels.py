"""The pages of labels without a browser."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from diagnosis.batches import opening
from diagnosis.models import AuditEvent, Case, ManifestRow
from tests.cast import Cast
from tests.diagnosis.test_labels import SHEET
from tests.web.test_pages import signed_in

pytestmark = pytest.mark.django_db
WANTED = {"stock": "22x15", "code": "qr", "stain": "case", "first": "1", "smears": "2", "copies": "1", "start": "1"}


@pytest.fixture
def case(cast: Cast) -> Case:
    return cast.case(accession_number="S26-0123", patient__name="Jane Rendered")


@pytest.fixture
def client(cast: Cast) -> Client:
    return signed_in(cast.technician)


def test_a_case_leads_to_its_labels_and_they_come_as_pdf(client: Client, case: Case) -> None:
    link = f"/labels/?case={case.pk}"
    assert link in client.get(f"/cases/{case.pk}/").content.decode()
    page = client.get(link).content.decode()
    assert f'value="{case.pk}" checked' in page
    answer = client.post(link, WANTED | {"ticked": [case.pk]})
    assert (answer["Content-Type"], answer.content[:5]) == ("application/pdf", b"%PDF-")
    assert "no-store" in answer["Cache-Control"]
    assert AuditEvent.objects.filter(case=case, action="labels.printed").count() == 1


def test_a_sheet_goes_on_where_it_was_left(client: Client, case: Case) -> None:
    link = f"/labels/?case={case.pk}"
    client.post(link, WANTED | {"ticked": [case.pk], "stock": "a4-65", "start": "64", "smears": "3"})
    page = client.get(link).content.decode()
    assert '<option value="a4-65" selected>' in page
    assert 'name="start" value="2"' in page


def test_the_worklist_and_a_batch_lead_to_labels(cast: Cast, client: Client, case: Case) -> None:
    assert f"/labels/?pick&amp;case={case.pk}" in client.get("/").content.decode()
    assert " checked" not in client.get(f"/labels/?pick&case={case.pk}").content.decode()
    batch = opening.open_batch(actor=cast.technician, name="Morning")
    assert "No case chosen" in client.get(f"/labels/?batch={batch.pk}").content.decode()
    ManifestRow.objects.create(batch=batch, line=2, case=case)
    assert f"/labels/?batch={batch.pk}" in client.get(f"/batches/{batch.pk}/").content.decode()
    assert "S26-0123" in client.get(f"/labels/?batch={batch.pk}").content.decode()
    assert signed_in(cast.stranger).get(f"/labels/?batch={batch.pk}").status_code == 404


def test_what_does_not_fit_is_said_and_nothing_that_was_chosen_is_lost(client: Client, case: Case) -> None:
    link = f"/labels/?case={case.pk}"
    refused = client.post(link, WANTED | {"ticked": [case.pk], "code": "code128", "smears": "7"})
    page = refused.content.decode()
    assert refused.status_code == 422
    assert "too long for Code 128" in page
    assert 'name="smears" value="7"' in page
    assert f'value="{case.pk}" checked' in page
    assert "Tick the cases" in client.post(link, WANTED).content.decode()
    for wrong in ({"smears": "x"}, {"stock": "own"}, {"copies": "0"}, {"ticked": ["x", "9" * 30]}):
        assert client.post(link, WANTED | {"ticked": [case.pk]} | wrong).status_code == 422
    assert client.get("/labels/?case=x&case=99999999999999999999").status_code == 200
    assert client.get("/labels/?batch=x").status_code == 404


def test_the_administrator_sets_names_and_an_own_sheet(cast: Cast, client: Client, case: Case) -> None:
    administrator = signed_in(cast.administrator)
    measures = {name: str(value) for name, value in SHEET.items()}
    half = administrator.post("/labels/settings/", {"revision": "0", "width": "30"})
    assert half.status_code == 422
    assert "all of its measures" in half.content.decode()
    bad = administrator.post("/labels/settings/", {"revision": "0"} | measures | {"across": "10"})
    assert "they overlap" in bad.content.decode()
    sent: dict[str, Any] = {"revision": "0", "with_name": "on"} | measures
    assert administrator.post("/labels/settings/", sent).status_code == 302
    late = administrator.post("/labels/settings/", {"revision": "0"})
    assert late.status_code == 409
    assert "with the patient" in late.content.decode()
    assert "Own sheet, 3 × 8 of 63.5 × 33.9 mm" in client.get(f"/labels/?case={case.pk}").content.decode()
    answer = client.post(f"/labels/?case={case.pk}", WANTED | {"ticked": [case.pk], "stock": "own", "start": "24"})
    assert answer["Content-Type"] == "application/pdf"


def test_pages_ask_the_same_however_many_cases_there_are(
    cast: Cast, client: Client, django_assert_max_num_queries: Any
) -> None:
    ids = "&".join(f"case={cast.case().pk}" for _ in range(6))
    with django_assert_max_num_queries(12):
        client.get(f"/labels/?{ids}")
