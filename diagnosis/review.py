"""What a pathologist decides, image by image. The newest decision of an image counts, the older ones stay."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, Literal
from unicodedata import category

from django.db import transaction
from django.utils import timezone

from accounts.permissions import Action, require
from diagnosis import assessment, audit
from diagnosis.models import Case, Decision, SmearImage
from mlcore.bundle import TASKS
from mlcore.reading import words

if TYPE_CHECKING:
    from accounts.permissions import Actor


class _Unset(Enum):
    UNSET = "unset"


#: `expected_decision` of a caller that has not looked at what stands (a script): it overwrites knowingly.
UNSET: Final = _Unset.UNSET


class ReviewRefused(ValueError):  # noqa: N818
    """The decision cannot be taken; `str(error)` says why and what to do.

    `code`: verdict_unknown, label_missing, label_unknown, nothing_read, reading_changed or comment_unfit.
    `field`: the argument it is about.
    """

    def __init__(self, code: str, message: str, field: str) -> None:
        super().__init__(message)
        self.code, self.message, self.field = code, message, field


class ReviewConflict(Exception):  # noqa: N818
    """Somebody decided on the image after the page was shown. `decision` is what stands now (None: nothing does)."""

    def __init__(self, decision: Decision | None) -> None:
        self.decision = decision
        if decision is None:
            self.message = "The decision that you saw does not stand any more. Look at the image again, then decide."
        else:
            when = timezone.localtime(decision.decided_at)
            self.message = (
                f"{decision.decided_by} decided on “{words(decision.label)}” at {when:%H:%M on %d %B}, after "
                f"you opened this page. Nothing of theirs was overwritten: look at it, then decide again."
            )
        super().__init__(self.message)


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
    expected_decision: int | Literal[_Unset.UNSET] | None = UNSET,
) -> Decision:
    """Store what the actor says of an image and refresh the case.

    `verdict` "agree" takes the reading's class and needs a finished reading; with a `label`, that is the class the
    person saw, and a reading that has changed since is refused. "override" needs a `label` of the image's kind and
    is allowed at any time, also while the networks still read or have failed; naming the reading's own class is
    stored as the agreement it is. `expected_decision` is the key of the decision that the person saw (None: there
    was none). The same person sending the same decision twice gets the first one back.

    Raises `ReviewRefused`, `ReviewConflict`, `PermissionDenied`, and `SmearImage.DoesNotExist` for an image of
    another laboratory.
    """
    require(actor, Action.DECIDE)
    comment = _comment(comment)
    if verdict not in Decision.Verdict.values:
        raise ReviewRefused("verdict_unknown", "Choose to agree with the reading or to override it.", "verdict")
    with transaction.atomic():
        # Locking the case orders the decisions on its images; the kind cannot change meanwhile unseen.
        case = Case.objects.select_for_update(no_key=True).get(pk=image.case_id)
        image = SmearImage.objects.get(pk=image.pk, case__laboratory=actor.laboratory)
        reading = assessment.image_reading(assessment.current_analyses([image])[image.pk])
        said = reading.label if reading else ""
        if verdict == Decision.Verdict.AGREE:
            label = _agreed(said, label)
        else:
            label = _override(image, label)
            verdict = Decision.Verdict.AGREE if label == said else Decision.Verdict.OVERRIDE
        newest = image.decisions.select_related("decided_by").order_by("-id").first()
        if newest is not None and _same(newest, actor, verdict, label, comment):
            return newest
        if expected_decision is not UNSET and expected_decision != (newest.pk if newest else None):
            raise ReviewConflict(newest)
        decision = Decision.objects.create(
            image=image, verdict=verdict, label=label, reading_label=said, comment=comment, decided_by=actor.user
        )
        audit.record(
            actor=actor,
            action="image.decided",
            case=case,
            subject=f"image {image.pk}",
            name=image.original_name,
            decision=decision.pk,
            replaces=newest.pk if newest else None,
            verdict=decision.verdict,
            label=decision.label,
            reading_label=decision.reading_label,
            comment=decision.comment,
        )
        assessment.refresh(case.pk)
    return decision


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


def _same(decision: Decision, actor: Actor, verdict: str, label: str, comment: str) -> bool:
    return (decision.decided_by_id, decision.verdict, decision.label, decision.comment) == (
        actor.user.pk,
        verdict,
        label,
        comment,
    )
