"""Figures in words, and tables that a page shows and a spreadsheet reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from diagnosis.dashboard import Share, Source
from diagnosis.web.releases.figures import NETWORKS
from diagnosis.web.releases.figures import share as in_percent


@dataclass(frozen=True, slots=True)
class Cell:
    """`words`: on the page; `small`: below them; `value`: in the spreadsheet, the words where it is None."""

    words: str
    small: str = ""
    value: Any = None
    href: str = ""
    tone: str = ""
    note: str = ""  # for those who hear the page


@dataclass(slots=True)
class Table:
    """`key`: its name in addresses. The first cell of each row names it. `heads` of columns that hold text are in
    `texts`, by number; all others stand flush right."""

    key: str
    title: str
    heads: Sequence[str]
    rows: list[list[Cell]] = field(default_factory=list)
    texts: Sequence[int] = (0,)
    more: Sequence[str] = ()  # heads of columns that only the spreadsheet has
    more_rows: list[list[Any]] = field(default_factory=list)

    def lines(self) -> list[list[Any]]:
        """For the spreadsheet, the heads first."""
        extra = self.more_rows or [[] for _ in self.rows]
        return [
            [*self.heads, *self.more],
            *(
                [*(cell.words if cell.value is None else cell.value for cell in row), *rest]
                for row, rest in zip(self.rows, extra, strict=True)
            ),
        ]


def number(count: int, small: str = "") -> Cell:
    return Cell(f"{count:,}" if count else "–", small, count)


def hours(duration: timedelta | None) -> float | None:
    return None if duration is None else round(duration.total_seconds() / 3600, 2)


def interval(low: float, high: float) -> str:
    """Two ends of a share: "4.1–9.8 %"."""
    return f"{in_percent(low).removesuffix(' %')}–{in_percent(high)}"


def named(source: Source, *, version: bool = True) -> str:
    """ "Both together", "CNN 2.0.0", "CNN 2.1.0 (shadow)"."""
    if source.release is None:
        return NETWORKS["both"]
    name = NETWORKS.get(source.release.network, source.release.network)
    return f"{name} {source.release.version}" + (" (shadow)" if source.shadow else "") if version else name


def against(now: int, before: int) -> tuple[str, str]:
    """How a count stands to the one before: (sign, words); in per cent where there are enough to speak of those."""
    if now == before:
        return "", "as many as before"
    more = now > before
    size = f"{abs(now - before) / before * 100:.0f} %" if before >= 20 else f"{abs(now - before):,}"
    return "▲" if more else "▼", f"{size} {'more' if more else 'fewer'}"


def overridden(share: Share | None, href: str = "") -> Cell:
    """An override rate with its interval and how many images it rests on."""
    if share is None or share.value is None:
        return Cell("–", value="")
    return Cell(
        in_percent(share.value),
        f"{share.overrides:,} of {share.images:,} · {interval(share.low, share.high)}",
        round(share.value, 4),
        href,
    )
