"""What is kept of a file: pixels to the bit, orientation and colours; nothing that could name a patient."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from . import jpeg, png, webp
from .decoding import Header, load, open_picture, take_apart
from .icc import plain_profile
from .refusal import ImageRefused, Limits, corrupt

# No bound applies here: the header that the caller read was checked against the caller's limits.
_UNBOUNDED = Limits(max_bytes=1 << 40, max_pixels=1 << 40, max_side=1 << 31, min_side=1)
_AS_PNG = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}


def strip_metadata(data: bytes, header: Header) -> bytes:
    """The file to store: ``decode`` of it equals ``decode`` of ``data`` bit for bit.

    JPEG, PNG and WebP keep their compressed pixels untouched; EXIF (but the orientation), XMP, comments,
    text, thumbnails, unknown parts and trailing bytes are left out, and a colour profile is reduced to its
    colours. TIFF and BMP are rewritten as PNG, orientation applied. ``header`` is what ``read_header`` said
    of ``data``.
    Raises ``ImageRefused``.
    """
    container = take_apart(data, _UNBOUNDED)
    if container.format != header.format:
        raise ValueError(f"the header is of a {header.format} file, the data is {container.format}")
    profile = png.inflated_profile(container.icc) if container.icc and container.format == "PNG" else container.icc
    profile = plain_profile(profile) if profile else None
    if container.format == "JPEG":
        return container.core(jpeg.metadata(container.orientation, profile))
    if container.format == "PNG":
        png.trim_pixels(container, data)
        return container.core(png.metadata(container.orientation, profile))
    if container.format == "WEBP":
        return webp.assemble(container, container.orientation, profile)
    return _as_png(data)


def _as_png(data: bytes) -> bytes:
    container = take_apart(data, _UNBOUNDED)
    picture = open_picture(container)
    load(picture, container)
    swapped = picture.mode == "I;16B"
    if picture.mode not in _AS_PNG and not swapped:
        raise ImageRefused(
            "unsupported_colour",
            f"The pixels of this {container.format} ({picture.mode}) cannot be kept exactly. Export it as 8-bit RGB.",
        )
    # PNG is written from native 16-bit values; ImageJ, for one, writes TIFF in the other order.
    bare = Image.fromarray(np.asarray(picture).astype(np.uint16)) if swapped else picture.copy()
    bare.info = {}
    out = io.BytesIO()
    bare.save(out, format="PNG", compress_level=6)
    written = out.getvalue()
    again = open_picture(take_apart(written, _UNBOUNDED))
    if again.size != picture.size or not np.array_equal(np.asarray(again), np.asarray(picture)):
        raise corrupt("its pixels cannot be kept exactly")
    return written
