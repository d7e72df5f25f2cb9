"""How often people named the class that a network had named, counted day by day and kept.

An image counts on the day of its newest decision, if that names a class (undecided images never count), beside what
each network had said of it by then, and beside the reading that the person saw. The finished days are kept as
`AgreementDay`; what was decided since they were counted is counted when asked for, so that a look is always right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.models import Laboratory
from diagnosis.dashboard.period import midnight
from diagnosis.models import AgreementDay, Analysis, Decision
from mlcore.bundle import TASKS

#: Stands for the networks' common reading, where a release's primary key stands for one network.
READING = 0
#: A decision may be committed so long after the time that it carries.
_LATE = timedelta(minutes=10)
#: So many decisions are counted while somebody waits for the page.
_LIVE = 20_000
_AT_ONCE = 7  # days counted together: what fits into memory where a day has thousands of images
_TASK_OF = {label: task for task, labels in TASKS.items() for label in labels}


@dataclass(slots=True)
class Tally:
    """Images and overrides among them, with what the spread between cases needs.

    Images of one case are alike, so an interval must rest on cases: with nᵢ images and xᵢ overrides in case i, the
    sums of nᵢ², xᵢnᵢ and xᵢ² give the variance of a ratio between clusters (Cochran, Sampling Techniques, 3rd
    edition, 1977, chapter 6).
    """

    cases: int = 0
    images: int = 0
    overrides: int = 0
    nn: int = 0
    xn: int = 0
    xx: int = 0

    def add_case(self, images: int, overrides: int) -> None:
        self.cases += 1
        self.images += images
        self.overrides += overrides
        self.nn += images * images
        self.xn += overrides * images
        self.xx += overrides * overrides

    def add(self, other: Sequence[int]) -> None:
        self.cases += other[0]
        self.images += other[1]
        self.overrides += other[2]
        self.nn += other[3]
        self.xn += other[4]
        self.xx += other[5]

    def row(self) -> list[int]:
        return [self.cases, self.images, self.overrides, self.nn, self.xn, self.xx]


@dataclass(slots=True)
class DayCount:
    """One day. `pairs`: (source, decided, said) → images; `tallies`: (source, task, decided) → tally, and with an
    empty class for the whole task. A source is a release's primary key or READING."""

    pairs: dict[tuple[int, str, str], int] = field(default_factory=lambda: defaultdict(int))
    tallies: dict[tuple[int, str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))

    def to_json(self) -> dict[str, Any]:
        return {
            "pairs": [[*key, count] for key, count in sorted(self.pairs.items())],
            "tallies": [[*key, *tally.row()] for key, tally in sorted(self.tallies.items())],
        }

    def add_json(self, counts: dict[str, Any]) -> None:
        for source, decided, said, count in counts.get("pairs", ()):
            self.pairs[source, decided, said] += count
        for source, task, decided, *row in counts.get("tallies", ()):
            self.tallies[source, task, decided].add(row)


def day_counts(laboratory: Laboratory, since: date, until: date) -> tuple[dict[date, DayCount], bool]:
    """Each day from `since` to `until`, both counted in, that has decisions; and whether that is all: where more was
    decided since the last count than can be counted while somebody waits, the worker has to come first. At most six
    queries."""
    stored = AgreementDay.objects.filter(laboratory=laboratory, day__range=(since, until))
    kept = dict(stored.values_list("day", "counts"))
    open_days = _open_days(laboratory)
    if open_days is None:
        open_days = set(_days(since, until))
    open_days = {day for day in open_days if since <= day <= until}
    spans = _spans(open_days)
    live = bool(spans) and _within(laboratory, spans)[: _LIVE + 1].count() <= _LIVE
    found = count(laboratory, spans) if live else {}
    for day, counts in kept.items():
        if day not in open_days or not live:
            found[day] = DayCount()
            found[day].add_json(counts)
    return found, live or not spans


def tally(*, laboratory: Laboratory, everything: bool = False) -> int:
    """Count and keep the days whose decisions changed since they were counted; how many days there were.

    For the worker, every minute. Safe to run twice at once, for both write the same, and to kill: the oldest days go
    first, and the next run goes on behind the last day that was kept. `everything`: count all days anew, after
    decisions that carry another time than that at which they were written.
    """
    began = timezone.now()
    open_days = None if everything else _open_days(laboratory)
    if open_days is None:
        mine = Decision.objects.filter(image__case__laboratory=laboratory).order_by()
        open_days = set(mine.annotate(day=TruncDate("decided_at")).values_list("day", flat=True).distinct())
    days = sorted(open_days)
    for start in range(0, len(days), _AT_ONCE):
        part = days[start : start + _AT_ONCE]
        counted = count(laboratory, _spans(part))
        AgreementDay.objects.bulk_create(
            [
                AgreementDay(
                    laboratory=laboratory,
                    day=day,
                    counts=counted.get(day, DayCount()).to_json(),
                    counted_at=min(began, midnight(day + timedelta(days=1))),
                )
                for day in part
            ],
            update_conflicts=True,
            unique_fields=["laboratory", "day"],
            update_fields=["counts", "counted_at"],
        )
    return len(days)


def _open_days(laboratory: Laboratory) -> set[date] | None:
    """The days that have to be counted: of the decisions made since the last count, and of those that they replaced.
    None: nothing has been counted yet."""
    counted = AgreementDay.objects.filter(laboratory=laboratory).aggregate(at=Max("counted_at"))["at"]
    if counted is None:
        return None
    fresh = Decision.objects.filter(decided_at__gte=counted - _LATE, image__case__laboratory=laboratory)
    touched = Decision.objects.filter(image__in=fresh.order_by().values("image")).order_by()
    return set(touched.annotate(day=TruncDate("decided_at")).values_list("day", flat=True).distinct())


def _within(laboratory: Laboratory, spans: Iterable[tuple[datetime, datetime]]) -> QuerySet[Decision]:
    times = Q()
    for start, end in spans:
        times |= Q(decided_at__gte=start, decided_at__lt=end)
    return Decision.objects.filter(times, image__case__laboratory=laboratory).order_by()


def said_then(analyses: QuerySet[Analysis]) -> list[tuple[int, int, str, datetime | None]]:
    """(image, release, the class that it leads with, when it was finished) of finished analyses."""
    rows = analyses.filter(state=Analysis.State.DONE).order_by("release_id")
    return [
        (image, release, max(chances, key=chances.__getitem__), finished)
        for image, release, chances, finished in rows.values_list(
            "image_id", "release_id", "probabilities", "finished_at"
        )
        if chances
    ]


def count(laboratory: Laboratory, spans: Sequence[tuple[datetime, datetime]]) -> dict[date, DayCount]:
    """What was decided in these times, by day, from the decisions and analyses themselves. Two queries."""
    newer = Decision.objects.filter(image=OuterRef("image"), id__gt=OuterRef("id"))
    decisions = _within(laboratory, spans).filter(~Exists(newer)).exclude(verdict=Decision.Verdict.WITHDRAW)
    opinions: dict[int, list[tuple[int, str, datetime | None]]] = defaultdict(list)
    for image, release, label, finished in said_then(Analysis.objects.filter(image__in=decisions.values("image"))):
        opinions[image].append((release, label, finished))
    found: dict[date, DayCount] = defaultdict(DayCount)
    of_case: dict[tuple[date, int, str, str, int], list[int]] = defaultdict(lambda: [0, 0])
    rows = decisions.values_list("image_id", "image__case_id", "label", "reading_label", "decided_at")
    for image, case, label, reading, at in rows:
        task, day = _TASK_OF.get(label), timezone.localdate(at)
        if task is None:
            continue
        said = [(READING, reading)] if reading in TASKS[task] else []
        said += [
            (release, name)
            for release, name, finished in opinions[image]
            if name in TASKS[task] and (finished is None or finished <= at)
        ]
        for source, name in said:
            found[day].pairs[source, label, name] += 1
            for key in ("", label):
                each = of_case[day, source, task, key, case]
                each[0] += 1
                each[1] += name != label
    for (day, source, task, key, _), (images, overrides) in of_case.items():
        found[day].tallies[source, task, key].add_case(images, overrides)
    return dict(found)


def _days(since: date, until: date) -> list[date]:
    return [since + timedelta(days=number) for number in range((until - since).days + 1)]


def _spans(days: Iterable[date]) -> list[tuple[datetime, datetime]]:
    """The days as stretches of time, neighbours joined."""
    spans: list[tuple[date, date]] = []
    for day in sorted(days):
        if spans and spans[-1][1] == day:
            spans[-1] = (spans[-1][0], day + timedelta(days=1))
        else:
            spans.append((day, day + timedelta(days=1)))
    return [(midnight(start), midnight(end)) for start, end in spans]
