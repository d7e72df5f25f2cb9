"""What comes in and what goes out: volumes, turnaround, what is open, who has what."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from django.db.models import Count, Min, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.models import Laboratory, Role, User
from diagnosis.assessment.statistics import wilson
from diagnosis.dashboard.period import Period
from diagnosis.models import Case, Report, SecondOpinion


@dataclass(slots=True)
class Volume:
    cases: int = 0
    urgent: int = 0  # among the cases
    images: int = 0  # of these cases
    reports: int = 0  # first signatures
    versions: int = 0  # later ones: amendments, addenda, corrections

    def add(self, other: Volume) -> None:
        self.cases += other.cases
        self.urgent += other.urgent
        self.images += other.images
        self.reports += other.reports
        self.versions += other.versions

    @property
    def empty(self) -> bool:
        return not (self.cases or self.reports or self.versions)


@dataclass(frozen=True, slots=True)
class Turnaround:
    """From opening the case to its first signature, of the cases signed in the period."""

    signed: int
    median: timedelta | None
    p90: timedelta | None
    in_time: int  # signed before the case was due
    low: float
    high: float

    @property
    def share(self) -> float | None:
        return self.in_time / self.signed if self.signed else None


@dataclass(slots=True)
class Flow:
    period: Period
    now: Volume = field(default_factory=Volume)
    before: Volume = field(default_factory=Volume)
    slices: dict[date, Volume] = field(default_factory=dict)
    turnaround: dict[str, Turnaround] = field(default_factory=dict)  # by priority
    turnaround_before: dict[str, Turnaround] = field(default_factory=dict)
    trend: dict[date, dict[str, Turnaround]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return self.now.empty and self.before.empty


def flow(*, laboratory: Laboratory, period: Period) -> Flow:
    """Volumes and turnaround of the period and of the one before. Three queries."""
    found = Flow(period, slices={start: Volume() for start in period.slices()})
    for day, volume in _opened(laboratory, period):
        _count(found, day, volume)
    took: dict[date, dict[str, list[tuple[timedelta, bool]]]] = defaultdict(lambda: defaultdict(list))
    for day, priority, duration, in_time in _first_signatures(laboratory, period):
        took[day][priority].append((duration, in_time))
    for day, by_priority in took.items():
        _count(found, day, Volume(reports=sum(map(len, by_priority.values()))))
    for day, number in _later_versions(laboratory, period):
        _count(found, day, Volume(versions=number))
    for priority in Case.Priority.values:
        now, before = list[tuple[timedelta, bool]](), list[tuple[timedelta, bool]]()
        by_slice: dict[date, list[tuple[timedelta, bool]]] = defaultdict(list)
        for day, rows in took.items():
            if day < period.first_day:
                before += rows[priority]
            else:
                now += rows[priority]
                by_slice[period.slice_of(day, shares=True)] += rows[priority]
        found.turnaround[priority], found.turnaround_before[priority] = turnaround(now), turnaround(before)
        for start, part in by_slice.items():
            if part:
                found.trend.setdefault(start, {})[priority] = turnaround(part)
    return found


def _count(found: Flow, day: date, volume: Volume) -> None:
    if day < found.period.first_day:
        found.before.add(volume)
    else:
        found.now.add(volume)
        found.slices[found.period.slice_of(day)].add(volume)


def _within(period: Period, name: str) -> Q:
    """The period and the one before, which ends at today's hour of its last day."""
    before = Q(**{f"{name}__gte": period.before.since, f"{name}__lt": period.before.now})
    return before | Q(**{f"{name}__gte": period.since})


def _opened(laboratory: Laboratory, period: Period) -> list[tuple[date, Volume]]:
    rows = (
        Case.objects.filter(_within(period, "created_at"), laboratory=laboratory)
        .order_by()
        .annotate(day=TruncDate("created_at"))
        .values_list("day")
        .annotate(
            n=Count("id"), urgent=Count("id", filter=Q(priority=Case.Priority.URGENT)), pictures=Sum("image_count")
        )
    )
    return [(day, Volume(cases=n, urgent=urgent, images=images)) for day, n, urgent, images in rows]


def _first_signatures(laboratory: Laboratory, period: Period) -> Iterator[tuple[date, str, timedelta, bool]]:
    # Plain columns: a hundred thousand computed ones take the database and Django longer than Python.
    rows = Report.objects.filter(_within(period, "signed_at"), version=1, case__laboratory=laboratory).order_by()
    zone = timezone.get_current_timezone()
    for signed, priority, opened, due in rows.values_list(
        "signed_at", "case__priority", "case__created_at", "case__due_at"
    ):
        yield signed.astimezone(zone).date(), priority, signed - opened, signed <= due


def _later_versions(laboratory: Laboratory, period: Period) -> list[tuple[date, int]]:
    rows = Report.objects.filter(_within(period, "signed_at"), version__gt=1, case__laboratory=laboratory).order_by()
    return list(rows.annotate(day=TruncDate("signed_at")).values_list("day").annotate(n=Count("id")))


def turnaround(rows: list[tuple[timedelta, bool]]) -> Turnaround:
    """`rows`: how long each case took, and whether it was in time. Quantiles are those of the nearest rank."""
    durations = sorted(duration for duration, _ in rows)
    in_time = sum(in_time for _, in_time in rows)
    low, high = wilson(in_time, len(rows))
    return Turnaround(len(rows), _quantile(durations, 0.5), _quantile(durations, 0.9), in_time, low, high)


def _quantile(ordered: list[timedelta], share: float) -> timedelta | None:
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else None


@dataclass(frozen=True, slots=True)
class Now:
    """What is open at this moment."""

    open: int
    urgent: int
    late: int
    due_today: int  # within the next 24 hours
    unassigned: int
    attention: int
    opinions_asked: int
    opinions_differ: int


def now(*, laboratory: Laboratory, period: Period) -> Now:
    """Two queries."""
    at = period.now
    cases = (
        Case.objects.filter(laboratory=laboratory)
        .exclude(status=Case.Status.SIGNED)
        .aggregate(
            open=Count("id"),
            urgent=Count("id", filter=Q(priority=Case.Priority.URGENT)),
            late=Count("id", filter=Q(due_at__lt=at)),
            due_today=Count("id", filter=Q(due_at__gte=at, due_at__lt=at + timedelta(days=1))),
            unassigned=Count("id", filter=Q(held_by=None)),
            attention=Count("id", filter=Q(status=Case.Status.ATTENTION)),
        )
    )
    state = SecondOpinion.State
    opinions = SecondOpinion.objects.filter(case__laboratory=laboratory).aggregate(
        opinions_asked=Count("id", filter=Q(state=state.ASKED)),
        opinions_differ=Count("id", filter=Q(state=state.ANSWERED, differs=True, adjudicated_at=None)),
    )
    return Now(**cases, **opinions)


@dataclass(slots=True)
class Workload:
    """What one person has before them, and what they did in the period."""

    person: User
    held: int = 0
    late: int = 0  # among the held
    oldest: timedelta | None = None  # how long the oldest of the held has been open
    signed: int = 0
    versions: int = 0  # amendments, addenda, corrections
    opinions_open: int = 0
    opinions_answered: int = 0


def workload(*, laboratory: Laboratory, period: Period) -> list[Workload]:
    """The laboratory's pathologists and whoever else holds or signed something, by name. Five queries."""
    people: dict[int, Workload] = {
        user.pk: Workload(user)
        for user in User.objects.filter(
            memberships__laboratory=laboratory, memberships__role=Role.PATHOLOGIST, is_active=True
        )
    }
    found: dict[int, dict[str, object]] = defaultdict(dict)
    held = Case.objects.filter(laboratory=laboratory, held_by__isnull=False).exclude(status=Case.Status.SIGNED)
    for pk, number, late, oldest in (
        held.order_by()
        .values_list("held_by")
        .annotate(n=Count("id"), late=Count("id", filter=Q(due_at__lt=period.now)), oldest=Min("created_at"))
    ):
        found[pk] |= {"held": number, "late": late, "oldest": period.now - oldest}
    reports = Report.objects.filter(case__laboratory=laboratory, signed_at__gte=period.since).order_by()
    for pk, first, later in reports.values_list("signed_by").annotate(
        first=Count("id", filter=Q(version=1)), later=Count("id", filter=Q(version__gt=1))
    ):
        found[pk] |= {"signed": first, "versions": later}
    state = SecondOpinion.State
    for pk, asked, answered in (
        SecondOpinion.objects.filter(case__laboratory=laboratory)
        .order_by()
        .values_list("asked_of")
        .annotate(
            asked=Count("id", filter=Q(state=state.ASKED)),
            answered=Count("id", filter=Q(state=state.ANSWERED, ended_at__gte=period.since)),
        )
    ):
        if asked or answered:
            found[pk] |= {"opinions_open": asked, "opinions_answered": answered}
    others = User.objects.in_bulk([pk for pk in found if pk not in people])
    people |= {pk: Workload(user) for pk, user in others.items()}
    for pk, columns in found.items():
        for name, value in columns.items():
            setattr(people[pk], name, value)
    return sorted(people.values(), key=lambda each: str(each.person).casefold())
