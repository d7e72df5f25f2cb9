"""Which kind of file this is, by content: the five formats that are read, and names for the rest."""

from __future__ import annotations

from .refusal import ImageRefused, truncated

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")
_EXPORT = "Export the picture as JPEG, PNG or TIFF."

# (offset, signature, what the technician calls it); first match wins.
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GIF8", "a GIF file"),
    (0, b"%PDF", "a PDF document"),
    (128, b"DICM", "a DICOM file"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 file"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (0, b"\xff\x0a", "a JPEG XL file"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"ZISRAWFILE", "a Zeiss CZI file"),
    (0, b"\xda\xce\xbe\x0a", "a Nikon ND2 file"),
    (0, b"II+\0", "a BigTIFF file, as slide scanners write them"),
    (0, b"MM\0+", "a BigTIFF file, as slide scanners write them"),
    (0, b"\xd0\xcf\x11\xe0", "an Office or older microscope file"),
    (0, b"PK\x03\x04", "a ZIP archive or Office document"),
    (0, b"\x1f\x8b", "a compressed archive"),
    (0, b"Rar!", "a compressed archive"),
    (0, b"7z\xbc\xaf", "a compressed archive"),
    (0, b"MZ", "a program"),
    (0, b"\x7fELF", "a program"),
    (4, b"ftypheic", "a HEIC photograph of a telephone"),
    (4, b"ftypheix", "a HEIC photograph of a telephone"),
    (4, b"ftypmif1", "a HEIC photograph of a telephone"),
    (4, b"ftypavif", "an AVIF file"),
    (4, b"ftyp", "a video or HEIC file"),
    (0, b"RIFF", "a sound or video file"),
)


def sniff(data: bytes) -> str:
    """The format of ``data`` by its first bytes: ``JPEG``, ``PNG``, ``TIFF``, ``BMP`` or ``WEBP``.

    Raises ``ImageRefused`` (``unsupported_format`` or ``not_an_image``) naming what it is instead, ``truncated`` where
    it ends within the mark of one of the five.
    """
    if len(data) > 1 and any(signature.startswith(data) for signature in _SIGNATURES):
        raise truncated()
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "TIFF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and data[14:18] in (
        b"\x0c\0\0\0",
        b"\x28\0\0\0",
        b"\x34\0\0\0",
        b"\x38\0\0\0",
        b"\x40\0\0\0",
        b"\x6c\0\0\0",
        b"\x7c\0\0\0",
    ):
        return "BMP"
    for offset, signature, name in _OTHERS:
        if data[offset : offset + len(signature)] == signature:
            code = "not_an_image" if name in ("a program", "a compressed archive") else "unsupported_format"
            raise ImageRefused(code, f"This is {name}, which is not read here. {_EXPORT}")
    if _is_text(data[:4096]):
        head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        name = "a web page" if head.startswith((b"<!doctype html", b"<html")) else "a text file"
        raise ImageRefused("not_an_image", f"This is {name}, not a picture. {_EXPORT}")
    raise ImageRefused("not_an_image", f"This is not a picture in a format that is read here. {_EXPORT}")


def _is_text(head: bytes) -> bool:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):  # a byte order mark: UTF-16, as spreadsheets export it
        return True
    printable = sum(byte >= 32 or byte in b"\t\n\r\f" for byte in head)
    return b"\0" not in head and printable >= 0.97 * len(head)
