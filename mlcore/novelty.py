"""How unlike the training pictures an embedding is: what of it lies outside of the directions in which those vary.

This is the residual of ViM (Wang et al. 2022, arXiv 2203.10807), on square roots of the pooled activations (which are
never negative), so that a few strong channels do not outweigh all others. Against noise, text, drawn landscapes,
plain colours and shapes it left fewer undetected on field-mobilenet than distances to classes or to neighbours did.
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
    """What was fitted, float32: `mean` (D,), orthonormal `basis` (D, K), `quantiles` (Q,) of held-out residuals."""

    mean: np.ndarray
    basis: np.ndarray
    quantiles: np.ndarray

    def residual(self, embeddings: np.ndarray) -> np.ndarray:
        """(N, D) pooled activations -> (N,): the length of what the leading directions do not explain."""
        centred = np.sqrt(np.maximum(embeddings, 0)) - self.mean
        return np.asarray(np.linalg.norm(centred - centred @ self.basis @ self.basis.T, axis=1))

    def score(self, embeddings: np.ndarray) -> np.ndarray:
        """(N, D) -> (N,) in 0..1: the share of held-out blood pictures that are less unusual."""
        return np.interp(self.residual(embeddings), self.quantiles, np.linspace(0, 1, len(self.quantiles)))

    def tensors(self) -> dict[str, np.ndarray]:
        return {PREFIX + name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> NoveltyScore:
        return cls(**{name: np.asarray(tensors[PREFIX + name], dtype=np.float32) for name in cls.__slots__})


def fit(train: np.ndarray, held_out: np.ndarray) -> NoveltyScore:
    """From embeddings (N, D) of training pictures, percentiles from held-out ones (M, D)."""
    roots = np.sqrt(np.maximum(train, 0))
    mean = roots.mean(axis=0)
    _, _, directions = np.linalg.svd(roots - mean, full_matrices=False)
    bare = NoveltyScore(mean, np.ascontiguousarray(directions[:DIRECTIONS].T), np.zeros(QUANTILES, dtype=np.float32))
    quantiles = np.quantile(bare.residual(held_out), np.linspace(0, 1, QUANTILES)).astype(np.float32)
    return NoveltyScore(bare.mean, bare.basis, quantiles)
