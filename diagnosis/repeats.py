"""A request done once, however often it is sent: the first claims its key, the others get its answer.

The claim stands, committed, before anything is done. A process that dies leaves it behind; after
`IDEMPOTENCY_TAKEOVER` seconds another request takes it over, and the first can then answer no more. Answers are kept
for `IDEMPOTENCY_HOURS`.
"""

from __future__ import annotations

import uuid
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from diagnosis.models import KeptAnswer


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do the request: row and mark."""

    row: int
    mark: uuid.UUID


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered, to the byte."""

    status: int
    headers: dict[str, str]
    body: bytes


class KeyReused(Exception):  # noqa: N818 - it is what the client is told
    """The key stands for another request."""


class InFlight(Exception):  # noqa: N818 - as above
    """Another request works on this key, or has just taken it over."""


def begin(*, token_id: int, key: str, fingerprint: str) -> Claim | Answer:
    """Claim `key` for a token, or hand out what was answered under it; call it outside of any transaction.

    `fingerprint`: hexadecimal SHA-256 of the request. Raises `KeyReused` where the key came with another one,
    `InFlight` where the first is still being done.
    """
    now = timezone.now()
    mark = uuid.uuid4()
    try:
        with transaction.atomic():
            made = KeptAnswer.objects.create(
                token_id=token_id, key=key, fingerprint=fingerprint, claim=mark, claimed_at=now, created_at=now
            )
        return Claim(made.pk, mark)
    except IntegrityError:
        stands = KeptAnswer.objects.filter(token_id=token_id, key=key).first()
    if stands is None:  # given up in this moment
        raise InFlight
    forgotten = stands.created_at < _kept_since()
    if not forgotten:
        if stands.fingerprint != fingerprint:
            raise KeyReused
        if stands.status is not None:
            return Answer(stands.status, stands.headers, zlib.decompress(stands.body))
        if stands.claimed_at > now - timedelta(seconds=settings.IDEMPOTENCY_TAKEOVER):
            raise InFlight
    taken: dict[str, object] = {"claim": mark, "claimed_at": now}
    if forgotten:
        taken |= {"fingerprint": fingerprint, "created_at": now, "status": None}
    if not KeptAnswer.objects.filter(pk=stands.pk, claim=stands.claim, status=stands.status).update(**taken):
        raise InFlight
    return Claim(stands.pk, mark)


def finish(claim: Claim, answer: Answer) -> None:
    """Keep the answer. Inside the transaction of what was done both stand or neither.

    Raises `InFlight` where another request has taken the claim over.
    """
    body = zlib.compress(answer.body)
    if not _held(claim).update(status=answer.status, headers=answer.headers, body=body):
        raise InFlight


def give_up(claim: Claim) -> None:
    """Nothing is to be remembered: whoever sends the request again has it done anew."""
    _held(claim).delete()


def forget() -> int:
    """Delete what was kept long enough; how many there were."""
    return KeptAnswer.objects.filter(created_at__lt=_kept_since()).delete()[0]


def _held(claim: Claim) -> QuerySet[KeptAnswer]:
    return KeptAnswer.objects.filter(pk=claim.row, claim=claim.mark, status=None)


def _kept_since() -> datetime:
    return timezone.now() - timedelta(hours=settings.IDEMPOTENCY_HOURS)
