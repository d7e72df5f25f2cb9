"""Many cases are opened together: all of them, or none and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import OperationalError, transaction

from accounts.permissions import Action, require
from diagnosis import clinic

if TYPE_CHECKING:
    from accounts.permissions import Actor
    from diagnosis.models import Case

AT_ONCE = 200
_TRIES = 3
_DEADLOCK = "40P01"  # PostgreSQL: two that want the same patients in another order; one of them begins again


@dataclass(frozen=True, slots=True)
class NewCase:
    """`patient`, and what else `clinic.create_case` takes of a case."""

    accession_number: str
    patient: clinic.PatientData
    request: Mapping[str, Any] = field(default_factory=dict)


class ManyRefused(ValueError):  # noqa: N818 - it is the request that fails
    """Nothing was written. `errors`: by the place in the request, from 0, why that one cannot be opened."""

    def __init__(self, errors: Mapping[int, clinic.ClinicError]) -> None:
        super().__init__(f"{len(errors)} of the cases cannot be opened, so none was.")
        self.errors = errors


def create_cases(*, actor: Actor, cases: Sequence[NewCase]) -> list[Case]:
    """Open all of `cases` (`AT_ONCE` at most), in their order, or raise `ManyRefused` and leave all as it was."""
    require(actor, Action.CREATE_CASE)
    if len(cases) > AT_ONCE:
        raise ValueError(f"at most {AT_ONCE} cases at once")
    for _ in range(_TRIES - 1):
        try:
            return _create(actor, cases)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != _DEADLOCK:
                raise
    return _create(actor, cases)


def _create(actor: Actor, cases: Sequence[NewCase]) -> list[Case]:
    errors: dict[int, clinic.ClinicError] = {}
    opened: list[Case] = []
    first: dict[str, int] = {}
    with transaction.atomic():
        for place, new in enumerate(cases):
            before = first.setdefault(" ".join(new.accession_number.split()).casefold(), place)
            if before != place:
                errors[place] = clinic.ClinicError(
                    "repeated",
                    f"Accession {new.accession_number} stands in this request already, as number {before + 1}.",
                    "accession_number",
                )
                continue
            try:
                opened.append(
                    clinic.create_case(
                        actor=actor, accession_number=new.accession_number, patient=new.patient, **new.request
                    )
                )
            except clinic.ClinicError as error:
                errors[place] = error
        if errors:
            transaction.set_rollback(True)
    if errors:
        raise ManyRefused(errors)
    return opened
