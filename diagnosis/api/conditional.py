"""ETags: an answer that the client has already is not sent again, and a change to what it has not seen is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.http import HttpResponseBase, HttpResponseNotModified
from django.http.response import HttpResponse
from django.utils.http import parse_etags
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.problems import Problem

if TYPE_CHECKING:
    from diagnosis.api.views.base import Door

Handler = Callable[..., HttpResponseBase]
_KEPT = ("ETag", "Cache-Control", "Vary")


def tagged(request: Request, response: HttpResponseBase) -> HttpResponseBase:
    """The answer with its ETag, or 304 where the client has it.

    The ETag is the hash of the body as this reader is shown it, so it tells nothing that the body does not. The answer
    to a PATCH has one too, of what a GET would answer now.
    """
    if request.method not in {"GET", "HEAD", "PATCH"} or response.status_code != 200:
        return response
    if isinstance(response, Response):
        response.render()
    if isinstance(response, HttpResponse) and not response.has_header("ETag"):
        response.headers["ETag"] = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    if request.method == "PATCH" or not isinstance(response, HttpResponse):  # who streams compares before it opens
        return response
    response.headers["Cache-Control"] = "private, no-cache"
    if not _names(request.headers.get("If-None-Match", ""), response.headers["ETag"]):
        return response
    return HttpResponseNotModified(headers={name: response.headers[name] for name in _KEPT if name in response.headers})


def unless_changed(view: Door, handler: Handler) -> Handler:
    """`handler`, but where the request says `If-Match`, only if a GET would still answer what the client saw.

    Else it is a problem (412). The row is locked meanwhile, as all that changes it locks it first.
    """

    def run(request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        seen = request.headers.get("If-Match")
        if seen is None:
            return handler(request, *args, **kwargs)
        with transaction.atomic():
            _lock(view)
            if not _names(seen, _current(view, request, *args, **kwargs)):
                raise Problem(
                    412,
                    "changed_meanwhile",
                    "This has changed since you read it, and nothing was stored. Read it again, then send your change "
                    "with the new ETag.",
                )
            return handler(request, *args, **kwargs)

    return run


def _names(header: str, etag: str) -> bool:
    """Whether an ETag is among those of a header. Weak or strong is all the same: a proxy that packs weakens them."""
    named = parse_etags(header)
    return named == ["*"] or etag.removeprefix("W/") in {each.removeprefix("W/") for each in named}


def _current(view: Door, request: Request, *args: Any, **kwargs: Any) -> str:
    """The ETag that a GET would have now. Nobody is shown anything, so its note in the audit is taken back."""
    with transaction.atomic():
        answer = view.finalize_response(request, view.get(request, *args, **kwargs), *args, **kwargs)  # type: ignore[attr-defined]
        transaction.set_rollback(True)
    return str(answer.headers["ETag"])


def _lock(view: Door) -> None:
    """The last number of the address is the row of the view's model."""
    rows = view.get_queryset().model._default_manager.select_for_update(no_key=True)
    rows.filter(pk=[*view.kwargs.values()][-1]).values_list("pk").first()
