"""Images: what was read in them, the stored file, a person's decision, and another attempt."""

from __future__ import annotations

from django.http import FileResponse, Http404, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.permissions import Action
from diagnosis import audit, intake, queue, review, worklist
from diagnosis.api.inputs import DecisionInput, KindInput
from diagnosis.api.problems import Problem
from diagnosis.api.schema import answers
from diagnosis.api.serializers import ImageDetailSerializer
from diagnosis.api.views.base import Door
from diagnosis.models import SmearImage
from diagnosis.models.image import MEDIA_TYPES

#: In how many seconds to ask for the first time whether a picture is read.
READ_WITHIN = 2
#: Refusals that have nothing wrong in themselves: the image is not, or no longer, in the state they speak of.
_NOT_NOW = {"nothing_read", "reading_changed", "nothing_decided", "signed", "blinded"}


class ImageDoor(Door):
    queryset = SmearImage.objects.none()
    serializer_class = ImageDetailSerializer

    def row(self) -> worklist.ImageRow:
        try:
            return worklist.image_page(actor=self.actor, image_id=self.kwargs["image_id"])
        except SmearImage.DoesNotExist:
            raise Http404 from None

    def answer(self, status: int = 200) -> Response:
        """The image as it stands now."""
        return Response(ImageDetailSerializer(self.row(), context=self.get_serializer_context()).data, status=status)


@extend_schema(tags=["images"])
class ImageView(ImageDoor):
    actions = {"GET": Action.READ_CASES, "PATCH": Action.CORRECT_KIND}
    shape = ImageDetailSerializer

    @extend_schema(
        operation_id="get_image",
        summary="One image: both networks' opinions, their reading, and the decision",
        responses=answers({200: ImageDetailSerializer}, 404),
    )
    def get(self, request: Request, image_id: int) -> Response:
        row = self.row()
        audit.record_read(actor=self.actor, case=row.image.case, subject=f"image {image_id}")
        return Response(ImageDetailSerializer(row, context=self.get_serializer_context()).data)

    @extend_schema(
        operation_id="correct_kind",
        summary="Say that it is a field, or a single cell; it is then read anew",
        request=KindInput,
        responses=answers({200: ImageDetailSerializer}, 400, 404, 413, 415),
    )
    def patch(self, request: Request, image_id: int) -> Response:
        image = self.row().image
        intake.correct_kind(actor=self.actor, image=image, kind=self.parsed(KindInput)["kind"])
        return self.answer()


@extend_schema(tags=["images"])
class ImageFileView(ImageDoor):
    actions = {"GET": Action.READ_CASES}

    @extend_schema(
        operation_id="get_image_file",
        summary="The stored picture: the pixels that arrived, without metadata that could name a patient",
        responses={
            **{(200, media_type): OpenApiTypes.BINARY for media_type in MEDIA_TYPES.values()},
            304: OpenApiResponse(description="Unchanged since the `ETag` that you sent as `If-None-Match`."),
            **answers({}, 404),
        },
    )
    def get(self, request: Request, image_id: int) -> HttpResponseBase:
        image = self.row().image
        audit.record_read(actor=self.actor, case=image.case, subject=f"image {image_id}")
        etag = f'"{image.stored_sha256}"'
        unchanged = get_conditional_response(request, etag=etag)
        response: HttpResponseBase
        if isinstance(unchanged, HttpResponseNotModified):
            response = unchanged
        else:
            # Named so that nothing of the patient, whom the original name may tell of, lands in a download folder.
            name = f"leukolens-image-{image.pk}.{image.format.lower().replace('jpeg', 'jpg')}"
            response = FileResponse(image.file.open("rb"), content_type=MEDIA_TYPES[image.format], filename=name)
        response.headers["ETag"] = etag
        response.headers["Cache-Control"] = "private, no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


@extend_schema(tags=["images"])
class ImageRetryView(ImageDoor):
    actions = {"POST": Action.RETRY_ANALYSIS}

    @extend_schema(
        operation_id="retry_image",
        summary="Have the networks try again what failed",
        description="Ask `Location` until its `status` is `done` or `failed`.",
        request=None,
        responses=answers(
            {
                202: OpenApiResponse(ImageDetailSerializer, description="What had failed waits to be read again."),
                200: OpenApiResponse(ImageDetailSerializer, description="Nothing had failed; nothing was changed."),
            },
            404,
        ),
    )
    def post(self, request: Request, image_id: int) -> Response:
        if not queue.retry(actor=self.actor, image=self.row().image):
            return self.answer()
        response = self.answer(202)
        response["Location"] = reverse("api:image", args=[image_id], request=request)
        response["Retry-After"] = str(READ_WITHIN)
        return response


@extend_schema(tags=["images"])
class ImageDecisionView(ImageDoor):
    actions = {"POST": Action.DECIDE}

    @extend_schema(
        operation_id="decide_image",
        summary="Agree with the reading, override it, or take the decision back",
        request=DecisionInput,
        responses=answers({201: ImageDetailSerializer}, 400, 404, 409, 413, 415),
    )
    def post(self, request: Request, image_id: int) -> Response:
        image = self.row().image
        values = self.parsed(DecisionInput)
        try:
            review.decide(
                actor=self.actor,
                image=image,
                verdict=values["verdict"],
                label=values.get("label"),
                comment=values["comment"],
                expected_decision=values.get("expected_decision", review.UNSET),
            )
        except review.ReviewConflict as conflict:
            raise Problem(
                409, "decided_meanwhile", str(conflict), existing=conflict.decision and conflict.decision.pk
            ) from conflict
        except review.ReviewRefused as refused:
            status = 409 if refused.code in _NOT_NOW else 400
            raise Problem(status, refused.code, str(refused), field=refused.field) from refused
        return self.answer(201)
