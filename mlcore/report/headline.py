"""The figures: headline, networks side by side, operating point, classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlcore.metrics import (
    FIGURES,
    HEADLINE,
    LEVELS,
    Resampling,
    at_sensitivity,
    at_specificity,
    auroc,
    confusion_counts,
    draws,
    figures,
    interval,
    operating_points,
    per_class,
)
from mlcore.report.evidence import Evidence, missing

PREVALENCES = (0.01, 0.05, 0.1, 0.2, 0.5)
ROC_POINTS = 200  # of the curve that is drawn
ONE_KIND = "all pictures are {}, so nothing can be told apart"
ONE_GROUP = "one group alone cannot be resampled"


class Measured:
    """The figures of one network and of each resample; two of them on the same resampling can be compared."""

    def __init__(self, evidence: Evidence, resampling: Resampling) -> None:
        arguments = (
            evidence.probabilities,
            evidence.labels,
            evidence.classes,
            evidence.malignant,
            evidence.threshold,
        )
        self.evidence = evidence
        self.drawn = draws(*arguments, resampling)
        self.values = figures(*arguments)
        self.groups = resampling.counts.shape[1]

    def figure(self, name: str) -> dict[str, Any]:
        """`value`, `low`, `high`; where there is none, null and `why`."""
        if name not in self.values:
            if self.evidence.threshold is None and name in ("sensitivity", "specificity"):
                return missing("it has no operating threshold")
            return missing(one_kind(self.evidence))
        return self.within(self.values[name], self.drawn[name])

    def within(self, value: float, drawn: np.ndarray) -> dict[str, Any]:
        if self.groups < 2:
            return missing(ONE_GROUP) | {"value": value}
        low, high = interval(value, drawn)
        return {"value": value, "low": low, "high": high}

    def all_figures(self) -> dict[str, dict[str, Any]]:
        return {name: self.figure(name) for name in FIGURES}


def one_kind(evidence: Evidence) -> str:
    return ONE_KIND.format("labelled malignant" if evidence.positive.any() else "labelled not malignant")


def differences(measured: Mapping[str, Measured], pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """`a` minus `b` for every figure that both have, with the interval of the same resamples (paired)."""
    found = []
    for a, b in pairs:
        one, other = measured[a], measured[b]
        for name in FIGURES:
            if name in one.values and name in other.values:
                value = one.values[name] - other.values[name]
                ends = one.within(value, one.drawn[name] - other.drawn[name])
                found.append({"a": a, "b": b, "figure": name, **ends})
    return found


def operating(measured: Measured, chosen: str, prevalences: Sequence[float]) -> dict[str, Any]:
    """What the frozen threshold achieves on these pictures, and what a positive and a negative answer are worth."""
    threshold = measured.evidence.threshold
    sensitivity, specificity = measured.figure("sensitivity"), measured.figure("specificity")
    return {
        "threshold": None if threshold is None else float(np.mean(threshold)),
        "chosen": chosen,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "prevalence": [
            {"prevalence": share, **predictive_values(sensitivity["value"], specificity["value"], share)}
            for share in prevalences
            if sensitivity["value"] is not None and specificity["value"] is not None
        ],
    }


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> dict[str, float | None]:
    """By Bayes; None where nobody would be called positive (or negative)."""
    hit, missed = sensitivity * prevalence, (1 - sensitivity) * prevalence
    alarm, spared = (1 - specificity) * (1 - prevalence), specificity * (1 - prevalence)
    return {
        "ppv": hit / (hit + alarm) if hit + alarm else None,
        "npv": spared / (spared + missed) if spared + missed else None,
    }


def trade_offs(measured: Measured) -> dict[str, Any]:
    """Sensitivity at three specificities and the reverse, as achieved pairs, with the curve they lie on.

    `low` and `high` are of the first of the pair. The thresholds are read off on these very pictures.
    """
    evidence = measured.evidence
    if not evidence.two_kinds:
        empty = {"sensitivity": None, "specificity": None, "threshold": None, "low": None, "high": None}
        why = {level: {**empty, "why": one_kind(evidence)} for level in LEVELS}
        return {"sensitivity_at_specificity": why, "specificity_at_sensitivity": why, "roc": None}
    points = operating_points(evidence.positive, evidence.score)
    found: dict[str, Any] = {"sensitivity_at_specificity": {}, "specificity_at_sensitivity": {}}
    for name, pick in (("sensitivity_at_specificity", at_specificity), ("specificity_at_sensitivity", at_sensitivity)):
        for level in LEVELS:
            point = pick(points, float(level))
            value = point.sensitivity if pick is at_specificity else point.specificity
            ends = measured.within(value, measured.drawn[f"{name}_{level[2:]}"])
            found[name][level] = {
                "sensitivity": point.sensitivity,
                "specificity": point.specificity,
                "threshold": point.threshold,
                **{key: entry for key, entry in ends.items() if key != "value"},
            }
    # Where the curve is steep the points lie in specificity, where it is flat in sensitivity: both are thinned alike.
    place = np.array([point.sensitivity + 1 - point.specificity for point in points])
    shown = np.unique(np.searchsorted(place, np.linspace(0, place[-1], ROC_POINTS)).clip(0, len(points) - 1))
    found["roc"] = {
        "sensitivity": [points[i].sensitivity for i in shown],
        "specificity": [points[i].specificity for i in shown],
    }
    return found


def classes(evidence: Evidence) -> dict[str, Any]:
    """Rates of every class with the groups it comes from, and the confusion matrix in counts and row per cent."""
    counts = confusion_counts(evidence.labels, evidence.told, len(evidence.classes))
    found = per_class(counts, evidence.classes)
    rows = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        share = 100 * counts / rows
    return {
        "per_class": {
            name: {
                "n": rates["n"],
                "groups": len(set(evidence.groups[evidence.labels == number])),
                **{key: value for key, value in rates.items() if key != "n"},
                "auroc": _auroc(evidence, number),
            }
            for number, (name, rates) in enumerate(found.items())
        },
        "confusion": {"classes": list(evidence.classes), "counts": counts, "row_percent": share},
    }


def _auroc(evidence: Evidence, number: int) -> float | None:
    """One class against all others."""
    if not 0 < (evidence.labels == number).sum() < len(evidence.labels):
        return None
    return auroc(evidence.labels == number, evidence.probabilities[:, number])


def by_fold(evidence: Evidence) -> tuple[list[dict[str, Any]], dict[str, dict[str, float]]]:
    """The figures of every fold, and over the folds their mean and sample standard deviation."""
    if evidence.folds is None:
        return [], {}
    found: list[dict[str, Any]] = []
    for number in np.unique(evidence.folds):
        rows = evidence.folds == number
        threshold = evidence.threshold[rows] if isinstance(evidence.threshold, np.ndarray) else evidence.threshold
        values = figures(
            evidence.probabilities[rows], evidence.labels[rows], evidence.classes, evidence.malignant, threshold
        )
        groups = len(set(evidence.groups[rows]))
        found.append({"fold": int(number), "images": int(rows.sum()), "groups": groups, "figures": values})
    summary = {}
    for name in FIGURES:
        values_of = [fold["figures"][name] for fold in found if name in fold["figures"]]
        if len(values_of) > 1:
            summary[name] = {"mean": float(np.mean(values_of)), "sd": float(np.std(values_of, ddof=1))}
    return found, summary


def headline(measured: Measured) -> dict[str, dict[str, Any]]:
    return {name: measured.figure(name) for name in HEADLINE}
