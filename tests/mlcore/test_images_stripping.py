"""What is stored: the same pixels to the bit, and no patient's name."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from mlcore.images import ImageRefused, decode, read_header, strip_metadata
from tests import hostile
from tests.hostile import PATIENT, Sample, encoded, smear


def stripped(data: bytes) -> bytes:
    return strip_metadata(data, read_header(data))


def inflated(data: bytes) -> bytes:
    """Every compressed stream of a PNG file, inflated: words may hide there."""
    out, position = b"", 8
    while position + 12 <= len(data):
        length = struct.unpack_from(">I", data, position)[0]
        name, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        if name == b"iCCP":
            out += zlib.decompress(content.split(b"\0", 1)[1][1:])
        position += 12 + length
    return out


def spellings(name: str) -> list[bytes]:
    return [name.encode(), name.encode("utf-16-le"), name.encode("utf-16-be")]


@pytest.mark.parametrize("sample", hostile.planted(), ids=lambda sample: sample.name)
def test_a_planted_name_is_gone(sample: Sample) -> None:
    assert PATIENT.encode() in sample.data
    stored = stripped(sample.data)
    everything = stored + (inflated(stored) if stored[:4] == b"\x89PNG" else b"")
    assert not any(spelling in everything for spelling in spellings(PATIENT))
    assert np.array_equal(decode(stored), decode(sample.data))


@pytest.mark.parametrize("sample", hostile.odd_but_right(), ids=lambda sample: sample.name)
def test_pixels_stay_to_the_bit(sample: Sample) -> None:
    stored = stripped(sample.data)
    assert np.array_equal(decode(stored), decode(sample.data))
    assert stripped(stored) == stored
    header = read_header(sample.data)
    assert read_header(stored).format == ("PNG" if header.format in ("TIFF", "BMP") else header.format)
    assert (read_header(stored).width, read_header(stored).height) == (header.width, header.height)


def test_every_planted_place_was_really_planted() -> None:
    """Pillow itself finds the name where it was put, so that its absence afterwards means something."""
    samples = {sample.name: sample.data for sample in hostile.planted()}
    with Image.open(io.BytesIO(samples["planted.jpg"])) as picture:
        assert picture.getexif()[0x010E] == PATIENT
        assert picture.info["comment"] in (PATIENT.encode(), b"")
        assert PATIENT.encode() in picture.info["xmp"]
        assert PATIENT.encode() in picture.info["icc_profile"]
        assert PATIENT.encode() in picture.info["photoshop"].get(0, b"") or b"Photoshop" in samples["planted.jpg"]
    with Image.open(io.BytesIO(samples["planted.png"])) as picture:
        assert picture.info["Compressed"] == PATIENT * 50
        assert PATIENT.encode() in picture.info["icc_profile"]
    assert PATIENT.encode() in inflated(samples["planted.png"])
    with Image.open(io.BytesIO(samples["planted.tif"])) as picture:
        assert PATIENT in str(picture.tag_v2[270])  # type: ignore[attr-defined]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_colours_of_a_profile_stay(format: str) -> None:
    """Another program turns the stored picture into sRGB and gets the same colours as before."""
    profile = wide_profile()
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(smear(), format, icc_profile=profile, **options)
    kept = Image.open(io.BytesIO(stripped(data)))
    shown = [_in_srgb(Image.open(io.BytesIO(data)).convert("RGB"), profile), _in_srgb(kept, kept.info["icc_profile"])]
    assert np.array_equal(*shown)
    assert not np.array_equal(shown[0], decode(data))
    described = ImageCms.ImageCmsProfile(io.BytesIO(kept.info["icc_profile"]))
    assert ImageCms.getProfileDescription(described).strip() == "colour profile"


def wide_profile() -> bytes:
    """An RGB profile with other primaries than sRGB: red and green exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for index in range(struct.unpack_from(">I", profile, 128)[0]):
        at = 132 + 12 * index
        name = bytes(profile[at : at + 4])
        if name in (b"rXYZ", b"gXYZ"):
            profile[at : at + 4] = b"gXYZ" if name == b"rXYZ" else b"rXYZ"
    return bytes(profile)


def _in_srgb(picture: Image.Image, profile: bytes) -> np.ndarray:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"))
    assert converted is not None
    return np.asarray(converted)


@pytest.mark.parametrize("profile", [b"not a profile", b"\0" * 200, b"\xff" * 4096, wide_profile()[:140]])
def test_a_broken_profile_is_left_out(profile: bytes) -> None:
    stored = stripped(encoded(smear(), "PNG", icc_profile=profile))
    assert b"iCCP" not in stored


def test_more_pixels_than_announced_are_refused() -> None:
    """Rows behind the last one are seen by no viewer, so words could travel there."""
    rows = b"".join(b"\0" + bytes(64 * 3) for _ in range(64))
    data = hostile.png_of(64, 64, 8, 2, rows + PATIENT.encode())
    header = read_header(data)
    with pytest.raises(ImageRefused) as caught:
        strip_metadata(data, header)
    assert caught.value.code == "corrupt"


def test_header_of_another_file_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="header is of a PNG"):
        strip_metadata(hostile.jpeg(), read_header(encoded(smear(), "PNG")))


names = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ^ ", min_size=10, max_size=30)
sizes = st.integers(32, 70)


@given(
    seed=st.integers(0, 2**32 - 1),
    width=sizes,
    height=sizes,
    name=names,
    quality=st.integers(1, 100),
    subsampling=st.integers(0, 2),
    progressive=st.booleans(),
    mode=st.sampled_from(["RGB", "L", "CMYK"]),
    orientation=st.integers(1, 8),
    trailing=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_any_jpeg(
    seed: int, width: int, height: int, name: str, quality: int, subsampling: int, progressive: bool, mode: str,
    orientation: int, trailing: bool,
) -> None:  # fmt: skip
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, name
    data = encoded(
        Image.fromarray(noise).convert(mode), "JPEG", quality=quality, progressive=progressive, exif=exif,
        comment=name.encode(), **({"subsampling": subsampling} if mode != "L" else {}),
    ) + name.encode() * trailing  # fmt: skip
    _holds(data, name)


@given(
    seed=st.integers(0, 2**32 - 1),
    width=sizes,
    height=sizes,
    name=names,
    format=st.sampled_from(["PNG", "WEBP", "TIFF", "BMP"]),
    mode=st.sampled_from(["1", "L", "P", "RGB", "LA", "RGBA", "I;16"]),
    orientation=st.integers(1, 8),
    trailing=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_any_other_picture(
    seed: int, width: int, height: int, name: str, format: str, mode: str, orientation: int, trailing: bool
) -> None:
    draw = np.random.default_rng(seed)
    if mode == "I;16":
        picture = Image.fromarray(draw.integers(0, draw.integers(2, 65536), (height, width), dtype=np.uint16))
        format = "PNG" if format in ("WEBP", "BMP") else format
    else:
        noise = Image.fromarray(draw.integers(0, 256, (height, width, 4), dtype=np.uint8))
        if format == "BMP" and mode == "LA":
            mode = "L"
        picture = noise.convert("RGB").quantize(int(draw.integers(2, 257))) if mode == "P" else noise.convert(mode)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, name
    options: dict[str, object] = {} if format == "BMP" else {"exif": exif}
    if format == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Name", name)  # type: ignore[attr-defined]
    if format == "WEBP":
        options["lossless"] = bool(draw.integers(2))
    _holds(encoded(picture, format, **options) + name.encode() * trailing, name)


def _holds(data: bytes, name: str) -> None:
    stored = stripped(data)
    assert np.array_equal(decode(stored), decode(data))
    assert not any(spelling in stored for spelling in spellings(name))
    assert stripped(stored) == stored
