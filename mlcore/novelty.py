"""How unlike the training pictures a picture is: to the network, and to the eye of a camera.

Two distances are put together. One is what of the pooled features lies outside of the directions in which those of the
training vary: the residual of ViM (Wang et al. 2022, arXiv 2203.10807), on square roots of the activations (which are
never negative), so that a few strong channels do not outweigh all others. It finds what is no blood. But a network that
was trained to look through stain, lamp and focus cannot say that these have changed; so the other is the distance of
Mahalanobis of a few figures of colour, light and sharpness (`appearance`), to the nearest kind of training picture. It
finds other microscopes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

DIRECTIONS = 48
QUANTILES = 201
SHRINKAGE = 0.02  # of the covariance towards its diagonal: figures of appearance are few and correlated
PREFIX = "novelty."


@dataclass(frozen=True, slots=True)
class NoveltyScore:
    """What was fitted, float32. D pooled features, K directions, F figures of appearance, B kinds of training picture.

    `mean` (D,) and orthonormal `basis` (D, K) of the roots of the features; `centres` (B, F) and `whitening` (B, F, F)
    of the appearance, whose rows times their transpose are the inverse covariance; `typical` (2, 2): median and
    spread of the logarithm of both distances on training pictures; `quantiles` (Q,) of residuals of ordinary pictures.
    """

    mean: np.ndarray
    basis: np.ndarray
    centres: np.ndarray
    whitening: np.ndarray
    typical: np.ndarray
    quantiles: np.ndarray

    def residual(self, embeddings: np.ndarray, squares: np.ndarray) -> np.ndarray:
        """(N, D) pooled activations and their masked uint8 (N, S, S, 3) -> (N,): how far from typical it is.

        Both distances are in units of their own spread; the larger one decides, smoothly.
        """
        distances = np.stack(self._distances(embeddings, squares))
        steps = (np.log(np.maximum(distances, 1e-6)) - self.typical[:, :1]) / self.typical[:, 1:]
        return np.asarray(np.logaddexp(*steps))

    def score(self, embeddings: np.ndarray, squares: np.ndarray) -> np.ndarray:
        """As `residual`, (N,) in 0..1: the share of ordinary blood pictures that are less unusual."""
        return np.interp(self.residual(embeddings, squares), self.quantiles, np.linspace(0, 1, len(self.quantiles)))

    def with_quantiles(self, residuals: np.ndarray) -> NoveltyScore:
        """The score whose percentiles are those of (M,) residuals of ordinary pictures that were not learnt from."""
        return replace(self, quantiles=np.quantile(residuals, np.linspace(0, 1, QUANTILES)).astype(np.float32))

    def tensors(self) -> dict[str, np.ndarray]:
        return {PREFIX + name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> NoveltyScore:
        return cls(**{name: np.asarray(tensors[PREFIX + name], dtype=np.float32) for name in cls.__slots__})

    def _distances(self, embeddings: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        centred = np.sqrt(np.maximum(embeddings, 0)) - self.mean
        unexplained = np.linalg.norm(centred - centred @ self.basis @ self.basis.T, axis=1)
        offsets = appearance(squares)[:, None] - self.centres
        from_kinds = np.linalg.norm(np.einsum("nbf,bfg->nbg", offsets, self.whitening), axis=2)
        return unexplained, from_kinds.min(axis=1)


def fit(embeddings: np.ndarray, kinds: Sequence[np.ndarray]) -> NoveltyScore:
    """From training pictures: `kinds`, masked uint8 (N_b, S, S, 3) each, such as photographs and rendered ones, and the
    pooled features (N, D) of all of them in this order. The percentiles are the training's own until `with_quantiles`.
    """
    roots = np.sqrt(np.maximum(embeddings, 0))
    mean = roots.mean(axis=0)
    _, _, directions = np.linalg.svd(roots - mean, full_matrices=False)
    figures = [appearance(squares) for squares in kinds]
    bare = NoveltyScore(
        mean.astype(np.float32),
        np.ascontiguousarray(directions[:DIRECTIONS].T, dtype=np.float32),
        np.stack([of.mean(axis=0) for of in figures]).astype(np.float32),
        np.stack([_whitening(of) for of in figures]).astype(np.float32),
        np.array([[0, 1], [0, 1]], dtype=np.float32),
        np.zeros(QUANTILES, dtype=np.float32),
    )
    logs = np.log(np.maximum(bare._distances(embeddings, np.concatenate(list(kinds))), 1e-6))
    low, middle, high = np.quantile(logs, (0.16, 0.5, 0.84), axis=1)
    fitted = replace(bare, typical=np.stack([middle, np.maximum((high - low) / 2, 1e-3)], axis=1).astype(np.float32))
    return fitted.with_quantiles(fitted.residual(embeddings, np.concatenate(list(kinds))))


def appearance(squares: np.ndarray) -> np.ndarray:
    """uint8 (N, S, S, 3) -> float32 (N, 30): what a picture looks like, whatever it shows.

    Percentiles of the optical density (Beer and Lambert) of each channel; deviations and correlations of the channels;
    the logarithms of detail at one, two and four pixels in lightness, and at two and six in two tints; how much darker
    the corners are than the whole, and how differently tinted.
    """
    density = _DENSITY[squares]
    half = density[:, ::2, ::2]  # suffices for all but the finest detail
    ranked = np.sort(np.ascontiguousarray(half[:, ::2, ::2]).reshape(len(squares), -1, 3), axis=1)
    places = (np.array([0.02, 0.1, 0.5, 0.9, 0.98]) * (ranked.shape[1] - 1)).astype(int)
    flat = half.reshape(len(squares), -1, 3)
    centred = flat - flat.mean(axis=1, keepdims=True)
    products = np.matmul(centred.transpose(0, 2, 1), centred) / flat.shape[1]
    spread = np.sqrt(np.einsum("nii->ni", products)) + np.float32(0.01)
    pairs = [products[:, a, b] / (spread[:, a] * spread[:, b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    light = density.sum(axis=3) / 3
    tints = (half[..., 0] - half[..., 1], half[..., 2] - half[..., 1])
    details = [_detail(light, step) for step in (1, 2, 4)] + [_detail(tint, step) for tint in tints for step in (1, 3)]
    corners = [_corners(half.sum(axis=3) / 3), _corners(tints[0])]
    return np.concatenate(
        [
            ranked[:, places].reshape(len(squares), -1),
            np.log(spread),
            np.stack(pairs + details + corners, axis=1),
        ],
        axis=1,
    ).astype(np.float32)


_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / np.float32(256))


def _detail(plane: np.ndarray, step: int) -> np.ndarray:
    """(N, S, S) -> (N,): logarithm of the root mean square of second differences `step` places apart."""
    rows = plane[:, : -2 * step] + plane[:, 2 * step :] - 2 * plane[:, step:-step]
    columns = plane[:, :, : -2 * step] + plane[:, :, 2 * step :] - 2 * plane[:, :, step:-step]
    power = np.stack([np.einsum("nij,nij->n", part, part) / part[0].size for part in (rows, columns)]).sum(axis=0)
    return np.asarray(np.log(power + 1e-6) / 2)


def _corners(plane: np.ndarray) -> np.ndarray:
    """(N, S, S) -> (N,): the mean of the four corners, a fifth of the side each, against that of the picture."""
    part = max(plane.shape[1] // 5, 1)
    sides = (slice(part), slice(-part, None))
    corners = [plane[:, rows, columns].mean(axis=(1, 2)) for rows in sides for columns in sides]
    return np.asarray(np.mean(corners, axis=0) - plane.mean(axis=(1, 2)))


def _whitening(figures: np.ndarray) -> np.ndarray:
    """(M, F) -> (F, F): what makes offsets from the mean as long as they are unusual."""
    covariance = np.cov(figures, rowvar=False)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance))
    values, vectors = np.linalg.eigh(shrunk + 1e-6 * np.eye(len(shrunk)))
    return np.asarray(vectors / np.sqrt(np.maximum(values, 1e-8)))
