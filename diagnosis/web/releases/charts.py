"""Charts as SVG geometry. Templates draw them with classes alone, for no page here may carry a style of its own.

Every chart has a name and a sentence for those who do not see it, and its numbers stand in a table beside it. Lines
differ by their dashes and not by colour only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

LEFT, RIGHT, TOP, BOTTOM = 60, 20, 10, 40  # what stands around the plotted square, in drawing units
SMALL = (280, 196)

Range = tuple[float, float]


@dataclass(frozen=True)
class Tick:
    at: float  # in drawing units along its axis
    words: str


@dataclass(frozen=True)
class Line:
    """`kind` is a class of the style sheet: "first" solid, "second" dashed, "third" dotted."""

    words: str
    kind: str
    points: str  # "x,y x,y …" in drawing units


@dataclass(frozen=True)
class Mark:
    """A dot; `kind` as in `Line`."""

    x: float
    y: float
    kind: str
    words: str = ""  # shown on the spot for the pointer
    low: float | None = None  # ends of a vertical whisker
    high: float | None = None


@dataclass(frozen=True)
class Bar:
    """A standing bar from the axis up; `kind` as in `Line`."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    words: str = ""  # shown on the spot for the pointer


@dataclass
class Chart:
    """One drawing; `key` makes its ids unique on the page, `dots` and `fills` say in the legend what kinds of dots
    and bars mean. `x_names`: where the axis is no scale of numbers, what stands where along it."""

    key: str
    title: str
    description: str
    x_words: str
    y_words: str
    x_range: Range
    y_range: Range
    x_form: Callable[[float], str]
    y_form: Callable[[float], str]
    lines: list[Line] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    dots: dict[str, str] = field(default_factory=dict)
    fills: dict[str, str] = field(default_factory=dict)
    x_names: Sequence[tuple[float, str]] = ()
    size: tuple[int, int] = (350, 248)

    def __post_init__(self) -> None:
        self.width, self.height = self.size
        self.left, self.right, self.top, self.bottom = LEFT, self.width - RIGHT, TOP, self.height - BOTTOM
        self.middle_x, self.middle_y = (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def x(self, value: float) -> float:
        return _place(value, self.x_range, self.left, self.right)

    def y(self, value: float) -> float:
        return _place(value, self.y_range, self.bottom, self.top)

    @property
    def x_ticks(self) -> list[Tick]:
        if self.x_names:
            return [Tick(self.x(value), words) for value, words in self.x_names]
        return [Tick(self.x(value), self.x_form(value)) for value in ticks(self.x_range)]

    @property
    def y_ticks(self) -> list[Tick]:
        return [Tick(self.y(value), self.y_form(value)) for value in ticks(self.y_range)]

    def line(self, words: str, kind: str, points: Sequence[tuple[float | None, float | None]]) -> None:
        """Join `points` (x, y) in their order; one that is not known is left out."""
        drawn = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points if known(x) and known(y))
        if drawn:
            self.lines.append(Line(words, kind, drawn))

    def mark(
        self, x: float, y: float, kind: str, words: str = "", *, low: float | None = None, high: float | None = None
    ) -> None:
        ends = (self.y(low), self.y(high)) if known(low) and known(high) else (None, None)
        self.marks.append(Mark(round(self.x(x), 1), round(self.y(y), 1), kind, words, *ends))

    def bar(self, start: float, end: float, value: float, kind: str, words: str = "") -> None:
        """A bar of height `value` between two places of the x axis."""
        left, top = self.x(start), self.y(value)
        self.bars.append(Bar(left, top, max(0.5, self.x(end) - left), self.bottom - top, kind, words))


def known(value: float | None) -> TypeGuard[float]:
    """Whether a figure is there: reports say null where one cannot be computed."""
    return value is not None and math.isfinite(value)


def bounds(values: Sequence[float | None], *, within: Range | None = None) -> Range:
    """Ends of an axis that hold all `values` that are known: whole steps, never of length zero."""
    found = [value for value in values if value is not None and math.isfinite(value)] or [0.0, 1.0]
    low, high = min(found), max(found)
    step = _step(high - low or abs(high) or 1.0)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    if high <= low:
        high = low + step
    return (max(low, within[0]), min(high, within[1])) if within else (low, high)


def ticks(ends: Range) -> list[float]:
    """Three to seven round numbers from one end of an axis to the other."""
    low, high = ends
    step = _step(high - low)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _step(length: float) -> float:
    """The round step (1, 2 or 5 times a power of ten) that cuts `length` into four to seven parts, or nearly."""
    power = 10.0 ** math.floor(math.log10(length / 4))
    return next(step for part in (1, 2, 5, 10) if (step := part * power) * 6 >= length)


def _place(value: float, ends: Range, start: float, end: float) -> float:
    share = (value - ends[0]) / (ends[1] - ends[0])
    return start + (end - start) * min(max(share, 0.0), 1.0)
