"""How long a training still takes, told after every epoch, so that a person can go for lunch or home."""

from __future__ import annotations

import time
from collections.abc import Sequence


class Pace:
    """Counts the epochs that this process trained; what a machine did before a resumption tells nothing of this one.

    `costs`: of each epoch of one run, in any unit. `runs` like ones follow each other, as folds do.
    """

    def __init__(self, costs: Sequence[float], runs: int = 1) -> None:
        self.costs, self.runs = list(costs), runs
        self.seconds, self.paid = 0.0, 0.0
        self.start()

    def start(self) -> None:
        """An epoch begins now."""
        self.last = time.monotonic()

    def note(self, epoch: int) -> None:
        """Epoch number `epoch` (from 0) has just ended, and the next begins."""
        now = time.monotonic()
        self.seconds += now - self.last
        self.paid += self.costs[epoch]
        self.last = now

    def left(self, epoch: int, run: int = 1) -> float | None:
        """Seconds that remain after epoch number `epoch` (from 0) of run `run` (from 1); None before any was noted."""
        if not self.paid:
            return None
        open_costs = sum(self.costs[epoch + 1 :]) + (self.runs - run) * sum(self.costs)
        return open_costs * self.seconds / self.paid

    def words(self, epoch: int, run: int = 1) -> str:
        """ ", about 12 min left"; nothing before any epoch was noted."""
        seconds = self.left(epoch, run)
        return "" if seconds is None else f", about {in_words(seconds)} left"


def in_words(seconds: float) -> str:
    """ "40 s", "12 min", "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
