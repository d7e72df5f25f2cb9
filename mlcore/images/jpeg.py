"""JPEG files, segment by segment (ISO/IEC 10918-1, annex B)."""

from __future__ import annotations

import io
import re
import struct
from typing import Any

import numpy as np
from PIL import JpegImagePlugin

from .containers import Container, Piece, exif_with, orientation_of
from .refusal import ImageRefused, Limits, corrupt, truncated

# After the scan header come entropy-coded bytes; in them 0xFF is followed by 0x00 or a restart marker.
_NEXT_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}  # baseline, extended, progressive; Huffman or arithmetic
_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}  # lossless and hierarchical
_TABLES = {0xC4, 0xCC, 0xDB, 0xDD}  # DHT, DAC, DQT, DRI
# A progressive file may repeat scans without end and every one costs a pass over the picture.
_MAX_SCANS = 100
_ICC = b"ICC_PROFILE\0"
_EXIF = b"Exif\0\0"


def take_apart(data: bytes, limits: Limits) -> Container:
    """Walk the markers of a JPEG file. Raises ``ImageRefused``, for bad sides before anything else."""
    view = memoryview(data)
    found = Container("JPEG", 0, 0, lead=b"\xff\xd8")
    profile: dict[int, bytes] = {}
    position, scans, end = 2, 0, len(data)
    while True:
        while position + 1 < end and data[position] == 0xFF and data[position + 1] == 0xFF:
            position += 1  # fill bytes
        if position + 2 > end:
            raise truncated(_share_there(data, found))
        if data[position] != 0xFF:
            raise corrupt("its parts do not follow one another")
        marker = data[position + 1]
        if marker == 0xD9:
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            position += 2
            continue
        if position + 4 > end:
            raise truncated(_share_there(data, found))
        after = position + 2 + struct.unpack_from(">H", data, position + 2)[0]
        if after > end:
            raise truncated(_share_there(data, found))
        if after < position + 4:
            raise corrupt("one of its parts has no length")
        segment = view[position:after]
        content = view[position + 4 : after]
        if marker in _FRAMES:
            _read_frame(found, content, limits)
            found.body.append(segment)
        elif marker in _OTHER_FRAMES:
            raise ImageRefused(
                "unsupported_format",
                "This is a rare kind of JPEG (lossless or layered). Export it as an ordinary JPEG.",
            )
        elif marker in _TABLES:
            found.body.append(segment)
        elif marker == 0xDA:
            if not found.width:
                raise corrupt("its picture has no size")
            scans += 1
            if scans > _MAX_SCANS:
                raise corrupt("it repeats its picture too often")
            following = _NEXT_MARKER.search(data, after)
            if following is None:
                raise truncated(_share_there(data, found))
            after = following.start()
            found.body.append(view[position:after])
        elif marker == 0xE0 and bytes(content[:5]) == b"JFIF\0" and len(content) >= 14 and found.lead == b"\xff\xd8":
            # Version, unit and density; the thumbnail that may follow is left out.
            found.lead = b"\xff\xd8\xff\xe0\x00\x10" + bytes(content[:12]) + b"\0\0"
        elif marker == 0xEE and bytes(content[:5]) == b"Adobe" and len(content) >= 12:
            # Says how four-colour pixels are coded, so it belongs to them.
            found.body.append(b"\xff\xee\x00\x0e" + bytes(content[:12]))
        elif marker == 0xE1 and content[:6] == _EXIF and found.orientation == 1:
            found.orientation = orientation_of(content[6:])
        elif marker == 0xE2 and content[:12] == _ICC and len(content) > 14:
            profile.setdefault(content[12], bytes(content[14:]))
        position = after
    if not scans:
        raise corrupt("there is no picture in it")
    found.body.append(b"\xff\xd9")
    found.icc = b"".join(profile[number] for number in sorted(profile)) or None
    return found


def _read_frame(found: Container, content: memoryview, limits: Limits) -> None:
    if found.width:
        raise corrupt("it declares its size twice")
    if len(content) < 6:
        raise corrupt("its size cannot be read")
    precision, height, width, components = struct.unpack_from(">BHHB", content)
    if precision != 8:
        raise ImageRefused(
            "unsupported_depth",
            f"This JPEG has {precision} bits per colour. Export it with 8 bits per colour.",
        )
    if components not in (1, 3, 4):
        raise corrupt(f"it has {components} colour channels")
    limits.check_sides(width, height)
    found.width, found.height = width, height


def _share_there(data: bytes, found: Container) -> float | None:
    """The share of rows that an incomplete file still decodes to, or ``None`` where that cannot be told.

    Pillow keeps the rows it got before it met the end; rows never reached stay black.
    """
    try:
        picture: Any = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        if not found.width or picture.size != (found.width, found.height):
            return None
        picture.draft(picture.mode, (256, 256))
        try:
            picture.load()
        except OSError:
            picture.tile = []  # what is there counts as loaded
        rows: np.ndarray = np.asarray(picture).reshape(picture.height, -1).max(axis=1)
    except MemoryError:
        raise
    except Exception:  # only an estimate: the file is refused either way
        return None
    reached = np.flatnonzero(rows)
    return float(reached[-1] + 1) / len(rows) if len(reached) else None


def metadata(orientation: int, icc: bytes | None) -> list[Piece]:
    """The segments that put orientation and colour profile back between a container's lead and body."""
    pieces: list[Piece] = []
    if orientation != 1:
        exif = _EXIF + exif_with(orientation)
        pieces.append(b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif)
    if icc:
        step = 65_519  # 64 KiB less the length field, the label and the two counters
        parts = [icc[start : start + step] for start in range(0, len(icc), step)]
        for number, part in enumerate(parts, 1):
            body = _ICC + bytes((number, len(parts))) + part
            pieces.append(b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body)
    return pieces
