"""What is sent and answered around batches."""

from __future__ import annotations

import math
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api.inputs import PictureInput, Strict
from diagnosis.batches import manifest
from diagnosis.models import Analysis, Batch, BatchFile

BATCH = {
    "id": 12,
    "name": "Morning, microscope 2",
    "case": None,
    "kind": "",
    "um_per_pixel": None,
    "created_by": "Tess Technician",
    "created_at": "2026-03-02T09:30:00Z",
    "finished_at": None,
}
FILE = {
    "id": 340,
    "name": "S26-0123 field 4.jpg",
    "path": "morning/S26-0123 field 4.jpg",
    "bytes": 812_344,
    "outcome": "accepted",
    "words": "Accepted",
    "code": "",
    "reason": "",
    "flags": [],
    "accession_number": "S26-0123",
    "case": 3,
    "image": 7,
    "status": "done",
    "error": "",
    "container": None,
    "created_at": "2026-03-02T09:30:02Z",
    "settled_at": "2026-03-02T09:30:04Z",
}
BATCH_NOW = BATCH | {
    "state": "reading",
    "counts": {
        "files": 40, "bytes": 32_493_760, "receiving": 0, "received": 40, "checking": 0, "checked": 40, "accepted": 36,
        "duplicate": 2, "rejected": 1, "replaced": 0, "unmatched": 1, "discarded": 0, "flagged": 3, "needs": 2,
        "queued": 16, "reading": 2, "read": 18, "unread": 0, "failed": 0, "retryable": 0,
    },
    "seconds_left": 8.5,
    "warning": None,
    "upload_url": "/uploads/",
}  # fmt: skip


@extend_schema_serializer(
    examples=[
        OpenApiExample("Each file finds its case by its name", request_only=True, value={"name": "Morning"}),
        OpenApiExample(
            "All files of one case",
            request_only=True,
            value={"name": "Slide scanner", "accession_number": "S26-0123", "kind": "field", "um_per_pixel": 0.25},
        ),
    ]
)
class BatchInput(PictureInput):
    name = serializers.CharField(
        max_length=120, default="", allow_blank=True, help_text="To find it again; named by the time where left out."
    )
    accession_number = serializers.CharField(
        max_length=64,
        default="",
        allow_blank=True,
        help_text="The case of all its files. Where left out, each is matched by its name, its folders or a list.",
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample("By the number of the case", request_only=True, value={"accession_number": "S26-0123"}),
        OpenApiExample("By its id", request_only=True, value={"case": 3}),
    ]
)
class AssignInput(Strict):
    case = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1, help_text="Id of the case, or:")
    accession_number = serializers.CharField(required=False, max_length=64, help_text="Its number, in any case.")

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if len(values) != 1:
            raise serializers.ValidationError("Name the case once: by `case` or by `accession_number`.", code="invalid")
        return values


class ManifestInput(Strict):
    file = serializers.FileField(
        allow_empty_file=True,
        help_text=f"CSV or XLSX, {manifest.MAX_BYTES // 2**20} MiB and {manifest.MAX_ROWS} rows at most, with the "
        f"columns {', '.join(manifest.COLUMNS)}.",
    )


class TakenSerializer(serializers.Serializer[Any]):
    """What became of a list."""

    rows = serializers.IntegerField()
    opened = serializers.IntegerField(help_text="Cases that it opened.")
    matched = serializers.IntegerField(help_text="Files of the tray that found their case by it.")


class TriedSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="Of how many files that is true.")


class CountsSerializer(serializers.Serializer[Any]):
    """Files by what has become of them. A zip counts by its members once it is unpacked."""

    files = serializers.IntegerField(help_text="All of them.")
    bytes = serializers.IntegerField()
    receiving = serializers.IntegerField(help_text="Still arriving.")
    received = serializers.IntegerField(help_text="Nothing more is awaited of them.")
    checking = serializers.IntegerField(help_text="Came whole and have no outcome yet.")
    checked = serializers.IntegerField(help_text="Have their outcome.")
    accepted = serializers.IntegerField(
        help_text="Stored as pictures; each is queued, reading, read, unread or failed."
    )
    duplicate = serializers.IntegerField(help_text="The same bytes were in the case already.")
    rejected = serializers.IntegerField(help_text="Not taken, or never came whole.")
    replaced = serializers.IntegerField(help_text="Of those not taken: another file has taken their place.")
    unmatched = serializers.IntegerField(help_text="Wait in the tray for a person to name their case.")
    discarded = serializers.IntegerField()
    flagged = serializers.IntegerField(help_text="Their picture's quality calls for a look.")
    needs = serializers.IntegerField(help_text="Somebody has to do something about them.")
    queued = serializers.IntegerField(source="waiting", help_text="Accepted, and their reading has not begun.")
    reading = serializers.IntegerField()
    read = serializers.IntegerField()
    unread = serializers.IntegerField(help_text="Accepted, and there was no network to ask.")
    failed = serializers.IntegerField(help_text="Could not be read; they can be tried again.")
    retryable = serializers.IntegerField(help_text="Not taken for something of ours; they can be tried again.")


class BatchBriefSerializer(serializers.ModelSerializer[Any]):
    created_by = serializers.StringRelatedField[Any]()
    case = serializers.IntegerField(source="case_id", allow_null=True, help_text="Of all its files, or null.")
    name = serializers.CharField()
    kind = serializers.CharField(help_text="`field` or `cell`, or empty: told from each picture.")

    class Meta:
        model = Batch
        fields = ["id", "name", "case", "kind", "um_per_pixel", "created_by", "created_at", "finished_at"]
        read_only_fields = fields


class BatchListedSerializer(BatchBriefSerializer):
    files = serializers.IntegerField(source="total")
    needs = serializers.IntegerField(help_text="Files that somebody has to do something about.")

    class Meta(BatchBriefSerializer.Meta):
        fields = [*BatchBriefSerializer.Meta.fields, "files", "needs"]


class BatchSerializer(BatchBriefSerializer):
    """A batch and how far it is, from the `Batch` and its `progress.Progress`."""

    state = serializers.ChoiceField(
        ["empty", "receiving", "reading", "done"],
        help_text="`done`: nothing arrives, waits or is being read; `counts.needs` files may still wait for a person.",
    )
    counts = CountsSerializer()
    seconds_left = serializers.FloatField(allow_null=True, help_text="Until all is read; null while it is not known.")
    warning = serializers.CharField(allow_null=True, help_text="A sentence, such as: no worker is there.")
    upload_url = serializers.CharField(
        help_text="Where files go, by tus 1.0: send `batch` (this `id`), `filename` and a `fingerprint` as metadata."
    )

    class Meta(BatchBriefSerializer.Meta):
        fields = [*BatchBriefSerializer.Meta.fields, "state", "counts", "seconds_left", "warning", "upload_url"]

    def to_representation(self, seen: Any) -> dict[str, Any]:
        batch, at = seen
        seconds = at.seconds_left
        return {
            **BatchBriefSerializer(batch).data,
            "state": at.state,
            "counts": CountsSerializer(at).data,
            "seconds_left": seconds if seconds is None or math.isfinite(seconds) else None,
            "warning": at.warning or None,
            "upload_url": reverse("uploads"),
        }


class BatchFileSerializer(serializers.Serializer[Any]):
    """One file with its outcome, from an `outcomes.Outcome`."""

    id = serializers.IntegerField(source="file.pk")
    name = serializers.CharField(source="file.name")
    path = serializers.CharField(source="file.path", help_text="With its folders, as the sender called it.")
    bytes = serializers.IntegerField(source="file.length")
    outcome = serializers.ChoiceField(BatchFile.State.choices, source="file.state")
    words = serializers.CharField(source="file.get_state_display", help_text="The outcome, for people.")
    code = serializers.CharField(source="file.code", help_text="Why, for programs, or empty.")
    reason = serializers.CharField(source="file.reason", help_text="Why, as a sentence, or empty.")
    flags = serializers.ListField(
        source="file.flags", child=serializers.CharField(), help_text="What the picture's quality calls for."
    )
    accession_number = serializers.CharField(
        source="file.accession", help_text="What its name, a list or the sender said, or empty."
    )
    case = serializers.IntegerField(source="file.case_id", allow_null=True)
    image = serializers.IntegerField(source="file.image_id", allow_null=True)
    status = serializers.ChoiceField(
        Analysis.State.choices,
        source="reading",
        allow_null=True,
        help_text="Of the picture's reading; null where there is no picture.",
    )
    error = serializers.CharField(help_text="Why it could not be read, in words, or empty.")
    container = serializers.IntegerField(
        source="file.container_id", allow_null=True, help_text="The zip that it came in, by its id."
    )
    created_at = serializers.DateTimeField(source="file.created_at")
    settled_at = serializers.DateTimeField(source="file.settled_at", allow_null=True)
