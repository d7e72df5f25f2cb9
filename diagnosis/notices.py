"""Telling people what happened: in the portal, and by mail through the outbox (`diagnosis.mail`).

Everybody chooses for each event whether the bell rings and whether a mail goes out; without a choice `DEFAULTS` hold.
No mail carries a patient's name, record number or anything a person typed: the accession number (of a batch when it
was opened), what happened and a link are all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from accounts.models import Laboratory, User
from diagnosis import audit, mail, notice_words
from diagnosis.models import AuditEvent, Batch, Case, Event, Notice, NoticeChoice, SecondOpinion

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.permissions import Actor

SHOWN_UNREAD = 99  # the bell counts no further
LATE_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Choice:
    """How one person is told of one kind of event."""

    event: Event
    in_portal: bool
    by_mail: bool


#: Event → (in the portal, by mail) for whoever has not chosen. A mail goes unasked only where somebody waits for
#: this one person.
DEFAULTS: dict[Event, tuple[bool, bool]] = {
    Event.CASE_ALARM: (True, False),
    Event.CASE_URGENT: (True, False),
    Event.CASE_LATE: (True, True),
    Event.CASE_TAKEN: (True, False),
    Event.READING_FAILED: (True, False),
    Event.OPINION_ASKED: (True, True),
    Event.OPINION_ENDED: (True, True),
    Event.ADJUDICATION_NEEDED: (True, False),
    Event.REPORT_SIGNED: (True, False),
    Event.BATCH_FINISHED: (True, False),
    Event.BATCH_STALLED: (True, False),
}


def tell(
    *, event: Event, users: Iterable[User], case: Case | None = None, batch: Batch | None = None,
    detail: dict[str, Any] | None = None,
) -> list[Notice]:  # fmt: skip
    """Tell each of `users` once of a case or of a batch, as they chose; people who have left its laboratory are passed
    over.

    Call it in the transaction of what it tells. Who is asked for a second opinion on the case is told of nothing
    else in it until they have answered. What somebody has not read yet of the same batch counts as read: the newer
    one says how it is. `detail` is what `notice_words` makes its sentence of: never anything of a patient, never free
    text. Three or four queries and two inserts, however many there are.
    """
    about = case or batch
    if about is None:
        raise ValueError(f"{event}: of neither a case nor a batch")
    wanted = {user.pk for user in users}
    people = User.objects.filter(pk__in=wanted, is_active=True, memberships__laboratory=about.laboratory_id)
    if case is not None and event != Event.OPINION_ASKED:
        people = people.exclude(
            pk__in=SecondOpinion.objects.filter(case=case, state=SecondOpinion.State.ASKED).values("asked_of")
        )
    told = list(people.distinct().order_by("pk"))
    if not told:
        return []
    chosen = {row.user_id: row for row in NoticeChoice.objects.filter(user__in=told, event=event)}
    now = timezone.now()
    notices: list[Notice] = []
    mailed: list[tuple[str, Notice]] = []
    for user in told:
        in_portal, by_mail = _ways(chosen.get(user.pk), event)
        if not (in_portal or by_mail):
            continue
        notice = Notice(
            user=user, laboratory_id=about.laboratory_id, event=event, case=case, batch=batch, detail=detail or {},
            # Kept also for who wants mails only, so that nothing is told twice; the bell does not ring for it.
            read_at=None if in_portal else now,
        )  # fmt: skip
        notices.append(notice)
        if by_mail:
            mailed.append((user.email, notice))
    with transaction.atomic():
        if batch is not None:
            Notice.objects.filter(batch=batch, user__in=told, read_at=None).update(read_at=now)
        Notice.objects.bulk_create(notices)
        mail.post(
            mail.Letter(about.laboratory_id, address, notice_words.mail_subject(notice), _body(notice))
            for address, notice in mailed
        )
    return notices


def tell_late() -> int:
    """Tell the holders of cases that have passed their target time, once for each case; how many there were.

    A case that somebody took when it was late already is not told: its clock was red when they took it. The mark
    that it was told is the case's own history. Safe to run anywhere, as often as wanted.
    """
    told = 0
    marked = AuditEvent.objects.filter(case=OuterRef("pk"), action="case.late")
    for laboratory in Laboratory.objects.all():
        held = Case.objects.filter(laboratory=laboratory, held_by__isnull=False).exclude(status=Case.Status.SIGNED)
        late = held.filter(due_at__lt=timezone.now(), held_at__lt=F("due_at")).exclude(Exists(marked))
        for pk in list(late.order_by("due_at").values_list("pk", flat=True)[:LATE_AT_ONCE]):
            with transaction.atomic():
                case = Case.objects.select_related("held_by").select_for_update(no_key=True, of=("self",)).get(pk=pk)
                if case.held_by is None or case.is_closed or AuditEvent.objects.filter(case=case, action="case.late"):
                    continue
                audit.record(actor=None, action="case.late", case=case, due_at=case.due_at)
                tell(event=Event.CASE_LATE, case=case, users=[case.held_by])
                told += 1
    return told


def mail_requester(*, case: Case, subject: str, body: str) -> bool:
    """Mail to whoever asked for the case, if it names an address; whether it does. In the caller's transaction.

    The caller's words must name the case by its accession number only.
    """
    if not case.requester_email:
        return False
    mail.post([mail.Letter(case.laboratory_id, case.requester_email, subject, body)])
    return True


def unread(actor: Actor) -> int:
    """How many notices of the actor's laboratory they have not read, at most `SHOWN_UNREAD` + 1. One query on an
    index that holds nothing but unread ones."""
    return _own(actor).filter(read_at=None).order_by()[: SHOWN_UNREAD + 1].count()


def of(actor: Actor) -> QuerySet[Notice]:
    """The actor's notices, the newest first, case and batch joined; without what they switched off."""
    off = [choice.event for choice in choices(actor.user) if not choice.in_portal]
    return _own(actor).exclude(event__in=off).select_related("case", "batch").order_by("-id")


def mark_read(*, actor: Actor, notice_id: int | None = None) -> int:
    """Mark one notice of the actor as read, or all of them; how many were unread."""
    own = _own(actor).filter(read_at=None)
    return (own if notice_id is None else own.filter(pk=notice_id)).update(read_at=timezone.now())


def choices(user: User) -> list[Choice]:
    """For every event, how the person is told of it. One query."""
    rows = {row.event: row for row in NoticeChoice.objects.filter(user=user)}
    return [Choice(event, *_ways(rows.get(event), event)) for event in Event]


def choose(*, user: User, ways: Mapping[Event, tuple[bool, bool]]) -> None:
    """Keep how the person wants to be told: event → (in the portal, by mail). Events that are not named stay."""
    with transaction.atomic():
        for event, (in_portal, by_mail) in ways.items():
            NoticeChoice.objects.update_or_create(
                user=user, event=event, defaults={"in_portal": in_portal, "by_mail": by_mail}
            )


def pathologists(laboratory: Laboratory | int) -> QuerySet[User]:
    """The laboratory's pathologists with an open account, by name."""
    of_them = {"memberships__laboratory": laboratory, "memberships__role": "pathologist"}
    return User.objects.filter(is_active=True, **of_them).order_by("full_name", "email", "pk")


def url(name: str, *args: object) -> str:
    """The absolute address of a page: a mail is written where no request says which host is meant."""
    return f"{settings.PUBLIC_URL}{reverse(name, args=args)}"


def _own(actor: Actor) -> QuerySet[Notice]:
    """Without what would tell of a case that the actor is to judge blind."""
    blind = SecondOpinion.objects.filter(asked_of=actor.user, state=SecondOpinion.State.ASKED).values("case")
    found = Notice.objects.filter(user=actor.user, laboratory=actor.laboratory)
    return found.exclude(~Q(event=Event.OPINION_ASKED), case__in=blind)


def _ways(row: NoticeChoice | None, event: Event) -> tuple[bool, bool]:
    return (row.in_portal, row.by_mail) if row else DEFAULTS[event]


def _body(notice: Notice) -> str:
    return (
        f"{notice_words.mail_subject(notice)}.\n\n"
        f"{url('case', notice.case_id) if notice.case_id else url('batch', notice.batch_id)}\n\n"
        "Research use only – not for diagnostic use. Mails of LeukoLens never name a patient.\n"
        f"What you are told of, and how: {url('notice-settings')}\n"
    )
