"""The case page."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import condition, require_safe

from accounts.doors import PageRequest, page
from accounts.permissions import Action, visible
from diagnosis import audit, blinding, watching, worklist
from diagnosis.models import Analysis, Case, ReportDraft
from diagnosis.web import clinical, opinions
from diagnosis.web.forms import UploadForm
from diagnosis.web.lists import POLL, way
from diagnosis.web.reports.part import report_part
from diagnosis.web.reviewing import SORT_COOKIE, gallery_part

WATCH = 3_000  # ms between looks otherwise: colleagues decide in the same case
RECENT_EVENTS = 6


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


def _version(request: PageRequest, case_id: int) -> str | None:
    """Changes whenever the live parts may: a few small queries instead of the whole page, every few seconds.

    All that people do in a case, or to its patient, stands in the audit; what the networks do is seen by its counts.
    Times that are told ("5 min ago") age by the minute. Of a blinded reader's page only what they may see counts, for a
    page that changes whenever colleagues decide would tell that they do.
    """
    case = blinding.marked(visible(Case.objects.all(), request.actor), request.actor).filter(pk=case_id).first()
    if case is None:
        return None
    states = Analysis.objects.filter(image__case=case).order_by("state").values_list("state").annotate(n=Count("id"))
    draft = ReportDraft.objects.filter(case=case).values_list("revision", "updated_at")
    by_people = () if case.blinded else (case.assessed_at, draft.first())
    facts = (
        request.actor.user.pk,
        sorted(request.actor.roles),
        request.get_full_path(),
        request.COOKIES.get(SORT_COOKIE),
        case.blinded,
        by_people,
        case.held_by_id,
        case.images.count(),
        list(states),
        audit.history(case).values_list("pk").first(),
        watching.workers_seen() > 0,
        timezone.now().replace(second=0, microsecond=0),
    )
    return f'"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}"'


@require_safe
@page(Action.READ_CASES)
@condition(etag_func=_version)
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
        "poll": POLL if waiting else WATCH,
        "no_worker": bool(waiting) and not watching.workers_seen(),
        "history": history,
        "clinical": clinical.card(found, rows),
        "second": opinions.card(request, found),
        "gallery": gallery_part(request, found, rows),
        "way": way(request, found),
        "report": report_part(request, found, rows),
    }
