"""Do people say what the networks say? For each network and class, over time, with intervals; and whether it changed.

An override is an image whose newest decision names another class than the network did. People decided with the
networks' words before them, so agreement is no accuracy; a change of it is worth a look all the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from accounts.models import Laboratory
from diagnosis.assessment.statistics import wilson
from diagnosis.dashboard.period import Period
from diagnosis.dashboard.tallies import READING, DayCount, Tally, day_counts
from diagnosis.models import ModelRelease
from mlcore.bundle import TASKS

#: So many cases in each period before a change of the override rate is spoken of.
ENOUGH_CASES = 10


@dataclass(frozen=True, slots=True)
class Share:
    """Overrides among decided images, with a 95 % interval that knows that images of one case are alike."""

    overrides: int
    images: int
    cases: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        return self.overrides / self.images if self.images else None

    @property
    def agreement(self) -> float | None:
        return None if self.value is None else 1 - self.value


def share(tally: Tally) -> Share:
    """The share of overrides with Wilson's interval at the effective number of images: their number over the design
    effect, which is the variance between cases over the variance that independent images would have (Rao and Scott,
    Biometrics 1992; 48: 577). Never below one: fewer cases than two tell nothing of it."""
    n, x, cases = tally.images, tally.overrides, tally.cases
    effect = 1.0
    if cases > 1 and 0 < x < n:
        p = x / n
        between = (tally.xx - 2 * p * tally.xn + p * p * tally.nn) / n**2 * cases / (cases - 1)
        effect = max(1.0, between / (p * (1 - p) / n))
    low, high = wilson(x / effect, n / effect)
    return Share(x, n, cases, low, high)


@dataclass(frozen=True, slots=True)
class Change:
    """The override rate now less the one before, with its 95 % interval; `beyond_chance`: the interval has no zero."""

    difference: float
    low: float
    high: float

    @property
    def beyond_chance(self) -> bool:
        return self.low > 0 or self.high < 0


def change(now: Share, before: Share) -> Change | None:
    """Newcombe's hybrid score interval (Statistics in Medicine 1998; 17: 873, method 10) from both shares' own
    intervals; None where either rests on too few cases."""
    if min(now.cases, before.cases) < ENOUGH_CASES or now.value is None or before.value is None:
        return None
    difference = now.value - before.value
    return Change(
        difference,
        difference - math.hypot(now.value - now.low, before.high - before.value),
        difference + math.hypot(now.high - now.value, before.value - before.low),
    )


@dataclass(slots=True)
class Source:
    """One network of one version, or (`release` None) the networks' common reading, on one kind of image."""

    key: int  # the release's primary key, or READING
    task: str
    release: ModelRelease | None
    now: Share
    before: Share
    change: Change | None
    classes: dict[str, Share]  # by the class that people decided
    pairs: list[tuple[str, str, int]]  # decided, said, images: the overrides, most first
    trend: dict[date, Share]  # by the first day of each slice of the period; slices without images are left out

    @property
    def shadow(self) -> bool:
        return self.release is not None and self.release.stage == ModelRelease.Stage.SHADOW


@dataclass(slots=True)
class Agreement:
    period: Period
    whole: bool = True  # False: the worker is still counting what was decided
    sources: list[Source] = field(default_factory=list)

    def of(self, task: str) -> list[Source]:
        return [source for source in self.sources if source.task == task]

    @property
    def tasks(self) -> list[str]:
        return [task for task in TASKS if self.of(task)]

    @property
    def changed(self) -> list[Source]:
        return [source for source in self.sources if source.change and source.change.beyond_chance]


def agreement(*, laboratory: Laboratory, period: Period) -> Agreement:
    """Every source that spoke of an image decided in the period or in the one before. Seven queries."""
    days, whole = day_counts(laboratory, period.before.first_day, max(period.all_days()))
    now = {day: counts for day, counts in days.items() if day >= period.first_day}
    total = _sum(now.values())
    before = _sum(counts for day, counts in days.items() if day < period.first_day)
    slices: dict[date, list[DayCount]] = {}
    for day, counts in now.items():
        slices.setdefault(period.slice_of(day, shares=True), []).append(counts)
    trend = {start: _sum(slices[start]).tallies for start in sorted(slices)}
    keys = {(source, task) for counts in (total, before) for source, task, _ in counts.tallies}
    releases = ModelRelease.objects.defer("card").in_bulk([source for source, _ in keys if source != READING])
    found = Agreement(period, whole)
    for source, task in sorted(keys, key=lambda key: _order(key, releases)):
        if source != READING and source not in releases:
            continue
        shares = share(_tally(total, source, task)), share(_tally(before, source, task))
        found.sources.append(
            Source(
                key=source,
                task=task,
                release=releases.get(source),
                now=shares[0],
                before=shares[1],
                change=change(*shares),
                classes={
                    name: share(tally) for name in TASKS[task] if (tally := total.tallies.get((source, task, name)))
                },
                pairs=_overrides(total, source, task),
                trend={
                    start: share(tally)
                    for start, tallies in trend.items()
                    if (tally := tallies.get((source, task, "")))
                },
            )
        )
    return found


def _sum(counts: Iterable[DayCount]) -> DayCount:
    total = DayCount()
    for each in counts:
        for pair, images in each.pairs.items():
            total.pairs[pair] += images
        for key, tally in each.tallies.items():
            total.tallies[key].add(tally.row())
    return total


def _tally(counts: DayCount, source: int, task: str) -> Tally:
    return counts.tallies.get((source, task, ""), Tally())


def _overrides(counts: DayCount, source: int, task: str) -> list[tuple[str, str, int]]:
    found = [
        (decided, said, images)
        for (of, decided, said), images in counts.pairs.items()
        if of == source and decided != said and decided in TASKS[task]
    ]
    return sorted(found, key=lambda pair: (-pair[2], pair[:2]))


def _order(key: tuple[int, str], releases: Mapping[int, ModelRelease]) -> tuple[object, ...]:
    """By kind of image; the common reading first, then the networks in use, those that read in the shadow last."""
    source, task = key
    release = releases.get(source)
    stages = [ModelRelease.Stage.ACTIVE, ModelRelease.Stage.RETIRED, ModelRelease.Stage.SHADOW]
    stage = stages.index(ModelRelease.Stage(release.stage)) if release else -1
    return list(TASKS).index(task), stage, release.network if release else "", -source
