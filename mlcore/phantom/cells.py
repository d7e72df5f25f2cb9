"""The twelve cells of peripheral blood, each drawn by the signs by which a haematologist names it.

Every drawing takes a Patch (cell units, centre at 0, 0) and gives canonical colours (h, w, 3) and coverage
(h, w). Colours and sizes follow measurements on Wright-Giemsa stained smears at 100x; the signs follow common
practice (see the ICSH recommendations on morphological grading, Palmer et al. 2015, doi:10.1111/ijlh.12327).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from mlcore.phantom.draw import Floats, Patch, blend, join, meet, soft_step
from mlcore.phantom.texture import between, body, chromatin, fill, shifted, vacuoles

Drawing: TypeAlias = tuple[Floats, Floats]


def blast(p: Patch, room: tuple[float, float] = (0.84, 0.93)) -> Drawing:
    """Large, high nucleus to cytoplasm ratio, fine chromatin, nucleoli, a rim of agranular blue cytoplasm.

    room: the nucleus's share of the cell's radius.
    """
    rng = p.rng
    r = rng.uniform(38, 48)
    cell = p.pressed(p.blob(r, longer=rng.uniform(1.0, 1.25), wobble=0.045))
    off = shifted(p, r * rng.uniform(0.5, 1.0) * (1.03 - room[0]))
    nucleus = p.blob(r * rng.uniform(*room), at=off, longer=rng.uniform(1.0, 1.2), wobble=0.055)
    if room[0] < 0.9 and rng.random() < 0.15:
        notch = p.blob(r * 0.3, at=(-off[0] * 7, -off[1] * 7), wobble=0.1)
        nucleus = meet(nucleus, -notch, 9)
    nucleus = meet(nucleus, cell - 1.0, 3)
    edge = (92, 78, 150)
    colour = body(p, cell, between(rng, (146, 138, 184), (184, 170, 196)), rim=0.75, mottle=8, edge=edge)
    dark, light = between(rng, (84, 42, 124), (94, 44, 120)), between(rng, (140, 92, 158), (146, 90, 148))
    core = chromatin(p, nucleus, dark, light, "fine")
    for _ in range(int(rng.integers(1, 4))):
        at = (off[0] + rng.uniform(-0.4, 0.4) * r, off[1] + rng.uniform(-0.4, 0.4) * r)
        ring = p.blob(rng.uniform(3.5, 6.5), at=at, wobble=0.06)
        core = blend(core, dark, 0.3 * np.exp(-(((ring + 1.2) / 1.5) ** 2)))
        core = blend(core, (140, 112, 178), 0.55 * p.cover(ring, 3.5))
    return blend(colour, core, p.cover(nucleus)), p.cover(cell)


def promyelocyte(p: Patch) -> Drawing:
    """Larger than a blast, eccentric nucleus, azurophil granules also over it, at times Auer rods."""
    rng = p.rng
    r = rng.uniform(42, 51)
    cell = p.pressed(p.blob(r, longer=rng.uniform(1.0, 1.2), wobble=0.03))
    turn = rng.uniform(0, 2 * np.pi)
    off = (float(np.cos(turn) * r * 0.2), float(np.sin(turn) * r * 0.2))
    nucleus = p.blob(r * rng.uniform(0.7, 0.8), at=off, longer=rng.uniform(1.0, 1.3), wobble=0.05)
    if rng.random() < 0.45:  # the folded, bilobed nucleus of the microgranular variant
        bend = rng.normal(0, 0.3)
        start = (off[0] * (0.6 - bend), off[1] * (0.6 + bend))
        cut = p.rod(start, (-off[0] * 5, -off[1] * 5), 0.4) + 0.04 * np.hypot(p.x - start[0], p.y - start[1])
        nucleus = meet(nucleus, -np.asarray(cut, np.float32), 6)
    nucleus = meet(nucleus, cell - 1.5, 3)
    hue = rng.random()
    dark = (88 + 10 * hue, 36 - 4 * hue, 122 - 16 * hue)
    light = (138 + 10 * hue, 84 - 10 * hue, 154 - 16 * hue)
    granule = (104 + 14 * hue, 32, 112 - 12 * hue)
    colour = body(p, cell, between(rng, (170, 130, 176), (184, 140, 178)), rim=0.45, edge=(104, 64, 134))
    colour = blend(colour, chromatin(p, nucleus, dark, light, "ropy", rim=0.4), 0.9 * p.cover(nucleus, 4))
    inside = p.cover(cell - 2.5)
    outside = inside * (1 - 0.5 * p.cover(nucleus))
    colour = blend(colour, granule, rng.uniform(0.45, 0.8) * p.dots(outside, int(rng.integers(200, 420)), (0.7, 1.5)))
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 5))):
            start = (-off[0] * 3 + rng.normal(0, 5), -off[1] * 3 + rng.normal(0, 5))
            way = shifted(p, rng.uniform(10, 19))
            rod = p.rod(start, (start[0] + way[0], start[1] + way[1]), 0.9)
            colour = blend(colour, (118, 22, 92), 0.9 * p.cover(meet(rod, cell - 2)))
    return colour, p.cover(cell, 1.8)


def immature_granulocyte(p: Patch) -> Drawing:
    """Myelocyte to metamyelocyte: oval to indented nucleus with some clumping, fine granules."""
    rng = p.rng
    r = rng.uniform(38, 45)
    cell = p.pressed(p.blob(r, longer=rng.uniform(1.0, 1.2), wobble=0.025))
    turn = rng.uniform(0, 2 * np.pi)
    ux, uy = float(np.cos(turn)), float(np.sin(turn))
    nucleus = p.blob(
        r * rng.uniform(0.6, 0.68),
        at=(ux * r * 0.24, uy * r * 0.24),
        longer=rng.uniform(1.15, 1.45),
        turn=turn + 1.57,
    )
    depth = rng.uniform(0.0, 0.5)
    notch = p.blob(r * 0.36, at=(-ux * r * (0.62 - depth * 0.55), -uy * r * (0.62 - depth * 0.55)), wobble=0.03)
    nucleus = meet(meet(nucleus, -notch, 7), cell - 1.5, 3)
    colour = body(p, cell, between(rng, (204, 164, 184), (180, 154, 188)), mottle=7, rim=0.3, edge=(120, 96, 150))
    outside = p.cover(cell - 2) * (1 - p.cover(nucleus + 1))
    colour = blend(colour, (126, 70, 136), 0.62 * p.dots(outside, int(rng.integers(70, 190)), (0.6, 1.2)))
    dark, light = between(rng, (84, 36, 116), (92, 42, 124)), between(rng, (142, 98, 160), (150, 104, 164))
    core = chromatin(p, nucleus, dark, light, "coarse", rim=0.45)
    return blend(colour, core, p.cover(nucleus)), p.cover(cell, 1.6)


def neutrophil(p: Patch) -> Drawing:
    """Two to five lobes on thin filaments, or a band; clumped chromatin; pale cytoplasm, fine granules."""
    rng = p.rng
    r = rng.uniform(35, 42)
    cell = p.pressed(p.blob(r, longer=rng.uniform(1.0, 1.22), wobble=0.025))
    turn, bow = rng.uniform(0, 2 * np.pi), r * rng.uniform(0.4, 0.5)
    band = rng.random() < 0.22
    count = 9 if band else int(rng.choice([2, 3, 3, 3, 4, 4, 5]))
    sweep = rng.uniform(3.4, 4.4) if band else min(1.42 * (count - 1), 5.0)
    points = [
        (float(np.cos(a) * bow * s), float(np.sin(a) * bow * s))
        for a, s in zip(
            np.linspace(turn, turn + sweep, count), rng.normal(1, 0.03 if band else 0.13, count), strict=True
        )
    ]
    size = {2: 0.4, 3: 0.35, 4: 0.32, 5: 0.28}.get(count, 0.22) * r
    nucleus = np.full_like(p.x, -99)
    for i, point in enumerate(points):
        lobe = p.blob(
            size * rng.uniform(0.88, 1.12),
            at=point,
            longer=1.0 if band else rng.uniform(1.0, 1.5),
            wobble=0.02 if band else 0.07,
        )
        nucleus = join(nucleus, lobe, 5.0 if band else 1.2)
        if i and not band:
            nucleus = join(nucleus, p.rod(points[i - 1], point, rng.uniform(1.0, 2.4)), 2.0)
    nucleus = meet(nucleus, cell - 2, 2)
    colour = body(p, cell, between(rng, (212, 176, 184), (198, 168, 188)), mottle=6, rim=0.25, edge=(150, 122, 160))
    outside = p.cover(cell - 2) * (1 - p.cover(nucleus + 1))
    strong = rng.uniform(0.25, 0.7)
    colour = blend(colour, (132, 82, 138), strong * p.dots(outside, int(rng.integers(120, 300)), (0.4, 0.95)))
    core = chromatin(p, nucleus, between(rng, (66, 28, 110), (78, 30, 112)), (132, 92, 160), "coarse", rim=0.6)
    return blend(colour, core, p.cover(nucleus, 1.1)), p.cover(cell, 1.6)


def eosinophil(p: Patch) -> Drawing:
    """Two lobes (seldom three) and a cytoplasm packed with large orange-red granules."""
    rng = p.rng
    r = rng.uniform(36, 43)
    cell = p.pressed(p.blob(r, longer=rng.uniform(1.0, 1.25), wobble=0.035))
    turn, apart = rng.uniform(0, 2 * np.pi), r * rng.uniform(0.36, 0.46)
    push = shifted(p, r * 0.18)
    lobes = 3 if rng.random() < 0.2 else 2
    span = 2.2 if lobes == 3 else rng.uniform(2.2, 3.0)
    angles = [turn + span * (i - (lobes - 1) / 2) for i in range(lobes)]
    points = [(push[0] + float(np.cos(a)) * apart, push[1] + float(np.sin(a)) * apart) for a in angles]
    nucleus = np.full_like(p.x, -99)
    for i, point in enumerate(points):
        lobe = p.blob(r * (0.3 if lobes == 3 else 0.36), at=point, longer=rng.uniform(1.1, 1.35), wobble=0.05)
        nucleus = join(nucleus, lobe, 1.2)
        if i:
            nucleus = join(nucleus, p.rod(points[i - 1], point, rng.uniform(1.4, 3.0)), 3)
    nucleus = meet(nucleus, cell - 1.5, 2)
    colour = body(p, cell, between(rng, (196, 142, 142), (190, 138, 128)), mottle=5, rim=0.3, edge=(140, 96, 120))
    outside = p.cover(cell - 1.2) * (1 - 0.9 * p.cover(nucleus))
    red = between(rng, (182, 104, 96), (172, 98, 110), 4)
    for _ in range(3):  # layers of granules, each with its darker border
        spots = p.dots(outside, int(rng.integers(60, 90)), (1.7, 2.8))
        colour = blend(colour, (146, 84, 104), 0.75 * np.minimum(1, 2 * spots))
        colour = blend(colour, red, np.asarray(np.clip(1.7 * spots - 0.7, 0, 1), np.float32))
    colour = blend(colour, (216, 158, 140), 0.55 * p.dots(outside, 120, (0.5, 1.0)))
    core = chromatin(p, nucleus, (74, 32, 108), (134, 90, 152), "coarse", rim=0.55)
    return blend(colour, core, p.cover(nucleus)), p.cover(cell, 1.6)


def basophil(p: Patch) -> Drawing:
    """Coarse, dark violet granules that lie over and hide a pale lobed nucleus."""
    rng = p.rng
    r = rng.uniform(34, 41)
    cell = p.pressed(p.blob(r, longer=rng.uniform(1.0, 1.25), wobble=0.035))
    nucleus = p.blob(r * 0.5, at=shifted(p, r * 0.25), wobble=0.1)
    nucleus = join(nucleus, p.blob(r * 0.45, at=shifted(p, r * 0.3), wobble=0.1), 3)
    nucleus = meet(nucleus, cell - 2, 3)
    colour = body(p, cell, between(rng, (166, 112, 164), (186, 138, 176)), mottle=10, rim=0.3, edge=(120, 70, 130))
    core = chromatin(p, nucleus, (98, 52, 128), (146, 98, 158), "ropy", rim=0.3)
    colour = blend(colour, core, 0.85 * p.cover(nucleus, 3))
    inside = p.cover(cell - 1.6)
    dark = between(rng, (66, 16, 84), (84, 20, 90), 4)
    colour = blend(colour, (108, 48, 120), 0.8 * p.dots(inside, 170, (1.0, 2.0)))
    colour = blend(colour, dark, 0.92 * p.dots(inside, int(rng.integers(130, 220)), (1.1, 2.5)))
    return colour, p.cover(cell, 1.5)


def lymphocyte(p: Patch) -> Drawing:
    """Small, round, dense nucleus with clumped chromatin, thin blue cytoplasm; at times a larger one."""
    rng = p.rng
    large = rng.random() < 0.25
    r = rng.uniform(36, 42) if large else rng.uniform(28, 33)
    cell = p.blob(r, longer=rng.uniform(1.0, 1.18), wobble=0.05 if large else 0.035)
    off = shifted(p, r * (0.16 if large else 0.07))
    share = rng.uniform(0.68, 0.76) if large else rng.uniform(0.82, 0.91)
    nucleus = p.blob(r * share, at=off, longer=rng.uniform(1.0, 1.18), wobble=0.03)
    nucleus = meet(nucleus, cell - 1.2, 2)
    pale = (184, 174, 196) if large else (142, 140, 186)
    colour = body(p, cell, between(rng, pale, (160, 156, 194)), rim=0.5, edge=(96, 90, 152))
    dark, light = between(rng, (72, 30, 112), (86, 38, 120), 4), between(rng, (124, 74, 150), (128, 78, 150))
    core = chromatin(p, nucleus, dark, light, "coarse", rim=0.5)
    return blend(colour, core, p.cover(nucleus)), p.cover(cell)


def monocyte(p: Patch) -> Drawing:
    """The largest: folded or kidney-shaped nucleus, lacy chromatin, much grey-blue cytoplasm, vacuoles."""
    rng = p.rng
    r = rng.uniform(45, 53)
    cell = p.pressed(p.blob(r, longer=rng.uniform(1.0, 1.2), wobble=0.045))
    turn = rng.uniform(0, 2 * np.pi)
    ux, uy = float(np.cos(turn)), float(np.sin(turn))
    at = (ux * r * 0.14, uy * r * 0.14)
    nucleus = p.blob(r * rng.uniform(0.6, 0.67), at=at, longer=rng.uniform(1.1, 1.4), turn=turn + 1.57, wobble=0.06)
    folded = rng.random() < 0.4
    near, side = (
        rng.uniform(0.36, 0.5) * r if folded else rng.uniform(0.26, 0.46) * r,
        rng.normal(0, 0.12) * r,
    )
    notch_at = (-ux * near - uy * side, -uy * near + ux * side)
    width = r * (rng.uniform(0.14, 0.2) if folded else rng.uniform(0.24, 0.36))
    notch = p.blob(width, at=notch_at, longer=rng.uniform(1.2, 2.2), turn=turn + rng.normal(0, 0.4), wobble=0.12)
    nucleus = meet(meet(nucleus, -notch, 8), cell - 3, 3)
    colour = body(p, cell, between(rng, (178, 168, 194), (196, 180, 196)), mottle=8, rim=0.4, edge=(120, 116, 172))
    outside = p.cover(cell - 3) * (1 - p.cover(nucleus + 2))
    colour = blend(colour, (150, 116, 166), 0.3 * p.dots(outside, 150, (0.4, 0.9)))
    colour = vacuoles(p, colour, outside, int(rng.integers(4, 22)), (1.2, 3.4))
    dark, light = between(rng, (84, 42, 122), (92, 46, 124)), between(rng, (140, 96, 160), (146, 98, 156))
    core = chromatin(p, nucleus, dark, light, "ropy", rim=0.5)
    if folded:
        crease = p.rod(notch_at, (ux * r * 0.5 + rng.normal(0, 5), uy * r * 0.5 + rng.normal(0, 5)), 0.4)
        core = blend(core, dark, np.asarray(0.55 * np.exp(-((crease / 2.2) ** 2)), np.float32))
    return blend(colour, core, p.cover(nucleus)), p.cover(cell, 1.5)


def plasma_cell(p: Patch) -> Drawing:
    """Oval cell, eccentric round nucleus with clumps, deep blue cytoplasm, a pale hof beside the nucleus."""
    rng = p.rng
    r = rng.uniform(38, 45)
    turn = rng.uniform(0, 2 * np.pi)
    ux, uy = float(np.cos(turn)), float(np.sin(turn))
    cell = p.blob(r, longer=rng.uniform(1.12, 1.4), turn=turn, wobble=0.035)
    at = (ux * r * 0.36, uy * r * 0.36)
    nucleus = meet(p.blob(r * rng.uniform(0.56, 0.64), at=at, longer=1.08, wobble=0.03), cell - 1.5, 2)
    colour = body(p, cell, between(rng, (92, 74, 140), (108, 86, 146)), mottle=12, rim=0.6, edge=(58, 46, 118))
    hof = p.blob(r * 0.34, at=(-ux * r * 0.2, -uy * r * 0.2), longer=1.5, turn=turn + 1.57, wobble=0.06)
    colour = blend(colour, (172, 150, 190), 0.72 * p.cover(hof, 9))
    if rng.random() < 0.3:
        outside = p.cover(cell - 4) * (1 - p.cover(nucleus + 2))
        colour = vacuoles(p, colour, outside, int(rng.integers(2, 7)), (1.0, 2.2))
    core = chromatin(p, nucleus, between(rng, (56, 22, 94), (70, 24, 96), 4), (124, 74, 140), "coarse", rim=0.55)
    return blend(colour, core, p.cover(nucleus)), p.cover(cell)


def erythroblast(p: Patch) -> Drawing:
    """Small round, very dense nucleus with chinks of light; smooth cytoplasm from grey-lilac to pink."""
    rng = p.rng
    late = rng.random()
    r = 34 - 9 * late + rng.normal(0, 1.2)
    cell = p.blob(r, longer=rng.uniform(1.0, 1.2), wobble=0.03)
    nucleus = p.blob(r * (0.66 - 0.14 * late), at=shifted(p, r * (0.1 + 0.18 * late)), longer=1.06, wobble=0.02)
    grey, pink = (138, 124, 172), (184, 138, 160)
    red, green, blue = (float(a + (b - a) * late + rng.normal(0, 4)) for a, b in zip(grey, pink, strict=True))
    colour = body(p, cell, (red, green, blue), mottle=6, rim=0.4, edge=(112, 92, 148))
    colour = blend(colour, (206, 190, 208), 0.28 * np.exp(-(((nucleus + 1.6) / 1.3) ** 2)))
    dark = between(rng, (44, 24, 98), (58, 22, 88), 4)
    core = chromatin(p, nucleus, dark, (132, 94, 156) if late < 0.7 else (84, 52, 120), "dense", rim=0.2)
    return blend(colour, core, p.cover(nucleus)), p.cover(cell)


def platelet(p: Patch) -> Drawing:
    """Giant platelet: no nucleus, pale blue body with a ragged edge, violet granules in the middle."""
    rng = p.rng
    r = rng.uniform(19, 32)
    ragged = 0.9 * p.noise(3) + 1.3 * p.noise(7)
    cell = p.blob(r, longer=rng.uniform(1.0, 1.35), wobble=0.06) + ragged
    colour = fill(p, between(rng, (172, 158, 202), (190, 158, 192)), 7)
    depth = np.asarray(np.clip((cell - 1.5) / (0.4 * r), 0, 1), np.float32)
    granule = between(rng, (116, 58, 134), (104, 76, 156), 5)
    colour = blend(colour, granule, 0.3 * depth * soft_step(p.noise(5) + 0.3, 2))
    for strength in (0.45, 0.7):
        spots = p.dots(depth, int(r * r * 0.2), (0.7, 1.5))
        colour = blend(colour, granule, np.asarray(strength * spots, np.float32))
    return np.asarray(colour, np.float32), 0.95 * p.cover(cell, 2.6)


def smudge_cell(p: Patch) -> Drawing:
    """Burst cell: bare, drawn-out nuclear material without cytoplasm, streaky and frayed."""
    rng = p.rng
    r = rng.uniform(30, 38)
    turn = rng.uniform(0, 2 * np.pi)
    ragged = 2.0 * p.noise(9) + 0.9 * p.noise(3)
    mass = p.blob(r, longer=rng.uniform(1.1, 2.0), turn=turn, wobble=0.14) + ragged
    for _ in range(int(rng.integers(0, 3))):
        way = shifted(p, r * rng.uniform(0.8, 1.15))
        mass = join(mass, p.rod((way[0] * 0.5, way[1] * 0.5), way, rng.uniform(4, 9)) + 0.8 * ragged, 6)
    hue = rng.random()
    dark, light = (
        (90 + 32 * hue, 44 + 12 * hue, 124 + 4 * hue),
        (156 + 24 * hue, 112 + 10 * hue, 172 - 2 * hue),
    )
    colour = chromatin(p, mass, dark, light, "streaked", rim=0.3)
    along = p.x * np.cos(turn) + p.y * np.sin(turn)
    across = -p.x * np.sin(turn) + p.y * np.cos(turn)
    streak = np.sin(across * 0.9 + 2.2 * p.noise(9) + 0.05 * along)
    colour = blend(colour, light, np.asarray(0.5 * np.clip(streak, 0, 1), np.float32))
    fray = np.exp(-(np.clip(-mass, 0, None) / 7)) * soft_step(p.noise(2.2) + 0.4 * p.noise(6) - 0.2, 2.5)
    return colour, np.asarray(np.maximum(0.93 * p.cover(mass, 3.5), 0.45 * fray * (mass > -22)), np.float32)


def lymphoblast(p: Patch) -> Drawing:
    """The blast of acute lymphoblastic leukaemia: next to no cytoplasm."""
    return blast(p, room=(0.92, 0.99))


CELLS: dict[str, tuple[Callable[[Patch], Drawing], float]] = {
    "basophil": (basophil, 56.0),
    "blast": (blast, 64.0),
    "eosinophil": (eosinophil, 58.0),
    "erythroblast": (erythroblast, 48.0),
    "immature_granulocyte": (immature_granulocyte, 60.0),
    "lymphocyte": (lymphocyte, 56.0),
    "monocyte": (monocyte, 70.0),
    "neutrophil": (neutrophil, 58.0),
    "plasma_cell": (plasma_cell, 66.0),
    "platelet": (platelet, 48.0),
    "promyelocyte": (promyelocyte, 66.0),
    "smudge_cell": (smudge_cell, 76.0),
}
"""Label -> how to draw it and how far (in units) it may reach from its centre."""
