"""Cases: listed, opened, read; their images and their history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.permissions import Action
from diagnosis import audit, blinding, clinic, holding, intake, opening_many, worklist
from diagnosis.api.filters import CaseFilter
from diagnosis.api.inputs import CaseChangeInput, CaseInput, CasesInput, ClaimInput, ImageInput, ImagesInput
from diagnosis.api.pagination import OpinionPages
from diagnosis.api.parsers import BoundedParser, OneFileParser
from diagnosis.api.problems import Problem
from diagnosis.api.schema import answers
from diagnosis.api.serializers import (
    IMAGES_WITHIN_CASE,
    CaseDetailSerializer,
    CaseSerializer,
    EventSerializer,
    ImageBriefSerializer,
    OutcomesSerializer,
    ReceiptSerializer,
)
from diagnosis.api.views.base import Door
from diagnosis.api.views.patients import clinic_problem, many_problem
from diagnosis.models import Case, SmearImage


class CaseDoor(Door):
    queryset = Case.objects.none()

    def case(self) -> Case:
        try:
            return worklist.case_page(actor=self.actor, case_id=self.kwargs["case_id"])
        except Case.DoesNotExist:
            raise Http404 from None

    def received(self, case: Case, file: UploadedFile, values: dict[str, Any]) -> intake.Outcome:
        """What became of one file; `values`: a `PictureInput` as it was read."""
        return intake.receive_image(
            actor=self.actor,
            case=case,
            data=file,
            name=file.name or "",
            kind=values.get("kind"),
            um_per_pixel=values.get("um_per_pixel"),
            via=SmearImage.Via.API,
        )

    def answer(self, case: Case, status: int = 200) -> Response:
        images = list(case.images.order_by("id")[:IMAGES_WITHIN_CASE]) if self.asks("images") else []
        context = {**self.get_serializer_context(), "images": worklist.rows(images, blinded=case.blinded)}
        return Response(CaseDetailSerializer(case, context=context).data, status=status)


@extend_schema(tags=["cases"])
class CasesView(CaseDoor):
    actions = {"GET": Action.READ_CASES, "POST": Action.CREATE_CASE}
    shape = CaseSerializer
    serializer_class = CaseSerializer
    pagination_class = OpinionPages
    filterset_class = CaseFilter

    def get_queryset(self) -> QuerySet[Case]:
        if getattr(self, "swagger_fake_view", False):
            return Case.objects.none()
        asked = self.request.query_params
        found = worklist.cases(actor=self.actor, search=asked.get("search", ""))
        if {"status", "flag"} & asked.keys() or any(name in asked.get("ordering", "") for name in ("status", "malig")):
            found = blinding.unknowable(found, self.actor)
        return found.select_related("created_by", "held_by")

    @extend_schema(
        operation_id="list_cases",
        summary="The laboratory's cases, urgent ones first, then the newest",
        parameters=[
            OpenApiParameter(
                "search",
                str,
                description="Words that all occur in the accession number, the patient's name or MRN, or the "
                "words of a flag; one of fewer than three letters has to begin a number or a part of a name.",
            )
        ],
        responses=answers({200: CaseSerializer(many=True)}, 400, 404),
    )
    def get(self, request: Request) -> Response:
        page = blinding.veil(self.paginate_queryset(self.filter_queryset(self.get_queryset())) or [])
        return self.get_paginated_response(CaseSerializer(page, many=True, context=self.get_serializer_context()).data)

    @extend_schema(
        operation_id="create_case",
        summary="Open a case on a patient, matched by MRN or new",
        description="A patient who is known already is never overwritten: what their record lacks is filled in, and "
        "what contradicts it is refused (409, `patient_differs`). An accession number that is taken is refused too "
        "(409, `accession_taken`); `existing` is then the id of that case.",
        request=CaseInput,
        responses=answers({201: CaseDetailSerializer}, 400, 409, 413, 415),
    )
    def post(self, request: Request) -> Response:
        values = self.parsed(CaseInput)
        patient = clinic.PatientData(**values.pop("patient"))
        try:
            case = clinic.create_case(actor=self.actor, patient=patient, **values)
        except clinic.ClinicError as error:
            raise clinic_problem(error, patient_prefix="patient.") from error
        response = self.answer(worklist.case_page(actor=self.actor, case_id=case.pk), status=201)
        response["Location"] = reverse("api:case", args=[case.pk], request=request)
        return response


class OpenedSerializer(serializers.Serializer[Any]):
    ids = serializers.ListField(child=serializers.IntegerField(), help_text="In the order of the request.")


@extend_schema(tags=["cases"])
class CasesBulkView(Door):
    actions = {"POST": Action.CREATE_CASE}

    @extend_schema(
        operation_id="create_cases",
        summary=f"Open up to {opening_many.AT_ONCE} cases at once: all of them, or none",
        description="Everything is checked before anything is written. Where one cannot be opened, none is: `errors` "
        "names each by its place and member (`cases.3.patient.birth_date`), with the codes of `create_case`; a number "
        "that stands in the request twice is `repeated`. 409 where all of it contradicts what is there, else 400.",
        request=CasesInput,
        responses=answers({201: OpenedSerializer}, 400, 409, 413, 415),
    )
    def post(self, request: Request) -> Response:
        wanted = [
            opening_many.NewCase(
                accession_number=each.pop("accession_number"),
                patient=clinic.PatientData(**each.pop("patient")),
                request=each,
            )
            for each in self.parsed(CasesInput)["cases"]
        ]
        try:
            opened = opening_many.create_cases(actor=self.actor, cases=wanted)
        except opening_many.ManyRefused as refused:
            raise many_problem(refused) from refused
        return Response(OpenedSerializer({"ids": [case.pk for case in opened]}).data, status=201)


@extend_schema(tags=["cases"])
class CaseView(CaseDoor):
    actions = {"GET": Action.READ_CASES, "PATCH": Action.EDIT_CASE}
    shape = CaseDetailSerializer

    @extend_schema(
        operation_id="get_case",
        summary="One case with its assessment",
        description=f"`images` holds the first {IMAGES_WITHIN_CASE}; `cases/{{case_id}}/images/` has them all.",
        responses=answers({200: CaseDetailSerializer}, 404),
    )
    def get(self, request: Request, case_id: int) -> Response:
        case = self.case()
        audit.record_read(actor=self.actor, case=case)
        return self.answer(case)

    @extend_schema(
        operation_id="change_case",
        summary="Change what was asked for: priority, question, specimen, stain, requester",
        description="Only what is sent changes, and each change stands in the history. The due time and the queue "
        "follow the priority. Of a signed case only the requester can be changed (409, `signed`).",
        request=CaseChangeInput,
        responses=answers({200: CaseDetailSerializer}, 400, 404, 409, 413, 415),
    )
    def patch(self, request: Request, case_id: int) -> Response:
        case = self.case()
        try:
            clinic.update_case(actor=self.actor, case=case, **self.parsed(CaseChangeInput, partial=True))
        except clinic.ClinicError as error:
            raise clinic_problem(error) from error
        return self.answer(self.case())


class HoldDoor(CaseDoor):
    filter_backends = []

    def held(self, step: Callable[..., Case], **how: bool) -> Response:
        """What the step leaves behind; 409 where a colleague holds the case, or where it is signed."""
        case = self.case()
        try:
            step(actor=self.actor, case=case, **how)
        except holding.HoldRefused as refused:
            raise Problem(409, refused.code, str(refused)) from refused
        return self.answer(self.case())


@extend_schema(tags=["cases"])
class CaseClaimView(HoldDoor):
    actions = {"POST": Action.HOLD_CASE}

    @extend_schema(
        operation_id="claim_case",
        summary="Hold a case, so that no colleague works on it unknowingly",
        description="A case that a colleague holds is answered with 409 and the code `held`; with `take_over` it "
        "becomes yours, which stands in its history. A case that is yours already stays as it is.",
        request=ClaimInput,
        responses=answers({200: CaseDetailSerializer}, 400, 404, 409, 413, 415),
    )
    def post(self, request: Request, case_id: int) -> Response:
        return self.held(holding.claim, take_over=self.parsed(ClaimInput)["take_over"])


@extend_schema(tags=["cases"])
class CaseReleaseView(HoldDoor):
    actions = {"POST": Action.HOLD_CASE}

    @extend_schema(
        operation_id="release_case",
        summary="Give a case that you hold back to everybody",
        request=None,
        responses=answers({200: CaseDetailSerializer}, 404, 409),
    )
    def post(self, request: Request, case_id: int) -> Response:
        return self.held(holding.release)


class CaseImagesView(CaseDoor):
    actions = {"GET": Action.READ_CASES, "POST": Action.UPLOAD_IMAGE}
    shape = ImageBriefSerializer
    backwards = False
    parser_classes = [OneFileParser]
    pagination_class = OpinionPages
    filter_backends = []

    @extend_schema(
        tags=["cases"],
        operation_id="list_images_of_case",
        summary="A case's images in the order they came",
        responses=answers({200: ImageBriefSerializer(many=True)}, 404),
    )
    def get(self, request: Request, case_id: int) -> Response:
        case = self.case()
        audit.record_read(actor=self.actor, case=case)
        page = self.paginate_queryset(case.images.order_by("id")) or []
        found = worklist.rows(page, blinded=case.blinded)
        rows = ImageBriefSerializer(found, many=True, context=self.get_serializer_context())
        return self.get_paginated_response(rows.data)

    @extend_schema(
        tags=["images"],
        operation_id="upload_image",
        summary="Add one picture to a case; its reading begins at once",
        description="One file a request. The same bytes again in the same case are answered with 200 and "
        '`"duplicate": true`, so that an upload can be repeated safely when its answer got lost. '
        "Then ask `GET /api/v1/images/{id}/` until its `status` is `done` or `failed`.",
        request={"multipart/form-data": ImageInput},
        responses=answers(
            {
                201: OpenApiResponse(ReceiptSerializer, description="Stored, and waiting to be read."),
                200: OpenApiResponse(ReceiptSerializer, description="A duplicate: it was here already."),
            },
            400,
            404,
            413,
            415,
            422,
            503,
        ),
    )
    def post(self, request: Request, case_id: int) -> Response:
        case = self.case()
        values = self.parsed(ImageInput)
        if len(request.FILES.getlist("file")) > 1:
            raise Problem(400, "one_file", "Send one file in each request, or several to images/batch/.", field="file")
        outcome = self.received(case, values["file"], values)
        if outcome.image is None:
            raise Problem(_REFUSED.get(outcome.code, 422), outcome.code, outcome.reason, field="file")
        row = worklist.image_page(actor=self.actor, image_id=outcome.image.pk)
        receipt = ReceiptSerializer((row, outcome), context=self.get_serializer_context())
        response = Response(receipt.data, status=200 if outcome.status == "duplicate" else 201)
        response["Location"] = reverse("api:image", args=[outcome.image.pk], request=request)
        return response


class CaseImageBatchView(CaseDoor):
    actions = {"POST": Action.UPLOAD_IMAGE}
    parser_classes = [BoundedParser]
    filter_backends = []

    @extend_schema(
        tags=["images"],
        operation_id="upload_images",
        summary="Add several pictures to a case; each ends as an outcome of its own",
        description="A file that is refused never takes its neighbours down: the answer is 200 and says of each file "
        "whether it was accepted, is a duplicate, or was rejected and why. Sending the same files again is safe.",
        request={"multipart/form-data": ImagesInput},
        responses=answers({200: OutcomesSerializer}, 400, 404, 413, 415),
    )
    def post(self, request: Request, case_id: int) -> Response:
        case = self.case()
        values = self.parsed(ImagesInput)
        outcomes = [(file.name, self.received(case, file, values)) for file in values["file"]]
        return Response(OutcomesSerializer({"outcomes": outcomes}).data)


#: Refusals that HTTP has a status of its own for; all others are 422.
_REFUSED = {"too_large": 413, "not_an_image": 415, "unsupported_format": 415, "not_stored": 503}


@extend_schema(tags=["cases"])
class CaseHistoryView(CaseDoor):
    actions = {"GET": Action.READ_AUDIT}
    shape = EventSerializer
    filter_backends = []

    @extend_schema(
        operation_id="list_history_of_case",
        summary="Who did what to a case, from the audit, the newest first",
        responses=answers({200: EventSerializer(many=True)}, 404),
    )
    def get(self, request: Request, case_id: int) -> Response:
        case = self.case()
        audit.record_read(actor=self.actor, case=case)
        page = self.paginate_queryset(audit.history(case))
        return self.get_paginated_response(EventSerializer(page, many=True).data)
