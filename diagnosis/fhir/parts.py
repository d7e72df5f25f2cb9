"""Small pieces that resources are made of."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from importlib.metadata import version
from typing import Any

from django.utils import timezone

from accounts.models import Laboratory, User
from accounts.permissions import Actor
from diagnosis.fhir import codes
from diagnosis.fhir.codes import Code
from diagnosis.models import Case, Patient
from mlcore.reading import words

Body = dict[str, Any]
VERSION = version("leukolens")


@dataclass(frozen=True, slots=True)
class Look:
    """Who reads, and from where: `base` is the address of the FHIR root, without a slash at its end."""

    actor: Actor
    base: str
    hidden: frozenset[int] = frozenset()  # cases in which they are asked for their own opinion (`diagnosis.blinding`)

    def naming(self, what: str) -> str:
        """The system of the laboratory's own identifiers, such as medical record numbers."""
        return f"{self.base}/NamingSystem/{self.actor.laboratory.slug}-{what}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource ready to be sent. `case`: whose data it shows, for the audit."""

    body: Body
    updated: datetime | None = None  # None: not told, because it would tell of what is hidden
    case: Case | None = None
    tags: tuple[Code, ...] = field(default=())

    @property
    def version(self) -> str:
        """A digest of the content: the same content has the same version, whoever reads it and whenever."""
        canonical = json.dumps(self.body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]

    def to_dict(self) -> Body:
        meta: Body = {"versionId": self.version}
        if self.updated:
            meta["lastUpdated"] = instant(self.updated)
        if self.tags:
            meta["tag"] = [coding(tag) for tag in self.tags]
        head = {"resourceType": self.body["resourceType"], "id": self.body["id"], "meta": meta}
        return head | {name: value for name, value in self.body.items() if name not in head}


def filled(body: Body) -> Body:
    """`body` without what is not there: FHIR has no nulls and no empty lists or texts."""
    return {name: value for name, value in body.items() if value not in (None, "", [], {})}


def instant(at: datetime) -> str:
    return timezone.localtime(at).isoformat(timespec="milliseconds")


def coding(code: Code) -> Body:
    system, value, display = code
    return {"system": system, "code": value, "display": display}


def concept(*found: Code, text: str = "") -> Body:
    return filled({"coding": [coding(code) for code in found], "text": text})


def image_class(label: str) -> Body:
    said = words(label)
    return concept((codes.IMAGE_CLASS, label, said), text=said)


def quantity(value: float, code: str, unit: str = "") -> Body:
    return {"value": round(value, 6), "unit": unit or code, "system": codes.UCUM, "code": code}


def probability(value: float) -> Body:
    return quantity(value, "1", "probability")


def subject(patient: Patient) -> Body:
    return {"reference": f"Patient/{patient.pk}"}


def person(look: Look, user: User) -> Body:
    """A logical reference: people are no resources of their own here."""
    return {
        "type": "Practitioner",
        "identifier": {"system": f"{look.base}/NamingSystem/user", "value": str(user.pk)},
        "display": str(user),
    }


def organization(laboratory: Laboratory) -> Body:
    return {"type": "Organization", "display": laboratory.name}


def accession(look: Look, case: Case) -> Body:
    return {
        "type": concept(codes.ACCESSION),
        "system": look.naming("accession"),
        "value": case.accession_number,
        "assigner": {"display": look.actor.laboratory.name},
    }


def content_identifier(sha256: str) -> Body:
    """What a file is, by its content, as RFC 6920 names it."""
    name = base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
    return {"system": codes.URI, "value": f"ni:///sha-256;{name}"}


def narrative(lines: Iterable[str]) -> Body:
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in lines if line)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>'}
