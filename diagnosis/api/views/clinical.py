"""The clinical data of a case: what other instruments and laboratories found."""

from __future__ import annotations

import math
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from diagnosis import audit, clinical
from diagnosis.api.inputs import Strict
from diagnosis.api.problems import Problem
from diagnosis.api.schema import answers
from diagnosis.api.views.cases import CaseDoor
from diagnosis.models import ClinicalData
from diagnosis.vocabulary import CYTOGENETICS, MARKER_STATES


class FigureField(serializers.FloatField):
    def __init__(self, unit: str, **kwargs: Any) -> None:
        super().__init__(allow_null=True, help_text=f"{unit}; null where not known.", **kwargs)

    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        if not math.isfinite(value):
            raise serializers.ValidationError("A valid number is required.", code="invalid")
        return value


class ClinicalSerializer(serializers.ModelSerializer[ClinicalData]):
    case = serializers.IntegerField(source="case_id")
    updated_by = serializers.SerializerMethodField()
    updated_at = serializers.SerializerMethodField()
    cytogenetics = serializers.ListField(child=serializers.CharField(), help_text="Codes of findings.")
    immunophenotype = serializers.DictField(
        child=serializers.ChoiceField(list(MARKER_STATES)), help_text="By marker; one that is not named was not tested."
    )
    revision = serializers.IntegerField(help_text="0 where nothing was entered yet.")

    class Meta:
        model = ClinicalData
        fields = ["case", "revision", *clinical.FIELDS, "updated_by", "updated_at"]
        read_only_fields = fields

    def get_updated_by(self, data: ClinicalData) -> str | None:
        return str(data.updated_by) if data.revision else None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_updated_at(self, data: ClinicalData) -> str | None:
        return data.updated_at.isoformat() if data.revision else None


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A blood count and a fusion",
            request_only=True,
            value={
                "expected_revision": 0, "counted_on": "2026-03-02", "wbc": 42.5, "haemoglobin": 8.1, "platelets": 31,
                "blasts": 60, "cytogenetics": ["t_15_17"], "immunophenotype": {"CD34": "negative", "CD117": "dim"},
            },
        )
    ]
)  # fmt: skip
class ClinicalInput(Strict):
    expected_revision = serializers.IntegerField(
        min_value=0,
        help_text="The `revision` that you saw; where another stands, nothing is stored (409, `changed_meanwhile`).",
    )
    counted_on = serializers.DateField(required=False, allow_null=True, help_text="Of the blood count, YYYY-MM-DD.")
    wbc = FigureField("White cells, 10⁹/l", required=False)
    haemoglobin = FigureField("g/dl", required=False)
    platelets = FigureField("10⁹/l", required=False)
    blasts = FigureField("Percent of the white cells, by the counter", required=False)
    cytogenetics = serializers.ListField(child=serializers.ChoiceField(list(CYTOGENETICS.items())), required=False)
    cytogenetics_text = serializers.CharField(max_length=4_000, required=False, allow_blank=True)
    immunophenotype = serializers.DictField(child=serializers.ChoiceField(list(MARKER_STATES)), required=False)
    immunophenotype_text = serializers.CharField(max_length=4_000, required=False, allow_blank=True)
    confirmed = serializers.ListField(
        child=serializers.ChoiceField(list(clinical.QUANTITIES)),
        default=list,
        help_text="Figures that are very rare and that somebody has looked at again.",
    )


class CaseClinicalView(CaseDoor):
    actions = {"GET": Action.READ_CASES, "PATCH": Action.EDIT_CLINICAL}
    shape = ClinicalSerializer
    filter_backends = []

    @extend_schema(
        tags=["cases"],
        operation_id="get_clinical_data",
        summary="Blood count, cytogenetics and immunophenotype of a case",
        responses=answers({200: ClinicalSerializer}, 404),
    )
    def get(self, request: Request, case_id: int) -> Response:
        case = self.case()
        audit.record_read(actor=self.actor, case=case)
        return Response(ClinicalSerializer(clinical.of_case(case)).data)

    @extend_schema(
        tags=["cases"],
        operation_id="save_clinical_data",
        summary="Enter or change the clinical data of a case",
        description="Only what is sent changes. A figure that cannot be is refused (400, `impossible`), with the value "
        "in the right unit as `offer` where it looks like g/l or a count per µl; one that is very rare is asked about "
        "(400, `rare`) and stored when its name stands in `confirmed`.",
        request=ClinicalInput,
        responses=answers({200: ClinicalSerializer}, 400, 404, 409, 413, 415),
    )
    def patch(self, request: Request, case_id: int) -> Response:
        case, values = self.case(), self.parsed(ClinicalInput)
        try:
            saved = clinical.save(
                actor=self.actor,
                case=case,
                expected_revision=values.pop("expected_revision"),
                confirmed=values.pop("confirmed"),
                **values,
            )
        except clinical.ClinicalConflict as conflict:
            raise Problem(409, "changed_meanwhile", str(conflict), revision=conflict.current.revision) from conflict
        except clinical.ClinicalError as refused:
            raise Problem(400, refused.code, str(refused), field=refused.field, offer=refused.offer) from refused
        return Response(ClinicalSerializer(saved).data)
