"""Who holds a case: the one pathologist whose case it is, so that no two work on the same smear unknowingly.

A case is claimed, released, taken over, or taken from the top of what waits. Each step locks the case's row, so that
of two people who reach for it at the same moment one holds it and the other is told who does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.utils import timezone

from accounts.permissions import Action, require, visible
from diagnosis import audit, notices
from diagnosis.blinding import is_blinded, unknowable
from diagnosis.models import Case, Event

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.permissions import Actor

#: Nothing to wait for: a person can go on with it. A reading that failed keeps nobody from looking.
READY = (Case.Status.READY, Case.Status.IN_REVIEW, Case.Status.REVIEWED, Case.Status.ATTENTION)


class HoldRefused(ValueError):  # noqa: N818
    """The case cannot be claimed or released; `str(error)` says why and what to do. `code`: held, signed or
    blinded."""

    code = "signed"


class AskedBlind(HoldRefused):
    """The actor is to give a second opinion on the case first."""

    code = "blinded"


class HeldByOther(HoldRefused):
    """A colleague holds the case; `case.held_by` and `case.held_at` say who and since when."""

    code = "held"

    def __init__(self, case: Case, what_to_do: str) -> None:
        super().__init__(f"{case.held_by} holds {case.accession_number} since {_moment(case)}. {what_to_do}")
        self.case = case


def claim(*, actor: Actor, case: Case, take_over: bool = False) -> Case:
    """Make the case the actor's own; one that they hold already stays as it is.

    A case that a colleague holds is refused with `HeldByOther` unless `take_over`, which is audited with the name
    of who held it, and they are told. Also raises `HoldRefused` for a signed case, `PermissionDenied`, and
    `Case.DoesNotExist` for a case of another laboratory.
    """
    require(actor, Action.HOLD_CASE)
    with transaction.atomic():
        record = _locked(actor, case)
        if record.is_closed:
            raise HoldRefused(f"{record.accession_number} is signed. Open it for an amendment first.")
        if record.held_by_id == actor.user.pk:
            return record
        if is_blinded(actor=actor, case=record):
            raise AskedBlind(
                f"You are asked for a second opinion on {record.accession_number}. Answer or decline first, then you "
                f"can take it."
            )
        if record.held_by_id is None:
            return _hold(actor, record)
        if not take_over:
            raise HeldByOther(record, "Ask them to release it, or take it over.")
        former = record.held_by
        record.held_by, record.held_at = actor.user, timezone.now()
        record.save(update_fields=["held_by", "held_at"])
        audit.record(
            actor=actor,
            action="case.taken_over",
            case=record,
            subject=f"case {record.pk}",
            former=str(former),
            former_id=former.pk if former else None,
        )
        if former:
            notices.tell(event=Event.CASE_TAKEN, case=record, users=[former], detail={"who": str(actor.user)})
    return record


def release(*, actor: Actor, case: Case) -> Case:
    """Give the case back to everybody; one that nobody holds stays as it is.

    Raises `HeldByOther` where a colleague holds it, `PermissionDenied`, `Case.DoesNotExist` as `claim` does.
    """
    require(actor, Action.HOLD_CASE)
    with transaction.atomic():
        record = _locked(actor, case)
        if record.held_by_id is None:
            return record
        if record.held_by_id != actor.user.pk:
            raise HeldByOther(record, "Only they can release it; you can take it over.")
        record.held_by = record.held_at = None
        record.save(update_fields=["held_by", "held_at"])
        audit.record(actor=actor, action="case.released", case=record, subject=f"case {record.pk}")
    return record


def take_next(*, actor: Actor) -> Case | None:
    """Claim the first open case that nobody holds and that is ready for review: urgent ones, then by due time.

    Two who ask at once get two cases: on PostgreSQL each skips the row that the other has locked, on SQLite they
    come one after the other. None where nothing waits. Raises `PermissionDenied`.
    """
    require(actor, Action.HOLD_CASE)
    with transaction.atomic():
        waiting = (
            unknowable(visible(Case.objects.exclude(status=Case.Status.SIGNED), actor), actor)
            .filter(held_by=None, status__in=READY)
            .order_by("-priority", "due_at", "id")
        )
        if connection.features.has_select_for_update_skip_locked:
            waiting = waiting.select_for_update(skip_locked=True, no_key=True)
        record = waiting.first()
        return _hold(actor, record) if record else None


def claim_for_decision(actor: Actor, case: Case) -> None:
    """Hold a case that nobody holds, because the actor has begun to decide in it; nothing otherwise.

    `case` is locked by the caller's transaction and as it stands in the database.
    """
    if case.held_by_id is None and actor.may(Action.HOLD_CASE):
        _hold(actor, case)


def _locked(actor: Actor, case: Case) -> Case:
    # NO KEY, as in audit: see there. The holder stands on the far side of an outer join, which takes no lock.
    rows: QuerySet[Case] = visible(Case.objects.select_related("held_by"), actor)
    return rows.select_for_update(no_key=True, of=("self",)).get(pk=case.pk)


def _hold(actor: Actor, case: Case) -> Case:
    case.held_by, case.held_at = actor.user, timezone.now()
    case.save(update_fields=["held_by", "held_at"])
    audit.record(actor=actor, action="case.claimed", case=case, subject=f"case {case.pk}")
    return case


def _moment(case: Case) -> str:
    return f"{timezone.localtime(case.held_at):%H:%M on %d %B}" if case.held_at else "a while ago"
