"""Every refusal as an OperationOutcome, with the HTTP status that belongs to it."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

logger = logging.getLogger(__name__)

#: HTTP status → issue code of FHIR's value set issue-type.
_ISSUE = {
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    413: "too-long",
    415: "not-supported",
    429: "throttled",
    500: "exception",
}


class Refusal(Exception):  # noqa: N818 - it is what the client is told
    """The request cannot be answered as asked. `code`: of the value set issue-type; `where`: the parameter."""

    def __init__(self, code: str, detail: str, where: str = "") -> None:
        super().__init__(detail)
        self.code, self.detail, self.where = code, detail, where


def outcome(code: str, detail: str, where: str = "") -> dict[str, Any]:
    issue: dict[str, Any] = {"severity": "error", "code": code, "diagnostics": detail}
    if where:
        issue["expression"] = [f"http.{where}"]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def operation_outcome(exc: Exception, context: dict[str, Any]) -> Response:
    """Turn whatever a view raised into an answer. An error of ours is logged and answered without its details."""
    set_rollback()
    if isinstance(exc, Refusal):
        return Response(outcome(exc.code, exc.detail, exc.where), status=400)
    if isinstance(exc, Http404):
        return _answer(404, "There is nothing here that you can see.")
    if isinstance(exc, PermissionDenied):
        return _answer(403, str(exc) or "You may not do this.")
    if isinstance(exc, RequestDataTooBig):
        return _answer(413, "This request is too large.")
    if isinstance(exc, SuspiciousOperation):
        return _answer(400, "This request cannot be read.")
    if isinstance(exc, exceptions.APIException):
        headers = {}
        if auth_header := getattr(exc, "auth_header", None):
            headers["WWW-Authenticate"] = auth_header
        if wait := getattr(exc, "wait", None):
            headers["Retry-After"] = f"{wait:.0f}"
        return _answer(exc.status_code, f"{str(exc.detail).rstrip('.')}.", headers)
    logger.exception("Unexpected error in %s", type(context.get("view")).__name__, exc_info=exc)
    got_request_exception.send(sender=None, request=context.get("request"))
    return _answer(500, "Something went wrong on our side. It has been noted; please try again.")


def _answer(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return Response(outcome(_ISSUE.get(status, "invalid"), detail), status=status, headers=headers)
