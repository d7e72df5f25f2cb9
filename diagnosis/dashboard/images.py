"""The images behind a figure: those on which people decided otherwise than a network had said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db.models import Max, QuerySet

from accounts.permissions import Action, Actor, require
from diagnosis.blinding import open_questions
from diagnosis.dashboard.period import Period
from diagnosis.dashboard.tallies import READING, said_then
from diagnosis.models import Analysis, Decision
from mlcore.bundle import TASKS

PAGE = 48
_CHUNK = 400
_LOOKED_AT = 2_000  # decisions for one page at most, so that a rare pair in a long year still answers at once


@dataclass(frozen=True, slots=True)
class Override:
    decision: Decision  # with image, its case and decided_by
    said: str


@dataclass(frozen=True, slots=True)
class Overrides:
    """`rows`: newest first. `older`: the decision from which the next page goes on, None at the end."""

    rows: list[Override]
    older: int | None


def overrides(
    *,
    actor: Actor,
    period: Period,
    source: int,
    task: str,
    decided_as: str = "",
    said_as: str = "",
    before: int | None = None,
) -> Overrides:
    """The images of the period on which people and `source` (a release's key or READING) differ.

    Of cases that the actor is asked to judge without knowing others' decisions nothing is shown. Raises
    `PermissionDenied`, and `ValueError` for a task that is none.
    """
    require(actor, Action.READ_DASHBOARD)
    if task not in TASKS:
        raise ValueError(f"no such kind of image: {task}")
    found = Decision.objects.filter(
        image__case__laboratory=actor.laboratory,
        decided_at__gte=period.since,
        decided_at__lte=period.now,
        label__in=[decided_as] if decided_as else TASKS[task],
    ).exclude(image__case__in=open_questions(actor).values("case"))
    if source == READING:
        found = found.filter(verdict=Decision.Verdict.OVERRIDE).exclude(reading_label="")
        found = found.filter(reading_label=said_as) if said_as else found
    rows: list[Override] = []
    looked_at, last = 0, before
    for row in islice(_newest_first(found, source, before), _LOOKED_AT):
        looked_at, last = looked_at + 1, row.decision.pk
        if row.said not in ("", row.decision.label) and said_as in ("", row.said):
            rows.append(row)
            if len(rows) == PAGE:
                return Overrides(rows, last)
    return Overrides(rows, last if looked_at == _LOOKED_AT else None)


def _newest_first(found: QuerySet[Decision], source: int, before: int | None) -> Iterator[Override]:
    """Each decision with what the source had said, empty where it does not count; by the key, so that a page can go
    on where the last one ended. Three queries for every chunk."""
    found = found.select_related("image__case__patient", "decided_by").order_by("-id")
    while True:
        chunk = list((found.filter(pk__lt=before) if before else found)[:_CHUNK])
        images = [decision.image_id for decision in chunk]
        newest = set(
            Decision.objects.filter(image__in=images)
            .order_by()
            .values_list("image")
            .annotate(Max("id"))
            .values_list("id__max", flat=True)
        )
        said = {} if source == READING else _said(source, images)
        for decision in chunk:
            label, at = (decision.reading_label, None) if source == READING else said.get(decision.image_id, ("", None))
            counts = decision.pk in newest and (at is None or at <= decision.decided_at)
            yield Override(decision, label if counts else "")
        if len(chunk) < _CHUNK:
            return
        before = chunk[-1].pk


def _said(source: int, images: Sequence[int]) -> dict[int, tuple[str, datetime | None]]:
    opinions = said_then(Analysis.objects.filter(release=source, image__in=images))
    return {image: (label, at) for image, _, label, at in opinions}
