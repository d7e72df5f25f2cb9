"""Agreement of two readers beyond chance: Cohen's kappa with its interval. Plain values, no database."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

Z95 = 1.959963984540054
#: Pairs below which an interval says little more than that there is none: the large-sample error does not hold.
ENOUGH = 10


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two readers of the same smear named the same group of diagnoses.

    `kappa` and its interval are None below `ENOUGH` pairs, and where both named one and the same group throughout:
    then chance explains all of it, and there is nothing beyond it to measure.
    """

    n: int  # pairs
    same: int  # pairs that agree
    kappa: float | None = None
    low: float | None = None  # ends of the 95 % interval
    high: float | None = None

    @property
    def observed(self) -> float | None:
        """Share of the pairs that agree, 0–1."""
        return self.same / self.n if self.n else None

    @property
    def words(self) -> str:
        """What can be said of it, in a sentence."""
        if not self.n:
            return "No second opinion has been answered yet."
        pairs = f"{self.same} of {self.n} second opinions agree with the first diagnosis."
        if self.n == 1:
            pairs = f"The only second opinion {'agrees with' if self.same else 'differs from'} the first diagnosis."
        if self.n < ENOUGH:
            return f"{pairs} Too few to state an agreement beyond chance: {ENOUGH} are needed."
        if self.kappa is None:
            return f"{pairs} All name one group of diagnoses, so agreement beyond chance cannot be told."
        return f"{pairs} Agreement beyond chance is {grade(self.kappa)}."


def grade(kappa: float) -> str:
    """The usual word for a kappa (Landis & Koch, Biometrics 1977; 33: 159); a convention, no verdict."""
    for line, word in (
        (0.8, "almost perfect"),
        (0.6, "substantial"),
        (0.4, "moderate"),
        (0.2, "fair"),
        (0.0, "slight"),
    ):
        if kappa > line:
            return word
    return "no better than chance"


def cohen(pairs: Sequence[tuple[str, str]]) -> Agreement:
    """Cohen's kappa of paired names (Educ Psychol Meas 1960; 20: 37), (first, second) of each subject.

    Its 95 % interval is κ ± 1.96 standard errors with the large-sample variance for κ ≠ 0 of Fleiss, Cohen & Everitt
    (Psychol Bull 1969; 72: 323, formula 13), cut at −1 and 1.
    """
    n = len(pairs)
    same = sum(one == other for one, other in pairs)
    names = {name for pair in pairs for name in pair}
    if n < ENOUGH or len(names) == 1:
        return Agreement(n, same)
    joint = {pair: count / n for pair, count in Counter(pairs).items()}
    rows = {name: count / n for name, count in Counter(one for one, _ in pairs).items()}
    columns = {name: count / n for name, count in Counter(other for _, other in pairs).items()}
    observed = same / n
    expected = math.fsum(share * columns.get(name, 0.0) for name, share in rows.items())
    kappa = (observed - expected) / (1 - expected)
    agreeing = math.fsum(
        share * (1 - (rows[one] + columns[other]) * (1 - kappa)) ** 2
        for (one, other), share in joint.items()
        if one == other
    )
    # The column's name of the first, the row's name of the second: as in the formula, not as one would expect.
    differing = (1 - kappa) ** 2 * math.fsum(
        share * (columns.get(one, 0.0) + rows.get(other, 0.0)) ** 2
        for (one, other), share in joint.items()
        if one != other
    )
    variance = (agreeing + differing - (kappa - expected * (1 - kappa)) ** 2) / (n * (1 - expected) ** 2)
    half = Z95 * math.sqrt(max(0.0, variance))
    return Agreement(n, same, kappa, max(-1.0, kappa - half), min(1.0, kappa + half))
