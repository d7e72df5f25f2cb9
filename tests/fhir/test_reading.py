"""What each resource states, from a case's first picture to its amended report."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.permissions import Scope
from diagnosis import clinic, review, second_opinion, signout
from diagnosis.models import AuditEvent, Case
from diagnosis.signout import Proposal
from tests.api.conftest import ClientOf
from tests.cast import Cast
from tests.diagnosis.signing import fresh, sign
from tests.fhir.conftest import BASE, COUNTED_BEFORE, Get

pytestmark = pytest.mark.django_db


def observations(get: Get, case: Case, **more: Any) -> list[dict[str, Any]]:
    found = get(f"Observation?patient={case.patient_id}&_count=100", **more)
    return [entry["resource"] for entry in found.get("entry", [])]


def of(found: list[dict[str, Any]], source: str) -> list[dict[str, Any]]:
    return [one for one in found if one["id"].startswith(f"{source}-")]


def test_a_patient(get: Get, case: Case, cast: Cast) -> None:
    patient = get(f"Patient/{case.patient_id}")
    (identifier,) = patient["identifier"]
    assert identifier["value"] == "MRN-77"
    assert identifier["type"]["coding"][0]["code"] == "MR"
    assert identifier["system"] == f"{BASE}/NamingSystem/{cast.laboratory.slug}-mrn"
    assert (patient["gender"], patient["name"][0]["text"]) == ("female", "Rosa Rendered")
    assert "clinical_notes" not in str(patient)


def test_a_patient_changes(get: Get, case: Case, cast: Cast) -> None:
    before = get(f"Patient/{case.patient_id}")["meta"]
    clinic.update_patient(actor=cast.technician, patient=case.patient, name="Rosa Renamed")
    after = get(f"Patient/{case.patient_id}")["meta"]
    assert before["versionId"] != after["versionId"]
    assert before["lastUpdated"] < after["lastUpdated"]


def test_a_report_that_nobody_signed_says_so(get: Get, case: Case) -> None:
    report = get(f"DiagnosticReport/{case.pk}")
    assert report["status"] == "preliminary"
    assert "conclusion" not in report
    assert "presentedForm" not in report
    assert "resultsInterpreter" not in report
    assert "No pathologist has signed this." in report["text"]["div"]
    assert "Research use only" in report["text"]["div"]
    assert report["identifier"][0]["value"] == "S26-0077"
    assert report["code"]["coding"][0]["code"] == "5909-7"


@pytest.mark.parametrize(
    ("status", "state"),
    [("received", "registered"), ("reading", "partial"), ("ready", "partial"), ("in_review", "preliminary")],
)
def test_the_way_to_a_signature(get: Get, case: Case, status: str, state: str) -> None:
    Case.objects.filter(pk=case.pk).update(status=status)
    assert get(f"DiagnosticReport/{case.pk}")["status"] == state
    assert get(f"DiagnosticReport?status={state}")["total"] == 1
    assert get("DiagnosticReport?status=final,amended")["total"] == 0


def test_a_signed_report(get: Get, client: APIClient, case: Case, cast: Cast) -> None:
    signed = sign(cast.pathologist, case)
    report = get(f"DiagnosticReport/{case.pk}")
    assert report["status"] == "final"
    assert report["conclusion"].splitlines() == [
        "Acute myeloid leukaemia, not further specified (ICD-O-3 9861/3)",
        "Two of three cells are blasts.",
        "Flow cytometry is advised.",
    ]
    coded = report["conclusionCode"][0]["coding"][0]
    assert (coded["system"], coded["code"]) == ("http://terminology.hl7.org/CodeSystem/icd-o-3", "9861/3")
    assert report["resultsInterpreter"][0]["display"] == "Paul Pathologist"
    assert [one.get("comment") for one in report["media"]] == ["Key image", None, None]
    (form,) = report["presentedForm"]
    document = client.get(form["url"].removeprefix("http://testserver"))
    assert document["Content-Type"] == "application/pdf"
    assert document.content == bytes(signed.pdf)
    binary = get(form["url"].removeprefix(f"{BASE}/"), Accept="application/fhir+json")
    assert binary["contentType"] == "application/pdf"
    assert {one["status"] for one in of(observations(get, case), "decision")} == {"final"}


def test_what_comes_after_the_first_signature(get: Get, case: Case, cast: Cast) -> None:
    sign(cast.pathologist, case)
    sign(cast.pathologist, case, Proposal("addendum", reason="Result of flow cytometry", addendum="CD34 positive."))
    report = get(f"DiagnosticReport/{case.pk}")
    assert report["status"] == "appended"
    assert report["conclusion"].endswith("Addendum (version 2, Paul Pathologist): CD34 positive.")
    sign(cast.pathologist, case, Proposal("correction", reason="Slip of the pen", comment="Was advised."))
    assert get(f"DiagnosticReport/{case.pk}")["status"] == "corrected"
    signout.amend(actor=cast.pathologist, case=case, reason="RUNX1::RUNX1T1 was found")
    assert get(f"DiagnosticReport/{case.pk}")["status"] == "corrected", "the signed version stands until the next one"
    draft = signout.draft_of(fresh(case))
    signout.save_draft(
        actor=cast.pathologist, case=case, expected_revision=draft.revision, diagnosis="9896/3",
        diagnosis_text="With t(8;21).", comment="", key_images=[],
    )  # fmt: skip
    sign(cast.pathologist, case)
    report = get(f"DiagnosticReport/{case.pk}")
    assert report["status"] == "amended"
    assert report["conclusionCode"][0]["coding"][0]["code"] == "9896/3"
    assert get("DiagnosticReport?status=amended&conclusion-code=9896/3")["total"] == 1
    assert get("DiagnosticReport?conclusion-code=9861/3")["total"] == 0


def test_a_statement_that_is_no_neoplasm_has_no_icd_code(get: Get, case: Case, cast: Cast) -> None:
    draft = signout.draft_of(fresh(case))
    signout.save_draft(
        actor=cast.pathologist, case=case, expected_revision=draft.revision, diagnosis="reactive",
        diagnosis_text="", comment="", key_images=[],
    )  # fmt: skip
    sign(cast.pathologist, case)
    coded = get(f"DiagnosticReport/{case.pk}")["conclusionCode"][0]["coding"][0]
    assert (coded["system"], coded["code"]) == ("urn:x-leukolens:statement", "reactive")


def test_a_network_is_a_device_and_a_person_performs(get: Get, case: Case) -> None:
    found = observations(get, case)
    readings, decisions = of(found, "reading"), of(found, "decision")
    assert (len(readings), len(decisions)) == (6, 3)
    for reading in readings:
        (device,) = reading["contained"]
        assert reading["device"] == {"reference": "#device"}
        assert {version["type"]["text"] for version in device["version"]} == {"release", "sha-256 of the model"}
        assert "performer" not in reading
        assert reading["status"] == "preliminary"
        assert "Research use only" in reading["note"][0]["text"]
        assert reading["meta"]["tag"][0]["code"] == "research-use-only"
        assert "not verified by a person" in reading["method"]["text"]
        shares = [part["valueQuantity"]["value"] for part in reading["component"] if "valueQuantity" in part]
        assert sum(shares[:12]) == pytest.approx(1, abs=1e-4)
    for decision in decisions:
        assert decision["performer"][0]["display"] == "Paul Pathologist"
        assert "device" not in decision
        assert "tag" not in decision["meta"]
        assert decision["derivedFrom"][0]["reference"].startswith("Media/")


def test_results_of_a_report_are_observations_that_are_there(get: Get, case: Case) -> None:
    named = {one["reference"] for one in get(f"DiagnosticReport/{case.pk}")["result"]}
    assert named == {f"Observation/{one['id']}" for one in observations(get, case)}
    for reference in named:
        assert get(reference)["subject"]["reference"] == f"Patient/{case.patient_id}"
    for link in get(f"DiagnosticReport/{case.pk}")["media"]:
        assert get(link["link"]["reference"])["status"] == "completed"


def test_clinical_data_in_ucum(get: Get, case: Case) -> None:
    found = {one["id"].split("-")[2]: one for one in of(observations(get, case), "clinical")}
    assert {name: (one["valueQuantity"]["value"], one["valueQuantity"]["code"]) for name, one in found.items()
            if "valueQuantity" in one} == {
        "wbc": (41.2, "10*9/L"), "haemoglobin": (8.1, "g/dL"), "platelets": (34, "10*9/L"), "blasts": (62, "%"),
    }  # fmt: skip
    assert found["wbc"]["effectiveDateTime"] == (case.created_at.date() - COUNTED_BEFORE).isoformat()
    assert found["wbc"]["code"]["coding"][0]["system"] == "http://loinc.org"
    assert found["cytogenetics"]["component"][0]["valueCodeableConcept"]["coding"][0]["code"] == "t_8_21"
    assert [one["valueCodeableConcept"]["text"] for one in found["immunophenotype"]["component"]] == [
        "dim", "negative", "positive",
    ]  # fmt: skip


def test_the_differential(get: Get, case: Case) -> None:
    (differential,) = of(observations(get, case), "differential")
    counted, *shares = differential["component"]
    assert counted["valueInteger"] == 3
    blasts = next(one for one in shares if one["code"]["coding"][0]["code"] == "26446-5")
    assert blasts["valueQuantity"]["value"] == pytest.approx(66.67)
    assert "people decided on 3 of them" in differential["note"][0]["text"]


def test_a_picture(get: Get, client: APIClient, case: Case) -> None:
    image = case.images.order_by("id")[0]
    media = get(f"Media/{image.pk}")
    assert media["content"]["contentType"] == "image/png"
    assert client.get(media["content"]["url"].removeprefix("http://testserver")).status_code == 200
    assert image.original_name not in str(media)
    name = media["identifier"][0]["value"]
    assert get(f"Media?identifier=urn:ietf:rfc:3986|{name}")["total"] == 1
    assert get("Media?identifier=S26-0077&view=cell")["total"] == 3
    assert get("Media?identifier=nothing,ni:///sha-256;!")["total"] == 0


def test_who_is_asked_for_an_opinion_sees_no_decision(get: Get, client_of: ClientOf, case: Case, cast: Cast) -> None:
    second_opinion.ask(actor=cast.pathologist, case=case, colleagues=[cast.second_pathologist.user])
    blinded = client_of(cast.second_pathologist, Scope.CASES_READ)
    report = get(f"DiagnosticReport/{case.pk}", by=blinded)
    assert report["status"] == "partial"
    assert "lastUpdated" not in report["meta"]
    assert not [one for one in report["result"] if "decision" in one["reference"]]
    found = observations(get, case, by=blinded)
    assert of(found, "decision") == []
    assert "people decided on 0 of them" in of(found, "differential")[0]["note"][0]["text"]
    assert len(of(found, "reading")) == 6
    decision = of(observations(get, case), "decision")[0]
    get(f"Observation/{decision['id']}", by=blinded, status=404)
    assert get("DiagnosticReport?status=preliminary", by=blinded)["total"] == 0
    assert get("DiagnosticReport?status=partial", by=blinded)["total"] == 1
    assert get("DiagnosticReport?status=preliminary")["total"] == 1


def test_each_read_stands_in_the_history_of_the_case(get: Get, case: Case) -> None:
    get(f"DiagnosticReport/{case.pk}")
    get(f"Observation?patient={case.patient_id}")
    reads = AuditEvent.objects.filter(case=case, action="case.read", actor_label__contains="token")
    assert [event.subject for event in reads] == ["over FHIR"], "one in five minutes"


def test_a_decision_taken_back_is_gone(get: Get, case: Case, cast: Cast) -> None:
    gone = of(observations(get, case), "decision")[0]["id"]
    review.withdraw(actor=cast.pathologist, image=case.images.order_by("id")[0])
    get(f"Observation/{gone}", status=404)


def test_polling_for_what_changed(get: Get, case: Case, cast: Cast) -> None:
    future = (timezone.now() + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert get(f"DiagnosticReport?_lastUpdated=ge{future}")["total"] == 0
    assert get(f"DiagnosticReport?_lastUpdated=lt{future}")["total"] == 1
    last = get(f"DiagnosticReport/{case.pk}")["meta"]["lastUpdated"]
    sign(cast.pathologist, case)
    assert get(f"DiagnosticReport/{case.pk}")["meta"]["lastUpdated"] > last
