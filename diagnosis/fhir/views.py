"""The door: a request becomes a look, one module reads, and the answer is sent as FHIR wants it."""

from __future__ import annotations

import base64
from calendar import timegm
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import ModuleType
from typing import Any, ClassVar, cast

from django.http import Http404, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.utils.http import http_date
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import FormParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import Action, Actor
from diagnosis import audit, blinding
from diagnosis.fhir import capability, including, patients, reports
from diagnosis.fhir.outcome import operation_outcome
from diagnosis.fhir.parts import Look, Resource
from diagnosis.fhir.searching import bundle, reduced, understood
from diagnosis.models import Case

_JSON = {"json", "application/json", "application/fhir+json", "text/json"}
_ANY = {"*/*", "application/*", "text/html", "text/*"}


class FhirJson(JSONRenderer):
    media_type = "application/fhir+json"
    format = "json"
    charset = "utf-8"
    ensure_ascii = False


class OnlyJson(DefaultContentNegotiation):
    """JSON, which every FHIR server speaks; whoever takes nothing but XML is told so."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        only = next(iter(renderers))
        asked = request.query_params.get("_format") or request.headers.get("Accept", "")
        wanted = {part.split(";")[0].strip().lower() for part in asked.split(",")} - {""}
        if wanted and not wanted & (_JSON | _ANY | cast(Door, request.parser_context["view"]).also):
            raise NotAcceptable("This server speaks JSON only: ask for application/fhir+json.")
        return only, str(only.media_type)


class Door(APIView):
    actions: ClassVar[Mapping[str, Action | None]] = {"GET": Action.READ_CASES}
    also: ClassVar[frozenset[str]] = frozenset()  # media types that this view sends beside FHIR's
    http_method_names = ["get", "head"]
    renderer_classes = [FhirJson]
    parser_classes = [FormParser]
    content_negotiation_class = OnlyJson
    metadata_class = None
    schema = None  # FHIR describes itself, in /metadata

    @property
    def base(self) -> str:
        return self.request.build_absolute_uri(reverse("fhir:metadata")).removesuffix("/metadata")

    @property
    def look(self) -> Look:
        actor = cast(Actor, self.request.auth)  # `MayAct` lets nothing else through
        hidden = blinding.open_questions(actor).values_list("case", flat=True)
        return Look(actor, self.base, frozenset(hidden))

    @property
    def lenient(self) -> bool:
        """`Prefer: handling=lenient`; without it, or with `handling=strict`, what is not understood is refused."""
        return "handling=lenient" in self.request.headers.get("Prefer", "").replace(" ", "").lower()

    def get_exception_handler(self) -> Callable[..., Response]:
        return operation_outcome

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        answer = super().finalize_response(request, response, *args, **kwargs)
        answer.headers.setdefault("Cache-Control", "private, no-cache")
        if quota := getattr(self, "quota", None):  # what the throttle counted
            quota.tell(answer)
        return answer

    def noted(self, cases: Iterable[Case | None]) -> None:
        """Every case that an answer shows stands in its history as read."""
        for case in {case.pk: case for case in cases if case is not None}.values():
            audit.record_read(actor=cast(Actor, self.request.auth), case=case, subject="over FHIR")

    def conditional(self, etag: str, updated: Any, make: Callable[[], HttpResponseBase]) -> HttpResponseBase:
        """304 where the client has it already, else what `make` makes."""
        modified = timegm(updated.utctimetuple()) if updated else None
        unchanged = get_conditional_response(self.request, etag=etag, last_modified=modified)
        answer = unchanged if unchanged is not None else make()
        answer.headers["ETag"] = etag
        if modified is not None:
            answer.headers["Last-Modified"] = http_date(modified)
        return answer


class MetadataView(Door):
    authentication_classes = []
    permission_classes = []
    throttle_classes = []

    def get(self, request: Request) -> Response:
        return Response(capability.statement(self.base))


class ReadView(Door):
    module: ClassVar[ModuleType] = patients

    def get(self, request: Request, resource_id: str) -> HttpResponseBase:
        found: Resource | None = self.module.read(self.look, resource_id)
        if found is None:
            raise Http404
        shown = including.narrowed(found, reduced(request.query_params, lenient=self.lenient))
        self.noted([found.case])
        return self.conditional(f'W/"{found.version}"', found.updated, partial(Response, shown))


class SearchView(Door):
    module: ClassVar[ModuleType] = patients

    def get(self, request: Request) -> HttpResponseBase:
        return self.answer(request.query_params)

    def answer(self, sent: QueryDict) -> HttpResponseBase:
        query = understood(self.module.TYPE, sent, self.module.PARAMS, lenient=self.lenient)
        look = self.look
        page = self.module.search(look, including.shortened(query))
        along, is_cut = including.brought_along(look, query, page.resources)
        self.noted(resource.case for resource in (*page.resources, *along))
        said = [including.too_many()] if is_cut else []
        shown = partial(including.narrowed, reduced=query.reduced)
        return Response(bundle(f"{self.base}/{self.module.TYPE}", query, page, along, said, shown=shown))


class SearchFormView(SearchView):
    """The same by POST, which keeps record numbers out of the address and so out of every log."""

    actions = {"POST": Action.READ_CASES}
    http_method_names = ["post"]

    def post(self, request: Request) -> HttpResponseBase:
        sent = request.query_params.copy()
        if isinstance(request.data, QueryDict):
            for name, values in request.data.lists():
                sent.setlist(name, [*sent.getlist(name), *values])
        return self.answer(sent)


class BinaryView(Door):
    """The signed PDF: itself, or as a Binary resource for whoever asks for FHIR."""

    also = frozenset({"application/pdf"})

    def get(self, request: Request, resource_id: str) -> HttpResponseBase:
        report = reports.pdf(self.look, resource_id)
        if report is None:
            raise Http404
        self.noted([report.case])
        document = bytes(report.pdf)
        if "fhir+json" in (request.query_params.get("_format") or request.headers.get("Accept", "")):
            body = {
                "resourceType": "Binary",
                "id": str(report.pk),
                "contentType": "application/pdf",
                "data": base64.b64encode(document).decode(),
            }
            return self.conditional(f'W/"{report.pdf_sha256[:32]}-json"', report.signed_at, partial(Response, body))
        answer = self.conditional(
            f'"{report.pdf_sha256}"',
            report.signed_at,
            partial(HttpResponse, document, content_type="application/pdf"),
        )
        name = f"leukolens-report-{report.pk}.pdf"
        answer.headers["Content-Disposition"] = f'inline; filename="{name}"'
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer


class UnknownView(Door):
    """Whatever is asked of an address that is none: 404 as an OperationOutcome."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise Http404
