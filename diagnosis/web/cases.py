"""The worklist and the case page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import conditional_page, require_safe

from accounts.doors import PageRequest, page
from accounts.permissions import Action, Actor
from diagnosis import audit, queue, worklist
from diagnosis.models import Case
from diagnosis.web.forms import ListFilter, UploadForm

PAGE_SIZE = 25
POLL = 1500  # ms between looks while something is being read
RECENT_EVENTS = 6

TILES = (
    # filter, its value, what the tile says
    ("status", "", "All cases"),
    ("priority", Case.Priority.URGENT, "Urgent"),
    ("status", Case.Status.READING, "Still reading"),
    ("status", Case.Status.ATTENTION, "Needs attention"),
    ("status", Case.Status.READY, "Ready for review"),
    ("status", Case.Status.IN_REVIEW, "In review"),
    ("status", Case.Status.REVIEWED, "Reviewed"),
)


@require_safe
@page(Action.READ_CASES)
def case_list(request: PageRequest) -> HttpResponseBase:
    """The worklist. htmx asks for the list alone, the live refresh for the rows it shows (`?rows=1,2`)."""
    chosen = ListFilter(request.GET).chosen()
    if "rows" in request.GET:
        return _live_rows(request, chosen)
    found = worklist.cases(
        actor=request.actor,
        status=chosen["status"] or None,
        priority=chosen["priority"] or None,
        search=chosen["q"],
    )
    shown = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    context = _live_context(request.actor, chosen, list(shown.object_list)) | {
        "shown": shown,
        "statuses": Case.Status.choices,
    }
    alone = bool(request.headers.get("HX-Request"))
    response = render(request, "diagnosis/_list.html" if alone else "diagnosis/case_list.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _live_rows(request: PageRequest, chosen: dict[str, str]) -> HttpResponse:
    ids = [int(part) for part in request.GET["rows"].split(",") if part.isdecimal()][:PAGE_SIZE]
    cases = list(worklist.cases(actor=request.actor).filter(pk__in=ids))
    return render(request, "diagnosis/_list_live.html", _live_context(request.actor, chosen, cases))


def _live_context(actor: Actor, chosen: dict[str, str], cases: list[Case]) -> dict[str, Any]:
    """What the list and its live refresh share."""
    reading = [case for case in cases if case.status == Case.Status.READING]
    return {
        "chosen": chosen,
        "query": urlencode({k: v for k, v in chosen.items() if v}),
        "tiles": _tiles(actor, chosen),
        "cases": cases,
        "reading_ids": ",".join(str(case.pk) for case in reading),
        "poll": POLL if reading else 0,
        "no_worker": bool(reading) and not queue.counts().workers_seen,
    }


def _tiles(actor: Actor, chosen: dict[str, str]) -> list[dict[str, Any]]:
    """The counts above the list; each is a link that filters, and the one in force leads back to all."""
    counts = worklist.counts(actor=actor)
    tiles = []
    for name, value, title in TILES:
        pressed = chosen[name] == value if value else not (chosen["status"] or chosen["priority"])
        target = {"q": chosen["q"]} | ({name: value} if value and not pressed else {})
        tiles.append(
            {
                "title": title,
                "count": counts[value or "all"],
                "key": value or "all",
                "pressed": pressed,
                "query": urlencode({k: v for k, v in target.items() if v}),
            }
        )
    return tiles


def _case(request: PageRequest, case_id: int) -> Case:
    try:
        return worklist.case_page(actor=request.actor, case_id=case_id)
    except Case.DoesNotExist as missing:
        raise Http404("No such case in this laboratory.") from missing


@require_safe
@page(Action.READ_CASES)
def case(request: PageRequest, case_id: int) -> HttpResponseBase:
    """One case: what is known, what the networks read, what people decided, and the way to bring more images."""
    found = _case(request, case_id)
    audit.record_read(actor=request.actor, case=found)
    return render(request, "diagnosis/case.html", case_context(request, found) | upload_context())


@require_safe
@conditional_page
@page(Action.READ_CASES)
def case_live(request: PageRequest, case_id: int) -> HttpResponseBase:
    """The parts of the case page that change while the networks read; 304 while nothing has."""
    response = render(request, "diagnosis/_case_live.html", case_context(request, _case(request, case_id)))
    response["Cache-Control"] = "private, no-cache"
    return response


@require_safe
@page(Action.READ_AUDIT)
def case_history(request: PageRequest, case_id: int) -> HttpResponseBase:
    """Every event of the case, newest first, and whether their chain is unbroken."""
    found = _case(request, case_id)
    shown = Paginator(audit.history(found), 100).get_page(request.GET.get("page"))
    context = {"case": found, "shown": shown, "broken": audit.verify(case=found)}
    return render(request, "diagnosis/case_history.html", context)


def upload_context() -> dict[str, Any]:
    """What the upload card says of the limits."""
    return {
        "upload": UploadForm(),
        "max_bytes": settings.INTAKE_MAX_BYTES,
        "max_files": settings.INTAKE_MAX_FILES,
    }


def case_context(request: PageRequest, found: Case) -> dict[str, Any]:
    """What the case page and its live parts show."""
    rows = worklist.images(found)
    numbers = {row.image.pk: number for number, row in enumerate(rows, start=1)}
    waiting = sum(row.status in ("queued", "running") for row in rows)
    history = list(audit.history(found)[:RECENT_EVENTS]) if request.actor.may(Action.READ_AUDIT) else []
    return {
        "case": found,
        "rows": rows,
        "numbers": numbers,
        "assessment": found.assessment,
        "releases": list({analysis.release.pk: analysis.release for row in rows for analysis in row.analyses}.values()),
        "waiting": waiting,
        "read": len(rows) - waiting,
        "failed": sum(row.status == "failed" for row in rows),
        "undecided": sum(row.decision is None for row in rows),
        "poll": POLL if waiting else 0,
        "no_worker": bool(waiting) and not queue.counts().workers_seen,
        "history": history,
    }
