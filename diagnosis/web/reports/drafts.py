"""The draft is saved as it is typed; without scripts by a button."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis import audit, signout, worklist
from diagnosis.blinding import refuse_blinded
from diagnosis.models import Case, ReportDraft
from diagnosis.signout import DraftConflict, SignoutRefused
from diagnosis.signout.drafting import MOST_KEY_IMAGES
from diagnosis.vocabulary import DIAGNOSES
from diagnosis.web.lists import redirect_along
from diagnosis.web.reports.part import report_part


def case_of(request: PageRequest, case_id: int) -> Case:
    """The case, if the actor may see what people wrote of it; 404 for another laboratory's, 403 for the blinded."""
    try:
        case = worklist.case_page(actor=request.actor, case_id=case_id)
    except Case.DoesNotExist as missing:
        raise Http404("No such case in this laboratory.") from missing
    refuse_blinded(actor=request.actor, case=case)
    return case


def posted_images(request: PageRequest) -> list[int]:
    """Ticked one by one, or as the draft's form keeps them: "12,15"."""
    sent = ",".join(request.POST.getlist("key_images")).split(",")
    return [int(pk) for pk in sent if pk.isdecimal() and len(pk) < 19]


def posted_revision(request: PageRequest) -> int:
    revision = request.POST.get("revision", "")
    return int(revision) if revision.isdecimal() and len(revision) < 10 else -1


@require_POST
@page(Action.SIGN)
def save(request: PageRequest, case_id: int) -> HttpResponseBase:
    """Store what is in the form. A script gets JSON: `{"revision", "at", "missing"}`, the last as HTML; 409 with
    `current`, what somebody else has stored; 422 with what does not fit and its `field`."""
    case = case_of(request, case_id)
    scripted = bool(request.headers.get("X-Requested-With"))
    fields: dict[str, Any] = {
        name: request.POST[name] for name in ("diagnosis", "diagnosis_text", "comment") if name in request.POST
    }
    if "key_images" in request.POST:
        fields["key_images"] = posted_images(request)
    try:
        draft = signout.save_draft(actor=request.actor, case=case, expected_revision=posted_revision(request), **fields)
    except DraftConflict as conflict:
        if scripted:
            return JsonResponse({"detail": str(conflict), "current": _told(conflict.current)}, status=409)
        return _both(request, case, conflict)
    except SignoutRefused as refused:
        if scripted:
            return JsonResponse({"detail": str(refused), "field": refused.field, "code": refused.code}, status=422)
        messages.error(request, f"Not saved. {refused}")
        return redirect_along(request, "case", case.pk)
    if not scripted:
        messages.success(request, "The draft is saved.")
        return redirect_along(request, "case", case.pk)
    found = case_of(request, case_id)
    context = {"report": report_part(request, found, worklist.images(found)), "case": found}
    missing = render_to_string("diagnosis/_report_missing.html", context, request)
    return JsonResponse({"revision": draft.revision, "at": f"{timezone.localtime():%H:%M}", "missing": missing})


def _both(request: PageRequest, case: Case, conflict: DraftConflict) -> HttpResponseBase:
    """Both drafts, side by side, for whoever has no script; choosing one sends it with the revision that stands."""
    typed = {name: request.POST.get(name, "") for name in ("diagnosis", "diagnosis_text", "comment")}
    context = {
        "case": case,
        "problem": str(conflict),
        "current": conflict.current,
        "current_diagnosis": DIAGNOSES.get(conflict.current.diagnosis),
        "typed": typed,
        "typed_diagnosis": DIAGNOSES.get(typed["diagnosis"]),
    }
    return render(request, "reports/draft_conflict.html", context, status=409)


def _told(draft: ReportDraft) -> dict[str, Any]:
    entry = DIAGNOSES.get(draft.diagnosis)
    return {
        "revision": draft.revision,
        "diagnosis": draft.diagnosis,
        "diagnosis_shown": entry.shown if entry else "none chosen",
        "diagnosis_text": draft.diagnosis_text,
        "comment": draft.comment,
        "key_images": ",".join(map(str, draft.key_images)),
        "by": str(draft.updated_by),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.SIGN)
def key_images(request: PageRequest, case_id: int) -> HttpResponseBase:
    """All images of the case, to choose those that the report shows."""
    case = case_of(request, case_id)
    draft, problem, status = signout.draft_of(case), "", 200
    chosen = draft.key_images
    if request.method == "POST":
        wanted = posted_images(request)
        # Those that were chosen before keep their places, new ones come after them.
        chosen = [pk for pk in draft.key_images if pk in wanted] + [pk for pk in wanted if pk not in draft.key_images]
        try:
            signout.save_draft(
                actor=request.actor, case=case, expected_revision=posted_revision(request), key_images=chosen
            )
        except DraftConflict as conflict:
            problem, status, draft = f"{conflict} Your choice is kept below: save it again.", 409, conflict.current
        except SignoutRefused as refused:
            problem, status = str(refused), 422
        else:
            messages.success(request, f"{len(chosen)} key image{'' if len(chosen) == 1 else 's'} chosen.")
            return redirect_along(request, "case", case.pk)
    else:
        audit.record_read(actor=request.actor, case=case)
    context = {
        "case": case,
        "draft": draft,
        "rows": worklist.images(case),
        "chosen": set(chosen),
        "problem": problem,
        "most": MOST_KEY_IMAGES,
    }
    return render(request, "reports/key_images.html", context, status=status)
