"""How unlike the training pictures an embedding is: a distance in the network's own feature space.

Mahalanobis distance to the nearest class (Lee et al. 2018, arXiv 1807.03888) within the directions in which training
pictures vary, plus what lies outside of them (the residual of ViM, Wang et al. 2022, arXiv 2203.10807).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

DIRECTIONS = 48
QUANTILES = 201
PREFIX = "novelty."


@dataclass(frozen=True, slots=True)
class NoveltyScore:
    """What was fitted, float32: `mean` (D,), `whitening` (D, K), `centres` (C, K), `residual` (1,), `quantiles` (Q,).

    `whitening` spans the leading directions, scaled so that the spread within a class is one in each of them.
    """

    mean: np.ndarray
    whitening: np.ndarray
    centres: np.ndarray
    residual: np.ndarray
    quantiles: np.ndarray

    def distance(self, embeddings: np.ndarray) -> np.ndarray:
        """(N, D) -> (N,): about 1 for a typical training picture, larger the less alike."""
        centred = embeddings.astype(np.float32) - self.mean
        inside = centred @ self.whitening
        nearest = ((inside[:, None] - self.centres[None]) ** 2).mean(axis=2).min(axis=1)
        basis, _ = np.linalg.qr(self.whitening)
        outside = (centred**2).sum(axis=1) - ((centred @ basis) ** 2).sum(axis=1)
        return np.asarray(np.sqrt(nearest + np.maximum(outside, 0) / self.residual))

    def score(self, embeddings: np.ndarray) -> np.ndarray:
        """(N, D) -> (N,) in 0..1: the share of held-out blood pictures that are less unusual."""
        levels = np.linspace(0, 1, len(self.quantiles))
        return np.interp(self.distance(embeddings), self.quantiles, levels)

    def tensors(self) -> dict[str, np.ndarray]:
        return {PREFIX + name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> NoveltyScore:
        return cls(**{name: np.asarray(tensors[PREFIX + name], dtype=np.float32) for name in cls.__slots__})


def fit(train: np.ndarray, labels: np.ndarray, held_out: np.ndarray) -> NoveltyScore:
    """From embeddings (N, D) of training pictures with class numbers (N,), percentiles from held-out ones (M, D)."""
    train = train.astype(np.float64)
    mean = train.mean(axis=0)
    names = np.unique(labels)
    centres = np.stack([train[labels == name].mean(axis=0) for name in names])
    # Directions of the whole spread, classes included; their scale from the spread within classes.
    _, _, rows = np.linalg.svd(train - mean, full_matrices=False)
    basis = rows[:DIRECTIONS].T
    within = (train - centres[np.searchsorted(names, labels)]) @ basis
    covariance = within.T @ within / len(within)
    covariance += 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    whitening = basis @ vectors / np.sqrt(values)
    outside = (train - mean) - (train - mean) @ basis @ basis.T
    fitted = NoveltyScore(
        mean=mean.astype(np.float32),
        whitening=whitening.astype(np.float32),
        centres=((centres - mean) @ whitening).astype(np.float32),
        residual=np.array([(outside**2).sum(axis=1).mean()], dtype=np.float32),
        quantiles=np.zeros(QUANTILES, dtype=np.float32),
    )
    quantiles = np.quantile(fitted.distance(held_out), np.linspace(0, 1, QUANTILES)).astype(np.float32)
    return NoveltyScore(fitted.mean, fitted.whitening, fitted.centres, fitted.residual, quantiles)
