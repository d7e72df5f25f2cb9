"""Writes what happens to accounts into the audit of their laboratory (`accounts` tells, without knowing of it)."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from accounts import events
from accounts.models import ApiToken, Laboratory, User
from accounts.permissions import Actor
from diagnosis.audit import record


@receiver(events.token_created)
def token_created(*, actor: Actor, token: ApiToken, **_: Any) -> None:
    record(
        actor=actor,
        action="token.created",
        subject=f"token {token.pk}",
        name=token.name,
        prefix=token.prefix,
        scopes=token.scopes,
        requests_per_hour=token.requests_per_hour,
        expires_at=token.expires_at,
    )


@receiver(events.token_revoked)
def token_revoked(*, actor: Actor, token: ApiToken, **_: Any) -> None:
    record(actor=actor, action="token.revoked", subject=f"token {token.pk}", name=token.name, prefix=token.prefix)


@receiver(events.signed_in)
def signed_in(*, actor: Actor, methods: list[str], **_: Any) -> None:
    record(actor=actor, action="account.signed_in", methods=methods)


@receiver(events.signed_out)
def signed_out(*, actor: Actor, **_: Any) -> None:
    record(actor=actor, action="account.signed_out")


@receiver(events.sign_in_failed)
def sign_in_failed(*, laboratory: Laboratory, email: str, address: str, **_: Any) -> None:
    record(
        actor=None, who=f"Somebody at {address}", laboratory=laboratory, action="account.sign_in_failed", email=email
    )


@receiver(events.security_changed)
def security_changed(*, actor: Actor | None, laboratory: Laboratory, what: str, **_: Any) -> None:
    record(
        actor=actor,
        who="Operator of the installation",
        laboratory=laboratory,
        action="account.security_changed",
        what=what,
    )


@receiver(events.role_changed)
def role_changed(*, actor: Actor | None, laboratory: Laboratory, user: User, **change: Any) -> None:
    record(
        actor=actor,
        who="Operator of the installation",
        laboratory=laboratory,
        action="account.roles_changed",
        subject=f"person {user.pk}",
        person=str(user),
        email=user.email,
        before=change["before"],
        after=change["after"],
    )


@receiver(events.laboratory_changed)
def laboratory_changed(*, actor: Actor, laboratory: Laboratory, changes: dict[str, list[Any]], **_: Any) -> None:
    record(
        actor=actor,
        laboratory=laboratory,
        action="laboratory.changed",
        subject=f"laboratory {laboratory.pk}",
        changes=changes,
    )
