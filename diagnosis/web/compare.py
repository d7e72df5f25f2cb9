"""Two stages side by side: the two networks on one picture, or two pictures of one patient."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import Min
from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.doors import PageRequest, page
from accounts.permissions import Action, visible
from diagnosis import audit, worklist
from diagnosis.models import Case, SmearImage
from diagnosis.templatetags.marks import network_name
from diagnosis.web.images import find_row, image_context
from mlcore.bundle import TASKS

SHOWN_CASES = 20


@require_safe
@page(Action.READ_CASES)
def networks(request: PageRequest, image_id: int) -> HttpResponseBase:
    """What each network says of one picture: heat maps side by side, probabilities and their difference."""
    row = find_row(request, image_id)
    audit.record_read(actor=request.actor, case=row.image.case, subject=f"image {row.image.pk}")
    strip = _strip(row.image.case)
    shown = image_context(row)
    context = {
        "row": row,
        "case": row.image.case,
        "image": row.image,
        "number": _number(strip, row.image),
        "neighbour": _neighbour(strip, row.image),
        "sides": [
            {"image": row.image, "row": row, "opinion": opinion, "network": opinion["release"].network,
             "heats": _heats([opinion], row)}
            for opinion in shown["opinions"]
        ],
        "classes": _side_by_side(shown["opinions"]),
        "labels": TASKS[row.image.kind],
        "waiting": row.status in ("queued", "running"),
    }  # fmt: skip
    return render(request, "diagnosis/compare_networks.html", context)


def _side_by_side(opinions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each class with both probabilities and the second less the first in points; empty unless both have answered."""
    if len(opinions) != 2 or not all(opinion["ranked"] for opinion in opinions):
        return []
    one, other = (dict(opinion["ranked"]) for opinion in opinions)
    rows = [
        {
            "label": label,
            "shares": [one[label], other[label]],
            "points": (points := round(100 * (other[label] - one[label]))),
            "difference": f"{points:+d}".replace("-", "−") if points else "0",
            "leads": [label == opinion["top"] for opinion in opinions],
        }
        for label in one
    ]
    return sorted(rows, key=lambda row: (-max(row["shares"]), row["label"]))


@require_safe
@page(Action.READ_CASES)
def images(request: PageRequest, image_id: int, other_id: int) -> HttpResponseBase:
    """Two pictures of one patient, of the same case or of an earlier one. Pictures of two people are not compared."""
    rows = [find_row(request, image_id), find_row(request, other_id)]
    first, second = (row.image for row in rows)
    if first.case.patient_id != second.case.patient_id:
        raise Http404("These images belong to two patients.")
    for image in {first.case_id: first, second.case_id: second}.values():
        audit.record_read(actor=request.actor, case=image.case, subject=f"image {image.pk}")
    strip = _strip(second.case)
    same_case = first.case_id == second.case_id
    numbers = [_number(strip if same_case else _strip(first.case), first), _number(strip, second)]
    context = {
        "case": first.case,
        "image": first,
        "sides": [
            {"row": row, "image": row.image, "number": number, "network": "",
             "heats": _heats(image_context(row)["opinions"], row)}
            for row, number in zip(rows, numbers, strict=True)
        ],
        "strip": strip,
        "strip_case": second.case,
        "same_case": same_case,
        "both_scaled": bool(first.um_per_pixel and second.um_per_pixel),
        "cases": _cases_with_images(request, first.case),
        "labels": list(dict.fromkeys([*TASKS[first.kind], *TASKS[second.kind]])),
    }  # fmt: skip
    return render(request, "diagnosis/compare_images.html", context)


def _heats(opinions: list[dict[str, Any]], row: worklist.ImageRow) -> str:
    """JSON, by network: where its heat map is and of which class; without those that have not read the picture."""
    heats = {
        opinion["release"].network: {
            "url": reverse("image-heat", args=[row.image.pk, opinion["analysis"].pk]),
            "top": opinion["top"],
            "name": network_name(opinion["release"].network),
        }
        for opinion in opinions
        if opinion["ranked"]
    }
    return json.dumps(heats)


def _strip(case: Case) -> list[SmearImage]:
    return list(case.images.order_by("id").only("id", "original_name", "case_id"))


def _number(strip: list[SmearImage], image: SmearImage) -> int:
    return next(number for number, other in enumerate(strip, start=1) if other.pk == image.pk)


def _neighbour(strip: list[SmearImage], image: SmearImage) -> SmearImage | None:
    """The next image of the case, or the one before the last."""
    at = _number(strip, image)
    return strip[at] if at < len(strip) else strip[at - 2] if at > 1 else None


def _cases_with_images(request: PageRequest, case: Case) -> list[Case]:
    """The patient's cases that have images, the newest first, each with its first image as `first_image`."""
    found = visible(Case.objects.filter(patient=case.patient_id), request.actor)
    found = found.annotate(first_image=Min("images")).exclude(first_image=None)
    return list(found.order_by("-created_at", "-id")[:SHOWN_CASES])
