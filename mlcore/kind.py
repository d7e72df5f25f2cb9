"""Is a picture a whole microscope field or one cell? Asked where a person did not say; a person can correct it.

A logistic model on some thirty measurements: how much nuclear violet there is, in how many pieces and how central,
how violet falls off from the middle, how coarse the picture is, and its shape. Coefficients and held-out accuracy
stand in kind.json, written by

    python -m mlcore.kind fit --cells M.csv --fields M.csv [--detection annotations.csv]
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
MODEL = Path(__file__).with_name("kind.json")


def measure(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The measurements of a picture: uint8 (H, W, 3) -> float64 (n,)."""
    height, width = pixels.shape[:2]
    step = max(1, min(height, width) // (3 * SIDE))
    small = Image.fromarray(np.ascontiguousarray(pixels[::step, ::step])).resize((SIDE, SIDE), Image.Resampling.BOX)
    rgb = np.asarray(small, np.float64) + 1
    empty = np.percentile(rgb.reshape(-1, 3), 92, axis=0)
    density = np.clip(-np.log(rgb / empty), -0.1, 3)  # optical density over the empty slide
    violet = np.clip(density[..., 1] - density[..., 2], 0, None)
    top = float(np.percentile(violet, 99)) + 1e-6
    violet /= top
    grid = (np.arange(SIDE) + 0.5) / SIDE - 0.5
    x, y = np.meshgrid(grid, grid)
    radius = np.hypot(x, y)
    features = [top, float(density[..., 1].mean()), float(density[..., 1].std()), float(density[..., 2].std())]
    features += [float((violet > limit).mean()) for limit in (0.25, 0.5, 0.75)]
    # How violet falls off from the middle, and how it is spread.
    mass = violet**2 + 1e-6
    total = mass.sum()
    cx, cy = float((mass * x).sum() / total), float((mass * y).sum() / total)
    features += [float(np.hypot(cx, cy)), float(np.sqrt((mass * ((x - cx) ** 2 + (y - cy) ** 2)).sum() / total))]
    rings = np.digitize(radius, (0.08, 0.16, 0.24, 0.32, 0.40, 0.50))
    features += [float(np.log(0.02 + violet[rings == ring].mean())) for ring in range(7)]
    border = np.ones_like(radius, bool)
    border[4:-4, 4:-4] = False
    features += [float((violet[border] > 0.5).mean()), float(mass[radius < 0.25].sum() / total)]
    # Pieces of nuclear material.
    sizes, offsets = _pieces(violet > 0.5)
    largest = float(sizes[0]) if sizes.size else 0.0
    features += [
        float(np.log1p(sizes.size)),
        float(np.log1p((sizes > 0.004 * SIDE * SIDE).sum())),
        float(np.log1p(largest)),
        largest / max(1.0, float(sizes.sum())),
        float(offsets[0]) if sizes.size else 0.7,
    ]
    # Coarseness: how the contrast is shared among details of 1, 2, 4, 8 and 16 grid steps.
    level, bands = density[..., 1], []
    for _ in range(5):
        halved = level.reshape(level.shape[0] // 2, 2, level.shape[1] // 2, 2).mean((1, 3))
        bands.append(float(((level - halved.repeat(2, 0).repeat(2, 1)) ** 2).mean()))
        level = halved
    whole = sum(bands) + 1e-9
    features += [float(np.log(band / whole + 1e-3)) for band in bands]
    features.append(abs(float(np.log(width / height))))
    return np.array(features)


def _pieces(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sizes of the connected pieces, largest first, and how far each lies from the middle (in sides)."""
    names = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:  # every pixel takes the highest name among its neighbours until nothing changes
        padded = np.pad(names, 1)
        spread = np.maximum.reduce(
            [padded[1:-1, 1:-1], padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
        )
        spread = np.where(mask, spread, 0)
        # A name is also a place: jump to the name found there, which shortens long ways.
        spread = np.where(mask, np.maximum(spread, spread.ravel()[np.maximum(spread, 1) - 1]), 0)
        if np.array_equal(spread, names):
            break
        names = spread
    labels, index, sizes = np.unique(names[mask], return_inverse=True, return_counts=True)
    if not labels.size:
        return np.zeros(0, np.int64), np.zeros(0)
    rows, columns = np.nonzero(mask)
    middle = (mask.shape[0] - 1) / 2
    offsets = (
        np.hypot(np.bincount(index, rows) / sizes - middle, np.bincount(index, columns) / sizes - middle)
        / mask.shape[0]
    )
    order = np.argsort(-sizes, kind="stable")
    return sizes[order], offsets[order]


def standard(
    measured: NDArray[np.float64], mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measurements in deviations from the mean; strange pictures are kept from shouting by a limit of four."""
    return np.clip((measured - mean) / deviation, -4, 4)


@functools.cache
def _model() -> dict[str, Any]:
    model: dict[str, Any] = json.loads(MODEL.read_text())
    return {key: np.array(value) if isinstance(value, list) else value for key, value in model.items()}


def guess_kind(pixels: NDArray[np.uint8]) -> tuple[str, float]:
    """("field" or "cell", how sure: 0.5..1) for a picture of any size, uint8 (H, W, 3) RGB."""
    model = _model()
    terms = standard(measure(pixels), model["mean"], model["deviation"])
    chance = 1 / (1 + np.exp(-np.clip(float(terms @ model["weights"]) + model["bias"], -30, 30)))
    return ("cell", float(chance)) if chance >= 0.5 else ("field", float(1 - chance))


if __name__ == "__main__":
    from mlcore.kindfit import main

    main()
