"""DiagnosticReport: what a case states, and the PDF of its signed version (Binary).

There is one for each case, so that a report that is amended stays the same resource with another status. While an
amendment is open, the signed version stands; before the first signature the status says how far the case is.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Greatest

from accounts.permissions import visible
from diagnosis.fhir import codes, observations, parts
from diagnosis.fhir.parts import Look, Resource
from diagnosis.fhir.searching import Page, Param, Query, any_of, before, every, row_id
from diagnosis.models import Case, Report, SmearImage
from diagnosis.vocabulary import DIAGNOSES

TYPE = "DiagnosticReport"
PARAMS = {
    "_id": Param("token", "The id, or several by comma."),
    "identifier": Param("token", "The accession number, alone or as system|value; capitals do not matter."),
    "patient": Param("reference", "Whose it is: 12 or Patient/12."),
    "subject": Param("reference", "As patient."),
    "status": Param("token", "registered, partial, preliminary, final, amended, corrected or appended."),
    "date": Param("date", "When the case was received, with eq, ne, gt, lt, ge or le."),
    "issued": Param("date", "When the signed version was signed."),
    "code": Param("token", "What kind of report: LOINC 5909-7 or 48807-2."),
    "category": Param("token", "Always HM."),
    "conclusion-code": Param("token", "An ICD-O-3 morphology of a signed report."),
    "_lastUpdated": Param("date", "When anything in it changed: for polling."),
}
#: Of a signed version.
SIGNED = {
    Report.Kind.ORIGINAL: "final",
    Report.Kind.AMENDMENT: "amended",
    Report.Kind.CORRECTION: "corrected",
    Report.Kind.ADDENDUM: "appended",
}
#: Of a case without one. `partial`: "data in the report may be incomplete or unverified", which a network's reading
#: always is; `preliminary`: "verified early results are available", which takes a person.
OPEN = {
    Case.Status.RECEIVED: "registered",
    Case.Status.READING: "partial",
    Case.Status.ATTENTION: "partial",
    Case.Status.READY: "partial",
    Case.Status.IN_REVIEW: "preliminary",
    Case.Status.REVIEWED: "preliminary",
}


def read(look: Look, resource_id: str) -> Resource | None:
    found = list(_visible(look).filter(pk=row_id(resource_id)))
    return _resources(look, found)[0] if found else None


def several(look: Look, ids: Iterable[str]) -> list[Resource]:
    return _resources(look, list(_visible(look).filter(pk__in=[row_id(one) for one in ids]).order_by("-pk")))


def search(look: Look, query: Query) -> Page:
    found = _visible(look).filter(
        every(query.ids("_id"), "pk"),
        every(query.patients(look.base), "patient"),
        query.between("date", "created_at"),
        query.between("issued", "signed_at"),
        query.between("_lastUpdated", "changed"),
    )
    for numbers in query.codes("identifier", look.naming("accession")):
        found = found.filter(any_of("accession_number", numbers))
    for states in query.codes("status", "http://hl7.org/fhir/diagnostic-report-status"):
        found = found.filter(_in_states(look, states))
    for kinds in query.codes("code", codes.LOINC):
        found = found.filter(specimen__in=[name for name, code in codes.REPORT.items() if code[1] in kinds])
    for sections in query.codes("category", codes.SERVICE_SECTION):
        found = found if codes.HAEMATOLOGY[1] in sections else found.none()
    for diagnoses in query.codes("conclusion-code", codes.ICD_O_3):
        found = found.filter(Q(("signed_diagnosis__in", diagnoses)))
    if query.given.keys() & {"issued", "conclusion-code"}:
        found = found.exclude(pk__in=look.hidden)
    total = found.count()
    rows = list(found.filter(before(query.cursor)).order_by("-pk")[: query.count + 1])
    more = len(rows) > query.count
    rows = rows[: query.count]
    return Page(total, _resources(look, rows), str(rows[-1].pk) if more and rows else "")


def pdf(look: Look, resource_id: str) -> Report | None:
    """A signed version with its document, whatever version it is."""
    found = visible(Report.objects.all(), look.actor, "case__laboratory").select_related("case")
    return found.exclude(case__in=look.hidden).filter(pk=row_id(resource_id)).first()


def _visible(look: Look) -> QuerySet[Case]:
    newest = Report.objects.filter(case=OuterRef("pk")).order_by("-version")
    return (
        visible(Case.objects.all(), look.actor)
        .select_related("patient", "clinical__updated_by")
        .annotate(
            changed=Greatest(
                F("created_at"),
                Coalesce("assessed_at", "created_at"),
                Coalesce("signed_at", "created_at"),
                Coalesce("clinical__updated_at", "created_at"),
            ),
            signed_kind=Subquery(newest.values("kind")[:1]),
            signed_diagnosis=Subquery(newest.values(code=KT("content__diagnosis__code"))[:1]),
        )
    )


def _in_states(look: Look, states: set[str]) -> Q:
    """Cases whose report is in one of `states`, as the reader sees it."""
    hidden = Q(pk__in=look.hidden)
    seen = Q(signed_kind__in=[kind for kind, state in SIGNED.items() if state in states]) | Q(
        signed_kind=None, status__in=[status for status, state in OPEN.items() if state in states]
    )
    received = Q(status=Case.Status.RECEIVED)
    blind = [hidden & received] * ("registered" in states) + [hidden & ~received] * ("partial" in states)
    return reduce(or_, blind, seen & ~hidden)


def _resources(look: Look, cases: list[Case]) -> list[Resource]:
    newest: dict[int, Report] = {}
    reports = Report.objects.filter(case__in=cases).defer("pdf").select_related("signed_by")
    for report in reports.order_by("version"):
        newest[report.case_id] = report
    results: dict[int, list[observations.Item]] = {case.pk: [] for case in cases}
    for item in observations.of_cases(look, cases):
        results[item.case.pk].append(item)
    pictures: dict[int, list[int]] = {case.pk: [] for case in cases}
    for pk, case_id in SmearImage.objects.filter(case__in=cases).order_by("id").values_list("pk", "case_id"):
        pictures[case_id].append(pk)
    return [_resource(look, case, newest.get(case.pk), results[case.pk], pictures[case.pk]) for case in cases]


def _resource(
    look: Look, case: Case, report: Report | None, results: list[observations.Item], pictures: list[int]
) -> Resource:
    hidden = case.pk in look.hidden  # `case` is what the networks alone say of it then
    report = None if hidden else report
    status = SIGNED[Report.Kind(report.kind)] if report else OPEN[Case.Status(case.status)]
    issued = report.signed_at if report else case.created_at if hidden else case.assessed_at or case.created_at
    conclusion = _conclusion(report.content) if report else ""
    body = parts.filled(
        {
            "resourceType": TYPE,
            "id": str(case.pk),
            "text": parts.narrative(
                [
                    f"{look.actor.laboratory.name}, {case.accession_number}: {status}.",
                    *conclusion.splitlines(),
                    "" if report else "No pathologist has signed this.",
                    f"{codes.RESEARCH_USE[2]}.",
                ]
            ),
            "contained": [
                {
                    "resourceType": "Specimen",
                    "id": "specimen",
                    "accessionIdentifier": parts.accession(look, case),
                    "type": parts.concept(codes.SPECIMEN[case.specimen], text=case.get_specimen_display()),
                    "subject": parts.subject(case.patient),
                    "receivedTime": parts.instant(case.created_at),
                    "note": [{"text": f"{case.get_stain_display()} stain"}],
                }
            ],
            "identifier": [parts.accession(look, case)],
            "status": status,
            "category": [parts.concept(codes.HAEMATOLOGY)],
            "code": parts.concept(codes.REPORT[case.specimen]),
            "subject": parts.subject(case.patient),
            "effectiveDateTime": parts.instant(case.created_at),
            "issued": parts.instant(issued),
            "performer": [parts.organization(look.actor.laboratory)],
            "resultsInterpreter": [parts.person(look, report.signed_by)] if report else [],
            "specimen": [{"reference": "#specimen"}],
            "result": [
                {"reference": f"{observations.TYPE}/{item.id}"} for item in sorted(results, key=lambda one: one.key)
            ],
            "media": _media(report, pictures),
            "conclusion": conclusion,
            "conclusionCode": _conclusion_code(report.content) if report else [],
            "presentedForm": [_document(look, report)] if report else [],
        }
    )
    updated = None if hidden else case.changed  # type: ignore[attr-defined]
    return Resource(body, updated, case, (codes.RESEARCH_USE,))


def _media(report: Report | None, pictures: list[int]) -> list[dict[str, Any]]:
    """Every picture of the case; those that the signed report shows come first and say so."""
    keys = [each["id"] for each in report.content["key_images"]] if report else []
    ordered = [*keys, *(pk for pk in pictures if pk not in keys)]
    return [
        parts.filled({"comment": "Key image" if pk in keys else "", "link": {"reference": f"Media/{pk}"}})
        for pk in ordered
    ]


def _conclusion(content: dict[str, Any]) -> str:
    """The diagnosis, its text and comment and the addenda, as they were signed."""
    diagnosis = content["diagnosis"]
    addenda = [f"Addendum (version {each['version']}, {each['name']}): {each['text']}" for each in content["addenda"]]
    return "\n".join(line for line in (diagnosis["shown"], diagnosis["text"], content["comment"], *addenda) if line)


def _conclusion_code(content: dict[str, Any]) -> list[dict[str, Any]]:
    diagnosis = content["diagnosis"]
    entry = DIAGNOSES.get(diagnosis["code"])
    if entry is None:
        return []
    system = codes.ICD_O_3 if entry.malignant else codes.STATEMENT
    return [parts.concept((system, entry.code, diagnosis["name"]), text=diagnosis["shown"])]


def _document(look: Look, report: Report) -> dict[str, Any]:
    return {
        "contentType": "application/pdf",
        "language": "en-GB",
        "url": f"{look.base}/Binary/{report.pk}",
        "title": f"{report.get_kind_display()}, version {report.version}",
        "creation": parts.instant(report.signed_at),
    }
