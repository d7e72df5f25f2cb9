"""WebP files, RIFF chunk by RIFF chunk (RFC 9649)."""

from __future__ import annotations

import struct

from .containers import Container, Piece, exif_with, orientation_of
from .refusal import ImageRefused, Limits, corrupt, truncated

_ANIMATED, _EXIF, _ALPHA, _ICC = 0x02, 0x08, 0x10, 0x20


def take_apart(data: bytes, limits: Limits) -> Container:
    """Walk the chunks of a WebP file. Raises ``ImageRefused``; sides are checked as soon as they are known.

    The container's body is the picture's chunks (``ALPH``, ``VP8 ``, ``VP8L``); ``lead`` is the RIFF and
    VP8X headers as ``assemble`` writes them.
    """
    if len(data) < 20:
        raise truncated()
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        if len(data) >= 30:
            _sides(data, 12, limits)
        raise truncated(len(data) / end)
    view = memoryview(data)
    width, height = _sides(data, 12, limits)
    found = Container("WEBP", width, height)
    position = 12
    while position + 8 <= end:
        name, length = data[position : position + 4], struct.unpack_from("<I", data, position + 4)[0]
        after = position + 8 + length
        if after > end:
            raise truncated(len(data) / after)
        content = view[position + 8 : after]
        if name in (b"VP8 ", b"VP8L"):
            if any(bytes(piece[:4]) in (b"VP8 ", b"VP8L") for piece in found.body):
                raise corrupt("it holds two pictures where one is announced")
            if _sides(data, position, limits) != (width, height):
                raise corrupt("it declares two different sizes")
            found.body.append(_padded(view[position:after]))
        elif name == b"ALPH" and not found.body:
            found.body.append(_padded(view[position:after]))
        elif name == b"ANMF":
            found.frames += 1
        elif name == b"EXIF":
            # Some writers put the JPEG label in front, against the standard.
            found.orientation = orientation_of(content[6:] if bytes(content[:6]) == b"Exif\0\0" else content)
        elif name == b"ICCP" and found.icc is None:
            found.icc = bytes(content)
        position = after + (length & 1)
    if found.frames > 1 or (data[12:16] == b"VP8X" and data[20] & _ANIMATED):
        raise ImageRefused("animated", "This WebP file is an animation. Export one still picture.")
    if not any(bytes(piece[:4]) in (b"VP8 ", b"VP8L") for piece in found.body):
        raise corrupt("there is no picture in it")
    found.lead = _lead(found, 1, None)
    return found


def _padded(chunk: memoryview) -> Piece:
    return bytes(chunk) + b"\0" if len(chunk) & 1 else chunk


def _sides(data: bytes, position: int, limits: Limits) -> tuple[int, int]:
    """Width and height from the header of the chunk at ``position``."""
    name, content = data[position : position + 4], data[position + 8 : position + 18]
    if len(content) < 10:
        raise truncated()
    if name == b"VP8X":
        width = 1 + int.from_bytes(content[4:7], "little")
        height = 1 + int.from_bytes(content[7:10], "little")
    elif name == b"VP8 " and content[3:6] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 6))
    elif name == b"VP8L" and content[0] == 0x2F:
        bits = struct.unpack_from("<I", content, 1)[0]
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        raise corrupt("its size cannot be read")
    limits.check_sides(width, height)
    return width, height


def _lead(found: Container, orientation: int, icc: bytes | None) -> bytes:
    """RIFF header, and a VP8X header where the file has alpha or metadata."""
    extra = sum(len(piece) for piece in metadata(orientation, icc))
    size = 4 + extra + sum(len(piece) for piece in found.body)
    layered = any(bytes(piece[:4]) == b"ALPH" for piece in found.body)
    if not extra and not layered:
        return b"RIFF" + struct.pack("<I", size) + b"WEBP"
    picture = next(piece for piece in found.body if bytes(piece[:4]) != b"ALPH")
    see_through = layered or (bytes(picture[:4]) == b"VP8L" and bool(picture[12] & 0x10))
    flags = _ALPHA * see_through | _EXIF * (orientation != 1) | _ICC * bool(icc)
    sides = (found.width - 1).to_bytes(3, "little") + (found.height - 1).to_bytes(3, "little")
    header = b"VP8X" + struct.pack("<II", 10, flags) + sides
    return b"RIFF" + struct.pack("<I", size + len(header)) + b"WEBP" + header


def metadata(orientation: int, icc: bytes | None) -> list[Piece]:
    """The chunks of colour profile and orientation."""
    pieces: list[Piece] = []
    for name, content in ((b"ICCP", icc), (b"EXIF", exif_with(orientation) if orientation != 1 else None)):
        if content:
            pieces.append(name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1))
    return pieces


def assemble(found: Container, orientation: int, icc: bytes | None) -> bytes:
    """The whole file: profile in front of the pixels and EXIF behind them, as the standard orders them."""
    profile, exif = metadata(1, icc), metadata(orientation, None)
    return b"".join((_lead(found, orientation, icc), *profile, *found.body, *exif))
