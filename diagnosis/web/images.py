"""One image: what both networks see in it, and what a person decides."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis import audit, intake, queue, review, signout, watching, worklist
from diagnosis.blinding import refuse_blinded
from diagnosis.models import Decision, SmearImage
from diagnosis.web.forms import KindForm, ScaleForm
from diagnosis.web.lists import POLL, image_url, redirect_along
from mlcore.bundle import TASKS


def find_row(request: PageRequest, image_id: int) -> worklist.ImageRow:
    """The image with all that is said of it, or 404 for what the person's laboratory does not have."""
    try:
        return worklist.image_page(actor=request.actor, image_id=image_id)
    except SmearImage.DoesNotExist as missing:
        raise Http404("No such image in this laboratory.") from missing


@require_safe
@page(Action.READ_CASES)
def image(request: PageRequest, image_id: int) -> HttpResponseBase:
    """The picture, the opinions, the decision, and the way to its neighbours; `?live` gives what still changes."""
    row = find_row(request, image_id)
    if "live" in request.GET:
        return render(request, "diagnosis/_image_live.html", page_context(request, row))
    audit.record_read(actor=request.actor, case=row.image.case, subject=f"image {row.image.pk}")
    return render(request, "diagnosis/image.html", page_context(request, row))


def page_context(request: PageRequest, row: worklist.ImageRow) -> dict[str, Any]:
    """All that the image's page and its live parts show."""
    return image_context(row) | _neighbours(row) | _decision_context(request, row) | _key_context(request, row)


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
        "no_worker": waiting and not watching.workers_seen(),
        "labels": TASKS[row.image.kind],
        "scale_words": _scale(row.image),
        "decisions": [] if row.image.case.blinded else list(row.image.decisions.select_related("decided_by")),
    }


def _scale(image: SmearImage) -> str:
    """The scale, and how large the picture is on the slide: "0.102 µm per pixel, 98 × 74 µm"."""
    um = image.um_per_pixel
    return f"{um:.4g} µm per pixel, {image.width * um:.0f} × {image.height * um:.0f} µm" if um else "not known"


def _opinion(analysis: Any) -> dict[str, Any]:
    """One analysis for the page: classes by falling probability."""
    ranked = sorted((analysis.probabilities or {}).items(), key=lambda item: (-item[1], item[0]))
    return {"analysis": analysis, "release": analysis.release, "ranked": ranked, "top": ranked[0][0] if ranked else ""}


def _neighbours(row: worklist.ImageRow) -> dict[str, Any]:
    """Where the image stands in its case, the images beside it, and the next one that nobody has decided on."""
    newest = Decision.objects.filter(image=OuterRef("pk")).order_by("-id").values("label")[:1]
    nobody = Coalesce(Subquery(newest), Value("")) if not row.image.case.blinded else Value("")
    found = row.image.case.images.order_by("id").annotate(said=nobody)
    siblings = [(pk, not said, um) for pk, said, um in found.values_list("pk", "said", "um_per_pixel")]
    ids = [pk for pk, _, _ in siblings]
    at = ids.index(row.image.pk)
    undecided = [pk for pk, is_open, _ in siblings[at + 1 :] + siblings[:at] if is_open]
    return {
        "number": at + 1,
        "total": len(ids),
        "previous": ids[at - 1] if at else None,
        "following": ids[at + 1] if at + 1 < len(ids) else None,
        "next_undecided": undecided[0] if undecided else None,
        "others_unscaled": sum(um is None for pk, _, um in siblings if pk != row.image.pk),
    }


def _decision_context(request: PageRequest, row: worklist.ImageRow) -> dict[str, Any]:
    """Whether the person may decide here, and which of their steps they can undo or redo, if it is about this image."""
    case = row.image.case
    may_decide = request.actor.may(Action.DECIDE) and not case.blinded
    if not may_decide or case.is_closed:
        return {"may_decide": may_decide and not case.is_closed, "is_signed": case.is_closed}
    steps = review.steps(actor=request.actor, case=case)
    here = {decision.step for decision in row.image.decisions.filter(decided_by=request.actor.user)}
    undo, redo = (next(iter(stack[-1:]), None) for stack in (steps.done, steps.undone))
    return {
        "may_decide": True,
        "undo_step": undo if undo in here else None,
        "redo_step": redo if redo in here else None,
    }


def _key_context(request: PageRequest, row: worklist.ImageRow) -> dict[str, Any]:
    """Whether the person may make the image a key image of the report, and whether it is one."""
    case = row.image.case
    if case.blinded or case.is_closed or not request.actor.may(Action.SIGN):
        return {}
    return {"may_choose_key": True, "is_key": row.image.pk in signout.draft_of(case).key_images}


@require_POST
@page(Action.SIGN)
def image_key(request: PageRequest, image_id: int) -> HttpResponseBase:
    """Make the image (`chosen` "1") a key image of the report's draft, or none any more ("0")."""
    row = find_row(request, image_id)
    refuse_blinded(actor=request.actor, case=row.image.case)
    problem, chosen = "", request.POST.get("chosen") == "1"
    try:
        signout.set_key_image(actor=request.actor, case=row.image.case, image=row.image.pk, chosen=chosen)
    except signout.SignoutRefused as refused:
        problem = str(refused)
    if not request.headers.get("HX-Request"):
        if problem:
            messages.error(request, f"Not saved. {problem}")
        return redirect(image_url(request, row.image.pk))
    context = page_context(request, find_row(request, image_id)) | {"key_problem": problem}
    return render(request, "diagnosis/_key_image.html", context, status=422 if problem else 200)


@require_POST
@page(Action.UPLOAD_IMAGE)
def image_scale(request: PageRequest, image_id: int) -> HttpResponseBase:
    """Say how large a pixel is on the slide, for this image or for all of its case without a scale.

    What cannot be stored comes back with what was typed and why, below the form that stands open.
    """
    row = find_row(request, image_id)
    form = ScaleForm(request.POST)
    status = 422
    if form.is_valid():
        try:
            count = intake.set_scale(actor=request.actor, image=row.image, **form.cleaned_data)
        except intake.ScaleError as refused:
            problem = str(refused)
            status = 409 if refused.code == "changed" else 422
        else:
            messages.success(request, _scale_said(form.cleaned_data["um_per_pixel"], count))
            return redirect(image_url(request, row.image.pk))
    else:
        problem = "Enter a number, such as 0.102."
    row = find_row(request, image_id)
    typed = {"typed": request.POST.get("um_per_pixel", ""), "whole_case": "whole_case" in request.POST}
    context = page_context(request, row) | {"scale": typed | {"problem": problem}}
    return render(request, "diagnosis/image.html", context, status=status)


def _scale_said(um_per_pixel: float, count: int) -> str:
    if not count:
        return f"The scale is {um_per_pixel:g} µm per pixel already."
    return f"{f'{count} images have' if count > 1 else 'This image has'} {um_per_pixel:g} µm per pixel now."


@require_POST
@page(Action.RETRY_ANALYSIS)
def image_retry(request: PageRequest, image_id: int) -> HttpResponseBase:
    """Put the failed analyses of an image back into the queue."""
    row = find_row(request, image_id)
    again = queue.retry(actor=request.actor, image=row.image)
    if again:
        messages.success(request, f"{row.image.original_name} is waiting to be read again.")
    else:
        messages.info(request, f"Nothing to retry: no reading of {row.image.original_name} has failed.")
    if request.POST.get("back") == "case":
        return redirect_along(request, "case", row.image.case_id)
    return redirect(image_url(request, row.image.pk))


@require_POST
@page(Action.CORRECT_KIND)
def image_kind(request: PageRequest, image_id: int) -> HttpResponseBase:
    """Correct what kind of picture this is; the networks of that kind then read it."""
    row = find_row(request, image_id)
    form = KindForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose one of the two kinds: field or single cell.")
    elif form.cleaned_data["kind"] != row.image.kind:
        intake.correct_kind(actor=request.actor, image=row.image, kind=form.cleaned_data["kind"])
        kind = SmearImage.Kind(form.cleaned_data["kind"]).label.lower()
        messages.success(request, f"This image is a {kind} now and is being read as one.")
    return redirect(image_url(request, row.image.pk))
