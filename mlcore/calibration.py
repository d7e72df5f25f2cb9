"""Temperature and operating threshold: fitted on pictures that the network did not learn from, never on test groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlcore.bundle import MALIGNANT, TASKS
from mlcore.metrics import operating_threshold

SPECIFICITY = 0.95  # the least that an operating threshold must reach on the pictures it is chosen on


@dataclass(frozen=True, slots=True)
class Calibration:
    """`temperature` divides logits; `threshold` is the malignant probability from which a picture counts as such."""

    temperature: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Crossed:
    """Out-of-fold answers calibrated without the fold they are of: `probabilities` (N, C), `thresholds` (N,)."""

    probabilities: np.ndarray
    thresholds: np.ndarray


def best_temperature(logits: Tensor, truth: Tensor) -> float:
    """The temperature with the lowest cross entropy on held-out logits (Guo et al. 2017, arXiv 1706.04599)."""
    log_temperature = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits.clone() / log_temperature.exp(), truth)
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(log_temperature.exp().item())


def calibrated(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of (N, C) logits at a temperature, in double precision."""
    scaled = logits.astype(np.float64) / temperature
    odds = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def calibrate(logits: np.ndarray, labels: np.ndarray, task: str) -> Calibration:
    """Fitted on (N, C) held-out logits and their (N,) class numbers."""
    temperature = best_temperature(torch.from_numpy(logits), torch.from_numpy(labels).long())
    malignant = malignant_mask(task)
    score = calibrated(logits, temperature)[:, malignant].sum(axis=1)
    return Calibration(temperature, operating_threshold(malignant[labels], score, SPECIFICITY))


def cross_calibrate(logits: np.ndarray, labels: np.ndarray, folds: np.ndarray, task: str) -> Crossed:
    """Every fold's answers under what the other folds' answers calibrate to: no figure rests on its own threshold."""
    probabilities = np.empty(logits.shape, dtype=np.float64)
    thresholds = np.empty(len(labels), dtype=np.float64)
    for fold in np.unique(folds):
        mine = folds == fold
        others = calibrate(logits[~mine], labels[~mine], task)
        probabilities[mine] = calibrated(logits[mine], others.temperature)
        thresholds[mine] = others.threshold
    return Crossed(probabilities, thresholds)


def malignant_mask(task: str) -> np.ndarray:
    """bool (C,): which classes of a task are malignant."""
    return np.array([name in MALIGNANT[task] for name in TASKS[task]])
