"""API tokens: what is kept, what they may, when they die."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import people, tokens
from accounts.models import ApiToken, Role
from accounts.permissions import Action, Scope, actor_for, grantable_scopes, require
from diagnosis.models import AuditEvent
from tests.cast import Cast

READ = [Scope.CASES_READ]


def test_only_the_digest_is_kept(cast: Cast) -> None:
    token, plaintext = tokens.issue(actor=cast.technician, name="scanner-2", scopes=READ, days=90)
    assert plaintext.startswith("ll_")
    assert len(plaintext) >= len("ll_") + 43  # 32 random bytes in base64
    row = ApiToken.objects.values().get(pk=token.pk)
    assert plaintext not in str(row)
    assert row["digest"] == hashlib.sha256(plaintext.encode()).hexdigest()
    assert plaintext.startswith(row["prefix"])
    assert len(plaintext) - len(row["prefix"]) >= 32
    assert row["expires_at"] - row["created_at"] == pytest.approx(timedelta(days=90), abs=timedelta(seconds=5))


def test_a_token_acts_as_its_person_narrowed_by_its_scopes(cast: Cast) -> None:
    _, plaintext = tokens.issue(
        actor=cast.technician, name="scanner-2", scopes=[Scope.CASES_READ, Scope.IMAGES_WRITE], days=1
    )
    actor = tokens.authenticate(plaintext)
    assert actor is not None
    assert (actor.user, actor.laboratory) == (cast.technician.user, cast.laboratory)
    assert actor.label == "Tess Technician (token scanner-2)"
    allowed = {action for action in Action if actor.may(action)}
    assert allowed == {
        Action.READ_CASES,
        Action.UPLOAD_IMAGE,
        Action.CORRECT_KIND,
        Action.RETRY_ANALYSIS,
    }
    with pytest.raises(PermissionDenied, match="lacks the scope cases:write"):
        require(actor, Action.CREATE_CASE)
    with pytest.raises(PermissionDenied, match="No token may"):
        require(actor, Action.MANAGE_TOKENS)


def test_a_token_cannot_make_or_end_tokens(cast: Cast) -> None:
    token, plaintext = tokens.issue(actor=cast.technician, name="a", scopes=READ, days=1)
    actor = tokens.authenticate(plaintext)
    assert actor is not None
    with pytest.raises(PermissionDenied):
        tokens.issue(actor=actor, name="b", scopes=READ, days=1)
    with pytest.raises(PermissionDenied):
        tokens.revoke(actor=actor, token_id=token.pk)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scopes": [Scope.REVIEW_WRITE]}, "review:write"),
        ({"days": 0}, "between 1 and 365"),
        ({"days": 366}, "between 1 and 365"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
    ],
)
def test_a_token_beyond_its_person_is_refused(cast: Cast, change: dict[str, object], says: str) -> None:
    wanted: dict[str, object] = {"name": "a", "scopes": READ, "days": 1} | change
    with pytest.raises(tokens.TokenError, match=says):
        tokens.issue(actor=cast.technician, **wanted)  # type: ignore[arg-type]
    assert not ApiToken.objects.exists()


def test_scopes_on_offer_follow_the_roles(cast: Cast) -> None:
    administrators = {Scope.DATA_EXPORT, Scope.WEBHOOKS_WRITE}
    assert set(grantable_scopes(cast.administrator)) == {Scope.CASES_READ, Scope.AUDIT_READ, *administrators}
    assert Scope.REVIEW_WRITE not in grantable_scopes(cast.technician)
    assert set(grantable_scopes(cast.pathologist)) == set(Scope) - administrators


def test_scopes_of_a_later_version_do_not_widen(cast: Cast) -> None:
    actor = actor_for(cast.pathologist.user, cast.laboratory, scopes=["cases:read", "everything"])
    assert actor is not None
    assert actor.scopes == {Scope.CASES_READ}


@pytest.mark.parametrize("text", ["", "ll_", "x", "ll_" + "A" * 43, "é" * 50, "\ud800", "ll_" + "A" * 100_000])
def test_what_is_no_token_opens_nothing(cast: Cast, text: str) -> None:
    tokens.issue(actor=cast.technician, name="a", scopes=READ, days=1)
    assert tokens.authenticate(text) is None


def test_the_digest_is_no_token(cast: Cast) -> None:
    token, _ = tokens.issue(actor=cast.technician, name="a", scopes=READ, days=1)
    assert tokens.authenticate(token.digest) is None


def test_a_token_dies_when_revoked_expired_or_its_person_goes(cast: Cast) -> None:
    token, plaintext = tokens.issue(actor=cast.technician, name="a", scopes=READ, days=1)
    assert tokens.authenticate(plaintext)
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert tokens.authenticate(plaintext) is None
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(days=1))
    assert tokens.authenticate(plaintext)

    user = cast.technician.user
    user.is_active = False
    user.save()
    assert tokens.authenticate(plaintext) is None
    user.is_active = True
    user.save()

    held = user.memberships.get()
    held.delete()
    assert tokens.authenticate(plaintext) is None
    held.save()
    assert tokens.authenticate(plaintext)

    assert tokens.revoke(actor=cast.technician, token_id=token.pk)
    assert not tokens.revoke(actor=cast.technician, token_id=token.pk)
    assert tokens.authenticate(plaintext) is None


def test_a_lost_role_narrows_the_token_at_once(cast: Cast) -> None:
    _, plaintext = tokens.issue(actor=cast.pathologist, name="a", scopes=[Scope.REVIEW_WRITE], days=1)
    people.change_roles(actor=cast.administrator, user_id=cast.pathologist.user.pk, roles=[Role.TECHNICIAN])
    actor = tokens.authenticate(plaintext)
    assert actor is not None
    assert not actor.may(Action.DECIDE)


def test_use_is_noted_at_most_once_a_minute(cast: Cast, django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    token, plaintext = tokens.issue(actor=cast.technician, name="a", scopes=READ, days=1)
    with django_assert_num_queries(3):
        tokens.authenticate(plaintext)
    token.refresh_from_db()
    first = token.last_used_at
    assert first is not None
    with django_assert_num_queries(2):
        tokens.authenticate(plaintext)
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(seconds=61))
    with django_assert_num_queries(3):
        tokens.authenticate(plaintext)
    token.refresh_from_db()
    assert token.last_used_at is not None
    assert token.last_used_at > first - timedelta(seconds=1)


def test_the_page_shows_a_token_once_and_the_audit_never_has_it(cast: Cast, client: Client) -> None:
    client.force_login(cast.technician.user)
    page = client.get(reverse("accounts:tokens"))
    assert b"review:write" not in page.content
    made = client.post(
        reverse("accounts:tokens"), {"name": "scanner-2", "scopes": ["cases:read", "images:write"], "days": "30"}
    )
    plaintext = made.context["plaintext"]
    assert made.status_code == 200
    assert plaintext.encode() in made.content
    assert "no-store" in made["Cache-Control"]
    assert tokens.authenticate(plaintext)
    again = client.get(reverse("accounts:tokens"))
    assert plaintext.encode() not in again.content
    assert b"scanner-2" in again.content
    event = AuditEvent.objects.get(action="token.created")
    assert event.actor == cast.technician.user
    assert event.detail["scopes"] == ["cases:read", "images:write"]
    assert plaintext not in str(AuditEvent.objects.values())


@pytest.mark.parametrize(
    "data",
    [
        {"name": "", "scopes": ["cases:read"], "days": "30"},
        {"name": "a", "days": "30"},
        {"name": "a", "scopes": ["review:write"], "days": "30"},
        {"name": "a", "scopes": ["cases:read"], "days": "4000"},
    ],
)
def test_a_form_that_does_not_fit_says_so(cast: Cast, client: Client, data: dict[str, object]) -> None:
    client.force_login(cast.technician.user)
    response = client.post(reverse("accounts:tokens"), data)
    assert response.status_code == 422
    assert b"errorlist" in response.content
    assert not ApiToken.objects.exists()


def test_nobody_sees_or_ends_the_tokens_of_others(cast: Cast, client: Client) -> None:
    token, plaintext = tokens.issue(actor=cast.technician, name="private-scanner", scopes=READ, days=1)
    for actor in (cast.pathologist, cast.administrator, cast.stranger):
        client.force_login(actor.user)
        assert b"private-scanner" not in client.get(reverse("accounts:tokens")).content
        assert client.post(reverse("accounts:token-revoke", args=[token.pk])).status_code == 404
    assert tokens.authenticate(plaintext)
    client.force_login(cast.technician.user)
    assert client.get(reverse("accounts:token-revoke", args=[token.pk])).status_code == 405
    assert client.post(reverse("accounts:token-revoke", args=[token.pk])).status_code == 302
    assert tokens.authenticate(plaintext) is None
    assert AuditEvent.objects.filter(action="token.revoked", actor=cast.technician.user).count() == 1
