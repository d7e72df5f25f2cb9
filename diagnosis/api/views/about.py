"""The API about itself: who am I, which models read, the schema and its page."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import Action
from diagnosis.api.problems import Problem
from diagnosis.api.schema import CachedGenerator, answers
from diagnosis.api.serializers import MeSerializer, ReleaseSerializer
from diagnosis.api.views.base import Door
from diagnosis.models import ModelRelease


@extend_schema(tags=["about"])
class MeView(Door):
    actions = {"GET": None}
    shape = MeSerializer

    @extend_schema(
        operation_id="get_me",
        summary="Who this token speaks for, and what it may do",
        responses=answers({200: MeSerializer}),
    )
    def get(self, request: Request) -> Response:
        return Response(MeSerializer(self.actor).data)


@extend_schema(tags=["about"])
class ModelsView(Door):
    actions = {"GET": Action.READ_CASES}
    shape = ReleaseSerializer
    queryset = ModelRelease.objects.order_by("task", "network", "-registered_at", "-id")
    filter_backends = []

    @extend_schema(
        operation_id="list_models",
        summary="The networks that read or have read here, each with its card",
        responses=answers({200: ReleaseSerializer(many=True)}, 404),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(ReleaseSerializer(page, many=True).data)


class SchemaView(SpectacularAPIView):
    authentication_classes = []
    generator_class = CachedGenerator


class DocsView(SpectacularSwaggerSplitView):
    """For anybody; whoever is signed in keeps the frame of the pages around it."""

    authentication_classes = [SessionAuthentication]
    url_name = "api:schema"
    template_name = "api/docs.html"


class UnknownView(APIView):
    """Any other address below the API: problem details instead of a page."""

    authentication_classes = []
    permission_classes = []
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise Problem(404, "not_found", "There is no such address in this API. All of them end with a slash.")
