"""An example for everything that the schema speaks of: by component, so that each stands in every operation that has
it, in lists and alone. `tests/api/test_examples.py` holds each against its schema."""

from __future__ import annotations

from typing import Any

from diagnosis.api import RESEARCH_USE_ONLY
from diagnosis.api.batch_shapes import BATCH, BATCH_NOW, FILE
from diagnosis.api.problems import MEDIA_TYPE

Json = dict[str, Any]

_HOST = "https://leukolens.example/api/v1"
_CLASSES = ("basophil", "eosinophil", "erythroblast", "immature_granulocyte", "lymphocyte", "monocyte", "neutrophil",
            "plasma_cell", "platelet", "promyelocyte", "smudge_cell")  # fmt: skip
_STEP = "0f8fad5b-d9cb-469f-a165-70867728950e"


def _opinion(pk: int, network: str, blast: float, digest: str) -> Json:
    rest = round((1 - blast) / len(_CLASSES), 4)
    return {
        "id": pk, "task": "cell", "network": network, "version": "1.0", "digest": digest * 64, "state": "done",
        "probabilities": {"blast": blast, **dict.fromkeys(_CLASSES, rest)}, "malignant": round(blast + rest, 4),
        "novelty": 0.21, "novel": False, "engine": "onnxruntime", "seconds": 0.012, "attempts": 1, "error": "",
        "queued_at": "2026-03-02T09:30:01Z", "started_at": "2026-03-02T09:30:01Z",
        "finished_at": "2026-03-02T09:30:02Z",
    }  # fmt: skip


_READING = {
    "label": "blast", "probability": 0.96, "malignant": 0.96, "agree": True, "novelty": 0.21, "warnings": [],
    "needs_person": False,
}  # fmt: skip
_DECISION = {
    "id": 31, "verdict": "agree", "label": "blast", "reading_label": "blast", "comment": "",
    "decided_by": "Paul Pathologist", "decided_at": "2026-03-02T10:05:00Z",
}  # fmt: skip
_IMAGE = {
    "id": 7, "case": 3, "kind": "cell", "kind_source": "told", "kind_confidence": 0.99, "name": "cell-07.png",
    "sha256": "a" * 64, "stored_sha256": "b" * 64, "format": "PNG", "received_format": "PNG", "byte_size": 48_213,
    "width": 192, "height": 192, "um_per_pixel": 0.1,
    "quality": {
        "focus": 12.1, "brightness": 0.71, "contrast": 0.18, "saturation": 0.24, "stained": 0.31, "warnings": [],
    },
    "seen_in_other_case": False, "via": "api", "uploaded_by": "Tess Technician", "uploaded_at": "2026-03-02T09:30:00Z",
    "file": f"{_HOST}/images/7/file/", "status": "done",
    "analyses": [_opinion(13, "cnn", 0.95, "c"), _opinion(14, "mobilenet", 0.97, "d")], "reading": _READING,
    "decision": None, "research_use_only": RESEARCH_USE_ONLY,
}  # fmt: skip
_IMAGE_BRIEF = {
    "id": 7, "kind": "cell", "name": "cell-07.png", "width": 192, "height": 192, "status": "done", "reading": _READING,
    "decision": None, "error": "", "uploaded_at": "2026-03-02T09:30:00Z",
}  # fmt: skip
_PATIENT = {
    "id": 2, "mrn": "7741-203", "name": "Rendered Person", "birth_date": "1961-04-02", "sex": "female",
    "clinical_notes": "", "created_at": "2026-03-02T09:28:00Z",
}  # fmt: skip
_CASE = {
    "id": 3, "accession_number": "ACC-26-00042", "status": "ready", "priority": "urgent",
    "specimen": "peripheral_blood", "stain": "may_grunwald_giemsa",
    "clinical_question": "Leucocytosis of unknown origin. Blasts?",
    "patient": {name: _PATIENT[name] for name in ("id", "mrn", "name")}, "image_count": 1, "malignant": 0.93,
    "created_by": "Tess Technician", "created_at": "2026-03-02T09:28:00Z", "due_at": "2026-03-02T13:28:00Z",
    "held_by": None, "held_at": None, "signed_at": None, "report_version": 0,
}  # fmt: skip
_PART = {
    "count": 1, "malignant": 1, "decided": 0, "share": 1.0, "low": 0.21, "high": 1.0,
    "probability": {"value": 0.93, "low": 0.71, "high": 0.99},
}  # fmt: skip
_ASSESSMENT = {
    "malignant": {"value": 0.93, "low": 0.71, "high": 0.99},
    "fields": {
        "count": 0, "malignant": 0, "decided": 0, "share": None, "low": None, "high": None, "probability": None,
    },
    "cells": {**_PART, "blast_share": {"value": 1.0, "low": 0.21, "high": 1.0}, "acute_leukaemia": None,
              "not_counted": []},
    "differential": [{"label": "blast", "count": 1, "share": 1.0}],
    "flags": [{"code": "few_cells", "level": "doubt", "title": "Few cells", "detail": "One cell was counted.",
               "rests_on": [7]}],
    "progress": {"images": 1, "done": 1, "failed": 0, "waiting": 0, "decided": 0},
    "statement": "One cell was read; both networks call it a blast.", "research_use_only": True,
}  # fmt: skip
_REPORT = {
    "version": 1, "kind": "original", "reason": "", "current": True, "diagnosis": "9861/3",
    "diagnosis_name": "Acute myeloid leukaemia, NOS", "signed_by": "Paul Pathologist",
    "signed_at": "2026-03-02T11:40:00Z", "signed_with": "password", "content_hash": "e" * 64, "pdf_sha256": "f" * 64,
}  # fmt: skip
_STEP_TAKEN = {
    "step": _STEP, "saved": [{"image": 7, **_DECISION}],
    "refused": [{"image": 9, "code": "decided_meanwhile", "decision": 33,
                 "detail": "Petra Pathologist decided on “lymphocyte” meanwhile."}],
    "undoes_next": _STEP, "redoes_next": None, "research_use_only": RESEARCH_USE_ONLY,
}  # fmt: skip
_WEBHOOK = {
    "id": 5, "name": "LIS bridge", "url": "https://lis.example/leukolens", "topics": ["report.signed"], "active": True,
    "waiting": 0, "failed": 0, "last_sent": "2026-03-02T11:40:21Z", "created_by": "Ada Administrator",
    "created_at": "2026-02-20T08:00:00Z",
}  # fmt: skip
_DELIVERY = {
    "id": 88, "message": "msg_0f8fad5bd9cb469fa16570867728950e", "topic": "report.signed", "state": "sent",
    "attempts": 1, "next_attempt": None, "created_at": "2026-03-02T11:40:05Z", "sent_at": "2026-03-02T11:40:21Z",
    "body": '{"type":"report.signed","timestamp":"2026-03-02T11:40:00Z","data":{"case":3,"version":1}}',
    "log": [{"at": "2026-03-02T11:40:21Z", "status": 204, "milliseconds": 41}],
}  # fmt: skip

#: By the component's name. What is sent is called …Request.
EXAMPLES: dict[str, Any] = {
    "Batch": BATCH_NOW,
    "BatchFile": FILE,
    "BatchListed": {**BATCH, "files": 40, "needs": 2},
    "Case": _CASE,
    "CaseDetail": {
        **_CASE, "patient": _PATIENT, "requester_name": "Dr Vogt", "requester_email": "vogt@ward.example",
        "assessment": _ASSESSMENT, "assessed_at": "2026-03-02T09:30:03Z", "images": [_IMAGE_BRIEF],
        "research_use_only": RESEARCH_USE_ONLY,
    },
    "Clinical": {
        "case": 3, "revision": 1, "counted_on": "2026-03-02", "wbc": 42.5, "haemoglobin": 8.1, "platelets": 31,
        "blasts": 60, "cytogenetics": ["t_15_17"], "cytogenetics_text": "", "immunophenotype": {"CD34": "negative"},
        "immunophenotype_text": "", "updated_by": "Tess Technician", "updated_at": "2026-03-02T09:29:00Z",
    },
    "Event": {
        "sequence": 1, "at": "2026-03-02T09:28:00Z", "actor": "Tess Technician (token scanner-2)",
        "action": "case.created", "sentence": "Tess Technician (token scanner-2) opened the case.",
        "subject": "case 3", "detail": {"accession_number": "ACC-26-00042"}, "previous_hash": "", "hash": "9" * 64,
    },
    "ImageBrief": _IMAGE_BRIEF,
    "ImageDetail": _IMAGE,
    "Me": {
        "email": "tess@lab.example", "name": "Tess Technician", "laboratory": "Rendered Laboratory",
        "roles": ["technician"], "scopes": ["cases:read", "cases:write", "images:write"],
        "may": ["read cases", "create cases", "upload images"], "limit": {"requests": 6000, "seconds": 3600},
    },
    "Outcomes": {
        "outcomes": [
            {"name": "cell-07.png", "status": "accepted", "id": 7, "code": "", "remarks": []},
            {"name": "note.txt", "status": "rejected", "id": None, "code": "not_an_image",
             "remarks": ["This is no picture. Send a JPEG, PNG, TIFF, BMP or WebP file."]},
        ]
    },
    "Patient": _PATIENT,
    "Plan": {
        "images": 412, "patients": 37, "bytes": 391_000_000, "undecided": 20,
        "classes": [{"task": "cell", "label": "blast", "images": 412, "patients": 37}],
        "left_out": [{"code": "gone", "images": 1, "detail": "could not be read from the storage"}],
    },
    "Receipt": {**_IMAGE, "status": "queued", "analyses": [], "reading": None, "duplicate": False, "remarks": []},
    "Release": {
        "id": 1, "task": "cell", "network": "cnn", "version": "1.0", "digest": "c" * 64, "stage": "active",
        "registered_at": "2026-02-20T08:00:00Z", "card": {"task": "cell", "classes": ["blast", *_CLASSES]},
    },
    "Report": _REPORT,
    "ReportDetail": {
        **_REPORT, "content": {"diagnosis": {"code": "9861/3", "name": "Acute myeloid leukaemia, NOS"}},
        "research_use_only": RESEARCH_USE_ONLY,
    },
    "Step": _STEP_TAKEN,
    "Delivery": _DELIVERY,
    "Opened": {"ids": [3, 4]},
    "Replayed": {"count": 2},
    "SecretWebhook": {**_WEBHOOK, "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"},
    "Webhook": _WEBHOOK,
    "PatchedWebhookChangeInputRequest": {"active": False},
    "Taken": {"rows": 40, "opened": 12, "matched": 3},
    "Tried": {"count": 2},
    "ClaimInputRequest": {"take_over": False},
    "ImageInputRequest": {"file": "(the bytes of cell-07.png)", "kind": "cell", "um_per_pixel": 0.1},
    "ImagesInputRequest": {"file": ["(the bytes of cell-07.png)", "(the bytes of cell-08.png)"], "kind": "cell"},
    "ManifestInputRequest": {"file": "(the bytes of list.csv)"},
    "PatchedCaseChangeInputRequest": {"priority": "urgent", "requester_email": "vogt@ward.example"},
    "PatchedKindInputRequest": {"kind": "cell"},
    "PatchedPatientChangeInputRequest": {"birth_date": "1961-04-02"},
}  # fmt: skip
_REFUSED: dict[str, tuple[str, str, str, Json]] = {
    "400": ("Bad Request", "invalid", "kind: “liver” is not a valid choice.",
            {"errors": [{"field": "kind", "code": "invalid_choice", "detail": "“liver” is not a valid choice."}]}),
    "401": ("Unauthorized", "authentication_failed", "This token is unknown, expired or revoked.", {}),
    "403": ("Forbidden", "permission_denied", "This token may not do this: it lacks the scope images:write.", {}),
    "404": ("Not Found", "not_found", "There is nothing here that you can see.", {}),
    "409": ("Conflict", "accession_taken", "Accession ACC-26-00042 is a case already.", {"existing": 3}),
    "412": ("Precondition Failed", "changed_meanwhile", "This has changed since you read it. Read it again.", {}),
    "413": ("Content Too Large", "too_large", "This file is too large: at most 64 MB are accepted.", {}),
    "415": ("Unsupported Media Type", "unsupported_media_type", "Send JSON.", {}),
    "422": ("Unprocessable Content", "truncated", "This picture breaks off. Export it again.", {}),
    "429": ("Too Many Requests", "throttled", "Too many requests. Wait 30 seconds.", {}),
    "503": ("Service Unavailable", "not_stored", "It could not be stored just now. Send it again.", {}),
}  # fmt: skip


def everywhere(result: Json, **_: Any) -> Json:
    """drf-spectacular's hook: an example for each body and answer that has none yet."""
    schemas = result["components"]["schemas"]
    kept: Json = result["components"].setdefault("examples", {})
    for methods in result["paths"].values():
        for operation in methods.values():
            for media in operation.get("requestBody", {}).get("content", {}).values():
                _exemplify(media, _name(media), _example(schemas, media["schema"]), kept)
            for status, answer in operation["responses"].items():
                for kind, media in answer.get("content", {}).items():
                    if kind == MEDIA_TYPE:
                        _exemplify(media, f"Problem{status}", _problem(status), kept)
                    else:
                        _exemplify(media, _name(media), _example(schemas, media["schema"]), kept)
    return result


def _exemplify(media: Json, name: str, value: Any, kept: Json) -> None:
    if value is not None and "examples" not in media:
        kept[name] = {"value": value}
        media["examples"] = {"Example": {"$ref": f"#/components/examples/{name}"}}


def _name(media: Json) -> str:
    return str(media["schema"].get("$ref", "")).rpartition("/")[2]


def _example(schemas: Json, schema: Json) -> Any:
    name = _name({"schema": schema})
    if name in EXAMPLES or not name:
        return EXAMPLES.get(name)
    if (results := schemas[name].get("properties", {}).get("results")) is None:
        return None
    page = {"count": 1, "next": None, "previous": None, "results": [_example(schemas, results["items"])]}
    return page | ({"research_use_only": RESEARCH_USE_ONLY} if "research_use_only" in schemas[name]["required"] else {})


def _problem(status: str) -> Json | None:
    if status not in _REFUSED:
        return None
    title, code, detail, more = _REFUSED[status]
    return {"type": "about:blank", "title": title, "status": int(status), "code": code, "detail": detail, **more}
