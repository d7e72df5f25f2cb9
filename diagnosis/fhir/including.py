"""What a page of matches brings along (`_include`, `_revinclude`), and how much of each resource (`_elements`,
`_summary`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from diagnosis.fhir import media, observations, patients, reports
from diagnosis.fhir.codes import SUBSETTED
from diagnosis.fhir.parts import Body, Look, Resource
from diagnosis.fhir.searching import Link, Query, Reduced

#: As many as come along at most; what is left out is said in the bundle.
MOST = 2_000
_MODULES = {module.TYPE: module for module in (patients, reports, observations, media)}
#: By type and parameter: where its references stand in a body.
_REFERENCES: dict[tuple[str, str], Callable[[Body], Iterable[Body]]] = {
    ("DiagnosticReport", "result"): lambda body: body.get("result", []),
    ("DiagnosticReport", "media"): lambda body: (one["link"] for one in body.get("media", [])),
    ("Observation", "derived-from"): lambda body: body.get("derivedFrom", []),
}
#: Elements that a resource of the type cannot be without, and those that FHIR marks as its summary.
_MANDATORY = {
    "Patient": frozenset[str](),
    "DiagnosticReport": frozenset({"status", "code"}),
    "Observation": frozenset({"status", "code"}),
    "Media": frozenset({"status", "content"}),
}
SUMMARY = {
    "Patient": frozenset({"identifier", "name", "gender", "birthDate", "managingOrganization"}),
    "DiagnosticReport": frozenset(
        {"identifier", "status", "category", "code", "subject", "effectiveDateTime", "issued", "performer",
         "resultsInterpreter", "media"}
    ),
    "Observation": frozenset(
        {"identifier", "status", "code", "subject", "effectiveDateTime", "issued", "performer", "derivedFrom",
         "component", "valueQuantity", "valueCodeableConcept", "valueString"}
    ),
    "Media": frozenset(
        {"identifier", "status", "type", "view", "subject", "issued", "operator", "height", "width", "content"}
    ),
}  # fmt: skip
_ALWAYS = frozenset({"resourceType", "id", "meta"})


def brought_along(look: Look, query: Query, matches: list[Resource]) -> tuple[list[Resource], bool]:
    """What `matches` refer to and what refers to them, as the search asked, each once and none that is a match
    itself; and whether some of it was left out. Nothing is followed further than one step."""
    if not matches:
        return [], False
    found: dict[str, Resource] = {}
    for link in query.includes:
        named = {ref["reference"] for one in matches if _type(one) == link.source for ref in _references(one, link)}
        ids = sorted(ref.partition("/")[2] for ref in named if ref.startswith(f"{link.target}/"))
        for resource in _MODULES[link.target].several(look, ids[: MOST + 1]):
            found[_name(resource)] = resource
    for link in query.revincludes:
        for resource in _referring(look, link, matches):
            found[_name(resource)] = resource
    for one in matches:
        found.pop(_name(one), None)
    rows = list(found.values())
    return rows[:MOST], len(rows) > MOST


def narrowed(resource: Resource, reduced: Reduced) -> Body:
    """The resource as it is sent: whole, or what of it was asked for, marked as not the whole."""
    whole = resource.to_dict()
    kind = whole["resourceType"]
    if reduced.elements:
        kept = reduced.elements | _MANDATORY[kind]
    elif reduced.summary == "true":
        kept = SUMMARY[kind]
    elif reduced.summary == "text":
        kept = _MANDATORY[kind] | {"text"}
    elif reduced.summary == "data":
        kept = frozenset(whole) - {"text"}
    else:
        return whole
    body = {name: value for name, value in whole.items() if name in kept | _ALWAYS}
    if "contained" in whole and '"reference": "#' in json.dumps(body):
        body["contained"] = whole["contained"]
    tags = whole["meta"].get("tag", [])
    return body | {"meta": whole["meta"] | {"tag": [*tags, SUBSETTED]}}


def _referring(look: Look, link: Link, matches: list[Resource]) -> list[Resource]:
    ids = [str(one.body["id"]) for one in matches if _type(one) == link.target]
    if link.source == "DiagnosticReport" and link.target != "Patient":
        cases = sorted({one.case.pk for one in matches if one.case is not None})
        return list(reports.several(look, [str(pk) for pk in cases]))
    name = "patient" if link.param == "subject" else link.param
    asked = Query(given={name: [",".join(ids)]}, count=MOST + 1)
    return list(_MODULES[link.source].search(look, asked).resources)


def _references(resource: Resource, link: Link) -> Iterable[Body]:
    read = _REFERENCES.get((link.source, link.param))
    return read(resource.body) if read else [resource.body["subject"]]


def _type(resource: Resource) -> str:
    return str(resource.body["resourceType"])


def _name(resource: Resource) -> str:
    return f"{_type(resource)}/{resource.body['id']}"


def shortened(query: Query) -> Query:
    """`_summary=count` is a count alone."""
    return replace(query, count=0) if query.reduced.summary == "count" else query


def too_many() -> dict[str, Any]:
    """The entry that says that something was left out."""
    words = f"More than {MOST:,} resources come along with this page, and not all are here. Ask with a smaller _count."
    issue = {"severity": "warning", "code": "incomplete", "diagnostics": words}
    return {
        "resource": {"resourceType": "OperationOutcome", "issue": [issue]},
        "search": {"mode": "outcome"},
    }
