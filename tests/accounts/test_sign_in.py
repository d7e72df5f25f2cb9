"""Signing in and out: limits, sessions, redirects, second factors, and pages that obey the policy."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from cryptography.fernet import InvalidToken
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts.models import User
from diagnosis.models import AuditEvent
from tests.accounts.softkey import SoftKey
from tests.cast import PASSWORD, Cast

LOGIN = "/account/login/"


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def sign_in(client: Client, user: User, password: str = PASSWORD, **headers: str) -> object:
    return client.post(LOGIN, {"login": user.email, "password": password}, **headers)


def signed_in(client: Client) -> bool:
    return client.get(reverse("accounts:profile")).status_code == HTTPStatus.OK


def totp_code(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))


def test_the_session_starts_anew_at_sign_in_and_ends_at_sign_out(cast: Cast, client: Client) -> None:
    client.get(reverse("accounts:tokens"))  # to the sign-in, and back
    session = client.session
    session["planted"] = "by somebody else"
    session.save()
    before = session.session_key
    response = sign_in(client, cast.technician.user)
    assert response["Location"] == reverse("case-list")
    assert client.session.session_key != before
    assert not Session.objects.filter(session_key=before).exists()
    cookie = client.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert not cookie["expires"]  # ends with the browser

    key = client.session.session_key
    assert client.get(reverse("account_logout")).status_code == HTTPStatus.OK
    assert signed_in(client)
    client.post(reverse("account_logout"))
    assert not signed_in(client)
    assert not Session.objects.filter(session_key=key).exists()
    actions = list(AuditEvent.objects.order_by("pk").values_list("action", "actor"))
    assert actions == [
        ("account.signed_in", cast.technician.user.pk),
        ("account.signed_out", cast.technician.user.pk),
    ]
    assert AuditEvent.objects.first().detail == {"methods": ["password"]}  # type: ignore[union-attr]


def test_signing_out_needs_the_page_s_own_form(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.technician.user)
    assert client.post(reverse("account_logout")).status_code == HTTPStatus.FORBIDDEN
    assert signed_in(client)


def test_guessing_at_one_account_stops_after_five(cast: Cast, client: Client) -> None:
    user = cast.technician.user
    for _ in range(5):
        assert b"not correct" in sign_in(client, user, "guess").content
    refused = sign_in(client, user)  # the right password, too late
    assert b"Too many failed login attempts" in refused.content
    assert not signed_in(client)
    assert AuditEvent.objects.filter(action="account.sign_in_failed").count() == 5
    event = AuditEvent.objects.filter(action="account.sign_in_failed").first()
    assert event is not None
    assert (event.laboratory, event.actor, event.actor_label) == (cast.laboratory, None, "Somebody at 127.0.0.1")
    sign_in(client, cast.pathologist.user)  # others are not kept out
    assert signed_in(client)


def test_guessing_at_many_accounts_stops_after_ten(cast: Cast, client: Client) -> None:
    for n in range(10):
        sign_in(client, User(email=f"guess{n}@example.org"), "guess")
    assert b"Too many failed login attempts" in sign_in(client, cast.technician.user).content
    assert not AuditEvent.objects.exists()  # nobody's account was tried
    elsewhere = Client(REMOTE_ADDR="203.0.113.9")
    sign_in(elsewhere, cast.technician.user)
    assert signed_in(elsewhere)


def test_a_claimed_proxy_address_does_not_get_round_the_limit(cast: Cast, client: Client) -> None:
    for n in range(10):
        sign_in(client, User(email=f"guess{n}@example.org"), "guess", HTTP_X_FORWARDED_FOR=f"198.51.100.{n}")
    refused = sign_in(client, cast.technician.user, HTTP_X_FORWARDED_FOR="198.51.100.77")
    assert b"Too many failed login attempts" in refused.content


def test_an_unknown_address_and_a_wrong_password_look_the_same(cast: Cast, client: Client) -> None:
    def told(email: str) -> str:
        page = client.post(LOGIN, {"login": email, "password": "guess"}).content.decode()
        return re.sub(r'value="[^"]*"|nonce="[^"]*"', "", page)

    assert told(cast.technician.user.email) == told("nobody@example.org")


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_signing_in_leads_nowhere_else(cast: Cast, client: Client, back: str) -> None:
    response = client.post(LOGIN, {"login": cast.technician.user.email, "password": PASSWORD, "next": back})
    assert response["Location"] == reverse("case-list")


def test_signing_in_comes_back(cast: Cast, client: Client) -> None:
    back = reverse("accounts:tokens")
    to_login = client.get(back)["Location"]
    page = client.get(to_login)
    assert f'name="next" value="{back}"' in page.content.decode()
    response = client.post(LOGIN, {"login": cast.technician.user.email, "password": PASSWORD, "next": back})
    assert response["Location"] == back


def test_a_closed_account_stays_out(cast: Cast, client: Client) -> None:
    User.objects.filter(pk=cast.technician.user.pk).update(is_active=False)
    response = client.post(LOGIN, {"login": cast.technician.user.email, "password": PASSWORD}, follow=True)
    assert b"This account is closed" in response.content
    assert not signed_in(client)


def test_nobody_signs_up(db: None, client: Client) -> None:
    for method in (client.get, client.post):
        response = method("/account/signup/", {"email": "x@example.org", "password1": PASSWORD, "password2": PASSWORD})
        assert b"Nobody signs up here" in response.content
    assert not User.objects.exists()


def test_nobody_changes_their_address(cast: Cast, client: Client) -> None:
    client.force_login(cast.technician.user)
    for method in (client.get, client.post):
        response = method(reverse("account_email"), {"email": "other@example.org", "action_add": ""}, follow=True)
        assert b"given by your laboratory" in response.content
    assert User.objects.get(pk=cast.technician.user.pk).email == cast.technician.user.email


def test_a_forgotten_password(cast: Cast, client: Client) -> None:
    other = Client()
    other.force_login(cast.technician.user)
    for email in (cast.technician.user.email, "nobody@example.org"):
        response = client.post(reverse("account_reset_password"), {"email": email}, follow=True)
        assert b"Look into your mail" in response.content
    assert [message.to for message in mail.outbox] == [[cast.technician.user.email]]
    link = re.search(r"http://testserver(/account/password/reset/key/\S+)", str(mail.outbox[0].body))
    assert link
    path = client.get(link[1], follow=True).redirect_chain[-1][0]
    weak = client.post(path, {"password1": "short", "password2": "short"})
    assert b"too short" in weak.content
    client.post(path, {"password1": "nine unrelated green words", "password2": "nine unrelated green words"})
    assert not signed_in(other)  # the old password's sessions ended
    sign_in(client, cast.technician.user, "nine unrelated green words")
    assert signed_in(client)


def test_changing_the_password_needs_the_old_one_and_ends_other_sessions(cast: Cast, client: Client) -> None:
    other = Client()
    other.force_login(cast.technician.user)
    sign_in(client, cast.technician.user)
    new = {"password1": "nine unrelated green words", "password2": "nine unrelated green words"}
    path = reverse("account_change_password")
    assert b"type your current password" in client.post(path, new | {"oldpassword": "guess"}).content
    client.post(path, new | {"oldpassword": PASSWORD})
    assert signed_in(client)
    assert not signed_in(other)
    assert mail.outbox[-1].to == [cast.technician.user.email]  # told by mail
    assert "changed" in mail.outbox[-1].body
    event = AuditEvent.objects.get(action="account.security_changed")
    assert (event.actor, event.detail) == (cast.technician.user, {"what": "password_changed"})


def test_a_mail_server_that_is_away_undoes_no_change(
    cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.message.EmailMessage.send", refuse)
    sign_in(client, cast.technician.user)
    new = {"password1": "nine unrelated green words", "password2": "nine unrelated green words"}
    response = client.post(reverse("account_change_password"), new | {"oldpassword": PASSWORD})
    assert response.status_code == HTTPStatus.FOUND
    assert User.objects.get(pk=cast.technician.user.pk).check_password("nine unrelated green words")


def test_an_authenticator_app_guards_the_account(cast: Cast, client: Client) -> None:
    user = cast.technician.user
    sign_in(client, user)
    activate = reverse("mfa_activate_totp")

    asked = client.get(activate, follow=True)
    assert b"Is it still you?" in asked.content
    wrong = client.post(asked.redirect_chain[-1][0], {"password": "guess"})
    assert wrong.status_code == HTTPStatus.OK
    page = client.post(asked.redirect_chain[-1][0], {"password": PASSWORD}, follow=True)
    secret = page.context["form"].secret
    assert 'src="data:image/svg+xml' in page.content.decode()
    assert secret in page.content.decode()
    client.post(activate, {"code": totp_code(secret)})
    stored = Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP)
    assert secret not in json.dumps(stored.data)  # encrypted at rest
    assert b"second factor on" in client.get(reverse("accounts:profile")).content

    browser = Client()
    response = sign_in(browser, user)
    assert response["Location"].startswith(reverse("mfa_authenticate"))
    assert not signed_in(browser)
    assert b"One more step" in browser.get(response["Location"]).content
    browser.post(reverse("mfa_authenticate"), {"code": "000000"})
    assert not signed_in(browser)
    cache.clear()  # a code works once in its half minute; this is another half minute
    browser.post(reverse("mfa_authenticate"), {"code": totp_code(secret)})
    assert signed_in(browser)
    last = AuditEvent.objects.filter(action="account.signed_in").order_by("-pk").first()
    assert last is not None
    assert last.detail == {"methods": ["password", "mfa"]}
    client.post(reverse("mfa_deactivate_totp"))
    changed = AuditEvent.objects.get(action="account.security_changed")
    assert (changed.actor, changed.detail) == (user, {"what": "totp_deactivated"})
    assert "deactivated" in mail.outbox[-1].body


def test_a_new_secret_key_keeps_second_factors_while_the_old_one_is_at_hand(cast: Cast, settings: Any) -> None:
    TOTP.activate(cast.technician.user, "A" * 32)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another key " * 5, [settings.SECRET_KEY]
    factor = Authenticator.objects.get()
    assert factor.wrap().validate_code(totp_code("A" * 32))
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(InvalidToken):
        factor.wrap().validate_code(totp_code("A" * 32))


def test_recovery_codes_work_once_and_guessing_codes_stops(cast: Cast, client: Client) -> None:
    user = cast.technician.user
    TOTP.activate(user, "A" * 32)
    codes = RecoveryCodes.activate(user)
    code = codes.get_unused_codes()[0]
    sign_in(client, user)
    client.post(reverse("mfa_authenticate"), {"code": code})
    assert signed_in(client)

    thief = Client()
    sign_in(thief, user)
    thief.post(reverse("mfa_authenticate"), {"code": code})
    assert not signed_in(thief)
    for _ in range(6):
        response = thief.post(reverse("mfa_authenticate"), {"code": "000000"})
    assert b"Too many failed login attempts" in response.content
    thief.post(reverse("mfa_authenticate"), {"code": codes.get_unused_codes()[0]})
    assert not signed_in(thief)


def test_passkey_options_are_for_this_host_and_every_sign_in_anew(db: None, client: Client) -> None:
    options = [
        client.get(reverse("mfa_login_webauthn"), headers={"Accept": "application/json"}).json() for _ in range(2)
    ]
    keys = [o["request_options"]["publicKey"] for o in options]
    assert keys[0]["rpId"] == "testserver"
    assert keys[0]["userVerification"] == "required"
    assert keys[0]["challenge"] != keys[1]["challenge"]
    forged = client.post(reverse("mfa_login_webauthn"), {"credential": json.dumps({"id": "x"})}, follow=True)
    assert forged.status_code == HTTPStatus.OK
    assert not signed_in(client)


def account_pages(cast: Cast, client: Client) -> Iterator[tuple[str, str]]:
    """Every account page that a person can meet, as (where, HTML)."""
    for name in ("account_login", "account_signup", "account_reset_password", "account_reset_password_done"):
        yield name, client.get(reverse(name)).content.decode()
    for name in ("account_inactive", "account_reset_password_from_key_done", "socialaccount_login_cancelled"):
        yield name, client.get(reverse(name)).content.decode()
    yield "bad key", client.get("/account/password/reset/key/x-y/", follow=True).content.decode()
    user = cast.administrator.user
    TOTP.activate(user, "A" * 32)
    sign_in(client, user)
    yield "mfa_authenticate", client.get(reverse("mfa_authenticate")).content.decode()
    client.post(reverse("mfa_authenticate"), {"code": totp_code("A" * 32)})
    for name in ("account_reauthenticate", "mfa_reauthenticate"):
        yield name, client.get(reverse(name)).content.decode()
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    RecoveryCodes.activate(user)
    adding = client.get(reverse("mfa_add_webauthn"))
    credential = SoftKey().create(adding.context["js_data"]["creation_options"], passwordless=True)
    client.post(reverse("mfa_add_webauthn"), {"name": "Blue key", "credential": credential})
    key = Authenticator.objects.get(user=user, type=Authenticator.Type.WEBAUTHN)
    names = "account_logout account_change_password mfa_index mfa_deactivate_totp mfa_view_recovery_codes"
    names += " mfa_generate_recovery_codes mfa_add_webauthn mfa_list_webauthn mfa_reauthenticate_webauthn"
    names += " socialaccount_connections accounts:profile accounts:tokens accounts:people"
    for name in names.split():
        yield name, client.get(reverse(name)).content.decode()
    for name in ("mfa_edit_webauthn", "mfa_remove_webauthn"):
        yield name, client.get(reverse(name, args=[key.pk])).content.decode()
    Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).delete()
    yield "mfa_activate_totp", client.get(reverse("mfa_activate_totp")).content.decode()
    client.force_login(cast.technician.user)
    cast.technician.user.set_unusable_password()
    cast.technician.user.save()
    client.force_login(cast.technician.user)
    yield "account_set_password", client.get(reverse("account_set_password")).content.decode()


def test_every_account_page_obeys_the_policy_and_says_what_it_is_for(cast: Cast, client: Client) -> None:
    """Our frame, our words, no inline script or style, no handler; every control has a name."""
    seen = 0
    for where, page in account_pages(cast, client):
        assert "Research use only" in page, where
        assert '<main id="content"' in page, where
        assert page.count("<h1") == 1, where
        assert len(re.findall(r"<title>\s*\S[^<]*· LeukoLens</title>", page)) == 1, where
        for script in re.findall(r"<script([^>]*)>", page):
            assert "src=" in script or 'type="application/json"' in script, (where, script)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page), where
        for control in re.findall(r"<(?:input|select|textarea)[^>]*>", page):
            if 'type="hidden"' in control or 'type="radio"' in control or 'type="checkbox"' in control:
                continue
            identifier = re.search(r'\sid="([^"]+)"', control)
            assert identifier, (where, control)
            assert f'for="{identifier[1]}"' in page, (where, control)
        ids = re.findall(r'\sid="([^"]+)"', page)
        assert len(ids) == len(set(ids)), (where, sorted(i for i in ids if ids.count(i) > 1))
        seen += 1
    assert seen >= 25


def test_the_policy_forbids_inline_code_and_foreign_places(db: None, client: Client) -> None:
    response = client.get(LOGIN)
    policy = {
        part.split()[0]: part.split()[1:] for part in response["Content-Security-Policy"].split(";") if part.strip()
    }
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == ["'self'"]
    assert policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
    assert policy["form-action"] == ["'self'"]
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"


def test_no_account_template_of_ours_has_inline_code() -> None:
    root = Path(__file__).parents[2] / "templates"
    found = [
        path
        for folder in ("account", "accounts", "allauth", "mfa", "socialaccount")
        for path in (root / folder).rglob("*.html")
    ]
    assert len(found) > 40
    for path in found:
        text = path.read_text()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=\"|javascript:", text), path
        assert "|safe }}" not in text.replace("field.help_text|safe }}", ""), path


def test_the_limits_are_not_slow(cast: Cast, client: Client) -> None:
    """A refused attempt costs no password hash."""
    for _ in range(5):
        sign_in(client, cast.technician.user, "guess")
    started = time.perf_counter()
    sign_in(client, cast.technician.user, "guess")
    assert time.perf_counter() - started < 0.5
