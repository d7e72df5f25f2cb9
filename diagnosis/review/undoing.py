"""Undo and redo of one's own steps, kept in the database: nothing is taken away, what stood before is said again.

A step that undoes names what it undoes. Whoever redoes takes back their undoing, so that the same rule serves both.
A step on each of whose images a colleague decided later is *overtaken*: nothing of it can be turned back, so it does
not stand in the way of the steps before it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Count, Exists, Min, OuterRef

from accounts.permissions import Action, require
from diagnosis.models import Case, Decision
from diagnosis.review.deciding import Outcome, Standing, already, locked, standings, store
from diagnosis.review.refusals import ReviewConflict, ReviewRefused
from mlcore.bundle import TASKS

if TYPE_CHECKING:
    from accounts.permissions import Actor


@dataclass(frozen=True, slots=True)
class Steps:
    """The actor's own steps in a case that are not overtaken, each list oldest first: the last of `done` is undone
    next, the last of `undone` (the steps that did the undoing) is redone next."""

    done: tuple[UUID, ...] = ()
    undone: tuple[UUID, ...] = ()


def steps(*, actor: Actor, case: Case) -> Steps:
    """What the actor can undo and redo in the case. One query."""
    done, undone, overtaken = _stacks(actor, case)
    return Steps(tuple(step for step in done if step not in overtaken),
                 tuple(step for step in undone if step not in overtaken))  # fmt: skip


def _stacks(actor: Actor, case: Case) -> tuple[list[UUID], list[UUID], set[UUID]]:
    """The steps done, the steps undone, and which of either are overtaken."""
    theirs = Decision.objects.filter(image=OuterRef("image"), id__gt=OuterRef("id")).exclude(decided_by=actor.user)
    own = (
        Decision.objects.filter(image__case=case, decided_by=actor.user, step__isnull=False)
        .order_by()
        .values_list("step", "undoes")
        .annotate(first=Min("id"), left=Count("id", filter=~Exists(theirs)))
        .order_by("first")
    )
    done: list[UUID] = []
    undone: list[UUID] = []
    overtaken: set[UUID] = set()
    for step, undoes, _, left in own:
        if not left:
            overtaken.add(step)
        if undoes is None:
            done.append(step)
            undone.clear()
        elif undoes in done:
            done.remove(undoes)
            undone.append(step)
        elif undoes in undone:
            undone.remove(undoes)
            done.append(step)
    return done, undone, overtaken


def undo(*, actor: Actor, case: Case, undoes: UUID | None = None, step: UUID | None = None) -> Outcome:
    """Take back the actor's newest step that stands and is not overtaken: its images are again as they were before.

    `undoes` is the step that the person saw as the next to undo; another one since is refused (step_changed). An
    image on which a colleague decided after that step is left as they decided and comes back in `refused`; where
    that is so of all its images, nothing is stored, and the next undo is about the step before. `step` as in
    `decide_many`. Raises `ReviewRefused` (nothing_to_undo), `PermissionDenied`, `Case.DoesNotExist`.
    """
    return _turn_back(actor, case, undoes, step, redoing=False)


def redo(*, actor: Actor, case: Case, undoes: UUID | None = None, step: UUID | None = None) -> Outcome:
    """Take back the actor's newest undoing, where no step of theirs came after it. Otherwise as `undo`."""
    return _turn_back(actor, case, undoes, step, redoing=True)


def _turn_back(actor: Actor, case: Case, wanted: UUID | None, step: UUID | None, *, redoing: bool) -> Outcome:
    require(actor, Action.DECIDE)
    step = step or uuid4()
    with transaction.atomic():
        case = locked(actor, case.pk)
        if done := already(actor, case, step):
            return Outcome(step, tuple(done.values()))
        target = _target(actor, case, wanted, redoing=redoing)
        ids = list(Decision.objects.filter(step=target).values_list("image_id", flat=True))
        found = standings(ids, case)
        earlier: dict[int, list[Decision]] = defaultdict(list)
        for decision in Decision.objects.filter(image__in=ids).select_related("decided_by").order_by("id"):
            earlier[decision.image_id].append(decision)
        fresh: list[Decision] = []
        refused: dict[int, ReviewRefused | ReviewConflict] = {}
        for pk, standing in found.items():
            at = next(n for n, decision in enumerate(earlier[pk]) if decision.step == target)
            theirs = [d for d in earlier[pk][at + 1 :] if d.decided_by_id != actor.user.pk]
            if theirs:
                refused[pk] = ReviewConflict(theirs[-1], undoing=True)
            else:
                fresh.append(_as_before(actor, standing, earlier[pk][at - 1] if at else None, step, target))
        if fresh:
            fresh = store(actor, case, fresh, found, action="images.redone" if redoing else "images.undone")
    return Outcome(step, tuple(fresh), refused)


def _target(actor: Actor, case: Case, wanted: UUID | None, *, redoing: bool) -> UUID:
    done, undone, overtaken = _stacks(actor, case)
    mine, word = (undone, "redo") if redoing else (done, "undo")
    stack = [each for each in mine if each not in overtaken]
    if wanted in mine and wanted in overtaken:
        return wanted  # seen before the colleague decided: each image says who did
    if mine and not stack and wanted is None:
        return mine[-1]
    if not stack:
        raise ReviewRefused(f"nothing_to_{word}", f"There is no step of yours to {word} in this case.", "undoes")
    if wanted is not None and wanted != stack[-1]:
        raise ReviewRefused(
            "step_changed",
            f"The step to {word} is another one by now: you went on elsewhere. Look at the case, then {word} again.",
            "undoes",
        )
    return stack[-1]


def _as_before(actor: Actor, standing: Standing, before: Decision | None, step: UUID, target: UUID) -> Decision:
    """A decision that says again what stood before the step; without a class where nothing did."""
    label = before.label if before and before.label in TASKS[standing.image.kind] else ""
    if not label:
        verdict, comment = Decision.Verdict.WITHDRAW, ""
    else:
        verdict = Decision.Verdict.AGREE if label == standing.said else Decision.Verdict.OVERRIDE
        own = before is not None and before.decided_by_id == actor.user.pk
        comment = before.comment if before and own else f"As {before.decided_by if before else ''} had decided before."
    return Decision(
        image=standing.image,
        verdict=verdict,
        label=label,
        reading_label=standing.said,
        comment=comment,
        step=step,
        undoes=target,
        decided_by=actor.user,
    )
