"""One step decides on any number of images of a case: one lock, one audit event, one new assessment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from unicodedata import category
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Max

from accounts.permissions import Action, require
from diagnosis import assessment, audit, holding
from diagnosis.models import Case, Decision, SmearImage
from diagnosis.review.refusals import UNSET, ReviewConflict, ReviewRefused, Unset, refuse_asked, refuse_closed
from mlcore.bundle import TASKS
from mlcore.reading import words

if TYPE_CHECKING:
    from accounts.permissions import Actor

MOST = 5_000  # images in one step

#: What the person saw: the key of the decision that counted, None for none, or the step of their own that made it.
Expected = int | UUID | None | Literal[Unset.UNSET]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person says of one image; `decide` explains the members."""

    image: int
    verdict: str
    label: str | None = None
    comment: str = ""
    expected: Expected = UNSET


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step. `refused`: by image, why it was left as it is; all other images are saved."""

    step: UUID
    saved: tuple[Decision, ...] = ()
    refused: dict[int, ReviewRefused | ReviewConflict] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """One image under the case's lock: what the networks' reading says and what was decided last, by anybody."""

    image: SmearImage
    said: str  # the reading's class, "" while there is none
    newest: Decision | None  # also one that withdraws or names a class of another kind

    @property
    def current(self) -> Decision | None:
        """The decision that counts."""
        return self.newest if self.newest and self.newest.label in TASKS[self.image.kind] else None

    def refuse_unseen(self, expected: Expected) -> None:
        """Raise `ReviewConflict` unless what stands is what the person saw."""
        if isinstance(expected, UUID):
            seen = self.newest is not None and self.newest.step == expected
        else:
            seen = expected is UNSET or expected == (self.current.pk if self.current else None)
        if not seen:
            raise ReviewConflict(self.current)


def current(image: SmearImage) -> Decision | None:
    """The decision that counts: the newest, if it names a class of the image's present kind."""
    return assessment.current_decisions([image]).get(image.pk)


def decide(
    *,
    actor: Actor,
    image: SmearImage,
    verdict: str,
    label: str | None = None,
    comment: str = "",
    expected_decision: Expected = UNSET,
) -> Decision:
    """Store what the actor says of an image and refresh the case.

    `verdict` "agree" takes the reading's class and needs a finished reading; with a `label`, that is the class the
    person saw, and a reading that has changed since is refused. "override" needs a `label` of the image's kind and
    is allowed at any time, also while the networks still read or have failed; naming the reading's own class is
    stored as the agreement it is. "withdraw" takes the decision that counts back. `expected_decision` is the key of
    the decision that the person saw (None: there was none). The same person sending the same decision twice gets
    the first one back. A case that nobody holds is the actor's from then on.

    Raises `ReviewRefused`, `ReviewConflict`, `PermissionDenied`, and `SmearImage.DoesNotExist` for an image of
    another laboratory.
    """
    require(actor, Action.DECIDE)
    choice = Choice(image.pk, verdict, label, comment, expected_decision)
    with transaction.atomic():
        found = SmearImage.objects.filter(pk=image.pk, case__laboratory=actor.laboratory).values_list("case_id").first()
        if found is None:
            raise SmearImage.DoesNotExist(f"no image {image.pk} in this laboratory")
        case = locked(actor, found[0])
        standing = standings([image.pk], case)[image.pk]
        if standing.newest is not None and _same(standing.newest, actor, choice, standing):
            return standing.newest
        decision = _judged(actor, choice, standing, uuid4())
        store(actor, case, [decision], {image.pk: standing}, action="image.decided")
    return decision


def withdraw(*, actor: Actor, image: SmearImage, comment: str = "", expected_decision: Expected = UNSET) -> Decision:
    """Take back the decision that counts, the actor's or a colleague's: the image is undecided again. As `decide`."""
    return decide(
        actor=actor,
        image=image,
        verdict=Decision.Verdict.WITHDRAW,
        comment=comment,
        expected_decision=expected_decision,
    )


def decide_many(*, actor: Actor, case: Case, choices: Sequence[Choice], step: UUID | None = None) -> Outcome:
    """Store one step: what the actor says of each image, as `decide` does, in one go.

    What can be saved is saved; an image on which somebody decided meanwhile, or whose choice does not fit, comes
    back in `refused` and is left as it is. `step` is made by the caller, so that sending the same step again is
    answered as the first time and stored once. Of two choices for one image the last counts.

    Raises `ReviewRefused` where the whole step cannot be taken, `PermissionDenied`, and `Case.DoesNotExist` for a
    case of another laboratory. A bounded number of queries.
    """
    require(actor, Action.DECIDE)
    by_image = {choice.image: choice for choice in choices}
    if len(by_image) > MOST:
        raise ReviewRefused("too_many", f"One step holds {MOST} images; send several steps.", "decisions")
    step = step or uuid4()
    with transaction.atomic():
        case = locked(actor, case.pk)
        done = already(actor, case, step)
        found = standings([pk for pk in by_image if pk not in done], case)
        fresh: list[Decision] = []
        refused: dict[int, ReviewRefused | ReviewConflict] = {}
        for pk, choice in by_image.items():
            if pk in done:
                continue
            try:
                if pk not in found:
                    raise ReviewRefused("image_unknown", "This case has no such image.", "image")
                fresh.append(_judged(actor, choice, found[pk], step))
            except (ReviewRefused, ReviewConflict) as refusal:
                refused[pk] = refusal
        if fresh:
            action = "image.decided" if len(fresh) == 1 else "images.decided"
            fresh = store(actor, case, fresh, found, action=action)
    return Outcome(step, (*done.values(), *fresh), refused)


def locked(actor: Actor, case_id: int) -> Case:
    """The case, open for decisions, its row locked: that orders the decisions on its images, and the kind of none
    changes unseen meanwhile."""
    case = Case.objects.select_for_update(no_key=True).get(pk=case_id, laboratory=actor.laboratory)
    refuse_closed(case)
    refuse_asked(actor, case)
    return case


def already(actor: Actor, case: Case, step: UUID) -> dict[int, Decision]:
    """By image, what this step has decided already. Raises `ReviewRefused` step_taken where it is another's."""
    found = Decision.objects.filter(step=step).select_related("decided_by", "image").order_by("id")
    done = {decision.image_id: decision for decision in found}
    if any(each.decided_by_id != actor.user.pk or each.image.case_id != case.pk for each in done.values()):
        raise ReviewRefused("step_taken", "This step is another's already. Make a new identifier for yours.", "step")
    return done


def standings(image_ids: Iterable[int], case: Case) -> dict[int, Standing]:
    """By image of the case, what stands. Three queries, however many there are."""
    images = list(SmearImage.objects.filter(case=case, pk__in=list(image_ids)).order_by("id"))
    if not images:
        return {}
    newest_ids = Decision.objects.filter(image__in=images).order_by().values("image").annotate(newest=Max("id"))
    newest = {
        decision.image_id: decision
        for decision in Decision.objects.filter(pk__in=newest_ids.values("newest")).select_related("decided_by")
    }
    analyses = assessment.current_analyses(images)
    found = {}
    for image in images:
        reading = assessment.image_reading(analyses[image.pk])
        found[image.pk] = Standing(image, reading.label if reading else "", newest.get(image.pk))
    return found


def store(
    actor: Actor, case: Case, decisions: list[Decision], found: dict[int, Standing], *, action: str
) -> list[Decision]:
    """Write the decisions of one step, note them as one event, and bring the case up to date."""
    holding.claim_for_decision(actor, case)
    stored = Decision.objects.bulk_create(decisions)
    told = [_told(decision, found[decision.image_id]) for decision in stored]
    single = len(told) == 1 and action == "image.decided"
    audit.record(
        actor=actor,
        action=action,
        case=case,
        subject=f"image {stored[0].image_id}" if single else "",
        **(told[0] if single else {"step": str(stored[0].step), "images": told}),
    )
    assessment.refresh(case.pk, by=actor.user)
    return stored


def _told(decision: Decision, standing: Standing) -> dict[str, Any]:
    return {
        "image": decision.image_id,
        "name": standing.image.original_name,
        "decision": decision.pk,
        "replaces": standing.newest.pk if standing.newest else None,
        "verdict": decision.verdict,
        "label": decision.label,
        "reading_label": decision.reading_label,
        "comment": decision.comment,
    }


def _judged(actor: Actor, choice: Choice, standing: Standing, step: UUID) -> Decision:
    """The decision that the choice comes to, not stored yet. Raises `ReviewRefused` and `ReviewConflict`."""
    comment = _comment(choice.comment)
    verdict, label = _verdict(choice, standing)
    standing.refuse_unseen(choice.expected)
    if verdict == Decision.Verdict.WITHDRAW and standing.current is None:
        raise ReviewRefused(
            "nothing_decided", "Nobody has decided on this image: there is nothing to take back.", "verdict"
        )
    return Decision(
        image=standing.image,
        verdict=verdict,
        label=label,
        reading_label=standing.said,
        comment=comment,
        step=step,
        decided_by=actor.user,
    )


def _verdict(choice: Choice, standing: Standing) -> tuple[str, str]:
    """Verdict and class as they are stored."""
    if choice.verdict == Decision.Verdict.AGREE:
        return choice.verdict, _agreed(standing.said, choice.label)
    if choice.verdict == Decision.Verdict.OVERRIDE:
        label = _override(standing.image, choice.label)
        return (Decision.Verdict.AGREE if label == standing.said else Decision.Verdict.OVERRIDE), label
    if choice.verdict == Decision.Verdict.WITHDRAW:
        return choice.verdict, ""
    raise ReviewRefused(
        "verdict_unknown", "Choose to agree with the reading, to override it, or to withdraw.", "verdict"
    )


def _agreed(said: str, seen: str | None) -> str:
    if not said:
        raise ReviewRefused(
            "nothing_read",
            "There is no finished reading to agree with yet. Wait for it, or override with the class you see.",
            "verdict",
        )
    if seen and seen != said:
        raise ReviewRefused(
            "reading_changed",
            f"The reading says “{words(said)}” now, not “{words(seen)}” as the page showed. Look again, then decide.",
            "label",
        )
    return said


def _override(image: SmearImage, label: str | None) -> str:
    if not label:
        raise ReviewRefused("label_missing", "Choose the class that you see.", "label")
    if label not in TASKS[image.kind]:
        raise ReviewRefused(
            "label_unknown",
            f"“{label[:40]}” is no class of a {image.get_kind_display().lower()}. Choose one of: "
            f"{', '.join(TASKS[image.kind])}.",
            "label",
        )
    return label


def _comment(comment: str) -> str:
    comment = comment.replace("\r\n", "\n").strip()
    longest = Decision._meta.get_field("comment").max_length or 0
    if len(comment) > longest:
        raise ReviewRefused("comment_unfit", f"A comment holds {longest} characters. Shorten it.", "comment")
    if any(category(character) in ("Cc", "Cs") and character not in "\n\t" for character in comment):
        raise ReviewRefused(
            "comment_unfit", "The comment contains a character that is no text. Type it again.", "comment"
        )
    return comment


def _same(decision: Decision, actor: Actor, choice: Choice, standing: Standing) -> bool:
    """Whether the newest decision is what the actor says again."""
    said = (actor.user.pk, *_verdict(choice, standing), _comment(choice.comment))
    return said == (decision.decided_by_id, decision.verdict, decision.label, decision.comment)
