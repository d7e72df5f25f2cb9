"""Audit events become deliveries, and deliveries are sent: both by a sweep, both safe to run anywhere at any time.

As in `diagnosis.mail`, a worker leases what is due by moving `not_before` past its lease and counting the attempt, and
only who still holds that attempt's number may say what became of it.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

from cryptography.fernet import InvalidToken
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from diagnosis.models import AuditEvent, WebhookDelivery, WebhookEndpoint
from diagnosis.webhooks import reaching, signing, topics

logger = logging.getLogger(__name__)

State = WebhookDelivery.State
#: Events are looked for again for so long after their time: a transaction that began before may end after.
OVERLAP = timedelta(minutes=10)
AT_ONCE, COLLECTED_AT_ONCE = 20, 500
LEASE, TURN = 300, 30.0  # seconds, as in `mail`
FIRST_DELAY, LONGEST_DELAY, MOST_ATTEMPTS = 10, 6 * 3600, 20  # some three days in all
KEPT, LOGGED = timedelta(days=30), 20  # how long what was sent can be sent again; attempts in a delivery's log


def collect() -> int:
    """Make deliveries of what happened; how many."""
    made = 0
    for endpoint in WebhookEndpoint.objects.all():
        now = timezone.now()
        mine = WebhookDelivery.objects.filter(endpoint=endpoint, event=OuterRef("pk"))
        events = list(
            AuditEvent.objects.filter(
                ~Exists(mine),
                laboratory=endpoint.laboratory_id,
                case__isnull=False,
                action__in=topics.actions_of(endpoint.topics),
                at__gte=max(endpoint.seen_until - OVERLAP, endpoint.created_at),
            ).order_by("at", "id")[:COLLECTED_AT_ONCE]
        )
        fresh = [
            WebhookDelivery(
                endpoint=endpoint, event=event, topic=topics.topic_of(event.action), body=topics.message(event)
            )
            for event in events
        ]
        made += len(WebhookDelivery.objects.bulk_create(fresh, ignore_conflicts=True))
        if len(events) < COLLECTED_AT_ONCE:
            WebhookEndpoint.objects.filter(pk=endpoint.pk, seen_until__lt=now).update(seen_until=now)
    WebhookDelivery.objects.filter(state=State.SENT, created_at__lt=timezone.now() - KEPT).delete()
    return made


def send_due() -> int:
    """Send what is due, some `AT_ONCE` of it; how many were taken."""
    due, taken, until = _lease(), 0, time.monotonic() + TURN
    silent: set[int] = set()  # an address that did not answer is not waited for again in this turn
    for delivery in due:
        if delivery.endpoint_id in silent or time.monotonic() > until:
            _outcome(delivery, attempts=delivery.attempts - 1, not_before=timezone.now())
            continue
        at = timezone.now()
        try:
            answer = _attempt(delivery)
        except (reaching.Unreachable, InvalidToken) as error:
            silent.add(delivery.endpoint_id)
            words = str(error) or "Its secret cannot be read any more: make a new one."
            _failed(delivery, words, {"at": at.isoformat(), "error": words})
            continue
        entry = {"at": at.isoformat(), "status": answer.status, "milliseconds": answer.milliseconds}
        if 200 <= answer.status < 300:
            log = [*delivery.log, entry][-LOGGED:]
            taken += _outcome(delivery, state=State.SENT, sent_at=timezone.now(), log=log)
        else:
            words = f"It answered {answer.status}, not 2xx."
            if 300 <= answer.status < 400:
                words += " Redirects are not followed: give the address that it leads to."
            if answer.status == 410:  # Standard Webhooks: the receiver wants no more
                WebhookEndpoint.objects.filter(pk=delivery.endpoint_id).update(active=False)
                silent.add(delivery.endpoint_id)
            _failed(delivery, words, entry | {"error": words})
    return taken


def _attempt(delivery: WebhookDelivery) -> reaching.Answer:
    signed = signing.headers(
        secret=signing.opened(delivery.endpoint.secret),
        message=f"msg_{delivery.message.hex}",
        at=int(time.time()),
        body=delivery.body,
    )
    return reaching.send(delivery.endpoint.url, delivery.body, signed)


def _lease() -> list[WebhookDelivery]:
    now = timezone.now()
    with transaction.atomic():
        due = WebhookDelivery.objects.filter(state=State.WAITING, not_before__lte=now, endpoint__active=True)
        if connection.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True, of=("self",))
        deliveries = list(due.select_related("endpoint").order_by("not_before", "id")[:AT_ONCE])
        WebhookDelivery.objects.filter(pk__in=[delivery.pk for delivery in deliveries]).update(
            attempts=F("attempts") + 1, not_before=now + timedelta(seconds=LEASE)
        )
    for delivery in deliveries:
        delivery.attempts += 1
    return deliveries


def _outcome(delivery: WebhookDelivery, **fields: Any) -> int:
    """Say what became of an attempt; 0 where another worker has begun the next one meanwhile."""
    mine = WebhookDelivery.objects.filter(pk=delivery.pk, state=State.WAITING, attempts=delivery.attempts)
    return mine.update(**fields)


def _failed(delivery: WebhookDelivery, words: str, entry: dict[str, Any]) -> None:
    logger.warning("Delivery %s was not taken (attempt %s): %s", delivery.pk, delivery.attempts, words)
    log = [*delivery.log, entry][-LOGGED:]
    if delivery.attempts >= MOST_ATTEMPTS:
        _outcome(delivery, state=State.FAILED, log=log)
    else:
        delay = min(FIRST_DELAY * 2 ** (delivery.attempts - 1), LONGEST_DELAY)
        _outcome(delivery, log=log, not_before=timezone.now() + timedelta(seconds=delay))
