"""Whether a picture is good enough to be read, and what to do where it is not.

The thresholds were chosen with ``python -m mlcore.images measure`` on real cells and fields, so that hardly
any of them is warned of while most of their blurred, over- or under-exposed and washed-out versions are. The
figures are in ``docs/image-quality.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

# Pictures are judged at the scale at which the networks see them; defocus that vanishes there does no harm.
_SHORT_SIDE = 256

_SHARP = 0.30
_SATURATED = 0.50
_DARK = 0.60
_CONTRAST = 0.20
_BLANK = 0.06
_COLOUR = 0.025
_STAINED = 0.005
_FLAT_ROWS = 0.04


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of a picture, and warnings as sentences that say what to do.

    ``focus``: second over first derivative at the strongest edges, about 0.5 for sharp and below 0.3 for
    blurred pictures, whatever the contrast. ``brightness``: mean luminance, 0..1. ``contrast``: 99th less 1st
    percentile of luminance, 0..1. ``saturation``: mean HSV saturation, 0..1. ``stained``: share of clearly
    purple pixels, 0..1.
    """

    focus: float
    brightness: float
    contrast: float
    saturation: float
    stained: float
    warnings: tuple[str, ...]


def measure_quality(pixels: np.ndarray) -> Quality:
    """Judge uint8 (H, W, 3) RGB pixels, as ``decode`` gives them."""
    small = _reduced(pixels)
    red, green, blue = np.ascontiguousarray(small.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    lowest, highest = np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
    faintest, bright, brightest = np.quantile(luminance, (0.01, 0.95, 0.99))
    # Haematoxylin and azure let red and blue through and hold green back.
    purple = (red + blue) / 2 - green
    saturation = float(((highest - lowest) / np.maximum(highest, 1e-3)).mean())
    stained = float((purple > 0.12 * np.maximum(highest, 1e-3)).mean())
    contrast = float(brightest - faintest)
    focus = _focus(luminance)
    return Quality(
        focus=round(focus, 4),
        brightness=round(float(luminance.mean()), 4),
        contrast=round(contrast, 4),
        saturation=round(saturation, 4),
        stained=round(stained, 4),
        warnings=_warnings(
            focus=focus,
            saturated=float((luminance > 0.985).mean()),
            bright=float(bright),
            contrast=contrast,
            saturation=saturation,
            stained=stained,
            flat=_flat_end(small),
        ),
    )


def _warnings(
    *,
    focus: float,
    saturated: float,
    bright: float,
    contrast: float,
    saturation: float,
    stained: float,
    flat: float,
) -> tuple[str, ...]:
    if contrast < _BLANK:
        return ("Nothing can be seen in this picture: check the light and the slide, and take it again.",)
    found = []
    if focus < _SHARP:
        found.append("Out of focus: refocus and take it again.")
    if saturated > _SATURATED:
        found.append("Over-exposed: lower the light or the exposure time and take it again.")
    if bright < _DARK:
        found.append("Too dark: raise the light or the exposure time and take it again.")
    if contrast < _CONTRAST:
        found.append("Little contrast: check the condenser and the stain, and take it again.")
    if saturation < _COLOUR:
        found.append("No stain colour: the networks learned from stained smears. Take it with a colour camera.")
    elif stained < _STAINED:
        found.append("Hardly any stained cell can be seen: check the stain and the place on the slide.")
    if flat > _FLAT_ROWS:
        found.append(
            f"The lowest {flat:.0%} of the picture are one flat colour: the file may be incomplete. Export it again."
        )
    return tuple(found)


def _reduced(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    factor = _SHORT_SIDE / min(height, width)
    if factor >= 1:
        return pixels
    # A strip of a slide may be very long; its middle part tells enough.
    half = 4 * min(height, width)
    top, left = max(0, height // 2 - half), max(0, width // 2 - half)
    part = Image.fromarray(pixels[top : top + 2 * half, left : left + 2 * half])
    size = (round(part.width * factor), round(part.height * factor))
    return np.asarray(part.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def _focus(luminance: np.ndarray) -> float:
    """Second over first derivative at the strongest edges of (H, W) luminance; a 2 × 2 mean tames noise."""
    smooth = (luminance[:-1, :-1] + luminance[1:, :-1] + luminance[:-1, 1:] + luminance[1:, 1:]) / 4
    middle = smooth[1:-1, 1:-1]
    across, down = smooth[1:-1, 2:] - smooth[1:-1, :-2], smooth[2:, 1:-1] - smooth[:-2, 1:-1]
    bend = np.abs(smooth[1:-1, 2:] + smooth[1:-1, :-2] + smooth[2:, 1:-1] + smooth[:-2, 1:-1] - 4 * middle)
    slope = np.sqrt(across * across + down * down)
    return float(np.quantile(bend, 0.99) / max(float(np.quantile(slope, 0.99)), 1e-3))


def _flat_end(small: np.ndarray) -> float:
    """Share of rows at the lower end that are all of one colour, white excepted: what a JPEG decoder
    makes of data that stop early."""
    last = small[-1, -1]
    if last.min() > 247:
        return 0.0
    differs = (small != last).reshape(len(small), -1).any(axis=1)
    return float(np.argmax(differs[::-1]) / len(differs)) if differs.any() else 1.0
