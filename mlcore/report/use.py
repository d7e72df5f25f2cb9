"""How far probabilities can be believed, and what acting on them is worth: calibration, decision curve, abstention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax

from mlcore.metrics import BINS, confidence_bin, expected_calibration_error
from mlcore.reading import UNSURE, combine
from mlcore.report.evidence import Evidence

DECISIONS = np.arange(1, 100) / 100  # probabilities from which one would act
COVERAGES = np.arange(2, 41) / 40


def calibration(evidence: Evidence) -> dict[str, Any]:
    """ECE, Brier score, negative log-likelihood and reliability bins, before and after the temperature."""
    before = None
    if evidence.logits is not None:
        before = _reliability(softmax(evidence.logits, axis=1), log_softmax(evidence.logits, axis=1), evidence.labels)
    floor = np.finfo(np.float64).tiny
    after = _reliability(evidence.probabilities, np.log(np.maximum(evidence.probabilities, floor)), evidence.labels)
    return {"temperature": evidence.temperature, "before": before, "after": after}


def _reliability(probabilities: np.ndarray, logs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    which = confidence_bin(confidence)
    truth = np.eye(probabilities.shape[1])[labels]
    bins = []
    for number in range(BINS):
        rows = which == number
        filled = bool(rows.any())
        bins.append(
            {
                "low": number / BINS,
                "high": (number + 1) / BINS,
                "n": int(rows.sum()),
                "confidence": float(confidence[rows].mean()) if filled else None,
                "accuracy": float(right[rows].mean()) if filled else None,
            }
        )
    return {
        "ece": expected_calibration_error(probabilities, labels),
        "brier": float(((probabilities - truth) ** 2).sum(axis=1).mean()),
        "nll": float(-logs[np.arange(len(labels)), labels].mean()),
        "bins": bins,
    }


def decision_curve(evidence: Evidence) -> list[dict[str, float]]:
    """Net benefit of acting on the malignant probability from each threshold on (Vickers and Elkin 2006).

    In true positives per picture, false ones weighed by the odds of the threshold; beside it acting on `all` and none.
    Empty where all pictures are of one kind: there is nothing to decide.
    """
    if not evidence.two_kinds:
        return []
    share = float(evidence.positive.mean())
    found = []
    for threshold in DECISIONS:
        called = evidence.score >= threshold
        odds = threshold / (1 - threshold)
        hits, alarms = (called & evidence.positive).mean(), (called & ~evidence.positive).mean()
        every = share - (1 - share) * odds
        found.append({"threshold": threshold, "net_benefit": hits - alarms * odds, "all": every, "none": 0.0})
    return found


def risk_coverage(evidence: Evidence) -> list[dict[str, float]]:
    """The share of wrong readings among the surest, as less is left to a person (El-Yaniv and Wiener 2010).

    `coverage` is the share that is read, `threshold` the leading probability from which on.
    """
    confidence = evidence.probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum((evidence.told != evidence.labels)[order])
    found = []
    for count in sorted({max(round(share * len(order)), 1) for share in COVERAGES}):
        found.append(
            {
                "coverage": count / len(order),
                "risk": wrong[count - 1] / count,
                "threshold": confidence[order[count - 1]],
            }
        )
    return found


@dataclass(frozen=True, slots=True)
class _Opinion:
    network: str
    probabilities: dict[str, float]
    malignant: float
    novelty: float
    novel: bool


def rule(evidences: Sequence[Evidence]) -> dict[str, Any]:
    """What the reading's own rule leaves to a person, and how often the rest is wrong.

    `coverage` is the share that is not left to a person, `risk` the share of wrong leading classes among these,
    `risk_without` among all; `malignant_missed` the share of malignant pictures that are read as none, unasked.
    """
    first = evidences[0]
    count = len(first.labels)
    asked, told = np.empty(count, dtype=bool), np.empty(count, dtype=np.int64)
    for row, said in enumerate(zip(*map(_opinions, evidences), strict=True)):
        reading = combine(said)
        asked[row], told[row] = reading.needs_person, first.classes.index(reading.label)
    wrong = told != first.labels
    missed = first.positive & ~first.mask[told] & ~asked
    several = "the networks disagree, " if len(evidences) > 1 else ""
    return {
        "words": f"A person is asked when {several}the leading class has less than {UNSURE:.0%}, or a network finds "
        "the picture unlike those of its training.",
        "coverage": float((~asked).mean()),
        "risk": float(wrong[~asked].mean()) if not asked.all() else None,
        "risk_without": float(wrong.mean()),
        "malignant_missed": float(missed.sum() / first.positive.sum()) if first.positive.any() else None,
        "networks": [evidence.network for evidence in evidences],
    }


def _opinions(evidence: Evidence) -> Iterator[_Opinion]:
    novelty = np.zeros(len(evidence.labels)) if evidence.novelty is None else evidence.novelty
    line = np.inf if evidence.novelty_threshold is None else evidence.novelty_threshold
    for row, score, new in zip(evidence.probabilities, evidence.score, novelty, strict=True):
        said = dict(zip(evidence.classes, row.tolist(), strict=True))
        yield _Opinion(evidence.network, said, float(score), float(new), bool(new >= line))
