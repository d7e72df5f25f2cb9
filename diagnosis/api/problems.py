"""Every refusal as problem details (RFC 9457, `application/problem+json`)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

logger = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - it is what the client is told, not only what went wrong
    """Something is refused: an HTTP status, a stable `code` for programs and a plain sentence for people.

    `field` names the member of the request that it is about, or `errors` name several; `retry_after`: in how many
    seconds to try again; `extra` is added to the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str = "",
        errors: Sequence[dict[str, str]] = (),
        retry_after: int | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.errors = list(errors) or ([{"field": field, "code": code, "detail": detail}] if field else [])
        self.status, self.code, self.detail, self.field, self.extra = status, code, detail, field, extra
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


def problem_details(exc: Exception, context: dict[str, Any]) -> Response:
    """Turn whatever a view raised into an answer. An error of ours is logged and answered without its details."""
    set_rollback()
    headers: dict[str, str] = {}
    if isinstance(exc, Problem):
        return _answer(exc.status, exc.code, exc.detail, exc.errors, headers=exc.headers, **exc.extra)
    if isinstance(exc, Http404):
        return _answer(404, "not_found", "There is nothing here that you can see.")
    if isinstance(exc, PermissionDenied):
        return _answer(403, "permission_denied", str(exc) or "You may not do this.")
    if isinstance(exc, RequestDataTooBig):
        return _answer(413, "too_large", "This request is too large.")
    if isinstance(exc, SuspiciousOperation):
        return _answer(400, "bad_request", "This request cannot be read.")
    if isinstance(exc, exceptions.ValidationError):
        errors = _flatten(exc.get_full_details())
        return _answer(400, "invalid", _summary(errors), errors)
    if isinstance(exc, exceptions.APIException):
        if auth_header := getattr(exc, "auth_header", None):
            headers["WWW-Authenticate"] = auth_header
        if wait := getattr(exc, "wait", None):
            headers["Retry-After"] = f"{wait:.0f}"
        return _answer(exc.status_code, str(exc.get_codes()), f"{str(exc.detail).rstrip('.')}.", headers=headers)
    logger.exception("Unexpected error in %s", type(context.get("view")).__name__, exc_info=exc)
    got_request_exception.send(sender=None, request=context.get("request"))
    return _answer(500, "server_error", "Something went wrong on our side. It has been noted; please try again.")


def _answer(
    status: int,
    code: str,
    detail: str,
    errors: list[dict[str, str]] | None = None,
    *,
    headers: dict[str, str] | None = None,
    **extra: Any,
) -> Response:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    if errors:
        body["errors"] = errors
    body |= {name: value for name, value in extra.items() if value is not None}
    return Response(body, status=status, headers=headers, content_type=MEDIA_TYPE)


def _flatten(details: Any, path: str = "") -> list[dict[str, str]]:
    """`{"patient": {"mrn": [{"message", "code"}]}}` → `[{"field": "patient.mrn", "code", "detail"}]`."""
    if isinstance(details, list):
        return [error for item in details for error in _flatten(item, path)]
    if set(details) == {"message", "code"} and not isinstance(details["message"], dict | list):
        return [{"field": path, "code": str(details["code"]), "detail": str(details["message"])}]
    found = []
    for name, inner in details.items():
        inside = path if name == "non_field_errors" else f"{path}.{name}" if path else str(name)
        found += _flatten(inner, inside)
    return found


def _summary(errors: list[dict[str, str]]) -> str:
    if len(errors) == 1:
        field, detail = errors[0]["field"], errors[0]["detail"]
        return f"{field}: {detail}" if field else detail
    return f"{len(errors)} fields need attention: {', '.join(error['field'] or 'request' for error in errors)}."
