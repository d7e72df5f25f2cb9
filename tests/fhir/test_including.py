"""What comes along with a search, how much of each resource, and what changed since."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.utils import timezone
from fhir.resources.R4B import get_fhir_model_class
from rest_framework.test import APIClient

from accounts.permissions import Scope
from diagnosis import clinic, second_opinion
from diagnosis.fhir import including, searching
from diagnosis.models import AuditEvent, Case
from tests.api.conftest import ClientOf
from tests.cast import Cast, PatientFactory
from tests.diagnosis.signing import sign
from tests.fhir.conftest import BASE, Get
from tests.smears import make_image

pytestmark = pytest.mark.django_db


def entries(bundle: dict[str, Any], mode: str) -> list[str]:
    """`Type/id` of the bundle's entries of a mode, each of which has to be there once."""
    found = [entry["fullUrl"].removeprefix(f"{BASE}/") for entry in bundle["entry"] if entry["search"]["mode"] == mode]
    assert len(found) == len(set(found))
    return sorted(found)


def kinds(names: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name.partition("/")[0]] = found.get(name.partition("/")[0], 0) + 1
    return found


def test_a_report_brings_along_what_it_refers_to(get: Get, case: Case, cast: Cast) -> None:
    sign(cast.pathologist, case)
    other = cast.case(accession_number="S26-0090")
    make_image(other)
    report = "DiagnosticReport?identifier=S26-0077&_include=DiagnosticReport:{}"
    assert entries(get(report.format("subject")), "include") == [f"Patient/{case.patient_id}"]
    assert entries(get(report.format("patient:Patient")), "include") == [f"Patient/{case.patient_id}"]
    pictures = sorted(f"Media/{image.pk}" for image in case.images.all())
    assert entries(get(report.format("media")), "include") == pictures
    bundle = get(report.format("result"))
    named = [one["reference"] for one in bundle["entry"][0]["resource"]["result"]]
    assert entries(bundle, "include") == sorted(named)
    assert (bundle["total"], entries(bundle, "match")) == (1, [f"DiagnosticReport/{case.pk}"])
    for asked in ("*", "DiagnosticReport:*"):
        whole = get(f"DiagnosticReport?identifier=S26-0077&_include={asked}")
        assert entries(whole, "include") == sorted([*named, *pictures, f"Patient/{case.patient_id}"])
    both = get("DiagnosticReport?_include=DiagnosticReport:subject&_include=DiagnosticReport:media")
    assert kinds(entries(both, "include")) == {"Patient": 2, "Media": 4}
    assert f"Patient/{other.patient_id}" in entries(both, "include")


def test_each_reference_of_a_page_is_resolved_within_it(get: Get, case: Case) -> None:
    bundle = get("DiagnosticReport?_include=*")
    there = {entry["fullUrl"].removeprefix(f"{BASE}/") for entry in bundle["entry"]}
    report = bundle["entry"][0]["resource"]
    references = [*report["result"], *(one["link"] for one in report["media"]), report["subject"]]
    assert {one["reference"] for one in references} <= there


def test_observations_and_pictures_bring_along(get: Get, case: Case) -> None:
    image = case.images.order_by("id")[0]
    bundle = get(
        f"Observation?derived-from=Media/{image.pk}&_include=Observation:derived-from&_include=Observation:subject"
    )
    assert entries(bundle, "include") == sorted([f"Media/{image.pk}", f"Patient/{case.patient_id}"])
    bundle = get(f"Media?_id={image.pk}&_include=Media:patient&_revinclude=Observation:derived-from")
    assert kinds(entries(bundle, "include")) == {"Patient": 1, "Observation": 3}
    bundle = get("Media?identifier=S26-0077&_revinclude=DiagnosticReport:media")
    assert entries(bundle, "include") == [f"DiagnosticReport/{case.pk}"]
    bundle = get(f"Observation?_id=differential-{case.pk}&_revinclude=DiagnosticReport:result")
    assert entries(bundle, "include") == [f"DiagnosticReport/{case.pk}"]


def test_a_patient_with_all_that_speaks_of_them(get: Get, case: Case, cast: Cast) -> None:
    make_image(cast.case(patient=PatientFactory(laboratory=cast.laboratory)))
    asked = "&".join(f"_revinclude={kind}:subject" for kind in ("DiagnosticReport", "Observation", "Media"))
    bundle = get(f"Patient?identifier=MRN-77&{asked}")
    assert kinds(entries(bundle, "include")) == {"DiagnosticReport": 1, "Observation": 17, "Media": 3}
    assert all(
        entry["resource"]["subject"]["reference"] == f"Patient/{case.patient_id}"
        for entry in bundle["entry"] if entry["search"]["mode"] == "include"
    )  # fmt: skip
    assert get(f"Patient?identifier=nobody&{asked}")["total"] == 0


def test_what_comes_along_stands_in_the_links_and_the_history(get: Get, case: Case, cast: Cast) -> None:
    for number in range(3):
        cast.case(patient=case.patient, accession_number=f"S26-10{number}")
    AuditEvent.objects.filter(action="case.read").update(action="case.read_before")
    page = get("DiagnosticReport?_count=2&_include=DiagnosticReport:subject&_elements=status")
    links = {link["relation"]: link["url"] for link in page["link"]}
    for url in links.values():
        assert quote("DiagnosticReport:subject", safe="") in url
        assert "_elements=status" in url
    assert entries(get(links["next"].removeprefix(f"{BASE}/")), "include") == [f"Patient/{case.patient_id}"]
    get("Patient?identifier=MRN-77&_revinclude=Media:subject")
    assert AuditEvent.objects.filter(action="case.read", case=case).exists()


def test_too_much_is_cut_and_said(get: Get, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(including, "MOST", 4)
    bundle = get("DiagnosticReport?_include=DiagnosticReport:result")
    assert len(entries(bundle, "include")) == 4
    (said,) = [entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "outcome"]
    assert said["issue"][0]["code"] == "incomplete"


@pytest.mark.parametrize(
    "asked",
    [
        "DiagnosticReport?_include=DiagnosticReport:specimen", "DiagnosticReport?_include=Observation:subject",
        "DiagnosticReport?_include=x", "Patient?_include=*", "Patient?_revinclude=*", "Patient?_revinclude=Media:view",
        "Media?_include:iterate=Media:subject", "DiagnosticReport?_include=DiagnosticReport:subject:Media",
        "Patient?_summary=some", "Patient?_elements=id;drop", "Patient?_elements=id&_summary=true",
        "Patient/1?_summary=some",
    ],
)  # fmt: skip
def test_what_cannot_come_along_is_refused_unless_it_may_be_left_out(get: Get, case: Case, asked: str) -> None:
    asked = asked.replace("Patient/1", f"Patient/{case.patient_id}")
    for prefer in ("", "handling=strict", "return=minimal"):
        issue = get(asked, status=400, Prefer=prefer)["issue"][0]
        assert issue["diagnostics"].endswith("."), issue
    lenient = get(asked, Prefer="respond-async, handling=lenient")
    if lenient["resourceType"] == "Bundle":
        assert not [entry for entry in lenient["entry"] if entry["search"]["mode"] == "include"]
        assert "clude" not in lenient["link"][0]["url"]


def test_nothing_comes_along_from_elsewhere_or_from_behind_the_blind(
    get: Get, stranger: APIClient, client_of: ClientOf, case: Case, cast: Cast
) -> None:
    asked = f"Patient?_id={case.patient_id}&_revinclude=Observation:subject&_revinclude=DiagnosticReport:subject"
    assert get(asked, by=stranger)["total"] == 0
    second_opinion.ask(actor=cast.pathologist, case=case, colleagues=[cast.second_pathologist.user])
    blinded = client_of(cast.second_pathologist, Scope.CASES_READ)
    for path in (
        asked,
        f"DiagnosticReport?_id={case.pk}&_include=*",
        "Media?identifier=S26-0077&_revinclude=Observation:derived-from",
    ):
        bundle = get(path, by=blinded)
        assert entries(bundle, "include")
        assert not [name for name in entries(bundle, "include") if "decision" in name]
        reports = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DiagnosticReport"]
        assert all(report["status"] == "partial" for report in reports)
    assert [name for name in entries(get(asked), "include") if "decision" in name]


# ---- how much of each


def test_the_summary_is_what_fhir_calls_one() -> None:
    """Against the marks in the R4B definitions, for the elements that are ever sent."""
    for kind, ours in including.SUMMARY.items():
        model = get_fhir_model_class(kind)
        theirs = set(model.summary_elements_sequence())
        required = {"content"} if kind == "Media" else set()
        assert ours <= theirs | required, kind
    assert set(including.SUMMARY) == set(searching.LINKS)


def test_summaries_and_elements(get: Get, case: Case, cast: Cast) -> None:
    sign(cast.pathologist, case)
    for path in (f"DiagnosticReport/{case.pk}", f"Patient/{case.patient_id}", f"Media/{case.images.all()[0].pk}",
                 f"Observation/differential-{case.pk}"):  # fmt: skip
        whole = get(path)
        kind = whole["resourceType"]
        sent = set(whole) - {"resourceType", "id", "meta", "contained"}
        model = set(get_fhir_model_class(kind).summary_elements_sequence())
        summary = get(f"{path}?_summary=true")
        assert set(summary) - {"resourceType", "id", "meta", "contained"} == sent & (model | {"content"}), path
        assert summary["meta"]["tag"][-1]["code"] == "SUBSETTED"
        assert summary["meta"]["versionId"] == whole["meta"]["versionId"]
        assert "text" not in get(f"{path}?_summary=data")
        assert get(f"{path}?_summary=false") == whole
    report = f"DiagnosticReport/{case.pk}"
    assert set(get(f"{report}?_elements=conclusion,issued")) == {
        "resourceType", "id", "meta", "status", "code", "conclusion", "issued",
    }  # fmt: skip
    assert set(get(f"{report}?_summary=text")) == {"resourceType", "id", "meta", "status", "code", "text"}
    assert get(f"{report}?_elements=specimen")["contained"], "what is referred to inside stays"
    bundle = get("DiagnosticReport?_elements=status&_include=DiagnosticReport:subject")
    assert all("SUBSETTED" in str(entry["resource"]["meta"]["tag"]) for entry in bundle["entry"])
    page = get("DiagnosticReport?_summary=count")
    assert page["total"] == 1
    assert "entry" not in page


# ---- what changed


def moment(**since: int) -> str:
    return (timezone.now() + timedelta(**since)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("kind", ["Patient", "DiagnosticReport", "Observation", "Media"])
def test_polling_works_for_every_type(get: Get, case: Case, kind: str) -> None:
    narrow = f"patient={case.patient_id}&" if kind == "Observation" else ""
    dated = [
        entry for entry in get(f"{kind}?{narrow}_count=100")["entry"] if "lastUpdated" in entry["resource"]["meta"]
    ]
    assert dated
    for entry in dated:
        at = entry["resource"]["meta"]["lastUpdated"]
        one = f"{kind}?_id={entry['resource']['id']}&_lastUpdated="
        assert get(f"{one}{quote(at)}")["total"] == 1, "to the millisecond, as it says itself"
        assert get(f"{one}gt{moment(minutes=1)}")["total"] == 0
    assert get(f"{kind}?{narrow}_lastUpdated=ge2020")["total"] > 0


def test_a_patient_whose_record_was_changed_is_told_of(get: Get, case: Case, cast: Cast) -> None:
    other = PatientFactory(laboratory=cast.laboratory)
    long_ago = timezone.now() - timedelta(days=9)
    type(other).objects.update(created_at=long_ago)
    clinic.update_patient(actor=cast.technician, patient=case.patient, name="Rosa Renamed")
    bundle = get(f"Patient?_lastUpdated=ge{moment(hours=-1)}")
    assert entries(bundle, "match") == [f"Patient/{case.patient_id}"]
    assert entries(get(f"Patient?_lastUpdated=lt{moment(hours=-1)}"), "match") == [f"Patient/{other.pk}"]


def test_the_statement_tells_what_can_come_along(get: Get, case: Case) -> None:
    rest = get("metadata")["rest"][0]
    assert [param["name"] for param in rest["searchParam"]] == ["_count", "_elements", "_summary"]
    for resource in rest["resource"]:
        narrow = f"patient={case.patient_id}&" if resource["type"] == "Observation" else ""
        for name, said in (("_include", "searchInclude"), ("_revinclude", "searchRevInclude")):
            for value in resource.get(said, []):
                bundle = get(f"{resource['type']}?{narrow}{name}={value}")
                assert kinds(entries(bundle, "include")), value


def test_bringing_along_takes_a_bounded_number_of_queries(
    client: APIClient, cast: Cast, case: Case, django_assert_max_num_queries: Any
) -> None:
    for number in range(6):
        make_image(cast.case(accession_number=f"S26-30{number}"))
    address = "/fhir/R4/DiagnosticReport?_include=*"
    client.get(address)  # each case is noted as read once in five minutes
    with django_assert_max_num_queries(40):
        assert client.get(address).json()["total"] == 7
