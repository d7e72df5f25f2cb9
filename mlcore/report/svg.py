"""Small charts as inline SVG text: no library, no script, colours from the page's CSS variables.

A chart draws at its own size (360 px wide unless told), so its words stay readable on a phone; what tells its series
apart is a marker and a dash, never colour alone. Every text is escaped; no `style` attribute, for strict pages' sake.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

Point = tuple[float, float]
DASHES = {"solid": "", "dashed": ' stroke-dasharray="6 4"', "dotted": ' stroke-dasharray="1.5 4"'}
FONT = 'font-size="11" fill="var(--muted)"'
PER_LETTER = 5.9  # px of an average letter at 11 px


@dataclass(frozen=True)
class Axis:
    """One axis from `low` to `high`; `percent` writes 0.2 as 20 %, `whole` allows whole numbers only."""

    label: str
    low: float = 0.0
    high: float = 1.0
    percent: bool = False
    whole: bool = False

    def ticks(self, most: int = 6) -> list[float]:
        """Round values within the axis, at most `most`."""
        span = self.high - self.low
        power = math.floor(math.log10(span / most))
        steps = [s * 10.0**p for p in (power, power + 1) for s in (1, 2, 2.5, 5)]
        step = next(s for s in steps if span / s <= most and (not self.whole or s == int(s)))
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 10) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def words(self, value: float) -> str:
        return f"{100 * value:.4g} %" if self.percent else f"{value:.4g}".replace("-", "−")


@dataclass(frozen=True)
class Series:
    """Points of one kind. `line` is solid, dashed, dotted or empty; `marker` a name in `mark` or empty;
    `intervals` holds the (low, high) of each point, drawn along the value's axis."""

    name: str
    points: Sequence[Point]
    line: str = "solid"
    marker: str = ""
    colour: str = "var(--accent)"
    intervals: Sequence[Point] = ()
    sizes: Sequence[float] = field(default=())


def mark(kind: str, x: float, y: float, colour: str, size: float = 3.6) -> str:
    """A marker: circle (filled), ring, square (hollow), diamond (filled), cross."""
    where = f"{x:.1f} {y:.1f}"
    s = size
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{s:.1f}" fill="{colour}"/>'
    if kind == "ring":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{s:.1f}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
    shapes = {
        "square": f"M{where}m{-s:.1f} {-s:.1f}h{2 * s:.1f}v{2 * s:.1f}h{-2 * s:.1f}z",
        "diamond": f"M{where}m0 {-1.3 * s:.1f}l{1.3 * s:.1f} {1.3 * s:.1f}l{-1.3 * s:.1f} {1.3 * s:.1f}"
        f"l{-1.3 * s:.1f} {-1.3 * s:.1f}z",
        "cross": f"M{where}m{-s:.1f} {-s:.1f}l{2 * s:.1f} {2 * s:.1f}m0 {-2 * s:.1f}l{-2 * s:.1f} {2 * s:.1f}",
    }
    fill = {"square": "var(--surface)", "diamond": colour, "cross": "none"}[kind]
    return f'<path d="{shapes[kind]}" fill="{fill}" stroke="{colour}" stroke-width="1.6"/>'


def _text(x: float, y: float, words: str, anchor: str = "middle", extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {FONT}{extra}>{escape(words)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float, *, colour: str = "var(--line)", extra: str = "") -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}" fill="none"{extra}/>'


def _whisker(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return _rule(x1, y1, x2, y2, colour=colour, extra=' stroke-width="1.4" stroke-opacity=".6"')


def _legend(series: Sequence[Series], left: float, top: float, width: float) -> tuple[str, float]:
    """Marker, dash and name of every named series in rows of at most `width` px, and the height they take."""
    drawn, x, y = [], left, top
    for one in series:
        if not one.name:
            continue
        wide = 30 + PER_LETTER * len(one.name)
        if x > left and x + wide > left + width:
            x, y = left, y + 16
        if one.line:
            drawn.append(
                _rule(x, y - 4, x + 20, y - 4, colour=one.colour, extra=f' stroke-width="2"{DASHES[one.line]}')
            )
        if one.marker:
            drawn.append(mark(one.marker, x + 10, y - 4, one.colour))
        drawn.append(_text(x + 26, y, one.name, "start"))
        x += wide + 10
    return "".join(drawn), y - top + 16 if drawn else 0.0


def _frame(title: str, words: str, width: float, height: float, body: str) -> str:
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img"><title>{escape(title)}</title>'
        f"<desc>{escape(words)}</desc>{body}</svg>"
    )


def chart(
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    *,
    title: str,
    words: str,
    width: float = 360,
    height: float = 250,
    rules: Sequence[tuple[str, float, str]] = (),
    columns: Sequence[tuple[float, float, float]] = (),
) -> str:
    """An x-y chart. `rules` are ("x" or "y", value, words) reference lines; `columns` (from, to, height in y's units)
    faint bars behind the points. Points outside of the axes are cut off at the frame."""
    left, right, top, bottom = 58, 20, 10, 36
    wide, tall = width - left - right, height - top - bottom

    def at(point: Point) -> Point:
        along = (min(max(point[0], x.low), x.high) - x.low) / (x.high - x.low)
        up = (min(max(point[1], y.low), y.high) - y.low) / (y.high - y.low)
        return left + along * wide, top + (1 - up) * tall

    body = []
    for value in y.ticks():
        _, level = at((x.low, value))
        body += [_rule(left, level, left + wide, level), _text(left - 6, level + 4, y.words(value), "end")]
    for value in x.ticks():
        along, _ = at((value, y.low))
        body += [
            _rule(along, top + tall, along, top + tall + 4, colour="var(--muted)"),
            _text(along, top + tall + 16, x.words(value)),
        ]
    body.append(_rule(left, top + tall, left + wide, top + tall, colour="var(--muted)"))
    body.append(_text(left + wide / 2, height - 5, x.label))
    body.append(_text(0, 0, y.label, extra=f' transform="translate(11 {top + tall / 2:.0f}) rotate(-90)"'))
    for start, end, level in columns:
        (x1, y1), (x2, y2) = at((start, level)), at((end, y.low))
        body.append(
            f'<rect x="{x1 + 0.5:.1f}" y="{y1:.1f}" width="{max(x2 - x1 - 1, 0):.1f}" height="{y2 - y1:.1f}" '
            f'fill="var(--muted)" fill-opacity=".22"/>'
        )
    for axis, value, said in rules:
        ends = ((value, y.low), (value, y.high)) if axis == "x" else ((x.low, value), (x.high, value))
        (x1, y1), (x2, y2) = map(at, ends)
        body.append(_rule(x1, y1, x2, y2, colour="var(--ink)", extra=DASHES["dashed"] + ' stroke-opacity=".7"'))
        level = y1 - 4 if y1 > top + 14 else y1 + 13  # a line at the top has its words below
        body.append(_text(x1 + 4, top + 10, said, "start") if axis == "x" else _text(x2, level, said, "end"))
    for one in series:
        places = [at(point) for point in one.points]
        for (px, _), (low, high) in zip(places, one.intervals, strict=False):
            body.append(_whisker(px, at((x.low, low))[1], px, at((x.low, high))[1], one.colour))
        if one.line and places:
            path = "L".join(f"{px:.1f} {py:.1f}" for px, py in places)
            body.append(f'<path d="M{path}" fill="none" stroke="{one.colour}" stroke-width="2"{DASHES[one.line]}/>')
        if one.marker:
            sizes = one.sizes or [3.6] * len(places)
            body += [mark(one.marker, px, py, one.colour, size) for (px, py), size in zip(places, sizes, strict=True)]
    legend, more = _legend(series, left, height + 12, wide)
    return _frame(title, words, width, height + more, "".join(body) + legend)


def rows(
    labels: Sequence[str],
    series: Sequence[Series],
    axis: Axis,
    *,
    title: str,
    words: str,
    width: float = 360,
    label_width: float = 150,
    rules: Sequence[tuple[float, str]] = (),
) -> str:
    """A dot chart, one row for each label. A series' points are (row number, value); `rules` are (value, words)."""
    step, top, bottom = 13.0 + 9 * len([s for s in series if s.intervals] or [0]), 8 + 14 * bool(rules), 36
    right, wide = 20, width - label_width - 20
    height = top + step * len(labels) + bottom

    def along(value: float) -> float:
        share = (min(max(value, axis.low), axis.high) - axis.low) / (axis.high - axis.low)
        return label_width + share * wide

    floor = top + step * len(labels)
    body = []
    for value in axis.ticks(5):
        body += [_rule(along(value), top, along(value), floor), _text(along(value), floor + 14, axis.words(value))]
    for number, label in enumerate(labels):
        level = top + step * (number + 0.5)
        body += [
            _rule(label_width, level, width - right, level, extra=' stroke-opacity=".5"'),
            _text(label_width - 8, level + 4, label, "end"),
        ]
    for value, said in rules:
        body.append(_rule(along(value), top - 2, along(value), floor, colour="var(--ink)", extra=DASHES["dashed"]))
        body.append(_text(along(value), top - 6, said))
    spread = [s for s in series if s.intervals]
    for one in series:
        shift = (spread.index(one) - (len(spread) - 1) / 2) * 8 if one in spread else 0.0
        for i, (row, value) in enumerate(one.points):
            level = top + step * (row + 0.5) + shift
            if one.intervals:
                low, high = one.intervals[i]
                body.append(_whisker(along(low), level, along(high), level, one.colour))
            body.append(mark(one.marker, along(value), level, one.colour))
    body.append(_text(label_width + wide / 2, height - 5, axis.label))
    legend, more = _legend(series, 8, height + 12, width - 16)
    return _frame(title, words, width, height + more, "".join(body) + legend)
