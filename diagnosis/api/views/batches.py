"""Batches: opened, followed, each file with its outcome, and what a person says where a file found no case.

The bytes themselves go to `/uploads/` by tus (`docs/batches.md`).
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.permissions import Action
from diagnosis.api.batch_shapes import (
    AssignInput,
    BatchFileSerializer,
    BatchInput,
    BatchListedSerializer,
    BatchSerializer,
    ManifestInput,
    TakenSerializer,
    TriedSerializer,
)
from diagnosis.api.filters import BatchFileFilter, BatchFilter
from diagnosis.api.parsers import MULTIPART_ALLOWANCE, BoundedParser
from diagnosis.api.problems import Problem
from diagnosis.api.schema import answers
from diagnosis.api.views.base import Door
from diagnosis.api.views.images import READ_WITHIN
from diagnosis.batches import manifest, opening, outcomes, progress, tray
from diagnosis.models import Batch, BatchFile, SmearImage


class BatchDoor(Door):
    def batch(self) -> Batch:
        try:
            return opening.batch_page(actor=self.actor, batch_id=self.kwargs["batch_id"])
        except Batch.DoesNotExist:
            raise Http404 from None

    def file(self) -> BatchFile:
        try:
            file = opening.file_of(actor=self.actor, file_id=self.kwargs["file_id"])
        except BatchFile.DoesNotExist:
            raise Http404 from None
        if file.batch_id != self.kwargs["batch_id"]:
            raise Http404
        return file

    def answer(self, batch: Batch, status: int = 200) -> Response:
        return Response(BatchSerializer((batch, progress.progress(batch))).data, status=status)

    def file_answer(self, status: int = 200) -> Response:
        """The file as it stands now."""
        return Response(BatchFileSerializer(outcomes.outcomes([self.file()])[0]).data, status=status)


def batch_problem(error: opening.BatchError) -> Problem:
    if isinstance(error, tray.NotWaiting):
        return Problem(409, "not_waiting", str(error))
    field = {"accession": "accession_number"}.get(error.field, error.field)
    return Problem(400, "invalid", str(error), field=field)


@extend_schema(tags=["batches"])
class BatchesView(BatchDoor):
    actions = {"GET": Action.READ_CASES, "POST": Action.UPLOAD_IMAGE}
    shape = BatchListedSerializer
    queryset = Batch.objects.none()
    filterset_class = BatchFilter

    def get_queryset(self) -> QuerySet[Batch]:
        return Batch.objects.none() if getattr(self, "swagger_fake_view", False) else opening.batches(actor=self.actor)

    @extend_schema(
        operation_id="list_batches",
        summary="The laboratory's batches, the newest first",
        responses=answers({200: BatchListedSerializer(many=True)}, 400, 404),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(BatchListedSerializer(page, many=True).data)

    @extend_schema(
        operation_id="open_batch",
        summary="Open a batch, to which files are then sent",
        description="Send each file by [tus 1.0](https://tus.io) to `upload_url`, with this token and the metadata "
        "`batch` (the `id`), `filename`, and if wanted `relativePath`, `accession`, `kind`, `um_per_pixel`, "
        "`replaces` (the id of the file whose place it takes) and `fingerprint`: a file with the same one is the same "
        "file, so an upload that broke off goes on where it broke.",
        request=BatchInput,
        responses=answers({201: BatchSerializer}, 400, 413, 415),
    )
    def post(self, request: Request) -> Response:
        values = self.parsed(BatchInput)
        try:
            batch = opening.open_batch(
                actor=self.actor,
                name=values["name"],
                accession=values["accession_number"],
                kind=values.get("kind", ""),
                um_per_pixel=values.get("um_per_pixel"),
                via=SmearImage.Via.API,
            )
        except opening.BatchError as error:
            raise batch_problem(error) from error
        response = self.answer(batch, 201)
        response["Location"] = reverse("api:batch", args=[batch.pk], request=request)
        return response


@extend_schema(tags=["batches"])
class BatchView(BatchDoor):
    actions = {"GET": Action.READ_CASES}
    shape = BatchSerializer

    @extend_schema(
        operation_id="get_batch",
        summary="A batch and how far it is",
        responses=answers({200: BatchSerializer}, 404),
    )
    def get(self, request: Request, batch_id: int) -> Response:
        return self.answer(self.batch())


class ListParser(BoundedParser):
    what = "list"

    def limit(self) -> int:
        return manifest.MAX_BYTES + MULTIPART_ALLOWANCE


@extend_schema(tags=["batches"])
class BatchManifestView(BatchDoor):
    actions = {"POST": Action.UPLOAD_IMAGE}
    parser_classes = [ListParser]

    @extend_schema(
        operation_id="send_manifest",
        summary="A list of cases and files, as CSV or XLSX, checked completely before anything is written",
        description="Cases that do not exist are opened. With the first mistake nothing is written: 422, "
        "`manifest_refused`, and `mistakes` names each with its line (1 is the heading) and column. A later list "
        "takes the place of an earlier one, so sending one again is safe.",
        request={"multipart/form-data": ManifestInput},
        responses=answers({200: TakenSerializer}, 400, 404, 413, 415, 422),
    )
    def post(self, request: Request, batch_id: int) -> Response:
        batch, sent = self.batch(), self.parsed(ManifestInput)["file"]
        try:
            data = sent.read(manifest.MAX_BYTES + 1)
            taken = manifest.take(actor=self.actor, batch=batch, data=data, name=sent.name or "list")
        except manifest.ManifestRefused as refused:
            mistakes = [
                {"line": mistake.line, "column": mistake.column, "detail": mistake.message}
                for mistake in refused.mistakes
            ]
            raise Problem(422, "manifest_refused", str(refused), mistakes=mistakes) from refused
        return Response(TakenSerializer(taken).data)


@extend_schema(tags=["batches"])
class BatchMatchView(BatchDoor):
    actions = {"POST": Action.UPLOAD_IMAGE}

    @extend_schema(
        operation_id="match_batch",
        summary="Look once more for the cases of the files that found none",
        description="After a case was opened or the forms of the laboratory's numbers were changed.",
        request=None,
        responses=answers({200: TriedSerializer}, 404),
    )
    def post(self, request: Request, batch_id: int) -> Response:
        return Response({"count": tray.match_again(actor=self.actor, batch=self.batch())})


@extend_schema(tags=["batches"])
class BatchRetryView(BatchDoor):
    actions = {"POST": Action.RETRY_ANALYSIS}

    @extend_schema(
        operation_id="retry_batch",
        summary="Try again whatever failed for no fault of the file",
        request=None,
        responses=answers({200: TriedSerializer}, 404),
    )
    def post(self, request: Request, batch_id: int) -> Response:
        return Response({"count": progress.retry(actor=self.actor, batch=self.batch())})


@extend_schema(tags=["batches"])
class BatchFilesView(BatchDoor):
    actions = {"GET": Action.READ_CASES}
    shape = BatchFileSerializer
    backwards = False
    queryset = BatchFile.objects.none()
    filterset_class = BatchFileFilter

    @extend_schema(
        operation_id="list_files_of_batch",
        summary="The files of a batch in the order they came, each with its outcome",
        responses=answers({200: BatchFileSerializer(many=True)}, 400, 404),
    )
    def get(self, request: Request, batch_id: int) -> Response:
        found = self.filter_queryset(opening.files(self.batch()).order_by("id"))
        page: list[Any] = self.paginate_queryset(found) or []
        return self.get_paginated_response(BatchFileSerializer(outcomes.outcomes(page), many=True).data)


@extend_schema(tags=["batches"])
class BatchFileView(BatchDoor):
    actions = {"GET": Action.READ_CASES}
    shape = BatchFileSerializer

    @extend_schema(
        operation_id="get_file_of_batch",
        summary="One file of a batch with its outcome",
        responses=answers({200: BatchFileSerializer}, 404),
    )
    def get(self, request: Request, batch_id: int, file_id: int) -> Response:
        return self.file_answer()


@extend_schema(tags=["batches"])
class FileAssignView(BatchDoor):
    actions = {"POST": Action.UPLOAD_IMAGE}

    @extend_schema(
        operation_id="assign_file",
        summary="Say which case a file of the tray belongs to",
        description="Its outcome is then `accepted`, `duplicate` or `rejected`. A file that does not wait in the tray "
        "(any more) is answered with 409, `not_waiting`.",
        request=AssignInput,
        responses=answers({200: BatchFileSerializer}, 400, 404, 409, 413, 415, 503),
    )
    def post(self, request: Request, batch_id: int, file_id: int) -> Response:
        file, values = self.file(), self.parsed(AssignInput)
        try:
            file = tray.assign_one(
                actor=self.actor,
                file=file,
                accession=values.get("accession_number", ""),
                case_id=values.get("case"),
            )
        except opening.BatchError as error:
            raise batch_problem(error) from error
        if file.state == BatchFile.State.UNMATCHED:
            raise Problem(503, "not_stored", "It could not be stored just now and waits in the tray. Send this again.")
        return self.file_answer()


@extend_schema(tags=["batches"])
class FileDiscardView(BatchDoor):
    actions = {"POST": Action.UPLOAD_IMAGE}

    @extend_schema(
        operation_id="discard_file",
        summary="Throw a file of the tray away; it stands in the audit",
        request=None,
        responses=answers({200: BatchFileSerializer}, 404, 409),
    )
    def post(self, request: Request, batch_id: int, file_id: int) -> Response:
        try:
            tray.discard_one(actor=self.actor, file=self.file())
        except opening.BatchError as error:
            raise batch_problem(error) from error
        return self.file_answer()


@extend_schema(tags=["batches"])
class FileRetryView(BatchDoor):
    actions = {"POST": Action.RETRY_ANALYSIS}

    @extend_schema(
        operation_id="retry_file",
        summary="Have one file checked or read again that failed for no fault of its own",
        request=None,
        responses=answers(
            {
                202: OpenApiResponse(BatchFileSerializer, description="It is tried again."),
                200: OpenApiResponse(BatchFileSerializer, description="Nothing had failed; nothing was changed."),
            },
            404,
        ),
    )
    def post(self, request: Request, batch_id: int, file_id: int) -> Response:
        if not progress.retry_file(actor=self.actor, file=self.file()):
            return self.file_answer()
        response = self.file_answer(202)
        response["Location"] = reverse("api:batch-file", args=[batch_id, file_id], request=request)
        response["Retry-After"] = str(READ_WITHIN)
        return response
