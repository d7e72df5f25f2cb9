"""The hospital's sign-in (OpenID Connect): lets in whom an administrator added, on the provider's word only."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from http import HTTPStatus
from json import dumps
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from django.urls import reverse

from accounts.models import User
from diagnosis.models import AuditEvent
from tests.cast import PASSWORD, Cast

SERVER = "https://sso.hospital.example/realms/main"
CONFIGURATION = {
    "issuer": SERVER,
    "authorization_endpoint": f"{SERVER}/authorize",
    "token_endpoint": f"{SERVER}/token",
    "userinfo_endpoint": f"{SERVER}/userinfo",
    "jwks_uri": f"{SERVER}/keys",
    "token_endpoint_auth_methods_supported": ["client_secret_post"],
}


class Answer:
    status_code = HTTPStatus.OK
    headers = {"content-type": "application/json"}

    def __init__(self, data: dict[str, Any]) -> None:
        self.data, self.text = data, dumps(data)

    def json(self) -> dict[str, Any]:
        return self.data

    def raise_for_status(self) -> None:
        return None


class Provider:
    """In place of the network: a provider that has just signed somebody in."""

    def __init__(self) -> None:
        self.person: dict[str, Any] = {}
        self.token_requests: list[dict[str, str]] = []

    def __enter__(self) -> Provider:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def get(self, url: str, **_: Any) -> Answer:
        return Answer({"/userinfo": self.person}.get(url.removeprefix(SERVER), CONFIGURATION))

    def request(self, _method: str, url: str, data: dict[str, str] | None = None, **_: Any) -> Answer:
        assert url == CONFIGURATION["token_endpoint"]
        self.token_requests.append(data or {})
        claims = self.person | {"iss": SERVER, "aud": "leukolens", "iat": int(time()), "exp": int(time()) + 60}
        parts = [urlsafe_b64encode(dumps(part).encode()).rstrip(b"=").decode() for part in ({"alg": "RS256"}, claims)]
        return Answer({"access_token": "x", "token_type": "Bearer", "id_token": f"{parts[0]}.{parts[1]}.c2ln"})


@pytest.fixture
def provider(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Provider:
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {
            "OAUTH_PKCE_ENABLED": True,
            "APPS": [
                {
                    "provider_id": "oidc",
                    "name": "Hospital sign-in",
                    "client_id": "leukolens",
                    "secret": "s",
                    "settings": {"server_url": SERVER},
                }
            ],
        }
    }
    stand_in = Provider()
    monkeypatch.setattr("accounts.adapter.SocialAccountAdapter.get_requests_session", lambda _: stand_in)
    return stand_in


def come_by(client: Client, provider: Provider, process: str = "login", **person: Any) -> Any:
    """Press the button, be signed in at the provider as `person`, and come back."""
    provider.person = {"sub": "4711", "name": "Somebody"} | person
    start = client.post(f"{reverse('openid_connect_login', args=['oidc'])}?process={process}")
    assert start.status_code == HTTPStatus.FOUND
    sent = parse_qs(urlsplit(start["Location"]).query)
    assert start["Location"].startswith(CONFIGURATION["authorization_endpoint"])
    assert sent["code_challenge_method"] == ["S256"]
    back = reverse("openid_connect_callback", args=["oidc"])
    return client.get(back, {"code": "c", "state": sent["state"][0]}, follow=True)


def signed_in(client: Client) -> User | None:
    response = client.get(reverse("accounts:profile"))
    return response.wsgi_request.user if response.status_code == HTTPStatus.OK else None  # type: ignore[return-value]


def test_the_button_is_there_when_it_is_set_up(provider: Provider, db: None, client: Client) -> None:
    assert b"Hospital sign-in" in client.get(reverse("account_login")).content


def test_somebody_unknown_does_not_get_in(provider: Provider, cast: Cast, client: Client) -> None:
    people = User.objects.count()
    response = come_by(client, provider, email="somebody@hospital.example", email_verified=True)
    assert b"Nobody signs up here" in response.content
    assert signed_in(client) is None
    assert User.objects.count() == people
    assert not SocialAccount.objects.exists()


def test_a_known_person_gets_in_and_is_connected(provider: Provider, cast: Cast, client: Client) -> None:
    user = cast.technician.user
    come_by(client, provider, email=user.email.upper(), email_verified=True)
    assert signed_in(client) == user
    assert SocialAccount.objects.get().user == user
    assert User.objects.get(pk=user.pk).check_password(PASSWORD)  # the password stays as another way in
    event = AuditEvent.objects.get(action="account.signed_in")
    assert event.detail == {"methods": ["socialaccount"]}
    assert provider.token_requests[0]["code_verifier"]

    again = Client()
    come_by(again, provider, email="another.address@hospital.example", email_verified=False)  # the same subject
    assert signed_in(again) == user


@pytest.mark.parametrize("said", [False, None, "false", "true", 1, "missing"])
def test_an_address_that_the_provider_does_not_vouch_for_counts_nothing(
    provider: Provider, cast: Cast, client: Client, said: object
) -> None:
    claims = {} if said == "missing" else {"email_verified": said}
    response = come_by(client, provider, email=cast.technician.user.email, **claims)
    assert b"Nobody signs up here" in response.content
    assert signed_in(client) is None
    assert not SocialAccount.objects.exists()


def test_a_person_of_no_laboratory_or_with_a_closed_account_stays_out(
    provider: Provider, cast: Cast, client: Client
) -> None:
    User.objects.create_user("left@hospital.example", PASSWORD)
    response = come_by(client, provider, email="left@hospital.example", email_verified=True)
    assert b"Nobody signs up here" in response.content
    User.objects.filter(pk=cast.technician.user.pk).update(is_active=False)
    response = come_by(client, provider, email=cast.technician.user.email, email_verified=True)
    assert signed_in(client) is None
    assert not SocialAccount.objects.exists()


def test_a_signed_in_person_connects_theirs_on_purpose(provider: Provider, cast: Cast, client: Client) -> None:
    client.force_login(cast.pathologist.user)
    page = client.get(reverse("socialaccount_connections"))
    assert b"Connect Hospital sign-in" in page.content
    come_by(client, provider, process="connect", email="any@hospital.example")
    assert SocialAccount.objects.get().user == cast.pathologist.user
    assert b"Disconnect" in client.get(reverse("socialaccount_connections")).content
    browser = Client()
    come_by(browser, provider, email="any@hospital.example")
    assert signed_in(browser) == cast.pathologist.user


def test_a_forged_answer_is_refused(provider: Provider, cast: Cast, client: Client) -> None:
    provider.person = {"sub": "1", "email": cast.technician.user.email, "email_verified": True}
    back = reverse("openid_connect_callback", args=["oidc"])
    for query in ({}, {"code": "c"}, {"code": "c", "state": "guess"}, {"error": "access_denied"}):
        assert client.get(back, query, follow=True).status_code < HTTPStatus.INTERNAL_SERVER_ERROR
        assert signed_in(client) is None


def test_without_a_provider_there_is_no_way_in_by_it(db: None, client: Client) -> None:
    assert client.get(reverse("openid_connect_login", args=["oidc"])).status_code == HTTPStatus.NOT_FOUND
    assert client.get(reverse("openid_connect_callback", args=["oidc"])).status_code == HTTPStatus.NOT_FOUND


ROOT = Path(__file__).parents[2]
SERVED = {
    "SECRET_KEY": "0123456789" * 6 + "abcdefghij",
    "ALLOWED_HOSTS": "portal.example",
    "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
    "BROKER_URL": "redis://127.0.0.1:1/0",
    "OIDC_SERVER_URL": SERVER,
    "OIDC_CLIENT_ID": "leukolens",
    "OIDC_CLIENT_SECRET": "s",
}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=keep | {"DJANGO_SETTINGS_MODULE": "config.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_served_with_oidc_it_starts_and_django_finds_nothing_to_warn_of() -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", **SERVED)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_the_policy_lets_the_sign_in_form_lead_to_the_provider_only() -> None:
    code = (
        "from django.conf import settings as s; d = s.CONTENT_SECURITY_POLICY['DIRECTIVES'];"
        "print(d['form-action'], s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME)"
    )
    done = manage("shell", "-v", "0", "-c", code, **SERVED)
    assert done.stdout.strip() == ("[\"'self'\", 'https://sso.hospital.example'] __Host-sessionid __Host-csrftoken"), (
        done.stderr
    )


def test_oidc_without_its_client_is_refused_by_name() -> None:
    done = manage("check", **(SERVED | {"OIDC_CLIENT_ID": "", "OIDC_CLIENT_SECRET": ""}))
    assert done.returncode != 0
    assert "OIDC_CLIENT_ID" in done.stderr
