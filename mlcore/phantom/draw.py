"""The drawing kit of the rendered smears: noise, outlines as signed distances, stains, the slide.

Everything is measured in *cell units*: one unit is one pixel of a 192 x 192 picture of one cell, in which a
red cell is about 38 units wide (some 0.2 µm a unit). Outlines are signed distances in those units, positive
inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageFilter

Floats: TypeAlias = NDArray[np.floating[Any]]
Pixels: TypeAlias = NDArray[np.uint8]
Colour: TypeAlias = tuple[float, float, float]

CANON: Colour = (251.0, 226.0, 203.0)
"""The empty slide in the stain in which all cells are described; a Stain carries them over to its own."""


def levels(colour: Colour) -> Floats:
    """A colour, or one number per channel, as an array (3,)."""
    return np.asarray(colour, np.float32)


@dataclass(frozen=True, slots=True)
class Stain:
    """How one slide is stained and lit.

    background: colour of the empty slide, 0..255. gain: factor on the optical density of leucocytes per
    channel. red_cell: optical density per channel of one thickness of red cell.
    """

    background: Colour
    gain: Colour
    red_cell: Colour

    def tint(self, colour: ArrayLike) -> Floats:
        """Canonical colours (..., 3) as they look in this stain."""
        share = np.clip(np.asarray(colour, np.float32), 6, 255) / levels(CANON)
        return np.asarray(levels(self.background) * share ** levels(self.gain), np.float32)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> Floats:
    """Smooth noise of unit variance (h, w) whose grain is `cell` pixels wide."""
    height, width = shape
    cell = max(cell, 1.0)
    grid = rng.standard_normal((int(height / cell) + 3, int(width / cell) + 3), dtype=np.float32)
    picture = Image.fromarray(grid).resize(
        (max(2, int(grid.shape[1] * cell)), max(2, int(grid.shape[0] * cell))), Image.Resampling.BICUBIC
    )
    top, left = rng.integers(0, int(cell) + 1, 2)
    noise = np.asarray(picture, np.float32)[top : top + height, left : left + width]
    return np.asarray(noise[:height, :width] * np.float32(1.35), np.float32)


def soft_step(value: Floats, steepness: float) -> Floats:
    """Logistic step 0..1 at zero."""
    return np.asarray(1 / (1 + np.exp(-np.clip(value * steepness, -30, 30))), np.float32)


def join(a: Floats, b: Floats, k: float = 2.0) -> Floats:
    """Union of two outlines, the waist filled in over `k` units."""
    h = np.clip(0.5 + 0.5 * (a - b) / k, 0, 1)
    return np.asarray(b + (a - b) * h + k * h * (1 - h), np.float32)


def meet(a: Floats, b: Floats, k: float = 2.0) -> Floats:
    """Intersection of two outlines, the corner rounded over `k` units."""
    return -join(-a, -b, k)


@dataclass(slots=True)
class Patch:
    """A window of the slide around one object: coordinates in cell units from its centre, and its randomness.

    x, y: (h, w). scale: pixels per unit. faces: straight contacts with neighbours as (nx, ny, distance).
    """

    x: Floats
    y: Floats
    scale: float
    rng: np.random.Generator
    faces: Sequence[tuple[float, float, float]] = field(default_factory=tuple)

    def noise(self, grain: float) -> Floats:
        """Smooth noise, grain in cell units; grain below a pixel averages out, as in a camera."""
        pixels = grain * self.scale
        return smooth_noise(self.rng, (self.x.shape[0], self.x.shape[1]), pixels) * np.float32(min(1.0, pixels / 1.6))

    def cover(self, distance: Floats, softness: float = 1.3) -> Floats:
        """Share of each pixel that lies inside the outline; softness in pixels at a scale of one."""
        return np.asarray(np.clip(distance / (softness / min(1.0, self.scale) ** 0.5) + 0.5, 0, 1), np.float32)

    def blob(
        self,
        radius: float,
        *,
        at: tuple[float, float] = (0.0, 0.0),
        longer: float = 1.0,
        turn: float | None = None,
        wobble: float = 0.03,
        waves: int = 5,
    ) -> Floats:
        """A round outline: `longer` is its axis ratio, `wobble` the unevenness of its edge."""
        turn = self.rng.uniform(0, 2 * np.pi) if turn is None else turn
        dx, dy = self.x - at[0], self.y - at[1]
        a = (dx * np.cos(turn) + dy * np.sin(turn)) / np.sqrt(longer)
        b = (-dx * np.sin(turn) + dy * np.cos(turn)) * np.sqrt(longer)
        rho = np.hypot(a, b)
        edge = np.full_like(rho, radius)
        if wobble:
            angle = np.arctan2(b, a)
            for k in range(2, 2 + waves):
                size = wobble * self.rng.normal() * 1.6 / k**0.7
                edge += np.float32(radius * size) * np.cos(k * angle + np.float32(self.rng.uniform(0, 6.28)))
        return np.asarray(edge - rho, np.float32)

    def rod(self, start: tuple[float, float], end: tuple[float, float], radius: float) -> Floats:
        """A straight rod with round ends."""
        ax, ay = end[0] - start[0], end[1] - start[1]
        length = ax * ax + ay * ay + 1e-6
        along = np.clip(((self.x - start[0]) * ax + (self.y - start[1]) * ay) / length, 0, 1)
        return np.asarray(radius - np.hypot(self.x - start[0] - along * ax, self.y - start[1] - along * ay), np.float32)

    def pressed(self, outline: Floats) -> Floats:
        """The outline flattened where neighbours press on it."""
        for nx, ny, distance in self.faces:
            outline = meet(outline, np.asarray(distance - nx * self.x - ny * self.y, np.float32), 3.0)
        return outline

    def dots(self, inside: Floats, count: int, radius: tuple[float, float]) -> Floats:
        """Round granules (h, w), 0..1, scattered where `inside` (0..1) is high."""
        out = np.zeros_like(self.x)
        weight = inside.ravel().astype(np.float64)
        if weight.sum() < 1 or count < 1:
            return out
        heap = np.cumsum(weight)
        picks = np.searchsorted(heap, self.rng.random(count) * heap[-1])
        rows, columns = np.divmod(picks, self.x.shape[1])
        sizes = self.rng.uniform(*radius, count) * self.scale
        for row, column, size in zip(rows.tolist(), columns.tolist(), sizes.tolist(), strict=True):
            reach = int(size + 1.5)
            top, left = max(0, row - reach), max(0, column - reach)
            part = out[top : row + reach + 1, left : column + reach + 1]
            dy = np.arange(top - row, top - row + part.shape[0], dtype=np.float32)[:, None]
            dx = np.arange(left - column, left - column + part.shape[1], dtype=np.float32)[None]
            np.maximum(part, np.clip(size + 0.5 - np.sqrt(dx * dx + dy * dy), 0, 1), out=part)
        return out


def blend(below: Floats, above: ArrayLike, share: Floats) -> Floats:
    """`above` (colour or (h, w, 3)) laid over `below` (h, w, 3) with the given share (h, w)."""
    return below + (np.asarray(above, np.float32) - below) * share[..., None]


class Slide:
    """The picture while it is drawn: red cells by thickness, leucocytes over them, then light and optics."""

    def __init__(self, shape: tuple[int, int], scale: float, stain: Stain, rng: np.random.Generator) -> None:
        self.height, self.width = shape
        self.scale = scale
        self.stain = stain
        self.rng = rng
        self.thickness = np.zeros(shape, np.float32)
        self.pixels = np.broadcast_to(levels(stain.background), (*shape, 3)).copy()

    def window(self, x: float, y: float, reach: float) -> tuple[slice, slice]:
        """Rows and columns within `reach` units of (x, y), which are in pixels."""
        r = reach * self.scale + 2
        return (
            slice(max(0, int(y - r)), max(0, min(self.height, int(y + r) + 1))),
            slice(max(0, int(x - r)), max(0, min(self.width, int(x + r) + 1))),
        )

    def patch(
        self, x: float, y: float, reach: float, faces: Sequence[tuple[float, float, float]] = ()
    ) -> tuple[tuple[slice, slice], Patch]:
        """The window around (x, y) and a Patch for it."""
        rows, columns = self.window(x, y, reach)
        gx = (np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(x)) / np.float32(self.scale)
        gy = (np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(y)) / np.float32(self.scale)
        grid_x, grid_y = np.meshgrid(gx, gy)
        return (rows, columns), Patch(grid_x, grid_y, self.scale, self.rng, faces)

    def red_cell(self, x: float, y: float, radius: float, *, pallor: float, rim: float) -> None:
        """One erythrocyte; pallor 0 (spherocyte) .. 1 (ring), rim: how much thicker its border is."""
        where, p = self.patch(x, y, radius * 1.45)
        if p.x.size == 0:
            return
        rng = self.rng
        d = p.blob(radius, longer=1 + abs(rng.normal(0, 0.13)), wobble=0.03, waves=3)
        t = 1 - d / radius
        spot = np.hypot(p.x - rng.normal(0, 1.3), p.y - rng.normal(0, 1.3)) / radius
        width = rng.uniform(0.3, 0.6)
        hollow = pallor * np.exp(-((spot / width) ** 2) * (1 if rng.random() < 0.6 else spot / width))
        shape = 0.9 + 0.16 * np.clip(1 - t, 0, 1) * (1 - pallor) + rim * np.exp(-(((t - 0.9) / 0.09) ** 2)) - hollow
        self.thickness[where] += p.cover(d, 1.6) * np.asarray(np.clip(shape, 0.03, 1.3), np.float32)

    def lay_red_cells(self) -> None:
        """Turn the collected thickness into colour, before leucocytes. Overlaps darken only a little."""
        t = self.thickness
        t = np.where(t > 1, 1 + 0.3 * (1 - np.exp(-(t - 1) / 0.7)), t)
        t = t * (1 + 0.03 * smooth_noise(self.rng, t.shape, 30 * self.scale))
        self.pixels *= np.exp(-t[..., None] * levels(self.stain.red_cell))

    def lay(self, where: tuple[slice, slice], colour: Floats, share: Floats) -> None:
        """Lay a drawn object (canonical colours) over the slide."""
        self.pixels[where] = blend(self.pixels[where], self.stain.tint(colour), share)

    def finish(
        self,
        *,
        blur: float,
        light: float,
        grain: float,
        sharpen: float = 0.0,
        corners: Colour = (0.0, 0.0, 0.0),
    ) -> Pixels:
        """The optics: light uneven by the share `light` and lost towards the corners per channel, blur in
        pixels, sharpening by the camera, `grain` levels of its noise."""
        rng = self.rng
        tilt = smooth_noise(rng, (self.height, self.width), 0.8 * max(self.height, self.width))
        out = self.pixels * (1 + light * np.clip(tilt, -2, 2))[..., None]
        if any(corners):
            across = np.linspace(-1, 1, self.width, dtype=np.float32)[None] ** 2
            down = np.linspace(-1, 1, self.height, dtype=np.float32)[:, None] ** 2
            out *= 1 - ((across + down) / 2)[..., None] * levels(corners)
        picture = Image.fromarray(np.clip(out, 0, 255).astype(np.uint8))
        if blur > 0.2:
            picture = picture.filter(ImageFilter.GaussianBlur(blur))
        if sharpen > 0:
            picture = picture.filter(ImageFilter.UnsharpMask(1.6 * max(1.0, self.scale), int(100 * sharpen), 1))
        noise = rng.standard_normal((self.height, self.width), dtype=np.float32)
        chroma = smooth_noise(rng, (self.height, self.width), 2.5)
        out = np.asarray(picture, np.float32) + grain * noise[..., None]
        out += grain * chroma[..., None] * levels((0.5, -0.3, 0.6))
        return np.clip(out + 0.5, 0, 255).astype(np.uint8)
