"""The few formulas that the assessment needs, on the standard library alone."""

from __future__ import annotations

import math

#: Standard normal deviate of a two-sided 95 % interval.
Z95 = 1.959963984540054


def wilson(successes: float, n: float) -> tuple[float, float]:
    """95 % interval of a share: Wilson's score interval (JASA 1927; 22: 209), right also at 0 and at n of n.

    `successes` may be an expected count, so need not be whole. Without observations: (0, 1).
    """
    if n <= 0:
        return 0.0, 1.0
    share, z2 = successes / n, Z95 * Z95
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    high = 1.0 if successes >= n else min(1.0, centre + half)
    return low, high


def beta_above(line: float, a: float, b: float) -> float:
    """P(X ≥ line) for X ~ Beta(a, b), 0 < line < 1, a and b > 0; good to about 1e-12.

    The regularised incomplete beta function by its continued fraction (Abramowitz & Stegun 26.5.8, evaluated by
    Lentz's method), taken from the side on which it converges fast.
    """
    # P(X ≥ line) = I_{1-line}(b, a)
    x, p, q = 1.0 - line, b, a
    front = math.exp(math.lgamma(p + q) - math.lgamma(p) - math.lgamma(q) + p * math.log(x) + q * math.log1p(-x))
    below = x < (p + 1) / (p + q + 2)
    tail = front * _fraction(x, p, q) / p if below else 1.0 - front * _fraction(1.0 - x, q, p) / q
    return min(1.0, max(0.0, tail))


def _fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    value = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 + term * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + term / c
            c = c if abs(c) > tiny else tiny
            value *= d * c
        if abs(d * c - 1.0) < 1e-14:
            break
    return value


def logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def logistic(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds)) if log_odds >= 0 else math.exp(log_odds) / (1.0 + math.exp(log_odds))
