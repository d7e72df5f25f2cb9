"""Who is acting, in which laboratory, and what a page's door answers."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.doors import PageRequest, page
from accounts.middleware import ActorMiddleware
from accounts.models import Membership, Role, User
from accounts.permissions import RULES, Action, Actor, actor_for, visible
from diagnosis.models import Case
from tests.cast import PASSWORD, Cast


@page(Action.READ_CASES, post=Action.UPLOAD_IMAGE)
def upload(request: PageRequest) -> HttpResponse:
    return HttpResponse(request.actor.label)


def ask(method: str, user: object, actor: Actor | None, **headers: str) -> HttpResponse:
    request = RequestFactory().generic(method, "/cases/7/?sort=age", headers=headers)
    request.user = user  # type: ignore[assignment]
    request.actor, request.laboratories = actor, []  # type: ignore[attr-defined]
    response = upload(request)
    assert isinstance(response, HttpResponse)
    return response


class Anonymous:
    is_authenticated = False


def test_anonymous_people_sign_in_and_come_back() -> None:
    response = ask("GET", Anonymous(), None)
    assert response.status_code == HTTPStatus.FOUND
    assert response["Location"] == "/account/login/?next=/cases/7/%3Fsort%3Dage"
    assert "no-store" in response["Cache-Control"]


def test_a_form_sent_by_nobody_is_not_come_back_to() -> None:
    assert ask("POST", Anonymous(), None)["Location"] == "/account/login/?next=/"


@pytest.mark.parametrize(
    ("current", "back"),
    [
        ("https://portal.example/cases/7/?a=1&b=2", "/cases/7/?a=1&b=2"),
        ("https://portal.example//evil.example/", "/"),
        ("", "/"),
    ],
)
def test_htmx_is_sent_to_sign_in_as_a_whole_page(current: str, back: str) -> None:
    response = ask("GET", Anonymous(), None, **{"HX-Request": "true", "HX-Current-URL": current})
    assert response.status_code == HTTPStatus.UNAUTHORIZED
    assert parse_qs(urlsplit(response["HX-Redirect"]).query) == {"next": [back]}


@pytest.mark.parametrize("headers", [{"Accept": "application/json"}, {"X-Requested-With": "XMLHttpRequest"}])
def test_scripts_get_401_instead_of_a_page(headers: dict[str, str]) -> None:
    response = ask("POST", Anonymous(), None, **headers)
    assert response.status_code == HTTPStatus.UNAUTHORIZED
    assert response["Content-Type"] == "application/json"


def test_reading_and_writing_need_different_rights(cast: Cast) -> None:
    administrator = cast.administrator
    assert ask("GET", administrator.user, administrator).content == b"Ada Administrator"
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        with pytest.raises(PermissionDenied, match="do not allow you to upload images"):
            ask(method, administrator.user, administrator)
    assert ask("POST", cast.technician.user, cast.technician).status_code == HTTPStatus.OK


def test_a_person_without_a_laboratory_meets_a_page_that_says_so(db: None, client: Client) -> None:
    user = User.objects.create_user("nobody@example.org", PASSWORD)
    client.force_login(user)
    response = client.get(reverse("accounts:tokens"))
    assert response.status_code == HTTPStatus.FORBIDDEN
    assert b"You belong to no laboratory" in response.content
    assert client.get(reverse("accounts:profile")).status_code == HTTPStatus.OK


def test_every_action_has_a_rule() -> None:
    assert set(RULES) == set(Action)


def test_no_session_costs_no_query(db: None, django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    seen: list[object] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request.actor)  # type: ignore[attr-defined]
        return HttpResponse()

    with django_assert_num_queries(0):
        ActorMiddleware(view)(RequestFactory().get("/healthz"))
    assert seen == [None]


def test_a_stranger_sees_no_row(cast: Cast) -> None:
    case = cast.case()
    assert list(visible(Case.objects.all(), cast.technician)) == [case]
    assert not visible(Case.objects.all(), cast.stranger).exists()
    assert actor_for(cast.stranger.user, cast.laboratory) is None


def test_switching_laboratories(cast: Cast, client: Client) -> None:
    """Who belongs to two works in the one they joined first until they choose; a new membership moves nobody."""
    user = cast.stranger.user
    Membership.objects.create(user=user, laboratory=cast.laboratory, role=Role.TECHNICIAN)
    client.force_login(user)
    profile = client.get(reverse("accounts:profile"))
    assert profile.wsgi_request.actor.laboratory == cast.elsewhere  # type: ignore[attr-defined]

    key = client.session.session_key
    response = client.post(
        reverse("accounts:switch"), {"laboratory": cast.laboratory.pk, "next": reverse("accounts:profile")}
    )
    assert response["Location"] == reverse("accounts:profile")
    assert client.session.session_key != key
    assert not Session.objects.filter(session_key=key).exists()
    actor = client.get(reverse("accounts:profile")).wsgi_request.actor  # type: ignore[attr-defined]
    assert actor.laboratory == cast.laboratory
    assert actor.roles == {Role.TECHNICIAN}

    Membership.objects.filter(user=user, laboratory=cast.laboratory).delete()
    actor = client.get(reverse("accounts:profile")).wsgi_request.actor  # type: ignore[attr-defined]
    assert actor.laboratory == cast.elsewhere


@pytest.mark.parametrize("wanted", ["", "x", "0", "other"])
def test_nobody_switches_to_a_laboratory_of_others(cast: Cast, client: Client, wanted: str) -> None:
    client.force_login(cast.technician.user)
    wanted = str(cast.elsewhere.pk) if wanted == "other" else wanted
    assert client.post(reverse("accounts:switch"), {"laboratory": wanted}).status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"])
def test_switching_leads_nowhere_else(cast: Cast, client: Client, back: str) -> None:
    client.force_login(cast.technician.user)
    response = client.post(reverse("accounts:switch"), {"laboratory": cast.laboratory.pk, "next": back})
    assert response["Location"] == reverse("case-list")


def test_the_session_of_a_closed_account_ends(cast: Cast, client: Client) -> None:
    client.force_login(cast.technician.user)
    assert client.get(reverse("accounts:tokens")).status_code == HTTPStatus.OK
    User.objects.filter(pk=cast.technician.user.pk).update(is_active=False)
    assert client.get(reverse("accounts:tokens")).status_code == HTTPStatus.FOUND
