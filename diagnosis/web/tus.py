"""Resumable uploads by the tus protocol 1.0 (https://tus.io/protocols/resumable-upload), below /uploads/.

Core, creation, creation-with-upload, termination, checksum and expiration; for signed-in people and for API tokens
alike. Metadata of an upload: `filename` (and `relativePath`), `batch`, `accession`, `kind`, `um_per_pixel`,
`fingerprint` (the same one again in a batch is the same upload) and `replaces`. `docs/batches.md` has the whole.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, cast
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.urls import reverse
from django.utils.http import http_date
from django.views.decorators.csrf import csrf_exempt

from accounts import tokens
from accounts.middleware import ActorRequest
from accounts.permissions import Action, Actor, require
from diagnosis.batches import arriving, opening, store
from diagnosis.models import Batch, BatchFile

P = ParamSpec("P")
VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,checksum,expiration"
BODY = "application/offset+octet-stream"
_METADATA_AT_MOST = 8 * 1024


class Refused(Exception):  # noqa: N818 - what the client is told
    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, {name.replace("_", "-"): value for name, value in headers.items()}


def door(
    *methods: str,
) -> Callable[
    [Callable[Concatenate[HttpRequest, Actor, P], HttpResponse]], Callable[Concatenate[HttpRequest, P], HttpResponse]
]:
    """A tus address: who asks, in which version of the protocol, by which method; refusals as plain sentences."""

    def decorate(
        view: Callable[Concatenate[HttpRequest, Actor, P], HttpResponse],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
        @csrf_exempt  # by hand below: a token needs none
        def outer(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            try:
                response = _answer(request, view, methods, *args, **kwargs)
            except Refused as refused:
                response = _text(refused.status, str(refused), refused.headers)
            except PermissionDenied as denied:
                response = _text(403, str(denied))
            except (Batch.DoesNotExist, BatchFile.DoesNotExist):
                response = _text(404, "There is no such upload here, or it was given up.")
            response["Tus-Resumable"] = VERSION
            response["Cache-Control"] = "no-store"
            return response

        return outer

    return decorate


def _answer(request: HttpRequest, view: Any, methods: tuple[str, ...], *args: Any, **kwargs: Any) -> HttpResponse:
    if request.method == "OPTIONS":
        return _empty(
            204, {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": str(settings.UPLOAD_MAX_BYTES),
                  "Tus-Checksum-Algorithm": ",".join(arriving.CHECKSUMS)},
        )  # fmt: skip
    actor = _actor(request)
    method = request.method or ""
    if method == "POST":
        method = request.headers.get("X-HTTP-Method-Override", "POST").upper()
    if method not in methods:
        raise Refused(405, "This is an address of the tus protocol for resumable uploads.", Allow=", ".join(methods))
    require(actor, Action.UPLOAD_IMAGE)
    if request.headers.get("Tus-Resumable") != VERSION:
        raise Refused(412, f"Speak version {VERSION} of the tus protocol.", Tus_Version=VERSION)
    return cast(HttpResponse, view(request, actor, method, *args, **kwargs))


def _actor(request: HttpRequest) -> Actor:
    """By token, or by session; then a request that writes proves that it comes from one of our pages."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        actor = tokens.authenticate(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
        if actor is None:
            raise Refused(
                401, "This token is unknown, expired or revoked.", WWW_Authenticate='Bearer realm="LeukoLens"'
            )
        return actor
    if request.method not in ("GET", "HEAD"):
        check = CsrfViewMiddleware(_nothing)
        check.process_request(request)
        if check.process_view(request, _nothing, (), {}) is not None:
            raise Refused(403, "Reload the page and try again: it is too old, or not one of ours.")
    if not request.user.is_authenticated:
        raise Refused(401, "Please sign in, or send an API token.", WWW_Authenticate='Bearer realm="LeukoLens"')
    session_actor = cast(ActorRequest, request).actor
    if session_actor is None:
        raise PermissionDenied("You belong to no laboratory.")
    return session_actor


def _nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@door("POST")
def uploads(request: HttpRequest, actor: Actor, method: str) -> HttpResponse:
    """Creation: 201 with the address of the upload; a body is taken as its first bytes."""
    length = _number(request, "Upload-Length")
    raw = request.headers.get("Upload-Metadata", "")
    said = _metadata(raw)
    try:
        file = arriving.begin(
            actor=actor,
            batch=_batch(actor, said),
            path=said.get("relativePath") or said.get("filename") or said.get("name") or "unnamed",
            length=length,
            key=said.get("fingerprint", ""),
            accession=said.get("accession", ""),
            kind=said.get("kind", ""),
            um_per_pixel=_scale(said),
            replaces=int(said["replaces"][:18]) if said.get("replaces", "").isdecimal() else None,
            metadata=raw,
        )
    except arriving.UploadRefused as refused:
        why = {"Upload_Refusal": refused.code} if refused.code else {}
        raise Refused(refused.status, str(refused), **why) from refused
    except opening.BatchError as error:
        raise Refused(400, str(error)) from error
    # A path alone: behind a proxy the server does not always know the name and port that the client used.
    headers = {"Location": reverse("upload", args=[file.upload])}
    if request.headers.get("Content-Type") == BODY and file.state == BatchFile.State.RECEIVING:
        _take(request, actor, file, 0)
        file.refresh_from_db()
    return _empty(201, headers | _facts(file))


@door("HEAD", "PATCH", "DELETE")
def upload(request: HttpRequest, actor: Actor, method: str, upload: UUID) -> HttpResponse:
    """HEAD: how much is here. PATCH: the bytes from there on. DELETE: it is not wanted any more."""
    file = arriving.find(actor=actor, upload=upload)
    if method == "HEAD":
        arriving.note_whole(file)
        if arriving.bytes_here(file) is None:
            raise Refused(410, "This upload was given up.")
        facts = _facts(file) | {"Upload-Length": str(file.length)}
        return _empty(200, facts | ({"Upload-Metadata": file.metadata} if file.metadata else {}))
    if method == "DELETE":
        if not arriving.cancel(actor=actor, file=file):
            if arriving.bytes_here(file) is None:
                raise Refused(410, "This upload was given up.")
            raise Refused(403, "It has come whole and is not deleted here.")
        return _empty(204)
    if request.headers.get("Content-Type") != BODY:
        raise Refused(415, f"Send the bytes as {BODY}.")
    _take(request, actor, file, _number(request, "Upload-Offset"))
    file.refresh_from_db()
    return _empty(204, _facts(file))


def _take(request: HttpRequest, actor: Actor, file: BatchFile, offset: int) -> None:
    size = request.headers.get("Content-Length", "")
    try:
        arriving.receive(
            actor=actor, file=file, offset=offset, body=request, checksum=_checksum(request),
            size=int(size) if size.isdecimal() else None,
        )  # fmt: skip
    except store.Overtaken as overtaken:
        raise Refused(
            409, f"This upload goes on at byte {overtaken.offset}.", Upload_Offset=str(overtaken.offset)
        ) from None
    except FileNotFoundError:
        raise Refused(410, "This upload was given up.") from None
    except arriving.UploadRefused as refused:
        raise Refused(refused.status, str(refused)) from refused


def _facts(file: BatchFile) -> dict[str, str]:
    """What every answer about an upload says; once it is settled, its outcome as JSON in percent-encoding."""
    facts = {"Upload-Offset": str(arriving.bytes_here(file) or 0)}
    if file.expires_at is not None:
        facts["Upload-Expires"] = http_date(file.expires_at.timestamp())
    if file.state != BatchFile.State.RECEIVING:
        outcome = {
            "status": file.state, "words": file.get_state_display(), "code": file.code, "reason": file.reason,
            "flags": file.flags, "case": file.case_id, "image": file.image_id, "batch": file.batch_id, "file": file.pk,
        }  # fmt: skip
        facts["Upload-Outcome"] = quote(json.dumps(outcome, separators=(",", ":")), safe="{}[]:,")
    return facts


def _batch(actor: Actor, said: Mapping[str, str]) -> Batch:
    if not said.get("batch"):
        return opening.batch_of_day(actor=actor)
    if not said["batch"].isdecimal() or len(said["batch"]) > 18:
        raise Refused(400, "The metadata “batch” has to be the number of a batch.")
    return opening.batch_page(actor=actor, batch_id=int(said["batch"]))


def _scale(said: Mapping[str, str]) -> float | None:
    try:
        return float(said["um_per_pixel"]) if said.get("um_per_pixel") else None
    except ValueError:
        raise Refused(400, "The metadata “um_per_pixel” has to be a number.") from None


def _number(request: HttpRequest, header: str) -> int:
    value = request.headers.get(header, "")
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise Refused(400, f"The header {header} has to be a whole number from 0 on.")
    return int(value)


def _metadata(raw: str) -> dict[str, str]:
    if len(raw) > _METADATA_AT_MOST:
        raise Refused(400, "The metadata are too long.")
    said: dict[str, str] = {}
    for pair in filter(None, (pair.strip() for pair in raw.split(","))):
        name, _, value = pair.partition(" ")
        try:
            said[name] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Refused(400, f"The metadata “{name[:40]}” are not text in base64.") from None
    return said


def _checksum(request: HttpRequest) -> arriving.Checksum | None:
    header = request.headers.get("Upload-Checksum")
    if header is None:
        return None
    algorithm, _, value = header.partition(" ")
    if algorithm not in arriving.CHECKSUMS:
        raise Refused(400, f"Checksums are taken as {' or '.join(arriving.CHECKSUMS)}.")
    try:
        return arriving.Checksum(algorithm, base64.b64decode(value, validate=True))
    except binascii.Error:
        raise Refused(400, "The checksum is not in base64.") from None


def _empty(status: int, headers: Mapping[str, str] | None = None) -> HttpResponse:
    response = HttpResponse(status=status, headers=dict(headers or {}))
    del response["Content-Type"]
    return response


def _text(status: int, words: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
    reason = "Checksum Mismatch" if status == 460 else None
    return HttpResponse(
        words, status=status, reason=reason, headers=dict(headers or {}), content_type="text/plain; charset=utf-8"
    )
