"""One image: what both networks see in it, and what a person decides."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Exists, OuterRef
from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis import audit, intake, queue, review, worklist
from diagnosis.models import Decision, SmearImage
from diagnosis.web.cases import POLL
from diagnosis.web.forms import DecisionForm, KindForm
from mlcore.bundle import TASKS


def _row(request: PageRequest, image_id: int) -> worklist.ImageRow:
    try:
        return worklist.image_page(actor=request.actor, image_id=image_id)
    except SmearImage.DoesNotExist as missing:
        raise Http404("No such image in this laboratory.") from missing


@require_safe
@page(Action.READ_CASES)
def image(request: PageRequest, image_id: int) -> HttpResponseBase:
    """The picture, the opinions, the decision, and the way to its neighbours; `?live` gives what still changes."""
    row = _row(request, image_id)
    if "live" in request.GET:
        return render(request, "diagnosis/_image_live.html", image_context(row) | _neighbours(row))
    audit.record_read(actor=request.actor, case=row.image.case, subject=f"image {row.image.pk}")
    return render(request, "diagnosis/image.html", image_context(row) | _neighbours(row))


def image_context(row: worklist.ImageRow) -> dict[str, Any]:
    """What the page and its decision part show of one image."""
    opinions = [_opinion(analysis) for analysis in row.analyses]
    waiting = row.status in ("queued", "running")
    return {
        "row": row,
        "image": row.image,
        "case": row.image.case,
        "opinions": opinions,
        "maps": [opinion for opinion in opinions if opinion["ranked"]],
        "warnings": [*(row.reading.warnings if row.reading else ()), *row.image.quality.get("warnings", ())],
        "poll": POLL if waiting else 0,
        "no_worker": waiting and not queue.counts().workers_seen,
        "labels": TASKS[row.image.kind],
        "decisions": list(row.image.decisions.select_related("decided_by")),
    }


def _opinion(analysis: Any) -> dict[str, Any]:
    """One analysis for the page: classes by falling probability."""
    ranked = sorted((analysis.probabilities or {}).items(), key=lambda item: (-item[1], item[0]))
    return {"analysis": analysis, "release": analysis.release, "ranked": ranked, "top": ranked[0][0] if ranked else ""}


def _neighbours(row: worklist.ImageRow) -> dict[str, Any]:
    """Where the image stands in its case, the images beside it, and the next one that nobody has decided on."""
    nobody = ~Exists(Decision.objects.filter(image=OuterRef("pk")))
    siblings = list(row.image.case.images.order_by("id").values_list("pk", nobody))
    ids = [pk for pk, _ in siblings]
    at = ids.index(row.image.pk)
    undecided = [pk for pk, is_open in siblings[at + 1 :] + siblings[:at] if is_open]
    return {
        "number": at + 1,
        "total": len(ids),
        "previous": ids[at - 1] if at else None,
        "following": ids[at + 1] if at + 1 < len(ids) else None,
        "next_undecided": undecided[0] if undecided else None,
    }


@require_POST
@page(Action.DECIDE)
def image_decide(request: PageRequest, image_id: int) -> HttpResponseBase:
    """Store what the person decided, at once; or say in words why it is not stored."""
    row = _row(request, image_id)
    form = DecisionForm(request.POST)
    problem, conflict = "", False
    if form.is_valid():
        try:
            review.decide(
                actor=request.actor,
                image=row.image,
                verdict=form.cleaned_data["verdict"],
                label=form.class_meant(),
                comment=form.cleaned_data["comment"],
                expected_decision=form.cleaned_data["expected_decision"],
            )
        except review.ReviewConflict as newer:
            problem, conflict = str(newer), True
        except review.ReviewRefused as refused:
            problem = str(refused)
    else:
        problem = "Choose to agree, or a class to override with. A comment holds at most 4,000 characters."
    if not request.headers.get("HX-Request"):
        if problem:
            messages.error(request, f"Not saved. {problem}")
        return redirect("image", image_id=row.image.pk)
    row = _row(request, image_id)
    context = image_context(row) | _neighbours(row)
    context |= {"problem": problem, "conflict": conflict, "saved": not problem, "typed": request.POST}
    return render(request, "diagnosis/_decision.html", context, status=409 if conflict else 422 if problem else 200)


@require_POST
@page(Action.RETRY_ANALYSIS)
def image_retry(request: PageRequest, image_id: int) -> HttpResponseBase:
    """Put the failed analyses of an image back into the queue."""
    row = _row(request, image_id)
    again = queue.retry(actor=request.actor, image=row.image)
    if again:
        messages.success(request, f"{row.image.original_name} is waiting to be read again.")
    else:
        messages.info(request, f"Nothing to retry: no reading of {row.image.original_name} has failed.")
    if request.POST.get("back") == "case":
        return redirect("case", case_id=row.image.case_id)
    return redirect("image", image_id=row.image.pk)


@require_POST
@page(Action.CORRECT_KIND)
def image_kind(request: PageRequest, image_id: int) -> HttpResponseBase:
    """Correct what kind of picture this is; the networks of that kind then read it."""
    row = _row(request, image_id)
    form = KindForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose one of the two kinds: field or single cell.")
    elif form.cleaned_data["kind"] != row.image.kind:
        intake.correct_kind(actor=request.actor, image=row.image, kind=form.cleaned_data["kind"])
        kind = SmearImage.Kind(form.cleaned_data["kind"]).label.lower()
        messages.success(request, f"This image is a {kind} now and is being read as one.")
    return redirect("image", image_id=row.image.pk)
