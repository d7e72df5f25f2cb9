"""What the OpenAPI schema says beyond what the views say of themselves."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import OpenApiResponse, extend_schema_field
from rest_framework import serializers

from diagnosis.api import RESEARCH_USE_ONLY
from diagnosis.api.problems import MEDIA_TYPE


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = "diagnosis.api.authentication.BearerTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "A token that you made on the tokens page: `ll_…`."}


class StrictSerializer(OpenApiSerializerExtension):
    """Says of what a client sends that nothing else may stand in it."""

    target_class = "diagnosis.api.inputs.Strict"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        mapped: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**mapped, "additionalProperties": False}


class FieldProblemSerializer(serializers.Serializer[Any]):
    field = serializers.CharField(help_text="Which member of the request, as a path: `patient.mrn`.")
    code = serializers.CharField()
    detail = serializers.CharField()


class MistakeSerializer(serializers.Serializer[Any]):
    line = serializers.IntegerField(help_text="Of the list; 1 is the heading, 0 the list as a whole.")
    column = serializers.CharField(help_text="Its heading, or empty.")
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """Problem details (RFC 9457)."""

    type = serializers.CharField(help_text="`about:blank`: `title` says what `status` means.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable, for programs.")
    detail = serializers.CharField(help_text="A plain sentence, for people.")
    errors = FieldProblemSerializer(many=True, required=False)  # type: ignore[assignment]
    existing = serializers.IntegerField(required=False, help_text="The id of what stands in the way (409).")
    mistakes = MistakeSerializer(many=True, required=False, help_text="What is wrong with a list (422).")


_PROBLEMS: dict[int, str] = {
    400: "The request does not fit: `errors` names each field.",
    401: "No token, or one that is unknown, expired or revoked.",
    403: "The person's roles or the token's scopes do not allow this.",
    404: "Nothing here that the token's laboratory can see.",
    409: "It would contradict what is already there; `code` tells how.",
    413: "Larger than allowed.",
    415: "Not a kind of content that is read here.",
    422: "The picture cannot be used; `detail` says why and what to do.",
    429: "Too many requests with this token; `Retry-After` says for how many seconds to wait.",
    503: "Nothing is wrong with the request, but it could not be stored just now: send it again.",
}


def answers(success: dict[int, Any], *refused: int) -> dict[tuple[int, str], Any]:
    """What an operation can answer, for `extend_schema(responses=…)`; 401, 403 and 429 are among it everywhere."""
    return {
        **{(status, "application/json"): shape for status, shape in success.items()},
        **{
            (status, MEDIA_TYPE): OpenApiResponse(ProblemSerializer, description=_PROBLEMS[status])
            for status in sorted({401, 403, 429, *refused})
        },
    }


@extend_schema_field({"type": "string", "enum": [RESEARCH_USE_ONLY]})
class ResearchUseField(serializers.ReadOnlyField):
    """The constant sentence, beside every opinion."""

    def __init__(self) -> None:
        super().__init__(source="*")

    def to_representation(self, value: Any) -> str:
        return RESEARCH_USE_ONLY


class CachedGenerator(SchemaGenerator):
    """The schema never changes while a process lives, and anybody may ask for it: make it once."""

    _made: ClassVar[dict[bool, Any]] = {}

    def get_schema(self, request: Any = None, public: bool = False) -> Any:
        if public not in self._made:
            self._made[public] = super().get_schema(request=None, public=public)
        return self._made[public]
