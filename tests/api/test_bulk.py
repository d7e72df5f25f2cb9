"""Many cases in one request: all in their order, or none and each mistake by its place and member."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from rest_framework.test import APIClient

from accounts.permissions import Scope
from diagnosis import clinic, opening_many
from diagnosis.models import AuditEvent, Case, Patient
from tests.api.conftest import ClientOf
from tests.api.problem import assert_problem
from tests.cast import Cast, PatientFactory

pytestmark = pytest.mark.django_db
URL = "/api/v1/cases/bulk/"


def new(number: str, mrn: str = "M-1", **more: Any) -> dict[str, Any]:
    patient = {"mrn": mrn} | more.pop("patient", {})
    return {"accession_number": number, "patient": patient, **more}


def told(problem: dict[str, Any]) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in problem["errors"]]


def test_all_are_opened_in_their_order(technician: APIClient, cast: Cast) -> None:
    known = PatientFactory(laboratory=cast.laboratory, mrn="M-9")
    sent = [new("B-2", priority="urgent"), new("B-1", "m-9", specimen="bone_marrow"), new("B-3", "m-1")]
    answer = technician.post(URL, {"cases": sent})
    assert answer.status_code == 201, answer.content
    cases = [Case.objects.get(pk=pk) for pk in answer.json()["ids"]]
    assert [case.accession_number for case in cases] == ["B-2", "B-1", "B-3"]
    assert [case.priority for case in cases] == ["urgent", "routine", "routine"]
    assert cases[1].patient == known
    assert cases[0].patient == cases[2].patient
    assert {case.created_by for case in cases} == {cast.technician.user}
    assert AuditEvent.objects.filter(action="case.created").count() == 3


def test_nothing_is_written_where_one_is_wrong(technician: APIClient, cast: Cast) -> None:
    taken = cast.case(accession_number="TAKEN")
    PatientFactory(laboratory=cast.laboratory, mrn="M-9", name="Rendered Person")
    before = (Case.objects.count(), Patient.objects.count(), AuditEvent.objects.count())
    sent = [
        new("B-1"),
        new("taken"),
        new("B-2", "M-9", patient={"name": "Somebody Else"}),
        new("b-1 ", "M-2"),
        new("B-3", patient={"birth_date": "1700-01-01"}),
    ]
    problem = assert_problem(technician.post(URL, {"cases": sent}), 400, "cases_refused")
    assert told(problem) == [
        ("cases.1.accession_number", "accession_taken"),
        ("cases.2.patient.name", "patient_differs"),
        ("cases.3.accession_number", "repeated"),
        ("cases.4.patient.birth_date", "invalid"),
    ]
    assert problem["detail"] == "4 of the cases cannot be opened, so none was."
    assert "stands in this request already, as number 1" in problem["errors"][2]["detail"]
    assert f"Accession {taken.accession_number} is a case already" in problem["errors"][0]["detail"]
    assert (Case.objects.count(), Patient.objects.count(), AuditEvent.objects.count()) == before
    again = assert_problem(technician.post(URL, {"cases": sent[1:2]}), 409, "cases_refused")
    assert told(again) == [("cases.0.accession_number", "accession_taken")]


def test_what_does_not_fit_is_named_by_place(technician: APIClient) -> None:
    sent = [new("B-1"), {"patient": {"mrn": "1"}}, new("B-2", nothing=1), new("B-3", patient={"mrn": ""})]
    problem = assert_problem(technician.post(URL, {"cases": sent}), 400, "invalid")
    assert told(problem) == [
        ("cases.1.accession_number", "required"),
        ("cases.2.nothing", "unknown"),
        ("cases.3.patient.mrn", "blank"),
    ]
    for wrong in ({"cases": []}, {}, {"cases": [new(f"N-{n}") for n in range(201)]}, {"cases": [1]}):
        assert_problem(technician.post(URL, wrong), 400, "invalid")
    assert not Case.objects.exists()


def test_two_hundred_at_once(technician: APIClient) -> None:
    answer = technician.post(URL, {"cases": [new(f"N-{n}", f"M-{n % 50}") for n in range(200)]})
    assert len(answer.json()["ids"]) == Case.objects.count() == 200
    assert Patient.objects.count() == 50


def test_the_same_request_again_is_answered_in_words_or_by_its_key(technician: APIClient) -> None:
    sent = {"cases": [new("B-1"), new("B-2")]}
    first = technician.post(URL, sent, headers={"Idempotency-Key": "one"})
    again = technician.post(URL, sent, headers={"Idempotency-Key": "one"})
    assert (again.status_code, again.json()) == (201, first.json())
    problem = assert_problem(technician.post(URL, sent), 409, "cases_refused")
    assert {code for _, code in told(problem)} == {"accession_taken"}
    assert Case.objects.count() == 2


def test_who_may(cast: Cast, client_of: ClientOf) -> None:
    body = {"cases": [new("B-1")]}
    assert_problem(client_of(cast.administrator).post(URL, body), 403, "permission_denied")
    assert_problem(client_of(cast.technician, Scope.CASES_READ).post(URL, body), 403, "permission_denied")


def test_a_deadlock_is_tried_again(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    class DeadlockError(Exception):
        sqlstate = "40P01"

    met = iter([True, False])
    create_case = clinic.create_case

    def unlucky(**how: Any) -> Case:
        if next(met, False):
            raise OperationalError("deadlock detected") from DeadlockError()
        return create_case(**how)

    monkeypatch.setattr(clinic, "create_case", unlucky)
    wanted = [opening_many.NewCase("B-1", clinic.PatientData(mrn="1"))]
    assert [case.accession_number for case in opening_many.create_cases(actor=cast.technician, cases=wanted)] == ["B-1"]
