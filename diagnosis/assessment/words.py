"""How figures, classes and flags are called."""

from __future__ import annotations

#: Code of a flag → how lists call it and searches find it; the case page has the whole sentence.
FLAG_WORDS = {
    "promyelocytes": "think of APL",
    "blasts_20": "blasts ≥ 20 %",
    "malignant_pattern_20": "blasts and promyelocytes ≥ 20 %",
    "immature_cells": "immature cells",
    "plasma_cells": "plasma cells",
    "malignant_fields": "ALL pattern in fields",
    "parts_differ": "fields and cells differ",
    "reading_failed": "reading failed",
    "networks_disagree": "networks disagree",
    "unlike_training": "unlike training data",
    "poor_quality": "poor quality",
    "few_cells": "few cells",
}


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
