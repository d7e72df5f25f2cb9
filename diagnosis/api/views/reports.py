"""Signed reports, to read: which versions a case has, what each states, and its PDF. Signing is done on the pages."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from diagnosis import audit
from diagnosis.api.pagination import OpinionPages
from diagnosis.api.schema import ResearchUseField, answers
from diagnosis.api.views.cases import CaseDoor
from diagnosis.blinding import refuse_blinded
from diagnosis.models import Case, Report


class ReportSerializer(serializers.ModelSerializer[Report]):
    """One signed version."""

    kind = serializers.ChoiceField(Report.Kind.choices)
    current = serializers.SerializerMethodField(help_text="Whether no newer version stands.")
    diagnosis = serializers.CharField(
        source="content.diagnosis.code", help_text="ICD-O-3.2 morphology, or a word where it states no neoplasm."
    )
    diagnosis_name = serializers.CharField(source="content.diagnosis.name")
    content_hash = serializers.CharField(help_text="SHA-256 of the canonical content: sorted keys, no spaces, UTF-8.")
    pdf_sha256 = serializers.CharField(help_text="SHA-256 of the PDF.")
    signed_by = serializers.CharField(source="content.signature.name")

    class Meta:
        model = Report
        fields = [
            "version", "kind", "reason", "current", "diagnosis", "diagnosis_name", "signed_by", "signed_at",
            "signed_with", "content_hash", "pdf_sha256",
        ]  # fmt: skip
        read_only_fields = fields

    def get_current(self, report: Report) -> bool:
        return report.version == self.context["newest"]


class ReportDetailSerializer(ReportSerializer):
    content = serializers.SerializerMethodField(help_text="All that it states, exactly as it was signed.")
    research_use_only = ResearchUseField()

    class Meta(ReportSerializer.Meta):
        fields = [*ReportSerializer.Meta.fields, "content", "research_use_only"]

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_content(self, report: Report) -> dict[str, Any]:
        content: dict[str, Any] = report.content
        return content


class ReportDoor(CaseDoor):
    actions = {"GET": Action.READ_CASES}
    serializer_class = ReportSerializer
    filter_backends = []

    def open_case(self, subject: str = "") -> Case:
        """The case, read as the audit notes; 403 while the actor's own opinion on it is awaited."""
        case = self.case()
        refuse_blinded(actor=self.actor, case=case)
        audit.record_read(actor=self.actor, case=case, subject=subject)
        return case

    def reports(self, case: Case) -> QuerySet[Report]:
        return Report.objects.filter(case=case).order_by("-version")

    def version(self, version: int) -> tuple[Case, Report]:
        case = self.open_case(f"report {version}")
        report = self.reports(case).filter(version=version).first()
        if report is None:
            raise Http404
        return case, report


@extend_schema(tags=["reports"])
class CaseReportsView(ReportDoor):
    shape = ReportSerializer
    pagination_class = OpinionPages

    @extend_schema(
        operation_id="list_reports_of_case",
        summary="The signed versions of a case's report, the newest first",
        responses=answers({200: ReportSerializer(many=True)}, 404),
    )
    def get(self, request: Request, case_id: int) -> Response:
        case = self.open_case()
        page = self.paginate_queryset(self.reports(case).defer("pdf"))
        context = {**self.get_serializer_context(), "newest": case.report_version}
        return self.get_paginated_response(ReportSerializer(page, many=True, context=context).data)


@extend_schema(tags=["reports"])
class CaseReportView(ReportDoor):
    shape = ReportDetailSerializer
    serializer_class = ReportDetailSerializer

    @extend_schema(
        operation_id="get_report",
        summary="One signed version with all that it states",
        responses=answers({200: ReportDetailSerializer}, 404),
    )
    def get(self, request: Request, case_id: int, version: int) -> Response:
        case, report = self.version(version)
        context = {**self.get_serializer_context(), "newest": case.report_version}
        return Response(ReportDetailSerializer(report, context=context).data)


@extend_schema(tags=["reports"])
class CaseReportPdfView(ReportDoor):
    @extend_schema(
        operation_id="get_report_pdf",
        summary="One signed version as the PDF that was signed, byte for byte",
        responses={(200, "application/pdf"): OpenApiTypes.BINARY, **answers({}, 404)},
    )
    def get(self, request: Request, case_id: int, version: int) -> HttpResponseBase:
        _, report = self.version(version)
        response = HttpResponse(bytes(report.pdf), content_type="application/pdf")
        response["Content-Disposition"] = f'attachment; filename="leukolens-report-{case_id}-v{version}.pdf"'
        return response
