"""The images behind a figure: those on which people decided otherwise than a network had said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from django.db.models import F, QuerySet

from accounts.permissions import Action, Actor, require
from diagnosis.dashboard.period import Period
from diagnosis.dashboard.tallies import READING, decided, said_then
from diagnosis.models import Analysis, Decision, SecondOpinion
from mlcore.bundle import TASKS

PAGE = 48
_CHUNK = 500
_LOOKED_AT = 5_000  # decisions for one page at most, so that a rare pair in a long year still answers at once


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
    blinded = SecondOpinion.objects.filter(asked_of=actor.user, state=SecondOpinion.State.ASKED).values("case")
    found = (
        decided(actor.laboratory, [(period.since, period.now)])
        .filter(label__in=[decided_as] if decided_as else TASKS[task])
        .exclude(image__case__in=blinded)
    )
    if source == READING:
        found = found.exclude(reading_label="").exclude(reading_label=F("label"))
        found = found.filter(reading_label=said_as) if said_as else found
    rows: list[Override] = []
    looked_at = 0
    for row in islice(_newest_first(found, source, before), _LOOKED_AT):
        looked_at, last = looked_at + 1, row.decision.pk
        if row.said and row.said != row.decision.label and said_as in ("", row.said):
            rows.append(row)
            if len(rows) == PAGE:
                return Overrides(rows, last)
    return Overrides(rows, last if looked_at == _LOOKED_AT else None)


def _newest_first(found: QuerySet[Decision], source: int, before: int | None) -> Iterator[Override]:
    """Each decision with what the source had said; by the key, so that a page can go on where the last one ended."""
    found = found.select_related("image__case__patient", "decided_by").order_by("-id")
    while True:
        chunk = list((found.filter(pk__lt=before) if before else found)[:_CHUNK])
        said: dict[int, str] = {}
        if source != READING:
            of_source = Analysis.objects.filter(release=source, image__in=[decision.image_id for decision in chunk])
            finished = {image: (label, at) for image, _, label, at in said_then(of_source)}
            for decision in chunk:
                label, at = finished.get(decision.image_id, ("", None))
                said[decision.pk] = label if at is None or at <= decision.decided_at else ""
        for decision in chunk:
            yield Override(decision, decision.reading_label if source == READING else said[decision.pk])
        if len(chunk) < _CHUNK:
            return
        before = chunk[-1].pk
