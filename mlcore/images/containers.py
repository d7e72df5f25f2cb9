"""What the file formats share: the parts of a picture file that carry pixels, found without decoding."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

Piece = bytes | memoryview


@dataclass(slots=True)
class Container:
    """A picture file taken apart.

    ``lead`` and ``body`` together are a whole file of the same format with the same pixels and nothing
    that could name a patient; metadata that is written again (orientation, colour profile) goes between
    the two. ``icc`` is the colour profile as the format keeps it (in PNG with a name, and deflated).
    """

    format: str
    width: int
    height: int
    frames: int = 1
    orientation: int = 1
    icc: bytes | None = None
    lead: Piece = b""
    body: list[Piece] = field(default_factory=list)

    def core(self, between: Iterable[Piece] = ()) -> bytes:
        """The file with pixels only, with ``between`` put where the format wants its metadata."""
        return b"".join((self.lead, *between, *self.body))


def orientation_of(exif: Piece) -> int:
    """The EXIF orientation (1–8) in a TIFF-structured EXIF block; 1 where it is missing or nonsense."""
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(exif[:2])]
        start = struct.unpack_from(order + "I", exif, 4)[0]
        count = struct.unpack_from(order + "H", exif, start)[0]
        for index in range(min(count, 512)):
            tag, kind, number, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * index)
            if tag == 0x0112 and kind == 3 and number == 1 and 1 <= value <= 8:
                return int(value)
    except (KeyError, struct.error):
        pass
    return 1


def exif_with(orientation: int) -> bytes:
    """A TIFF-structured EXIF block that holds the orientation (1–8) and nothing else (26 bytes)."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
