"""How figures and classes are written in a sentence."""

from __future__ import annotations


def percent(share: float) -> str:
    """0.973 → "97 %"; never "0 %" or "100 %" for what is only near it."""
    if 0 < share < 0.005:
        return "under 1 %"
    if 0.995 < share < 1:
        return "over 99 %"
    return f"{share * 100:.0f} %"


def span(low: float, high: float) -> str:
    """An interval: "25 % to 44 %"; its two ends once where they read the same."""
    return percent(low) if percent(low) == percent(high) else f"{percent(low)} to {percent(high)}"


def plural(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"
