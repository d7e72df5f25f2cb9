"""TIFF files, by the tags of their first directory (TIFF 6.0)."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from .containers import Container
from .refusal import ImageRefused, Limits, corrupt, truncated

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I"}
# Compression codes read here, with the most bytes that one stored byte can become.
_COMPRESSIONS = {1: 1, 5: 1400, 7: 3000, 8: 1040, 32946: 1040, 32773: 64}
_MAX_PAGES = 1000
_MAX_VALUES = 1_000_000

Tags = Mapping[int, tuple[int, ...]]


def take_apart(data: bytes, limits: Limits) -> Container:
    """Read the first directory of a TIFF file and count the others. Raises ``ImageRefused``.

    The body is the whole file: a TIFF is stored rewritten as PNG, never as it came.
    """
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 8:
        raise truncated()
    start = struct.unpack_from(order + "I", data, 4)[0]
    if start > len(data):
        raise truncated(len(data) / start)
    tags, following = _directory(data, order, start)
    width, height = _one(tags, 256), _one(tags, 257)
    limits.check_sides(width, height)
    pages, visited = 1, {start}
    while following:
        if following in visited or pages >= _MAX_PAGES:
            raise corrupt("its list of pages runs in a circle")
        visited.add(following)
        _, following = _directory(data, order, following)
        pages += 1
    if pages > 1:
        raise ImageRefused(
            "multi_page", f"This TIFF holds {pages} pictures. Export the one you need as a file of its own."
        )
    _check_layout(data, tags, width, height)
    orientation = _one(tags, 274, 1)
    return Container("TIFF", width, height, orientation=orientation if 1 <= orientation <= 8 else 1, body=[data])


def _check_layout(data: bytes, tags: Tags, width: int, height: int) -> None:
    compression, photometric = _one(tags, 259, 1), _one(tags, 262, 0)
    if compression not in _COMPRESSIONS:
        raise ImageRefused(
            "unsupported_format",
            f"This TIFF is compressed in a way that is not read here (code {compression}). "
            "Export it uncompressed or with LZW.",
        )
    samples = _one(tags, 277, 1)
    if not 1 <= samples <= 5:
        raise ImageRefused("unsupported_depth", f"This TIFF has {samples} channels. Export it as ordinary RGB.")
    if photometric not in (0, 1, 2, 3, 6):
        raise ImageRefused(
            "unsupported_colour",
            "The colours of this TIFF are stored for printing or as raw camera data. Export it as ordinary RGB.",
        )
    depths = tags.get(258, (1,))
    if max(depths) > 16 or max(tags.get(339, (1,))) != 1 or (max(depths) > 8 and photometric != 1):
        raise ImageRefused(
            "unsupported_depth",
            f"This TIFF has {max(depths)} bits per colour. Export it with 8 bits per colour.",
        )
    offsets = tags.get(273) or tags.get(324, ())
    counts = tags.get(279) or tags.get(325, ())
    if not offsets:
        raise corrupt("there is no picture in it")
    expected = height * ((width * max(depths) * samples + 7) // 8)
    if not counts and compression == 1 and len(offsets) == 1:
        counts = (expected,)  # old writers leave the length of a single strip out
    if len(counts) != len(offsets):
        raise corrupt("its list of strips is incomplete")
    ends = [offset + count for offset, count in zip(offsets, counts, strict=True)]
    if max(ends) > len(data):
        there = sum(max(0, min(count, len(data) - offset)) for offset, count in zip(offsets, counts, strict=True))
        raise truncated(there / sum(counts))
    if photometric == 6:
        expected //= 2  # colour may be stored at a quarter of the resolution
    if sum(counts) * _COMPRESSIONS[compression] < expected:
        raise truncated(sum(counts) * _COMPRESSIONS[compression] / expected if compression == 1 else None)
    tile_width, tile_height = _one(tags, 322, 0), _one(tags, 323, 0)
    if tile_width > max(width, 1024) + 1024 or tile_height > max(height, 1024) + 1024:
        raise corrupt("its tiles are larger than the picture")


def _directory(data: bytes, order: str, start: int) -> tuple[Tags, int]:
    """The whole-number tags of the directory at ``start`` and the offset of the next one (0: none)."""
    try:
        count = struct.unpack_from(order + "H", data, start)[0]
        tags: dict[int, tuple[int, ...]] = {}
        for index in range(count):
            tag, kind, number, _ = struct.unpack_from(order + "HHII", data, start + 2 + 12 * index)
            code = _CODES.get(kind)
            if code is None or number == 0 or number > _MAX_VALUES:
                continue
            place = start + 2 + 12 * index + 8
            if number * _SIZES[kind] > 4:
                place = struct.unpack_from(order + "I", data, place)[0]
            tags.setdefault(tag, struct.unpack_from(f"{order}{number}{code}", data, place))
        return tags, struct.unpack_from(order + "I", data, start + 2 + 12 * count)[0]
    except struct.error:
        raise truncated() from None


def _one(tags: Tags, tag: int, default: int | None = None) -> int:
    if tag in tags:
        return tags[tag][0]
    if default is None:
        raise corrupt("its size cannot be read")
    return default
