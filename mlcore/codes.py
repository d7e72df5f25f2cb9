"""QR, Data Matrix and Code 128 codes in a picture: the label of a slide, taken with it or alone.

Needs numpy, Pillow and zxing-cpp.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import zxingcpp
from PIL import Image, ImageFilter

logger = logging.getLogger(__name__)

LONGEST = 64  # characters of a text that counts
AT_MOST = 32  # codes of one picture
_SIDE = 1_600  # px, long side of what is searched
_SMALL = 800  # px; below, a code may have modules of two pixels
_FORMATS = zxingcpp.BarcodeFormats(
    [zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.DataMatrix, zxingcpp.BarcodeFormat.Code128]
)


@dataclass(frozen=True, slots=True)
class Code:
    """`text`: printable, 1 to `LONGEST` characters. `share`: of the picture that the code covers, 0..1."""

    text: str
    share: float


def read_codes(pixels: np.ndarray) -> tuple[Code, ...]:
    """The codes in uint8 (H, W, 3) RGB pixels, each text once, at most `AT_MOST`; none where nothing can be read.

    Never raises. At most 1,600 px a side are searched, and larger pictures are smoothed a little: what the search
    costs is bounded by that, a picture full of half codes included. Text that is long, binary or holds characters
    that nobody sees is left out. A Code 128 has to lie roughly along a side of the picture, the others may lie anyhow.
    """
    try:
        grey = Image.fromarray(pixels).convert("L")
        if max(grey.size) > _SMALL:
            if max(grey.size) > _SIDE:
                grey.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
            grey = grey.filter(ImageFilter.BoxBlur(1))
        found = zxingcpp.read_barcodes(np.asarray(grey), formats=_FORMATS, text_mode=zxingcpp.TextMode.Plain)
        area = grey.width * grey.height
    except Exception:  # a picture without a code is a picture all the same
        logger.exception("A picture of %s could not be searched for codes", pixels.shape)
        return ()
    codes: dict[str, Code] = {}
    for each in found:
        text = each.text.strip()
        if each.content_type == zxingcpp.ContentType.Text and text.isprintable() and 0 < len(text) <= LONGEST:
            codes.setdefault(text, Code(text, round(min(1.0, _area(each.position) / area), 4)))
    return tuple(codes.values())[:AT_MOST]


def _area(at: zxingcpp.Position) -> float:
    """px² of the quadrangle of a code, by the shoelace formula."""
    corners = [(p.x, p.y) for p in (at.top_left, at.top_right, at.bottom_right, at.bottom_left)]
    pairs = zip(corners, corners[1:] + corners[:1], strict=True)
    return abs(sum(x * y_next - x_next * y for (x, y), (x_next, y_next) in pairs)) / 2
