"""Rendered smears as files: marked as drawn, and put together into the smears of named cases."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from mlcore.phantom.draw import Pixels
from mlcore.phantom.fields import FIELDS, FIRST_UNTRAINED_SEED, generator, render_cell, render_field

MARK = "rendered"
NOTE = "Rendered by mlcore.phantom: a drawing, not a specimen."
FIELD_SIZE = (1280, 960)


class RenderedImage(NamedTuple):
    """One file of a rendered smear. kind: "cell" or "field"; label: the class that was drawn."""

    filename: str
    data: bytes
    kind: str
    label: str


# What a smear of each story holds: label -> how many pictures; cells where the differential tells.
STORIES: dict[str, dict[str, int]] = {
    "APL": {"promyelocyte": 11, "blast": 2, "neutrophil": 2, "lymphocyte": 2, "erythroblast": 1},
    "AML": {"blast": 9, "monocyte": 2, "immature_granulocyte": 1, "neutrophil": 3, "lymphocyte": 3},
    "reactive": {
        "neutrophil": 6,
        "lymphocyte": 6,
        "monocyte": 2,
        "eosinophil": 1,
        "basophil": 1,
        "platelet": 1,
    },
    "plasma cells": {"plasma_cell": 6, "neutrophil": 3, "lymphocyte": 3, "erythroblast": 2},
    "ALL early pre-B": {"early_pre_b": 4},
    "ALL pre-B": {"pre_b": 4},
    "ALL pro-B": {"pro_b": 4},
    "haematogones": {"benign": 4},
}


def mark(pixels: Pixels, *, corner: Literal["top-left", "bottom-right"]) -> Pixels:
    """The picture with the small word "rendered" in a corner, where it touches no centred cell."""
    height, width = pixels.shape[:2]
    font = ImageFont.load_default(size=max(8, round(min(width, height) / 22)))
    picture = Image.fromarray(pixels).convert("RGBA")
    layer = Image.new("RGBA", picture.size, (255, 255, 255, 0))
    draw = ImageDraw.Draw(layer)
    inset = max(2, min(width, height) // 90)
    at, anchor = ((inset, inset), "lt") if corner == "top-left" else ((width - inset, height - inset), "rb")
    draw.text(at, MARK, font=font, anchor=anchor, fill=(70, 50, 90, 170))
    return np.asarray(Image.alpha_composite(picture, layer).convert("RGB"))


def save_rendered(
    pixels: Pixels, target: str | Path | BinaryIO, *, kind: str, format: Literal["JPEG", "PNG"] = "JPEG"
) -> None:
    """Write a rendered picture, marked as rendered in its corner and in its metadata.

    pixels: uint8 (H, W, 3) as render_cell or render_field gave them. kind: "cell" marks the top-left corner,
    "field" the bottom-right one, which the field networks never see. Raises ValueError for another kind.
    """
    if kind not in ("cell", "field"):
        raise ValueError(f"a rendered picture is a cell or a field, not {kind!r}")
    picture = Image.fromarray(mark(pixels, corner="top-left" if kind == "cell" else "bottom-right"))
    if format == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text("Description", NOTE)
        picture.save(target, format="PNG", pnginfo=chunks, optimize=True)
    else:
        picture.save(target, format="JPEG", quality=93, subsampling=0, optimize=True, comment=NOTE.encode())


def rendered_smear(story: str, *, seed: int) -> list[RenderedImage]:
    """The pictures of one case: JPEG files in the order in which a technician met the cells.

    story: a key of STORIES. seed: another patient with the same finding. File names tell the kind, not the
    label.
    Raises ValueError for an unknown story.
    """
    if story not in STORIES:
        raise ValueError(f"no story is called {story!r}; the stories are {', '.join(STORIES)}")
    labels = [label for label, count in STORIES[story].items() for _ in range(count)]
    order: Sequence[int] = generator("smear", story, seed).permutation(len(labels)).tolist()
    images = []
    for number, index in enumerate(order):
        label = labels[index]
        kind = "field" if label in FIELDS else "cell"
        own_seed = FIRST_UNTRAINED_SEED + 1000 * seed + index
        pixels = (
            render_field(label, seed=own_seed, size=FIELD_SIZE)
            if kind == "field"
            else render_cell(label, seed=own_seed, size=256)
        )
        file = io.BytesIO()
        save_rendered(pixels, file, kind=kind)
        images.append(RenderedImage(f"{kind}-{number + 1:02d}.jpg", file.getvalue(), kind, label))
    return images
