"""Colour profiles reduced to what changes colours (ICC.1:2022): no names, no dates, no private parts."""

from __future__ import annotations

import struct

_MAX_TAGS = 100
_COLOURS = (b"rXYZ gXYZ bXYZ wtpt bkpt rTRC gTRC bTRC kTRC chad lumi cicp A2B0 A2B1 A2B2 B2A0 B2A1 B2A2 gamt").split()
# Types that hold numbers only: no text (desc, text, mluc), no named colours, no signatures.
_NUMBERS = (b"XYZ ", b"curv", b"para", b"sf32", b"mft1", b"mft2", b"mAB ", b"mBA ", b"cicp")


def plain_profile(profile: bytes) -> bytes | None:
    """The profile with its colour tags only and a neutral description; ``None`` if it cannot be read.

    Header fields that tell of program, device and date are cleared.
    """
    try:
        size, count = struct.unpack_from(">I", profile)[0], struct.unpack_from(">I", profile, 128)[0]
        if profile[36:40] != b"acsp" or size > len(profile) or count > _MAX_TAGS:
            return None
        tags: list[tuple[bytes, bytes]] = []
        for index in range(count):
            name, start, length = struct.unpack_from(">4sII", profile, 132 + 12 * index)
            content = profile[start : start + length]
            if name in _COLOURS and content[:4] in _NUMBERS and len(content) == length:
                tags.append((name, _exact(content)))
    except struct.error:
        return None
    if not tags:
        return None
    version_4 = profile[8] >= 4
    tags.append((b"desc", _text(b"mluc" if version_4 else b"desc", "colour profile")))
    tags.append((b"cprt", _text(b"mluc" if version_4 else b"text", "none")))
    # Class, colour space, connection space, rendering intent and illuminant stay; the rest is cleared.
    kept = bytearray(128)
    kept[8:12], kept[12:24], kept[36:40] = profile[8:12], profile[12:24], b"acsp"
    kept[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    kept[64:80] = profile[64:80]
    table, contents, places = b"", b"", dict[bytes, int]()
    offset = 132 + 12 * len(tags)
    for name, content in tags:
        if content not in places:  # red, green and blue often share one curve
            places[content] = offset + len(contents)
            contents += content + b"\0" * (-len(content) % 4)
        table += struct.pack(">4sII", name, places[content], len(content))
    kept[:4] = struct.pack(">I", offset + len(contents))
    return bytes(kept) + struct.pack(">I", len(tags)) + table + contents


def _exact(content: bytes) -> bytes:
    """A tag cut to the length that its own type declares, where that can be told, reserved bytes cleared."""
    kind = content[:4]
    length = len(content)
    if kind == b"curv":
        length = 12 + 2 * struct.unpack_from(">I", content, 8)[0]
    elif kind == b"para":
        length = 12 + 4 * {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}.get(struct.unpack_from(">H", content, 8)[0], 0)
    elif kind == b"XYZ ":
        length = 20
    elif kind == b"cicp":
        length = 12
    return kind + b"\0\0\0\0" + content[8:length]


def _text(kind: bytes, words: str) -> bytes:
    if kind == b"mluc":
        encoded = words.encode("utf-16-be")
        return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(encoded), 28) + encoded
    ascii_words = words.encode("ascii") + b"\0"
    if kind == b"text":
        return b"text\0\0\0\0" + ascii_words
    # textDescriptionType: the ASCII words, then empty Unicode and ScriptCode parts of fixed size.
    return b"desc\0\0\0\0" + struct.pack(">I", len(ascii_words)) + ascii_words + bytes(4 + 4 + 2 + 1 + 67)
