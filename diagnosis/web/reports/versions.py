"""Signed versions: every one stays readable, and says at once whether it is the current one."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis import audit, signout
from diagnosis.models import Case, Report
from diagnosis.reporting import changes
from diagnosis.reporting.canonical import code_shown
from diagnosis.reporting.content import verified
from diagnosis.reporting.pdf import PROOFS, addenda_shown, born
from diagnosis.web.lists import redirect_along
from diagnosis.web.reports.drafts import case_of


@require_safe
@page(Action.READ_CASES)
def current(request: PageRequest, case_id: int) -> HttpResponseBase:
    """To the version that stands; to the case where none does."""
    case = case_of(request, case_id)
    if not case.report_version:
        return redirect_along(request, "case", case.pk)
    return redirect_along(request, "report", case.pk, case.report_version)


@require_safe
@page(Action.READ_CASES)
def version(request: PageRequest, case_id: int, version: int) -> HttpResponseBase:
    """One signed version as a page that prints well, with what it changed and the versions beside it."""
    case = case_of(request, case_id)
    versions = list(case.reports.select_related("signed_by").defer("pdf").order_by("-version"))
    report = next((each for each in versions if each.version == version), None)
    if report is None:
        raise Http404("No such version of this report.")
    audit.record_read(actor=request.actor, case=case, subject=f"report {report.version}")
    before = next((each for each in versions if each.version == version - 1), None)
    context = {
        "case": case,
        "report": report,
        "c": {**report.content, "addenda": addenda_shown(report.content)},
        "born": born(report.content),
        "proof": PROOFS.get(report.signed_with, report.signed_with),
        "code": code_shown(report.content_hash),
        "versions": versions,
        "newest": versions[0],
        "changes": changes.changes(before.content, report.content) if before else [],
        "before": before,
        "intact": verified(report),
        "arrived": signout.arrived_since(case, report) if report is versions[0] and case.is_closed else [],
        "numbers": _numbers(case),
    }
    return render(request, "reports/report.html", context)


@require_safe
@page(Action.READ_CASES)
def document(request: PageRequest, case_id: int, version: int) -> HttpResponseBase:
    """The PDF as it was signed, byte for byte."""
    case = case_of(request, case_id)
    report = Report.objects.filter(case=case, version=version).defer("content").first()
    if report is None:
        raise Http404("No such version of this report.")
    audit.record_read(actor=request.actor, case=case, subject=f"report {report.version}")
    response = HttpResponse(bytes(report.pdf), content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="leukolens-report-{case.pk}-v{report.version}.pdf"'
    return response


def _numbers(case: Case) -> dict[int, int]:
    return {pk: number for number, pk in enumerate(case.images.order_by("id").values_list("pk", flat=True), start=1)}
