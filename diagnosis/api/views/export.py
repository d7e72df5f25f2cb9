"""The laboratory's decided pictures, de-identified: what a choice holds, and the zip of it (`diagnosis.export`)."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from diagnosis import export
from diagnosis.api.problems import Problem
from diagnosis.api.schema import answers
from diagnosis.api.views.base import Door
from mlcore.bundle import TASKS

_STATUS = {"empty": 409, "too_large": 413}


class ChoiceQuery(serializers.Serializer[Any]):
    """What to export, as it stands in an address."""

    tasks = serializers.ListField(
        child=serializers.ChoiceField(list(TASKS)), required=False, help_text="Fields, single cells, or both."
    )
    signed_only = serializers.BooleanField(default=True, help_text="Of signed cases only.")
    since = serializers.DateField(required=False, help_text="Decided on that day or later, YYYY-MM-DD.")
    until = serializers.DateField(required=False, help_text="Decided on that day or earlier.")
    labels = serializers.ListField(
        child=serializers.ChoiceField(sorted({label for task in TASKS for label in TASKS[task]})),
        required=False,
        help_text="Classes; all of them where left out.",
    )


class ClassSerializer(serializers.Serializer[Any]):
    task = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    images = serializers.IntegerField()
    patients = serializers.IntegerField()


class LeftOutSerializer(serializers.Serializer[Any]):
    code = serializers.ChoiceField(list(export.LEFT_OUT))
    images = serializers.IntegerField()
    detail = serializers.CharField(help_text="In words that follow the number.")


class PlanSerializer(serializers.Serializer[Any]):
    """What an export would hold, from an `export.Plan`."""

    images = serializers.IntegerField()
    patients = serializers.IntegerField()
    bytes = serializers.IntegerField()
    undecided = serializers.IntegerField(help_text="Images that fit but for a decision.")
    classes = ClassSerializer(many=True)
    left_out = LeftOutSerializer(many=True)

    def to_representation(self, plan: Any) -> dict[str, Any]:
        return {
            "images": len(plan.pictures),
            "patients": plan.patients,
            "bytes": plan.byte_size,
            "undecided": plan.undecided,
            "classes": [
                {"task": task, "label": label, "images": images, "patients": patients}
                for task, lines in plan.classes().items()
                for label, images, patients in lines
            ],
            "left_out": [
                {"code": code, "images": count, "detail": export.LEFT_OUT[code]}
                for code, count in sorted(plan.left_out.items())
            ],
        }


class ExportDoor(Door):
    actions = {"GET": Action.EXPORT}
    filter_backends = []
    pagination_class = None
    serializer_class = PlanSerializer

    def choice(self) -> export.Choice:
        """Raises `ValidationError`, `Problem`."""
        read = ChoiceQuery(data=self.request.query_params)
        read.is_valid(raise_exception=True)
        said = read.validated_data
        try:
            return export.Choice(
                tasks=tuple(dict.fromkeys(said.get("tasks") or TASKS)),
                signed_only=said["signed_only"],
                since=said.get("since"),
                until=said.get("until"),
                labels=frozenset(said.get("labels", ())),
            )
        except export.ExportRefused as refused:
            raise Problem(400, refused.code, str(refused), field=refused.field) from refused


@extend_schema(tags=["export"])
class ExportView(ExportDoor):
    shape = PlanSerializer

    @extend_schema(
        operation_id="plan_export",
        summary="What an export of decided pictures would hold; nothing leaves yet",
        parameters=[ChoiceQuery],
        responses=answers({200: PlanSerializer}, 400),
    )
    def get(self, request: Request) -> Response:
        return Response(PlanSerializer(export.preview(actor=self.actor, choice=self.choice())).data)


@extend_schema(tags=["export"])
class ExportFileView(ExportDoor):
    @extend_schema(
        operation_id="get_export",
        summary="The decided pictures as a zip, de-identified, made while it is sent",
        description="For an administrator's token with the scope `data:export`. It stands in the laboratory's audit "
        "before its first byte leaves.",
        parameters=[ChoiceQuery],
        responses={(200, "application/zip"): OpenApiTypes.BINARY, **answers({}, 400, 409, 413)},
    )
    def get(self, request: Request) -> HttpResponseBase:
        try:
            zipped = export.download(actor=self.actor, choice=self.choice())
        except export.ExportRefused as refused:
            raise Problem(_STATUS.get(refused.code, 400), refused.code, str(refused)) from refused
        answer = StreamingHttpResponse(zipped, content_type="application/zip")
        name = f"leukolens-{self.actor.laboratory.slug}-{timezone.localdate():%Y-%m-%d}.zip"
        answer.headers["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or ""
        answer.headers["X-Accel-Buffering"] = "no"  # a proxy passes it on as it comes
        return answer
