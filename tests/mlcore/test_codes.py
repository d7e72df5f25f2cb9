"""Codes in pictures: read at several sizes, turns and sharpnesses, at a bounded cost, harmless whatever they say."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
import segno
import zxingcpp
from barcode.codex import Code128
from PIL import Image, ImageFilter

from mlcore import codes
from mlcore.codes import read_codes
from mlcore.phantom import render_field

TEXT = "S26-0123"


@pytest.fixture(scope="module")
def field() -> np.ndarray:
    return render_field("benign", seed=3, size=(900, 1200))


def qr(text: str | bytes, scale: int) -> Image.Image:
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="png", scale=scale, border=4)
    return Image.open(out).convert("RGB")


def code128(text: str, scale: int, height: int = 90) -> Image.Image:
    bars = [0] * 10 + [int(each) for each in Code128(text).build()[0]] + [0] * 10
    row = np.repeat(np.array([255 * (1 - bar) for bar in bars], np.uint8), scale)
    return Image.fromarray(np.tile(row, (height, 1))).convert("RGB")


def data_matrix(text: str, scale: int) -> Image.Image:
    made = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.DataMatrix).to_image(scale=scale, add_quiet_zones=True)
    return Image.fromarray(np.asarray(made)).convert("RGB")


def pasted(
    field: np.ndarray, *pictures: Image.Image, angle: float = 0, blur: float = 0, noise: float = 4
) -> np.ndarray:
    """A field with codes on it, turned, then blurred and noisy as a camera makes them."""
    whole = Image.fromarray(field)
    for number, picture in enumerate(pictures):
        turned = picture.rotate(angle, expand=True, fillcolor=(255, 255, 255), resample=Image.Resampling.BICUBIC)
        whole.paste(turned, (60 + 420 * number, 80))
    seen = np.asarray(whole.filter(ImageFilter.GaussianBlur(blur)) if blur else whole).astype(np.float32)
    seen += np.random.default_rng(1).normal(0, noise, seen.shape)
    return seen.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("angle", [0, 8, 45, 90, 205])
@pytest.mark.parametrize(("scale", "blur"), [(4, 0), (4, 1), (6, 2), (12, 2)])
def test_a_qr_code_is_read_however_it_lies(field: np.ndarray, scale: int, blur: float, angle: float) -> None:
    (code,) = read_codes(pasted(field, qr(TEXT, scale), angle=angle, blur=blur))
    assert code.text == TEXT
    assert code.share == pytest.approx((21 * scale) ** 2 / field[..., 0].size, rel=0.15)


@pytest.mark.parametrize("angle", [0, 5, -5, 90, 180, 270])
@pytest.mark.parametrize(("scale", "blur"), [(3, 0), (3, 1), (4, 1)])
def test_a_code_128_is_read_along_a_side(field: np.ndarray, scale: int, blur: float, angle: float) -> None:
    assert [code.text for code in read_codes(pasted(field, code128(TEXT, scale), angle=angle, blur=blur))] == [TEXT]


@pytest.mark.parametrize("angle", [0, 20, 90])
def test_a_data_matrix_is_read(field: np.ndarray, angle: float) -> None:
    assert [code.text for code in read_codes(pasted(field, data_matrix(TEXT, 5), angle=angle))] == [TEXT]


def test_a_small_clean_label_and_a_huge_photograph_are_read() -> None:
    small = np.asarray(qr(TEXT, 2))
    huge = np.asarray(qr(TEXT, 40).resize((5_000, 5_000)))
    for pixels in (small, huge):
        (code,) = read_codes(pixels)
        assert (code.text, code.share > 0.3) == (TEXT, True)


def test_fields_without_a_code_have_none(field: np.ndarray) -> None:
    assert read_codes(field) == ()
    for label in ("early_pre_b", "pro_b"):
        assert read_codes(render_field(label, seed=5, size=600)) == ()


def test_two_codes_are_both_told_and_the_same_one_once(field: np.ndarray) -> None:
    both = read_codes(pasted(field, qr(TEXT, 5), qr("S26-0124", 5)))
    assert {code.text for code in both} == {TEXT, "S26-0124"}
    assert [code.text for code in read_codes(pasted(field, qr(TEXT, 5), code128(TEXT, 3)))] == [TEXT]


@pytest.mark.parametrize(
    "said",
    [
        "S" * 65, "x" * 2_000, "S26-0123\n'; DROP TABLE", "a\x00b", "\x1b[31mred", "\u202egnp.exe", "tab\there",
        b"\xff\xfe\x00\x01\x80", bytes(range(200)), " ", "\ufeff",
    ],
    ids=repr,
)  # fmt: skip
def test_codes_that_are_no_plain_short_text_are_left_out(said: str | bytes) -> None:
    assert read_codes(np.asarray(qr(said, 5))) == ()


def test_a_picture_full_of_codes_is_bounded(field: np.ndarray) -> None:
    sheet = Image.new("RGB", (1_500, 1_500), "white")
    for number in range(64):
        sheet.paste(qr(f"CASE-{number}", 5), (number % 8 * 187, number // 8 * 187))
    assert len(read_codes(np.asarray(sheet))) == codes.AT_MOST


def hostile() -> dict[str, np.ndarray]:
    """Pictures that make a reader work: halves of codes everywhere, noise, stripes."""
    rng = np.random.default_rng(0)
    finder = np.pad(np.pad(np.pad(np.zeros((3, 3), np.uint8), 1, constant_values=255), 1), 1, constant_values=255)
    grids = {f"finders of {k} px": np.kron(np.tile(finder, (177 // k, 177 // k)), np.ones((k, k))) for k in (1, 2, 3)}
    bars = np.repeat(rng.integers(0, 2, 540) * 255, 3)
    grids |= {
        "noise": rng.integers(0, 255, (1_600, 1_600)),
        "stripes": np.tile(bars, (1_600, 1)),
        "small finders": np.tile(finder, (88, 88)),
        "thin": rng.integers(0, 255, (64, 20_000)),
    }
    return {name: np.repeat(grid.astype(np.uint8)[..., None], 3, axis=2) for name, grid in grids.items()}


@pytest.mark.parametrize("name", list(hostile()))
def test_no_picture_costs_much(name: str) -> None:
    pixels = hostile()[name]
    began = time.process_time()
    read_codes(pixels)
    assert time.process_time() - began < 3, name


def test_a_reader_that_fails_is_no_fault_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **named: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(zxingcpp, "read_barcodes", broken)
    assert read_codes(np.asarray(qr(TEXT, 5))) == ()
