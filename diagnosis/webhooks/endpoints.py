"""Addresses are made, changed, tried out and taken away by the laboratory's administrators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from accounts.permissions import Action, require, visible
from diagnosis import audit
from diagnosis.models import WebhookDelivery, WebhookEndpoint
from diagnosis.webhooks import reaching, signing
from diagnosis.webhooks import topics as words

if TYPE_CHECKING:
    from accounts.permissions import Actor

MOST = 20  # of one laboratory
State = WebhookDelivery.State


class WebhookRefused(ValueError):  # noqa: N818
    """It cannot be stored as asked; the text says what to do, `field` what it is about."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def of(*, actor: Actor) -> QuerySet[WebhookEndpoint]:
    """The laboratory's endpoints with `waiting`, `failed` and `last_sent`. Raises `PermissionDenied`."""
    require(actor, Action.MANAGE_WEBHOOKS)
    found = visible(WebhookEndpoint.objects.all(), actor).annotate(
        waiting=Count("deliveries", filter=Q(deliveries__state=State.WAITING)),
        failed=Count("deliveries", filter=Q(deliveries__state=State.FAILED)),
        last_sent=Max("deliveries__sent_at"),
    )
    return found.order_by("name", "id")


def named(*, actor: Actor, endpoint_id: int) -> WebhookEndpoint:
    """Raises `WebhookEndpoint.DoesNotExist` for one of another laboratory."""
    return of(actor=actor).get(pk=endpoint_id)


@transaction.atomic
def create(*, actor: Actor, name: str, url: str, topics: Iterable[str]) -> tuple[WebhookEndpoint, str]:
    """A new endpoint, and its secret, which is shown once. Raises `WebhookRefused`, `PermissionDenied`."""
    require(actor, Action.MANAGE_WEBHOOKS)
    name, wanted = _name(name), _topics(topics)
    if visible(WebhookEndpoint.objects.all(), actor).count() >= MOST:
        raise WebhookRefused(f"A laboratory has at most {MOST} addresses. Take one away first.", "name")
    url = _url(url)
    secret = signing.new_secret()
    endpoint = WebhookEndpoint.objects.create(
        laboratory=actor.laboratory,
        name=name,
        url=url,
        secret=signing.sealed(secret),
        topics=wanted,
        created_by=actor.user,
    )
    _record(actor, endpoint, "webhook.created", url=url, topics=wanted)
    return endpoint, secret


@transaction.atomic
def change(
    *,
    actor: Actor,
    endpoint: WebhookEndpoint,
    active: bool | None = None,
    name: str | None = None,
    url: str | None = None,
    topics: Iterable[str] | None = None,
) -> None:
    """Pause it, or take it up again (what waited meanwhile is sent then); call it otherwise, send it elsewhere, tell
    it of other things. What is None stays. Raises `WebhookRefused`."""
    mine = _mine(actor, endpoint)
    given = {
        "name": None if name is None else _name(name),
        "url": None if url is None else _url(url),
        "topics": None if topics is None else _topics(topics),
    }
    changes = {
        field: [getattr(mine, field), value]
        for field, value in given.items()
        if value is not None and value != getattr(mine, field)
    }
    if changes:
        WebhookEndpoint.objects.filter(pk=mine.pk).update(**{field: value for field, (_, value) in changes.items()})
        _record(actor, mine, "webhook.changed", changes=changes)
    if active is not None and mine.active != active:
        WebhookEndpoint.objects.filter(pk=mine.pk).update(active=active)
        _record(actor, mine, "webhook.resumed" if active else "webhook.paused")


def _name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= 100:
        raise WebhookRefused("Give it a name of at most 100 characters, such as the system that listens.", "name")
    return name


def _topics(topics: Iterable[str]) -> list[str]:
    named = set(topics)
    wanted = [topic for topic in words.TOPICS if topic in named]
    if not wanted:
        raise WebhookRefused("Choose at least one thing that it is told of.", "topics")
    return wanted


def _url(url: str) -> str:
    url = url.strip()
    if len(url) > 500:
        raise WebhookRefused("The address is longer than 500 characters.", "url")
    try:
        reaching.look_at(url)
    except reaching.Unreachable as error:
        raise WebhookRefused(str(error), "url") from error
    return url


@transaction.atomic
def renew(*, actor: Actor, endpoint: WebhookEndpoint) -> str:
    """A new secret, valid from the next attempt on; the old one signs nothing any more."""
    mine, secret = _mine(actor, endpoint), signing.new_secret()
    WebhookEndpoint.objects.filter(pk=mine.pk).update(secret=signing.sealed(secret))
    _record(actor, mine, "webhook.renewed")
    return secret


@transaction.atomic
def remove(*, actor: Actor, endpoint: WebhookEndpoint) -> None:
    """The address and its log are gone; what waited is not sent."""
    mine = _mine(actor, endpoint)
    _record(actor, mine, "webhook.removed", url=mine.url)
    mine.delete()


def ping(*, actor: Actor, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """A test message, sent with the next sweep."""
    mine = _mine(actor, endpoint)
    return WebhookDelivery.objects.create(endpoint=mine, topic=words.PING, body=words.ping())


@transaction.atomic
def replay(*, actor: Actor, endpoint: WebhookEndpoint, delivery_id: int | None = None) -> int:
    """Send again what was sent or given up, one delivery or all that were given up; how many there were.

    The body and the id stay the same, so that a receiver knows it again.
    """
    mine = _mine(actor, endpoint)
    found = WebhookDelivery.objects.filter(endpoint=mine).exclude(state=State.WAITING)
    found = found.filter(pk=delivery_id) if delivery_id else found.filter(state=State.FAILED)
    count = found.update(state=State.WAITING, attempts=0, not_before=timezone.now(), sent_at=None)
    if count:
        _record(actor, mine, "webhook.replayed", count=count)
    return count


def deliveries(*, actor: Actor, endpoint: WebhookEndpoint) -> QuerySet[WebhookDelivery]:
    """What an endpoint was sent or is to be sent, the newest first."""
    return WebhookDelivery.objects.filter(endpoint=_mine(actor, endpoint)).order_by("-id")


def _mine(actor: Actor, endpoint: WebhookEndpoint) -> WebhookEndpoint:
    require(actor, Action.MANAGE_WEBHOOKS)
    return visible(WebhookEndpoint.objects.all(), actor).get(pk=endpoint.pk)


def _record(actor: Actor, endpoint: WebhookEndpoint, action: str, **detail: Any) -> None:
    audit.record(
        actor=actor,
        laboratory=actor.laboratory,
        action=action,
        subject=f"webhook {endpoint.pk}",
        **{"name": endpoint.name, **detail},
    )
