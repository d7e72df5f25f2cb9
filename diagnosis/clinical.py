"""What other instruments found of a case's patient: blood count, cytogenetics, immunophenotype. Their one writer.

A value that cannot be is refused, and where it looks like another unit the converted one is offered; a value that is
only rare is asked about once. Whoever saves names the revision that they saw, so that nobody covers what came since.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from accounts.permissions import Action, require
from diagnosis import audit
from diagnosis.models import Case, ClinicalData
from diagnosis.vocabulary import CYTOGENETICS, MARKER_STATES, MARKERS

if TYPE_CHECKING:
    from accounts.permissions import Actor


class ClinicalError(ValueError):
    """What was entered cannot be stored. `str(error)` says why and what to do.

    `code`: impossible, rare (stored when confirmed), invalid, too_long or unreadable. `field`: which one it is about.
    `offer`: the value in the right unit, where the entered one looks like another unit; else None.
    """

    def __init__(self, code: str, message: str, field: str, offer: float | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.field, self.offer = code, message, field, offer


class ClinicalConflict(Exception):  # noqa: N818 - what the person is told, not only what went wrong
    """Other clinical data stand than the person saw. `current`: those that stand, revision 0 where none do."""

    def __init__(self, current: ClinicalData) -> None:
        super().__init__(
            f"{current.updated_by} saved other clinical data meanwhile. Compare both versions and save again."
            if current.revision
            else "No clinical data have been entered here yet, so none can be changed. Look at the case again."
        )
        self.current = current


@dataclass(frozen=True, slots=True)
class Quantity:
    """One figure of the blood count.

    Above `most` it is refused as impossible, above `rare` (or below `rare_low`) it is asked about. `slips`: factors
    that lead from a unit that people mistake it for to ours, with that unit's name.
    """

    name: str
    unit: str
    most: float
    rare: float
    rare_low: float = 0.0
    slips: tuple[tuple[float, str], ...] = ()


#: Field → what it is. The bounds are generous: the highest counts that were reported of hyperleukocytic leukaemia
#: (about 1,000), of essential thrombocythaemia (about 5,000) and of polycythaemia (about 25 g/dl) fit in.
QUANTITIES = {
    "wbc": Quantity("White cells", "10⁹/l", 1_500, 500, slips=((1e-3, "/µl"),)),
    "haemoglobin": Quantity("Haemoglobin", "g/dl", 26, 21, 3, slips=((0.1, "g/l"),)),
    "platelets": Quantity("Platelets", "10⁹/l", 6_000, 2_000, slips=((1e-3, "/µl"),)),
    "blasts": Quantity("Blasts by counter", "%", 100, 100),
}
_TEXTS = {"cytogenetics_text": "cytogenetics", "immunophenotype_text": "immunophenotype"}
_LONGEST = 4_000
FIELDS = ("counted_on", *QUANTITIES, "cytogenetics", "cytogenetics_text", "immunophenotype", "immunophenotype_text")
#: Every marker, in the order of the vocabulary.
ALL_MARKERS = tuple(marker for group in MARKERS.values() for marker in group)


def of_case(case: Case) -> ClinicalData:
    """The clinical data of a case; without any an empty, unsaved one of revision 0. No query where they are joined."""
    try:
        return case.clinical
    except ClinicalData.DoesNotExist:
        return ClinicalData(case=case, revision=0)


def save(
    *, actor: Actor, case: Case, expected_revision: int, confirmed: Collection[str] = (), **fields: Any
) -> ClinicalData:
    """Store the given fields (of `FIELDS`) of a case's clinical data; what is not given stays as it is.

    `expected_revision`: the one that the person saw, 0 where there was none. `confirmed`: fields whose rare value the
    person has looked at again. Where nothing differs nothing is written. Raises `ClinicalError`,
    `ClinicalConflict`, and `PermissionDenied` where the actor may not.
    """
    require(actor, Action.EDIT_CLINICAL)
    if unknown := fields.keys() - set(FIELDS):
        raise TypeError(f"clinical data have no {', '.join(sorted(unknown))}")
    with transaction.atomic():
        # The case's row is what two writers of the first clinical data meet at.
        case = Case.objects.select_for_update(no_key=True, of=("self",)).select_related("patient").get(pk=case.pk)
        if case.laboratory_id != actor.laboratory.pk:
            raise PermissionDenied("This case belongs to another laboratory.")
        stands = ClinicalData.objects.select_related("updated_by").filter(case=case).first()
        record = stands or ClinicalData(case=case, revision=0)
        if record.revision != expected_revision:
            raise ClinicalConflict(record)
        new = {name: _checked(name, value, case, confirmed) for name, value in fields.items()}
        changes = {
            name: [getattr(record, name), value] for name, value in new.items() if value != getattr(record, name)
        }
        if not changes:
            return record
        for name, (_, value) in changes.items():
            setattr(record, name, value)
        record.revision += 1
        record.updated_by, record.updated_at = actor.user, timezone.now()
        record.save()
        audit.record(
            actor=actor,
            action="clinical.saved",
            case=case,
            subject=f"case {case.pk}",
            revision=record.revision,
            changes=changes,
        )
    return record


def problems(case: Case, *, confirmed: Collection[str] = (), **fields: Any) -> list[ClinicalError]:
    """All that `save` would refuse of the given fields, so that a person can mend it in one go."""
    found = []
    for name, value in fields.items():
        try:
            _checked(name, value, case, confirmed)
        except ClinicalError as error:
            found.append(error)
    return found


def _checked(name: str, value: Any, case: Case, confirmed: Collection[str]) -> Any:
    if name in QUANTITIES:
        return None if value is None else _quantity(name, float(value), name in confirmed)
    if name == "counted_on":
        return _counted_on(value, case)
    if name == "cytogenetics":
        codes = set(value or ())
        if unknown := codes - CYTOGENETICS.keys():
            raise ClinicalError("invalid", f"No such finding is known: {', '.join(sorted(unknown))}.", name)
        return [code for code in CYTOGENETICS if code in codes]
    if name == "immunophenotype":
        states = dict(value or {})
        if unknown := states.keys() - set(ALL_MARKERS):
            raise ClinicalError("invalid", f"No such marker is known: {', '.join(sorted(unknown))}.", name)
        if wrong := [marker for marker, state in states.items() if state not in MARKER_STATES]:
            raise ClinicalError("invalid", f"{wrong[0]} must be one of: {', '.join(MARKER_STATES)}.", name)
        return {marker: states[marker] for marker in ALL_MARKERS if marker in states}
    return _text(name, value or "")


def _quantity(name: str, value: float, is_confirmed: bool) -> float:
    """`value` where it can be. Nothing is converted silently: the person says which unit they meant."""
    what = QUANTITIES[name]
    if not math.isfinite(value) or value < 0:
        raise ClinicalError("impossible", f"{what.name} must be a number from 0 on, in {what.unit}.", name)
    other = next(((round(value * factor, 3), unit) for factor, unit in what.slips if value * factor <= what.rare), None)
    meant = f" If you meant {shown(value)} {other[1]}, that is {shown(other[0])} {what.unit}." if other else ""
    offer = other[0] if other else None
    if value > what.most:
        raise ClinicalError(
            "impossible",
            f"{what.name} of {shown(value)} {what.unit} cannot be; the most is {shown(what.most)}.{meant}",
            name,
            offer,
        )
    if not is_confirmed and (value > what.rare or value < what.rare_low):
        offer = offer if value > what.rare else None
        raise ClinicalError(
            "rare",
            f"{what.name} of {shown(value)} {what.unit} is very rare.{meant if offer else ''} Correct it, or confirm "
            f"that it is right.",
            name,
            offer,
        )
    return value


def _counted_on(value: date | None, case: Case) -> date | None:
    if value is None:
        return None
    if value > timezone.localdate():
        raise ClinicalError("impossible", f"{value:%d %B %Y} is in the future. Check the date.", "counted_on")
    born = case.patient.birth_date
    if born and value < born:
        raise ClinicalError(
            "impossible",
            f"{value:%d %B %Y} is before the patient was born ({born:%d %B %Y}). Check the date.",
            "counted_on",
        )
    if value.year < 1950:
        raise ClinicalError("impossible", f"{value:%d %B %Y} cannot be right. Check the year.", "counted_on")
    return value


def _text(name: str, value: str) -> str:
    text = unicodedata.normalize("NFC", value).replace("\r\n", "\n").strip()
    if any(unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t" for character in text):
        raise ClinicalError(
            "unreadable", f"The text on the {_TEXTS[name]} contains a character that is no text. Type it again.", name
        )
    if len(text) > _LONGEST:
        raise ClinicalError(
            "too_long",
            f"The text on the {_TEXTS[name]} has {len(text)} characters; {_LONGEST} fit. Shorten it.",
            name,
        )
    return text


def shown(value: float) -> str:
    """A figure as people write it: 12.0 → "12", 8.25 → "8.25", 150000 → "150,000"."""
    return f"{value:,.3f}".rstrip("0").rstrip(".")
