"""The doors of the dashboard."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from accounts.doors import PageRequest, page
from accounts.models import Laboratory
from accounts.permissions import Action
from diagnosis import dashboard, second_opinion
from diagnosis.models import Case, ModelRelease
from diagnosis.web.laboratory import drawings, tables
from diagnosis.web.laboratory.words import Table, against, named
from mlcore.bundle import TASKS

PAIRS_SHOWN = 8


@require_safe
@page(Action.READ_DASHBOARD)
def laboratory(request: PageRequest) -> HttpResponseBase:
    """Everything of the chosen period."""
    where, period = request.actor.laboratory, dashboard.Period.chosen(request.GET.get("days"))
    flow = dashboard.flow(laboratory=where, period=period)
    agreement = dashboard.agreement(laboratory=where, period=period)
    machine = dashboard.machine(laboratory=where, period=period)
    work = dashboard.workload(laboratory=where, period=period)
    targets = _targets(where)
    context = {
        "period": period,
        "periods": [{"days": days, "words": words} for days, (words, *_) in dashboard.PERIODS.items()],
        "now": dashboard.now(laboratory=where, period=period),
        "flow": flow,
        "headline": _headline(flow),
        "volumes": tables.volumes(flow),
        "volume_charts": drawings.any_of(drawings.arrivals(flow), drawings.images(flow)),
        "turnaround": tables.turnaround(flow, targets),
        "turnaround_trend": tables.turnaround_trend(flow),
        "turnaround_charts": drawings.any_of(drawings.in_time(flow), drawings.median(flow, targets)),
        "agreement": agreement,
        "changes": tables.changes(agreement),
        "changed": [
            {"source": source, "name": named(source), "href": tables.images_of(period, source)}
            for source in agreement.changed
        ],
        "falls": any(source.change and source.change.difference < 0 for source in agreement.changed),
        "tasks": [
            {
                "task": task,
                "title": tables.KINDS[task],
                "by_class": tables.by_class(agreement, task),
                "pairs": tables.pairs(agreement, task, PAIRS_SHOWN),
                "trend": tables.trend(agreement, task),
                "chart": drawings.overrides(agreement, task),
            }
            for task in agreement.tasks
        ],
        "kappa": second_opinion.agreement(where, since=period.since),
        "opinions": tables.second_opinions(second_opinion.agreement_by_quarter(where)),
        "machine": machine,
        "throughput": tables.throughput(machine),
        "throughput_chart": drawings.throughput(machine),
        "workload": tables.workload(work),
    }
    return render(request, "laboratory/dashboard.html", context)


def _targets(laboratory: Laboratory) -> dict[str, int]:
    return {Case.Priority.ROUTINE: laboratory.routine_hours, Case.Priority.URGENT: laboratory.urgent_hours}


def _headline(flow: dashboard.Flow) -> list[dict[str, Any]]:
    """The period's numbers beside those of the period before."""
    counts = [
        ("Cases opened", flow.now.cases, flow.before.cases),
        ("Images in them", flow.now.images, flow.before.images),
        ("Cases signed", flow.now.reports, flow.before.reports),
        ("Reports amended", flow.now.versions, flow.before.versions),
    ]
    lines = []
    for title, now, before in counts:
        sign, words = against(now, before)
        lines.append({"title": title, "count": now, "sign": sign, "words": words, "before": before})
    return lines


def _of_agreement(build: Callable[[dashboard.Agreement, str], Table], task: str) -> Callable[..., Table]:
    return lambda where, period: build(dashboard.agreement(laboratory=where, period=period), task)


#: Name of a table in its address → how it is made.
TABLES: dict[str, Callable[[Laboratory, dashboard.Period], Table]] = {
    "volumes": lambda where, period: tables.volumes(dashboard.flow(laboratory=where, period=period)),
    "turnaround": lambda where, period: tables.turnaround(
        dashboard.flow(laboratory=where, period=period), _targets(where)
    ),
    "turnaround-trend": lambda where, period: tables.turnaround_trend(dashboard.flow(laboratory=where, period=period)),
    "changes": lambda where, period: tables.changes(dashboard.agreement(laboratory=where, period=period)),
    "second-opinions": lambda where, period: tables.second_opinions(second_opinion.agreement_by_quarter(where)),
    "throughput": lambda where, period: tables.throughput(dashboard.machine(laboratory=where, period=period)),
    "workload": lambda where, period: tables.workload(dashboard.workload(laboratory=where, period=period)),
}
for _task in TASKS:
    TABLES |= {
        f"overrides-{_task}": _of_agreement(tables.by_class, _task),
        f"override-trend-{_task}": _of_agreement(tables.trend, _task),
        f"override-pairs-{_task}": _of_agreement(tables.pairs, _task),
    }


@require_safe
@page(Action.READ_DASHBOARD)
def laboratory_table(request: PageRequest, table: str) -> HttpResponseBase:
    """One table of the page as CSV, with whatever its intervals rest on."""
    if table not in TABLES:
        raise Http404("No such table.")
    period = dashboard.Period.chosen(request.GET.get("days"))
    found = TABLES[table](request.actor.laboratory, period)
    name = f"{request.actor.laboratory.slug}-{table}-{period.first_day}-{period.days}-days.csv"
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": content_disposition_header(True, name) or "attachment"},
    )
    response.write("\ufeff")  # or a spreadsheet takes UTF-8 for something else
    csv.writer(response).writerows([[_harmless(value) for value in line] for line in found.lines()])
    return response


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, as the text that it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


@require_safe
@page(Action.READ_DASHBOARD)
def laboratory_overrides(request: PageRequest) -> HttpResponseBase:
    """The images on which people and one network (or both together) differ."""
    period = dashboard.Period.chosen(request.GET.get("days"))
    task = request.GET.get("task", "cell")
    if task not in TASKS:
        raise Http404("No such kind of image.")
    source, before = (_number(request.GET.get(name)) for name in ("source", "before"))
    release = ModelRelease.objects.filter(pk=source, task=task).defer("card").first() if source else None
    if source and release is None:
        raise Http404("No such network.")
    chosen = {name: _class(request.GET.get(name), task) for name in ("decided", "said")}
    found = dashboard.overrides(
        actor=request.actor,
        period=period,
        source=source or dashboard.READING,
        task=task,
        decided_as=chosen["decided"],
        said_as=chosen["said"],
        before=before,
    )
    older = request.GET.copy()
    older["before"] = str(found.older or "")
    context = {
        "period": period,
        "task": task,
        "kind": tables.KINDS[task],
        "release": release,
        "chosen": chosen,
        "rows": found.rows,
        "older": older.urlencode() if found.older else "",
        "first": before is None,
    }
    return render(request, "laboratory/overrides.html", context)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 18 else None


def _class(text: str | None, task: str) -> str:
    return text if text in TASKS[task] else ""
