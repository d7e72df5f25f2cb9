"""Why something is not decided, in words."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from django.utils import timezone

from diagnosis.blinding import is_blinded
from mlcore.reading import words

if TYPE_CHECKING:
    from accounts.permissions import Actor
    from diagnosis.models import Case, Decision


class Unset(Enum):
    UNSET = "unset"


#: `expected` of a caller that has not looked at what stands (a script): it overwrites knowingly.
UNSET: Final = Unset.UNSET


class ReviewRefused(ValueError):  # noqa: N818
    """The decision cannot be taken; `str(error)` says why and what to do.

    `code`: verdict_unknown, label_missing, label_unknown, nothing_read, reading_changed, nothing_decided,
    comment_unfit or image_unknown of one image; signed, blinded, step_taken, too_many, nothing_to_undo,
    nothing_to_redo or step_changed of the whole step. `field`: the argument it is about.
    """

    def __init__(self, code: str, message: str, field: str) -> None:
        super().__init__(message)
        self.code, self.message, self.field = code, message, field


class ReviewConflict(Exception):  # noqa: N818
    """Somebody decided on the image after the page was shown. `decision` is what stands now (None: nothing does)."""

    code = "decided_meanwhile"

    def __init__(self, decision: Decision | None, *, undoing: bool = False) -> None:
        self.decision = decision
        if decision is None:
            self.message = "The decision that you saw does not stand any more. Look at the image again, then decide."
        else:
            said = f"decided on “{words(decision.label)}”" if decision.label else "took the decision back"
            when = f"{timezone.localtime(decision.decided_at):%H:%M on %d %B}"
            self.message = (
                f"{decision.decided_by} {said} at {when}, after your step. Theirs stays: select the image and decide "
                f"again if you differ."
                if undoing
                else f"{decision.decided_by} {said} at {when}, after you opened this page. Nothing of theirs was "
                f"overwritten: look at it, then decide again."
            )
        super().__init__(self.message)


def refuse_closed(case: Case) -> None:
    """Raise `ReviewRefused` "signed" where a report stands and is not being amended."""
    if case.is_closed:
        raise ReviewRefused(
            "signed",
            f"{case.accession_number} is signed, so nothing can be decided in it. Reopen it for an amendment first.",
            "case",
        )


def refuse_asked(actor: Actor, case: Case) -> None:
    """Raise `ReviewRefused` "blinded" while the actor's own second opinion on the case is awaited."""
    if is_blinded(actor=actor, case=case):
        raise ReviewRefused(
            "blinded",
            f"You are asked for a second opinion on {case.accession_number}: answer or decline first, then you can "
            f"decide on its images.",
            "case",
        )
