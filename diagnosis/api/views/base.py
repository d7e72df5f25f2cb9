"""What all doors of the API share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

from django.http import HttpResponseBase
from django.utils.cache import patch_vary_headers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from accounts.permissions import Action, Actor
from diagnosis.api import conditional, idempotency
from diagnosis.api.parsers import JSONParser
from diagnosis.api.sparse import Sparse
from diagnosis.api.throttling import Quota


class OnlyJson(DefaultContentNegotiation):
    """Whatever `Accept` says, the answer is what the view renders: there is nothing else to choose from."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        only = next(iter(renderers))
        return only, str(only.media_type)


class Door(Sparse, GenericAPIView[Any]):
    # No docstring: it would stand in the schema as the description of every operation.
    #: Which action each HTTP method is; None: any live token will do. `MayAct` refuses what is not named here.
    actions: ClassVar[Mapping[str, Action | None]] = {}
    http_method_names = ["get", "post", "patch", "head"]
    parser_classes = [JSONParser]
    content_negotiation_class = OnlyJson
    metadata_class = None
    quota: Quota | None = None  # what the throttle counted

    @property
    def actor(self) -> Actor:
        return cast(Actor, self.request.auth)  # `MayAct` lets nothing else through

    def parsed(self, input_class: type[Serializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        """The request's body as `input_class` reads it; raises `ValidationError` (400)."""
        if not hasattr(self.request.data, "keys"):
            raise ValidationError("Send a JSON object.", code="invalid")
        read = input_class(data=self.request.data, partial=partial)
        read.is_valid(raise_exception=True)
        values: dict[str, Any] = read.validated_data
        return values

    def check_permissions(self, request: Request) -> None:
        """Whatever a token asks counts, allowed or not."""
        super().check_throttles(request)
        super().check_permissions(request)

    def check_throttles(self, request: Request) -> None:
        """Counted already, see `check_permissions`."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method in {"POST", "PATCH"}:
            name = request.method.lower()
            handler = getattr(self, name)
            if request.method == "PATCH":
                handler = conditional.unless_changed(self, handler)
            setattr(self, name, idempotency.once(self, handler))

    def finalize_response(  # type: ignore[override]
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        response = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]
        patch_vary_headers(response, ["Authorization"])
        response = conditional.tagged(request, response)
        response.headers.setdefault("Cache-Control", "private, no-store")
        if self.quota is not None:
            self.quota.tell(response)
        return response
