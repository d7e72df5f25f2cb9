"""`Idempotency-Key`: a request that is sent again is not done again, but answered as it was the first time.

After draft-ietf-httpapi-idempotency-key-header. `diagnosis.repeats` keeps the answers; this is its HTTP.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import HttpResponse, HttpResponseBase
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis import repeats
from diagnosis.api.conditional import Handler
from diagnosis.api.problems import Problem

if TYPE_CHECKING:
    from diagnosis.api.views.base import Door

HEADER = "Idempotency-Key"
KEY = r"[\x21-\x7e]{1,255}"
RETRY_AFTER = 1
_KEPT = ("Content-Type", "Location", "Retry-After", "ETag")
#: Not remembered: what may be different the next time although the request is the same.
_PASSING = {408, 412, 425, 429}


def once(view: Door, handler: Handler) -> Handler:
    """`handler`, but done once for each key of a token. Refused in words: a key that does not fit (400), that stands
    for another request (422) or for one that is still being done (409)."""

    def run(request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        key = request.headers.get(HEADER)
        if key is None:
            return handler(request, *args, **kwargs)
        claim = _begin(view, request, key)
        if isinstance(claim, repeats.Answer):
            replay = HttpResponse(claim.body, status=claim.status, headers=claim.headers)
            replay.headers["Idempotency-Replayed"] = "true"
            return replay
        # Pictures take long to check, and nobody else is to wait for that. Sent again after a crash, those that are
        # stored are found as duplicates. All else is one transaction with its answer: both stand or neither.
        whole = not request.content_type.startswith("multipart/")
        try:
            with transaction.atomic() if whole else nullcontext():
                answer = _answered(view, handler, request, *args, **kwargs)
                lasting = answer.status_code < 500 and answer.status_code not in _PASSING
                if lasting:
                    repeats.finish(claim, _to_keep(answer))
                elif whole:
                    transaction.set_rollback(True)
        except repeats.InFlight:
            raise _in_flight() from None
        except Exception:
            repeats.give_up(claim)  # finds nothing where it was kept after all
            raise
        if not lasting:
            repeats.give_up(claim)
        return answer

    return run


def _begin(view: Door, request: Request, key: str) -> repeats.Claim | repeats.Answer:
    if not re.fullmatch(KEY, key):
        raise Problem(
            400,
            "idempotency_key_invalid",
            f"{HEADER} has to be 1 to 255 visible ASCII characters without spaces, such as a UUID.",
            field=HEADER,
        )
    token = cast(int, view.actor.token_id)  # nobody else comes in
    try:
        return repeats.begin(token_id=token, key=key, fingerprint=_fingerprint(request))
    except repeats.KeyReused:
        raise Problem(
            422,
            "idempotency_key_reused",
            "This key came before with another address or body. Make a new key for each new request.",
            field=HEADER,
        ) from None
    except repeats.InFlight:
        raise _in_flight() from None


def _fingerprint(request: Request) -> str:
    """SHA-256 over method, address and what was sent: JSON whatever its order and spaces, of each file its digest."""
    sent: Any = request.data
    if request.content_type.startswith("multipart/"):
        sent = [[name, [_part(value) for value in values]] for name, values in sorted(sent.lists())]
    try:
        whole = json.dumps([request.method, request.get_full_path(), sent], sort_keys=True)
    except RecursionError:
        raise ParseError("This JSON is nested too deeply.") from None
    return hashlib.sha256(whole.encode()).hexdigest()


def _part(value: str | UploadedFile) -> str | list[str | None]:
    if isinstance(value, str):
        return value
    digest = hashlib.sha256()
    for chunk in value.chunks():  # a large file lies on the disk and stays there
        digest.update(chunk)
    value.seek(0)
    return [value.name, value.content_type, digest.hexdigest()]


def _answered(view: Door, handler: Handler, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
    """The answer of `handler`, refusals included, as it is sent."""
    answer: HttpResponseBase
    try:
        answer = handler(request, *args, **kwargs)
    except Exception as error:
        answer = view.handle_exception(error)
    answer = view.finalize_response(request, answer, *args, **kwargs)
    if isinstance(answer, Response):
        answer.render()
    return cast(HttpResponse, answer)  # no write streams


def _to_keep(answer: HttpResponse) -> repeats.Answer:
    """Members that an answer names as `told_once` are null when it is told again: no secret is kept."""
    headers = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
    content = answer.content
    if (hidden := getattr(answer, "told_once", ())) and isinstance(answer, Response):
        content = json.dumps({**answer.data, **dict.fromkeys(hidden)}).encode()
    return repeats.Answer(answer.status_code, headers, content)


def _in_flight() -> Problem:
    return Problem(
        409,
        "idempotency_in_flight",
        "The first request with this key is still being done. Send this one again in a moment.",
        retry_after=RETRY_AFTER,
    )
