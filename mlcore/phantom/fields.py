"""Pictures of one cell and whole microscope fields, composed from the drawn cells."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlcore.phantom.cells import CELLS, lymphoblast
from mlcore.phantom.draw import Colour, Pixels, Slide, Stain, blend, soft_step
from mlcore.phantom.texture import fill

DRAWINGS = CELLS | {"lymphoblast": (lymphoblast, 64.0)}

WARM = Stain((251, 226, 203), (1.0, 1.0, 1.0), (0.36, 0.58, 0.32))
COOL = Stain((246, 242, 230), (0.93, 0.97, 1.05), (0.40, 0.49, 0.44))
ROSE = Stain((248, 224, 208), (0.88, 1.05, 1.0), (0.33, 0.62, 0.36))

# Chance of a leucocyte lying against the cell, and what it is: immature cells come in crowds.
NEIGHBOURS: dict[str, tuple[float, tuple[str, ...]]] = {
    "blast": (0.3, ("blast",)),
    "promyelocyte": (0.3, ("promyelocyte",)),
    "monocyte": (0.12, ("blast", "lymphocyte")),
    "immature_granulocyte": (0.1, ("blast", "neutrophil")),
}


@dataclass(frozen=True, slots=True)
class FieldLook:
    """What a class of field looks like at low power.

    stains: of the slides it was seen on. cells: least and most leucocytes per 224 x 224 field. mix: (label,
    weight, relative size). ghosts: most pale smudges. chains: share of red cells lying in rouleaux.
    red_cells: least and most per field. crowd: chance that a leucocyte lies against another.
    """

    stains: tuple[Stain, ...]
    cells: tuple[int, int]
    mix: tuple[tuple[str, float, float], ...]
    ghosts: int
    chains: float
    red_cells: tuple[int, int]
    crowd: float


FIELDS: dict[str, FieldLook] = {
    "benign": FieldLook(
        (
            Stain((251, 254, 250), (0.60, 0.55, 0.20), (0.24, 0.22, 0.10)),
            Stain((240, 253, 250), (0.66, 0.55, 0.12), (0.34, 0.22, 0.13)),
        ),
        (6, 13),
        (
            ("lymphocyte", 6, 0.82),  # haematogones: small, dense, hardly any cytoplasm
            ("erythroblast", 1.5, 0.8),
            ("neutrophil", 1.2, 1.0),
            ("immature_granulocyte", 1.6, 1.05),
            ("monocyte", 0.6, 0.95),
            ("promyelocyte", 0.5, 0.95),
            ("smudge_cell", 0.5, 0.9),
        ),
        1,
        0.15,
        (140, 215),
        0.1,
    ),
    "early_pre_b": FieldLook(
        (Stain((246, 254, 250), (0.57, 0.54, 0.09), (0.34, 0.30, 0.15)),),
        (5, 10),
        (("lymphoblast", 7, 0.93), ("blast", 1, 0.93), ("lymphocyte", 0.8, 1.0)),
        1,
        0.55,
        (115, 175),
        0.45,
    ),
    "pre_b": FieldLook(
        (Stain((244, 254, 251), (0.62, 0.55, 0.08), (0.42, 0.31, 0.07)),),
        (14, 23),
        (("lymphoblast", 5, 1.0), ("lymphoblast", 6, 0.76), ("blast", 1, 1.0), ("lymphocyte", 1, 1.0)),
        4,
        0.2,
        (90, 140),
        0.3,
    ),
    "pro_b": FieldLook(
        (Stain((254, 255, 251), (0.22, 0.34, 0.04), (0.27, 0.23, 0.15)),),
        (5, 9),
        (("lymphoblast", 7, 0.92), ("blast", 1, 0.92), ("lymphocyte", 0.4, 0.95)),
        2,
        0.12,
        (110, 175),
        0.4,
    ),
}


FIRST_UNTRAINED_SEED = 1_000_000
"""Training draws its rendered share from seeds below; what checks or shows a network uses seeds from here on."""


def generator(kind: str, label: str, seed: int) -> np.random.Generator:
    """The randomness of one picture: the same for the same kind, label and seed, unrelated to all others."""
    return np.random.default_rng([zlib.crc32(f"{kind}/{label}".encode()), seed])


def vary(stain: Stain, rng: np.random.Generator, amount: float) -> Stain:
    """The stain of another day: density, hue and lamp a little different."""

    def scaled(values: Colour, spread: float, whole: float) -> Colour:
        r, g, b = (float(v * whole * rng.normal(1, spread)) for v in values)
        return (r, g, b)

    r, g, b = scaled(stain.background, 0.005 * amount, float(rng.normal(1, 0.008 * amount)))
    strength = float(np.clip(rng.normal(1, 0.07 * amount), 0.75, 1.3))
    return Stain(
        (min(r, 255.0), min(g, 255.0), min(b, 255.0)),
        scaled(stain.gain, 0.018 * amount, strength),
        scaled(stain.red_cell, 0.04 * amount, float(np.clip(rng.normal(1, 0.1 * amount), 0.65, 1.35))),
    )


def debris(slide: Slide, count: int, size: float) -> None:
    """Small platelets: violet specks a third of a red cell wide."""
    rng = slide.rng
    for _ in range(count):
        where, p = slide.patch(rng.uniform(0, slide.width), rng.uniform(0, slide.height), size * 2.5)
        if p.x.size < 9:
            continue
        d = p.blob(size * rng.uniform(0.6, 1.2), longer=rng.uniform(1, 1.5), wobble=0.12)
        colour = fill(p, (186, 162, 196), 6)
        colour = blend(colour, (128, 74, 146), 0.8 * soft_step(p.noise(1.6) + 0.2, 3))
        slide.lay(where, colour, 0.85 * p.cover(d, 2.5))


def leucocyte(
    slide: Slide,
    label: str,
    x: float,
    y: float,
    faces: Sequence[tuple[float, float, float]] = (),
    share: float = 1.0,
) -> None:
    """Draw one leucocyte centred at pixel (x, y); `share` below one leaves a ghost."""
    draw, reach = DRAWINGS[label]
    where, p = slide.patch(x, y, reach, faces)
    if p.x.shape[0] < 3 or p.x.shape[1] < 3:
        return
    colour, cover = draw(p)
    slide.lay(where, colour, cover * np.float32(share))


def scatter_red_cells(
    slide: Slide,
    count: int,
    *,
    radius: float,
    chains: float,
    pallor: float,
    rim: float = 0.07,
    keep: float = 0.0,
) -> None:
    """Scatter `count` erythrocytes of `radius` units, none nearer than `keep` units to the middle."""
    rng, s = slide.rng, slide.scale
    put: list[tuple[float, float]] = []
    x = y = way = 0.0
    for _ in range(count * 3):
        if len(put) >= count:
            break
        if put and rng.random() < chains:
            way += rng.normal(0, 0.5)
            x, y = x + np.cos(way) * radius * 1.45 * s, y + np.sin(way) * radius * 1.45 * s
        else:
            x, y = (
                rng.uniform(-radius * s, slide.width + radius * s),
                rng.uniform(-radius * s, slide.height + radius * s),
            )
            way = rng.uniform(0, 6.28)
            near = [1 for a, b in put if (a - x) ** 2 + (b - y) ** 2 < (1.75 * radius * s) ** 2]
            if near and rng.random() < 0.82:
                continue
        if keep and np.hypot(x - slide.width / 2, y - slide.height / 2) < (keep + 0.62 * radius) * s:
            continue
        put.append((float(x), float(y)))
        hollow = float(np.clip(rng.normal(pallor, 0.22), 0.0, 0.95))
        slide.red_cell(x, y, radius * float(np.clip(rng.normal(1, 0.08), 0.75, 1.25)), pallor=hollow, rim=rim)
    slide.lay_red_cells()


def render_cell(label: str, *, seed: int, size: int = 192) -> Pixels:
    """A rendered picture of one cell among red cells, as a 100x objective shows it.

    label: one of the twelve cell classes. seed: a non-negative integer; the same seed gives the same pixels.
    size: side in pixels (the cell fills the same share of it). Gives uint8 (size, size, 3) RGB.
    Raises ValueError for an unknown label.
    """
    if label not in CELLS:
        raise ValueError(f"no cell class is called {label!r}; the classes are {', '.join(CELLS)}")
    rng = generator("cell", label, seed)
    stain = vary([WARM, COOL, ROSE][int(rng.choice(3, p=[0.76, 0.16, 0.08]))], rng, 1.0)
    slide = Slide((size, size), size / 192, stain, rng)
    reach = 0.62 * CELLS[label][1]
    scatter_red_cells(
        slide,
        int(rng.integers(11, 32)),
        radius=float(rng.uniform(17.5, 21)),
        chains=rng.uniform(0, 0.3),
        pallor=rng.uniform(0.15, 0.75),
        keep=0.9 * reach,
    )
    debris(slide, int(rng.poisson(0.7)), 6.0)
    middle = size / 2 + rng.normal(0, 2.5, 2) * slide.scale
    faces = []
    chance, kinds = NEIGHBOURS.get(label, (0.04, ("lymphocyte", "neutrophil")))
    turn = rng.uniform(0, 6.28)
    for n in range(2):
        if rng.random() > chance:
            continue
        other = str(rng.choice(kinds))
        turn += n * rng.uniform(1.6, 2.4)
        nx, ny = float(np.cos(turn)), float(np.sin(turn))
        distance = reach + 0.62 * CELLS[other][1]
        face = reach * rng.uniform(0.92, 1.0)
        x, y = middle[0] + nx * distance * slide.scale, middle[1] + ny * distance * slide.scale
        leucocyte(slide, other, x, y, [(-nx, -ny, distance - face - 1.5)])
        faces.append((nx, ny, face))
    leucocyte(slide, label, middle[0], middle[1], faces)
    blur = abs(rng.normal(0.35, 0.3)) * slide.scale
    return slide.finish(blur=min(blur, 1.4), light=0.012, grain=1.0, sharpen=0.4)


def render_field(label: str, *, seed: int, size: int | tuple[int, int] = 224) -> Pixels:
    """A rendered microscope field of bone marrow as a 40x objective shows it.

    label: benign (haematogones among maturing marrow), early_pre_b, pre_b or pro_b. seed: as in render_cell.
    size: side or (width, height) in pixels; the shorter side spans the same stretch of slide whatever its
    pixels. Gives uint8 (height, width, 3) RGB. Raises ValueError for an unknown label.
    """
    if label not in FIELDS:
        raise ValueError(f"no field class is called {label!r}; the classes are {', '.join(FIELDS)}")
    look = FIELDS[label]
    rng = generator("field", label, seed)
    width, height = (size, size) if isinstance(size, int) else size
    pixel = min(width, height) / 224
    stain = vary(look.stains[int(rng.integers(len(look.stains)))], rng, 1.3)
    slide = Slide((height, width), 0.3 * pixel, stain, rng)
    area = width * height / min(width, height) ** 2
    radius = float(rng.uniform(23, 28))
    scatter_red_cells(
        slide,
        int(area * rng.integers(*look.red_cells)),
        radius=radius,
        chains=look.chains * rng.uniform(0.5, 1.4),
        pallor=rng.uniform(0.35, 0.9),
        rim=rng.uniform(0.1, 0.4),
    )
    debris(slide, int(area * rng.poisson(2)), 9.0)
    for _ in range(int(rng.integers(0, look.ghosts + 1) * area)):
        slide.scale = 0.3 * pixel * rng.uniform(1.1, 2.0)
        leucocyte(slide, "smudge_cell", rng.uniform(0, width), rng.uniform(0, height), share=rng.uniform(0.35, 0.65))
    labels, weights, sizes = zip(*look.mix, strict=True)
    odds = np.array(weights) / sum(weights)
    put: list[tuple[float, float, float]] = []
    count = int(area * rng.integers(look.cells[0], look.cells[1] + 1))
    for _ in range(count * 12):
        if len(put) >= count:
            break
        pick = int(rng.choice(len(labels), p=odds))
        scale = 0.3 * pixel * sizes[pick] * float(np.clip(rng.normal(1, 0.1), 0.75, 1.3))
        reach = 0.66 * DRAWINGS[labels[pick]][1] * scale
        if put and rng.random() < look.crowd:  # against a cell already there
            x0, y0, r0 = put[int(rng.integers(len(put)))]
            turn = rng.uniform(0, 6.28)
            x, y = x0 + np.cos(turn) * (r0 + reach) * 1.0, y0 + np.sin(turn) * (r0 + reach) * 1.0
        else:
            x, y = rng.uniform(0, width), rng.uniform(0, height)
        if not (0 <= x <= width and 0 <= y <= height):
            continue
        if any((x - a) ** 2 + (y - b) ** 2 < (0.9 * (reach + r)) ** 2 for a, b, r in put):
            continue
        put.append((x, y, reach))
        slide.scale = scale
        leucocyte(slide, labels[pick], x, y)
    slide.scale = 0.3 * pixel
    blur = pixel * float(np.clip(abs(rng.normal(0.45, 0.3)), 0.2, 1.3))
    fall = float(rng.uniform(0.0, 0.09))
    return slide.finish(blur=blur, light=0.012, grain=1.5, corners=(fall, fall * 0.8, fall * 0.1))
