"""Fits the model of mlcore.kind: `python -m mlcore.kind fit`.

Pictures of one patient, block or frame stay on one side; a third of those groups is held out and only measured on.
"""

from __future__ import annotations

import argparse
import csv
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from mlcore.kind import MODEL, measure, standard
from mlcore.phantom import FIELDS, render_cell, render_field
from mlcore.phantom.cells import CELLS

RIDGE = 3.0
RENDERED_SEEDS = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured picture. source: where it came from; group: what must stay on one side; cell: the answer."""

    source: str
    group: str
    cell: bool
    measured: NDArray[np.float64]


def held_out(group: str) -> bool:
    """Whether a group is held out: a third of them, always the same ones."""
    return zlib.crc32(group.encode()) % 3 == 0


def read_rgb(path: Path) -> Image.Image:
    """The picture as RGB."""
    with Image.open(path) as picture:
        return picture.convert("RGB")


def frame(picture: Image.Image, rng: np.random.Generator, least: float) -> NDArray[np.uint8]:
    """The picture as another microscope might have given it: cropped to at least `least` of each side, turned,
    rescaled, with the light and colour changed a little."""
    width, height = picture.size
    w, h = (int(side * rng.uniform(least, 1)) for side in (width, height))
    left, top = int(rng.uniform(0, width - w)), int(rng.uniform(0, height - h))
    picture = picture.crop((left, top, left + w, top + h)).rotate(90 * int(rng.integers(4)), expand=True)
    scale = float(np.exp(rng.uniform(np.log(0.5), np.log(2))))
    picture = picture.resize((max(48, int(w * scale)), max(48, int(h * scale))), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture, np.float32) * rng.normal(1, 0.04, 3).astype(np.float32)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def centred(picture: Image.Image, rng: np.random.Generator, middle: tuple[float, float], side: float) -> Image.Image:
    """A nearly square cut-out around a cell that lies within `side` pixels, as a technician would crop it."""
    w, h = (side * rng.uniform(0.94, 1.06) for _ in range(2))
    x, y = (value + rng.normal(0, 0.03) * side for value in middle)
    box = (max(0, int(x - w / 2)), max(0, int(y - h / 2)))
    return picture.crop((*box, min(picture.width, int(x + w / 2)), min(picture.height, int(y + h / 2))))


def from_manifest(path: Path, group: str, *, cell: bool, most: int, rng: np.random.Generator) -> Iterator[Sample]:
    """Each picture as it is, and once changed."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    source = "cells" if cell else "fields"
    for index in tqdm(rng.permutation(len(rows))[:most], desc=source):
        row = rows[index]
        picture, name = read_rgb(path.parent / row["path"]), f"{source}/{row[group]}"
        yield Sample(source, name, cell, measure(np.asarray(picture)))
        if cell:
            middle = (picture.width / 2, picture.height / 2)
            picture = centred(picture, rng, middle, picture.width * rng.uniform(0.55, 1))
        yield Sample(f"{source}, changed", name, cell, measure(frame(picture, rng, 0.97 if cell else 0.7)))


def from_detection(path: Path, rng: np.random.Generator) -> Iterator[Sample]:
    """Whole frames, and cut-outs around each box of a leucocyte."""
    frames: dict[str, list[dict[str, str]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            frames.setdefault(row["path"], []).append(row)
    for name, rows in tqdm(frames.items(), desc="detection"):
        picture = read_rgb(path.parent / name)
        yield Sample("frames", name, False, measure(np.asarray(picture)))
        yield Sample("frames, changed", name, False, measure(frame(picture, rng, 0.9)))
        for row in (row for row in rows if row["label"] == "wbc"):
            x0, y0, x1, y1 = (int(row[key]) for key in ("x_min", "y_min", "x_max", "y_max"))
            side = max(x1 - x0, y1 - y0) * rng.uniform(1.0, 1.5)
            cut = centred(picture, rng, ((x0 + x1) / 2, (y0 + y1) / 2), side)
            yield Sample("boxes", name, True, measure(frame(cut, rng, 0.98)))


def from_phantom(each: int) -> Iterator[Sample]:
    """Rendered cells and fields, the fields also in the shape of a camera's frame."""
    for seed in tqdm(range(each), desc="rendered"):
        for label in CELLS:
            yield Sample("rendered cells", f"{label}/{seed}", True, measure(render_cell(label, seed=seed)))
        for label in FIELDS:
            for copy, size in enumerate(((224, 224), (320, 240))):
                pixels = render_field(label, seed=each * copy + seed, size=size)
                yield Sample("rendered fields", f"{label}/{seed}", False, measure(pixels))


def logistic(terms: NDArray[np.float64], cell: NDArray[np.bool_], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ridge-penalised logistic regression by Newton's method: (n, k), (n,), (n,) -> (k + 1,), the bias last."""
    x = np.hstack([terms, np.ones((len(terms), 1))])
    penalty = np.full(x.shape[1], RIDGE)
    penalty[-1] = 1e-6
    beta = np.zeros(x.shape[1])
    for _ in range(40):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (weight * (cell - p)) - penalty * beta
        curvature = (x.T * (weight * np.maximum(p * (1 - p), 1e-6))) @ x + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        beta += step * min(1.0, 4 / (1e-9 + float(np.abs(step).max())))
        if np.abs(step).max() < 1e-5:
            break
    return beta


def fit(samples: list[Sample]) -> dict[str, object]:
    """The model and its accuracy on held-out groups, by source. Every source weighs the same."""
    measured = np.array([sample.measured for sample in samples])
    cell = np.array([sample.cell for sample in samples])
    test = np.array([held_out(sample.group) for sample in samples])
    sources = np.array([sample.source for sample in samples])
    mean, deviation = measured[~test].mean(0), measured[~test].std(0) + 1e-6
    terms = standard(measured, mean, deviation)
    names, where, counts = np.unique(sources[~test], return_inverse=True, return_counts=True)
    weight = (~test).sum() / len(names) / counts[where]
    beta = logistic(terms[~test], cell[~test], weight).round(5)
    right = ((terms @ beta[:-1] + beta[-1]) >= 0) == cell
    figures = {}
    for name in names:
        measured_on = (sources == name) & test
        accuracy = round(float(right[measured_on].mean()), 4)
        figures[str(name)] = {"pictures": int(measured_on.sum()), "accuracy": accuracy}
    return {
        "mean": mean.round(6).tolist(),
        "deviation": deviation.round(6).tolist(),
        "weights": beta[:-1].tolist(),
        "bias": float(beta[-1]),
        "held_out": {"split": "a third of the patients, blocks and frames", "by_source": figures},
    }


def main() -> None:
    """Parse the command line, fit, write kind.json and print the held-out accuracy by source."""
    parser = argparse.ArgumentParser(prog="python -m mlcore.kind", description="Tell fields from cells.")
    command = parser.add_subparsers(required=True).add_parser("fit", help="fit and measure on held-out groups")
    command.add_argument("--cells", type=Path, required=True, help="manifest with path and patient_id")
    command.add_argument("--fields", type=Path, required=True, help="manifest with path and block")
    command.add_argument("--detection", type=Path, help="frames with boxes: path, label, x_min, y_min, x_max, y_max")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    samples = list(from_manifest(arguments.cells, "patient_id", cell=True, most=3000, rng=rng))
    samples += from_manifest(arguments.fields, "block", cell=False, most=3000, rng=rng)
    if arguments.detection:
        samples += from_detection(arguments.detection, rng)
    samples += from_phantom(RENDERED_SEEDS)
    model = fit(samples)
    MODEL.write_text(json.dumps(model, separators=(",", ":")) + "\n")
    print(json.dumps(model["held_out"], indent=1))
