"""Patients: listed, read, corrected. They come into being with their first case."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from diagnosis import clinic, opening_many, worklist
from diagnosis.api.filters import PatientFilter
from diagnosis.api.inputs import PatientChangeInput
from diagnosis.api.problems import Problem
from diagnosis.api.schema import answers
from diagnosis.api.serializers import PatientSerializer
from diagnosis.api.views.base import Door
from diagnosis.models import Patient

_CONFLICTS = {"accession_taken", "mrn_taken", "patient_differs", "signed"}
_OF_PATIENT = {"mrn", "name", "birth_date", "sex", "clinical_notes"}


def clinic_problem(error: clinic.ClinicError, *, patient_prefix: str = "") -> Problem:
    """What the clinic refused, as an answer: 409 where something stands in the way, else 400."""
    field = f"{patient_prefix}{error.field}" if error.field in _OF_PATIENT else error.field
    if error.code in _CONFLICTS:
        return Problem(409, error.code, str(error), field=field, existing=error.existing)
    return Problem(400, error.code, str(error), field=field)


def many_problem(refused: opening_many.ManyRefused) -> Problem:
    """What was refused of many cases, each with its place in the request; 409 where all of it stands in the way."""
    errors = [
        {"field": f"cases.{place}.{problem.errors[0]['field']}", "code": problem.code, "detail": problem.detail}
        for place, problem in (
            (place, clinic_problem(error, patient_prefix="patient.")) for place, error in refused.errors.items()
        )
    ]
    in_the_way = {error["code"] for error in errors} <= _CONFLICTS | {"repeated"}
    return Problem(409 if in_the_way else 400, "cases_refused", str(refused), errors=errors)


class PatientDoor(Door):
    queryset = Patient.objects.none()
    serializer_class = PatientSerializer

    def get_queryset(self) -> QuerySet[Patient]:
        if getattr(self, "swagger_fake_view", False):
            return Patient.objects.none()
        return worklist.patients(actor=self.actor, search=self.request.query_params.get("search", ""))


@extend_schema(tags=["patients"])
class PatientsView(PatientDoor):
    actions = {"GET": Action.READ_CASES}
    shape = PatientSerializer
    filterset_class = PatientFilter

    @extend_schema(
        operation_id="list_patients",
        summary="The laboratory's patients, by name",
        parameters=[OpenApiParameter("search", str, description="Words that all occur in the name or the MRN.")],
        responses=answers({200: PatientSerializer(many=True)}, 400, 404),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(PatientSerializer(page, many=True).data)


@extend_schema(tags=["patients"])
class PatientView(PatientDoor):
    actions = {"GET": Action.READ_CASES, "PATCH": Action.EDIT_PATIENT}
    shape = PatientSerializer

    @extend_schema(operation_id="get_patient", summary="One patient", responses=answers({200: PatientSerializer}, 404))
    def get(self, request: Request, patient_id: int) -> Response:
        return Response(PatientSerializer(get_object_or_404(self.get_queryset(), pk=patient_id)).data)

    @extend_schema(
        operation_id="correct_patient",
        summary="Correct a patient's record",
        description="Only what is sent changes, and each change stands in the audit.",
        request=PatientChangeInput,
        responses=answers({200: PatientSerializer}, 400, 404, 409, 413, 415),
    )
    def patch(self, request: Request, patient_id: int) -> Response:
        patient = get_object_or_404(self.get_queryset(), pk=patient_id)
        try:
            patient = clinic.update_patient(
                actor=self.actor, patient=patient, **self.parsed(PatientChangeInput, partial=True)
            )
        except clinic.ClinicError as error:
            raise clinic_problem(error) from error
        return Response(PatientSerializer(patient).data)
