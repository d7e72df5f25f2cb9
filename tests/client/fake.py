"""A portal in memory for the client's tests: the tus door and the few addresses of the API that uploads need, with
lines that break, where and how a test says."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

URL = "https://lab.example"
#: Is asked before each request: an answer or exception instead, or None. `after` is asked once the request is done.
Fault = Callable[[httpx.Request], httpx.Response | None]


@dataclass
class Stored:
    """One upload."""

    batch: int
    name: str
    accession: str
    length: int
    data: bytes = b""
    given_up: bool = False


@dataclass
class FakePortal:
    before: Fault = lambda request: None
    after: Fault = lambda request: None
    uploads: dict[str, Stored] = field(default_factory=dict)
    batches: list[dict[str, Any]] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    manifests: list[bytes] = field(default_factory=list)
    sent_bytes: int = 0
    batch_at_most: int = 10_000
    unpacking: bool = False  # zips stay as they came
    _answered: dict[str, httpx.Response] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        with self._lock:
            self.requests.append(request)
            answer = self.before(request)
            if answer is None:
                answer = self._answer(request)
                answer = self.after(request) or answer
        return answer

    def stored(self) -> dict[str, bytes]:
        """What has come whole, by name; a name that came twice fails."""
        found: dict[str, bytes] = {}
        for upload in self.uploads.values():
            if not upload.given_up:
                assert upload.name not in found, f"{upload.name} came twice"
                assert len(upload.data) == upload.length
                found[upload.name] = upload.data
        return found

    def count(self, method: str, path: str = "") -> int:
        return sum(each.method == method and each.url.path.startswith(path) for each in self.requests)

    # -- answers --------------------------------------------------------------------------------------------
    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers["Authorization"] != "Bearer ll_right":
            return problem(401, "not_authenticated", "This token is unknown, expired or revoked.")
        path = request.url.path
        if path.startswith("/uploads/"):
            answer = self._upload(request, path.removeprefix("/uploads/").strip("/"))
            answer.headers["Tus-Resumable"] = "1.0.0"
            return answer
        key = request.headers.get("Idempotency-Key")
        if key and key in self._answered:
            return self._answered[key]
        answer = self._api(request, path.removeprefix("/api/v1/"))
        if key:
            self._answered[key] = answer
        return answer

    def _api(self, request: httpx.Request, path: str) -> httpx.Response:
        parts = path.strip("/").split("/")
        if path == "me/":
            return httpx.Response(200, json={
                "email": "t@lab.example", "name": "Tess Technician", "laboratory": "North", "roles": ["technician"],
                "scopes": ["images:write"], "may": ["upload images"],
            })  # fmt: skip
        if path == "batches/" and request.method == "POST":
            self.batches.append(json.loads(request.content))
            return httpx.Response(201, json=self._batch(len(self.batches)))
        if parts[0] == "batches" and parts[1].isdecimal() and int(parts[1]) <= len(self.batches):
            if len(parts) == 2:
                return httpx.Response(200, json=self._batch(int(parts[1])))
            if parts[2] == "manifest":
                self.manifests.append(request.content)
                return httpx.Response(200, json={"rows": 1, "opened": 1, "matched": 0})
            if parts[2] == "files" and len(parts) == 4:
                return httpx.Response(200, json=self._file(int(parts[3])))
            files = [self._file(number) for number in range(1, len(self.uploads) + 1)]
            show = request.url.params.get("show")
            files = [each for each in files if not show or each["outcome"] == show]
            return httpx.Response(200, json={"count": len(files), "next": None, "previous": None, "results": files})
        return problem(404, "not_found", "There is nothing here that you can see.")

    def _batch(self, number: int) -> dict[str, Any]:
        return {
            "id": number, "name": self.batches[number - 1]["name"], "created_at": "2026-03-02T09:30:00Z",
            "finished_at": None, "state": "done", "counts": {"read": 0, "failed": 0, "queued": 0, "reading": 0},
            "seconds_left": None, "warning": None, "upload_url": "/uploads/",
        }  # fmt: skip

    def _file(self, number: int) -> dict[str, Any]:
        upload = list(self.uploads.values())[number - 1]
        outcome = self._outcome(upload)
        return {
            "id": number, "path": upload.name, "bytes": upload.length, "outcome": outcome["status"],
            "accession_number": upload.accession, "status": None, "error": "", "container": None,
            **{name: outcome[name] for name in ("words", "code", "reason", "flags", "case", "image")},
        }  # fmt: skip

    def _upload(self, request: httpx.Request, ident: str) -> httpx.Response:
        assert request.headers["Tus-Resumable"] == "1.0.0"
        if request.method == "POST":
            return self._begun(request)
        upload = self.uploads.get(ident)
        if upload is None or upload.given_up:
            return said(404, "There is no such upload here, or it was given up.")
        if request.method == "DELETE":
            upload.given_up = True
            return httpx.Response(204)
        if request.method == "PATCH" and (
            refused := self._take(upload, request, int(request.headers["Upload-Offset"]))
        ):
            return refused
        return httpx.Response(200 if request.method == "HEAD" else 204, headers=self._facts(upload))

    def _begun(self, request: httpx.Request) -> httpx.Response:
        pairs = (pair.split(" ") for pair in request.headers["Upload-Metadata"].split(","))
        told = {name: base64.b64decode(value).decode() for name, value in pairs}
        batch = int(told["batch"])
        if batch > len(self.batches):
            return said(404, "There is no such upload here, or it was given up.")
        ident = uuid.uuid5(uuid.NAMESPACE_URL, f"{batch} {told['fingerprint']}").hex
        upload = self.uploads.get(ident)
        if upload is None or upload.given_up:
            if sum(each.batch == batch for each in self.uploads.values()) >= self.batch_at_most:
                return said(
                    413, "A batch holds at most so many files. Open another one.", **{"Upload-Refusal": "batch_full"}
                )
            length = int(request.headers["Upload-Length"])
            upload = Stored(batch, told["relativePath"], told.get("accession", ""), length)
            self.uploads[ident] = upload
        headers = {"Location": f"/uploads/{ident}/"}
        if request.content and len(upload.data) < upload.length and (refused := self._take(upload, request, 0)):
            return refused
        return httpx.Response(201, headers=headers | self._facts(upload))

    def _take(self, upload: Stored, request: httpx.Request, offset: int) -> httpx.Response | None:
        if offset != len(upload.data):
            return said(409, "It goes on elsewhere.", **{"Upload-Offset": str(len(upload.data))})
        algorithm, _, digest = request.headers["Upload-Checksum"].partition(" ")
        if hashlib.new(algorithm, request.content).digest() != base64.b64decode(digest):
            return said(460, "The checksum of this piece does not fit.")
        upload.data += request.content
        self.sent_bytes += len(request.content)
        return None

    def _facts(self, upload: Stored) -> dict[str, str]:
        facts = {"Upload-Offset": str(len(upload.data))}
        if len(upload.data) == upload.length:
            facts["Upload-Outcome"] = quote(json.dumps(self._outcome(upload)))
        return facts

    def _outcome(self, upload: Stored) -> dict[str, Any]:
        status, words, reason = "accepted", "Accepted", ""
        if upload.data.startswith(b"no picture"):
            status, words, reason = "rejected", "Not accepted", "This is a text file, not a picture."
        elif "nobody" in upload.name:
            status, words, reason = "unmatched", "Needs a case", "No accession number was found."
        elif upload.name.endswith(".zip"):
            status, words = ("received", "Being checked") if self.unpacking else ("opened", "Unpacked")
        number = list(self.uploads.values()).index(upload) + 1
        return {
            "status": status, "words": words, "code": "", "reason": reason, "flags": [],
            "case": 1 if status == "accepted" else None, "image": number if status == "accepted" else None,
            "batch": upload.batch, "file": number,
        }  # fmt: skip


def problem(status: int, code: str, detail: str, **more: Any) -> httpx.Response:
    body = {"type": "about:blank", "title": "", "status": status, "code": code, "detail": detail, **more}
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json"})


def said(status: int, words: str, **headers: str) -> httpx.Response:
    """A refusal of the tus address."""
    told = {"Content-Type": "text/plain; charset=utf-8", "Tus-Resumable": "1.0.0", **headers}
    return httpx.Response(status, text=words, headers=told)


def once(fault: Fault) -> Fault:
    """A fault that happens the first time that it has something to say."""
    spent = False

    def maybe(request: httpx.Request) -> httpx.Response | None:
        nonlocal spent
        if spent:
            return None
        try:
            answer = fault(request)
        except httpx.TransportError:
            spent = True
            raise
        spent = answer is not None
        return answer

    return maybe


def cut(method: str, path: str = "/") -> Fault:
    """The line breaks at a request of that method."""

    def fault(request: httpx.Request) -> None:
        if request.method == method and request.url.path.startswith(path):
            raise httpx.ReadError("cut", request=request)

    return fault
