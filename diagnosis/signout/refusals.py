"""What a step of the sign-out refuses, in words; and the lock that every step takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from accounts.permissions import visible
from diagnosis.models import Case
from diagnosis.reporting.canonical import clean

if TYPE_CHECKING:
    from accounts.permissions import Actor
    from diagnosis.signout.gaps import Missing


class SignoutRefused(ValueError):  # noqa: N818 - what the person is told, not only what went wrong
    """It cannot be done; `str(error)` says why and what to do.

    `code`: signed, not_signed, not_ready, held, no_change, decided_since, picture_gone, taken, or what is wrong with
    a `field`: empty, too_long, unknown, too_many.
    """

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.field = code, message, field


class NotReady(SignoutRefused):
    """Something keeps the case from being signed; `missing` is the list."""

    def __init__(self, missing: Sequence[Missing]) -> None:
        super().__init__("not_ready", " ".join(gap.words for gap in missing))
        self.missing = list(missing)


class PreviewChanged(Exception):  # noqa: N818
    """What would be signed now is not what the person saw. `sections`: what changed, in words."""

    def __init__(self, sections: Sequence[str]) -> None:
        self.sections = list(sections)
        super().__init__(
            f"Nothing was signed: since you opened the preview this changed: {', '.join(sections)}. "
            "Read the preview below again, then sign."
        )


def locked(actor: Actor, case: Case) -> Case:
    """The case's row, locked until the transaction ends, patient, laboratory and holder joined.

    Raises `Case.DoesNotExist` for a case of another laboratory.
    """
    rows = visible(Case.objects.select_related("patient", "laboratory", "held_by"), actor)
    return rows.select_for_update(no_key=True, of=("self",)).get(pk=case.pk)


def text_of(value: str, field: str, what: str, longest: int, *, needed: bool = False) -> str:
    """`value` as it may stand in a report. Raises `SignoutRefused` where it is too long, or empty but `needed`."""
    value = clean(value)
    if needed and not value:
        raise SignoutRefused("empty", f"Write {what}.", field)
    if len(value) > longest:
        raise SignoutRefused(
            "too_long",
            f"{what[:1].upper()}{what[1:]} has {len(value):,} characters; {longest:,} fit. Shorten it.",
            field,
        )
    return value
