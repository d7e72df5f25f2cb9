"""Whether two pictures show almost the same place: taken twice, saved in another format or size.

Pictures of one smear resemble one another in light and colour, and single cells all have a dark middle; what makes a
place recognisable is the finer pattern. So a picture is reduced to 33 × 32 grey values, and each bit says whether a
value is brighter than its right neighbour (the difference hash of Zauner, *Implementation and Benchmarking of
Perceptual Image Hash Functions*, 2010, with 1,024 bits instead of 64).
"""

from __future__ import annotations

import numpy as np
from PIL import Image

_SIDE = 32
#: Of the bits; measured as `docs/image-quality.md` tells.
_ALIKE = 0.28


def measure_likeness(pixels: np.ndarray) -> str:
    """256 hexadecimal digits of uint8 (H, W, 3) RGB pixels, to compare with `look_alike`."""
    small = Image.fromarray(pixels).convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    grey = np.asarray(small, dtype=np.int16)
    return np.packbits(grey[:, :-1] > grey[:, 1:]).tobytes().hex()


def look_alike(one: str, other: str) -> bool:
    """Whether two pictures with these values show almost the same."""
    differing = (int(one, 16) ^ int(other, 16)).bit_count()
    return differing < _ALIKE * _SIDE * _SIDE
