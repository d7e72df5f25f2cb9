"""Clinical data and the request of a case through the API."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from diagnosis.models import AuditEvent, Case, ClinicalData
from tests.cast import Cast

pytestmark = pytest.mark.django_db


def test_entered_read_and_changed(technician: APIClient, pathologist: APIClient, case: Case) -> None:
    url = f"/api/v1/cases/{case.pk}/clinical/"
    empty = pathologist.get(url).json()
    assert (empty["case"], empty["revision"], empty["wbc"], empty["updated_by"]) == (case.pk, 0, None, None)
    sent = {
        "expected_revision": 0, "counted_on": "2026-03-02", "wbc": 42.5, "cytogenetics": ["t_15_17"],
        "immunophenotype": {"CD34": "negative"},
    }  # fmt: skip
    saved = technician.patch(url, sent)
    assert saved.status_code == 200, saved.content
    assert saved.json()["revision"] == 1
    assert saved.json()["updated_by"] == "Tess Technician"
    changed = pathologist.patch(url, {"expected_revision": 1, "wbc": None}).json()
    assert (changed["wbc"], changed["cytogenetics"], changed["revision"]) == (None, ["t_15_17"], 2)
    assert pathologist.get(url).json() == changed


def test_what_is_refused(technician: APIClient, case: Case) -> None:
    url = f"/api/v1/cases/{case.pk}/clinical/"
    slip = technician.patch(url, {"expected_revision": 0, "haemoglobin": 134})
    assert (slip.status_code, slip.json()["code"], slip.json()["offer"]) == (400, "impossible", 13.4)
    assert slip.json()["errors"][0]["field"] == "haemoglobin"
    assert technician.patch(url, {"expected_revision": 0, "wbc": 800}).json()["code"] == "rare"
    assert technician.patch(url, {"expected_revision": 0, "wbc": 800, "confirmed": ["wbc"]}).status_code == 200
    late = technician.patch(url, {"expected_revision": 0, "wbc": 4})
    assert (late.status_code, late.json()["code"], late.json()["revision"]) == (409, "changed_meanwhile", 1)
    for wrong in ({"wbc": 4}, {"expected_revision": 1, "hb": 4}, {"expected_revision": 1, "cytogenetics": ["x"]},
                  {"expected_revision": 1, "immunophenotype": {"CD999": "positive"}},
                  {"expected_revision": 1, "immunophenotype": {"CD34": "maybe"}}):  # fmt: skip
        assert technician.patch(url, wrong).status_code == 400, wrong
    assert ClinicalData.objects.get(case=case).revision == 1


def test_a_revision_that_never_was(technician: APIClient, case: Case) -> None:
    never = technician.patch(f"/api/v1/cases/{case.pk}/clinical/", {"expected_revision": 3, "wbc": 4})
    assert (never.status_code, never.json()["code"], never.json()["revision"]) == (409, "changed_meanwhile", 0)
    assert "No clinical data have been entered here yet" in never.json()["detail"]
    assert not ClinicalData.objects.exists()


def test_the_request_is_changed(technician: APIClient, case: Case) -> None:
    url = f"/api/v1/cases/{case.pk}/"
    answer = technician.patch(url, {"priority": "urgent", "requester_email": "vogt@ward.example"})
    assert answer.status_code == 200, answer.content
    assert (answer.json()["priority"], answer.json()["requester_email"]) == ("urgent", "vogt@ward.example")
    assert AuditEvent.objects.filter(case=case, action="case.updated").count() == 1
    assert technician.patch(url, {"status": "signed"}).status_code == 400
    Case.objects.filter(pk=case.pk).update(signed_at=case.created_at, report_version=1)
    refused = technician.patch(url, {"stain": "giemsa"})
    assert (refused.status_code, refused.json()["code"]) == (409, "signed")


def test_a_case_is_opened_with_its_requester(technician: APIClient, cast: Cast) -> None:
    sent = {"accession_number": "R-1", "patient": {"mrn": "1"}, "requester_name": "Dr Vogt"}
    made = technician.post("/api/v1/cases/", sent)
    assert made.status_code == 201, made.content
    assert made.json()["requester_name"] == "Dr Vogt"
