"""Who is it that signs? Proved at the moment of signing, each proof good for one signature.

By the password, typed into the form that signs; or, for people who have a passkey or an authenticator app, by
allauth's own page for it, less than two minutes before. Wrong attempts count towards the limits of signing in.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts.models import User

WINDOW = 120  # seconds between the passkey or the code and the signature
_SPENT = "confirmation_spent"  # in the session: when the proof that was used last was given
#: Type of an authenticator → what a signature says of it.
_PROOFS = {"webauthn": "passkey", "totp": "totp", "recovery_codes": "recovery"}


class NotConfirmed(ValueError):  # noqa: N818 - what the person is told
    """Nobody has proved who they are; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How a person can prove who they are, and what they have proved already (empty: nothing that still counts)."""

    password: bool
    passkey: bool
    code: bool
    proved: str

    @property
    def none(self) -> bool:
        return not (self.password or self.passkey or self.code)


def ways(request: HttpRequest, user: User) -> Ways:
    """What the form that signs offers. One query."""
    held = set(Authenticator.objects.filter(user=user).values_list("type", flat=True))
    return Ways(
        password=user.has_usable_password(),
        passkey=Authenticator.Type.WEBAUTHN in held,
        code=Authenticator.Type.TOTP in held,
        proved=_PROOFS[record["type"]] if (record := _proof(request, user)) else "",
    )


def confirm(request: HttpRequest, user: User, *, password: str) -> str:
    """How `user` proved who they are: "password", "passkey", "totp" or "recovery".

    A `password` that is given has to be right, whatever else was proved. Raises `NotConfirmed`. Call `spend` once
    the signature stands.
    """
    if password:
        try:
            right = user.has_usable_password() and get_adapter(request).reauthenticate(user, password)
        except ValidationError as limited:
            raise NotConfirmed(f"Not signed. {' '.join(limited.messages)}") from limited
        if not right:
            raise NotConfirmed("Not signed: this is not your password. Everything you wrote is kept; type it again.")
        return "password"
    if record := _proof(request, user):
        return _PROOFS[record["type"]]
    raise NotConfirmed("Not signed: confirm first that it is you.")


def spend(request: HttpRequest, user: User) -> None:
    """The proof that was given on another page has made its signature."""
    if record := _proof(request, user):
        request.session[_SPENT] = record["at"]


def _proof(request: HttpRequest, user: User) -> dict[str, Any] | None:
    """The newest proof by passkey or code that is fresh and has signed nothing yet."""
    since = max(time.time() - WINDOW, float(request.session.get(_SPENT, 0)))
    given = [
        record
        for record in get_authentication_records(request, user)
        if record["method"] == "mfa" and record.get("reauthenticated") and record["at"] > since
    ]
    return given[-1] if given else None
