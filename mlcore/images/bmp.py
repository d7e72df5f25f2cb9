"""BMP files, by their header."""

from __future__ import annotations

import struct

from .containers import Container
from .refusal import ImageRefused, Limits, corrupt, truncated


def take_apart(data: bytes, limits: Limits) -> Container:
    """Read the header of an uncompressed BMP file. Raises ``ImageRefused``.

    The body is the whole file: a BMP is stored rewritten as PNG, never as it came.
    """
    if len(data) < 26:
        raise truncated()
    offset, header = struct.unpack_from("<I", data, 10)[0], struct.unpack_from("<I", data, 14)[0]
    if len(data) < 14 + header:
        raise truncated()
    compression = 0
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
        height = abs(height)  # negative: rows from the top
    limits.check_sides(width, height)
    if compression not in (0, 3):
        raise ImageRefused("unsupported_format", "This BMP is compressed. Export it uncompressed, or as PNG.")
    if bits not in (1, 4, 8, 16, 24, 32):
        raise corrupt(f"it has {bits} bits per pixel")
    expected = height * ((width * bits + 31) // 32 * 4)
    # The last row is often written without its padding.
    if offset + expected - 3 > len(data):
        raise truncated(max(0, len(data) - offset) / expected)
    return Container("BMP", width, height, body=[data])
