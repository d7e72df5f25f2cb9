"""PNG files, chunk by chunk (W3C PNG, third edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

from .containers import Container, Piece, exif_with, orientation_of
from .refusal import ImageRefused, Limits, corrupt, truncated

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Chunks that say how the pixels look and have room for nothing else, with the lengths they may have.
_PLAIN = {b"gAMA": (4,), b"cHRM": (32,), b"sRGB": (1,), b"sBIT": (1, 2, 3, 4), b"pHYs": (9,)}
# One byte of a deflate stream becomes at most 1032: fewer bytes cannot hold the picture, however empty it is.
_MOST_DEFLATED = 1032
_MAX_PROFILE = 4 * 1024 * 1024
# Adam7: first column, first row, column step, row step of the seven passes.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def take_apart(data: bytes, limits: Limits) -> Container:
    """Walk the chunks of a PNG file. Raises ``ImageRefused``; sides are checked before anything else is read.

    The checksum of every chunk that is kept is verified; text, time and unknown chunks are left out.
    """
    view = memoryview(data)
    if len(data) < 33:
        raise truncated()
    if data[8:16] != b"\0\0\0\rIHDR":
        raise corrupt("its size cannot be read")
    width, height, depth, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    limits.check_sides(width, height)
    if depth not in _DEPTHS.get(colour, ()) or interlace > 1:
        raise corrupt("its header makes no sense")
    _check_sum(view[8:33])
    found = Container("PNG", width, height, lead=view[:33])
    position, pixels, seen = 33, list[memoryview](), set[bytes]()
    while True:
        if position + 12 > len(data):
            raise truncated(share_inflated(pixels, raw_size(data)))
        length = struct.unpack_from(">I", data, position)[0]
        name, after = data[position + 4 : position + 8], position + 12 + length
        if after > len(data):
            if name == b"IDAT":
                pixels.append(view[position + 8 :])
            raise truncated(share_inflated(pixels, raw_size(data)))
        chunk, content = view[position:after], view[position + 8 : after - 4]
        if name == b"IDAT":
            _check_sum(chunk)
            pixels.append(content)
            found.body.append(chunk)
        elif name == b"IEND":
            break
        elif name == b"PLTE" or (name == b"tRNS" and (colour == 3 or depth == 8)):
            # The decoder misreads a transparent colour of other depths; it is left out for everybody.
            if name not in seen and not pixels:
                _check_sum(chunk)
                found.body.append(chunk)
        elif name == b"acTL" and length == 8:
            found.frames = struct.unpack_from(">I", content)[0]
        elif name == b"eXIf":
            found.orientation = orientation_of(content)
        elif name == b"iCCP" and found.icc is None:
            found.icc = bytes(content)
        elif name in _PLAIN and length in _PLAIN[name] and name not in seen and not pixels:
            _check_sum(chunk)
            found.body.append(chunk)
        elif name not in _PLAIN and not name[0] & 0x20 and name not in (b"IHDR",):
            raise corrupt("it has a part that no program knows")
        seen.add(name)
        position = after
    if not pixels:
        raise corrupt("there is no picture in it")
    if sum(map(len, pixels)) * _MOST_DEFLATED < raw_size(data):
        raise truncated(share_inflated(pixels, raw_size(data)))
    if colour == 3 and b"PLTE" not in seen:
        raise corrupt("its colour table is missing")
    if found.frames > 1:
        raise ImageRefused(
            "animated", f"This PNG is an animation of {found.frames} pictures. Export one still picture."
        )
    found.body.append(make_chunk(b"IEND", b""))
    return found


def raw_size(data: bytes) -> int:
    """The bytes that the pixels of a PNG file inflate to, from its header (one filter byte a row)."""
    width, height, depth, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    bits = depth * _CHANNELS[colour]
    total = 0
    for first_column, first_row, right, down in _PASSES if interlace else ((0, 0, 1, 1),):
        columns = (width - first_column + right - 1) // right
        rows = (height - first_row + down - 1) // down
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def share_inflated(pixels: Iterable[Piece], expected: int) -> float:
    """The share (0..1) of the expected bytes that pieces of pixel data inflate to, in bounded memory."""
    inflater, total = zlib.decompressobj(), 0
    for piece in pixels:
        pending = bytes(piece)
        while pending and not inflater.eof and total < expected:
            try:
                total += len(inflater.decompress(pending, 1 << 20))
            except zlib.error:
                return total / expected
            pending = inflater.unconsumed_tail
    return total / expected


def _check_sum(chunk: memoryview) -> None:
    if zlib.crc32(chunk[4:-4]) != struct.unpack(">I", chunk[-4:])[0]:
        raise corrupt("some of its bytes changed on the way")


def inflated_profile(content: bytes) -> bytes | None:
    """The colour profile in an iCCP chunk (a name, a method, deflated bytes); None for nonsense or a bomb."""
    name, _, rest = content.partition(b"\0")
    if len(name) > 79 or rest[:1] != b"\0":
        return None
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(rest[1:], _MAX_PROFILE)
    except zlib.error:
        return None
    return profile if inflater.eof else None


def make_chunk(name: bytes, content: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def metadata(orientation: int, icc: bytes | None) -> list[Piece]:
    """The chunks that put orientation and colour profile back between a container's lead and body."""
    pieces: list[Piece] = []
    if icc:
        pieces.append(make_chunk(b"iCCP", b"profile\0\0" + zlib.compress(icc)))
    if orientation != 1:
        pieces.append(make_chunk(b"eXIf", exif_with(orientation)))
    return pieces


def trim_pixels(found: Container, data: bytes) -> None:
    """Cut what hides behind the compressed pixels of a PNG file, and check that they are whole.

    A zlib stream ends by itself; bytes after its end inside IDAT are seen by no viewer but would be kept.
    Raises ``ImageRefused`` for pixels that are missing, damaged or more than the header announces.
    """
    expected, total = raw_size(data), 0
    inflater = zlib.decompressobj()
    kept: list[Piece] = []
    for piece in found.body:
        if piece[4:8] != b"IDAT":
            kept.append(piece)
            continue
        if inflater.eof:
            continue
        content = piece[8:-4]
        pending: Piece = content
        while True:
            try:
                total += len(inflater.decompress(pending, 1 << 20))
            except zlib.error as error:
                raise corrupt("its PNG data cannot be decoded") from error
            if total > expected:
                raise corrupt("it holds more than its header announces")
            pending = inflater.unconsumed_tail
            if not pending:
                break
        behind = len(inflater.unused_data)
        kept.append(make_chunk(b"IDAT", bytes(content[: len(content) - behind])) if behind else piece)
    if total < expected or not inflater.eof:
        raise truncated(total / expected)
    found.body = kept
