"""Cases and patients: opening a case, and keeping a patient's record straight.

A patient is matched by medical record number, and never silently overwritten: what the record lacks is filled in,
what contradicts it is refused in words, because two people under one number is how a result reaches the wrong one.
"""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.permissions import Action, require
from diagnosis import assessment, audit, queue
from diagnosis.models import Case, Patient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.models import Laboratory
    from accounts.permissions import Actor

EARLIEST_BIRTH = date(1880, 1, 1)
#: What may be changed of a case once it is open.
REQUEST_FIELDS = ("priority", "clinical_question", "specimen", "stain", "requester_name", "requester_email")


class ClinicError(ValueError):
    """What a person asked cannot be done. `str(error)` says why and what to do.

    `code`: missing, too_long, unreadable, invalid, accession_taken, patient_differs, mrn_taken, or signed.
    `field`: the argument it is about, by its own name (a patient's fields too). `existing`: the primary key of the
    case or patient that stands in the way, or None.
    """

    def __init__(self, code: str, message: str, field: str, existing: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.field, self.existing = code, message, field, existing


class ClinicConflict(Exception):  # noqa: N818 - what the person is told, not only what went wrong
    """Somebody changed the same fields meanwhile. `record`: as it stands now; `fields`: those that both changed."""

    def __init__(self, record: Case | Patient, fields: list[str]) -> None:
        named = " and ".join(_label(type(record), name) for name in fields)
        super().__init__(f"Somebody else changed the {named} meanwhile. Compare both versions and save again.")
        self.record, self.fields = record, fields


@dataclass(frozen=True, slots=True)
class PatientData:
    """What somebody knows of a patient; empty means not known, never "delete what stands there"."""

    mrn: str
    name: str = ""
    birth_date: date | None = None
    sex: str = Patient.Sex.UNKNOWN
    clinical_notes: str = ""


def create_case(
    *,
    actor: Actor,
    accession_number: str,
    patient: PatientData,
    specimen: str = Case.Specimen.PERIPHERAL_BLOOD,
    stain: str = Case.Stain.MAY_GRUNWALD_GIEMSA,
    priority: str = Case.Priority.ROUTINE,
    clinical_question: str = "",
    requester_name: str = "",
    requester_email: str = "",
) -> Case:
    """Open a case in the actor's laboratory, on the patient with this number or on a new one.

    Two that open the same accession number at once: one gets the case, the other `ClinicError` accession_taken.
    Two that bring the same new number at once: both get the same patient. Numbers are compared without regard to
    upper and lower case. Raises `ClinicError`, and `PermissionDenied` where the actor may not.
    """
    require(actor, Action.CREATE_CASE)
    case = Case(
        laboratory=actor.laboratory,
        accession_number=_number(Case, "accession_number", accession_number),
        specimen=_choice(Case, "specimen", specimen),
        stain=_choice(Case, "stain", stain),
        priority=_choice(Case, "priority", priority),
        clinical_question=_text(Case, "clinical_question", clinical_question),
        requester_name=_text(Case, "requester_name", requester_name),
        requester_email=_email(requester_email),
        created_by=actor.user,
    )
    case.due_at = due(case)
    known = _checked(patient)
    with transaction.atomic():
        _refuse_taken(case)
        case.patient = _match(actor, known)
        try:
            with transaction.atomic():
                case.save(force_insert=True)
        except IntegrityError:
            _refuse_taken(case)
            raise
        audit.record(
            actor=actor,
            action="case.created",
            case=case,
            subject=f"case {case.pk}",
            accession_number=case.accession_number,
            patient=case.patient_id,
            mrn=case.patient.mrn,
            specimen=case.specimen,
            stain=case.stain,
            priority=case.priority,
            clinical_question=case.clinical_question,
            requester_name=case.requester_name,
            requester_email=case.requester_email,
        )
    return case


def update_case(*, actor: Actor, case: Case, seen: Mapping[str, Any] | None = None, **changes: Any) -> Case:
    """Change the given fields (of `REQUEST_FIELDS`) of a case, audited; the due time and the queue follow the
    priority, the assessment the specimen. Answers the case as it stands now.

    `seen`: the values that the person saw; where another came since in a field that they change, `ClinicConflict`.
    A signed case keeps what its report rests on: only the requester can still be changed. Raises `ClinicError`,
    `PermissionDenied`, `Case.DoesNotExist`.
    """
    require(actor, Action.EDIT_CASE)
    if unknown := changes.keys() - set(REQUEST_FIELDS):
        raise TypeError(f"of a case these cannot be changed: {', '.join(sorted(unknown))}")
    with transaction.atomic():
        rows = Case.objects.select_for_update(no_key=True, of=("self",)).select_related("laboratory", "patient")
        record = rows.get(pk=case.pk, laboratory=actor.laboratory)
        new = {name: _request_field(name, value) for name, value in changes.items()}
        changed = {name: value for name, value in new.items() if value != getattr(record, name)}
        if not changed:
            return record
        _refuse_overtaken(record, changed, seen)
        fixed = [name for name in changed if not name.startswith("requester")]
        if record.is_closed and fixed:
            raise ClinicError(
                "signed",
                f"This case is signed, and its report states the {_label(Case, fixed[0])}. Begin an amendment first.",
                fixed[0],
            )
        kept = {name: [getattr(record, name), value] for name, value in changed.items()}
        for name, value in changed.items():
            setattr(record, name, value)
        record.due_at = due(record)
        record.save(update_fields=[*changed, "due_at"])
        audit.record(actor=actor, action="case.updated", case=record, subject=f"case {record.pk}", changes=kept)
        if "priority" in changed:
            queue.follow_priority(record)
        if "specimen" in changed:
            assessment.refresh(record.pk)
    return record


def due(case: Case) -> datetime:
    """When a report should be signed: the laboratory's target hours for the priority after the case was opened."""
    laboratory = case.laboratory
    hours = laboratory.urgent_hours if case.priority == Case.Priority.URGENT else laboratory.routine_hours
    return case.created_at + timedelta(hours=hours)


def update_patient(*, actor: Actor, patient: Patient, seen: Mapping[str, Any] | None = None, **changes: Any) -> Patient:
    """Change the given fields (of `PatientData`) of a patient of the actor's laboratory, on purpose, audited.

    Unlike in `create_case`, a given empty value empties the field. `seen`: as in `update_case`. Answers the patient
    as it stands now. Raises `ClinicError` (mrn_taken: another patient has that number), `ClinicConflict`,
    `PermissionDenied`, `Patient.DoesNotExist`.
    """
    require(actor, Action.EDIT_PATIENT)
    if unknown := changes.keys() - {field.name for field in fields(PatientData)}:
        raise TypeError(f"a patient has no {', '.join(sorted(unknown))}")
    with transaction.atomic():
        record = Patient.objects.select_for_update(no_key=True).get(pk=patient.pk, laboratory=actor.laboratory)
        stands = {field.name: getattr(record, field.name) for field in fields(PatientData)}
        new = asdict(_checked(PatientData(**{**stands, **changes})))
        changed = {name: value for name, value in new.items() if value != stands[name]}
        _refuse_overtaken(record, changed, seen)
        if "mrn" in changed and (other := _by_mrn(actor.laboratory, new["mrn"])) and other.pk != record.pk:
            raise _mrn_taken(other)
        try:
            with transaction.atomic():
                _write(actor, record, changed, filled=False)
        except IntegrityError as error:
            if other := _by_mrn(actor.laboratory, new["mrn"]):
                raise _mrn_taken(other) from error
            raise
    return record


def _refuse_overtaken(record: Case | Patient, changed: Mapping[str, Any], seen: Mapping[str, Any] | None) -> None:
    """Refuse to cover what somebody else wrote since. Fields that only one of them changed are no conflict."""
    overtaken = [name for name in changed if seen is not None and name in seen and seen[name] != getattr(record, name)]
    if overtaken:
        raise ClinicConflict(record, overtaken)


def _request_field(name: str, value: Any) -> str:
    if name == "requester_email":
        return _email(value)
    return _choice(Case, name, value) if name in ("priority", "specimen", "stain") else _text(Case, name, value)


def _match(actor: Actor, known: PatientData) -> Patient:
    """The patient with this number, blanks filled in, or a new one; the row is locked until the commit."""
    record, created = Patient.objects.get_or_create(
        laboratory=actor.laboratory, mrn__iexact=known.mrn, defaults=asdict(known)
    )
    if created:
        audit.record(actor=actor, action="patient.created", subject=f"patient {record.pk}", mrn=record.mrn)
        return record
    record = Patient.objects.select_for_update(no_key=True).get(pk=record.pk)
    fill: dict[str, Any] = {}
    for name, label in (("name", "name"), ("birth_date", "birth date"), ("sex", "sex")):
        given, stands = getattr(known, name), getattr(record, name)
        if not given or given == Patient.Sex.UNKNOWN or _same(given, stands):
            continue
        if stands and stands != Patient.Sex.UNKNOWN:
            raise ClinicError(
                "patient_differs",
                f"The record of MRN {record.mrn} has the {label} {_shown(stands)}, not {_shown(given)}. Check the "
                f"number on the request form. If it is right, correct the patient's record first or leave the "
                f"{label} out; if it is another person, use their own number.",
                name,
                record.pk,
            )
        fill[name] = given
    if known.clinical_notes and known.clinical_notes not in record.clinical_notes:
        # Notes cannot contradict one another: what is new stands below what was there.
        fill["clinical_notes"] = _text(
            Patient, "clinical_notes", f"{record.clinical_notes}\n\n{known.clinical_notes}".strip()
        )
    _write(actor, record, fill, filled=True)
    return record


def _write(actor: Actor, record: Patient, changed: dict[str, Any], *, filled: bool) -> None:
    if not changed:
        return
    changes = {name: [getattr(record, name), value] for name, value in changed.items()}
    for name, value in changed.items():
        setattr(record, name, value)
    record.save(update_fields=list(changed))
    audit.record(actor=actor, action="patient.updated", subject=f"patient {record.pk}", changes=changes, filled=filled)


def _refuse_taken(case: Case) -> None:
    taken = (
        Case.objects.filter(laboratory=case.laboratory, accession_number__iexact=case.accession_number)
        .select_related("patient", "created_by")
        .first()
    )
    if taken:
        raise ClinicError(
            "accession_taken",
            f"Accession {taken.accession_number} is a case already: {taken.created_by} opened it on "
            f"{timezone.localtime(taken.created_at):%d %B %Y} for MRN {taken.patient.mrn}. Open that case to add "
            f"images, or check the number.",
            "accession_number",
            taken.pk,
        )


def _by_mrn(laboratory: Laboratory, mrn: str) -> Patient | None:
    return Patient.objects.filter(laboratory=laboratory, mrn__iexact=mrn).first()


def _mrn_taken(other: Patient) -> ClinicError:
    return ClinicError(
        "mrn_taken",
        f"MRN {other.mrn} belongs to another patient of this laboratory. Check the number.",
        "mrn",
        other.pk,
    )


def _checked(data: PatientData) -> PatientData:
    born = data.birth_date
    if born is not None and not EARLIEST_BIRTH <= born <= timezone.localdate():
        raise ClinicError(
            "invalid",
            f"The birth date {born:%d %B %Y} cannot be right: give one between 1880 and today.",
            "birth_date",
        )
    return PatientData(
        mrn=_number(Patient, "mrn", data.mrn),
        name=" ".join(_text(Patient, "name", data.name).split()),
        birth_date=born,
        sex=_choice(Patient, "sex", data.sex or Patient.Sex.UNKNOWN),
        clinical_notes=_text(Patient, "clinical_notes", data.clinical_notes),
    )


def _number(model: type[Case] | type[Patient], name: str, value: str) -> str:
    """An accession or record number: one line, spaces around it and doubled spaces taken out, never empty."""
    number = " ".join(_text(model, name, value).split())
    if not number:
        raise ClinicError("missing", f"Give the {_label(model, name)}.", name)
    return number


def _text(model: type[Case] | type[Patient], name: str, value: str) -> str:
    text = unicodedata.normalize("NFC", value).replace("\r\n", "\n").strip()
    if any(unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t" for character in text):
        raise ClinicError(
            "unreadable", f"The {_label(model, name)} contains a character that is no text. Type it again.", name
        )
    longest = model._meta.get_field(name).max_length  # type: ignore[union-attr]
    if longest is not None and len(text) > longest:
        raise ClinicError(
            "too_long", f"The {_label(model, name)} has {len(text)} characters; {longest} fit. Shorten it.", name
        )
    return text


def _email(value: str) -> str:
    address = value.strip()
    try:
        if address:
            validate_email(address)
    except ValidationError as error:
        raise ClinicError(
            "invalid", "The requester's e-mail address is not one. Correct it or leave it empty.", "requester_email"
        ) from error
    return address


def _choice(model: type[Case] | type[Patient], name: str, value: str) -> str:
    allowed = [str(key) for key, _ in model._meta.get_field(name).choices or ()]  # type: ignore[union-attr]
    if value not in allowed:
        raise ClinicError("invalid", f"The {_label(model, name)} must be one of: {', '.join(allowed)}.", name)
    return str(value)


def _label(model: type[Case] | type[Patient], name: str) -> str:
    return str(model._meta.get_field(name).verbose_name)  # type: ignore[union-attr]


def _same(given: object, stands: object) -> bool:
    if isinstance(given, str) and isinstance(stands, str):
        return given.casefold() == stands.casefold()
    return given == stands


def _shown(value: object) -> str:
    return f"{value:%d %B %Y}" if isinstance(value, date) else f"“{value}”"
