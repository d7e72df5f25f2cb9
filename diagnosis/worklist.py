"""The reads behind lists, counters and pages, each in a number of queries that does not grow with what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Count, Q

from accounts.permissions import visible
from diagnosis.assessment import current_analyses, current_decisions, image_reading, image_status
from diagnosis.models import Analysis, Case, Decision, Patient, SmearImage

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.permissions import Actor
    from mlcore.reading import Reading

__all__ = ["ImageRow", "case_page", "cases", "counts", "image_page", "image_status", "images", "patients", "rows"]


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
    """The laboratory's cases, urgent ones first, then the newest; the patient is joined.

    `search`: every word must occur in the accession number, the patient's name or the record number, upper and
    lower case alike.
    """
    found = visible(Case.objects.all(), actor).select_related("patient")
    if status:
        found = found.filter(status=status)
    if priority:
        found = found.filter(priority=priority)
    for word in _words(search):
        found = found.filter(
            Q(accession_number__icontains=word) | Q(patient__name__icontains=word) | Q(patient__mrn__icontains=word)
        )
    return found.order_by("-priority", "-created_at", "-id")


def patients(*, actor: Actor, search: str = "") -> QuerySet[Patient]:
    """The laboratory's patients by name; `search` as in `cases`, over name and record number."""
    found = visible(Patient.objects.all(), actor)
    for word in _words(search):
        found = found.filter(Q(name__icontains=word) | Q(mrn__icontains=word))
    return found.order_by("name", "mrn", "id")


def counts(*, actor: Actor) -> dict[str, int]:
    """How many cases the laboratory has: "all", "urgent" (not reviewed yet), and one key for each `Case.Status`."""
    urgent = Q(priority=Case.Priority.URGENT) & ~Q(status=Case.Status.REVIEWED)
    grouped = (
        visible(Case.objects.all(), actor)
        .order_by()
        .values_list("status")
        .annotate(n=Count("id"), urgent=Count("id", filter=urgent))
    )
    result = {"all": 0, "urgent": 0} | {str(status): 0 for status in Case.Status.values}
    for status, n, urgent_n in grouped:
        result[status] = n
        result["all"] += n
        result["urgent"] += urgent_n
    return result


def case_page(*, actor: Actor, case_id: int) -> Case:
    """One case of the actor's laboratory, with patient and opener joined. Raises `Case.DoesNotExist`. One query."""
    return visible(Case.objects.all(), actor).select_related("patient", "created_by", "laboratory").get(pk=case_id)


def images(case: Case) -> list[ImageRow]:
    """Every image of a case in the order of arrival. Three queries."""
    return rows(list(SmearImage.objects.filter(case=case).select_related("uploaded_by").order_by("id")))


def image_page(*, actor: Actor, image_id: int) -> ImageRow:
    """One image of the actor's laboratory, its case and patient joined. Raises `SmearImage.DoesNotExist`."""
    found = visible(SmearImage.objects.all(), actor, "case__laboratory")
    return rows([found.select_related("case__patient", "case__laboratory", "uploaded_by").get(pk=image_id)])[0]


def rows(images: Sequence[SmearImage]) -> list[ImageRow]:
    """What is said of each of `images`, in their order. Two queries, however many there are."""
    analyses, decisions = current_analyses(images), current_decisions(images)
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


def _words(search: str) -> list[str]:
    """At most eight words, without NUL and lone surrogates, which no database takes in a text."""
    return search.replace("\x00", " ").encode("utf-8", "ignore").decode().split()[:8]
