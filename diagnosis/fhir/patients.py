"""Patient: a person by medical record number within the token's laboratory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import CharField, Max, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Cast, Coalesce, Concat

from accounts.permissions import visible
from diagnosis.fhir import codes, parts
from diagnosis.fhir.outcome import Refusal
from diagnosis.fhir.parts import Look, Resource
from diagnosis.fhir.searching import Page, Param, Query, any_of, before, every, row_id
from diagnosis.models import AuditEvent, Patient

TYPE = "Patient"
PARAMS = {
    "_id": Param("token", "The id, or several by comma."),
    "identifier": Param("token", "The medical record number, alone or as system|value; capitals do not matter."),
    "name": Param("string", "Words that begin a part of the name; all must occur."),
    "birthdate": Param("date", "Day, month or year, with eq, ne, gt, lt, ge or le."),
    "gender": Param("token", "female, male, other or unknown."),
    "_lastUpdated": Param("date", "When the record was opened or changed last."),
}


def read(look: Look, resource_id: str) -> Resource | None:
    found = _visible(look).filter(pk=row_id(resource_id)).first()
    return _resources(look, [found])[0] if found else None


def several(look: Look, ids: Iterable[str]) -> list[Resource]:
    return _resources(look, list(_visible(look).filter(pk__in=[row_id(one) for one in ids]).order_by("-pk")))


def search(look: Look, query: Query) -> Page:
    found = _visible(look).filter(every(query.ids("_id"), "pk"), query.between("birthdate", "birth_date", day=True))
    for numbers in query.codes("identifier", look.naming("mrn")):
        found = found.filter(any_of("mrn", numbers))
    for value in query.given.get("name", []):
        for word in value.split():
            found = found.filter(Q(name__istartswith=word) | Q(name__icontains=f" {word}"))
    for genders in query.codes("gender", "http://hl7.org/fhir/administrative-gender"):
        if unknown := genders - set(Patient.Sex.values):
            raise Refusal("value", f"gender: {', '.join(sorted(unknown))[:60]} is no code of it.", "gender")
        found = found.filter(sex__in=genders)
    if "_lastUpdated" in query.given:
        found = found.annotate(changed=_change()).filter(query.between("_lastUpdated", "changed"))
    total = found.count()
    rows = list(found.filter(before(query.cursor)).order_by("-pk")[: query.count + 1])
    more = len(rows) > query.count
    rows = rows[: query.count]
    return Page(total, _resources(look, rows), str(rows[-1].pk) if more and rows else "")


def _visible(look: Look) -> QuerySet[Patient]:
    return visible(Patient.objects.all(), look.actor)


def _resources(look: Look, rows: list[Patient]) -> list[Resource]:
    changed = _changed(look, rows)
    return [_resource(look, row, changed.get(f"patient {row.pk}", row.created_at)) for row in rows]


def _change() -> Coalesce:
    """The same as a column."""
    subject = Concat(Value("patient "), Cast(OuterRef("pk"), CharField()))
    events = AuditEvent.objects.filter(laboratory=OuterRef("laboratory"), case=None, subject=subject).order_by()
    return Coalesce(Subquery(events.values("subject").annotate(last=Max("at")).values("last")), "created_at")


def _changed(look: Look, rows: list[Patient]) -> dict[str, datetime]:
    """When each record was changed last, from the audit: the record itself does not say. One query."""
    subjects = [f"patient {row.pk}" for row in rows]
    events = AuditEvent.objects.filter(laboratory=look.actor.laboratory, case=None, subject__in=subjects)
    return dict(events.order_by().values_list("subject").annotate(Max("at")))


def _resource(look: Look, patient: Patient, updated: datetime) -> Resource:
    body = parts.filled(
        {
            "resourceType": TYPE,
            "id": str(patient.pk),
            "identifier": [
                {
                    "use": "usual",
                    "type": parts.concept(codes.MRN),
                    "system": look.naming("mrn"),
                    "value": patient.mrn,
                    "assigner": {"display": look.actor.laboratory.name},
                }
            ],
            "name": [{"use": "usual", "text": patient.name}] if patient.name else [],
            "gender": patient.sex,
            "birthDate": patient.birth_date.isoformat() if patient.birth_date else "",
            "managingOrganization": parts.organization(look.actor.laboratory),
        }
    )
    return Resource(body, updated)
