"""How request bodies are read, so that no body is a server error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework import parsers
from rest_framework.exceptions import ParseError

from diagnosis.api.problems import Problem

#: What a multipart body may hold beside the file: boundaries, part headers and a few short fields.
MULTIPART_ALLOWANCE = 64 * 1024


class JSONParser(parsers.JSONParser):
    """JSON, with nesting beyond reason refused."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("This JSON is nested too deeply.") from None


class OneFileParser(parsers.MultiPartParser):
    """Multipart with one picture: a body that cannot be allowed is refused before it is read."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> parsers.DataAndFiles[Any, Any]:
        length = int((parser_context or {})["request"].META.get("CONTENT_LENGTH") or 0)
        if length > settings.INTAKE_MAX_BYTES + MULTIPART_ALLOWANCE:
            megabytes = settings.INTAKE_MAX_BYTES / 1024 / 1024
            raise Problem(413, "too_large", f"This file is too large: at most {megabytes:.0f} MB are accepted.")
        return super().parse(stream, media_type, parser_context)
