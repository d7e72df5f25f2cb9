"""The outbox: a mail is a row, written in the transaction of what it tells, and sent by a sweep.

A worker leases what is due: it moves `not_before` to the end of its lease and counts the attempt, and only who still
holds that attempt's number may say what became of it. So two workers send a mail once, and a worker that dies while
the mail server listens leaves the mail to be sent again under the same Message-ID, by which the receiving side knows
it. A mail server that is away costs nothing but time; after `MOST_ATTEMPTS` a mail is given up with the reason.
"""

from __future__ import annotations

import logging
import smtplib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, transaction
from django.db.models import Count, F, Min, Q
from django.utils import timezone

from accounts.models import Laboratory
from accounts.permissions import Action, Actor, require
from diagnosis import audit
from diagnosis.models import OutgoingMail

logger = logging.getLogger(__name__)

State = OutgoingMail.State
AT_ONCE = 20  # mails of one lease
#: Seconds; beyond what one lease's mails can take: each is bounded by EMAIL_TIMEOUT, and a turn by `TURN`.
LEASE = 300
TURN = 30.0  # seconds after which a lease's remaining mails are handed back
#: Seconds until the next attempt: doubled each time from the first, never longer than the last. Together a day and a
#: half, so that a mail server may be away over night.
FIRST_DELAY, LONGEST_DELAY = 30, 3 * 3600
MOST_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail to be; `subject` is one line."""

    laboratory_id: int
    to: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Outbox:
    """What waits and what was given up, of one laboratory."""

    waiting: int
    delayed: int  # of those waiting: at least one attempt has failed
    failed: int
    oldest_seconds: float  # how long the oldest has waited; 0 where none does
    error: str = ""  # of the last one that could not be sent


def post(letters: Iterable[Letter]) -> list[OutgoingMail]:
    """Put mails into the outbox, in the caller's transaction."""
    longest = OutgoingMail._meta.get_field("subject").max_length or 0
    return OutgoingMail.objects.bulk_create(
        OutgoingMail(
            laboratory_id=letter.laboratory_id,
            to=letter.to,
            subject=" ".join(letter.subject.split())[:longest],  # a line break would begin another header
            body=letter.body,
        )
        for letter in letters
    )


def send_due() -> int:
    """Send what is due, some `AT_ONCE` of it; how many mails the server took. Safe to run anywhere at any time."""
    due = _lease()
    sent, until = 0, time.monotonic() + TURN
    backend: BaseEmailBackend | None = None
    for at, mail in enumerate(due):
        if time.monotonic() > until:
            _hand_back(due[at:])
            break
        if backend is None:
            try:
                backend = get_connection()
                backend.open()
            except OSError as error:  # smtplib's errors are some: away, or the password refused
                for unsent in due[at:]:
                    _failed(unsent, error)
                return sent
        try:
            backend.send_messages([_message(mail)])
        except Exception as error:
            # Whatever the mail server or the network raises, the mail stays and is tried again.
            _failed(mail, error)
            _close(backend)
            backend = None
        else:
            sent += _outcome(mail, state=State.SENT, error="", sent_at=timezone.now())
    if backend is not None:
        _close(backend)
    return sent


def retry(*, actor: Actor) -> int:
    """Take up again what was given up in the actor's laboratory, with fresh attempts; how many there were."""
    require(actor, Action.EDIT_LABORATORY)
    with transaction.atomic():
        count = OutgoingMail.objects.filter(laboratory=actor.laboratory, state=State.FAILED).update(
            state=State.WAITING, attempts=0, not_before=timezone.now()
        )
        if count:
            audit.record(actor=actor, action="mail.retried", mails=count)
    return count


def outbox(laboratory: Laboratory) -> Outbox:
    """For the laboratory's figures. Two queries at most."""
    waits = Q(state=State.WAITING)
    found = OutgoingMail.objects.filter(laboratory=laboratory).aggregate(
        waiting=Count("pk", filter=waits),
        delayed=Count("pk", filter=waits & ~Q(error="")),
        failed=Count("pk", filter=Q(state=State.FAILED)),
        oldest=Min("created_at", filter=waits),
    )
    oldest, error = found.pop("oldest"), ""
    if found["delayed"] or found["failed"]:
        unsent = OutgoingMail.objects.filter(laboratory=laboratory).exclude(state=State.SENT).exclude(error="")
        error = unsent.order_by("-id").values_list("error", flat=True).first() or ""
    waited = max(0.0, (timezone.now() - oldest).total_seconds()) if oldest else 0.0
    return Outbox(**found, oldest_seconds=waited, error=error)


def message_id(mail: OutgoingMail) -> str:
    """The same for every attempt at one mail, and for no other mail of any installation."""
    host = urlsplit(settings.PUBLIC_URL).hostname or "localhost"
    return f"<mail-{mail.pk}.{mail.created_at.timestamp():.6f}@{host}>"


def _lease() -> list[OutgoingMail]:
    now = timezone.now()
    with transaction.atomic():
        due = OutgoingMail.objects.filter(state=State.WAITING, not_before__lte=now).order_by("not_before", "id")
        if connection.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        mails = list(due[:AT_ONCE])
        OutgoingMail.objects.filter(pk__in=[mail.pk for mail in mails]).update(
            attempts=F("attempts") + 1, not_before=now + timedelta(seconds=LEASE)
        )
    for mail in mails:
        mail.attempts += 1
    return mails


def _outcome(mail: OutgoingMail, **fields: object) -> int:
    """Say what became of an attempt; 0 where another worker has begun the next one meanwhile."""
    return OutgoingMail.objects.filter(pk=mail.pk, state=State.WAITING, attempts=mail.attempts).update(**fields)


def _failed(mail: OutgoingMail, error: Exception) -> None:
    words = _words(error)
    logger.warning("Mail %s was not sent (attempt %s): %s", mail.pk, mail.attempts, words)
    if _for_good(error):
        _outcome(mail, state=State.FAILED, error=f"The mail server refused it for good: {words}")
    elif mail.attempts >= MOST_ATTEMPTS:
        _outcome(mail, state=State.FAILED, error=f"Given up after {mail.attempts} attempts. The last one: {words}")
    else:
        delay = min(FIRST_DELAY * 2 ** (mail.attempts - 1), LONGEST_DELAY)
        _outcome(mail, error=words, not_before=timezone.now() + timedelta(seconds=delay))


def _hand_back(mails: list[OutgoingMail]) -> None:
    """Mails of the lease that were not tried: the attempt does not count."""
    for mail in mails:
        _outcome(mail, attempts=mail.attempts - 1, not_before=timezone.now())


def _for_good(error: Exception) -> bool:
    """A permanent refusal (5xx, RFC 5321) of this one mail."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(500 <= code < 600 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPDataError):
        return 500 <= error.smtp_code < 600
    return False


def _words(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{code} {_text(said)}" for code, said in error.recipients.values())[:500]
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"[:500]
    return (str(error) or type(error).__name__)[:500]


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said


def _message(mail: OutgoingMail) -> EmailMessage:
    headers = {
        "Message-ID": message_id(mail),
        "Auto-Submitted": "auto-generated",  # RFC 3834: no out-of-office answers, please
    }
    return EmailMessage(mail.subject, mail.body, settings.DEFAULT_FROM_EMAIL, [mail.to], headers=headers)


def _close(backend: BaseEmailBackend) -> None:
    try:
        backend.close()
    except (OSError, smtplib.SMTPException):
        logger.debug("The mail server was gone before the goodbye.")
