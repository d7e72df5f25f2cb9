"""The form that opens a case."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.doors import PageRequest, page
from accounts.permissions import Action, visible
from diagnosis import clinic
from diagnosis.models import Patient
from diagnosis.web.forms import CaseForm


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.CREATE_CASE)
def case_new(request: PageRequest) -> HttpResponseBase:
    """Show the form; a sent one becomes a case, or comes back with every word kept and what to do beside the field."""
    form = CaseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            case = clinic.create_case(actor=request.actor, patient=form.patient(), **form.case_fields())
        except clinic.ClinicError as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"Case {case} is open. Bring its images below.")
            return redirect("case", case_id=case.pk)
    known = _known(request, request.POST.get("mrn", ""))
    context = {"form": form, "known": known}
    return render(request, "diagnosis/case_new.html", context, status=422 if form.errors else 200)


@require_safe
@page(Action.CREATE_CASE)
def case_patient(request: PageRequest) -> HttpResponse:
    """The patient's fields, filled in for a medical record number that the laboratory knows.

    What the person has typed already and the record lacks stays; for an unknown number nothing is swapped (204).
    """
    known = _known(request, request.GET.get("mrn", ""))
    if known is None and "was_known" not in request.GET:
        return HttpResponse(status=204)
    typed = {name: request.GET.get(name, "") for name in CaseForm.PATIENT_FIELDS}
    recorded = {}
    if known:
        recorded = {
            "name": known.name,
            "birth_date": known.birth_date.isoformat() if known.birth_date else "",
            "sex": "" if known.sex == Patient.Sex.UNKNOWN else known.sex,
            "clinical_notes": known.clinical_notes,
        }
    elif "was_known" in request.GET:
        typed = {"mrn": typed["mrn"]}  # those were the other patient's data
    form = CaseForm(initial=typed | {name: value for name, value in recorded.items() if value})
    return render(request, "diagnosis/_patient_fields.html", {"form": form, "known": known})


def _known(request: PageRequest, mrn: str) -> Patient | None:
    mrn = mrn.strip()
    return visible(Patient.objects.all(), request.actor).filter(mrn__iexact=mrn).first() if mrn else None
