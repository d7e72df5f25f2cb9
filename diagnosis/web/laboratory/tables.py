"""The tables of the dashboard, each as the page shows it and as a spreadsheet takes it."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from diagnosis.dashboard import Agreement, Flow, Machine, Period, Share, Source, Turnaround, Workload
from diagnosis.kappa import Agreement as Kappa
from diagnosis.models import Case
from diagnosis.templatetags.marks import lasted, points
from diagnosis.web.laboratory.words import (
    Cell,
    Table,
    hours,
    in_percent,
    interval,
    named,
    number,
    overridden,
)
from mlcore.bundle import TASKS
from mlcore.reading import words

KINDS = {"field": "Fields", "cell": "Cells"}
PRIORITIES = dict(Case.Priority.choices)


def volumes(flow: Flow) -> Table:
    period = flow.period
    table = Table(
        "volumes",
        f"Cases, images and reports by {period.size()}",
        [period.size().capitalize(), "Cases", "Urgent", "Images", "Signed", "Amended"],
    )
    for start, volume in flow.slices.items():
        figures = (volume.cases, volume.urgent, volume.images, volume.reports, volume.versions)
        table.rows.append([_slice(period, start), *(number(figure) for figure in figures)])
    return table


def turnaround(flow: Flow, targets: dict[str, int]) -> Table:
    table = Table(
        "turnaround",
        "From opening the case to its first signature",
        ["Priority", "Signed", "Median", "Nine in ten within", "In time", f"In time, the {flow.period.words} before"],
        more=("interval low", "interval high", "target hours"),
    )
    for priority, title in PRIORITIES.items():
        now, before = flow.turnaround[priority], flow.turnaround_before[priority]
        table.rows.append(
            [
                Cell(title, f"target {targets[priority]} h", title),
                number(now.signed),
                Cell(lasted(now.median), value=hours(now.median)),
                Cell(lasted(now.p90), value=hours(now.p90)),
                _in_time(now),
                _in_time(before),
            ]
        )
        table.more_rows.append([*_ends(now.share, now.low, now.high), targets[priority]])
    return table


def turnaround_trend(flow: Flow) -> Table:
    period = flow.period
    heads = [f"{title}, {what}" for title in PRIORITIES.values() for what in ("signed", "median", "in time")]
    table = Table(
        "turnaround-trend", f"Turnaround by {period.size(shares=True)}", [period.size(shares=True).capitalize(), *heads]
    )
    for start in period.slices(shares=True):
        row = [_slice(period, start)]
        for priority in PRIORITIES:
            part = flow.trend.get(start, {}).get(priority)
            row += (
                [number(part.signed), Cell(lasted(part.median), value=hours(part.median)), _in_time(part)]
                if part
                else [Cell("–", value=""), Cell("–", value=""), Cell("–", value="")]
            )
        table.rows.append(row)
    return table


def _in_time(found: Turnaround) -> Cell:
    if found.share is None:
        return Cell("–", value="")
    small = f"{found.in_time:,} of {found.signed:,} · {interval(found.low, found.high)}"
    return Cell(in_percent(found.share, 0), small, round(found.share, 4))


def _ends(value: float | None, low: float, high: float) -> list[Any]:
    return ["", ""] if value is None else [round(low, 4), round(high, 4)]


def _slice(period: Period, start: date) -> Cell:
    return Cell(period.slice_words(start), value=start.isoformat())


def images_of(period: Period, source: Source, decided: str = "", said: str = "") -> str:
    """The address of the images on which people and the source differ."""
    query = {"days": period.days, "source": source.key, "task": source.task, "decided": decided, "said": said}
    return f"{reverse('laboratory-overrides')}?{urlencode({k: v for k, v in query.items() if v != ''})}"


def by_class(found: Agreement, task: str) -> Table:
    """A row for each class that people decided, a column for each network: how often the network had said otherwise."""
    sources = found.of(task)
    table = Table(
        f"overrides-{task}",
        f"{KINDS[task]}: overrides by class and network",
        ["Class, as people decided", *(named(source) for source in sources)],
        more=_more(sources),
    )
    for label in TASKS[task]:
        if not any(label in source.classes for source in sources):
            continue
        title = words(label)
        shares = [source.classes.get(label) for source in sources]
        table.rows.append(
            [
                Cell(title[:1].upper() + title[1:], value=label),
                *(
                    overridden(share, images_of(found.period, source, label) if share and share.overrides else "")
                    for source, share in zip(sources, shares, strict=True)
                ),
            ]
        )
        table.more_rows.append([value for share in shares for value in _counts(share)])
    alls = [source.now if source.now.images else None for source in sources]
    if table.rows:
        table.rows.append(
            [
                Cell("All classes", value="all"),
                *(
                    overridden(share, images_of(found.period, source) if share and share.overrides else "")
                    for source, share in zip(sources, alls, strict=True)
                ),
            ]
        )
        table.more_rows.append([value for share in alls for value in _counts(share)])
    return table


def _more(sources: list[Source]) -> list[str]:
    """The heads of what `_counts` gives of each source."""
    columns = ("images", "overrides", "cases", "interval low", "interval high")
    return [f"{named(source)} {what}" for source in sources for what in columns]


def _counts(share: Share | None) -> list[Any]:
    if share is None:
        return ["", "", "", "", ""]
    return [share.images, share.overrides, share.cases, round(share.low, 4), round(share.high, 4)]


def changes(found: Agreement) -> Table:
    """Every network's override rate now and before, and whether the difference is more than chance."""
    table = Table(
        "changes",
        f"Overrides in the last {found.period.words} and in the {found.period.words} before",
        ["Network", "Images", "Now", "Before", "Difference"],
        texts=(0, 1),
        more=("interval low", "interval high", "beyond chance"),
    )
    for source in found.sources:
        change = source.change
        if change is None:
            difference = Cell("–", "too few cases to tell", "")
        else:
            ends = f"{points(change.low, 'bare')} to {points(change.high, 'bare')}"
            sign = ("▲ " if change.difference > 0 else "▼ ") if change.beyond_chance else ""
            difference = Cell(
                sign + points(change.difference),
                f"{ends} · {'beyond chance' if change.beyond_chance else 'may be chance'}",
                round(change.difference, 4),
                tone="doubt" if change.beyond_chance else "",
            )
        table.rows.append(
            [
                Cell(named(source)),
                Cell(KINDS[source.task]),
                overridden(source.now, images_of(found.period, source) if source.now.overrides else ""),
                overridden(source.before),
                difference,
            ]
        )
        table.more_rows.append(
            [round(change.low, 4), round(change.high, 4), change.beyond_chance] if change else ["", "", ""]
        )
    return table


def trend(found: Agreement, task: str) -> Table:
    sources, period = found.of(task), found.period
    size = period.size(shares=True)
    table = Table(
        f"override-trend-{task}",
        f"{KINDS[task]}: overrides by {size}",
        [size.capitalize(), *(named(source) for source in sources)],
        more=[
            f"{named(source)} {what}" for source in sources for what in ("images", "overrides", "cases", "low", "high")
        ],
    )
    for start in period.slices(shares=True):
        shares = [source.trend.get(start) for source in sources]
        table.rows.append([_slice(period, start), *(overridden(share) for share in shares)])
        table.more_rows.append([value for share in shares for value in _counts(share)])
    return table


def pairs(found: Agreement, task: str, limit: int | None = None) -> Table:
    """What was decided against what had been said, most frequent first."""
    table = Table(
        f"override-pairs-{task}",
        f"{KINDS[task]}: what overrides change",
        ["Network", "It had said", "People decided", "Images"],
        texts=(0, 1, 2),
    )
    rows = [
        (count, source, decided, said)
        for source in found.of(task)
        for decided, said, count in source.pairs
        if source.now.images
    ]
    rows.sort(key=lambda row: -row[0])
    for count, source, decided, said in rows[:limit]:
        table.rows.append(
            [
                Cell(named(source)),
                Cell(words(said), value=said),
                Cell(words(decided), value=decided),
                Cell(f"{count:,}", value=count, href=images_of(found.period, source, decided, said)),
            ]
        )
    return table


def second_opinions(found: list[tuple[date, Kappa]]) -> Table:
    """Agreement of first diagnoses and second opinions, by quarter of a year."""
    table = Table(
        "second-opinions",
        "Second opinions by quarter",
        ["Quarter", "Answered", "Agree", "Kappa"],
        more=("interval low", "interval high"),
    )
    for begin, each in found:
        if each.n:
            kappa = Cell("–", "too few", "") if each.kappa is None else _kappa(each)
            quarter = f"{begin.year}, quarter {(begin.month + 2) // 3}"
            table.rows.append([Cell(quarter, value=begin.isoformat()), number(each.n), number(each.same), kappa])
            table.more_rows.append(["" if end is None else round(end, 3) for end in (each.low, each.high)])
    return table


def _kappa(each: Kappa) -> Cell:
    return Cell(f"{each.kappa:.2f}", f"{each.low:.2f} to {each.high:.2f}".replace("-", "−"), round(each.kappa or 0, 3))


def throughput(found: Machine) -> Table:
    table = Table(
        "throughput", "Opinions given, by hour", ["Hour", "Opinions", "Mean wait", "Mean time of one opinion"]
    )
    for hour in found.hours:
        table.rows.append(
            [
                Cell(f"{hour.start:%H}:00", value=hour.start.isoformat()),
                number(hour.opinions),
                Cell(lasted(hour.waited), value=hours(hour.waited)),
                Cell("–" if hour.took is None else f"{hour.took:.2f} s", value=hour.took),
            ]
        )
    return table


def workload(found: list[Workload]) -> Table:
    table = Table(
        "workload",
        "Cases and reports by person",
        ["Person", "Holds", "Late", "Oldest", "Signed", "Amended", "Opinions asked", "Opinions given"],
    )
    for each in found:
        table.rows.append(
            [
                Cell(str(each.person)),
                number(each.held),
                Cell(f"▲ {each.late}", value=each.late, tone="alarm") if each.late else number(0),
                Cell(lasted(each.oldest), value=hours(each.oldest)),
                number(each.signed),
                number(each.versions),
                number(each.opinions_open),
                number(each.opinions_answered),
            ]
        )
    return table
