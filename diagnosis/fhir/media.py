"""Media: one picture of a smear.

Not ImagingStudy: that one is a DICOM study, which needs study, series and instance UIDs. These are microscope
pictures as JPEG, PNG or WebP without any; invented UIDs would point at nothing. R4's DiagnosticReport.media refers to
Media as well.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.urls import reverse

from accounts.permissions import visible
from diagnosis.fhir import codes, parts
from diagnosis.fhir.parts import Look, Resource
from diagnosis.fhir.searching import Page, Param, Query, before, every, row_id
from diagnosis.models import SmearImage
from diagnosis.models.image import MEDIA_TYPES

TYPE = "Media"
STATUS = "completed"
PARAMS = {
    "_id": Param("token", "The id, or several by comma."),
    "identifier": Param("token", "The accession number of its case, or the content's name (ni:///sha-256;…)."),
    "patient": Param("reference", "Whose smear it shows: 12 or Patient/12."),
    "subject": Param("reference", "As patient."),
    "status": Param("token", "Always completed."),
    "type": Param("token", "Always image."),
    "view": Param("token", "field or cell."),
    "_lastUpdated": Param("date", "When it arrived, or its case was assessed anew."),
}


def read(look: Look, resource_id: str) -> Resource | None:
    found = _visible(look).filter(pk=row_id(resource_id)).first()
    return _resource(look, found) if found else None


def several(look: Look, ids: Iterable[str]) -> list[Resource]:
    found = _visible(look).filter(pk__in=[row_id(one) for one in ids]).order_by("-pk")
    return [_resource(look, image) for image in found]


def search(look: Look, query: Query) -> Page:
    found = _visible(look).filter(
        every(query.ids("_id"), "pk"),
        every(query.patients(look.base), "case__patient"),
    )
    for tokens in query.tokens("identifier"):
        either = Q(pk__in=[])
        for system, value in tokens:
            if system in (None, look.naming("accession")):
                either |= Q(case__accession_number__iexact=value)
            if system in (None, codes.URI) and (digest := _digest(value)):
                either |= Q(stored_sha256=digest)
        found = found.filter(either)
    for states in query.codes("status", "http://hl7.org/fhir/event-status"):
        found = found if STATUS in states else found.none()
    for types in query.codes("type", codes.MEDIA_TYPE):
        found = found if "image" in types else found.none()
    for kinds in query.codes("view", codes.IMAGE_KIND):
        found = found.filter(kind__in=kinds)
    if "_lastUpdated" in query.given:
        found = found.annotate(changed=Coalesce("case__assessed_at", "uploaded_at")).exclude(case__in=look.hidden)
        found = found.filter(query.between("_lastUpdated", "changed"))
    total = found.count()
    rows = list(found.filter(before(query.cursor)).order_by("-pk")[: query.count + 1])
    more = len(rows) > query.count
    rows = rows[: query.count]
    return Page(total, [_resource(look, row) for row in rows], str(rows[-1].pk) if more and rows else "")


def _visible(look: Look) -> QuerySet[SmearImage]:
    found = visible(SmearImage.objects.all(), look.actor, "case__laboratory")
    return found.select_related("case__patient", "uploaded_by")


def _digest(value: str) -> str:
    """The SHA-256 that a content's name holds, as hex; empty for any other text."""
    name = value.removeprefix("ni:///sha-256;")
    try:
        return base64.urlsafe_b64decode(f"{name}=").hex() if name != value else ""
    except (binascii.Error, ValueError):
        return ""


def _resource(look: Look, image: SmearImage) -> Resource:
    kind = image.get_kind_display()
    root = look.base.removesuffix("/fhir/R4")
    body = parts.filled(
        {
            "resourceType": TYPE,
            "id": str(image.pk),
            "identifier": [parts.content_identifier(image.stored_sha256), parts.accession(look, image.case)],
            "status": STATUS,
            "type": parts.concept(codes.IMAGE),
            "view": parts.concept((codes.IMAGE_KIND, image.kind, kind), text=kind),
            "subject": parts.subject(image.case.patient),
            "issued": parts.instant(image.uploaded_at),
            "operator": parts.person(look, image.uploaded_by),
            "height": image.height,
            "width": image.width,
            "content": {
                "contentType": MEDIA_TYPES[image.format],
                "url": f"{root}{reverse('api:image-file', args=[image.pk])}",
                "size": image.byte_size,
                "title": f"Smear image {image.pk}",
            },
        }
    )
    # Its kind can be corrected, after which the case is assessed anew: no later change than that is missed.
    updated = None if image.case_id in look.hidden else image.case.assessed_at or image.uploaded_at
    return Resource(body, updated, image.case)
