"""What is known of a case beside its images: the card on the case page, and the pages on which it is edited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import messages
from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis import audit, clinic, clinical, clinical_hints, worklist
from diagnosis.models import Case, ClinicalData, Patient
from diagnosis.vocabulary import CYTOGENETICS, MARKER_STATES, MARKERS
from diagnosis.web.clinical_forms import ClinicalForm, PatientForm, RequestForm, SeenForm
from diagnosis.web.lists import redirect_along

_LABELS = {
    "counted_on": "Date of the blood count",
    **{name: f"{what.name}, {what.unit}" for name, what in clinical.QUANTITIES.items()},
    "cytogenetics": "Cytogenetics",
    "cytogenetics_text": "Cytogenetics in words",
    "immunophenotype": "Immunophenotype",
    "immunophenotype_text": "Immunophenotype in words",
}


def card(case: Case, rows: Sequence[worklist.ImageRow]) -> dict[str, Any]:
    """What the card of the case page shows. `rows`: the images as the person may see them; decisions that are hidden
    from them do not count here either."""
    data = clinical.of_case(case)
    on = data.counted_on or timezone.localdate(case.created_at)
    reviewed = [row.decision.label for row in rows if row.decision and row.image.kind == "cell" and row.decision.label]
    figures = clinical_hints.figures(data, case.patient, on=on)
    return {
        "data": data,
        "figures": figures,
        "no_range": clinical_hints.no_range_words(case.patient, on=on) if figures else "",
        "source": clinical_hints.RANGE_SOURCE,
        "findings": [CYTOGENETICS[code] for code in data.cytogenetics if code in CYTOGENETICS],
        "markers": _markers(data.immunophenotype),
        "remarks": clinical_hints.remarks(
            data, specimen=case.specimen, assessment=case.assessment or {}, reviewed=reviewed
        ),
        "after_signing": bool(data.revision and case.signed_at and data.updated_at > case.signed_at),
    }


def _markers(states: dict[str, str]) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """(lineage, [(marker, state, sign)]) of those that were tested."""
    groups = [
        (group, [(name, states[name], MARKER_STATES.get(states[name], "")) for name in names if name in states])
        for group, names in MARKERS.items()
    ]
    return [(group, tested) for group, tested in groups if tested]


def _case(request: PageRequest, case_id: int) -> Case:
    try:
        return worklist.case_page(actor=request.actor, case_id=case_id)
    except Case.DoesNotExist as missing:
        raise Http404("No such case in this laboratory.") from missing


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.EDIT_CLINICAL)
def case_clinical(request: PageRequest, case_id: int) -> HttpResponseBase:
    """Enter or change the clinical data of a case.

    422 with what is wrong beside each field, 409 with both versions where somebody saved meanwhile; what was typed
    stays in the form either way. `use` ("wbc:8.5") takes the value in the right unit that was offered.
    """
    case = _case(request, case_id)
    if request.method != "POST":
        audit.record_read(actor=request.actor, case=case)
        return _clinical_page(request, case, ClinicalForm.of(clinical.of_case(case)))
    sent = request.POST.copy()
    name, _, offered = sent.get("use", "").partition(":")
    if name in clinical.QUANTITIES:
        sent[name] = offered
    form = ClinicalForm(sent)
    if not form.is_valid():
        return _clinical_page(request, case, form, status=422)
    values = form.values()
    try:
        clinical.save(
            actor=request.actor,
            case=case,
            expected_revision=form.cleaned_data["revision"],
            confirmed=form.confirmed(),
            **values,
        )
    except clinical.ClinicalConflict as conflict:
        form.data["revision"] = str(conflict.current.revision)  # type: ignore[index]
        both = {"message": str(conflict), "rows": _differences(conflict.current, values)}
        return _clinical_page(request, case, form, status=409, values=values, conflict=both)
    except clinical.ClinicalError:
        questions = clinical.problems(case, confirmed=form.confirmed(), **values)
        for question in questions:
            form.add_error(question.field if question.field in form.fields else None, question.message)
        return _clinical_page(request, case, form, status=422, questions=questions, values=values)
    messages.success(request, "The clinical data are saved.")
    return redirect_along(request, "case", case.pk)


def _clinical_page(
    request: PageRequest,
    case: Case,
    form: ClinicalForm,
    *,
    status: int = 200,
    questions: Sequence[clinical.ClinicalError] = (),
    values: dict[str, Any] | None = None,
    conflict: dict[str, Any] | None = None,
) -> HttpResponseBase:
    asked = {question.field: question for question in questions}
    confirmed = form.confirmed() if values else set()
    figures = []
    for bound in form.figures():
        what, question = clinical.QUANTITIES[bound.name], asked.get(bound.name)
        entered = (values or {}).get(bound.name)
        sure = f"{bound.name}:{entered}"  # what a confirmation of this value says
        figures.append(
            {
                "bound": bound,
                "unit": what.unit,
                "offer": question.offer if question else None,
                "rare": sure if question and question.code == "rare" else "",
                "entered": f"{clinical.shown(entered)} {what.unit}" if question and entered is not None else "",
                "confirmed": sure if bound.name in confirmed else "",
            }
        )
    context = {"case": case, "form": form, "figures": figures, "conflict": conflict}
    return render(request, "diagnosis/case_clinical.html", context, status=status)


def _differences(stands: ClinicalData, typed: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(label, what stands, what was typed) of each field in which the two differ."""
    return [
        (_LABELS[name], _shown(name, getattr(stands, name)), _shown(name, value))
        for name, value in typed.items()
        if value != getattr(stands, name)
    ]


def _shown(name: str, value: Any) -> str:
    if name == "counted_on" and value:
        return f"{value:%d %B %Y}"
    if name == "cytogenetics":
        return "; ".join(CYTOGENETICS.get(code, code) for code in value) or "empty"
    if name == "immunophenotype":
        return ", ".join(f"{marker} {MARKER_STATES.get(state, state)}" for marker, state in value.items()) or "empty"
    if isinstance(value, float):
        return clinical.shown(value)
    return "empty" if value in (None, "") else str(value)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.EDIT_CASE)
def case_edit(request: PageRequest, case_id: int) -> HttpResponseBase:
    """Change what was asked for: priority, question, specimen, stain, requester."""
    case = _case(request, case_id)

    def save(form: SeenForm) -> None:
        clinic.update_case(actor=request.actor, case=case, seen=form.seen_values(), **form.values())

    return _edit(request, case, case, RequestForm, save, template="diagnosis/case_edit.html", done="The case is saved.")


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.EDIT_PATIENT)
def patient_edit(request: PageRequest, case_id: int) -> HttpResponseBase:
    """Correct the record of a case's patient, for all of their cases."""
    case = _case(request, case_id)

    def save(form: SeenForm) -> None:
        clinic.update_patient(actor=request.actor, patient=case.patient, seen=form.seen_values(), **form.values())

    return _edit(
        request, case, case.patient, PatientForm, save,
        template="diagnosis/patient_edit.html", done="The patient's record is saved.",
    )  # fmt: skip


def _edit(
    request: PageRequest,
    case: Case,
    record: Case | Patient,
    form_class: type[SeenForm],
    save: Callable[[SeenForm], None],
    *,
    template: str,
    done: str,
) -> HttpResponseBase:
    """Show the form of `record`, or save it and go back to the case; what was typed stays whatever happens."""
    if request.method != "POST":
        return render(request, template, {"case": case, "form": form_class.of(record)})
    form, status = form_class(request.POST), 422
    context: dict[str, Any] = {"case": case, "form": form}
    if form.is_valid():
        try:
            save(form)
        except clinic.ClinicConflict as conflict:
            context["conflict"] = {"message": str(conflict), "rows": form.differences(conflict.record)}
            form.look_again(conflict.record)
            status = 409
        except clinic.ClinicError as refused:
            form.refuse(refused)
        else:
            messages.success(request, done)
            return redirect_along(request, "case", case.pk)
    return render(request, template, context, status=status)
