"""How request bodies are read, so that no body is a server error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, cast

from django.conf import settings
from django.core.exceptions import TooManyFilesSent
from django.http.multipartparser import MultiPartParser, MultiPartParserError
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


class _Parts(MultiPartParser):
    """Django passes over a file whose name comes to nothing (`..`, `folder/`): here it keeps its outcome."""

    def sanitize_file_name(self, file_name: str) -> str:
        return super().sanitize_file_name(file_name) or "unnamed"


class BoundedParser(parsers.MultiPartParser):
    """Multipart with pictures: a body that cannot be allowed is refused before it is read."""

    what = "request"

    def limit(self) -> int:
        """The largest body, in bytes, without what multipart itself needs."""
        return int(settings.INTAKE_MAX_REQUEST_BYTES)

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> parsers.DataAndFiles[Any, Any]:
        context = parser_context or {}
        request = context["request"]
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        if length > self.limit() + MULTIPART_ALLOWANCE:
            megabytes = self.limit() / 1024 / 1024
            raise Problem(413, "too_large", f"This {self.what} is too large: at most {megabytes:.0f} MB are accepted.")
        try:
            meta = request.META | {"CONTENT_TYPE": media_type}
            encoding = context.get("encoding", settings.DEFAULT_CHARSET)
            return parsers.DataAndFiles(*_Parts(meta, cast(Any, stream), request.upload_handlers, encoding).parse())
        except MultiPartParserError as error:
            if "header size" in str(error):
                raise Problem(
                    400,
                    "name_too_long",
                    "The name of a file is too long. Shorten it; nothing of this request was taken.",
                ) from None
            raise ParseError("This multipart body cannot be read. Nothing of it was taken.") from None
        except TooManyFilesSent:
            raise Problem(
                413, "too_many_files", f"Send at most {settings.INTAKE_MAX_FILES} files in one request."
            ) from None


class OneFileParser(BoundedParser):
    what = "file"

    def limit(self) -> int:
        return int(settings.INTAKE_MAX_BYTES)
