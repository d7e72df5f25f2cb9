"""Signing: what exactly, by whom, and what comes after a signed version."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import confirming
from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis import audit, signout
from diagnosis.models import Case, Report
from diagnosis.reporting import changes
from diagnosis.reporting.canonical import section_hashes
from diagnosis.reporting.pdf import born
from diagnosis.signout import NotReady, PreviewChanged, Proposal, SignoutRefused
from diagnosis.web.lists import redirect_along
from diagnosis.web.reports.drafts import case_of

#: Kind → the fields of its form.
FIELDS = {
    Report.Kind.ADDENDUM: ("reason", "addendum"),
    Report.Kind.CORRECTION: ("reason", "diagnosis_text", "comment"),
}


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.SIGN)
def sign(request: PageRequest, case_id: int) -> HttpResponseBase:
    """The preview of the draft as a report; a POST signs what the preview showed."""
    case = case_of(request, case_id)
    if request.method != "POST":
        audit.record_read(actor=request.actor, case=case)
    if case.is_closed and request.method != "POST":
        messages.info(request, f"{case} is signed already.")
        return redirect_along(request, "case-report", case.pk)
    return _page(request, case, signout.proposal_of(case), {})


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.SIGN)
def addendum(request: PageRequest, case_id: int) -> HttpResponseBase:
    """Add something to a signed report; all else stands."""
    return _change(request, case_id, Report.Kind.ADDENDUM)


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.SIGN)
def correction(request: PageRequest, case_id: int) -> HttpResponseBase:
    """Mend a slip of the pen; patient, case and laboratory are read afresh from their records."""
    return _change(request, case_id, Report.Kind.CORRECTION)


def _change(request: PageRequest, case_id: int, kind: Report.Kind) -> HttpResponseBase:
    """The form of an addendum or a correction, then its preview, then its signature.

    What was typed waits in the session, so that confirming by a passkey on another page loses nothing.
    """
    case = case_of(request, case_id)
    newest = case.reports.defer("pdf").order_by("-version").first()
    if newest is None or case.amending:
        messages.error(request, f"{case} has no signed report that could be changed so.")
        return redirect_along(request, "case", case.pk)
    key = f"report-{kind}-{case.pk}"
    typed: dict[str, str] = request.session.get(key) or {
        "reason": "",
        "addendum": "",
        "diagnosis_text": newest.content["diagnosis"]["text"],
        "comment": newest.content["comment"],
    }
    if request.method == "POST" and "seen" not in request.POST:
        typed = {name: request.POST.get(name, "").replace("\r\n", "\n") for name in FIELDS[kind]}
        request.session[key] = typed
    elif key not in request.session:
        return _page(request, case, None, {"kind": kind, "typed": typed, "newest": newest})
    proposal = Proposal(kind, **{name: typed[name] for name in FIELDS[kind]})
    response = _page(request, case, proposal, {"kind": kind, "typed": typed, "newest": newest})
    if response.status_code == 302:
        request.session.pop(key, None)
    return response


def _page(request: PageRequest, case: Case, proposal: Proposal | None, context: dict[str, Any]) -> HttpResponse:
    """The preview with the form that signs it, or with what keeps it from being signed."""
    status = 200
    context |= {"case": case, "statement": "", "problem": ""}
    if request.method == "POST" and "seen" in request.POST and proposal:
        try:
            how = confirming.confirm(request, request.user, password=request.POST.get("password", ""))
            report = signout.sign(
                actor=request.actor,
                case=case,
                proposal=proposal,
                seen=_seen(request.POST["seen"]),
                signed_with=how,
                site=settings.PUBLIC_URL,
            )
        except confirming.NotConfirmed as unsure:
            context["unconfirmed"], status = str(unsure), 422
        except PreviewChanged as changed:
            context["changed"], status = changed, 409
        except NotReady:
            context["problem"], status = "Nothing was signed: the list says what is missing now.", 409
        except SignoutRefused as refused:
            context["problem"], status = f"Nothing was signed. {refused}", 409
        else:
            if how != "password":
                confirming.spend(request, request.user)
            messages.success(request, f"Signed: version {report.version} is the current report of {case}.")
            return redirect_along(request, "report", case.pk, report.version)
        case.refresh_from_db()
    if proposal:
        try:
            content = signout.preview(actor=request.actor, case=case, proposal=proposal)
        except SignoutRefused as refused:
            context["problem"] = context["problem"] or str(refused)
            context["refused"] = refused
            status = 409 if status == 200 and request.method == "POST" else status
        else:
            draft_made = proposal.kind in (Report.Kind.ORIGINAL, Report.Kind.AMENDMENT)
            context |= {
                "c": content,
                "born": born(content),
                "seen": json.dumps(section_hashes(content)),
                "gaps": signout.missing(case, actor=request.actor) if draft_made else [],
                "numbers": {image["id"]: number for number, image in enumerate(content["images"], start=1)},
                "ways": confirming.ways(request, request.user),
                "window": confirming.WINDOW // 60,
                "changes": _changes(case, content),
            }
    return render(request, "reports/sign.html", context | {"proposal": proposal}, status=status)


def _changes(case: Case, content: dict[str, Any]) -> list[changes.Change]:
    newest = case.reports.defer("pdf").order_by("-version").first()
    return changes.changes(newest.content, content) if newest else []


def _seen(text: str) -> dict[str, str]:
    """The section hashes of the preview; whatever else was sent matches nothing."""
    try:
        seen = json.loads(text)
    except ValueError:
        return {}
    return seen if isinstance(seen, dict) else {}


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.SIGN)
def change(request: PageRequest, case_id: int) -> HttpResponseBase:
    """The three ways to change a signed report; a POST opens the case for an amendment."""
    case = case_of(request, case_id)
    problem, reason = "", request.POST.get("reason", "")
    if request.method == "POST":
        try:
            signout.amend(actor=request.actor, case=case, reason=reason)
        except SignoutRefused as refused:
            problem = str(refused)
        else:
            messages.success(request, f"{case} is open again. The signed version stands until you sign the amendment.")
            return redirect_along(request, "case", case.pk)
    elif not case.is_closed:
        return redirect_along(request, "case", case.pk)
    newest = case.reports.defer("pdf", "content").select_related("signed_by").order_by("-version").first()
    context = {"case": case, "newest": newest, "problem": problem, "reason": reason}
    return render(request, "reports/change.html", context, status=422 if problem else 200)


@require_POST
@page(Action.SIGN)
def cancel(request: PageRequest, case_id: int) -> HttpResponseBase:
    """Close a case that was opened for an amendment, as it was signed."""
    case = case_of(request, case_id)
    try:
        signout.cancel_amendment(actor=request.actor, case=case)
    except SignoutRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"The amendment is cancelled: version {case.report_version} stands.")
    return redirect_along(request, "case", case.pk)
