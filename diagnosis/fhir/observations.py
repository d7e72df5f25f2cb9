"""Observation: what each network read in an image, what people decided, what the case comes to, what others measured.

A network's reading is a device's output and says so: it names the model release in a contained Device, has no
performer, stays `preliminary` for ever and bears the research-use notice. A person's decision names its performer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from functools import partial
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from accounts.permissions import visible
from diagnosis import worklist
from diagnosis.blinding import blind
from diagnosis.fhir import codes, parts
from diagnosis.fhir.codes import Code
from diagnosis.fhir.outcome import Refusal
from diagnosis.fhir.parts import Body, Look, Resource
from diagnosis.fhir.searching import Page, Param, Query, any_of, every
from diagnosis.models import Analysis, Case, ClinicalData, Decision, SmearImage
from diagnosis.vocabulary import CYTOGENETICS

if TYPE_CHECKING:
    from collections.abc import Callable

TYPE = "Observation"
PARAMS = {
    "_id": Param("token", "The id, or several by comma."),
    "patient": Param("reference", "Whose it is: 12 or Patient/12."),
    "subject": Param("reference", "As patient."),
    "derived-from": Param("reference", "The picture that it rests on: Media/12."),
    "identifier": Param("token", "The accession number of its case."),
    "status": Param("token", "preliminary or final."),
    "code": Param("token", "What it is about, alone or as system|code."),
    "category": Param("token", "Always laboratory."),
    "date": Param("date", "When it was seen or measured, with eq, ne, gt, lt, ge or le."),
    "_lastUpdated": Param("date", "When anything in it changed."),
}
#: A search names at least one of these, so that it stays within one patient, case or picture.
NAMED = ("_id", "patient", "subject", "derived-from", "identifier")
_METHOD = "Automated reading by a neural network, not verified by a person"
_RANK = {"clinical": 0, "assessment": 1, "differential": 2, "reading": 3, "decision": 4}


@dataclass(frozen=True, slots=True)
class Item:
    """An Observation before it is written out: what lists and searches need to know of it."""

    case: Case
    source: str  # clinical, assessment, differential, reading, decision
    row: int  # primary key of what it is made from
    status: str
    code: tuple[Code, ...]
    at: datetime | None
    build: Callable[[], Body]
    name: str = ""  # of one among several of the same row
    image: int | None = None
    device: bool = False
    updated: datetime | None = None  # where it can change after `at`

    @property
    def id(self) -> str:
        return "-".join(part for part in (self.source, str(self.row), self.name) if part)

    @property
    def key(self) -> tuple[int, int, int, str]:
        """The newest case first, within it in a fixed order."""
        return (-self.case.pk, _RANK[self.source], self.row, self.name)

    def resource(self) -> Resource:
        head = {
            "resourceType": TYPE,
            "id": self.id,
            "status": self.status,
            "category": [parts.concept(codes.LABORATORY)],
            "code": parts.concept(*self.code),
            "subject": parts.subject(self.case.patient),
            "effectiveDateTime": parts.instant(self.at) if self.at else "",
        }
        tags = (codes.RESEARCH_USE,) if self.device else ()
        return Resource(parts.filled(head | self.build()), self.updated or self.at, self.case, tags)


def read(look: Look, resource_id: str) -> Resource | None:
    cases = _cases(look, [resource_id])
    found = next((item for item in of_cases(look, cases) if item.id == resource_id), None)
    return found.resource() if found else None


def several(look: Look, ids: Iterable[str]) -> list[Resource]:
    wanted = set(ids)
    items = [item for item in of_cases(look, _cases(look, wanted)) if item.id in wanted]
    return [item.resource() for item in sorted(items, key=lambda item: item.key)]


def search(look: Look, query: Query) -> Page:
    if not any(name in query.given for name in NAMED):
        raise Refusal("required", f"Name one of {', '.join(NAMED)}: observations are read within a patient or case.")
    last = _key(query.cursor) if query.cursor else None
    items = [item for item in of_cases(look, _named(look, query)) if _matches(look, query, item)]
    items.sort(key=lambda item: item.key)
    rest = [item for item in items if last is None or item.key > last]
    page, more = rest[: query.count], len(rest) > query.count
    cursor = ".".join(str(part) for part in page[-1].key) if more and page else ""
    return Page(len(items), [item.resource() for item in page], cursor)


def of_cases(look: Look, cases: Sequence[Case]) -> list[Item]:
    """Every Observation of `cases` that `look` may see, in no order. Three queries, and three for each hidden case.

    A hidden one is made what the networks alone say of it, in memory.
    """
    by_id = {case.pk: blind(case) if case.pk in look.hidden else case for case in cases}
    images = list(SmearImage.objects.filter(case__in=by_id).order_by("id"))
    items = [item for case in cases for item in (*_clinical(case), *_of_case(look, case))]
    for row in worklist.rows(images) if images else []:
        case = by_id[row.image.case_id]
        items += [_reading(case, row.image, done) for done in row.analyses if done.state == Analysis.State.DONE]
        if row.decision and case.pk not in look.hidden:
            items.append(_decision(look, case, row.image, row.decision))
    return items


def _cases(look: Look, ids: Iterable[str]) -> list[Case]:
    """The cases that Observations of these ids can belong to."""
    wanted: dict[str, set[int]] = {}
    for one in ids:
        source, _, rest = one.partition("-")
        row = rest.partition("-")[0]
        if source in _RANK and row.isdecimal() and len(row) < 18:
            wanted.setdefault(source, set()).add(int(row))
    found = {pk for source in ("clinical", "assessment", "differential") for pk in wanted.get(source, ())}
    if "reading" in wanted:
        found |= set(Analysis.objects.filter(pk__in=wanted["reading"]).values_list("image__case", flat=True))
    if "decision" in wanted:
        found |= set(Decision.objects.filter(pk__in=wanted["decision"]).values_list("image__case", flat=True))
    return list(_visible(look).filter(pk__in=found)) if found else []


def _named(look: Look, query: Query) -> list[Case]:
    found = _visible(look).filter(every(query.patients(look.base), "patient"))
    for images in query.references("derived-from", "Media", look.base):
        found = found.filter(images__in=images).distinct()
    for numbers in query.codes("identifier", look.naming("accession")):
        found = found.filter(any_of("accession_number", numbers))
    for tokens in query.tokens("_id"):
        found = found.filter(pk__in=[case.pk for case in _cases(look, [code for _, code in tokens])])
    return list(found)


def _visible(look: Look) -> Any:
    return visible(Case.objects.all(), look.actor).select_related("patient", "clinical__updated_by")


def _matches(look: Look, query: Query, item: Item) -> bool:
    return (
        all(item.id in {code for _, code in tokens} for tokens in query.tokens("_id"))
        and all(item.image in images for images in query.references("derived-from", "Media", look.base))
        and all(item.status in states for states in query.codes("status", "http://hl7.org/fhir/observation-status"))
        and all("laboratory" in found for found in query.codes("category", codes.OBSERVATION_CATEGORY))
        and all(
            any(system in (None, own[0]) and value == own[1] for system, value in tokens for own in item.code)
            for tokens in query.tokens("code")
        )
        and all(any(span.holds(item.at) for span in spans) for spans in query.spans("date"))
        and all(any(span.holds(item.updated or item.at) for span in spans) for spans in query.spans("_lastUpdated"))
    )


def _key(cursor: str) -> tuple[int, int, int, str]:
    try:
        case, rank, row, name = cursor.split(".", 3)
        return int(case), int(rank), int(row), name
    except ValueError:
        raise Refusal("value", "This cursor is not one that a “next” link gave.", "_cursor") from None


def _reading(case: Case, image: SmearImage, analysis: Analysis) -> Item:
    return Item(
        case, "reading", analysis.pk, "preliminary", (codes.READING[image.kind],), analysis.finished_at,
        partial(_reading_body, image, analysis), image=image.pk, device=True,
    )  # fmt: skip


def _reading_body(image: SmearImage, analysis: Analysis) -> Body:
    release, shares = analysis.release, analysis.probabilities or {}
    label = max(shares, key=lambda name: shares[name])
    figures: list[tuple[Body, Body]] = [
        (parts.image_class(name), {"valueQuantity": parts.probability(share)}) for name, share in shares.items()
    ]
    figures.append((parts.concept(codes.MALIGNANT), {"valueQuantity": parts.probability(analysis.malignant or 0.0)}))
    figures.append((parts.concept(codes.NOVELTY), {"valueQuantity": parts.quantity(analysis.novelty or 0.0, "1")}))
    figures.append((parts.concept(codes.NOVEL), {"valueBoolean": bool(analysis.novel)}))
    return {
        "contained": [
            {
                "resourceType": "Device",
                "id": "device",
                "manufacturer": "LeukoLens",
                "deviceName": [{"name": f"{release.task} {release.network}", "type": "model-name"}],
                "modelNumber": f"{release.task}-{release.network}",
                "type": {"text": "Neural network that reads blood smears"},
                "version": [
                    {"type": {"text": "release"}, "value": release.version},
                    {"type": {"text": "sha-256 of the model"}, "value": release.digest},
                ],
                "note": [{"text": codes.RESEARCH_USE[2]}],
            }
        ],
        "issued": parts.instant(analysis.finished_at) if analysis.finished_at else "",
        "valueCodeableConcept": parts.image_class(label),
        "note": [{"text": f"{codes.RESEARCH_USE[2]}. {_METHOD}."}],
        "method": {"text": _METHOD},
        "device": {"reference": "#device"},
        "derivedFrom": [{"reference": f"Media/{image.pk}"}],
        "component": [{"code": code} | value for code, value in figures],
    }


def _decision(look: Look, case: Case, image: SmearImage, decision: Decision) -> Item:
    status = "final" if case.is_closed else "preliminary"
    return Item(
        case, "decision", decision.pk, status, (codes.READING[image.kind],), decision.decided_at,
        partial(_decision_body, look, image, decision), image=image.pk, updated=case.assessed_at,
    )  # fmt: skip


def _decision_body(look: Look, image: SmearImage, decision: Decision) -> Body:
    verdict = (codes.VERDICT, str(decision.verdict), decision.get_verdict_display())
    return {
        "issued": parts.instant(decision.decided_at),
        "performer": [parts.person(look, decision.decided_by)],
        "valueCodeableConcept": parts.image_class(decision.label),
        "note": [{"text": decision.comment}] if decision.comment else [],
        "method": {"text": "Looked at by a person"},
        "derivedFrom": [{"reference": f"Media/{image.pk}"}],
        "component": [{"code": parts.concept(codes.VERDICT_GIVEN), "valueCodeableConcept": parts.concept(verdict)}],
    }


def _of_case(look: Look, case: Case) -> list[Item]:
    """What the case comes to, as it stands in `case`."""
    said = case.assessment or {}
    status = "final" if case.is_closed and case.pk not in look.hidden else "preliminary"
    at = None if case.pk in look.hidden else case.assessed_at
    items = []
    if said.get("malignant"):
        items.append(
            Item(case, "assessment", case.pk, status, (codes.ASSESSMENT,), at,
                 partial(_assessment_body, said), device=True)
        )  # fmt: skip
    if said.get("differential"):
        code = tuple(codes.DIFFERENTIAL[case.specimen])
        items.append(
            Item(case, "differential", case.pk, status, code, at,
                 partial(_differential_body, case, said), device=True)
        )  # fmt: skip
    return items


def _portal() -> Body:
    return {
        "resourceType": "Device",
        "id": "device",
        "manufacturer": "LeukoLens",
        "deviceName": [{"name": "LeukoLens", "type": "manufacturer-name"}],
        "version": [{"type": {"text": "software"}, "value": parts.VERSION}],
        "note": [{"text": codes.RESEARCH_USE[2]}],
    }


def _assessment_body(said: dict[str, Any]) -> Body:
    interval = said["malignant"]
    flags = [
        {"code": parts.concept(codes.FLAG), "valueCodeableConcept": {"text": f"{flag['title']}: {flag['detail']}"}}
        for flag in said.get("flags", [])
    ]
    return {
        "contained": [_portal()],
        "valueQuantity": parts.probability(interval["value"]),
        "note": [{"text": f"{codes.RESEARCH_USE[2]}. {said.get('statement', '')}".strip()}],
        "device": {"reference": "#device"},
        "component": [
            {"code": parts.concept(codes.INTERVAL_LOW), "valueQuantity": parts.probability(interval["low"])},
            {"code": parts.concept(codes.INTERVAL_HIGH), "valueQuantity": parts.probability(interval["high"])},
            *flags,
        ],
    }


def _differential_body(case: Case, said: dict[str, Any]) -> Body:
    cells = said.get("cells", {})
    decided, counted = cells.get("decided", 0), cells.get("count", 0)
    blood = case.specimen == Case.Specimen.PERIPHERAL_BLOOD
    shares = []
    for line in said["differential"]:
        code = parts.image_class(line["label"])
        if blood and line["label"] in codes.SHARES:
            code["coding"].insert(0, parts.coding(codes.SHARES[line["label"]]))
        shares.append({"code": code, "valueQuantity": parts.quantity(round(line["share"] * 100, 2), "%")})
    return {
        "contained": [_portal()],
        "note": [
            {
                "text": f"{codes.RESEARCH_USE[2]}. {counted} cells counted; people decided on {decided} of them, the "
                "networks' reading counts for the others."
            }
        ],
        "device": {"reference": "#device"},
        "component": [{"code": parts.concept(codes.COUNTED), "valueInteger": counted}, *shares],
    }


def _clinical(case: Case) -> list[Item]:
    data: ClinicalData | None = getattr(case, "clinical", None)
    if data is None:
        return []
    at = timezone.make_aware(datetime.combine(data.counted_on, time(12))) if data.counted_on else None
    note = {"note": [{"text": f"Measured elsewhere; entered by {data.updated_by}."}]}
    bodies: list[tuple[str, Code, datetime | None, Body]] = []
    for name, (code, unit, shown) in codes.COUNTS.items():
        value = getattr(data, name)
        if value is not None:
            day = data.counted_on.isoformat() if data.counted_on else ""
            body: Body = {"effectiveDateTime": day, "valueQuantity": parts.quantity(value, unit, shown)}
            bodies.append((name, code, at, body))
    if data.cytogenetics or data.cytogenetics_text:
        found = [(codes.CYTOGENETIC_FINDING, code, CYTOGENETICS.get(code, code)) for code in data.cytogenetics]
        body = {
            "valueString": data.cytogenetics_text,
            "component": [
                {"code": parts.concept(codes.FINDING), "valueCodeableConcept": parts.concept(one)} for one in found
            ],
        }
        bodies.append(("cytogenetics", codes.CYTOGENETICS, None, body))
    if data.immunophenotype or data.immunophenotype_text:
        body = {
            "valueString": data.immunophenotype_text,
            "component": [
                {
                    "code": parts.concept((codes.MARKER, marker, marker)),
                    "valueCodeableConcept": parts.concept(codes.MARKER_STATES[state], text=state),
                }
                for marker, state in sorted(data.immunophenotype.items())
            ],
        }
        bodies.append(("immunophenotype", codes.IMMUNOPHENOTYPE, None, body))
    note = {"note": [{"text": f"Measured elsewhere; entered by {data.updated_by}."}]}
    return [
        Item(case, "clinical", case.pk, "final", (code,), at, partial(dict, note | body), name, updated=data.updated_at)
        for name, code, at, body in bodies
    ]
