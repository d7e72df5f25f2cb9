"""Who gets in, and what they are told when they do not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.urls import get_resolver
from django.utils import timezone
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.test import APIClient, APIRequestFactory

from accounts import tokens
from accounts.models import ApiToken, Membership
from accounts.permissions import RULES, Action, Role, Scope
from diagnosis.api.permissions import MayAct
from diagnosis.api.throttling import TokenThrottle
from diagnosis.api.views.base import Door
from diagnosis.models import Case
from tests.api.conftest import ClientOf
from tests.api.problem import assert_problem
from tests.cast import Cast
from tests.smears import make_image

pytestmark = pytest.mark.django_db


def test_without_a_token() -> None:
    answer = APIClient().get("/api/v1/cases/")
    assert_problem(answer, 401, "not_authenticated")
    assert answer["WWW-Authenticate"] == 'Bearer realm="LeukoLens"'


def test_a_session_does_not_open_the_api(cast: Cast) -> None:
    client = APIClient()
    client.force_login(cast.technician.user)
    assert_problem(client.get("/api/v1/cases/"), 401, "not_authenticated")


@pytest.mark.parametrize(
    "header",
    ["Bearer ll_unknown", "Bearer", "Bearer ", "Token ll_x", "Basic bGw6eA==", "Bearer \xff\xfe", "Bearer a b c"],
)
def test_with_something_that_is_no_token(header: str) -> None:
    assert_problem(APIClient(HTTP_AUTHORIZATION=header).get("/api/v1/cases/"), 401, "authentication_failed")


def test_expired_revoked_and_left(cast: Cast, client_of: ClientOf) -> None:
    client = client_of(cast.technician)
    token = ApiToken.objects.get()
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert_problem(client.get("/api/v1/me/"), 401, "authentication_failed")
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(days=1))
    assert client.get("/api/v1/me/").status_code == 200
    tokens.revoke(actor=cast.technician, token_id=token.pk)
    assert_problem(client.get("/api/v1/me/"), 401, "authentication_failed")
    other = client_of(cast.pathologist)
    Membership.objects.filter(user=cast.pathologist.user).delete()
    assert_problem(other.get("/api/v1/me/"), 401, "authentication_failed")


def test_a_token_lacks_a_scope(cast: Cast, client_of: ClientOf, case: Case) -> None:
    client = client_of(cast.technician, Scope.CASES_READ)
    assert client.get(f"/api/v1/cases/{case.pk}/").status_code == 200
    problem = assert_problem(client.post("/api/v1/cases/", {}), 403, "permission_denied")
    assert "cases:write" in problem["detail"]
    assert_problem(client.get(f"/api/v1/cases/{case.pk}/history/"), 403, "permission_denied")


def test_a_role_lacks_a_right(cast: Cast, client_of: ClientOf, case: Case) -> None:
    image = make_image(case)
    url = f"/api/v1/images/{image.pk}/decision/"
    problem = assert_problem(client_of(cast.technician).post(url, {"verdict": "agree"}), 403, "permission_denied")
    assert "decide on images" in problem["detail"]


@pytest.mark.parametrize("method", ["get", "post", "patch"])
def test_strangers_find_nothing(stranger: APIClient, case: Case, method: str) -> None:
    image = make_image(case)
    for path, methods in {
        f"cases/{case.pk}/": {"get"},
        f"cases/{case.pk}/images/": {"get", "post"},
        f"cases/{case.pk}/history/": {"get"},
        f"images/{image.pk}/": {"get", "patch"},
        f"images/{image.pk}/file/": {"get"},
        f"images/{image.pk}/retry/": {"post"},
        f"images/{image.pk}/decision/": {"post"},
        f"patients/{case.patient_id}/": {"get", "patch"},
    }.items():
        if method in methods:
            format = "multipart" if path.endswith("images/") else "json"
            body = {"kind": "cell"} if method != "get" else {}
            assert_problem(getattr(stranger, method)(f"/api/v1/{path}", body, format=format), 404, "not_found")
    assert stranger.get("/api/v1/cases/").json()["count"] == 0
    assert stranger.get("/api/v1/patients/").json()["count"] == 0


def _views() -> dict[str, type[Door]]:
    patterns = next(p for p in get_resolver().url_patterns if getattr(p, "namespace", None) == "api").url_patterns
    return {p.name: p.callback.view_class for p in patterns if issubclass(p.callback.view_class, Door)}


def test_every_method_of_every_view_names_its_action() -> None:
    views = _views()
    assert len(views) == 43
    for name, view in views.items():
        handled = {m.upper() for m in view.http_method_names if hasattr(view, m)}
        assert handled == set(view.actions), name
        for action in view.actions.values():
            assert action is None or RULES[action][1] is not None, f"{name}: no token could ever do this"


def test_what_no_table_names_is_refused(cast: Cast) -> None:
    class Forgotten(Door):
        actions = {"GET": Action.READ_CASES}

        def get(self, request: object) -> None: ...
        def post(self, request: object) -> None: ...

    view = Forgotten()
    for method, error in (("POST", PermissionDenied), ("PATCH", MethodNotAllowed)):
        request = APIRequestFactory().generic(method, "/")
        request.auth = cast.technician  # type: ignore[attr-defined]
        with pytest.raises(error):
            MayAct().has_permission(request, view)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["put", "delete", "options"])
def test_methods_that_are_not_there(technician: APIClient, case: Case, method: str) -> None:
    answer = getattr(technician, method)(f"/api/v1/cases/{case.pk}/")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer["Allow"] == "GET, PATCH, HEAD"


def test_head_is_a_read(technician: APIClient, case: Case) -> None:
    assert technician.head(f"/api/v1/cases/{case.pk}/").status_code == 200


@pytest.mark.parametrize("path", ["", "cases", "nothing/", "cases/abc/", "cases/-1/", "images/1/file"])
def test_addresses_that_are_not_there(technician: APIClient, path: str) -> None:
    assert_problem(technician.get(f"/api/v1/{path}"), 404, "not_found")
    assert_problem(technician.post(f"/api/v1/{path}", {}), 404, "not_found")


def test_the_throttle_counts_by_token(cast: Cast, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TokenThrottle, "rate", "3/hour", raising=False)
    monkeypatch.setattr("diagnosis.api.throttling.time.time", lambda: 3600.0 * 490_000 + 600)
    client = client_of(cast.technician)
    assert [client.get("/api/v1/me/").status_code for _ in range(3)] == [200] * 3
    refused = client.get("/api/v1/me/")
    assert_problem(refused, 429, "throttled")
    assert refused["Retry-After"] == "3000"
    assert client_of(cast.technician).get("/api/v1/me/").status_code == 200, "another token of the same person"
    monkeypatch.setattr("diagnosis.api.throttling.time.time", lambda: 3600.0 * 490_001)
    assert client.get("/api/v1/me/").status_code == 200


def test_a_cache_that_is_gone_stops_nobody(technician: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from redis.exceptions import ConnectionError

    def gone(*_: object, **__: object) -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr("diagnosis.api.throttling.TokenThrottle.cache.add", gone)
    assert technician.get("/api/v1/me/").status_code == 200


def test_an_administrator_reads_but_does_not_write(cast: Cast, client_of: ClientOf, case: Case) -> None:
    client = client_of(cast.administrator)
    assert client.get(f"/api/v1/cases/{case.pk}/").status_code == 200
    assert_problem(client.post("/api/v1/cases/", {}), 403, "permission_denied")
    assert cast.administrator.roles == {Role.ADMINISTRATOR}


def test_answers_stay_out_of_shared_caches(technician: APIClient, case: Case) -> None:
    read = technician.get(f"/api/v1/cases/{case.pk}/")
    assert (read["Cache-Control"], read["Vary"]) == ("private, no-cache", "Authorization")
    for other in (technician.post("/api/v1/cases/", {}), technician.get("/api/v1/cases/0/")):
        assert other["Cache-Control"] == "private, no-store"
