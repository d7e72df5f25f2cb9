"""Files as they arrive on a bad day, made in memory: what must be read, what must be refused, and why.

`odd_but_right()` and `bad()` are the two lists; every door that takes files is tested with them. `planted()` are
good pictures in which the name `PATIENT` stands wherever a format has room for it.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

PATIENT = "SIMPSON^HOMER^J"
_NAME = PATIENT.encode()


@dataclass(frozen=True)
class Sample:
    """One file: `name` as the person's computer calls it; `code` of the refusal, "" for what must be read."""

    name: str
    data: bytes
    code: str = ""


def smear(width: int = 160, height: int = 120, seed: int = 0) -> np.ndarray:
    """uint8 (height, width, 3): purple nuclei in pink cells on a bright ground, good enough to pass for a smear."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.full((height, width, 3), (238, 228, 232), dtype=np.uint8)
    for _ in range(max(3, width * height // 4000)):
        x, y, radius = draw.uniform(0, width), draw.uniform(0, height), draw.uniform(8, 14)
        distance = np.hypot(columns - x, rows - y)
        pixels[distance < radius] = (206, 160, 190)
        pixels[distance < radius * 0.7] = (104, 44, 138)
    return np.clip(pixels + draw.normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray | Image.Image, format: str, **options: Any) -> bytes:
    """A file of a Pillow format."""
    picture = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    out = io.BytesIO()
    picture.save(out, format=format, **options)
    return out.getvalue()


def jpeg(seed: int = 0, **options: Any) -> bytes:
    return encoded(smear(seed=seed), "JPEG", **({"quality": 90} | options))


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_with(data: bytes, *chunks: bytes) -> bytes:
    """A PNG file with chunks put behind its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def png_of(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks: bytes) -> bytes:
    """A PNG file by hand, `rows` with their filter bytes and not yet compressed."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + b"".join(chunks)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def png_16bit(pixels: np.ndarray) -> bytes:
    """16 bits per colour, every value 257 times the 8-bit one; grey or RGB."""
    wide = (pixels.astype(np.uint32) * 257).astype(">u2").reshape(len(pixels), -1)
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    return png_of(pixels.shape[1], len(pixels), 16, 2 if pixels.ndim == 3 else 0, rows)


def tiff_of(tags: dict[int, tuple[int, int]], strip: bytes, next_page: int = 0) -> bytes:
    """A little-endian TIFF of one directory, by hand: tag -> (value, count), all long; the strip behind it."""
    entries = dict(sorted(tags.items()))
    where = 8 + 2 + 12 * len(entries) + 4
    entries[273] = (where, 1)
    out = b"II*\0" + struct.pack("<IH", 8, len(entries))
    for tag, (value, count) in sorted(entries.items()):
        out += struct.pack("<HHII", tag, 4, count, value)
    return out + struct.pack("<I", next_page) + strip


def _tiff_tags(width: int, height: int, **changed: int) -> dict[int, tuple[int, int]]:
    tags = {
        256: width,
        257: height,
        258: 8,
        259: 1,
        262: 1,
        273: 0,
        277: 1,
        278: height,
        279: min(width * height, 2**32 - 1),
    }
    return {tag: (value, 1) for tag, value in (tags | {int(k[1:]): v for k, v in changed.items()}).items()}


def bmp_of(width: int, height: int, compression: int = 0, pixels: bytes = b"") -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, compression, 0, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + header + pixels


def _big_endian(grey: np.ndarray) -> bytes:
    """A TIFF of 16-bit grey values in Motorola order."""
    height, width = grey.shape
    return encoded(Image.frombytes("I;16B", (width, height), grey.astype(">u2").tobytes()), "TIFF")


def _bomb_chunk(name: bytes, label: bytes) -> bytes:
    return png_chunk(name, label + b"\0\0" + zlib.compress(bytes(200_000_000), 9))


@cache
def odd_but_right() -> tuple[Sample, ...]:
    """Unusual files whose pixels are sound: each must be read as `smear()` looks."""
    pixels = smear()
    picture = Image.fromarray(pixels)
    grey = picture.convert("L")
    alpha = picture.copy()
    alpha.putalpha(255)
    plain = encoded(pixels, "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    return (
        Sample("plain.jpg", jpeg()),
        Sample("progressive.jpg", jpeg(progressive=True)),
        Sample("pair of a telephone.jpg", encoded(picture, "MPO", save_all=True, append_images=[picture.rotate(180)])),
        Sample("restarts.jpg", jpeg(restart_marker_rows=1)),
        Sample("grey.jpg", encoded(grey, "JPEG")),
        Sample("four colours.jpg", encoded(picture.convert("CMYK"), "JPEG", quality=95)),
        Sample("turned.jpg", jpeg(exif=exif)),
        Sample("jpeg called.png", jpeg(seed=0, quality=91)),
        Sample("bytes behind the end.jpg", jpeg() + b"\0" * 2000),
        Sample("plain.png", plain),
        Sample("interlaced by content.tif", plain),
        Sample("palette.png", encoded(picture.quantize(64), "PNG")),
        Sample("alpha.png", encoded(alpha, "PNG")),
        Sample("grey alpha.png", encoded(grey.convert("LA"), "PNG")),
        Sample("sixteen bit grey.png", png_16bit(np.asarray(grey))),
        Sample("sixteen bit.png", png_16bit(pixels)),
        Sample("text bomb.png", png_with(plain, _bomb_chunk(b"zTXt", b"Comment"))),
        Sample("profile bomb.png", png_with(plain, _bomb_chunk(b"iCCP", b"icc"))),
        Sample("bytes behind the end.png", plain + b"junk" * 100),
        Sample("plain.tif", encoded(pixels, "TIFF")),
        Sample("lzw.tif", encoded(pixels, "TIFF", compression="tiff_lzw")),
        Sample("deflate.tif", encoded(pixels, "TIFF", compression="tiff_adobe_deflate")),
        Sample("packbits.tif", encoded(pixels, "TIFF", compression="packbits")),
        Sample("jpeg inside.tif", encoded(pixels, "TIFF", compression="jpeg", quality=95)),
        Sample("sixteen bit grey.tif", encoded(Image.fromarray(np.asarray(grey).astype(np.uint16) * 16), "TIFF")),
        Sample("sixteen bit grey of ImageJ.tif", _big_endian(np.asarray(grey).astype(np.uint16) * 256)),
        Sample("alpha.tif", encoded(alpha, "TIFF")),
        Sample("turned.tif", encoded(pixels, "TIFF", exif=exif)),
        Sample("plain.bmp", encoded(pixels, "BMP")),
        Sample("grey.bmp", encoded(grey, "BMP")),
        Sample("palette.bmp", encoded(picture.quantize(64), "BMP")),
        Sample("lossy.webp", encoded(pixels, "WEBP", quality=90)),
        Sample("lossless.webp", encoded(pixels, "WEBP", lossless=True)),
        Sample("alpha.webp", encoded(alpha, "WEBP", lossless=True)),
        Sample("name without ending", jpeg(quality=92)),
        Sample("../../etc/passwd.jpg", jpeg(quality=93)),
        Sample("Blutausstrich Nr. 7 – Üçüncü ✓.jpg", jpeg(quality=94)),
    )


@cache
def bad() -> tuple[Sample, ...]:
    """Files that must be refused, with the code of the refusal."""
    pixels = smear()
    picture = Image.fromarray(pixels)
    photo, plain = jpeg(), encoded(pixels, "PNG")
    webp, tiff, bmp = encoded(pixels, "WEBP"), encoded(pixels, "TIFF"), encoded(pixels, "BMP")
    moving = {"save_all": True, "append_images": [Image.fromarray(smear(seed=1))]}
    flipped = bytearray(plain)
    flipped[60] ^= 0xFF
    scrambled = bytearray(plain)
    scrambled[45:200] = b"\x55" * 155
    length = struct.unpack_from(">I", plain, 33)[0]
    body = bytes(scrambled[37 : 41 + length])
    scrambled[41 + length : 45 + length] = struct.pack(">I", zlib.crc32(body))
    huge = png_of(60_000, 60_000, 8, 2, bytes(3_000_000))
    wide_jpeg = photo.replace(struct.pack(">HH", 120, 160), struct.pack(">HH", 65_000, 65_000), 1)
    layers = jpeg(progressive=True)
    last_scan = layers[layers.rindex(b"\xff\xda") : -2]
    nested = tiff_of(_tiff_tags(64, 64), bytes(64 * 64), next_page=8)
    return (
        Sample("empty.jpg", b"", "empty"),
        Sample("letter.jpg", b"Dear colleague,\nthe smear is attached.\n" * 20, "not_an_image"),
        Sample("table.png", "Präparat;Befund\n".encode("utf-16") * 20, "not_an_image"),
        Sample("page.jpg", b"<!DOCTYPE html><html><script>alert(1)</script></html>", "not_an_image"),
        Sample("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', "not_an_image"),
        Sample("program.jpg", b"MZ" + bytes(range(256)) * 8, "not_an_image"),
        Sample("noise.jpg", np.random.default_rng(3).bytes(5000), "not_an_image"),
        Sample("three bytes.jpg", b"\xff\xd8\xff", "truncated"),
        Sample("signature only.png", plain[:8], "truncated"),
        Sample("moving.gif", encoded(picture, "GIF", **moving), "unsupported_format"),
        Sample("still.gif", encoded(picture, "GIF"), "unsupported_format"),
        Sample("report.pdf", b"%PDF-1.7\n" + bytes(500), "unsupported_format"),
        Sample("image.dcm", bytes(128) + b"DICM" + bytes(500), "unsupported_format"),
        Sample("telephone.heic", b"\0\0\0\x18ftypheic" + bytes(500), "unsupported_format"),
        Sample("slide.czi", b"ZISRAWFILE" + bytes(500), "unsupported_format"),
        Sample("slide.svs", b"II+\0\x08\0\0\0" + bytes(500), "unsupported_format"),
        Sample("pictures.zip", b"PK\x03\x04" + bytes(500), "unsupported_format"),
        Sample("half.jpg", photo[: len(photo) // 2], "truncated"),
        Sample("last bytes missing.jpg", photo[:-2], "truncated"),
        Sample("header only.jpg", photo[:200], "truncated"),
        Sample("half progressive.jpg", jpeg(progressive=True)[: len(photo) // 2], "truncated"),
        Sample("half.png", plain[: len(plain) // 2], "truncated"),
        Sample("end missing.png", plain[:-12], "truncated"),
        Sample("half.webp", webp[: len(webp) // 2], "truncated"),
        Sample("half.tif", tiff[: len(tiff) // 2], "truncated"),
        Sample("half.bmp", bmp[: len(bmp) // 2], "truncated"),
        Sample("two hundred scans.jpg", layers[:-2] + last_scan * 200 + layers[-2:], "corrupt"),
        Sample("two sizes.jpg", photo[:2] + _segment(photo, 0xC0) + photo[2:], "corrupt"),
        Sample("lossless.jpg", photo.replace(b"\xff\xc0", b"\xff\xc3", 1), "unsupported_format"),
        Sample("twelve bit.jpg", photo.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c", 1), "unsupported_depth"),
        Sample("bit flipped.png", bytes(flipped), "corrupt"),
        Sample("scrambled.png", bytes(scrambled), "corrupt"),
        Sample("moving.png", encoded(picture, "PNG", **moving), "animated"),
        Sample("moving.webp", encoded(picture, "WEBP", **moving), "animated"),
        Sample("pages.tif", encoded(picture, "TIFF", **moving), "multi_page"),
        Sample("endless pages.tif", nested, "corrupt"),
        Sample("huge.png", huge, "too_many_pixels"),
        Sample("huge.jpg", wide_jpeg, "too_many_pixels"),
        Sample("huge.bmp", bmp_of(2_000_000_000, 2_000_000_000), "too_many_pixels"),
        Sample("huge.tif", tiff_of(_tiff_tags(4_000_000_000, 4_000_000_000), b"x"), "too_many_pixels"),
        Sample("nothing behind the header.bmp", bmp_of(9_000, 9_000), "truncated"),
        Sample("nothing behind the header.png", png_of(9_000, 9_000, 8, 2, b"\0" * 100), "truncated"),
        Sample("one giant strip.tif", tiff_of(_tiff_tags(9_000, 9_000), b"x" * 100), "truncated"),
        Sample(
            "one tiny packed strip.tif",
            tiff_of(_tiff_tags(9_000, 9_000, _259=8, _279=100), zlib.compress(bytes(9_000))[:100].ljust(100, b"\0")),
            "truncated",
        ),
        Sample("upside down.bmp", bmp_of(-64, 64, pixels=bytes(64 * 192)), "corrupt"),
        Sample("packed.bmp", bmp_of(64, 64, compression=1, pixels=bytes(64 * 192)), "unsupported_format"),
        Sample("thumbnail.jpg", encoded(smear(20, 16), "JPEG"), "too_small"),
        Sample("print.tif", encoded(picture.convert("CMYK"), "TIFF"), "unsupported_colour"),
        Sample("lab.tif", encoded(_lab(picture), "TIFF"), "unsupported_colour"),
        Sample("measurements.tif", encoded(picture.convert("F"), "TIFF"), "unsupported_depth"),
        Sample(
            "sixteen bit.tif",
            tiff_of(_tiff_tags(64, 64, _258=16, _262=2, _277=3, _279=64 * 64 * 6), bytes(64 * 64 * 6)),
            "unsupported_depth",
        ),
        Sample("fax.tif", encoded(picture.convert("1"), "TIFF", compression="group4"), "unsupported_format"),
    )


def _segment(data: bytes, marker: int) -> bytes:
    at = data.index(bytes((0xFF, marker)))
    return data[at : at + 2 + struct.unpack_from(">H", data, at + 2)[0]]


def _lab(picture: Image.Image) -> Image.Image:
    rgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(picture, rgb, lab, outputMode="LAB")
    assert converted is not None
    return converted


@cache
def planted() -> tuple[Sample, ...]:
    """Good pictures with `PATIENT` in every place for words that their format has."""
    pixels = smear()
    picture = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x010E] = exif[0x013B] = exif[0x8298] = PATIENT  # description, artist, copyright
    exif[0x0112] = 3
    exif.get_ifd(0x8769)[0x927C] = _NAME  # maker note
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + _NAME  # user comment
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><a>{PATIENT}</a></x:xmpmeta>".encode()
    icc = profile_with_name()

    photo = encoded(pixels, "JPEG", exif=exif, icc_profile=icc, comment=_NAME, xmp=xmp)
    segments = b"".join(
        bytes((0xFF, marker)) + struct.pack(">H", len(label) + len(_NAME) + 2) + label + _NAME
        for marker, label in ((0xED, b"Photoshop 3.0\0"), (0xE5, b"vendor\0"), (0xEF, b"x"), (0xFE, b""))
    )
    thumbnail = b"JFIF\0\x01\x02\x01\0\x48\0\x48" + bytes((5, 1)) + _NAME
    jfif = b"\xff\xe0" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    photo = photo[:2] + jfif + photo[20:] if photo[2:4] == b"\xff\xe0" else photo[:2] + jfif + photo[2:]
    photo = photo[:2] + jfif + segments + photo[2 + len(jfif) :] + _NAME

    texts = PngImagePlugin.PngInfo()
    texts.add_text("Patient", PATIENT)
    texts.add_text("Compressed", PATIENT * 50, zip=True)
    texts.add_itxt("International", PATIENT, "de", PATIENT)
    plain = encoded(pixels, "PNG", pnginfo=texts, exif=exif, icc_profile=icc)
    plain = png_with(
        plain, png_chunk(b"paTi", _NAME), png_chunk(b"tIME", bytes(7)), png_chunk(b"pHYs", bytes(9) + _NAME)
    )
    hidden = hidden_behind_pixels(encoded(pixels, "PNG"))

    webp = encoded(pixels, "WEBP", lossless=True, exif=exif.tobytes(), xmp=xmp, icc_profile=icc)
    extra = b"NOTE" + struct.pack("<I", len(_NAME)) + _NAME + b"\0" * (len(_NAME) & 1)
    webp = webp[:4] + struct.pack("<I", len(webp) - 8 + len(extra)) + webp[8:] + extra + _NAME

    tags = {270: PATIENT, 305: PATIENT, 315: PATIENT, 316: PATIENT, 33432: PATIENT, 65000: PATIENT}
    tiff = encoded(pixels, "TIFF", tiffinfo=tags, exif=None, icc_profile=icc) + _NAME
    return (
        Sample("planted.jpg", photo),
        Sample("planted.png", plain),
        Sample("planted behind the pixels.png", hidden),
        Sample("planted.webp", webp),
        Sample("planted.tif", tiff),
        Sample("planted.bmp", encoded(picture, "BMP") + _NAME),
    )


def hidden_behind_pixels(plain: bytes) -> bytes:
    """A PNG file with `PATIENT` in its pixel data, behind the end of the compressed stream."""
    length = struct.unpack_from(">I", plain, 33)[0]
    assert plain[37:41] == b"IDAT"
    return plain[:33] + png_chunk(b"IDAT", plain[41 : 41 + length] + _NAME) + png_chunk(b"IEND", b"")


def profile_with_name() -> bytes:
    """An sRGB colour profile with `PATIENT` as its description and as its device."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[48:56] = _NAME[:8]
    at = profile.find("sRGB".encode("utf-16-be"))
    assert at > 0
    profile[at : at + 15] = _NAME
    return bytes(profile)
