"""What a bad day in a laboratory does to a picture, in three severities: a network's robustness is measured with them.

The idea is that of ImageNet-C (Hendrycks and Dietterich 2019, arXiv 1903.12261): named changes of fixed strength.
"medium" is what a service meets now and then: an objective slightly out of focus, a picture sent through a messenger,
another lamp or another stainer. "mild" is every day, "severe" is what a person would send back. Every picture gets its
own direction (darker or lighter, redder or bluer) and the strength of the severity.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

SEVERITIES = ("mild", "medium", "severe")
CHUNK = 64  # pictures as float32 at once: bounds memory
RING = 0.15  # what lies beyond the edge is made of this outermost share of the side, so that no second nucleus appears

Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def corrupt(squares: np.ndarray, name: str, severity: str, seed: int) -> np.ndarray:
    """uint8 (N, S, S, 3) -> uint8 (N, S, S, 3), changed by the corruption `name` of CORRUPTIONS.

    The same seed gives the same pictures. Lengths are for 128 px and grow with the side. Raises ValueError for an
    unknown name or severity. The corner of a field picture (Preprocessing.mask_pixels) is to be blanked first: a change
    of scale would move the scale bar out of it.
    """
    if name not in _CHANGES:
        raise ValueError(f"there is no corruption {name!r}; choose from {', '.join(CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise ValueError(f"there is no severity {severity!r}; choose from {', '.join(SEVERITIES)}")
    change, amounts = _CHANGES[name]
    rng = np.random.default_rng([seed, CORRUPTIONS.index(name), SEVERITIES.index(severity)])
    out = np.empty_like(squares)
    for start in range(0, len(squares), CHUNK):
        part = squares[start : start + CHUNK].astype(np.float32) / np.float32(255)
        changed = change(part, amounts[SEVERITIES.index(severity)], rng)
        out[start : start + CHUNK] = np.rint(np.clip(changed, 0, 1) * 255).astype(np.uint8)
    return out


def _signs(count: int, rng: np.random.Generator) -> np.ndarray:
    """float32 (N, 1, 1, 1) of -1 and 1."""
    return (rng.integers(0, 2, (count, 1, 1, 1)) * 2 - 1).astype(np.float32)


def resample(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """float32 (N, S, S, 3), weights (N or 1, T, S) of source rows and columns -> (N, T, T, 3)."""
    count, size, _, _ = images.shape
    tall = np.matmul(rows, images.reshape(count, size, size * 3))
    wide = tall.reshape(count, -1, size, 3).transpose(0, 2, 1, 3).reshape(count, size, -1)
    return np.matmul(columns, wide).reshape(count, columns.shape[1], -1, 3).transpose(0, 2, 1, 3)


def view(size: int, zoom: float, shift: np.ndarray) -> np.ndarray:
    """Weights (N, S, S) of the source pixels along one side, for a picture enlarged by `zoom` and moved by `shift` (N,)
    sides. Each pixel averages as many source places as it covers; what lies beyond the edge is the outermost ring,
    mirrored to and fro, as in training."""
    samples = max(2, round(2 / zoom))
    place = (np.arange(size * samples) + 0.5) / (size * samples) - 0.5
    place = (place[None] - shift[:, None]) / zoom
    beyond = np.maximum(np.abs(place) - 0.5, 0)
    folded = RING - np.abs(beyond % (2 * RING) - RING)
    place = np.sign(place) * (np.minimum(np.abs(place), 0.5) - folded)
    source = np.clip((place + 0.5) * size - 0.5, 0, size - 1)
    weights = np.maximum(1 - np.abs(source[..., None] - np.arange(size)), 0)
    return weights.reshape(len(shift), size, samples, size).mean(axis=2).astype(np.float32)


def blur(images: np.ndarray, sigma: float, rng: np.random.Generator | None = None) -> np.ndarray:
    """Out of focus: a Gaussian of `sigma` px at 128 px."""
    size = images.shape[1]
    distance = np.arange(size)[:, None] - np.arange(-size, 2 * size)[None]
    kernel = np.exp(-0.5 * (distance / (sigma * size / 128)) ** 2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    inside = kernel[:, size : 2 * size].copy()
    inside[:, 0] += kernel[:, :size].sum(axis=1)
    inside[:, -1] += kernel[:, 2 * size :].sum(axis=1)
    weights = inside[None].astype(np.float32)
    return resample(images, weights, weights)


def _jpeg(images: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    """Saved as a JPEG file of this quality."""
    out = np.empty_like(images)
    for index, picture in enumerate(np.rint(images * 255).astype(np.uint8)):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=round(quality))
        with Image.open(file) as read:
            out[index] = np.asarray(read, dtype=np.float32) / np.float32(255)
    return out


def _brightness(images: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """A lamp or an exposure brighter or darker by `amount`."""
    return images * (1 + amount * _signs(len(images), rng))


def _contrast(images: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Differences to the picture's mean smaller or greater by the factor exp(`amount`)."""
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    return mean + (images - mean) * np.exp(amount * _signs(len(images), rng))


def gains(count: int, amount: float, rng: np.random.Generator) -> np.ndarray:
    """float32 (N, 1, 1, 3): channels multiplied, the product 1, the greatest about exp(`amount`), in any hue."""
    hue = rng.uniform(0, 2 * np.pi, (count, 1, 1, 1)) + np.array([0, 2 * np.pi / 3, 4 * np.pi / 3])
    return np.exp(amount * np.cos(hue)).astype(np.float32)


def _colour(images: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """A white balance that is off."""
    return images * gains(len(images), amount, rng)


def stain(images: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Another stain: optical densities thicker or thinner by the factor exp(2.5 `amount`) and mixed between channels,
    as in stain augmentation (Tellez et al. 2018, doi 10.1109/TMI.2018.2820199)."""
    count = len(images)
    density = -np.log(np.maximum(images, 1 / 255))
    mixing = rng.standard_normal((count, 3, 3))
    mixing *= 3 * amount / np.linalg.norm(mixing, axis=(1, 2), keepdims=True)  # `amount` a cell in the mean square
    matrix = (np.eye(3) + mixing) * np.exp(2.5 * amount * _signs(count, rng)[..., 0])
    mixed = np.matmul(density.reshape(count, -1, 3), matrix.astype(np.float32)).reshape(images.shape)
    return np.asarray(np.exp(-np.maximum(mixed, 0)))


def _scale(images: np.ndarray, zoom: float, rng: np.random.Generator) -> np.ndarray:
    """Everything larger or smaller, about the centre: another objective, camera or crop."""
    weights = view(images.shape[1], zoom, np.zeros(1))
    return resample(images, weights, weights)


def _off_centre(images: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Moved by `amount` of the side in any direction."""
    size, angle = images.shape[1], rng.uniform(0, 2 * np.pi, len(images))
    return resample(images, view(size, 1, amount * np.sin(angle)), view(size, 1, amount * np.cos(angle)))


def _background(images: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Glass and red cells of another tint, brightness and evenness of light; nuclei, which absorb red, stay.

    The edge lies midway between the picture's palest and darkest red light, softened over a fifth of that range.
    """
    count, size = len(images), images.shape[1]
    density = -np.log(np.maximum(images[..., :1], 1 / 255))
    pale, dark = np.quantile(density, (0.1, 0.97), axis=(1, 2, 3), keepdims=False)
    spread = np.maximum(dark - pale, 0.1)[:, None, None, None]
    behind = 1 / (1 + np.exp((density - pale[:, None, None, None] - 0.5 * spread) / (0.1 * spread)))
    angle = rng.uniform(0, 2 * np.pi, (count, 1, 1, 1))
    across = np.linspace(-1, 1, size)
    light = 1 + amount * (np.cos(angle) * across[None, None, :, None] + np.sin(angle) * across[None, :, None, None])
    changed = images * light * gains(count, amount, rng) * (1 + amount * _signs(count, rng))
    return np.asarray(images + behind * (np.clip(changed, 0, 1) - images), dtype=np.float32)


def _noise(images: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Sensor noise with a deviation of `amount` of full scale."""
    return images + np.float32(amount) * rng.standard_normal(images.shape, dtype=np.float32)


_CHANGES: dict[str, tuple[Change, tuple[float, float, float]]] = {
    "blur": (blur, (0.6, 1.2, 2.4)),
    "jpeg": (_jpeg, (60, 30, 12)),
    "brightness": (_brightness, (0.12, 0.25, 0.45)),
    "contrast": (_contrast, (0.18, 0.35, 0.7)),
    "colour": (_colour, (0.06, 0.12, 0.25)),
    "stain": (stain, (0.05, 0.1, 0.2)),
    "scale_down": (_scale, (0.8, 0.6, 0.45)),
    "scale_up": (_scale, (1.2, 1.5, 2.0)),
    "off_centre": (_off_centre, (0.08, 0.15, 0.25)),
    "background": (_background, (0.06, 0.12, 0.25)),
    "noise": (_noise, (0.015, 0.03, 0.07)),
}
CORRUPTIONS = tuple(_CHANGES)
