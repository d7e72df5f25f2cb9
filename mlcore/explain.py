"""Where a network saw what: class-activation maps, which come with the forward pass."""

from __future__ import annotations

import numpy as np

LEVELS = 255


def activation_maps(maps: np.ndarray) -> np.ndarray:
    """float (C, h, w) of networks.Answer -> uint8: what speaks for a class, on one scale for all classes.

    What speaks against a class is 0, and the strongest sign of any class 255, so that a class without signs stays dark
    instead of having its noise drawn as bright as the leading class.
    """
    top = max(float(maps.max()), 1e-6)
    return np.asarray(np.round(np.clip(maps / top, 0, 1) * LEVELS), dtype=np.uint8)
