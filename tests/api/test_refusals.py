"""What does not fit is refused in words and never breaks anything."""

from __future__ import annotations

import io
import json

import pytest
from django.conf import LazySettings
from rest_framework.test import APIClient

from diagnosis.models import Case, Patient, SmearImage
from tests import hostile
from tests.api.problem import assert_problem
from tests.api.test_way import upload

pytestmark = pytest.mark.django_db

STATUS = {"too_large": 413, "not_an_image": 415, "unsupported_format": 415}


@pytest.mark.parametrize("sample", hostile.bad(), ids=lambda sample: sample.name)
def test_bad_files_are_refused_in_words(
    technician: APIClient, case: Case, releases: object, sample: hostile.Sample
) -> None:
    answer = upload(technician, case.pk, sample.data, sample.name)
    problem = assert_problem(answer, STATUS.get(sample.code, 422), sample.code)
    assert problem["errors"] == [{"field": "file", "code": sample.code, "detail": problem["detail"]}]
    assert not SmearImage.objects.exists()


@pytest.mark.parametrize("sample", hostile.odd_but_right(), ids=lambda sample: sample.name)
def test_odd_files_are_read(technician: APIClient, case: Case, releases: object, sample: hostile.Sample) -> None:
    answer = upload(technician, case.pk, sample.data, sample.name)
    assert answer.status_code == 201, answer.content
    stored = technician.get(answer.json()["file"])
    assert stored.status_code == 200
    assert stored["Content-Type"] in {"image/jpeg", "image/png", "image/webp"}
    assert b"".join(stored.streaming_content)


def test_the_patient_is_in_no_answer(technician: APIClient, case: Case, releases: object) -> None:
    for sample in hostile.planted():
        answer = upload(technician, case.pk, sample.data, sample.name)
        assert answer.status_code == 201, answer.content
        stored = b"".join(technician.get(answer.json()["file"]).streaming_content)
        assert hostile.PATIENT.encode() not in answer.content + stored


def test_an_upload_without_a_file(technician: APIClient, case: Case) -> None:
    url = f"/api/v1/cases/{case.pk}/images/"
    problem = assert_problem(technician.post(url, {"kind": "cell"}, format="multipart"), 400, "invalid")
    assert [error["field"] for error in problem["errors"]] == ["file"]
    assert_problem(technician.post(url, {"file": "not a file"}, format="multipart"), 400, "invalid")
    assert_problem(technician.post(url, {"file": "x"}, format="json"), 415, "unsupported_media_type")
    assert_problem(technician.post(url, b"x", content_type="multipart/form-data"), 400, "parse_error")
    assert_problem(technician.post(url, b"x", content_type="multipart/form-data; boundary=a"), 400, "invalid")


def test_two_files_in_one_request(technician: APIClient, case: Case) -> None:
    files = [io.BytesIO(hostile.jpeg(seed)) for seed in (1, 2)]
    answer = technician.post(f"/api/v1/cases/{case.pk}/images/", {"file": files}, format="multipart")
    assert_problem(answer, 400, "one_file")
    assert not SmearImage.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "liver"}, "kind"),
        ({"um_per_pixel": "nan"}, "um_per_pixel"),
        ({"um_per_pixel": "inf"}, "um_per_pixel"),
        ({"um_per_pixel": "-1"}, "um_per_pixel"),
        ({"um_per_pixel": "wide"}, "um_per_pixel"),
        ({"magnification": "100"}, "magnification"),
    ],
)
def test_upload_fields_that_do_not_fit(technician: APIClient, case: Case, fields: dict[str, str], field: str) -> None:
    problem = assert_problem(upload(technician, case.pk, hostile.jpeg(), **fields), 400, "invalid")
    assert [error["field"] for error in problem["errors"]] == [field]


def test_a_body_beyond_the_limit_is_refused_unread(technician: APIClient, case: Case, settings: LazySettings) -> None:
    settings.INTAKE_MAX_BYTES = 10_000
    answer = upload(technician, case.pk, b"\xff\xd8" + bytes(80_000))
    assert_problem(answer, 413, "too_large")
    assert_problem(upload(technician, case.pk, b"\xff\xd8" + bytes(20_000)), 413, "too_large")


def test_a_storage_that_takes_nothing(
    technician: APIClient, case: Case, releases: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("django.core.files.storage.FileSystemStorage.save", full)
    assert_problem(upload(technician, case.pk, hostile.jpeg()), 503, "not_stored")


CASE = {"accession_number": "A-1", "patient": {"mrn": "7741-203"}}


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"accession_number": ""}, ["accession_number"]),
        ({"accession_number": "A\x00"}, ["accession_number"]),
        ({"accession_number": "A\ud800"}, ["accession_number"]),
        ({"accession_number": "\u200b\x07"}, ["accession_number"]),
        ({"accession_number": "x" * 65}, ["accession_number"]),
        ({"accession_number": {"a": 1}}, ["accession_number"]),
        ({"priority": "now", "specimen": "hair"}, ["specimen", "priority"]),
        ({"patient": {}}, ["patient.mrn"]),
        ({"patient": None}, ["patient"]),
        ({"patient": "7741-203"}, ["patient"]),
        ({"patient": {"mrn": "1", "birth_date": "02.04.1961"}}, ["patient.birth_date"]),
        ({"patient": {"mrn": "1", "birth_date": "0001-01-01"}}, ["patient.birth_date"]),
        ({"patient": {"mrn": "1", "birth_date": "9999-12-31"}}, ["patient.birth_date"]),
        ({"patient": {"mrn": "1", "dob": "1961-04-02"}}, ["patient.dob"]),
        ({"urgency": "high"}, ["urgency"]),
        ({"clinical_question": "\x1b[31m"}, ["clinical_question"]),
    ],
)
def test_cases_that_do_not_fit(technician: APIClient, change: dict[str, object], fields: list[str]) -> None:
    answer = technician.post("/api/v1/cases/", json.dumps(CASE | change), content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == fields
    assert not Case.objects.exists()
    assert not Patient.objects.exists()


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "parse_error"),
        (b"", "application/json", 400, "invalid"),
        (b"[]", "application/json", 400, "invalid"),
        (b"null", "application/json", 400, "invalid"),
        (b"7", "application/json", 400, "invalid"),
        (b"NaN", "application/json", 400, "parse_error"),
        (b"9" * 5_000, "application/json", 400, "parse_error"),
        (b"\xff\xfe{}", "application/json", 400, "parse_error"),
        (b"[" * 200_000, "application/json", 400, "parse_error"),
        (b'{"patient":' * 100_000, "application/json", 400, "parse_error"),
        (b" " * 3_000_000, "application/json", 413, "too_large"),
        (b"{}", "application/json; charset=klingon", 400, None),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"{}", "x" * 10_000, 415, "unsupported_media_type"),
    ],
)
def test_bodies_that_cannot_be_read(
    technician: APIClient, body: bytes, content_type: str, status: int, code: str | None
) -> None:
    answer = technician.generic("POST", "/api/v1/cases/", body, content_type=content_type)
    assert_problem(answer, status, code or answer.json()["code"])


@pytest.mark.parametrize(
    "query",
    [
        "status=lost", "priority=now", "specimen=hair", "created_after=yesterday", "ordering=patient__name",
        "created_after=9999-12-31T23:59:59-14:00", "created_before=0001-01-01T00:00:00%2B14:00", "mrn=%00",
        "accession_number=a%00b",
    ],
)  # fmt: skip
def test_filters_that_do_not_fit(technician: APIClient, query: str) -> None:
    assert_problem(technician.get(f"/api/v1/cases/?{query}"), 400, "invalid")


@pytest.mark.parametrize(
    "query",
    [
        "search=%00",
        "search=%ff%fe",
        "mrn=%ed%a0%80",
        "page_size=0",
        "page_size=9999999999999999999999",
        "search=" + "a+" * 999,
    ],
)
def test_odd_queries_find_nothing(technician: APIClient, query: str) -> None:
    assert technician.get(f"/api/v1/cases/?{query}").status_code == 200


@pytest.mark.parametrize("page", ["0", "-1", "7", "x", "9" * 40, "9" * 5_000, "%00"])
def test_pages_that_are_not_there(technician: APIClient, page: str) -> None:
    assert_problem(technician.get(f"/api/v1/cases/?page={page}"), 404, "not_found")


@pytest.mark.parametrize("key", ["0", "9223372036854775807", "9223372036854775808", "9" * 40, "9" * 5_000])
def test_keys_that_are_not_there(technician: APIClient, key: str) -> None:
    for path in ("cases/{}/", "cases/{}/images/", "cases/{}/history/", "images/{}/", "images/{}/file/", "patients/{}/"):
        assert_problem(technician.get("/api/v1/" + path.format(key)), 404, "not_found")


def test_an_error_of_ours_is_told_without_its_details(
    technician: APIClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr("diagnosis.api.views.cases.worklist.case_page", broken)
    answer = technician.get("/api/v1/cases/1/")
    problem = assert_problem(answer, 500, "server_error")
    assert "42" not in json.dumps(problem)
    assert "the secret is 42" in caplog.text
