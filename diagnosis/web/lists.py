"""The worklist, the views that people save of it, and holding a case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis import holding, listing, saved_views, watching
from diagnosis.assessment.words import FLAG_WORDS
from diagnosis.listing import Filter
from diagnosis.models import Case, SavedView

POLL = 1500  # ms between looks while something is being read
CALM_POLL = 30_000  # and otherwise: colleagues claim and sign, and time runs
#: The colour of a tile's number where it is not nought.
TONES = {"urgent": "alarm", "late": "alarm", "second": "doubt"}


@require_safe
@page(Action.READ_CASES)
def case_list(request: PageRequest) -> HttpResponseBase:
    """The worklist. htmx asks for the list alone, the live refresh for the rows it shows (`?rows=1,2`)."""
    chosen = Filter.read(request.GET)
    if "rows" in request.GET:
        ids = [int(part) for part in request.GET["rows"].split(",") if part.isdecimal()][: listing.PAGE_SIZE]
        cases = listing.named(actor=request.actor, ids=[pk for pk in ids if pk < 2**63])
        return render(request, "diagnosis/_list_live.html", _list(request, chosen, cases))
    shown = listing.page(
        actor=request.actor, chosen=chosen, after=_key(request, "after"), before=_key(request, "before")
    )
    context = _list(request, chosen, shown.cases) | {"shown": shown, "saved": saved_views.of(request.actor)}
    context |= {"last": shown.cases[-1] if shown.cases else None, "everywhere": list_url(chosen.but(view="all"))}
    alone = bool(request.headers.get("HX-Request"))
    if not alone:
        context |= {"statuses": Case.Status.choices, "flags": FLAG_WORDS.items()}
    response = render(request, "diagnosis/_list.html" if alone else "diagnosis/case_list.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_POST
@page(Action.HOLD_CASE)
def case_claim(request: PageRequest, case_id: int) -> HttpResponseBase:
    """Claim a case, or with `take_over` take it from the colleague who holds it; back to where one came from."""
    with _told(request):
        holding.claim(actor=request.actor, case=Case(pk=case_id), take_over="take_over" in request.POST)
    return _back(request, case_id)


@require_POST
@page(Action.HOLD_CASE)
def case_release(request: PageRequest, case_id: int) -> HttpResponseBase:
    with _told(request):
        holding.release(actor=request.actor, case=Case(pk=case_id))
    return _back(request, case_id)


@require_POST
@page(Action.HOLD_CASE)
def case_next(request: PageRequest) -> HttpResponseBase:
    """Claim the case that is most due and open it."""
    case = holding.take_next(actor=request.actor)
    if case is None:
        messages.info(request, "Nothing waits: no case that is ready for review is free.")
        return redirect("case-list")
    return redirect(case_url(case, Filter(view="mine")))


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.READ_CASES)
def view_list(request: PageRequest) -> HttpResponseBase:
    """The person's saved views, to rename and delete; POST saves another one and shows the list it stands for."""
    if request.method != "POST":
        return render(request, "diagnosis/views.html", {"saved": saved_views.of(request.actor)})
    chosen = Filter.parse(request.POST.get("from", ""))
    name = request.POST.get("name", "")
    try:
        view = saved_views.save(actor=request.actor, name=name, chosen=chosen)
    except saved_views.ViewRefused as refused:
        context = {"saved": saved_views.of(request.actor), "refused": refused, "name": name, "chosen": chosen}
        return render(request, "diagnosis/views.html", context, status=422)
    messages.success(request, f"Saved as “{view.name}”.")
    return redirect(list_url(chosen))


@require_POST
@page(Action.READ_CASES)
def view_rename(request: PageRequest, view_id: int) -> HttpResponseBase:
    name = request.POST.get("name", "")
    try:
        saved_views.rename(actor=request.actor, view_id=view_id, name=name)
    except SavedView.DoesNotExist as gone:
        raise Http404("No such view of yours.") from gone
    except saved_views.ViewRefused as refused:
        context = {"saved": saved_views.of(request.actor), "refused": refused, "name": name, "refused_id": view_id}
        return render(request, "diagnosis/views.html", context, status=422)
    return redirect("view-list")


@require_POST
@page(Action.READ_CASES)
def view_delete(request: PageRequest, view_id: int) -> HttpResponseBase:
    saved_views.delete(actor=request.actor, view_id=view_id)
    return redirect("view-list")


def list_url(chosen: Filter) -> str:
    return reverse("case-list") + (f"?{chosen.query}" if chosen.query else "")


def case_url(case: Case, chosen: Filter) -> str:
    """The case's page, which knows the list that it was opened from."""
    return reverse("case", args=[case.pk]) + (f"?{urlencode({'from': chosen.short})}" if chosen.short else "")


def image_url(request: HttpRequest, image: int) -> str:
    """The image's page, with the list that its case was opened from."""
    return reverse("image", args=[image]) + along(request)


def along(request: HttpRequest, sign: str = "?") -> str:
    """The list that a page of the case was opened from, as the end of an address, "" for none."""
    short = Filter.parse(request.GET.get("from", "")).short
    return f"{sign}{urlencode({'from': short})}" if short else ""


def redirect_along(request: HttpRequest, name: str, *ids: int) -> HttpResponseRedirect:
    """To a page of the case, which still knows the list that the case was opened from."""
    return HttpResponseRedirect(reverse(name, args=ids) + along(request))


def way(request: PageRequest, case: Case) -> dict[str, Any]:
    """Where the case was opened from, and the cases before and behind it there."""
    chosen = Filter.parse(request.GET.get("from", ""))
    before, behind = listing.neighbours(actor=request.actor, chosen=chosen, case=case)
    return {
        "from": chosen.short,
        "list_url": list_url(chosen),
        "before": before and {"case": before, "url": case_url(before, chosen)},
        "behind": behind and {"case": behind, "url": case_url(behind, chosen)},
    }


def _list(request: PageRequest, chosen: Filter, cases: list[Case]) -> dict[str, Any]:
    """What the list and its live refresh share."""
    reading = any(case.status == Case.Status.READING for case in cases)
    counts = listing.counts(actor=request.actor)
    return {
        "chosen": chosen,
        "tiles": [
            {
                "key": key,
                "title": title,
                "count": counts.get(key),
                "tone": TONES.get(key, "") if counts.get(key) else "",
                "pressed": key == chosen.shown,
                "url": list_url(chosen.but(view=key, status="")),
            }
            for key, title in listing.VIEWS.items()
        ],
        "cases": cases,
        "opinions": listing.opinions(actor=request.actor, cases=cases),
        "rows": ",".join(str(case.pk) for case in cases),
        "poll": POLL if reading else CALM_POLL if cases else 0,
        "no_worker": reading and not watching.workers_seen(),
    }


@contextmanager
def _told(request: HttpRequest) -> Iterator[None]:
    """Within it, a refusal to hold or release becomes a message, and a case that is not there a 404."""
    try:
        yield
    except Case.DoesNotExist as missing:
        raise Http404("No such case in this laboratory.") from missing
    except holding.HoldRefused as refused:
        messages.error(request, str(refused))


def _back(request: PageRequest, case_id: int) -> HttpResponse:
    """To the case, or with `back` "list" to the list, as it was."""
    chosen = Filter.parse(request.POST.get("from", ""))
    return redirect(list_url(chosen) if request.POST.get("back") == "list" else case_url(Case(pk=case_id), chosen))


def _key(request: PageRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else None
