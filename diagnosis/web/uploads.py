"""Files arrive on the case page: one a request from the script, several at once from the plain form."""

from __future__ import annotations

from typing import Any

from django.http import Http404, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_POST

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis import intake, worklist
from diagnosis.models import Case, SmearImage
from diagnosis.web.forms import UploadForm
from diagnosis.web.lists import image_url

WORDS = {"accepted": "Accepted", "duplicate": "Already in this case", "rejected": "Not accepted"}


@require_POST
@page(Action.UPLOAD_IMAGE)
def case_upload(request: PageRequest, case_id: int) -> HttpResponseBase:
    """Every file of the request ends as exactly one outcome, whatever became of its neighbours.

    Answers JSON to a script that asks for it (`{"outcomes": [{"name", "status", "words", "reason", "url"}]}`), else
    a page that lists them.
    """
    try:
        case = worklist.case_page(actor=request.actor, case_id=case_id)
    except Case.DoesNotExist as missing:
        raise Http404("No such case in this laboratory.") from missing
    as_json = "application/json" in request.headers.get("Accept", "")
    form, files = UploadForm(request.POST), request.FILES.getlist("files")
    problem = ""
    if not form.is_valid():
        problem = "µm per pixel has to be a number between 0.001 and 100, or empty where it is not known."
    elif not files:
        problem = "No file arrived. Choose one or more images and upload again."
    if problem:
        if as_json:
            return JsonResponse({"detail": problem}, status=422)
        context = {"case": case, "problem": problem, "outcomes": []}
        return render(request, "diagnosis/case_upload.html", context, status=422)

    outcomes = [
        _told(
            request,
            file.name or "unnamed",
            intake.receive_image(
                actor=request.actor,
                case=case,
                data=file,
                name=file.name or "unnamed",
                kind=form.cleaned_data["kind"] or None,
                um_per_pixel=form.cleaned_data["um_per_pixel"],
                via=SmearImage.Via.PAGE,
            ),
        )
        for file in files
    ]
    if as_json:
        return JsonResponse({"outcomes": outcomes})
    return render(request, "diagnosis/case_upload.html", {"case": case, "outcomes": outcomes})


def _told(request: PageRequest, name: str, outcome: intake.Outcome) -> dict[str, Any]:
    return {
        "name": name,
        "status": outcome.status,
        "words": WORDS[outcome.status],
        "reason": outcome.reason,
        "url": image_url(request, outcome.image.pk) if outcome.image else "",
    }
