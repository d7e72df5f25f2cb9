"""Passkeys and security keys: added, used to sign in, and refused when forged or replayed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.models import User
from diagnosis.models import AuditEvent
from tests.accounts.softkey import SoftKey
from tests.cast import PASSWORD, Cast

JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def signed_in(client: Client) -> bool:
    return client.get(reverse("accounts:profile")).status_code == HTTPStatus.OK


def add_key(client: Client, user: User, *, passwordless: bool) -> SoftKey:
    """Sign in by password, confirm it once more, and add a key as the page does."""
    client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    page = client.get(reverse("mfa_add_webauthn"))
    key = SoftKey()
    credential = key.create(page.context["js_data"]["creation_options"], passwordless=passwordless)
    form = {"name": "Blue key", "credential": credential} | ({"passwordless": "on"} if passwordless else {})
    assert client.post(reverse("mfa_add_webauthn"), form).status_code == HTTPStatus.FOUND
    return key


def options(client: Client) -> dict[str, object]:
    return dict(client.get(reverse("mfa_login_webauthn"), headers=JSON).json()["request_options"])


def test_a_passkey_signs_in_by_itself_and_only_once(cast: Cast, client: Client) -> None:
    user = cast.technician.user
    key = add_key(client, user, passwordless=True)
    page = client.get(reverse("mfa_list_webauthn")).content
    assert b"Blue key" in page
    assert b"Passkey: signs in by itself" in page

    browser = Client()
    assert b"Sign in with a passkey" in browser.get(reverse("account_login")).content
    before = browser.session.session_key
    answer = key.get(options(browser))
    response = browser.post(reverse("mfa_login_webauthn"), {"credential": answer})
    assert response["Location"] == reverse("case-list")
    assert signed_in(browser)
    assert browser.session.session_key != before
    last = AuditEvent.objects.filter(action="account.signed_in").order_by("-pk").first()
    assert last is not None
    assert last.detail == {"methods": ["mfa"]}

    thief = Client()
    options(thief)
    thief.post(reverse("mfa_login_webauthn"), {"credential": answer})  # an old answer to a new challenge
    assert not signed_in(thief)


def test_a_key_of_somebody_else_does_not_open_this_account(cast: Cast) -> None:
    add_key(Client(), cast.technician.user, passwordless=True)
    theirs = add_key(Client(), cast.stranger.user, passwordless=True)
    mine = add_key(Client(), cast.pathologist.user, passwordless=True)
    theirs.user_handle = mine.user_handle
    browser = Client()
    browser.post(reverse("mfa_login_webauthn"), {"credential": theirs.get(options(browser))})
    assert not signed_in(browser)


def test_a_key_of_another_site_is_refused(cast: Cast) -> None:
    key = add_key(Client(), cast.technician.user, passwordless=True)
    browser = Client()
    asked = options(browser)
    asked["publicKey"]["rpId"] = "evil.example"  # type: ignore[index]
    browser.post(reverse("mfa_login_webauthn"), {"credential": key.get(asked)})
    assert not signed_in(browser)


def test_a_closed_account_has_no_passkey(cast: Cast) -> None:
    key = add_key(Client(), cast.technician.user, passwordless=True)
    User.objects.filter(pk=cast.technician.user.pk).update(is_active=False)
    browser = Client()
    browser.post(reverse("mfa_login_webauthn"), {"credential": key.get(options(browser))})
    assert not signed_in(browser)


def test_a_security_key_stands_beside_the_password(cast: Cast, client: Client) -> None:
    user = cast.technician.user
    key = add_key(client, user, passwordless=False)
    browser = Client()
    asked = browser.post(reverse("account_login"), {"login": user.email, "password": PASSWORD}, follow=True)
    assert not signed_in(browser)
    assert b"Use a security key" in asked.content
    answer = key.get(asked.context["js_data"]["request_options"])
    browser.post(reverse("mfa_authenticate"), {"credential": answer})
    assert signed_in(browser)


def test_a_key_is_renamed_and_removed_by_its_owner_only(cast: Cast, client: Client) -> None:
    add_key(client, cast.technician.user, passwordless=True)
    row = Authenticator.objects.get(type=Authenticator.Type.WEBAUTHN)
    for name in ("mfa_edit_webauthn", "mfa_remove_webauthn"):
        page = client.get(reverse(name, args=[row.pk])).content.decode()
        assert page.count("<h1") == 1
        assert "Research use only" in page
    other = Client()
    other.post(reverse("account_login"), {"login": cast.pathologist.user.email, "password": PASSWORD})
    other.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    for name in ("mfa_edit_webauthn", "mfa_remove_webauthn"):
        assert other.post(reverse(name, args=[row.pk]), {"name": "x"}).status_code == HTTPStatus.NOT_FOUND
    client.post(reverse("mfa_edit_webauthn", args=[row.pk]), {"name": "Desk key"})
    row.refresh_from_db()
    assert row.data["name"] == "Desk key"
    client.post(reverse("mfa_remove_webauthn", args=[row.pk]))
    assert not Authenticator.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize(
    "credential",
    [
        "",
        "null",
        "[]",
        "7",
        "0",
        "false",
        '"x"',
        "{}",
        '{"response": null}',
        '{"response": {"userHandle": 7}}',
        "{not json",
        "[[[[",
    ],
)
def test_what_is_no_credential_is_refused_in_words(cast: Cast, client: Client, credential: str) -> None:
    options(client)
    response = client.post(reverse("mfa_login_webauthn"), {"credential": credential}, follow=True)
    assert response.status_code == HTTPStatus.OK
    assert not signed_in(client)
    key = SoftKey()
    client.post(reverse("account_login"), {"login": cast.technician.user.email, "password": PASSWORD})
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    page = client.get(reverse("mfa_add_webauthn"))
    good = json.loads(key.create(page.context["js_data"]["creation_options"], passwordless=True))
    for broken in (credential, json.dumps(good | {"response": {}}), json.dumps(good | {"rawId": 7})):
        response = client.post(reverse("mfa_add_webauthn"), {"name": "x", "credential": broken})
        assert response.status_code == HTTPStatus.OK
    assert not Authenticator.objects.exists()


def test_the_operator_helps_who_lost_every_key(cast: Cast, client: Client) -> None:
    user = cast.technician.user
    add_key(client, user, passwordless=False)
    call_command("reset_second_factor", user.email.upper())
    browser = Client()
    browser.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    assert signed_in(browser)
    event = AuditEvent.objects.filter(action="account.security_changed").order_by("-pk").first()
    assert event is not None
    assert (event.actor, event.actor_label) == (None, "Operator of the installation")
    for email in (user.email, "nobody@example.org"):
        with pytest.raises(CommandError, match=r"no second factor|Nobody signs in"):
            call_command("reset_second_factor", email)
