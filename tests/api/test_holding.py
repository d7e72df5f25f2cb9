"""Claiming and releasing through the API, and lists by holder, time and flag."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.permissions import Scope
from diagnosis import holding
from diagnosis.models import AuditEvent, Case, CaseFlag
from tests.api.conftest import ClientOf
from tests.api.problem import assert_problem
from tests.api.test_lists import numbers
from tests.cast import Cast

pytestmark = pytest.mark.django_db


def test_claim_release_and_take_over(pathologist: APIClient, cast: Cast, case: Case, client_of: ClientOf) -> None:
    url = f"/api/v1/cases/{case.pk}"
    assert pathologist.get(f"{url}/").json()["held_by"] is None
    held = pathologist.post(f"{url}/claim/", {}, format="json").json()
    assert held["held_by"] == "Paul Pathologist"
    assert held["held_at"]
    assert (held["signed_at"], held["report_version"]) == (None, 0)
    assert held["due_at"]

    colleague = client_of(cast.second_pathologist)
    for refused in (colleague.post(f"{url}/claim/", {}, format="json"), colleague.post(f"{url}/release/")):
        assert assert_problem(refused, 409, "held")["detail"].startswith("Paul Pathologist holds")
    taken = colleague.post(f"{url}/claim/", {"take_over": True}, format="json")
    assert taken.json()["held_by"] == "Petra Pathologist"
    assert colleague.post(f"{url}/release/").json()["held_by"] is None
    actions = list(AuditEvent.objects.filter(case=case).exclude(action="case.read").values_list("action", flat=True))
    assert actions == ["case.claimed", "case.taken_over", "case.released"]


def test_a_signed_case_is_not_claimed(pathologist: APIClient, cast: Cast) -> None:
    case = cast.case(status="signed", signed_at=timezone.now(), report_version=1)
    assert_problem(pathologist.post(f"/api/v1/cases/{case.pk}/claim/", {}, format="json"), 409, "signed")


def test_a_token_needs_the_scope(cast: Cast, case: Case, client_of: ClientOf, stranger: APIClient) -> None:
    url = f"/api/v1/cases/{case.pk}/claim/"
    assert_problem(client_of(cast.pathologist, Scope.CASES_READ).post(url, {}, format="json"), 403, "permission_denied")
    assert_problem(stranger.post(url, {}, format="json"), 404, "not_found")


def test_lists_by_holder_time_and_flag(pathologist: APIClient, cast: Cast) -> None:
    now = timezone.now()
    mine, free, theirs = (cast.case(accession_number=name, due_at=now + timedelta(hours=hours))
                          for name, hours in (("MINE", 1), ("FREE", -1), ("THEIRS", 9)))  # fmt: skip
    cast.case(accession_number="OLD", status="signed", signed_at=now, due_at=now - timedelta(days=9))
    holding.claim(actor=cast.pathologist, case=mine)
    holding.claim(actor=cast.second_pathologist, case=theirs)
    CaseFlag.objects.create(case=free, code="blasts_20", level="alarm")
    assert numbers(pathologist, held="me") == ["MINE"]
    assert sorted(numbers(pathologist, held="nobody")) == ["FREE", "OLD"]
    assert sorted(numbers(pathologist, held="anybody")) == ["MINE", "THEIRS"]
    assert numbers(pathologist, late="true") == ["FREE"]
    assert sorted(numbers(pathologist, late="false")) == ["MINE", "THEIRS"]
    assert numbers(pathologist, flag="blasts_20") == numbers(pathologist, search="blasts") == ["FREE"]
    assert numbers(pathologist, due_before=now.isoformat().replace("+00:00", "Z"), ordering="due_at") == ["OLD", "FREE"]
    assert numbers(pathologist, signed_after="2020-01-01T00:00:00Z") == ["OLD"]
    assert pathologist.get("/api/v1/cases/", {"held": "x"}).status_code == 400
