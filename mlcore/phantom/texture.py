"""What cells are made of: cytoplasm, chromatin, vacuoles, in canonical colours."""

from __future__ import annotations

import numpy as np

from mlcore.phantom.draw import Colour, Floats, Patch, blend, levels, soft_step


def fill(p: Patch, colour: Colour, mottle: float = 6.0, grain: float = 3.0) -> Floats:
    """A sheet of one colour, unevenly stained by `mottle` levels."""
    sheet = np.broadcast_to(levels(colour), (*p.x.shape, 3))
    uneven = mottle * (0.7 * p.noise(grain) + 0.6 * p.noise(grain * 4))
    return np.asarray(sheet + uneven[..., None] * levels((1.0, 1.0, 0.6)), np.float32)


def between(rng: np.random.Generator, a: Colour, b: Colour, jitter: float = 4.0) -> Colour:
    """A colour between two, a little off."""
    t = rng.random()
    r, g, b3 = (float(x + (y - x) * t + rng.normal(0, jitter)) for x, y in zip(a, b, strict=True))
    return (r, g, b3)


def chromatin(p: Patch, d: Floats, dark: Colour, light: Colour, kind: str, rim: float = 0.55) -> Floats:
    """Nuclear chromatin: `fine` (blast), `coarse` (clumped), `dense` (nearly closed), `streaked` (smudge)."""
    if kind == "fine":
        t = 0.46 + 0.13 * p.noise(1.8) + 0.12 * p.noise(3.4) + 0.13 * p.noise(17)
    elif kind == "ropy":
        t = 0.5 + 0.16 * p.noise(2.0) + 0.16 * p.noise(3.4) + 0.12 * p.noise(16)
    elif kind == "coarse":
        t = 0.12 + 0.78 * soft_step(p.noise(3.9) + 0.8 * p.noise(2.1) + 0.45, 1.7) + 0.09 * p.noise(1.5)
    elif kind == "dense":
        t = 0.95 - 0.75 * soft_step(p.noise(2.7) - 1.25, 3.5) + 0.07 * p.noise(1.5) - 0.05 * p.noise(9)
    else:
        t = 0.45 + 0.15 * p.noise(2.0) + 0.15 * p.noise(4.5) + 0.1 * p.noise(14)
    t = t + rim * np.exp(-((d / 2.0) ** 2)) * (d > -2)
    t = np.clip(t, 0, 1.12)[..., None].astype(np.float32)
    return levels(light) * (1 - t) + levels(dark) * t


def body(p: Patch, d: Floats, colour: Colour, *, mottle: float = 6.0, rim: float = 0.35, edge: Colour) -> Floats:
    """Cytoplasm with its darker border."""
    sheet = fill(p, colour, mottle)
    return blend(sheet, edge, np.asarray(rim * np.exp(-((d / 1.7) ** 2)), np.float32))


def vacuoles(p: Patch, colour: Floats, inside: Floats, count: int, size: tuple[float, float]) -> Floats:
    """Clear round holes in the cytoplasm."""
    holes = p.dots(inside, count, size)
    return blend(colour, (232, 220, 218), 0.8 * holes)


def shifted(p: Patch, by: float) -> tuple[float, float]:
    """A point `by` units from the centre in a random direction."""
    angle = p.rng.uniform(0, 2 * np.pi)
    return (float(by * np.cos(angle)), float(by * np.sin(angle)))
