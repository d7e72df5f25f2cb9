"""Do the networks keep up, and do the mails go out?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Min, Q
from django.db.models.functions import TruncHour

from accounts.models import Laboratory
from diagnosis import watching
from diagnosis.dashboard.period import Period
from diagnosis.models import Analysis, OutgoingMail, WorkerSeen

HOURS = 24


@dataclass(frozen=True, slots=True)
class Worker:
    name: str
    engine: str
    started_at: datetime
    seen_at: datetime
    alive: bool


@dataclass(frozen=True, slots=True)
class Hour:
    """What was read within one hour. `waited`: mean from upload to reading; `took`: mean seconds of one opinion."""

    start: datetime
    opinions: int
    waited: timedelta | None
    took: float | None


@dataclass(frozen=True, slots=True)
class Machine:
    """The queue and the workers serve the whole installation; failed readings and mails are the laboratory's own."""

    waiting: int
    running: int
    failed: int
    oldest: timedelta | None  # how long the oldest unread opinion has been asked for
    workers: Sequence[Worker]
    hours: Sequence[Hour]  # the last 24, oldest first
    mails_waiting: int
    mails_failed: int
    oldest_mail: timedelta | None

    @property
    def alive(self) -> int:
        return sum(worker.alive for worker in self.workers)

    @property
    def stuck(self) -> bool:
        """Work waits, and nobody is there to do it."""
        return self.waiting + self.running > 0 and not self.alive


def machine(*, laboratory: Laboratory, period: Period) -> Machine:
    """Five queries."""
    state = Analysis.State
    open_ones = Analysis.objects.filter(state__in=(state.QUEUED, state.RUNNING)).aggregate(
        waiting=Count("id", filter=Q(state=state.QUEUED)),
        running=Count("id", filter=Q(state=state.RUNNING)),
        oldest=Min("queued_at"),
    )
    failed = Analysis.objects.filter(state=state.FAILED, image__case__laboratory=laboratory).count()
    mails = OutgoingMail.objects.filter(laboratory=laboratory).exclude(state=OutgoingMail.State.SENT)
    waiting = Q(state=OutgoingMail.State.WAITING)
    mail = mails.aggregate(
        waiting=Count("id", filter=waiting),
        failed=Count("id", filter=Q(state=OutgoingMail.State.FAILED)),
        oldest=Min("created_at", filter=waiting),
    )
    silence = timedelta(seconds=watching.worker_silence())
    workers = [
        Worker(seen.name, seen.engine, seen.started_at, seen.seen_at, seen.seen_at >= period.now - silence)
        for seen in WorkerSeen.objects.order_by("name")
    ]
    return Machine(
        waiting=open_ones["waiting"],
        running=open_ones["running"],
        failed=failed,
        oldest=_age(open_ones["oldest"], period.now),
        workers=workers,
        hours=_hours(period.now),
        mails_waiting=mail["waiting"],
        mails_failed=mail["failed"],
        oldest_mail=_age(mail["oldest"], period.now),
    )


def _age(at: datetime | None, now: datetime) -> timedelta | None:
    return max(timedelta(), now - at) if at else None


def _hours(now: datetime) -> list[Hour]:
    last = now.replace(minute=0, second=0, microsecond=0)
    first = last - timedelta(hours=HOURS - 1)
    waited = ExpressionWrapper(F("finished_at") - F("queued_at"), output_field=DurationField())
    rows = (
        Analysis.objects.filter(state=Analysis.State.DONE, finished_at__gte=first)
        .order_by()
        .annotate(hour=TruncHour("finished_at"))
        .values_list("hour")
        .annotate(n=Count("id"), waited=Avg(waited), took=Avg("seconds"))
    )
    found = {hour: Hour(hour, n, wait, took) for hour, n, wait, took in rows}
    hours = [first + timedelta(hours=number) for number in range(HOURS)]
    return [found.get(hour) or Hour(hour, 0, None, None) for hour in hours]
