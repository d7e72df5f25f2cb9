"""More files of bad days, by the hundred: cut at every seam, lying about themselves, dressed up as something else.

`pictures()` must each be refused or read; `code` of a sample is the refusal's, "" for what must be read, `ANY` where
both are right as long as it is said. `names()` are good pictures that only their names speak against.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Iterator
from functools import cache

import numpy as np
from PIL import Image

from tests.hostile import (
    Sample,
    bmp_of,
    encoded,
    jpeg,
    png_chunk,
    png_of,
    png_with,
    smear,
    tiff_of,
)

ANY = "*"


@cache
def pictures() -> tuple[Sample, ...]:
    """Distinct files, none of them among those of `tests.hostile`."""
    parts = (_jpegs, _jpeg_metadata, _pngs, _tiffs, _webps, _bmps, _gifs, _disguised, _two_in_one, _scraps)
    # Cut early enough, two files are the same: each content once.
    return tuple({sample.data: sample for part in parts for sample in part()}.values())


# ---- JPEG


def _segments(data: bytes) -> list[tuple[int, int, int]]:
    """(marker, where it stands, where its content ends) of a JPEG file's head, up to the pixels."""
    found, at = [], 2
    while at < len(data) - 4 and data[at] == 0xFF:
        length = struct.unpack_from(">H", data, at + 2)[0]
        found.append((data[at + 1], at, at + 2 + length))
        if data[at + 1] == 0xDA:
            break
        at += 2 + length
    return found


def _jpegs() -> Iterator[Sample]:
    exif = Image.Exif()
    exif[0x010E] = "smear"
    for title, data in (
        ("baseline", jpeg(seed=31, exif=exif)),
        ("progressive", jpeg(seed=32, progressive=True)),
        ("restarts", jpeg(seed=33, restart_marker_rows=1)),
    ):
        segments = _segments(data)
        for marker, start, end in segments:
            yield Sample(f"{title} cut before {marker:02X} at {start}.jpg", data[:start], "truncated")
            yield Sample(f"{title} cut in {marker:02X} at {start}.jpg", data[: (start + end) // 2 + 1], "truncated")
        pixels = segments[-1][2]
        for tenth in (1, 4, 7):
            cut = pixels + (len(data) - pixels) * tenth // 10
            yield Sample(f"{title} cut at {tenth}0 % of its pixels.jpg", data[:cut], "truncated")
        yield Sample(f"{title} pixels zeroed.jpg", data[:pixels] + bytes(len(data) - pixels - 2) + b"\xff\xd9", ANY)
    data = jpeg(seed=34)
    for marker, start, _ in _segments(data):
        for length in (0, 1, 65_535):
            lying = data[: start + 2] + struct.pack(">H", length) + data[start + 4 :]
            yield Sample(f"{marker:02X} at {start} says {length} bytes.jpg", lying, ANY)
    frame = next(start for marker, start, _ in _segments(data) if marker == 0xC0)
    for name, at, value in (
        ("no height", 5, b"\0\0"), ("no width", 7, b"\0\0"), ("200 parts", 9, b"\xc8"), ("no parts", 9, b"\0"),
        ("sampling 15", 11, b"\xff"), ("table 200", 12, b"\xc8"),
    ):  # fmt: skip
        yield Sample(f"{name}.jpg", data[: frame + at] + value + data[frame + at + len(value) :], ANY)
    yield Sample("arithmetic.jpg", data.replace(b"\xff\xc0", b"\xff\xc9", 1), ANY)
    yield Sample("hierarchical.jpg", data.replace(b"\xff\xc0", b"\xff\xc5", 1), ANY)
    yield Sample("starts twice.jpg", data[:2] + data, ANY)
    yield Sample("fill bytes.jpg", data[:2] + b"\xff" * 5_000 + data[2:], ANY)
    yield Sample("ends at once.jpg", b"\xff\xd8\xff\xd9", ANY)
    yield Sample("only starts.jpg", b"\xff\xd8" * 3_000, ANY)


def _app(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def _jpeg_metadata() -> Iterator[Sample]:
    """Metadata that lies, loops or swells: nothing of it is kept, so the picture is read all the same."""

    def with_(name: str, *segments: bytes, seed: int) -> Sample:
        data = jpeg(seed=seed)
        return Sample(f"{name}.jpg", data[:2] + b"".join(segments) + data[2:], "")

    def ifd(*entries: bytes, then: int = 0) -> bytes:
        return struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", then)

    def exif(content: bytes) -> bytes:
        return _app(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + content)

    entry = struct.Struct("<HHII").pack
    yield with_("exif that leads to itself", exif(ifd(entry(0x8769, 4, 1, 8), then=8)), seed=40)
    yield with_("exif of 5000 entries", exif(ifd(*[entry(0x10E, 2, 4, 0)] * 5_000)), seed=41)
    yield with_("exif that says 65535 entries", exif(b"\xff\xff" + bytes(40)), seed=42)
    yield with_("exif of four gigabytes", exif(ifd(entry(0x927C, 7, 2**32 - 1, 26))), seed=43)
    yield with_("exif beyond its end", _app(0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f"), seed=44)
    yield with_("exif cut off", _app(0xE1, b"Exif\0\0II"), seed=45)
    yield with_("exif of no order", _app(0xE1, b"Exif\0\0XX*\0\x08\0\0\0"), seed=46)
    for number in (0, 9, 65_535):
        yield with_(f"orientation {number}", exif(ifd(entry(0x112, 3, 1, number))), seed=47 + number % 7)
    yield with_("two orientations", exif(ifd(entry(0x112, 3, 1, 1), entry(0x112, 3, 1, 1))), seed=55)
    yield with_("exif 200 times", *[exif(ifd(entry(0x10E, 2, 4, 0)) + bytes(60_000))] * 200, seed=56)
    icc = b"ICC_PROFILE\0"
    yield with_(
        "profile of 255 parts", *[_app(0xE2, icc + bytes((n, 255)) + bytes(60_000)) for n in range(1, 256)], seed=57
    )
    yield with_("profile that misses parts", _app(0xE2, icc + bytes((7, 9)) + bytes(100)), seed=58)
    yield with_("profile of nothing", _app(0xE2, icc), seed=59)
    yield with_("profile of noise", _app(0xE2, icc + b"\1\1" + np.random.default_rng(1).bytes(60_000)), seed=60)
    bomb = zlib.compress(bytes(20_000_000), 9)
    yield with_("deflated bomb in a segment", _app(0xEF, bomb[:65_000]), seed=61)
    xml = (
        b'http://ns.adobe.com/xap/1.0/\0<!DOCTYPE x [<!ENTITY a "ha">'
        + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
        + b"]><x>&j;</x>"
    )
    yield with_("a billion laughs in its xmp", _app(0xE1, xml), seed=62)
    yield with_("script in a comment", _app(0xFE, b"<?php system($_GET['c']); ?><script>alert(1)</script>"), seed=63)
    yield with_("thousand comments", *[_app(0xFE, b"x" * 20)] * 1_000, seed=64)


# ---- PNG


def _pngs() -> Iterator[Sample]:
    plain = encoded(smear(seed=70), "PNG")
    at, seams = 8, []
    while at < len(plain):
        length = struct.unpack_from(">I", plain, at)[0]
        seams.append((plain[at + 4 : at + 8], at, at + 12 + length))
        at += 12 + length
    for name, start, end in seams:
        title = name.decode()
        yield Sample(f"cut before {title} at {start}.png", plain[:start] or b"\x89", "truncated")
        yield Sample(f"cut in {title} at {start}.png", plain[: (start + end) // 2], "truncated")
        wrong = plain[: end - 4] + b"\0\0\0\0" + plain[end:]
        yield Sample(f"wrong checksum of {title} at {start}.png", wrong, "" if name == b"IEND" else "corrupt")
        for length in (2**31 - 1, 2**32 - 1):
            lying = plain[:start] + struct.pack(">I", length) + plain[start + 4 :]
            yield Sample(f"{title} at {start} says {length} bytes.png", lying, ANY)
    row = b"\0" * (1 + 64 * 3)
    for title, width, height, depth, colour in (
        ("no width", 0, 64, 8, 2), ("no height", 64, 0, 8, 2), ("two thousand million wide", 2**31 - 1, 64, 8, 2),
        ("depth 3", 64, 64, 3, 2), ("colour 5", 64, 64, 8, 5), ("palette without one", 64, 64, 8, 3),
        ("depth 1 of colour 2", 64, 64, 1, 2),
    ):  # fmt: skip
        yield Sample(f"{title}.png", png_of(width, height, depth, colour, row * 64), ANY)
    yield Sample("bomb of 2 500 megapixels.png", png_of(50_000, 50_000, 1, 0, bytes(5_000_000)), "too_many_pixels")
    yield Sample("bomb of 19 999 a side.png", png_of(19_999, 19_999, 8, 6, bytes(1_000_000)), "too_many_pixels")
    yield Sample("as large as allowed, and empty.png", png_of(10_000, 10_000, 8, 2, bytes(40)), "truncated")
    yield Sample("filter 9.png", png_of(64, 64, 8, 2, (b"\x09" + row[1:]) * 64), ANY)
    yield Sample("more rows than told.png", png_of(64, 64, 8, 2, row * 640 + bytes(30_000_000)), ANY)
    yield Sample("thousands of empty IDAT.png", png_with(plain, *[png_chunk(b"IDAT", b"")] * 5_000), ANY)
    yield Sample("thousands of texts.png", png_with(plain, *[png_chunk(b"tEXt", b"Comment\0x")] * 5_000), "")
    yield Sample("transparency of 9 bytes.png", png_with(plain, png_chunk(b"tRNS", bytes(9))), ANY)
    yield Sample("two headers.png", plain[:33] + plain[8:], ANY)
    yield Sample("no header.png", plain[:8] + plain[33:], ANY)
    yield Sample("end comes first.png", plain[:8] + png_chunk(b"IEND", b"") + plain[8:], ANY)
    yield Sample("critical chunk of its own.png", png_with(plain, png_chunk(b"EVIL", b"x")), ANY)
    itxt = b"Comment\0\1\0\0\0" + zlib.compress(bytes(40_000_000), 9)
    yield Sample("international text bomb.png", png_with(plain, png_chunk(b"iTXt", itxt)), "")
    yield Sample("moving but one.png", png_with(plain, png_chunk(b"acTL", struct.pack(">II", 4_000_000_000, 0))), ANY)
    yield Sample("sixteen bit with alpha.png", png_of(64, 64, 16, 6, (b"\0" + b"\x80\x01" * 256) * 64), ANY)


# ---- TIFF


def _tags(width: int = 64, height: int = 64, **changed: int) -> dict[int, tuple[int, int]]:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: height, 279: width * height}
    return {tag: (value, 1) for tag, value in (tags | {int(k[1:]): v for k, v in changed.items()}).items()}


def _tiffs() -> Iterator[Sample]:
    strip = bytes(range(256)) * 16
    for name, changed in (
        ("no strip length", {"_279": 0}), ("strip of four gigabytes", {"_279": 2**32 - 1}),
        ("rows of nothing", {"_278": 0}), ("bits 0", {"_258": 0}), ("bits 32", {"_258": 32}), ("bits 64", {"_258": 64}),
        ("200 samples", {"_277": 200}), ("no samples", {"_277": 0}), ("compression 6", {"_259": 6}),
        ("compression 34712", {"_259": 34_712}), ("photometry 99", {"_262": 99}), ("planes apart", {"_284": 2}),
        ("predictor 77", {"_317": 77}), ("tiles of nothing", {"_322": 0, "_323": 0, "_324": 8, "_325": 1}),
        ("giant tiles", {"_322": 2**31, "_323": 2**31, "_324": 8, "_325": 1}), ("orientation 99", {"_274": 99}),
        ("directory in itself", {"_330": 8}), ("exif leads to itself", {"_34665": 8}),
        ("lzw of noise", {"_259": 5}), ("deflate of noise", {"_259": 8}), ("packbits of noise", {"_259": 32_773}),
        ("jpeg of noise", {"_259": 7}), ("floats", {"_258": 32, "_339": 3}),
    ):  # fmt: skip
        yield Sample(f"{name}.tif", tiff_of(_tags(**changed), strip), ANY)
    yield Sample("no width.tif", tiff_of(_tags(0, 64), strip), ANY)
    bomb = zlib.compress(bytes(60_000_000), 9)
    yield Sample("deflate bomb.tif", tiff_of(_tags(4_000, 4_000, _259=8, _279=len(bomb)), bomb), ANY)
    yield Sample("deflate bomb in a small picture.tif", tiff_of(_tags(_259=8, _279=len(bomb)), bomb), ANY)
    yield Sample("65535 entries.tif", b"II*\0\x08\0\0\0\xff\xff" + bytes(600), ANY)
    yield Sample("no entries.tif", b"II*\0\x08\0\0\0\0\0" + bytes(8), ANY)
    yield Sample("directory beyond its end.tif", b"MM\0*\xff\xff\xff\xf0" + bytes(100), ANY)
    yield Sample("directory in its head.tif", b"II*\0\x02\0\0\0" + bytes(100), ANY)
    chain = bytearray(tiff_of(_tags(), strip, next_page=2_000).ljust(2_000, b"\0"))
    chain += struct.pack("<H", 0) + struct.pack("<I", 2_006) + struct.pack("<H", 0) + struct.pack("<I", 2_000)
    yield Sample("pages in a ring.tif", bytes(chain), ANY)
    whole = encoded(smear(seed=80), "TIFF", compression="tiff_lzw")
    for tenth in range(1, 10, 2):
        yield Sample(f"lzw cut at {tenth}0 %.tif", whole[: len(whole) * tenth // 10], "truncated")


# ---- WebP, BMP, GIF


def _webps() -> Iterator[Sample]:
    lossless = encoded(smear(seed=90), "WEBP", lossless=True)
    lossy = encoded(smear(seed=91), "WEBP", quality=80)
    for title, data in (("lossless", lossless), ("lossy", lossy)):
        for cut in (4, 11, 12, 16, 20, 25, 30, len(data) - 1):
            yield Sample(f"{title} cut at {cut}.webp", data[:cut], ANY)
        for size in (0, 4, 2**32 - 2):
            yield Sample(f"{title} says {size} bytes.webp", data[:4] + struct.pack("<I", size) + data[8:], ANY)
        yield Sample(f"{title} pixels of zeros.webp", data[:30] + bytes(len(data) - 30), ANY)
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\xff\xff\xff\xff"
    body = b"WEBP" + canvas + lossy[12:]
    yield Sample("giant canvas.webp", b"RIFF" + struct.pack("<I", len(body)) + body, ANY)
    yield Sample("a wave.webp", b"RIFF" + struct.pack("<I", 100) + b"WAVEfmt " + bytes(90), ANY)


def _bmps() -> Iterator[Sample]:
    row = bytes(64 * 192)
    whole = bmp_of(64, 64, pixels=row)
    for name, at, value in (
        ("no planes", 26, b"\0\0"), ("bits 0", 28, b"\0\0"), ("bits 1", 28, b"\1\0"), ("bits 16", 28, b"\x10\0"),
        ("bits 99", 28, b"\x63\0"), ("palette of millions", 46, b"\xff\xff\xff\x7f"), ("head of 3", 14, b"\3\0\0\0"),
        ("head of gigabytes", 14, b"\xff\xff\xff\x7f"), ("pixels beyond", 10, b"\xff\xff\xff\x7f"),
        ("pixels in its head", 10, b"\1\0\0\0"), ("jpeg inside", 30, b"\4\0\0\0"), ("png inside", 30, b"\5\0\0\0"),
        ("bit fields", 30, b"\3\0\0\0"), ("upside down and giant", 22, b"\0\0\0\x80"),
    ):  # fmt: skip
        yield Sample(f"{name}.bmp", whole[:at] + value + whole[at + len(value) :], ANY)
    for cut in (2, 13, 14, 30, 53, 54, 60):
        yield Sample(f"cut at {cut}.bmp", whole[:cut], ANY)


def _gifs() -> Iterator[Sample]:
    frames = [Image.new("P", (40, 40), n % 256) for n in range(600)]
    yield Sample(
        "six hundred frames.gif",
        encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "unsupported_format",
    )
    for version in (b"87a", b"89a"):
        head = b"GIF" + version + struct.pack("<HHBBB", 65_535, 65_535, 0xF7, 0, 0)
        yield Sample(f"giant {version.decode()}.gif", head + bytes(768) + b";", "unsupported_format")
    yield Sample("six bytes.gif", b"GIF89a", "unsupported_format")


# ---- what is no picture


def _disguised() -> Iterator[Sample]:
    text = b"The quick brown fox jumps over the lazy dog.\n" * 30
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("../../etc/passwd")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    entities = b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>'
    for name, data in (
        ("outside entity.jpg", entities), ("drawing.svgz.png", gzip.compress(entities)), ("page.png", b"<html>" + text),
        ("page with a mark.jpg", b"\xef\xbb\xbf<!doctype html>" + text), ("letter.pdf.jpg", b"%PDF-1.4\n" + text),
        ("print.eps.tif", b"%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%id) (w) file\n" + text),
        ("print with a head.eps", b"\xc5\xd0\xd3\xc6" + bytes(28) + text),
        ("program.png", b"\x7fELF\2\1\1" + bytes(800)),
        ("library.jpg", b"\xcf\xfa\xed\xfe" + bytes(800)), ("class.bmp", b"\xca\xfe\xba\xbe" + bytes(800)),
        ("archive.tar.jpg", packed.getvalue()), ("archive.gz.png", gzip.compress(text)),
        ("archive.7z.tif", b"7z\xbc\xaf\x27\x1c" + bytes(500)), ("archive.rar.jpg", b"Rar!\x1a\7\1\0" + bytes(500)),
        ("archive.xz.jpg", b"\xfd7zXZ\0" + bytes(500)), ("archive.bz2.jpg", b"BZh91AY&SY" + bytes(500)),
        ("film.mp4.jpg", b"\0\0\0\x18ftypmp42" + bytes(500)), ("still.avif.jpg", b"\0\0\0\x1cftypavif" + bytes(500)),
        ("sound.mp3.jpg", b"ID3\4\0" + bytes(500)), ("jpeg 2000.jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(500)),
        ("codestream.j2k", b"\xff\x4f\xff\x51" + bytes(500)), ("jpeg xl.jxl", b"\xff\x0a" + bytes(500)),
        ("jpeg ls.jls", b"\xff\xd8\xff\xf7" + bytes(500)), ("painting.psd", b"8BPS\0\1" + bytes(500)),
        ("sign.ico", b"\0\0\1\0\1\0" + bytes(500)), ("portable.ppm", b"P6 64 64 255\n" + bytes(64 * 64 * 3)),
        ("portable of millions.pgm", b"P5 999999 999999 255\n" + bytes(100)), ("film.tga", b"\0\0\2" + bytes(500)),
        ("paint.pcx", b"\x0a\5\1\x08" + bytes(500)), ("stars.fits", b"SIMPLE  =                    T" + bytes(2_880)),
        ("measures.h5.tif", b"\x89HDF\r\n\x1a\n" + bytes(500)), ("table.sqlite.jpg", b"SQLite format 3\0" + bytes(500)),
        ("slide.ndpi", b"MM\0+\0\x08\0\0" + bytes(500)), ("slide.vsi.jpg", b"II*\0" + bytes(4)),
        ("raw.cr2.jpg", b"II*\0\x10\0\0\0CR\2\0" + bytes(500)), ("pickle.jpg", b"\x80\4cos\nsystem\n(S'id'\ntR."),
        ("shell.jpg", b"#!/bin/sh\nrm -rf /\n"), ("json.png", b'{"patient": "' + text + b'"}'),
        ("sixteen bit words.txt.jpg", text.decode().encode("utf-16")), ("dicom without its mark.dcm", bytes(400)),
        ("dicom.jpg", bytes(128) + b"DICM\2\0\0\0UL\4\0" + bytes(500)), ("ones.jpg", b"\xff" * 5_000),
    ):  # fmt: skip
        yield Sample(name, data, ANY)


def _two_in_one() -> Iterator[Sample]:
    photo, plain = jpeg(seed=95), encoded(smear(seed=95), "PNG")
    zipped = b"PK\x03\x04" + bytes(26) + b"PK\x05\x06" + bytes(18)
    page = b"<html><script>alert(document.cookie)</script></html>"
    yield Sample("picture and archive.jpg", photo + zipped, "")
    yield Sample("picture and page.jpg", photo + page, "")
    yield Sample("picture and archive.png", plain + zipped, "")
    yield Sample("two pictures.jpg", photo + jpeg(seed=96), "")
    yield Sample("picture behind a page.jpg", page + photo, "not_an_image")
    yield Sample("picture behind a letter.pdf", b"%PDF-1.7\n" + photo, "unsupported_format")
    yield Sample("archive before a picture.jpg", zipped + photo, "unsupported_format")
    yield Sample("gif that is an applet.gif", b"GIF89a" + zipped, "unsupported_format")
    yield Sample("script that is a bitmap.bmp", b"BM/*" + bytes(10) + b"*/=1;alert(1)//" + bytes(80), ANY)
    yield Sample("jpeg in a png's clothes.png", b"\x89PNG\r\n\x1a\n" + photo, ANY)
    yield Sample("png in a jpeg's clothes.jpg", b"\xff\xd8\xff" + plain, ANY)


def _scraps() -> Iterator[Sample]:
    for data in (b"\0", b"\xff", b"\xff\xd8", b"B", b"BM", b"II", b"II*\0", b"MM\0*", b"RIFF", b"GIF", b"\x89PNG"):
        yield Sample(f"scrap of {data.hex()}.jpg", data, ANY)
    for kind in ("gradient", "white", "black"):
        level = {"gradient": np.mgrid[0:64, 0:64][1] * 4, "white": 255, "black": 0}[kind]
        pixels = np.broadcast_to(
            np.asarray(level, np.uint8)[..., None] if kind == "gradient" else np.uint8(level), (64, 64, 3)
        )
        yield Sample(f"nothing but {kind}.png", encoded(np.ascontiguousarray(pixels), "PNG"), "")
    yield Sample("one row of 20 001.png", encoded(np.zeros((32, 20_001, 3), np.uint8), "PNG"), "too_many_pixels")
    yield Sample("a line.png", encoded(np.zeros((1, 5_000, 3), np.uint8), "PNG"), "too_small")


# ---- names

NAMES = (
    "../../../etc/passwd", "..\\..\\windows\\system32\\cmd.exe.jpg", "/etc/shadow.jpg", "C:\\smear.jpg",
    "....//....//x.jpg", "..", "folder/", "CON.jpg", "nul", "aux.png.jpg", ".htaccess", "...", "   ", "smear.jpg\0.exe",
    "line\r\nSet-Cookie: a=b.jpg",
    "tab\tand\x1b[31mred\x07.jpg", "\u202egpj.exe", "\u2066left\u2069.jpg", "zero\u200bwidth\ufeff.jpg",
    "🩸🔬👩\u200d⚕️.jpg",
    "n" * 5_000 + ".jpg", "ü" * 300 + ".jpg", "/".join(["deep"] * 200) + "/x.jpg", "<script>alert(1)</script>.jpg",
    "'; DROP TABLE diagnosis_case; --.jpg", "{{ 7*7 }}{% debug %}.jpg", "%2e%2e%2fx.jpg", "=cmd|' /C calc'!A0.jpg",
    "$(reboot).jpg", "`id`.jpg", "Z̸̡̛a̷l̶g̵o̴.jpg", "\ud800 half.jpg", "smear.jpg.php", "\\\\server\\share\\x.jpg",
)  # fmt: skip


@cache
def names() -> tuple[Sample, ...]:
    """Good pictures, each another one, under names that are none."""
    return tuple(Sample(name, jpeg(seed=200 + number), "") for number, name in enumerate(NAMES))
