"""Labels for the slides of one case, of a batch, or of cases picked from the worklist."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis.labels import choosing, printing
from diagnosis.labels.layout import LabelRefused
from diagnosis.labels.settings import SettingsChanged, save_settings, settings_of
from diagnosis.labels.stock import MEASURES, StockError, stocks
from diagnosis.models import Batch, Case
from diagnosis.web.labels.forms import LabelForm, SettingsForm

_FRESH = {"stock": "22x15", "code": "qr", "stain": printing.OF_CASE, "first": 1, "smears": 1, "copies": 1, "start": 1}
_KEPT = ("stock", "code")
SESSION = "labels"  # what this person printed on last, and where its sheet goes on


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.READ_CASES)
def labels(request: PageRequest) -> HttpResponseBase:
    """Offers the cases of the address (`case`, several times, or `batch`; with `pick` none of them is ticked yet);
    POST answers the PDF."""
    batch, cases = _offered(request)
    known = stocks(settings_of(request.actor.laboratory).sheet)
    initial = _FRESH | request.session.get(SESSION, {})
    sent = request.POST if request.method == "POST" else None
    form = LabelForm(sent, stocks=known, initial=initial)
    ticked = _numbers(sent.getlist("ticked")) if sent else [] if "pick" in request.GET else [case.pk for case in cases]
    problem = ""
    if sent is not None and form.is_valid():
        order = printing.Order(**form.cleaned_data)
        order = order if known[order.stock].is_sheet else printing.Order(**form.cleaned_data | {"start": 1})
        try:
            chosen = [case for case in cases if case.pk in ticked]
            done = printing.print_labels(actor=request.actor, cases=chosen, order=order)
        except LabelRefused as refused:
            if refused.field in form.fields:
                form.add_error(refused.field, str(refused))
            else:
                problem = str(refused)
        else:
            request.session[SESSION] = {name: getattr(order, name) for name in _KEPT} | {"start": done.following}
            return _pdf(done)
    context = {"form": form, "batch": batch, "cases": cases, "ticked": ticked, "problem": problem, "known": known}
    status = 422 if problem or form.errors else 200
    return render(request, "labels/labels.html", context, status=status)


def _pdf(done: printing.Printed) -> HttpResponse:
    response = HttpResponse(done.pdf, content_type="application/pdf")
    response["Content-Disposition"] = 'inline; filename="labels.pdf"'
    return response


def _offered(request: PageRequest) -> tuple[Batch | None, list[Case]]:
    if "batch" in request.GET:
        number = next(iter(_numbers([request.GET["batch"]])), 0)
        try:
            return choosing.of_batch(actor=request.actor, batch_id=number)
        except Batch.DoesNotExist as missing:
            raise Http404("No such batch in this laboratory.") from missing
    ids = _numbers(request.GET.getlist("case"))
    cases = choosing.named(actor=request.actor, ids=ids)
    if ids and not cases:
        raise Http404("No such case in this laboratory.")
    return None, cases


def _numbers(values: list[str]) -> list[int]:
    return [int(value) for value in values if value.isascii() and value.isdecimal() and len(value) < 18]


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.EDIT_LABORATORY)
def label_settings(request: PageRequest) -> HttpResponseBase:
    """Whether labels name the patient, and the laboratory's own sheet."""
    current = settings_of(request.actor.laboratory)
    initial = {"revision": current.revision, "with_name": current.with_name, **current.sheet}
    form, conflict = SettingsForm(request.POST or None, initial=initial), None
    if request.method == "POST" and form.is_valid():
        values: dict[str, Any] = form.cleaned_data
        try:
            save_settings(actor=request.actor, seen=values["revision"], with_name=values["with_name"], sheet=form.sheet)
        except SettingsChanged as changed:
            conflict = changed
            form = SettingsForm(request.POST.dict() | {"revision": changed.current.revision})
        except StockError as error:
            form.add_error(error.field or None, str(error))
        else:
            messages.success(request, "Saved. Labels that are printed from now on are so.")
            return redirect("label-settings")
    context = {"form": form, "conflict": conflict, "measures": [form[name] for name in MEASURES]}
    status = 409 if conflict else 422 if form.errors else 200
    return render(request, "labels/settings.html", context, status=status)
