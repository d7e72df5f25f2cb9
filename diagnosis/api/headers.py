"""The headers that every operation knows, put into the schema in one place as they are put into every answer."""

from __future__ import annotations

from typing import Any

from diagnosis.api import idempotency
from diagnosis.api.problems import MEDIA_TYPE

_TEXT = {"type": "string"}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "IdempotencyKey": {
        "in": "header",
        "name": idempotency.HEADER,
        "schema": {**_TEXT, "pattern": f"^{idempotency.KEY}$", "maxLength": 255},
        "description": "Made by you for each new request, such as a UUID: sent again with the same key, the request is "
        "not done again but answered as the first time.",
    },
    "IfNoneMatch": {
        "in": "header",
        "name": "If-None-Match",
        "schema": _TEXT,
        "description": "The `ETag` of the answer that you have: 304 where it still holds.",
    },
    "IfMatch": {
        "in": "header",
        "name": "If-Match",
        "schema": _TEXT,
        "description": "The `ETag` of the answer that you saw: where a GET would answer something else by now, nothing "
        "is stored (412).",
    },
}
_HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {"schema": _TEXT, "description": "Names this answer, for `If-None-Match` and `If-Match`."},
    "Replayed": {
        "schema": {**_TEXT, "enum": ["true"]},
        "description": "The answer of the first request with this key; nothing was done.",
    },
    "RateLimitPolicy": {
        "schema": _TEXT,
        "example": '"token";q=6000;w=3600',
        "description": "How many requests (`q`) the token may send in each window of `w` seconds.",
    },
    "RateLimit": {
        "schema": _TEXT,
        "example": '"token";r=5999;t=1800',
        "description": "How many are left (`r`), and in how many seconds (`t`) a new window begins.",
    },
    "RetryAfter": {
        "schema": {"type": "integer", "minimum": 1},
        "description": "In so many seconds to ask again.",
    },
    "Location": {"schema": {**_TEXT, "format": "uri"}, "description": "What to ask how it goes."},
}
_REFUSALS = {
    "400": "The request does not fit: `errors` names each field.",
    "409": "The first request with this `Idempotency-Key` is still being done (`idempotency_in_flight`).",
    "412": "It has changed since you saw it (`changed_meanwhile`): read it again.",
    "415": "Not a kind of content that is read here.",
    "422": "The `Idempotency-Key` came before with another request (`idempotency_key_reused`).",
}


def everywhere(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook: limits on every answer of a token, keys on what writes, ETags on what reads."""
    components = result["components"]
    components.setdefault("parameters", {}).update(_PARAMETERS)
    components.setdefault("headers", {}).update(_HEADERS)
    for path in result["paths"].values():
        for method, operation in path.items():
            if operation.get("security"):
                _complete(method, operation)
    return result


def _complete(method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if method in {"post", "patch"}:
        _parameter(operation, "IdempotencyKey")
        _refused(responses, "400", "409", "415", "422")
        responses["409"].setdefault("headers", {})["Retry-After"] = _header("RetryAfter")
        for status, response in responses.items():
            if status < "500" and status not in {"401", "403", "429"}:
                response.setdefault("headers", {})["Idempotency-Replayed"] = _header("Replayed")
    streamed = "application/zip" in responses.get("200", {}).get("content", {})  # made while it is sent
    if method == "get" and not streamed:
        _parameter(operation, "IfNoneMatch")
        responses.setdefault("304", {"description": "Unchanged since the `ETag` that you sent as `If-None-Match`."})
        responses["304"].setdefault("headers", {})["ETag"] = _header("ETag")
    if method == "patch":
        _parameter(operation, "IfMatch")
        _refused(responses, "412")
    if method in {"get", "patch"} and not streamed:
        responses["200"].setdefault("headers", {})["ETag"] = _header("ETag")
    if "202" in responses:
        responses["202"].setdefault("headers", {}).update(
            {"Location": _header("Location"), "Retry-After": _header("RetryAfter")}
        )
    responses["429"].setdefault("headers", {})["Retry-After"] = _header("RetryAfter")
    for status, response in responses.items():
        if status != "401":
            named = response.setdefault("headers", {})
            named |= {"RateLimit-Policy": _header("RateLimitPolicy"), "RateLimit": _header("RateLimit")}


def _parameter(operation: dict[str, Any], name: str) -> None:
    operation.setdefault("parameters", []).append({"$ref": f"#/components/parameters/{name}"})


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _refused(responses: dict[str, Any], *statuses: str) -> None:
    for status in statuses:
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        responses.setdefault(status, {"description": _REFUSALS[status], "content": content})
