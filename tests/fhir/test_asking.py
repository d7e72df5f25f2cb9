"""How one asks: searches, pages, conditions, refusals, and what the server says of itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.permissions import Scope
from diagnosis.fhir import codes
from diagnosis.models import Case
from tests.api.conftest import ClientOf
from tests.cast import Cast, PatientFactory
from tests.fhir.conftest import BASE, COUNTED_BEFORE, Get, judged
from tests.smears import make_image

pytestmark = pytest.mark.django_db


def test_metadata_is_open_to_anybody(db: None) -> None:
    answer = APIClient().get("/fhir/R4/metadata")
    statement = judged(answer.json())
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["kind"] == "instance"
    types = {resource["type"]: resource for resource in statement["rest"][0]["resource"]}
    assert set(types) == {"Patient", "DiagnosticReport", "Observation", "Media", "Binary"}


def test_every_parameter_of_the_statement_is_understood(get: Get, case: Case) -> None:
    values = {"date": "2026", "token": "x", "reference": "1", "string": "x"}
    statement = get("metadata")
    for resource in statement["rest"][0]["resource"]:
        for param in resource.get("searchParam", []):
            value = {"gender": "female"}.get(param["name"], values[param["type"]])
            narrow = "&_id=x" if resource["type"] == "Observation" else ""
            found = get(f"{resource['type']}?{param['name']}={value}{narrow}")
            assert found["resourceType"] == "Bundle"
            assert param["name"] in found["link"][0]["url"]


def test_patients_are_found(get: Get, case: Case, cast: Cast) -> None:
    system = f"{BASE}/NamingSystem/{cast.laboratory.slug}-mrn"
    PatientFactory(laboratory=cast.laboratory, mrn="MRN-78", name="Otto Other", birth_date="1980-05-17")
    for asked, total in {
        "": 2,
        "identifier=mrn-77": 1,
        f"identifier={system}|MRN-77": 1,
        "identifier=http://elsewhere|MRN-77": 0,
        "identifier=MRN-77,MRN-78": 2,
        "identifier=MRN-77&identifier=MRN-78": 0,
        "name=rend": 1,
        "name=ros%20rendered": 1,
        "name=ender": 0,
        "gender=female": 1,
        "birthdate=1980": 1,
        "birthdate=1980-05": 1,
        "birthdate=gt1980-05-17": 0,
        "birthdate=ge1980-05-17&birthdate=lt1981": 1,
        "_id=0": 0,
        "_id=99999999999999999999": 0,
        f"_id={case.patient_id}": 1,
    }.items():
        assert get(f"Patient?{asked}")["total"] == total, asked


def test_reports_are_found(get: Get, case: Case, cast: Cast) -> None:
    cast.case(specimen="bone_marrow", accession_number="S26-0078")
    day = case.created_at.strftime("%Y-%m-%d")
    for asked, total in {
        "": 2,
        "identifier=s26-0077": 1,
        f"patient={case.patient_id}": 1,
        f"patient=Patient/{case.patient_id}": 1,
        f"subject={BASE}/Patient/{case.patient_id}": 1,
        "patient=Observation/1": 0,
        "status=registered": 1,
        "status=http://hl7.org/fhir/diagnostic-report-status|registered": 1,
        "status=registered,preliminary": 2,
        f"date={day}": 2,
        f"date=ne{day}": 0,
        f"date=lt{day}": 0,
        f"date=ge{day}T00:00:00Z": 2,
        "code=http://loinc.org|48807-2": 1,
        "category=HM": 2,
        "category=MB": 0,
    }.items():
        assert get(f"DiagnosticReport?{asked}")["total"] == total, asked


def test_observations_are_found(get: Get, case: Case) -> None:
    image = case.images.order_by("id")[0]
    patient = f"patient={case.patient_id}"
    for asked, total in {
        patient: 17,
        f"{patient}&code=26464-8": 1,
        f"{patient}&code=http://loinc.org|26464-8": 1,
        f"{patient}&code=cell-class": 9,
        f"{patient}&category=laboratory": 17,
        f"{patient}&category=imaging": 0,
        f"{patient}&status=final": 6,
        f"{patient}&date={case.created_at.date() - COUNTED_BEFORE}": 4,
        f"derived-from=Media/{image.pk}": 3,
        "identifier=s26-0077": 17,
        f"_id=clinical-{case.pk}-wbc,differential-{case.pk}": 2,
        "_id=nothing,reading-x,decision-99999999999999999999": 0,
    }.items():
        assert get(f"Observation?{asked}")["total"] == total, asked


def test_an_observation_search_stays_within_a_patient(get: Get, case: Case) -> None:
    issue = get("Observation?code=26464-8", status=400)["issue"][0]
    assert issue["code"] == "required"


@pytest.mark.parametrize("kind", ["Patient", "DiagnosticReport", "Media", "Observation"])
def test_pages_hold_everything_once(get: Get, case: Case, cast: Cast, kind: str) -> None:
    for number in range(4):
        other = cast.case(patient=case.patient, accession_number=f"S26-10{number}")
        make_image(other)
        PatientFactory(laboratory=cast.laboratory)
    narrow = f"?patient={case.patient_id}&_count=2" if kind != "Patient" else "?_count=2"
    address, seen, pages = f"{kind}{narrow}", list[str](), 0
    while address:
        page = get(address)
        seen += [entry["fullUrl"] for entry in page["entry"]]
        assert len(page["entry"]) <= 2
        links = {link["relation"]: link["url"] for link in page["link"]}
        address, pages = links.get("next", "").removeprefix(f"{BASE}/"), pages + 1
        assert page["total"] == get(f"{kind}{narrow}")["total"]
    assert len(seen) == len(set(seen)) == page["total"]
    assert pages == -(-page["total"] // 2)
    assert all(url.startswith(f"{BASE}/{kind}/") for url in seen)


def test_a_count_alone(get: Get, case: Case) -> None:
    page = get("DiagnosticReport?_count=0")
    assert page["total"] == 1
    assert "entry" not in page
    assert [link["relation"] for link in page["link"]] == ["self"]


def test_a_search_by_post_keeps_numbers_out_of_addresses(client: APIClient, case: Case) -> None:
    answer = client.post(
        "/fhir/R4/Patient/_search", "identifier=MRN-77", content_type="application/x-www-form-urlencoded"
    )
    assert judged(answer.json())["total"] == 1
    assert client.post("/fhir/R4/Patient/_search", {"identifier": "MRN-77"}, format="json").status_code == 415


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("Patient?nmae=x", "not-supported"),
        ("Patient?name:contains=x", "not-supported"),
        ("Patient?_count=many", "value"),
        ("Patient?_cursor=x", "value"),
        ("Patient?birthdate=yesterday", "value"),
        ("Patient?birthdate=2026-02-30", "value"),
        ("Patient?birthdate=9999", "value"),
        ("Patient?gender=x", "value"),
        ("Patient?name=%00", "value"),
        ("DiagnosticReport?date=ap2026", "value"),
        ("Observation?_id=x&_cursor=1.2", "value"),
    ],
)
def test_what_is_not_understood_is_refused(get: Get, case: Case, asked: str, code: str) -> None:
    issue = get(asked, status=400)["issue"][0]
    assert issue["code"] == code
    assert issue["severity"] == "error"
    assert issue["diagnostics"]


def test_a_lenient_client_sees_what_counted(get: Get, case: Case) -> None:
    page = get("Patient?nmae=x&name=rosa", Prefer="handling=lenient")
    assert page["total"] == 1
    assert "nmae" not in page["link"][0]["url"]


def test_conditional_reads(client: APIClient, case: Case) -> None:
    for path in (f"Patient/{case.patient_id}", f"DiagnosticReport/{case.pk}", f"Observation/differential-{case.pk}"):
        first = client.get(f"/fhir/R4/{path}")
        assert first["ETag"] == f'W/"{first.json()["meta"]["versionId"]}"'
        for header, value in (("If-None-Match", first["ETag"]), ("If-Modified-Since", first["Last-Modified"])):
            again = client.get(f"/fhir/R4/{path}", headers={header: value})
            assert (again.status_code, again.content) == (304, b""), (path, header)
            assert again["ETag"] == first["ETag"]
        assert client.get(f"/fhir/R4/{path}", headers={"If-None-Match": 'W/"other"'}).status_code == 200
        assert first["Cache-Control"] == "private, no-cache"


def test_the_same_content_has_the_same_version(client: APIClient, client_of: ClientOf, cast: Cast, case: Case) -> None:
    path = f"/fhir/R4/DiagnosticReport/{case.pk}"
    assert client.get(path)["ETag"] == client_of(cast.pathologist).get(path)["ETag"] == client.get(path)["ETag"]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/fhir+json", 200),
        ("application/json;q=0.9, application/fhir+xml", 200),
        ("*/*", 200),
        ("application/fhir+json; fhirVersion=4.0", 200),
        ("application/fhir+xml", 406),
    ],
)
def test_json_is_what_is_spoken(get: Get, case: Case, accept: str, status: int) -> None:
    get(f"Patient/{case.patient_id}", status=status, Accept=accept)
    get(f"Patient/{case.patient_id}?_format=xml", status=406, Accept=accept)
    get(f"Patient?_format=json&_id={case.patient_id}", Accept=accept)


def test_nobody_and_nothing(get: Get, client_of: ClientOf, cast: Cast, case: Case) -> None:
    assert get("Patient", by=APIClient(), status=401)["issue"][0]["code"] == "login"
    bare = client_of(cast.pathologist, Scope.AUDIT_READ)
    assert "cases:read" in get("Patient", by=bare, status=403)["issue"][0]["diagnostics"]
    for path in (
        "Patient/x",
        "Patient/0",
        "Nothing/1",
        "",
        "Patient/1/2",
        "DiagnosticReport/-1",
        "Observation/reading-1-2",
    ):
        assert get(path, status=404)["issue"][0]["code"] == "not-found", path


def test_strangers_find_nothing(get: Get, stranger: APIClient, case: Case) -> None:
    image = case.images.order_by("id")[0]
    for path in (
        f"Patient/{case.patient_id}",
        f"DiagnosticReport/{case.pk}",
        f"Media/{image.pk}",
        f"Observation/differential-{case.pk}",
        f"Observation/reading-{image.analyses.all()[0].pk}",
        f"Observation/decision-{image.decisions.all()[0].pk}",
    ):
        get(path, by=stranger, status=404)
    for path in ("Patient", "DiagnosticReport", "Media", f"Observation?patient={case.patient_id}"):
        assert get(path, by=stranger)["total"] == 0, path


def test_nothing_can_be_written(client: APIClient, case: Case) -> None:
    for method in ("post", "put", "patch", "delete"):
        answer = getattr(client, method)(f"/fhir/R4/Patient/{case.patient_id}", {}, format="json")
        assert answer.status_code == 405
        assert judged(answer.json())["issue"][0]["code"] == "not-supported"


def test_a_list_takes_a_bounded_number_of_queries(
    client: APIClient, cast: Cast, case: Case, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        make_image(cast.case(accession_number=f"S26-20{number}"))
    client.get("/fhir/R4/DiagnosticReport")  # each case is noted as read once in five minutes
    with django_assert_max_num_queries(10 + 13):
        assert len(client.get("/fhir/R4/DiagnosticReport").json()["entry"]) == 13


def test_loinc_codes_carry_their_check_digit() -> None:
    found = re.findall(r'\(LOINC, "(\d+)-(\d)"', Path(codes.__file__).read_text())
    assert len(found) > 12
    for number, check in found:
        doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(number))]
        assert (10 - sum(n // 10 + n % 10 for n in doubled)) % 10 == int(check), number
