"""The reads behind pages, each in a number of queries that does not grow with what it shows.

Whoever is asked for a second opinion reads a case as the networks alone make it: `diagnosis.blinding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef, Q

from accounts.permissions import visible
from diagnosis import blinding
from diagnosis.assessment import current_analyses, current_decisions, image_reading, image_status
from diagnosis.models import Analysis, Case, Decision, Patient, SmearImage
from diagnosis.searching import matching, words

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.permissions import Actor
    from mlcore.reading import Reading

__all__ = ["ImageRow", "case_page", "cases", "image_page", "image_status", "images", "patients", "rows"]


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image and all that is said of it; what networks think and what a person decided stay apart."""

    image: SmearImage
    status: str  # queued, running, done, failed
    analyses: list[Analysis]  # those that count, cnn before mobilenet, release joined, activation left out
    reading: Reading | None
    decision: Decision | None  # decided_by joined
    error: str  # the last failure in words, empty unless failed


def cases(*, actor: Actor, status: str | None = None, priority: str | None = None, search: str = "") -> QuerySet[Case]:
    """The laboratory's cases, urgent ones first, then the newest; the patient is joined, `blinded` is told.

    `search` as in `searching.matching`. The pages' worklist is `diagnosis.listing`.
    """
    found = blinding.marked(visible(Case.objects.all(), actor), actor).select_related("patient")
    if status:
        found = found.filter(status=status)
    if priority:
        found = found.filter(priority=priority)
    return matching(found, actor=actor, search=search).order_by("-priority", "-created_at", "-id")


def patients(*, actor: Actor, search: str = "") -> QuerySet[Patient]:
    """The laboratory's patients by name; each word of `search` must occur in the name or the record number."""
    found = visible(Patient.objects.all(), actor)
    for word in words(search):
        found = found.filter(Q(name__icontains=word) | Q(mrn__icontains=word))
    return found.order_by("name", "mrn", "id")


def case_page(*, actor: Actor, case_id: int) -> Case:
    """One case of the actor's laboratory; patient, opener and holder joined. Raises `Case.DoesNotExist`.

    One query; for a blinded reader four, and the case is as the networks alone make it.
    """
    case = (
        blinding.marked(visible(Case.objects.all(), actor), actor)
        .select_related("patient", "created_by", "laboratory", "held_by", "clinical__updated_by")
        .get(pk=case_id)
    )
    return blinding.blind(case) if case.blinded else case


def images(case: Case) -> list[ImageRow]:
    """Every image of a case in the order of arrival. Three queries."""
    found = SmearImage.objects.filter(case=case).select_related("uploaded_by").order_by("id")
    return rows(list(found), blinded=case.blinded)


def image_page(*, actor: Actor, image_id: int) -> ImageRow:
    """One image of the actor's laboratory, its case and patient joined. Raises `SmearImage.DoesNotExist`."""
    found = visible(SmearImage.objects.all(), actor, "case__laboratory")
    found = found.annotate(blinded=Exists(blinding.open_questions(actor).filter(case=OuterRef("case"))))
    image = found.select_related("case__patient", "case__laboratory", "uploaded_by").get(pk=image_id)
    if image.blinded:
        blinding.blind(image.case)
    return rows([image], blinded=image.blinded)[0]


def rows(images: Sequence[SmearImage], *, blinded: bool = False) -> list[ImageRow]:
    """What is said of each of `images`, in their order; for a `blinded` reader without what people said. Two queries,
    however many there are."""
    analyses, decisions = current_analyses(images), {} if blinded else current_decisions(images)
    return [_row(image, analyses[image.pk], decisions.get(image.pk)) for image in images]


def _row(image: SmearImage, analyses: list[Analysis], decision: Decision | None) -> ImageRow:
    failures = [analysis for analysis in analyses if analysis.state == Analysis.State.FAILED]
    return ImageRow(
        image=image,
        status=image_status(analyses),
        analyses=analyses,
        reading=image_reading(analyses),
        decision=decision,
        error=failures[-1].error if failures else "",
    )
