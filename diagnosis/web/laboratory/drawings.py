"""The dashboard's drawings. The table below each says the same in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from diagnosis.dashboard import Agreement, Flow, Machine, Period, Source
from diagnosis.models import Case
from diagnosis.templatetags.marks import lasted
from diagnosis.web.laboratory.tables import KINDS, PRIORITIES
from diagnosis.web.laboratory.words import in_percent, interval, named
from diagnosis.web.releases.charts import Chart, bounds

LINES = ("first", "second", "third")


def slices(period: Period, starts: Sequence[date], chart: Chart) -> Chart:
    """Write the slices' first days along the axis, as many as fit."""
    every = max(1, -(-len(starts) // 6))
    chart.x_names = [(at + 0.5, period.slice_words(start)) for at, start in enumerate(starts) if at % every == 0]
    return chart


def counted(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else ""


def arrivals(flow: Flow) -> Chart | None:
    """Cases that came in and cases that were signed, side by side."""
    if flow.now.empty:
        return None
    starts = list(flow.slices)
    volumes = list(flow.slices.values())
    chart = Chart(
        "arrivals",
        f"Cases by {flow.period.size()}",
        f"{flow.now.cases} cases were opened and {flow.now.reports} signed for the first time.",
        "",
        "",
        (0, len(starts)),
        (0, max(4.0, bounds([0, *(max(each.cases, each.reports) for each in volumes)])[1])),
        str,
        counted,
        fills={"first": "opened", "second": "signed"},
    )
    for at, (start, each) in enumerate(zip(starts, volumes, strict=True)):
        day = flow.period.slice_words(start)
        for kind, left, count, what in (("first", 0.1, each.cases, "opened"), ("second", 0.5, each.reports, "signed")):
            if count:
                chart.bar(at + left, at + left + 0.38, count, kind, f"{day}: {count} {what}")
    return slices(flow.period, starts, chart)


def images(flow: Flow) -> Chart | None:
    """Images of the cases that came in."""
    if not flow.now.images:
        return None
    starts = list(flow.slices)
    chart = Chart(
        "images",
        f"Images by {flow.period.size()}",
        f"{flow.now.images:,} images in the cases that were opened.",
        "",
        "",
        (0, len(starts)),
        (0, max(4.0, bounds([0, *(each.images for each in flow.slices.values())])[1])),
        str,
        counted,
        fills={"first": "images of the cases opened"},
    )
    for at, (start, each) in enumerate(flow.slices.items()):
        if each.images:
            words = f"{flow.period.slice_words(start)}: {each.images:,} images"
            chart.bar(at + 0.15, at + 0.85, each.images, "first", words)
    return slices(flow.period, starts, chart)


def in_time(flow: Flow) -> Chart | None:
    """Share of first signatures within the target, by priority, with intervals."""
    if not flow.trend:
        return None
    starts = flow.period.slices(shares=True)
    chart = Chart(
        "in-time",
        "Signed within the target",
        f"Share of the cases signed in time by {flow.period.size(shares=True)} and priority, with 95 % intervals.",
        "",
        "",
        (0, len(starts)),
        (0, 1),
        str,
        lambda value: in_percent(value, 0),
    )
    for kind, (priority, title) in zip(LINES, reversed(PRIORITIES.items()), strict=False):
        shift = 0.42 if kind == "first" else 0.58
        found = [(at, flow.trend.get(start, {}).get(priority)) for at, start in enumerate(starts)]
        chart.line(title.lower(), kind, [(at + shift, part.share if part else None) for at, part in found])
        for at, part in found:
            if part and part.share is not None:
                day = flow.period.slice_words(starts[at])
                chart.mark(
                    at + shift,
                    part.share,
                    f"dot {kind}",
                    f"{day}, {title.lower()}: {part.in_time} of {part.signed} in time, median {lasted(part.median)}",
                    low=part.low,
                    high=part.high,
                )
    return slices(flow.period, starts, chart)


def median(flow: Flow, targets: dict[str, int]) -> Chart | None:
    """Median turnaround by priority."""
    if not flow.trend:
        return None
    starts = flow.period.slices(shares=True)
    parts = {
        priority: [flow.trend.get(start, {}).get(priority) for start in starts] for priority in Case.Priority.values
    }
    hours: dict[str, list[float | None]] = {
        priority: [each.median.total_seconds() / 3600 if each and each.median is not None else None for each in found]
        for priority, found in parts.items()
    }
    most = max((value for found in hours.values() for value in found if value is not None), default=1.0)
    chart = Chart(
        "median",
        "Median turnaround",
        f"Hours from opening to first signature by {flow.period.size(shares=True)} and priority.",
        "",
        "hours",
        (0, len(starts)),
        (0, bounds([0, most, *(target for target in targets.values() if target < 2 * most)])[1]),
        str,
        lambda value: f"{value:g}",
    )
    for kind, (priority, title) in zip(LINES, reversed(PRIORITIES.items()), strict=False):
        chart.line(title.lower(), kind, [(at + 0.5, value) for at, value in enumerate(hours[priority])])
        for at, value in enumerate(hours[priority]):
            if value is not None:
                part = parts[priority][at]
                words = (
                    f"{flow.period.slice_words(starts[at])}, {title.lower()}: {lasted(part.median if part else None)}"
                )
                chart.mark(at + 0.5, value, f"dot {kind}", words)
    return slices(flow.period, starts, chart)


def overrides(found: Agreement, task: str) -> Chart | None:
    """Override rate over time: both together and the networks in use, with intervals."""
    sources = _drawn(found.of(task))
    starts = found.period.slices(shares=True)
    if not any(source.trend for source in sources):
        return None
    shares = [share for source in sources for share in source.trend.values()]
    chart = Chart(
        f"overrides-{task}",
        f"{KINDS[task]}: overrides by {found.period.size(shares=True)}",
        f"Share of decided images on which people named another class, by {found.period.size(shares=True)}, "
        "with 95 % intervals.",
        "",
        "",
        (0, len(starts)),
        (0, bounds([0, *(share.high for share in shares)], within=(0, 1))[1]),
        str,
        lambda value: in_percent(value, 0),
    )
    for number, (kind, source) in enumerate(zip(LINES, sources, strict=False)):
        shift = 0.35 + 0.15 * number
        points = [(at, source.trend.get(start)) for at, start in enumerate(starts)]
        chart.line(named(source), kind, [(at + shift, share.value if share else None) for at, share in points])
        for at, share in points:
            if share and share.value is not None:
                words = (
                    f"{found.period.slice_words(starts[at])}, {named(source)}: {share.overrides} of {share.images} "
                    f"({in_percent(share.value)}, {interval(share.low, share.high)})"
                )
                chart.mark(at + shift, share.value, f"dot {kind}", words, low=share.low, high=share.high)
    return slices(found.period, starts, chart)


def _drawn(sources: Sequence[Source]) -> list[Source]:
    """At most three lines: those with most images that are shown to people, in the tables' order."""
    shown = [source for source in sources if not source.shadow and source.trend]
    most = sorted(shown, key=lambda source: -source.now.images)[: len(LINES)]
    return [source for source in shown if source in most]


def throughput(found: Machine) -> Chart | None:
    """Opinions given in each of the last hours."""
    if not any(hour.opinions for hour in found.hours):
        return None
    total = sum(hour.opinions for hour in found.hours)
    chart = Chart(
        "throughput",
        "Opinions given, last 24 hours",
        f"{total:,} opinions of networks in {len(found.hours)} hours.",
        "",
        "",
        (0, len(found.hours)),
        (0, max(4.0, bounds([0, *(hour.opinions for hour in found.hours)])[1])),
        str,
        counted,
        fills={"first": "opinions"},
    )
    for at, hour in enumerate(found.hours):
        if hour.opinions:
            words = f"{hour.start:%H}:00: {hour.opinions:,} opinions"
            chart.bar(at + 0.12, at + 0.88, hour.opinions, "first", words)
    chart.x_names = [(at + 0.5, f"{hour.start:%H}") for at, hour in enumerate(found.hours) if at % 4 == 0]
    return chart


def any_of(*charts: Chart | None) -> list[Chart]:
    return [chart for chart in charts if chart is not None]
