"""The content of a report: everything that it states, as plain values of which each is a text or a whole number.

Sections stand side by side, so that a preview and what is signed can be compared section by section. What people
decided and what the networks read are never in one column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from accounts.models import Laboratory
from diagnosis import worklist
from diagnosis.assessment import Interval, assess, gather
from diagnosis.assessment.rules import not_counted
from diagnosis.assessment.words import percent
from diagnosis.models import Case, ClinicalData, ModelRelease, Report, ReportDraft, SecondOpinion
from diagnosis.reporting.canonical import clean, content_hash
from diagnosis.vocabulary import CYTOGENETICS, DIAGNOSES, GROUPS, MARKER_STATES
from mlcore.reading import words

Content = dict[str, Any]

FORMAT = "leukolens-report/1"
RESEARCH_USE = "Research use only – not for diagnostic use."
_AUTHOR = "I have reviewed the images and the data of this case myself and sign this report as its author."
#: Kind → what the signer says by signing.
STATEMENTS = {
    Report.Kind.ORIGINAL: _AUTHOR,
    Report.Kind.AMENDMENT: _AUTHOR,
    Report.Kind.ADDENDUM: "I add the addendum of this version and sign it; all else stands as it was signed before.",
    Report.Kind.CORRECTION: "I correct a slip of the pen and sign this version; its meaning is unchanged.",
}
#: Section → what a person calls it, in the order of the report.
SECTIONS = {
    "report": "kind of the report",
    "laboratory": "laboratory's particulars",
    "patient": "patient",
    "case": "case and request",
    "clinical": "clinical data",
    "diagnosis": "diagnosis",
    "comment": "comment",
    "addenda": "addenda",
    "differential": "differential",
    "fields": "microscope fields",
    "blasts": "share of blasts",
    "flags": "flags",
    "key_images": "key images",
    "opinions": "second opinions",
    "networks": "networks and their reading",
    "review": "who decided on the images",
    "images": "images and decisions",
    "statement": "statement",
}
#: What a correction takes afresh from the records; all else stands as it was signed.
CLERICAL = ("laboratory", "patient", "case", "clinical")
#: What of a model card's held-out figures stands in a report: name → what it is called.
HEADLINE = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "malignant_auroc": "area under the ROC curve",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Which version of which report this is."""

    version: int
    kind: str
    reason: str = ""
    supersedes: Report | None = None


def of_case(case: Case, draft: ReportDraft, identity: Identity, addenda: Sequence[Mapping[str, Any]] = ()) -> Content:
    """What a report of `case` would state now, all but the signature. `case` has patient and laboratory joined."""
    rows = worklist.images(case)
    numbers = {row.image.pk: number for number, row in enumerate(rows, start=1)}
    evidence = gather(case)
    stands = assess(evidence)
    read = assess(replace(evidence, images=tuple(replace(image, decision=None) for image in evidence.images)))
    by_id = {row.image.pk: row for row in rows}
    return records(case, identity) | {
        "diagnosis": _diagnosis(draft.diagnosis, draft.diagnosis_text),
        "comment": clean(draft.comment),
        "addenda": [dict(each) for each in addenda],
        "differential": _table(rows, "cell", not_counted(case.specimen)),
        "fields": _table(rows, "field", frozenset()),
        "blasts": {**shown, "cells": stands.cells.count} if (shown := _interval(stands.blasts)) else None,
        "flags": [
            {
                "level": flag.level,
                "title": clean(flag.title),
                "detail": clean(flag.detail),
                "images": [numbers[pk] for pk in flag.rests_on if pk in numbers],
            }
            for flag in stands.flags
        ],
        "key_images": [
            {
                "id": pk,
                "number": numbers[pk],
                "kind": by_id[pk].image.get_kind_display(),
                "sha256": by_id[pk].image.stored_sha256,
                "label": _class(by_id[pk].decision.label) if by_id[pk].decision else "not decided",  # type: ignore[union-attr]
                "um_per_pixel": _decimal(by_id[pk].image.um_per_pixel),
            }
            for pk in draft.key_images
            if pk in by_id
        ],
        "opinions": _opinions(case),
        "networks": {"probability": _interval(read.malignant), "releases": _releases(rows)},
        "review": [
            {"name": name, "images": count}
            for name, count in sorted(
                Counter(str(row.decision.decided_by) for row in rows if row.decision).items(),
                key=lambda each: (-each[1], each[0]),
            )
        ],
        "images": [
            {
                "id": row.image.pk,
                "kind": row.image.kind,
                "sha256": row.image.stored_sha256,
                "decision": row.decision.label if row.decision else "",
                "reading": row.reading.label if row.reading else "",
            }
            for row in rows
        ],
    }


def records(case: Case, identity: Identity) -> Content:
    """The sections that stand in the laboratory's records, whatever the images show."""
    older = identity.supersedes
    return {
        "report": {
            "format": FORMAT,
            "version": identity.version,
            "kind": identity.kind,
            "title": Report.Kind(identity.kind).label,
            "reason": clean(identity.reason),
            "supersedes": {
                "version": older.version,
                "content_hash": older.content_hash,
                "signed": f"{older.content['signature']['name']}, {older.content['signature']['shown']}",
            }
            if older
            else None,
        },
        "statement": {"research_use": RESEARCH_USE, "signing": STATEMENTS[Report.Kind(identity.kind)]},
        "laboratory": _laboratory(case.laboratory),
        "patient": {
            "name": clean(case.patient.name),
            "mrn": clean(case.patient.mrn),
            "birth_date": case.patient.birth_date.isoformat() if case.patient.birth_date else "",
            "sex": case.patient.get_sex_display(),
            "notes": clean(case.patient.clinical_notes),
        },
        "case": {
            "accession_number": clean(case.accession_number),
            "priority": case.get_priority_display(),
            "specimen": case.get_specimen_display(),
            "stain": case.get_stain_display(),
            "received_at": moment(case.created_at),
            "requester": clean(case.requester_name),
            "question": clean(case.clinical_question),
        },
        "clinical": _clinical(ClinicalData.objects.filter(case=case).first()),
    }


def signed(content: Content, *, name: str, at: datetime, signed_with: str) -> Content:
    """`content` with the signature: who, when, and how they proved who they are."""
    return content | {
        "signature": {
            "name": clean(name),
            "at": at.astimezone(UTC).isoformat(timespec="microseconds"),
            "shown": moment(at),
            "with": signed_with,
        }
    }


def unsigned(content: Mapping[str, Any]) -> Content:
    return {name: section for name, section in content.items() if name != "signature"}


def moment(at: datetime) -> str:
    """With its zone: "25 November 2026, 13:05 UTC"."""
    local = timezone.localtime(at)
    return f"{local.day} {local:%B %Y, %H:%M %Z}"


def verified(report: Report) -> bool:
    """Whether the content of `report` is the one that was signed."""
    return content_hash(report.content) == report.content_hash


def _laboratory(laboratory: Laboratory) -> dict[str, str]:
    names = ("name", "address", "phone", "director", "accreditation")
    return {name: clean(getattr(laboratory, name)) for name in names}


def _diagnosis(code: str, text: str) -> dict[str, Any]:
    entry = DIAGNOSES.get(code)
    return {
        "code": code,
        "name": entry.name if entry else "",
        "shown": entry.shown if entry else "",
        "group": GROUPS[entry.group] if entry else "",
        "malignant": entry.malignant if entry else False,
        "text": clean(text),
    }


def _clinical(data: ClinicalData | None) -> list[dict[str, str]]:
    """Lines of what and how much; empty where nothing is known."""
    if data is None:
        return []
    figures = [
        ("White cells", data.wbc, "× 10⁹/l"),
        ("Haemoglobin", data.haemoglobin, "g/dl"),
        ("Platelets", data.platelets, "× 10⁹/l"),
        ("Blasts by counter", data.blasts, "%"),
    ]
    lines = [{"what": what, "value": f"{_decimal(value)} {unit}"} for what, value, unit in figures if value is not None]
    if lines and data.counted_on:
        lines.insert(0, {"what": "Blood count of", "value": f"{data.counted_on.day} {data.counted_on:%B %Y}"})
    findings = [CYTOGENETICS.get(code, code) for code in data.cytogenetics]
    markers = [f"{marker} {MARKER_STATES.get(state, state)}" for marker, state in sorted(data.immunophenotype.items())]
    for what, coded, text in (
        ("Cytogenetics", "; ".join(findings), data.cytogenetics_text),
        ("Immunophenotype", ", ".join(markers), data.immunophenotype_text),
    ):
        if said := "\n".join(part for part in (coded, clean(text)) if part):
            lines.append({"what": what, "value": said})
    return lines


def _table(rows: Sequence[worklist.ImageRow], kind: str, outside: frozenset[str]) -> dict[str, Any]:
    """Per class the number of images that people decided on and that the networks read, the shares of each column's
    own sum. Classes `outside` the differential stand apart, without a share."""
    mine = [row for row in rows if row.image.kind == kind]
    people = Counter(row.decision.label for row in mine if row.decision)
    networks = Counter(row.reading.label for row in mine if row.reading)
    labels = sorted(people.keys() | networks.keys(), key=lambda label: (-people[label], -networks[label], label))
    counted = [label for label in labels if label not in outside]
    sums = [sum(column[label] for label in counted) for column in (people, networks)]
    return {
        "lines": [
            {
                "label": _class(label),
                "people": people[label],
                "people_share": _share(people[label], sums[0]),
                "networks": networks[label],
                "networks_share": _share(networks[label], sums[1]),
            }
            for label in counted
        ],
        "people": sums[0],
        "networks": sums[1],
        "not_counted": [
            {"label": _class(label), "people": people[label], "networks": networks[label]}
            for label in labels
            if label in outside
        ],
    }


def _releases(rows: Sequence[worklist.ImageRow]) -> list[dict[str, Any]]:
    """The model releases that read, each with what its card says it reached on held-out pictures."""
    read = Counter(a.release_id for row in rows for a in row.analyses if a.state == "done")
    found = ModelRelease.objects.in_bulk(list(read))
    return [
        {
            "task": "single cells" if release.task == "cell" else "microscope fields",
            "network": {"cnn": "CNN", "mobilenet": "MobileNet"}.get(release.network, release.network),
            "version": release.version,
            "digest": release.digest,
            "images": read[release.pk],
            "headline": _headline(release.card),
        }
        for release in sorted(found.values(), key=lambda each: (each.task, each.network, each.version, each.pk))
    ]


def _headline(card: Mapping[str, Any]) -> str:
    """One sentence of a card's figures on held-out pictures, or empty where the card has none."""
    held_out = (card.get("metrics") or {}).get("held_out") or {}
    figures = held_out.get("figures") or {}
    stated = []
    for name, called in HEADLINE.items():
        value = (figures.get(name) or {}).get("value")
        if value is None:
            continue
        low, high = (figures[name].get("interval_95") or (None, None))[:2]
        span = f" ({low:.2f}–{high:.2f})" if low is not None and high is not None else ""
        stated.append(f"{called} {value:.2f}{span}")
    if not stated:
        return ""
    sample = f"{held_out['images']} held-out pictures" if held_out.get("images") else "held-out pictures"
    return f"On {sample}: {', '.join(stated)}; 95 % intervals in brackets."


def _opinions(case: Case) -> list[dict[str, str]]:
    """Second opinions that were given, with their adjudication, the oldest first."""
    given = SecondOpinion.objects.filter(case=case, state=SecondOpinion.State.ANSWERED)
    return [
        {
            "name": clean(str(opinion.asked_of)),
            "at": moment(opinion.ended_at or opinion.asked_at),
            "diagnosis": _shown(opinion.diagnosis),
            "comment": clean(opinion.comment),
            "differs": "yes" if opinion.differs else "no",
            "adjudicator": clean(str(opinion.adjudicator)) if opinion.adjudicator else "",
            "adjudicated": _shown(opinion.adjudicated_diagnosis),
            "adjudication": clean(opinion.adjudication_comment),
        }
        for opinion in given.select_related("asked_of", "adjudicator").order_by("id")
    ]


def _shown(code: str) -> str:
    return DIAGNOSES[code].shown if code in DIAGNOSES else code


def _class(label: str) -> str:
    said = words(label)
    return said[:1].upper() + said[1:]


def _interval(found: Interval | None) -> dict[str, str] | None:
    if found is None:
        return None
    return {"value": percent(found.value), "low": percent(found.low), "high": percent(found.high)}


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _decimal(value: float | None) -> str:
    """A measured figure without needless zeros: 12.0 → "12", 0.10 → "0.1"; None → "" ."""
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")
