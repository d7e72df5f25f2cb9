"""Pictures a network should find unlike its training: what is no blood at all, and blood through another microscope.

The novelty score is measured against them (AUROC against held-out pictures); nothing is trained on them.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mlcore import images
from mlcore.corruptions import blur
from mlcore.phantom import FIRST_UNTRAINED_SEED, render_cell, render_field
from mlcore.preprocessing import Preprocessing

LETTERS = np.array(list("aabcdeeefghiiklmnoopqrsstuvwxyz"))
MARGIN = 1.9  # side of the crop about a leukocyte, in sides of its box: what pictures of single cells show about it


class AnnotationsError(ValueError):
    """The annotations cannot be used; the message says why and what to do."""


def non_blood(count: int, size: int, seed: int) -> dict[str, np.ndarray]:
    """What it shows -> uint8 (count, size, size, 3). The same for the same seed.

    Photographs come with scikit-learn (a palace, a flower) and matplotlib (a portrait, a scan of a head).
    """
    rng = np.random.default_rng([seed, 71])
    photographs, scan = _photographs()
    draw: dict[str, Callable[[], Image.Image]] = {
        "noise": lambda: _noise(size, rng),
        "text": lambda: _text(2 * size, rng),
        "landscape": lambda: _landscape(2 * size, rng),
        "plain": lambda: _plain(size, rng),
        "chart": lambda: _chart(2 * size, rng),
        "pattern": lambda: _pattern(size, rng),
        "photograph": lambda: _crop(photographs[rng.integers(len(photographs))], rng),
        "scan": lambda: _crop(scan, rng),
        "tissue": lambda: _tissue(size, rng),
    }
    return {
        kind: np.stack(
            [np.asarray(one().convert("RGB").resize((size, size), Image.Resampling.BOX)) for _ in range(count)]
        )
        for kind, one in draw.items()
    }


def other_task(task: str, count: int, size: int, seed: int) -> np.ndarray:
    """uint8 (count, size, size, 3): rendered fields for the network of cells, rendered cells for that of fields."""
    labels, render = (
        (("benign", "early_pre_b", "pre_b", "pro_b"), render_field)
        if task == "cell"
        else (("blast", "lymphocyte", "monocyte", "neutrophil"), render_cell)
    )
    first = FIRST_UNTRAINED_SEED + 10_000 * seed
    return np.stack([render(labels[i % len(labels)], seed=first + i, size=size) for i in range(count)])


def foreign(manifest: Path, size: int, task: str, limit: int | None = None) -> np.ndarray:
    """uint8 (N, size, size, 3) from a CSV of boxes, as detection sets have them: `path` (relative to the file),
    `label`, `x_min`, `y_min`, `x_max`, `y_max` in pixels. For "field" whole pictures, for "cell" a square about every
    box labelled `wbc`. The first `limit`, or all. Raises AnnotationsError.
    """
    with manifest.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = {"path", "label", "x_min", "y_min", "x_max", "y_max"} - set(reader.fieldnames or [])
        if missing:
            raise AnnotationsError(f"{manifest}: there is no column {', '.join(sorted(missing))}")
        rows = list(reader)
    wanted: list[tuple[str, dict[str, str] | None]]
    if task == "field":
        wanted = [(path, None) for path in dict.fromkeys(row["path"] for row in rows)]
    else:
        wanted = [(row["path"], row) for row in rows if row["label"].lower() == "wbc"]
    if not wanted:
        raise AnnotationsError(f"{manifest}: no box is labelled wbc")
    square = Preprocessing(size).square
    out = []
    for path, row in wanted[:limit]:
        file = manifest.parent / path
        if not file.is_file():
            raise AnnotationsError(f"{manifest}: there is no file {path}")
        pixels = images.decode(file.read_bytes())
        if row is not None:
            try:
                box = [float(row[name]) for name in ("x_min", "y_min", "x_max", "y_max")]
            except ValueError as error:
                raise AnnotationsError(f"{manifest}: a box of {path} is no number: {error}") from error
            pixels = _about(pixels, *box)
        out.append(square(pixels))
    return np.stack(out)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One microscope with its stainer and camera: densities are scaled and mixed (`stain`, rows in, columns out),
    the light is multiplied (`lamp`), then `focus` is the blur in px at 128 px, `sharpen` what unsharp masking adds,
    `vignette` the loss of light at the corners, `saturation` and `gamma` the camera's."""

    stain: tuple[tuple[float, float, float], ...]
    lamp: tuple[float, float, float]
    focus: float
    sharpen: float
    vignette: float
    saturation: float
    gamma: float


# Each is well beyond medium corruption in several respects at once, as a telephone held to an eyepiece is.
INSTRUMENTS = {
    "telephone": Instrument(((1.1, 0, 0), (0, 1.1, 0), (0, 0.1, 1)), (1.1, 0.95, 0.62), 1.1, 1.5, 0.55, 1.2, 0.9),
    "old camera": Instrument(((1, 0, 0), (0, 1, 0), (0, 0, 1)), (0.78, 0.9, 1.12), 2.2, 1.2, 0.15, 0.4, 1.2),
    "scanner": Instrument(((0.9, 0, 0.1), (0, 1.3, 0), (0, 0, 1.4)), (1.1, 1.1, 1.1), 0.5, 3.0, 0, 1.5, 0.8),
    "eosin": Instrument(((0.7, 0.35, 0), (0, 1.3, 0.35), (0, 0.3, 0.8)), (1.0, 0.97, 0.97), 0.8, 0.5, 0.1, 1.1, 1.0),
    "halogen": Instrument(((0.7, 0, 0), (0, 0.7, 0), (0, 0, 0.7)), (0.86, 0.68, 0.36), 1.4, 0, 0.35, 0.9, 1.1),
}


def other_microscopes(squares: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """uint8 (N, S, S, 3) of blood -> instrument -> the same pictures as it would give them, each a little different."""
    rng = np.random.default_rng([seed, 83])
    return {name: _through(squares, instrument, rng) for name, instrument in INSTRUMENTS.items()}


def _through(squares: np.ndarray, instrument: Instrument, rng: np.random.Generator) -> np.ndarray:
    count, size = squares.shape[:2]
    density = -np.log(np.maximum(squares.astype(np.float32), 1) / 255)
    density = density @ np.asarray(instrument.stain, dtype=np.float32)
    density *= rng.uniform(0.9, 1.1, (count, 1, 1, 1)).astype(np.float32)
    light = np.exp(-density) * (np.asarray(instrument.lamp) * rng.uniform(0.96, 1.04, (count, 1, 1, 3))).astype(
        np.float32
    )
    place = np.linspace(-1, 1, size, dtype=np.float32)
    light *= (1 - instrument.vignette / 2 * (place**2 + place[:, None] ** 2))[None, :, :, None]
    light = blur(light, instrument.focus)
    light += instrument.sharpen * (light - blur(light, 1.0))
    grey = light.mean(axis=-1, keepdims=True)
    light = np.clip(grey + instrument.saturation * (light - grey), 0, 1) ** instrument.gamma
    return np.rint(light * 255).astype(np.uint8)


def _about(pixels: np.ndarray, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """A square of MARGIN sides about a box, moved inwards where it would leave the picture."""
    height, width = pixels.shape[:2]
    side = int(min(MARGIN * max(right - left, bottom - top, 8), height, width))
    x = int(np.clip((left + right - side) / 2, 0, width - side))
    y = int(np.clip((top + bottom - side) / 2, 0, height - side))
    return pixels[y : y + side, x : x + side]


def _photographs() -> tuple[list[Image.Image], Image.Image]:
    """(photographs, a scan of a head) that come with libraries training needs, and service does without."""
    from matplotlib import cbook
    from sklearn.datasets import load_sample_images

    pictures = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    pictures.append(Image.open(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))).convert("RGB"))
    packed = Path(str(cbook.get_sample_data("s1045.ima.gz", asfileobj=False))).read_bytes()
    scan = np.frombuffer(gzip.decompress(packed), dtype=np.uint16).reshape(256, 256)
    return pictures, Image.fromarray((scan / scan.max() * 255).astype(np.uint8)).convert("RGB")


def _crop(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    side = int(min(picture.size) * rng.uniform(0.3, 0.95))
    left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
    return picture.crop((left, top, left + side, top + side))


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3)
    return int(red), int(green), int(blue)


def _noise(size: int, rng: np.random.Generator) -> Image.Image:
    """White, in grey or colour, fine or in coarse squares."""
    grain, channels = int(rng.choice([1, 2, 4, 8])), int(rng.choice([1, 3]))
    pixels = rng.integers(0, 256, (size // grain + 1, size // grain + 1, channels))
    pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3)).repeat(grain, axis=0).repeat(grain, axis=1)
    return Image.fromarray(pixels[:size, :size].astype(np.uint8))


def _text(size: int, rng: np.random.Generator) -> Image.Image:
    """A page, black on white or reversed or on coloured paper."""
    ink, paper = [((10, 10, 10), (255, 255, 255)), ((235, 235, 235), (20, 20, 25)), (_colour(rng), _colour(rng))][
        rng.choice(3, p=[0.6, 0.2, 0.2])
    ]
    picture = Image.new("RGB", (size, size), paper)
    height = int(rng.integers(size // 22, size // 7))
    font, pen = ImageFont.load_default(height), ImageDraw.Draw(picture)
    for top in range(height // 2, size, int(height * 1.3)):
        words = ["".join(rng.choice(LETTERS, rng.integers(2, 10))) for _ in range(16)]
        pen.text((height // 2, top), " ".join(words), ink, font)
    return picture


def _landscape(size: int, rng: np.random.Generator) -> Image.Image:
    """Sky, sun, hills and trees."""
    sky = np.linspace(rng.uniform(90, 200, 3), rng.uniform(180, 255, 3), size)[:, None].repeat(size, axis=1)
    picture = Image.fromarray(sky.astype(np.uint8))
    pen, place = ImageDraw.Draw(picture), np.arange(0, size + 8, 8)
    x, y, r = rng.uniform(0.1, 0.9) * size, rng.uniform(0.05, 0.3) * size, rng.uniform(0.04, 0.1) * size
    pen.ellipse((x - r, y - r, x + r, y + r), (255, 240, int(rng.integers(120, 200))))
    for depth in range(3):
        waves = np.sin(place / size * rng.uniform(4, 14) + rng.uniform(0, 6)) * rng.uniform(0.03, 0.12)
        edge = size * (0.45 + 0.16 * depth + waves)
        ground = tuple(int(v) for v in rng.uniform((20, 70, 20), (120, 160, 90)))
        pen.polygon([*zip(place.tolist(), edge.tolist(), strict=True), (size, size), (0, size)], ground)
        for _ in range(int(rng.integers(0, 7))):
            x, base, tall = rng.uniform(0, size), rng.uniform(0.6, 1) * size, rng.uniform(0.1, 0.3) * size
            pen.polygon(
                [(x - tall / 3, base), (x + tall / 3, base), (x, base - tall)], (15, int(rng.integers(50, 100)), 30)
            )
    return picture


def _plain(size: int, rng: np.random.Generator) -> Image.Image:
    """One colour, or a gradient between two in any direction."""
    first, second = np.array(_colour(rng)), np.array(_colour(rng))
    angle, place = rng.uniform(0, 2 * np.pi), np.linspace(-0.5, 0.5, size)
    share = 0.5 + (np.cos(angle) * place + np.sin(angle) * place[:, None]) / np.sqrt(2) * rng.choice([0, 1, 2])
    return Image.fromarray((first + np.clip(share, 0, 1)[..., None] * (second - first)).astype(np.uint8))


def _chart(size: int, rng: np.random.Generator) -> Image.Image:
    """Bars, a pie, a line or loose shapes on plain ground."""
    picture = Image.new("RGB", (size, size), (255, 255, 255) if rng.random() < 0.6 else _colour(rng))
    pen, what = ImageDraw.Draw(picture), rng.integers(4)
    bars = int(rng.integers(3, 12))
    if what == 0:
        for bar in range(bars):
            left, top = size * (bar + 0.6) / (bars + 1), size * rng.uniform(0.1, 0.85)
            pen.rectangle((left, top, left + size * 0.7 / (bars + 1), 0.92 * size), _colour(rng))
    elif what == 1:
        ends = np.concatenate([[0], np.sort(rng.uniform(0, 360, bars - 1)), [360]])
        for start, end in pairwise(ends):
            pen.pieslice((0.15 * size, 0.15 * size, 0.85 * size, 0.85 * size), float(start), float(end), _colour(rng))
    elif what == 2:
        for _ in range(int(rng.integers(1, 5))):
            heights = np.cumsum(rng.standard_normal(20)) * 0.07 + 0.5
            line = [(size * (0.08 + i * 0.045), size * float(height)) for i, height in enumerate(heights)]
            pen.line(line, _colour(rng), width=max(2, size // 60))
    else:
        for _ in range(int(rng.integers(2, 10))):
            x, y, r = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(0.04, 0.3) * size
            pen.regular_polygon((x, y, r), int(rng.integers(3, 7)), float(rng.uniform(0, 90)), _colour(rng))
    if what in (0, 2):
        pen.line([(0.06 * size, 0.05 * size), (0.06 * size, 0.93 * size), (0.97 * size, 0.93 * size)], (0, 0, 0), 3)
    return picture


def _pattern(size: int, rng: np.random.Generator) -> Image.Image:
    """Stripes, checks or dots of two colours, at any angle."""
    y, x = np.mgrid[:size, :size] * (rng.uniform(2, 16) * np.pi / size)
    angle = rng.uniform(0, np.pi)
    along, across = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    wave = [np.sin(along), np.sin(along) * np.sin(across), np.sin(along) + np.sin(across) - 1][rng.integers(3)]
    first, second = np.array(_colour(rng)), np.array(_colour(rng))
    return Image.fromarray(np.where(wave[..., None] > 0, first, second).astype(np.uint8))


def _tissue(size: int, rng: np.random.Generator) -> Image.Image:
    """A stained section: pink fibres in waves, small violet nuclei strewn through them, no leukocyte alone."""
    y, x = np.mgrid[:size, :size] / size
    angle, bend = (
        rng.uniform(0, np.pi),
        rng.uniform(0.02, 0.1) * np.sin(2 * np.pi * (x * rng.uniform(1, 3) + rng.random())),
    )
    along = np.cos(angle) * x + np.sin(angle) * y + bend
    fibres = sum(np.sin(2 * np.pi * (f * along + rng.random())) for f in rng.uniform(4, 26, 4)) / 4
    grain = Image.fromarray(rng.uniform(0, 255, (size // 4, size // 4)).astype(np.uint8)).resize((size, size))
    texture = 0.6 * np.asarray(fibres) + 0.8 * (np.asarray(grain) / 255 - 0.5)
    pink, pale = np.array(rng.uniform((200, 110, 150), (235, 160, 200))), np.array((250, 225, 238))
    picture = Image.fromarray(np.clip(pale + (pink - pale) * (0.6 + 0.5 * texture[..., None]), 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(25, 120))):
        left, top = rng.uniform(-0.05, 1, 2) * size
        wide, tall = rng.uniform(0.015, 0.05, 2) * size
        violet = tuple(int(v) for v in rng.uniform((70, 40, 110), (130, 90, 165)))
        pen.ellipse((left, top, left + wide, top + tall), violet)
    return picture
