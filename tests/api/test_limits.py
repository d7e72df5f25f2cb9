"""What a token may in an hour, told with every answer before it is too late."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts import tokens
from accounts.models import ApiToken
from accounts.permissions import Scope
from diagnosis.api.schema import CachedGenerator
from diagnosis.api.throttling import TokenThrottle
from diagnosis.models import AuditEvent, Case
from tests.api.problem import assert_problem
from tests.cast import Cast

pytestmark = pytest.mark.django_db
HOUR = 3600.0 * 490_000


@pytest.fixture(autouse=True)
def _ten_minutes_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diagnosis.api.throttling.time.time", lambda: HOUR + 600.5)


def test_every_answer_tells_what_is_left(technician: APIClient, case: Case) -> None:
    answers = [
        technician.get("/api/v1/me/"),
        technician.get("/api/v1/cases/0/"),
        technician.post("/api/v1/cases/", {}),
        technician.post("/api/v1/images/1/decision/", {}),  # 403
        technician.put("/api/v1/me/"),  # 405
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 400, 403, 405]
    assert {answer["RateLimit-Policy"] for answer in answers} == {'"token";q=6000;w=3600'}
    assert [answer["RateLimit"] for answer in answers] == [f'"token";r={6000 - n};t=3000' for n in range(1, 6)]
    nobody = APIClient().get("/api/v1/me/")
    assert nobody.status_code == 401
    assert "RateLimit" not in nobody


def test_fhir_counts_and_tells_the_same(technician: APIClient) -> None:
    told = [technician.get(path)["RateLimit"] for path in ("/api/v1/me/", "/fhir/R4/Patient", "/fhir/R4/Patient/0")]
    assert told == [f'"token";r={left};t=3000' for left in (5999, 5998, 5997)]


def test_a_token_of_its_own_rate(technician: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    ApiToken.objects.update(requests_per_hour=3)
    answers = [technician.get("/api/v1/me/") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer["RateLimit"] for answer in answers] == [f'"token";r={left};t=3000' for left in (2, 1, 0, 0, 0)]
    assert {answer["RateLimit-Policy"] for answer in answers} == {'"token";q=3;w=3600'}
    assert_problem(answers[-1], 429, "throttled")
    assert answers[-1]["Retry-After"] == "3000"
    assert answers[0].json()["limit"] == {"requests": 3, "seconds": 3600}
    monkeypatch.setattr("diagnosis.api.throttling.time.time", lambda: HOUR + 3600)
    assert technician.get("/api/v1/me/").status_code == 200


def test_what_the_operator_allows_now_counts(technician: APIClient, settings: Any) -> None:
    ApiToken.objects.update(requests_per_hour=6000)
    settings.API_TOKEN_MAX = 2
    assert [technician.get("/api/v1/me/").status_code for _ in range(3)] == [200, 200, 429]


def test_the_rate_of_all_is_what_the_operator_says(technician: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TokenThrottle, "rate", "2/min", raising=False)
    told = technician.get("/api/v1/me/")
    assert told["RateLimit-Policy"] == '"token";q=2;w=60'
    assert told.json()["limit"] == {"requests": 2, "seconds": 60}


def test_a_cache_that_is_gone_counts_nothing_and_says_nothing(
    technician: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redis.exceptions import ConnectionError

    def gone(*_: object, **__: object) -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr("diagnosis.api.throttling.TokenThrottle.cache.add", gone)
    answer = technician.get("/api/v1/me/")
    assert (answer.status_code, "RateLimit" in answer) == (200, False)


@pytest.mark.parametrize("rate", [0, -1, 6001])
def test_rates_that_no_token_gets(cast: Cast, rate: int) -> None:
    with pytest.raises(tokens.TokenError, match="between 1 and 6000 requests an hour"):
        tokens.issue(actor=cast.technician, name="a", scopes=[Scope.CASES_READ], days=1, requests_per_hour=rate)
    assert not ApiToken.objects.exists()


def test_the_page_gives_a_token_its_rate_and_lists_it(cast: Cast, client: Client) -> None:
    client.force_login(cast.technician.user)
    url = reverse("accounts:tokens")
    form = {"name": "scanner-2", "scopes": ["cases:read"], "days": "30"}
    assert "Left empty: 6000/hour, as every token." in client.get(url).content.decode()
    assert client.post(url, {**form, "requests_per_hour": "500"}).status_code == 200
    assert client.post(url, {**form, "name": "as-all", "requests_per_hour": ""}).status_code == 200
    assert list(ApiToken.objects.order_by("id").values_list("requests_per_hour", flat=True)) == [500, None]
    page = client.get(url).content.decode()
    assert re.findall(r'<td class="nowrap">(\d+/hour)</td>', page) == ["6000/hour", "500/hour"]
    assert [event.detail["requests_per_hour"] for event in AuditEvent.objects.filter(action="token.created")] == [
        500, None,
    ]  # fmt: skip
    for wrong in ("0", "6001", "many", "-5", "9" * 30):
        refused = client.post(url, {**form, "requests_per_hour": wrong})
        assert refused.status_code == 422, wrong
        assert b"errorlist" in refused.content
    assert ApiToken.objects.count() == 2


def test_the_schema_tells_of_it_everywhere() -> None:
    schema = CachedGenerator().get_schema(public=True)
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                told = {"RateLimit", "RateLimit-Policy"} <= set(response.get("headers", {}))
                assert told is (status != "401"), (path, method, status)
            assert "Retry-After" in operation["responses"]["429"]["headers"], (path, method)
