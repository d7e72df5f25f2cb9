"""What a report rests on: what one network said of labelled pictures that it did not learn from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlcore.metrics import Threshold

BANNER = "Research use only – not for diagnostic use."


@dataclass(frozen=True, slots=True)
class Evidence:
    """N pictures, C classes, one network; the order of the rows is the same in every array.

    `probabilities` (N, C) calibrated on other groups, `logits` (N, C) before calibration (of use up to a constant in
    each row); `labels` (N,) class numbers; `groups` (N,) names; `paths` as the manifest writes them. `threshold` is
    the frozen malignant probability, one for all rows or (N,) where each fold has its own, None for a baseline that has
    none; `temperature` that of the release. `folds` (N,) fold numbers, None where there were no folds. `novelty` (N,)
    in 0..1, counted as novel from `novelty_threshold` on, None where nobody asked.
    """

    task: str
    network: str
    classes: tuple[str, ...]
    malignant: Collection[str]
    probabilities: np.ndarray
    logits: np.ndarray | None
    labels: np.ndarray
    groups: np.ndarray
    paths: Sequence[str]
    threshold: Threshold | None
    temperature: float | None = None
    folds: np.ndarray | None = None
    novelty: np.ndarray | None = None
    novelty_threshold: float | None = None

    def __post_init__(self) -> None:
        rows = len(self.labels)
        if not rows:
            raise ValueError("there are no pictures to report on")
        for name in ("probabilities", "logits", "groups", "paths", "folds", "novelty"):
            values = getattr(self, name)
            if values is not None and len(values) != rows:
                raise ValueError(f"{name} has {len(values)} rows for {rows} labels")

    @property
    def mask(self) -> np.ndarray:
        """bool (C,): which classes are malignant."""
        return np.array([name in self.malignant for name in self.classes])

    @property
    def score(self) -> np.ndarray:
        """(N,) probability of the malignant classes together."""
        return np.asarray(self.probabilities[:, self.mask].sum(axis=1))

    @property
    def positive(self) -> np.ndarray:
        """bool (N,): labelled malignant."""
        return np.asarray(self.mask[self.labels])

    @property
    def told(self) -> np.ndarray:
        """(N,) number of the leading class."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def two_kinds(self) -> bool:
        return bool(self.positive.any() and not self.positive.all())

    def by_group(self) -> dict[str, np.ndarray]:
        """Numbers of the rows of every group, the groups in the order of their names."""
        names, codes = np.unique(np.asarray(self.groups, dtype=str), return_inverse=True)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes))[:-1]
        return dict(zip(names.tolist(), np.split(order, ends), strict=True))

    def same_rows(self, other: Evidence) -> bool:
        return (
            list(self.paths) == list(other.paths)
            and self.classes == other.classes
            and np.array_equal(self.labels, other.labels)
        )


def both(one: Evidence, other: Evidence) -> Evidence:
    """The mean of two networks' calibrated probabilities, as `mlcore.reading.combine` takes it; thresholds likewise."""
    if one.threshold is None or other.threshold is None:
        raise ValueError("a reading of both networks needs the threshold of each")
    return replace(
        one,
        network="both",
        probabilities=(one.probabilities + other.probabilities) / 2,
        logits=None,
        threshold=(one.threshold + other.threshold) / 2,
        temperature=None,
        novelty=None,
        novelty_threshold=None,
    )


def missing(why: str) -> dict[str, Any]:
    """A figure that cannot be computed, and why, in words."""
    return {"value": None, "low": None, "high": None, "why": why}


def tidy(value: Any) -> Any:
    """JSON as reports hold it: five digits, null for what is no number, plain types; keys in the order given."""
    if isinstance(value, Mapping):
        return {str(key): tidy(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return tidy(value.tolist())
    if isinstance(value, list | tuple):
        return [tidy(entry) for entry in value]
    if isinstance(value, np.generic):
        return tidy(value.item())
    if isinstance(value, float):
        return round(value, 5) if np.isfinite(value) else None
    return value
