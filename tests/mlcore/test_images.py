"""Reading pictures: what is read, what is refused, and within which bounds."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mlcore.images import ImageRefused, Limits, decode, measure_quality, read_header, strip_metadata
from tests import hostile
from tests.hostile import Sample, encoded, jpeg, smear


def refused(data: bytes, **options: object) -> ImageRefused:
    with pytest.raises(ImageRefused) as caught:
        decode(data, **options)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("sample", hostile.odd_but_right(), ids=lambda sample: sample.name)
def test_unusual_files_are_read_as_they_look(sample: Sample) -> None:
    header = read_header(sample.data)
    pixels = decode(sample.data)
    assert pixels.shape == (header.height, header.width, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous
    upright = np.rot90(pixels) if header.orientation == 6 else pixels
    if pixels[..., 0].tolist() == pixels[..., 1].tolist():
        expected = smear() @ np.array([0.299, 0.587, 0.114])
        assert abs(upright[..., 0] - expected).mean() < 3
    else:
        assert abs(upright.astype(int) - smear()).mean() < 3.5


@pytest.mark.parametrize("sample", hostile.bad(), ids=lambda sample: sample.name)
def test_bad_files_are_refused_in_words(sample: Sample) -> None:
    error = refused(sample.data)
    assert error.code == sample.code
    sentence = str(error)
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert len(sentence) < 250


def test_refusals_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(refused(b"")))  # noqa: S301 - our own bytes
    assert (error.code, str(error)) == ("empty", "This file is empty (0 bytes). Export it again from the microscope.")


def test_hostile_files_stay_within_memory() -> None:
    """Every hostile file in a process that may grow by 200 MiB: the bombs among them would take gigabytes."""
    script = (
        "import resource\n"
        "from mlcore.images import ImageRefused, decode, read_header, strip_metadata\n"
        "from tests import hostile\n"
        "samples = hostile.bad() + hostile.odd_but_right() + hostile.planted()\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 200 * 2**20,) * 2)\n"
        "for sample in samples:\n"
        "    try:\n"
        "        header = read_header(sample.data)\n"
        "        decode(sample.data)\n"
        "        strip_metadata(sample.data, header)\n"
        "    except ImageRefused:\n"
        "        pass\n"
        "print(len(samples))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 80


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(max_bytes=100), "too_large"),
        (Limits(max_pixels=160 * 120 - 1), "too_many_pixels"),
        (Limits(max_side=159), "too_many_pixels"),
        (Limits(min_side=121), "too_small"),
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_limits_hold_for_every_format(format: str, limits: Limits, code: str) -> None:
    data = encoded(smear(), format)
    assert refused(data, limits=limits).code == code
    with pytest.raises(ImageRefused) as caught:
        read_header(data, limits)
    assert caught.value.code == code
    exact = Limits(max_bytes=len(data), max_pixels=160 * 120, max_side=160, min_side=120)
    assert decode(data, limits=exact).shape == (120, 160, 3)


def test_bounds_come_before_pixels() -> None:
    """A bomb is refused for its size although its pixels are missing: nothing looked at them."""
    huge = next(sample.data for sample in hostile.bad() if sample.name == "huge.png")
    assert refused(huge[:40]).code == "too_many_pixels"


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_cut_files_say_where_they_end(format: str, share: float) -> None:
    data = encoded(smear(400, 400), format, **({"quality": 90} if format == "JPEG" else {}))
    error = refused(data[: int(len(data) * share)])
    assert error.code == "truncated"
    told = int(str(error).split(" %")[0].split()[-1])
    assert told == pytest.approx(share * 100, abs=15)


@given(st.integers(0, 10_000), st.sampled_from(["JPEG", "PNG", "TIFF", "BMP", "WEBP"]))
@settings(max_examples=150, deadline=None)
def test_no_cut_goes_unnoticed(position: int, format: str) -> None:
    data = encoded(smear(64, 48), format)
    cut = data[: position % len(data)]
    if format == "WEBP" and 4 <= len(cut) < 12:
        return  # no more than any RIFF file begins with
    if format == "BMP" and len(data) - len(cut) < 4:
        return  # only padding is missing
    assert refused(cut).code in {"truncated", "empty", "not_an_image", "corrupt"}


@given(st.binary(max_size=300), st.sampled_from([sample.data for sample in hostile.odd_but_right()]), st.data())
@settings(max_examples=300, deadline=None)
def test_changed_bytes_are_read_or_refused_and_never_crash(junk: bytes, data: bytes, draw: st.DataObject) -> None:
    position = draw.draw(st.integers(0, min(len(data), 2000)))
    changed = data[:position] + junk + data[position + draw.draw(st.integers(0, 40)) :]
    limits = Limits(max_pixels=1_000_000)
    try:
        header = read_header(changed, limits)
        pixels = decode(changed, limits=limits)
        stored = strip_metadata(changed, header)
    except ImageRefused:
        return
    measure_quality(pixels)
    assert np.array_equal(decode(stored, limits=limits), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_applied(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(smear(), format, exif=exif)
    with Image.open(io.BytesIO(data)) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    header = read_header(data)
    assert header.orientation == orientation
    assert (header.height, header.width) == expected.shape[:2]
    assert np.array_equal(decode(data), expected)
    stored = strip_metadata(data, header)
    assert np.array_equal(decode(stored), expected)
    # A viewer that knows nothing of us shows it the same way up.
    with Image.open(io.BytesIO(stored)) as picture:
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(picture).convert("RGB")), expected)


def test_alpha_is_laid_over_white() -> None:
    alpha = np.dstack([smear(), np.full((120, 160), 255, dtype=np.uint8)])
    alpha[:, 80:, 3] = 0
    alpha[:, 70:80, 3] = 128
    for format in ("PNG", "WEBP", "TIFF"):
        pixels = decode(encoded(alpha, format, **({"lossless": True, "exact": True} if format == "WEBP" else {})))
        assert (pixels[:, 80:] == 255).all()
        assert np.array_equal(pixels[:, :70], smear()[:, :70])
        assert abs(pixels[:, 70:80] - (smear()[:, 70:80] * 0.502 + 127)).max() <= 1.1


def test_transparent_palette_entries_are_white() -> None:
    palette = Image.fromarray(smear()).quantize(16)
    index = palette.getpixel((0, 0))
    pixels = decode(encoded(palette, "PNG", transparency=index))
    assert (pixels[np.asarray(palette) == index] == 255).all()


def test_sixteen_bit_grey_uses_the_bits_that_the_camera_used() -> None:
    ramp = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (64, 1))
    twelve = decode(encoded(Image.fromarray(ramp), "TIFF"))
    sixteen = decode(encoded(Image.fromarray(ramp * 16), "PNG"))
    assert twelve[0, -1].tolist() == [255, 255, 255]
    assert np.array_equal(twelve, sixteen)


def test_large_jpegs_come_scaled_but_never_too_small() -> None:
    data = encoded(smear(1300, 1000), "JPEG", quality=90)
    whole = decode(data)
    assert whole.shape == (1000, 1300, 3)
    assert decode(data, at_least=128).shape == (125 * 2, 325, 3)
    assert decode(data, at_least=125).shape == (125, 163, 3)
    assert decode(data, at_least=501).shape == whole.shape
    small = decode(data, at_least=250).astype(float)
    expected = whole[:1000, :1300].reshape(250, 4, 325, 4, 3).mean(axis=(1, 3))
    assert abs(small - expected).mean() < 2


def test_header_tells_content_and_not_name() -> None:
    header = read_header(jpeg())
    assert (header.format, header.mode, header.width, header.height, header.frames) == ("JPEG", "RGB", 160, 120, 1)
    assert (header.extension, header.media_type) == (".jpg", "image/jpeg")
    assert read_header(encoded(smear(), "WEBP")).media_type == "image/webp"
