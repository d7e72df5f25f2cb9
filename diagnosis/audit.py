"""Append-only record of who did what to which case, reads included.

The events of a case form a chain: each carries a sequence number without gaps and a SHA-256 over itself and the
hash before it. Events without a case form one chain for each laboratory. The database refuses to update or delete
them (migration 0002); `verify` finds what was altered by someone who went round that. `docs/audit.md` says what
this proves and what it does not.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import Laboratory
from diagnosis.models import AuditEvent, Case

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from django.db.models import QuerySet

    from accounts.permissions import Actor

WORKER = "LeukoLens worker"
READS_COALESCE = timedelta(minutes=5)
#: What tells nothing of how anybody judges the smear.
BLIND_ACTIONS = frozenset({
    "case.created", "case.read", "case.updated", "case.claimed", "case.released", "case.taken_over", "case.late",
    "clinical.saved", "patient.created", "patient.updated", "image.accepted", "image.duplicate", "image.rejected",
    "image.kind_corrected", "image.scaled", "image.read", "image.failed", "image.retried",
})  # fmt: skip
#: What migration 0002 installs; verify_audit says so when one is gone.
TRIGGERS = {
    "sqlite": {"audit_no_update", "audit_no_delete", "audit_no_replace"},
    "postgresql": {"audit_no_change", "audit_no_truncate"},
}


def record(
    *,
    actor: Actor | None,
    action: str,
    case: Case | None = None,
    laboratory: Laboratory | None = None,
    subject: str = "",
    who: str = WORKER,
    **detail: Any,
) -> AuditEvent:
    """Append one event to the chain of `case`, or of the laboratory where there is no case.

    `action` is a key of `audit_words.WORDS`; `subject` names a row ("image 12"); `detail` is anything JSON holds
    (dates and decimals become text). Without an `actor` it was `who`: the worker, or somebody unknown. Call it
    inside the transaction of what it records, so that both stand or neither. The chain's row (case or
    laboratory) stays locked until that commits.
    """
    [event] = record_all([(subject, detail)], actor=actor, action=action, case=case, laboratory=laboratory, who=who)
    return event


def record_all(
    told: Sequence[tuple[str, dict[str, Any]]],
    *,
    actor: Actor | None,
    action: str,
    case: Case | None = None,
    laboratory: Laboratory | None = None,
    who: str = WORKER,
) -> list[AuditEvent]:
    """As `record`, for several events of one sort, each a subject and its detail, in one write."""
    if case is None and laboratory is None:
        if actor is None:
            raise ValueError("an event of the worker needs a case or a laboratory")
        laboratory = actor.laboratory
    laboratory_id = case.laboratory_id if case is not None else laboratory.pk  # type: ignore[union-attr]
    with transaction.atomic(savepoint=False):  # nobody goes on without what failed to be recorded
        _lock(case, laboratory_id)
        chain = AuditEvent.objects.filter(case=case, laboratory_id=laboratory_id)
        sequence, previous_hash = chain.order_by("-sequence").values_list("sequence", "hash").first() or (0, "")
        events = []
        for number, (subject, detail) in enumerate(told, start=sequence + 1):
            event = AuditEvent(
                laboratory_id=laboratory_id,
                case=case,
                sequence=number,
                at=timezone.now(),
                actor=actor.user if actor else None,
                actor_label=_text((actor.label or str(actor.user)) if actor else who)[:320],
                action=action,
                subject=_text(subject)[:80],
                detail=_settled(json.loads(json.dumps(detail, cls=DjangoJSONEncoder, allow_nan=False))),
                previous_hash=previous_hash,
            )
            previous_hash = event.hash = event_hash(event)
            events.append(event)
        return AuditEvent.objects.bulk_create(events)


def record_read(*, actor: Actor, case: Case, subject: str = "") -> AuditEvent | None:
    """Note that `actor` read `case`; None where the same actor's read of it stands since less than five minutes."""
    mine = AuditEvent.objects.filter(
        case=case, action="case.read", actor=actor.user, actor_label=actor.label or str(actor.user)
    )
    if mine.filter(at__gt=timezone.now() - READS_COALESCE).exists():
        return None
    with transaction.atomic():
        _lock(case, case.laboratory_id)
        if mine.filter(at__gt=timezone.now() - READS_COALESCE).exists():
            return None
        return record(actor=actor, action="case.read", case=case, subject=subject)


def verify(*, case: Case | None = None, laboratory: Laboratory | None = None) -> list[int]:
    """Sequence numbers of the chain of `case` (or of the laboratory's own chain) that are missing or altered."""
    if (case is None) == (laboratory is None):
        raise ValueError("name a case or a laboratory")
    chain = (
        AuditEvent.objects.filter(case=case) if case else AuditEvent.objects.filter(case=None, laboratory=laboratory)
    )
    return broken(chain.order_by("sequence").iterator())


def broken(chain: Iterable[AuditEvent]) -> list[int]:
    """The sequence numbers of one chain, given in order, that are missing, altered, or do not follow the one before."""
    wrong: list[int] = []
    expected, previous_hash = 1, ""
    for event in chain:
        missing = range(expected, event.sequence)
        wrong.extend(missing)
        follows = bool(missing) or event.previous_hash == previous_hash
        if not follows or event.hash != event_hash(event):
            wrong.append(event.sequence)
        expected, previous_hash = event.sequence + 1, event.hash
    return wrong


def chains() -> Iterator[tuple[str, list[AuditEvent]]]:
    """Every chain of the database, one after the other, each with a stable name ("lab-slug/case 12")."""
    events = AuditEvent.objects.order_by("laboratory_id", "case_id", "sequence").select_related("laboratory")
    name, chain = "", list[AuditEvent]()
    for event in events.iterator(chunk_size=2_000):
        its = f"{event.laboratory.slug}/{f'case {event.case_id}' if event.case_id else 'laboratory'}"
        if its != name and chain:
            yield name, chain
            chain = []
        name = its
        chain.append(event)
    if chain:
        yield name, chain


def missing_triggers() -> set[str]:
    """Names of the append-only triggers that the database lacks (empty: all in place and enabled)."""
    wanted = TRIGGERS[connection.vendor]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'diagnosis_auditevent'"
            )
        else:
            cursor.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = 'diagnosis_auditevent'::regclass AND tgenabled = 'A'"
            )
        return wanted - {row[0] for row in cursor.fetchall()}


def history(case: Case) -> QuerySet[AuditEvent]:
    """The events of `case` and of its patient's record, newest first; `event.sentence` says each in plain words.

    A `blinded` reader is given those of `BLIND_ACTIONS` alone.
    """
    patient = Q(case=None, laboratory_id=case.laboratory_id, subject=f"patient {case.patient_id}")
    found = AuditEvent.objects.filter(Q(case=case) | patient)
    return (found.filter(action__in=BLIND_ACTIONS) if case.blinded else found).order_by("-at", "-id")


def event_hash(event: AuditEvent) -> str:
    """SHA-256 (hex) over the event's canonical JSON: sorted keys, no spaces, UTF-8, time in UTC microseconds."""
    fields = {
        "laboratory": event.laboratory_id,
        "case": event.case_id,
        "sequence": event.sequence,
        "at": _utc(event.at),
        "actor": event.actor_id,
        "actor_label": event.actor_label,
        "action": event.action,
        "subject": event.subject,
        "detail": event.detail,
        "previous_hash": event.previous_hash,
    }
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _lock(case: Case | None, laboratory_id: int) -> None:
    # NO KEY: inserting a row that refers to the case takes a share of its key; two uploads that both did so and
    # then asked for the whole row would wait for each other for ever. SQLite has taken its write lock already.
    if case is not None:
        Case.objects.select_for_update(no_key=True).only("pk").get(pk=case.pk)
    else:
        Laboratory.objects.select_for_update(no_key=True).only("pk").get(pk=laboratory_id)


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _settled(value: Any) -> Any:
    """`value` as it comes back from either database: PostgreSQL's jsonb turns 1e16 into an integer and refuses NUL."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_settled(item) for item in value]
    if isinstance(value, dict):
        return {_text(key): _settled(item) for key, item in value.items()}
    return value


def _text(value: str) -> str:
    return value.replace("\x00", "").encode("utf-8", "replace").decode()
