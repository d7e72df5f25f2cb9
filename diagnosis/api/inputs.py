"""What a client may send. A member that is not known is refused by name rather than dropped unseen."""

from __future__ import annotations

import math
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from diagnosis.models import Case, Decision, Patient, SmearImage
from diagnosis.opening_many import AT_ONCE


class Strict(serializers.Serializer[Any]):
    def to_internal_value(self, data: Any) -> Any:
        if hasattr(data, "keys") and (unknown := sorted(set(map(str, data.keys())) - set(self.fields))):
            known = ", ".join(self.fields)
            raise serializers.ValidationError(
                {name: [f"This is not known here. Known are: {known}."] for name in unknown}, code="unknown"
            )
        return super().to_internal_value(data)


class PatientChangeInput(Strict):
    mrn = serializers.CharField(max_length=64, required=False, help_text="Medical record number.")
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    birth_date = serializers.DateField(required=False, allow_null=True, help_text="YYYY-MM-DD")
    sex = serializers.ChoiceField(Patient.Sex.choices, required=False)
    clinical_notes = serializers.CharField(max_length=10_000, required=False, allow_blank=True)


class PatientInput(PatientChangeInput):
    mrn = serializers.CharField(
        max_length=64, help_text="Medical record number: a patient known by it is matched, else a new one is made."
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A case for a known or new patient",
            request_only=True,
            value={
                "accession_number": "ACC-26-00042",
                "specimen": "peripheral_blood",
                "priority": "urgent",
                "clinical_question": "Leucocytosis of unknown origin. Blasts?",
                "patient": {"mrn": "7741-203", "name": "Rendered Person", "birth_date": "1961-04-02", "sex": "female"},
            },
        )
    ]
)
class CaseInput(Strict):
    accession_number = serializers.CharField(max_length=64, help_text="Unique in the laboratory.")
    specimen = serializers.ChoiceField(Case.Specimen.choices, default=Case.Specimen.PERIPHERAL_BLOOD)
    stain = serializers.ChoiceField(Case.Stain.choices, default=Case.Stain.MAY_GRUNWALD_GIEMSA)
    priority = serializers.ChoiceField(Case.Priority.choices, default=Case.Priority.ROUTINE)
    clinical_question = serializers.CharField(max_length=4_000, default="", allow_blank=True)
    requester_name = serializers.CharField(max_length=200, default="", allow_blank=True)
    requester_email = serializers.EmailField(
        default="", allow_blank=True, help_text="Told when the report is signed; the mail never names the patient."
    )
    patient = PatientInput()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two cases of one patient",
            request_only=True,
            value={
                "cases": [
                    {"accession_number": "ACC-26-00042", "patient": {"mrn": "7741-203", "name": "Rendered Person"}},
                    {
                        "accession_number": "ACC-26-00043",
                        "specimen": "bone_marrow",
                        "priority": "urgent",
                        "patient": {"mrn": "7741-203"},
                    },
                ]
            },
        )
    ]
)
class CasesInput(Strict):
    cases = serializers.ListField(child=CaseInput(), allow_empty=False, max_length=AT_ONCE)


class CaseChangeInput(Strict):
    priority = serializers.ChoiceField(Case.Priority.choices, required=False)
    clinical_question = serializers.CharField(max_length=4_000, required=False, allow_blank=True)
    specimen = serializers.ChoiceField(Case.Specimen.choices, required=False)
    stain = serializers.ChoiceField(Case.Stain.choices, required=False)
    requester_name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    requester_email = serializers.EmailField(required=False, allow_blank=True)


class ClaimInput(Strict):
    take_over = serializers.BooleanField(
        default=False, help_text="Take it from the colleague who holds it; it stands in the history."
    )


class PictureInput(Strict):
    kind = serializers.ChoiceField(
        SmearImage.Kind.choices, required=False, help_text="Told from the picture where not given."
    )
    um_per_pixel = serializers.FloatField(
        required=False, min_value=0.001, max_value=100, help_text="Micrometres on the slide for each pixel."
    )

    def validate_um_per_pixel(self, value: float) -> float:
        if not math.isfinite(value):  # "nan" passes both bounds
            raise serializers.ValidationError("A valid number is required.", code="invalid")
        return value


class ImageInput(PictureInput):
    file = serializers.FileField(
        allow_empty_file=True, help_text="One picture: JPEG, PNG, TIFF, BMP or WebP, told by its content."
    )


class ImagesInput(PictureInput):
    file = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True),
        allow_empty=False,
        help_text="Pictures, each in a part of its own called `file`. `kind` and `um_per_pixel` hold for all of them.",
    )


class KindInput(Strict):
    kind = serializers.ChoiceField(SmearImage.Kind.choices)


@extend_schema_serializer(
    examples=[
        OpenApiExample("Agree with the reading", request_only=True, value={"verdict": "agree"}),
        OpenApiExample("Take the decision back", request_only=True, value={"verdict": "withdraw"}),
        OpenApiExample(
            "Override it, if nobody has decided meanwhile",
            request_only=True,
            value={
                "verdict": "override",
                "label": "monocyte",
                "comment": "Folded nucleus, no Auer rods.",
                "expected_decision": None,
            },
        ),
    ]
)
class DecisionInput(Strict):
    verdict = serializers.ChoiceField(Decision.Verdict.choices)
    label = serializers.CharField(  # type: ignore[assignment]
        max_length=40,
        required=False,
        help_text="To override: the class that you see. To agree, if given: "
        "the class that you saw in the reading, and where the reading has changed since, you are told (409).",
    )
    comment = serializers.CharField(max_length=4_000, default="", allow_blank=True)
    expected_decision = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        help_text="The `id` of the decision that you saw, or null if there was none: "
        "when another has come since, yours is refused (409) instead of covering it. Not checked where left out.",
    )


@extend_schema_serializer(component_name="DecisionOfImageInput")
class DecisionOfImageInput(DecisionInput):
    image = serializers.IntegerField(min_value=1, max_value=2**63 - 1, help_text="Of the case.")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Agree with two readings and override a third, if nobody has decided meanwhile",
            request_only=True,
            value={
                "step": "0f8fad5b-d9cb-469f-a165-70867728950e",
                "decisions": [
                    {"image": 7, "verdict": "agree", "label": "blast", "expected_decision": None},
                    {"image": 8, "verdict": "agree", "label": "blast", "expected_decision": None},
                    {"image": 9, "verdict": "override", "label": "monocyte", "expected_decision": 31},
                ],
            },
        )
    ]
)
class DecisionsInput(Strict):
    step = serializers.UUIDField(
        required=False, help_text="Made by you, so that the step can be sent again safely; else one is made."
    )
    decisions = serializers.ListField(child=DecisionOfImageInput(), allow_empty=False, max_length=5_000)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Only if it is still this step",
            request_only=True,
            value={
                "undoes": "0f8fad5b-d9cb-469f-a165-70867728950e",
                "step": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
            },
        )
    ]
)
class TurnInput(Strict):
    undoes = serializers.UUIDField(
        required=False, help_text="The step that you mean; where it is not the next one any more, you are told (409)."
    )
    step = serializers.UUIDField(required=False, help_text="Name of this undoing, so that it can be sent again safely.")
