"""What keeps a case from being signed, exactly and with the place to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.core.files.storage import default_storage

from accounts.permissions import Actor
from diagnosis import second_opinion, worklist
from diagnosis.models import Case
from diagnosis.signout.drafting import draft_of
from diagnosis.vocabulary import DIAGNOSES

if TYPE_CHECKING:
    from diagnosis.models import SmearImage


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing that is missing. `code`: no_images, undecided, waiting, failed, diagnosis, opinion, held or
    key_images; `images`: keys of those that it is about."""

    code: str
    words: str
    images: tuple[int, ...] = ()


def missing(
    case: Case, *, actor: Actor | None = None, rows: Sequence[worklist.ImageRow] | None = None
) -> list[Missing]:
    """Everything that keeps `case` from being signed (by `actor`, if given); empty: it can be.

    `rows`: what `worklist.images(case)` gave, where the caller has it.
    """
    rows = worklist.images(case) if rows is None else rows
    gaps: list[Missing] = []
    if actor is not None and case.held_by_id not in (None, actor.user.pk):
        gaps.append(Missing("held", f"{case.held_by} holds this case. Ask them to release it, or take it over."))
    if not rows:
        gaps.append(Missing("no_images", "There is nothing to report on: the case has no image."))
    undecided = [row for row in rows if row.decision is None]
    for code, states, words in (
        ("undecided", ("done",), ("{n} image is not decided.", "{n} images are not decided.")),
        (
            "waiting",
            ("queued", "running"),
            ("{n} undecided image is still being read.", "{n} undecided images are still being read."),
        ),
        (
            "failed",
            ("failed",),
            (
                "The reading of {n} undecided image failed: decide on it yourself, or retry.",
                "The readings of {n} undecided images failed: decide on them yourself, or retry.",
            ),
        ),
    ):
        found = tuple(row.image.pk for row in undecided if row.status in states)
        if found:
            gaps.append(Missing(code, words[len(found) > 1].format(n=len(found)), found))
    draft = draft_of(case)
    if draft.diagnosis not in DIAGNOSES:
        gaps.append(Missing("diagnosis", "No diagnosis is chosen."))
    gone = _gone(draft.key_images, {row.image.pk: row.image for row in rows})
    if gone:
        gaps.append(Missing("key_images", f"{len(gone)} of the key images cannot be found. Choose others.", gone))
    gaps += [Missing("opinion", words) for words in second_opinion.blocking(case)]
    return gaps


def _gone(chosen: Sequence[int], images: dict[int, SmearImage]) -> tuple[int, ...]:
    return tuple(pk for pk in chosen if pk not in images or not default_storage.exists(str(images[pk].file)))
