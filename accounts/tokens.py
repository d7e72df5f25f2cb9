"""API tokens: issued once, kept as a digest, narrowed by scopes, dead at a fixed day."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import events
from accounts.models import ApiToken
from accounts.permissions import Action, Actor, Scope, actor_for, grantable_scopes, require

PREFIX = "ll_"
DAYS_MAX = 365
DAYS_DEFAULT = 90
_SHOWN = 10  # characters a person recognises a token by; 36 random characters (216 bits) stay unknown
_USED_EVERY = timedelta(minutes=1)


class TokenError(ValueError):
    """A token that cannot be made as asked; the text says what to change."""


@transaction.atomic
def issue(
    *, actor: Actor, name: str, scopes: Iterable[Scope], days: int, requests_per_hour: int | None = None
) -> tuple[ApiToken, str]:
    """Make a token for `actor` in their laboratory; without `requests_per_hour` it has the operator's rate.

    Returns the row and the token itself, which exists nowhere else and cannot be shown again.
    Raises `TokenError` for a name, scopes, days or requests that do not fit, `PermissionDenied` for a token that
    would make tokens.
    """
    require(actor, Action.MANAGE_TOKENS)
    wanted, name = frozenset(scopes), name.strip()
    if not 1 <= len(name) <= 100:
        raise TokenError("Give the token a name of at most 100 characters, such as the instrument that uses it.")
    if not 1 <= days <= DAYS_MAX:
        raise TokenError(f"A token lives between 1 and {DAYS_MAX} days.")
    if requests_per_hour is not None and not 1 <= requests_per_hour <= settings.API_TOKEN_MAX:
        raise TokenError(f"A token can have between 1 and {settings.API_TOKEN_MAX} requests an hour.")
    if beyond := wanted - frozenset(grantable_scopes(actor)):
        raise TokenError(f"Your roles do not allow a token with {', '.join(sorted(beyond))}.")
    plaintext = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=actor.user,
        laboratory=actor.laboratory,
        name=name,
        prefix=plaintext[:_SHOWN],
        digest=_digest(plaintext),
        scopes=sorted(wanted),
        requests_per_hour=requests_per_hour,
        expires_at=timezone.now() + timedelta(days=days),
    )
    events.token_created.send(sender=ApiToken, actor=actor, laboratory=actor.laboratory, token=token)
    return token, plaintext


def authenticate(plaintext: str) -> Actor | None:
    """The actor behind a bearer token, or None where it is unknown, expired, revoked or its person has left.

    Whatever arrives is hashed and looked up by its digest, so that the time this takes tells nothing about
    any stored token. Roles, membership and account are read anew each time: a change counts at once.
    """
    token = ApiToken.objects.select_related("user", "laboratory").filter(digest=_digest(plaintext)).first()
    if token is None or not token.is_live:
        return None
    actor = actor_for(
        token.user,
        token.laboratory,
        scopes=token.scopes,
        token=token.name,
        token_id=token.pk,
        requests_per_hour=token.requests_per_hour,
    )
    if actor is not None:
        _note_use(token)
    return actor


def revoke(*, actor: Actor, token_id: int) -> bool:
    """End one of the actor's own tokens; False when it was ended before.

    Raises `ApiToken.DoesNotExist` for a token of anybody else.
    """
    require(actor, Action.MANAGE_TOKENS)
    with transaction.atomic():
        token = own_tokens(actor).get(pk=token_id)
        if not own_tokens(actor).filter(pk=token_id, revoked_at=None).update(revoked_at=timezone.now()):
            return False
        events.token_revoked.send(sender=ApiToken, actor=actor, laboratory=actor.laboratory, token=token)
    return True


def rate(requests_per_hour: int | None) -> str:
    """The rate of a token, such as `500/hour`: its own, never beyond what the operator allows now, or that of all."""
    if requests_per_hour is None:
        return settings.API_THROTTLE
    return f"{min(requests_per_hour, settings.API_TOKEN_MAX)}/hour"


def own_tokens(actor: Actor) -> QuerySet[ApiToken]:
    """The actor's own tokens in their laboratory, ended ones included, newest first."""
    return ApiToken.objects.filter(user=actor.user, laboratory=actor.laboratory)


def _digest(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode("utf-8", "surrogatepass")).hexdigest()


def _note_use(token: ApiToken) -> None:
    """Remember that the token was used, with at most one write a minute however busy the instrument is."""
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at < now - _USED_EVERY:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - _USED_EVERY)
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
