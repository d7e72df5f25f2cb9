"""What labels are printed on: a roll of single labels, or A4 with labels in a grid. Millimetres throughout."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

A4 = (210.0, 297.0)
OWN = "own"


class StockError(ValueError):
    """A sheet that cannot be; the text says why. `field`: the measure it is about."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Stock:
    """`width`, `height`: of one label. A roll has a page for each label; a sheet has `columns` × `rows` of them, the
    first at `left`, `top`, the next ones `across` and `down` from it."""

    key: str
    title: str
    width: float
    height: float
    columns: int = 1
    rows: int = 1
    left: float = 0.0
    top: float = 0.0
    across: float = 0.0
    down: float = 0.0
    is_sheet: bool = False

    @property
    def page(self) -> tuple[float, float]:
        return A4 if self.is_sheet else (self.width, self.height)

    @property
    def per_page(self) -> int:
        return self.columns * self.rows

    def place(self, position: int) -> tuple[float, float]:
        """The upper left corner of a label on its page; positions count from 0, row by row."""
        row, column = divmod(position, self.columns)
        return self.left + column * self.across, self.top + row * self.down


ROLLS = (
    Stock("22x15", "Roll, 22 × 15 mm", 22, 15),
    Stock("24x24", "Roll, 24 × 24 mm", 24, 24),
    Stock("25x10", "Roll, 25.4 × 10 mm", 25.4, 10),
    Stock("38x21", "Roll, 38.1 × 21.2 mm", 38.1, 21.2),
)
SHEETS = (
    Stock("a4-65", "A4, 5 × 13 of 38.1 × 21.2 mm", 38.1, 21.2, 5, 13, 4.75, 10.7, 40.6, 21.2, True),
    Stock("a4-189", "A4, 7 × 27 of 25.4 × 10 mm", 25.4, 10, 7, 27, 8.48, 13.5, 27.94, 10, True),
)
#: The measures of a laboratory's own sheet, as they are stored.
MEASURES = ("columns", "rows", "width", "height", "left", "top", "across", "down")


def stocks(sheet: Mapping[str, Any]) -> dict[str, Stock]:
    """Everything that can be chosen, by key; `sheet`: the laboratory's own, or nothing."""
    own = (own_sheet(sheet),) if sheet else ()
    return {stock.key: stock for stock in (*ROLLS, *SHEETS, *own)}


def own_sheet(sheet: Mapping[str, Any]) -> Stock:
    """A sheet of A4 with these measures. Raises `StockError` where labels would overlap or leave the page."""
    for name in MEASURES:
        if not math.isfinite(sheet[name]) or sheet[name] < 0:
            raise StockError("This has to be a number from 0.", name)
    columns, rows = int(sheet["columns"]), int(sheet["rows"])
    width, height = float(sheet["width"]), float(sheet["height"])
    left, top, across, down = (float(sheet[name]) for name in ("left", "top", "across", "down"))
    for name, count in (("columns", columns), ("rows", rows)):
        if not 1 <= count <= 40 or count != sheet[name]:
            raise StockError("A sheet has 1 to 40 of them, as a whole number.", name)
    for name, size in (("width", width), ("height", height)):
        if not 8 <= size <= 210:
            raise StockError("A label measures 8 to 210 mm.", name)
    for name, count, step, size in (("across", columns, across, width), ("down", rows, down, height)):
        if count > 1 and step < size:
            message = f"With {step:g} mm from one label to the next they overlap: one measures {size:g} mm."
            raise StockError(message, name)
    for name, end, page in (
        ("left", left + (columns - 1) * across + width, A4[0]),
        ("top", top + (rows - 1) * down + height, A4[1]),
    ):
        if end > page + 0.05:
            raise StockError(f"So the labels end {end - page:.1f} mm beyond the page of {page:g} mm.", name)
    title = f"Own sheet, {columns} × {rows} of {width:g} × {height:g} mm"
    return Stock(OWN, title, width, height, columns, rows, left, top, across, down, True)
