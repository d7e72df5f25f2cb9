"""Figures on held-out groups, each with an interval from resampling the groups."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

FEW = 20  # a class with fewer held-out pictures is not assessable


def class_rates(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall, specificity and F1 of every class from a (C, C) count matrix, truth in rows; nan where 0/0."""
    confusion = np.asarray(confusion, dtype=np.float64)
    hit = np.diag(confusion)
    truth, told, total = confusion.sum(axis=1), confusion.sum(axis=0), confusion.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": hit / told,
            "recall": hit / truth,
            "specificity": (total - truth - told + hit) / (total - truth),
            "f1": 2 * hit / (truth + told),
        }


def macro(confusion: np.ndarray) -> dict[str, float]:
    """Accuracy, and the means over classes that occur of precision (0 where never told), recall, specificity and F1."""
    rates = class_rates(confusion)
    present = np.asarray(confusion).sum(axis=1) > 0
    means = {name: float(np.nan_to_num(values)[present].mean()) for name, values in rates.items()}
    return {"accuracy": float(np.trace(confusion) / max(np.sum(confusion), 1)), **means}


def sensitivity_at_specificity(positive: np.ndarray, score: np.ndarray, specificity: float) -> float:
    """The highest sensitivity that any threshold reaches at a specificity of at least the one asked for.

    Raises ValueError when only one of the two kinds is present.
    """
    _need_both(positive)
    false_rate, true_rate, _ = roc_curve(positive, score, drop_intermediate=False)
    return float(true_rate[false_rate <= 1 - specificity + 1e-12].max())


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
    youden = np.where(reached >= specificity - 1e-12, sensitivity + reached, -1.0)
    best = candidates[youden >= youden.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def _need_both(positive: np.ndarray) -> None:
    if positive.all() or not positive.any():
        raise ValueError("sensitivity and specificity need both positive and negative pictures")


def expected_calibration_error(probabilities: np.ndarray, truth: np.ndarray, bins: int = 15) -> float:
    """Mean gap of confidence and accuracy over bins of the top probability (Guo et al. 2017, arXiv 1706.04599)."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == truth
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(correct[which == b].mean() - confidence[which == b].mean()) * (which == b).sum() for b in set(which)]
    return float(sum(gaps) / len(truth))


def figures(
    probabilities: np.ndarray, truth: np.ndarray, classes: Sequence[str], malignant: Collection[str], threshold: float
) -> dict[str, float]:
    """The headline figures of (N, C) probabilities against (N,) class numbers.

    `threshold` was frozen on validation: sensitivity and specificity are what it achieves here, while
    `sensitivity_at_specificity_95` moves the threshold to a specificity of 0.95 on these rows, to compare with others.
    """
    mask = np.array([name in malignant for name in classes])
    score = probabilities[:, mask].sum(axis=1)
    positive = mask[truth]
    confusion = confusion_matrix(truth, probabilities.argmax(axis=1), labels=range(len(classes)))
    means = macro(confusion)
    told = score >= threshold
    values = {
        "accuracy": means["accuracy"],
        "balanced_accuracy": means["recall"],
        "macro_f1": means["f1"],
        "ece": expected_calibration_error(probabilities, truth),
    }
    if positive.any() and not positive.all():
        values |= {
            "malignant_auroc": float(roc_auc_score(positive, score)),
            "sensitivity_at_specificity_95": sensitivity_at_specificity(positive, score, 0.95),
            "sensitivity": float(told[positive].mean()),
            "specificity": float((~told[~positive]).mean()),
        }
    return values


def held_out_report(
    probabilities: np.ndarray,
    truth: np.ndarray,
    groups: Sequence[str],
    classes: Sequence[str],
    malignant: Collection[str],
    threshold: float,
    *,
    resamples: int = 500,
    seed: int = 0,
) -> dict[str, Any]:
    """Figures with 95 % percentile intervals over resampled groups, the confusion matrix, and rates per class."""
    values = figures(probabilities, truth, classes, malignant, threshold)
    names = sorted(set(groups))
    members = [np.flatnonzero(np.asarray(groups) == name) for name in names]
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in values}
    for _ in range(resamples):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(names), len(names))])
        for name, value in figures(probabilities[rows], truth[rows], classes, malignant, threshold).items():
            drawn[name].append(value)
    confusion = confusion_matrix(truth, probabilities.argmax(axis=1), labels=range(len(classes)))
    rates = class_rates(confusion)
    counts = confusion.sum(axis=1)
    return {
        "images": len(truth),
        "groups": len(names),
        "figures": {
            name: {
                "value": round(value, 4),
                "interval_95": np.round(np.percentile(drawn[name], [2.5, 97.5]), 4).tolist(),
            }
            for name, value in values.items()
        },
        "confusion": confusion.tolist(),
        "per_class": {
            label: {
                "n": int(counts[i]),
                "assessable": bool(counts[i] >= FEW),
                **{rate: None if np.isnan(of[i]) else round(float(of[i]), 4) for rate, of in rates.items()},
            }
            for i, label in enumerate(classes)
        },
    }
