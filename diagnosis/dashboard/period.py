"""The stretch of time that the laboratory's figures are about, and the one before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property

from django.utils import timezone

#: Days → (words, slices of volumes, slices of shares: they need more images each).
PERIODS = {
    7: ("7 days", "day", "day"),
    30: ("30 days", "day", "week"),
    90: ("90 days", "week", "week"),
    365: ("year", "month", "month"),
}
DEFAULT = 30


@dataclass(frozen=True)
class Period:
    """The last `days` calendar days, today among them as far as it has gone. `now`: when it was asked for."""

    days: int
    now: datetime

    @classmethod
    def chosen(cls, days: str | None = None, now: datetime | None = None) -> Period:
        """The period of an address; anything that is none of `PERIODS` is the default one."""
        found = int(days) if days and days.isdecimal() and int(days) in PERIODS else DEFAULT
        return cls(found, now or timezone.now())

    @property
    def words(self) -> str:
        return PERIODS[self.days][0]

    @cached_property
    def first_day(self) -> date:
        return timezone.localdate(self.now) - timedelta(days=self.days - 1)

    @property
    def since(self) -> datetime:
        return midnight(self.first_day)

    @property
    def before(self) -> Period:
        """The period that ended when this one's first day began, cut at the same hour of its last day, so that a
        today that has only begun is not held against a whole day."""
        return Period(self.days, self.now - timedelta(days=self.days))

    def slice_of(self, day: date, *, shares: bool = False) -> date:
        """The first day of the slice (day, week, month) in which `day` lies, never before the period's own."""
        size = PERIODS[self.days][2 if shares else 1]
        start = day - timedelta(days=day.weekday()) if size == "week" else day
        start = day.replace(day=1) if size == "month" else start
        return max(start, self.first_day)

    def slices(self, *, shares: bool = False) -> list[date]:
        """The first days of all slices, in order."""
        return list(dict.fromkeys(self.slice_of(day, shares=shares) for day in self.all_days()))

    def all_days(self) -> Iterator[date]:
        return (self.first_day + timedelta(days=number) for number in range(self.days))

    def size(self, *, shares: bool = False) -> str:
        """What a slice is: day, week, month."""
        return PERIODS[self.days][2 if shares else 1]

    def slice_words(self, start: date) -> str:
        """ "3 Nov"; a month that begins with its first day by its name."""
        if self.days == 365 and start.day == 1:
            return f"{start:%b %Y}"
        return f"{start.day} {start:%b}"


def midnight(day: date) -> datetime:
    """When `day` began, in the installation's time zone."""
    return timezone.make_aware(datetime.combine(day, time.min))
