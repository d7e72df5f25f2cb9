"""Figures on held-out groups, each with an interval from resampling the groups.

Everything is counted by group first, so that a thousand resamples cost little more than one look: a resample is a
number of times that each group is drawn, and every figure follows from sums weighted by those numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

FEW = 20  # a class with fewer held-out pictures is not assessable
BINS = 15  # of the top probability, for calibration
LEVELS = ("0.90", "0.95", "0.99")  # at which sensitivity and specificity are read off

HEADLINE = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "malignant_auroc", "malignant_auprc", "ece", "brier")
FIGURES = (*HEADLINE, "sensitivity", "specificity", "sensitivity_at_specificity_95")

_CELLS = 500_000  # resamples x pictures looked at together: what the processor keeps at hand
_SLACK = 1e-12  # a specificity of 0.95 is reached by 19 of 20, whatever the rounding says

Threshold = float | np.ndarray  # one for all rows, or (N,) where each fold has its own


@dataclass(frozen=True, slots=True)
class Resampling:
    """`codes` (N,) number the group of each row; `counts` (R, G) say how often each resample draws each group."""

    codes: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, groups: Sequence[str] | np.ndarray, resamples: int = 500, seed: int = 0) -> Resampling:
        """As many groups as there are, drawn with replacement, `resamples` times; equal for equal groups and seed."""
        names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
        even = np.full(len(names), 1 / len(names))
        return cls(codes, np.random.default_rng(seed).multinomial(len(names), even, size=resamples))

    @classmethod
    def once(cls, rows: int) -> Resampling:
        """Every row once: the figures themselves."""
        return cls(np.zeros(rows, dtype=np.int64), np.ones((1, 1), dtype=np.int64))

    def total(self, which: np.ndarray, size: int, values: np.ndarray | None = None) -> np.ndarray:
        """(R, size): for each resample the sums of `values` (1 if none) over the rows where `which` (N,) is 0..size-1.

        A row whose `which` is negative counts nowhere.
        """
        rows = which >= 0
        weights = None if values is None else values[rows]
        groups = self.counts.shape[1]
        by_group = np.bincount(self.codes[rows] * size + which[rows], weights, minlength=groups * size)
        return np.asarray(self.counts @ by_group.reshape(groups, size), dtype=np.float64)


def confusion_counts(truth: np.ndarray, told: np.ndarray, classes: int) -> np.ndarray:
    """Class numbers (N,) and (N,) -> counts (C, C), truth in rows."""
    return np.bincount(truth * classes + told, minlength=classes * classes).reshape(classes, classes)


def class_rates(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall, specificity and F1 of every class from (…, C, C) counts, truth in rows; nan where 0/0."""
    confusion = np.asarray(confusion, dtype=np.float64)
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    truth, told = confusion.sum(axis=-1), confusion.sum(axis=-2)
    total = truth.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": hit / told,
            "recall": hit / truth,
            "specificity": (total - truth - told + hit) / (total - truth),
            "f1": 2 * hit / (truth + told),
        }


def macro(confusion: np.ndarray) -> dict[str, float]:
    """Accuracy, and the means over classes that occur of precision (0 where never told), recall, specificity and F1."""
    return {name: float(values[0]) for name, values in _means(np.asarray(confusion)[None]).items()}


def _means(confusions: np.ndarray) -> dict[str, np.ndarray]:
    """`macro` of every (C, C) in (R, C, C)."""
    present = confusions.sum(axis=-1) > 0
    classes = np.maximum(present.sum(axis=-1), 1)
    total = np.maximum(confusions.sum(axis=(-2, -1)), 1)
    rates = class_rates(confusions)
    return {
        "accuracy": np.trace(confusions, axis1=-2, axis2=-1) / total,
        **{name: (np.nan_to_num(values) * present).sum(axis=-1) / classes for name, values in rates.items()},
    }


def _mcc(confusions: np.ndarray) -> np.ndarray:
    """Matthews' correlation for several classes (Gorodkin 2004) of every (C, C) in (R, C, C); 0 where undefined."""
    truth, told = confusions.sum(axis=-1), confusions.sum(axis=-2)
    total = truth.sum(axis=-1)
    hits = np.trace(confusions, axis1=-2, axis2=-1)
    together = hits * total - (truth * told).sum(axis=-1)
    spread = (total**2 - (truth**2).sum(axis=-1)) * (total**2 - (told**2).sum(axis=-1))
    return np.divide(together, np.sqrt(spread), out=np.zeros_like(together), where=spread > 0)


@dataclass(frozen=True, slots=True)
class Point:
    """One operating point on the rows at hand; `score >= threshold` is called positive."""

    sensitivity: float
    specificity: float
    threshold: float


def operating_points(positive: np.ndarray, score: np.ndarray) -> list[Point]:
    """Every point of the receiver operating characteristic, from the strictest threshold to the one that calls all.

    Raises ValueError when only one of the two kinds is present.
    """
    _need_both(positive)
    thresholds = np.unique(score)[::-1]
    hits = 1 - np.searchsorted(np.sort(score[positive]), thresholds) / positive.sum()
    spared = np.searchsorted(np.sort(score[~positive]), thresholds) / (~positive).sum()
    return [Point(0.0, 1.0, np.inf), *(Point(*map(float, row)) for row in zip(hits, spared, thresholds, strict=True))]


def at_specificity(points: Sequence[Point], specificity: float) -> Point:
    """The point of highest sensitivity whose specificity is at least the one asked for."""
    return max((point for point in points if point.specificity >= specificity - _SLACK), key=lambda p: p.sensitivity)


def at_sensitivity(points: Sequence[Point], sensitivity: float) -> Point:
    """The point of highest specificity whose sensitivity is at least the one asked for."""
    return max((point for point in points if point.sensitivity >= sensitivity - _SLACK), key=lambda p: p.specificity)


def operating_threshold(positive: np.ndarray, score: np.ndarray, specificity: float) -> float:
    """The threshold (`score >= threshold` is positive) to freeze: best sum of sensitivity and specificity (Youden 1950)
    among those whose specificity is at least the one asked for, half-way between scores, and nearest to 0.5 of equals.

    Raises ValueError when only one of the two kinds is present.
    """
    _need_both(positive)
    scores = np.unique(np.concatenate([score, [0.0, 1.0]]))
    candidates = (scores[1:] + scores[:-1]) / 2
    sensitivity = 1 - np.searchsorted(np.sort(score[positive]), candidates) / positive.sum()
    reached = np.searchsorted(np.sort(score[~positive]), candidates) / (~positive).sum()
    youden = np.where(reached >= specificity - _SLACK, sensitivity + reached, -1.0)
    best = candidates[youden >= youden.max() - _SLACK]
    return float(best[np.abs(best - 0.5).argmin()])


def _need_both(positive: np.ndarray) -> None:
    if positive.all() or not positive.any():
        raise ValueError("sensitivity and specificity need both positive and negative pictures")


def expected_calibration_error(probabilities: np.ndarray, truth: np.ndarray, bins: int = BINS) -> float:
    """Mean gap of confidence and accuracy over bins of the top probability (Guo et al. 2017, arXiv 1706.04599)."""
    return float(_calibration(probabilities, truth, Resampling.once(len(truth)), bins)[0])


def _calibration(probabilities: np.ndarray, truth: np.ndarray, resampling: Resampling, bins: int) -> np.ndarray:
    confidence = probabilities.max(axis=1)
    gap = (probabilities.argmax(axis=1) == truth) - confidence
    which = confidence_bin(confidence, bins)
    every = resampling.total(np.zeros_like(which), 1)[:, 0]
    return np.asarray(np.abs(resampling.total(which, bins, gap)).sum(axis=1) / np.maximum(every, 1))


def confidence_bin(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(N,) in 0..1 -> number of the bin, 0..bins-1, of equal widths."""
    return np.minimum((confidence * bins).astype(int), bins - 1)


def draws(
    probabilities: np.ndarray,
    truth: np.ndarray,
    classes: Sequence[str],
    malignant: Collection[str],
    threshold: Threshold | None,
    resampling: Resampling,
) -> dict[str, np.ndarray]:
    """Every figure of `figures` in every resample, (R,); nan where a resample lacks one of the two kinds.

    Two sets of probabilities for the same rows may be compared draw by draw when both are given the same `resampling`.
    Beyond `FIGURES` there are `sensitivity_at_specificity_90` … `specificity_at_sensitivity_99`.
    """
    if not len(truth):
        raise ValueError("there are no pictures to compute figures of")
    mask = np.array([name in malignant for name in classes])
    score, positive = probabilities[:, mask].sum(axis=1), mask[truth]
    count = len(classes)
    confusions = resampling.total(truth * count + probabilities.argmax(axis=1), count * count)
    confusions = confusions.reshape(-1, count, count)
    means = _means(confusions)
    squares = ((probabilities - np.eye(count)[truth]) ** 2).sum(axis=1)
    values = {
        "accuracy": means["accuracy"],
        "balanced_accuracy": means["recall"],
        "macro_f1": means["f1"],
        "mcc": _mcc(confusions),
        "ece": _calibration(probabilities, truth, resampling, BINS),
        "brier": resampling.total(np.zeros_like(truth), 1, squares)[:, 0] / confusions.sum(axis=(1, 2)),
    }
    if threshold is not None:
        # Truth and what was told as one number: 0 negative, 1 false positive, 2 false negative, 3 true positive.
        told = resampling.total(2 * positive + (score >= threshold), 4)
        with np.errstate(invalid="ignore"):
            values["sensitivity"] = told[:, 3] / (told[:, 2] + told[:, 3])
            values["specificity"] = told[:, 0] / (told[:, 0] + told[:, 1])
    return values | _ranked(score, positive, resampling)


def _ranked(score: np.ndarray, positive: np.ndarray, resampling: Resampling) -> dict[str, np.ndarray]:
    """Figures of how well the score ranks, from weighted cumulative counts down the ranking."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # equal scores stand or fall together
    step = max(_CELLS // len(score), 1)
    parts = []
    for start in range(0, len(resampling.counts), step):
        weights = resampling.counts[start : start + step][:, resampling.codes[order]]
        hits = np.cumsum(weights * positive[order], axis=1)[:, ends].astype(np.float64)
        every = np.cumsum(weights, axis=1)[:, ends].astype(np.float64)
        parts.append(_rank_figures(hits, every))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _rank_figures(hits: np.ndarray, every: np.ndarray) -> dict[str, np.ndarray]:
    """From counts (R, K) of positives and of all rows at or above each of K falling scores."""
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity = hits / hits[:, -1:]
        false = (every - hits) / (every - hits)[:, -1:]
        precision = np.nan_to_num(hits / every)
    start = np.zeros((len(hits), 1))
    gained = np.diff(sensitivity, axis=1, prepend=start)
    figures = {
        "malignant_auroc": (np.diff(false, axis=1, prepend=start) * (sensitivity - gained / 2)).sum(axis=1),
        "malignant_auprc": (gained * precision).sum(axis=1),  # average precision
    }
    both = np.isfinite(figures["malignant_auroc"])
    rows = np.arange(len(hits))
    for level in LEVELS:
        allowed = (false <= 1 - float(level) + _SLACK).sum(axis=1)
        found = np.where(allowed > 0, sensitivity[rows, allowed - 1], 0.0)
        short = np.minimum((sensitivity < float(level) - _SLACK).sum(axis=1), hits.shape[1] - 1)
        figures[f"sensitivity_at_specificity_{level[2:]}"] = np.where(both, found, np.nan)
        figures[f"specificity_at_sensitivity_{level[2:]}"] = np.where(both, 1 - false[rows, short], np.nan)
    figures["malignant_auprc"] = np.where(both, figures["malignant_auprc"], np.nan)
    return figures


def figures(
    probabilities: np.ndarray,
    truth: np.ndarray,
    classes: Sequence[str],
    malignant: Collection[str],
    threshold: Threshold | None,
) -> dict[str, float]:
    """The figures named in `FIGURES` of (N, C) probabilities against (N,) class numbers.

    Means over classes are over those that occur. `ece`: top label, 15 bins. `brier`: mean over rows of the sum of
    squares over classes (0..2). `threshold` was frozen on other groups: sensitivity and specificity are what it
    achieves here, and are left out where it is None, while `sensitivity_at_specificity_95` moves the threshold to a
    specificity of 0.95 on these rows, to compare with others. The malignant figures are left out when only one of
    the two kinds is present. Raises ValueError without rows.
    """
    drawn = draws(probabilities, truth, classes, malignant, threshold, Resampling.once(len(truth)))
    return {name: float(drawn[name][0]) for name in FIGURES if name in drawn and np.isfinite(drawn[name][0])}


def interval(value: float, drawn: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of (R,) resampled figures, those that could not be computed left out.

    Resampling adds noise, and noise always raises a calibration error: where the value itself lies outside of the
    percentiles the interval is widened to hold it.
    """
    low, high = np.percentile(drawn[np.isfinite(drawn)], [2.5, 97.5])
    return min(float(low), value), max(float(high), value)


def resample(
    probabilities: np.ndarray,
    truth: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    classes: Sequence[str],
    malignant: Collection[str],
    threshold: Threshold | None,
    *,
    resamples: int = 500,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """`figures`, each as `value` with the `low` and `high` end of its 95 % interval over resampled groups."""
    values = figures(probabilities, truth, classes, malignant, threshold)
    drawn = draws(probabilities, truth, classes, malignant, threshold, Resampling.of(groups, resamples, seed))
    ends = {name: interval(value, drawn[name]) for name, value in values.items()}
    return {name: {"value": value, "low": ends[name][0], "high": ends[name][1]} for name, value in values.items()}


def per_class(confusion: np.ndarray, classes: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """For each class its n, whether that suffices to assess it, and its rates (None where 0/0)."""
    rates = class_rates(confusion)
    counts = confusion.sum(axis=1)
    return {
        label: {
            "n": int(counts[i]),
            "assessable": bool(counts[i] >= FEW),
            **{rate: None if np.isnan(of[i]) else float(of[i]) for rate, of in rates.items()},
        }
        for i, label in enumerate(classes)
    }


def held_out_report(
    probabilities: np.ndarray,
    truth: np.ndarray,
    groups: Sequence[str],
    classes: Sequence[str],
    malignant: Collection[str],
    threshold: Threshold,
    *,
    resamples: int = 500,
    seed: int = 0,
) -> dict[str, Any]:
    """Figures with 95 % percentile intervals over resampled groups, the confusion matrix, and rates per class."""
    told = resample(probabilities, truth, groups, classes, malignant, threshold, resamples=resamples, seed=seed)
    confusion = confusion_counts(truth, probabilities.argmax(axis=1), len(classes))
    return {
        "images": len(truth),
        "groups": len(set(groups)),
        "figures": {
            name: {"value": round(f["value"], 4), "interval_95": [round(f["low"], 4), round(f["high"], 4)]}
            for name, f in told.items()
        },
        "confusion": confusion.tolist(),
        "per_class": per_class(confusion, classes),
    }


def auroc(positive: np.ndarray, score: np.ndarray) -> float:
    """The chance that a positive row scores above a negative one, half for equal scores (Mann and Whitney 1947)."""
    _need_both(positive)
    hits, ranks = int(positive.sum()), rankdata(score)
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * (len(score) - hits)))
