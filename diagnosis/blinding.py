"""Whoever is asked for a second opinion sees the smear and what the networks say, and nothing that people said.

Until they have answered, declined or been asked no longer, every read of the case gives them `blind`: no decision, no
diagnosis, no draft, no report, and an assessment recomputed from the networks alone. Nor can they decide there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef

from diagnosis.assessment import assess, gather
from diagnosis.models import Case, SecondOpinion

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.permissions import Actor

#: What a blinded reader meets in place of a status that says how far others have decided.
_UNDECIDED = {Case.Status.IN_REVIEW: Case.Status.READY, Case.Status.REVIEWED: Case.Status.READY}


class Blinded(PermissionDenied):
    """The reader is asked for a second opinion and has not answered yet; the text says so and what to do."""

    def __init__(self) -> None:
        super().__init__(
            "You are asked for a second opinion on this case, so this is not shown to you yet. Answer or decline on "
            "the case's page first."
        )


def open_questions(actor: Actor) -> QuerySet[SecondOpinion]:
    """The questions that wait for the actor's answer."""
    return SecondOpinion.objects.filter(
        asked_of=actor.user, state=SecondOpinion.State.ASKED, case__laboratory=actor.laboratory
    )


def is_blinded(*, actor: Actor, case: Case) -> bool:
    """Whether the actor's own opinion on the case is still awaited. One query."""
    return open_questions(actor).filter(case=case.pk).exists()


def refuse_blinded(*, actor: Actor, case: Case) -> None:
    """Raise `Blinded` (403 with words) where the actor must not see what people said of the case."""
    if is_blinded(actor=actor, case=case):
        raise Blinded


def marked(cases: QuerySet[Case], actor: Actor) -> QuerySet[Case]:
    """`cases`, each with `blinded` as it is for the actor; no query more."""
    asked = Exists(open_questions(actor).filter(case=OuterRef("pk")))
    return cases.annotate(**{"blinded": asked})  # noqa: PIE804 -- as a keyword mypy takes it for a second attribute


def unknowable(cases: QuerySet[Case], actor: Actor) -> QuerySet[Case]:
    """`cases` without those on which the actor is blinded: for searches of what decisions have changed."""
    return cases.exclude(pk__in=open_questions(actor).values("case"))


def blind(case: Case) -> Case:
    """The same case, in memory, as the networks alone make it. Three queries; never save what this gives."""
    alone = assess(gather(case, decided=False))
    case.blinded = True
    case.status = alone.status
    case.malignant = alone.malignant.value if alone.malignant else None
    case.assessment, case.assessed_at = alone.to_dict(), None
    return case


def veil(cases: list[Case]) -> list[Case]:
    """The rows of a list, those that are `blinded` without what decisions may have changed. No query."""
    for case in cases:
        if case.blinded:
            case.status = _UNDECIDED.get(Case.Status(case.status), case.status)
            case.malignant, case.assessment = None, {}
    return cases
