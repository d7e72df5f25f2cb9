"""One label: where its code and its words stand, in millimetres from its upper left corner.

Bars and modules are whole dots of a printer of 300 dpi, so that every one of them comes out as wide as it is meant.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import segno
from barcode.codex import Code128

from diagnosis.labels.stock import Stock

DOT = 25.4 / 300  # mm
CODES = {"qr": "QR code", "code128": "Code 128", "both": "Both"}
_EDGE = 0.8  # mm, that a printer may be off
_GAP = 0.5  # mm between a code and words
_QR_QUIET, _BARS_QUIET = 4, 10  # modules (ISO/IEC 18004, 15417)
_QR_LEAST, _BARS_LEAST = 3, 2  # dots a module, for the scanners that laboratories have
_BARS_LEAST_HEIGHT = 4.0  # mm
_ADVANCE = 0.602  # width of a character of the typeface of numbers, in its size
_LEAST, _MOST = 1.7, 3.4  # mm, size of the number
_SMALL, _SMALLEST = 2.1, 1.5  # mm, size of the other words
_MEAN = 0.5  # mean width of their characters, in their size
_LEAD = 1.2  # from line to line, in their size


class LabelRefused(ValueError):  # noqa: N818 - what the person is told
    """A label that would not be readable; the text says what to choose instead. `field`: `code` or `stock`."""

    def __init__(self, message: str, field: str = "code") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Drawing:
    """Black on white, as SVG."""

    x: float
    y: float
    width: float
    height: float
    svg: str


@dataclass(frozen=True, slots=True)
class Line:
    """Words on one line, cut off at `width`. `number`: in the typeface that tells 0 from O."""

    x: float
    y: float
    width: float
    size: float
    text: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """`accession`: what the codes say too, and nothing else is in them. `beside`: "Smear 2", the stain. `name`: empty
    unless the laboratory wants it."""

    accession: str
    beside: tuple[str, ...] = ()
    name: str = ""


def lay_out(stock: Stock, code: str, words: Words) -> list[Drawing | Line]:
    """What stands where on one label. `code`: of `CODES`. Raises `LabelRefused` where it does not fit."""
    width, bottom = stock.width - 2 * _EDGE, stock.height - _EDGE
    if code == "code128":
        return _bars_above(stock, words, width, bottom)
    drawn: list[Drawing | Line] = []
    if code == "both":
        strip = _strip(words.accession, stock, bottom - _BARS_LEAST_HEIGHT, _BARS_LEAST_HEIGHT)
        drawn, bottom = [strip], strip.y - _GAP
    elif stock.width >= 2 * stock.height:
        side = _qr(words.accession, min(stock.height, 0.6 * stock.width))
        room = stock.width - side.width - _EDGE
        beside = [" · ".join(words.beside), words.name]
        return [side, *_stacked(beside, words.accession, side.width, _EDGE, room, bottom)]
    tall = _number_height(words.accession, width) + (_SMALL * _LEAD if words.name else 0)
    side = _qr(words.accession, min(bottom - tall - _GAP, 0.7 * stock.width))
    room = stock.width - side.width - _EDGE
    drawn += [side, *_lines(words.beside, side.width, _EDGE + 0.4, room, bottom - tall)]
    under = side.height + max(0.0, (bottom - tall - side.height) / 2)
    return [*drawn, *_stacked([words.name], words.accession, _EDGE, under, width, stock.height)]


def _bars_above(stock: Stock, words: Words, width: float, bottom: float) -> list[Drawing | Line]:
    """A Code 128 with the words below it; with number and smear on one line where the label is low."""
    below = list(filter(None, (" · ".join(words.beside), words.name)))
    tall = _number_height(words.accession, width) + len(below) * _SMALL * _LEAD
    room = bottom - _EDGE - _GAP - tall
    if room < _BARS_LEAST_HEIGHT and not words.name:
        high = bottom - _EDGE - _GAP - _number_height(words.accession, 0.6 * width)
        strip = _strip(words.accession, stock, _EDGE, high)
        under = _EDGE + high + _GAP
        number = _number(words.accession, _EDGE, under, 0.6 * width)
        return [strip, *number, *_lines(below, _EDGE + 0.62 * width, under + 0.4, 0.38 * width, stock.height)]
    strip = _strip(words.accession, stock, _EDGE, min(0.55 * stock.height, room))
    under = _EDGE + strip.height + _GAP
    return [strip, *_stacked(below, words.accession, _EDGE, under, width, stock.height)]


def _stacked(texts: Iterable[str], number: str, x: float, y: float, width: float, bottom: float) -> Iterator[Line]:
    """The number and the lines below it."""
    yield from _number(number, x, y, width)
    yield from _lines(texts, x, y + _number_height(number, width), width, bottom)


def _lines(texts: Iterable[str], x: float, y: float, width: float, bottom: float) -> Iterator[Line]:
    for text in filter(None, texts):
        if y + _SMALL > bottom + 0.1:
            raise LabelRefused(f"There is no room for “{text}” on this label. Choose a larger one.", "stock")
        size = max(_SMALLEST, min(_SMALL, width / (_MEAN * len(text))))
        fits = int(width / (_MEAN * size) + 0.5)
        yield Line(x, y, width, size, text if len(text) <= fits else f"{text[: max(1, fits - 1)].rstrip()}…")
        y += _SMALL * _LEAD


def _number(text: str, x: float, y: float, width: float) -> Iterator[Line]:
    size, rows = _number_size(text, width)
    part = math.ceil(len(text) / rows)
    for row in range(rows):
        yield Line(x, y + row * size * 1.15, width, size, text[row * part : (row + 1) * part], number=True)


def _number_size(text: str, width: float) -> tuple[float, int]:
    """Size and rows of a number: on one row where that can be read, else on as few as it needs."""
    for rows in range(1, 6):
        size = min(_MOST, width / (_ADVANCE * math.ceil(len(text) / rows)))
        if size >= _LEAST:
            return size, rows
    return _LEAST, 5


def _number_height(text: str, width: float) -> float:
    size, rows = _number_size(text, width)
    return size * (1.0 + 1.15 * (rows - 1)) + 0.3


def _qr(text: str, room: float) -> Drawing:
    """The code of `text`, its quiet zone included, as large as whole dots allow."""
    code = segno.make(text, error="m", micro=False)
    modules = len(code.matrix) + 2 * _QR_QUIET
    dots = min(8, int(room / DOT / modules + 1e-6))
    if dots < _QR_LEAST:
        raise LabelRefused(
            f"{text} does not fit: its QR code needs {modules * _QR_LEAST * DOT:.1f} mm and has "
            f"{max(0.0, room):.1f} mm. Choose a larger label."
        )
    side = modules * dots * DOT
    runs = (
        (first + _QR_QUIET, row + _QR_QUIET, length)
        for row, line in enumerate(code.matrix)
        for first, length in _runs(line)
    )
    return Drawing(0, 0, side, side, _svg(runs, modules, modules))


def _bars(text: str) -> str:
    """The modules of a Code 128, "1" for black, without quiet zones."""
    if not (text.isascii() and text.isprintable()):  # the library takes some letters for the code's own signs
        raise LabelRefused(f"Code 128 cannot say {text}: it has plain letters, digits and signs. Choose QR.")
    return str(Code128(text).build()[0])


def _strip(text: str, stock: Stock, y: float, height: float) -> Drawing:
    """The bars of `text` across the label."""
    bars = _bars(text)
    modules = len(bars) + 2 * _BARS_QUIET
    dots = min(4, int(stock.width / DOT / modules + 1e-6))
    if dots < _BARS_LEAST:
        raise LabelRefused(
            f"{text} is too long for Code 128 on this label: it needs {modules * _BARS_LEAST * DOT:.1f} mm of width, "
            f"and the label has {stock.width:g} mm. Choose QR, or a wider label."
        )
    if height < _BARS_LEAST_HEIGHT - 1e-6:
        raise LabelRefused(f"The bars of {text} would be too low on this label. Choose QR, or a higher label.")
    width = len(bars) * dots * DOT
    left = math.floor((stock.width - width) / 2 / DOT) * DOT
    runs = ((first, 0, length) for first, length in _runs(int(each) for each in bars))
    return Drawing(left, y, width, height, _svg(runs, len(bars), 1))


def _runs(line: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(first, length) of every run of black."""
    first, at = None, -1
    for at, black in enumerate(line):
        if black and first is None:
            first = at
        elif not black and first is not None:
            yield first, at - first
            first = None
    if first is not None:
        yield first, at + 1 - first


def _svg(runs: Iterable[tuple[int, int, int]], width: int, height: int) -> str:
    path = "".join(f"M{x} {y}h{length}v1h-{length}z" for x, y, length in runs)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" preserveAspectRatio="none"'
        f' width="{width}" height="{height}"><path d="{path}"/></svg>'
    )
