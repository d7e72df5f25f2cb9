"""From bytes to pixels: one road, in training and in service."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import (
    BmpImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from . import bmp, jpeg, png, tiff, webp
from .containers import Container
from .refusal import DEFAULT_LIMITS, Limits, corrupt, truncated
from .sniffing import sniff

# The plugins are opened directly and not through Image.open: no format is guessed, and Pillow's own
# pixel limit, a global that is not ours to change, stays out of the way of the limits checked here.
_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}
_WALKERS = {
    "JPEG": jpeg.take_apart,
    "PNG": png.take_apart,
    "TIFF": tiff.take_apart,
    "BMP": bmp.take_apart,
    "WEBP": webp.take_apart,
}
_TYPES = {
    "JPEG": (".jpg", "image/jpeg"),
    "PNG": (".png", "image/png"),
    "TIFF": (".tif", "image/tiff"),
    "BMP": (".bmp", "image/bmp"),
    "WEBP": (".webp", "image/webp"),
}


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture file says of itself, by content and not by name.

    ``format`` is ``JPEG``, ``PNG``, ``TIFF``, ``BMP`` or ``WEBP``; ``mode`` Pillow's word for the pixels
    (``RGB``, ``CMYK``, ``I;16``, …); ``width`` and ``height`` pixels as the picture is shown, that is with
    ``orientation`` (EXIF, 1–8) applied; ``extension`` with its dot.
    """

    format: str
    mode: str
    width: int
    height: int
    frames: int
    orientation: int
    extension: str
    media_type: str


def take_apart(data: bytes, limits: Limits) -> Container:
    """The container of ``data``, every bound checked and nothing decoded. Raises ``ImageRefused``."""
    limits.check_bytes(len(data))
    return _WALKERS[sniff(data)](data, limits)


def read_header(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Read what a file is and check it against ``limits`` before anything is decoded.

    Raises ``ImageRefused`` for what is not one still picture of the five formats, out of bounds, cut off
    or damaged as far as its structure shows; damage inside the compressed pixels is found by ``decode``.
    """
    container = take_apart(data, limits)
    picture = open_picture(container)
    width, height = container.width, container.height
    if container.orientation >= 5:
        width, height = height, width
    extension, media_type = _TYPES[container.format]
    return Header(
        format=container.format,
        mode=picture.mode,
        width=width,
        height=height,
        frames=container.frames,
        orientation=container.orientation,
        extension=extension,
        media_type=media_type,
    )


def decode(data: bytes, *, limits: Limits = DEFAULT_LIMITS, at_least: int | None = None) -> np.ndarray:
    """Decode a picture to uint8 (H, W, 3) RGB as it is meant to be seen.

    EXIF orientation is applied, alpha is laid over white, four-colour, palette and 16-bit pixels are
    converted; colour profiles are not (the networks are trained on the stored values). ``at_least``: a JPEG
    may come scaled by 1/2, 1/4 or 1/8 as long as its short side keeps that many pixels.
    Raises ``ImageRefused``.
    """
    container = take_apart(data, limits)
    picture = open_picture(container)
    if at_least is not None and container.format == "JPEG":
        picture.draft(picture.mode, (at_least, at_least))
    load(picture, container)
    pixels = _to_rgb(picture)
    # Pillow turns TIFF pictures itself while it loads them.
    return _turned(pixels, 1 if container.format == "TIFF" else container.orientation)


def open_picture(container: Container) -> ImageFile.ImageFile:
    """The container's pixels as a Pillow picture, not yet loaded. Raises ``ImageRefused``."""
    try:
        picture = _PLUGINS[container.format](io.BytesIO(container.core()))
    except MemoryError:
        raise
    except Exception as error:  # hostile bytes make Pillow's parsers raise nearly anything
        raise corrupt("its header cannot be read") from error
    if sorted(picture.size) != sorted((container.width, container.height)):
        raise corrupt("it declares two different sizes")
    return picture


def load(picture: ImageFile.ImageFile, container: Container) -> None:
    """Decode the pixels of an opened picture in place. Raises ``ImageRefused``."""
    try:
        picture.load()
    except MemoryError:
        raise
    except Exception as error:
        if "truncated" in str(error):
            raise truncated() from error
        raise corrupt(f"its {container.format} data cannot be decoded") from error


def _to_rgb(picture: Image.Image) -> np.ndarray:
    """uint8 (H, W, 3), freshly allocated."""
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return np.array(picture)
    if picture.mode.startswith("I;16"):
        grey = _eight_bits(np.asarray(picture))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
        layered = np.asarray(picture.convert("RGBA"))
        alpha = layered[:, :, 3:].astype(np.uint16)
        mixed = layered[:, :, :3] * alpha + 255 * (255 - alpha)
        return ((mixed + 127) // 255).astype(np.uint8)
    return np.array(picture.convert("RGB"))


def _eight_bits(grey: np.ndarray) -> np.ndarray:
    """uint16 (H, W) to uint8. Cameras deliver 10, 12 or 14 bits in 16: the smallest of them that holds the
    brightest pixel is taken as white."""
    brightest = int(grey.max())
    bits = next(bits for bits in (8, 10, 12, 14, 16) if brightest < 1 << bits)
    return (grey >> (bits - 8)).astype(np.uint8)


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels with an EXIF orientation (1–8) applied, contiguous."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)  # now 5 is upright, 6 mirrored, 7 turned by half, 8 flipped
        orientation = {5: 1, 6: 2, 7: 3, 8: 4}[orientation]
    if orientation in (2, 3):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
