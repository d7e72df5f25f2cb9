"""Zips as they arrive on a bad day: bombs, ladders out of their folder, damage of every kind."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

from tests.hostile import jpeg


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def hostile_zips() -> Iterator[tuple[str, bytes, set[str]]]:
    """(name, zip, codes that may come of it: of the zip itself or of its members)."""
    good = ("S26-0123/1.jpg", jpeg(seed=1))
    whole = zipped(good)
    yield "cut off", whole[: len(whole) // 2], {"zip_damaged"}
    yield "only its first bytes", b"PK\x03\x04", {"zip_damaged"}
    yield "empty", zipped(), {"zip_empty"}
    yield "folders alone", zipped(("a/", b"")), {"zip_empty"}
    for name in ("../../etc/passwd", "/etc/passwd.jpg", "C:\\windows\\x.jpg", "a/../../b.jpg", "..\\x.jpg"):
        yield f"path {name}", zipped((name, jpeg(seed=2))), {"zip_name"}
    yield "deep", zipped(("/".join("abcdefghijklmnopqrst") + "/x.jpg", jpeg(seed=2))), {"zip_name"}
    yield "long name", zipped(("n" * 900 + ".jpg", jpeg(seed=2))), {"zip_name"}
    yield "zip in zip", zipped(("inner.zip", whole)), {"zip_in_zip"}
    yield "bomb", zipped(("S26-0123.bmp", b"\0" * 60_000_000)), {"zip_ratio"}
    yield "too large", zipped(("S26-0123.bmp", bytes(range(256)) * 300_000)), {"zip_ratio", "too_large"}
    yield "too many", zipped(*((f"{n}.jpg", b"x") for n in range(51))), {"zip_too_many"}
    yield "lzma", zipped(good, method=zipfile.ZIP_LZMA), {"zip_method"}
    yield "bzip2", zipped(good, method=zipfile.ZIP_BZIP2), {"zip_method"}
    stored = bytearray(zipped(good, method=zipfile.ZIP_STORED))
    stored[100] ^= 0xFF
    yield "checksum", bytes(stored), {"zip_damaged"}
    encrypted = bytearray(whole)
    encrypted[6] |= 1
    encrypted[encrypted.rfind(b"PK\x01\x02") + 8] |= 1
    yield "password", bytes(encrypted), {"encrypted"}
    lying = bytearray(zipped(("S26-0123.bmp", b"\0" * 3_000_000)))
    at = lying.rfind(b"PK\x01\x02")
    lying[at + 24 : at + 28] = (10).to_bytes(4, "little")  # says it unpacks to 10 bytes
    yield (
        "lies about its size",
        bytes(lying),
        {"zip_damaged", "zip_ratio", "unreadable", "not_an_image", "unknown_format"},
    )
    for number in range(170):
        broken = bytearray(zipped(good, ("S26-0123/2.jpg", jpeg(seed=3)), ("x.txt", b"text" * 40)))
        for step in range(1, 4):
            broken[(number * 7919 * step + 13 * number) % len(broken)] ^= 0x5A + number % 60
        yield f"flipped {number}", bytes(broken), set()
