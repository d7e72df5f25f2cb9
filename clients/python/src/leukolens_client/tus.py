"""One file over a line that breaks, by the tus protocol 1.0: where it broke, it goes on."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import httpx

from leukolens_client.errors import FileChanged, Unreachable
from leukolens_client.files import Parcel, read_piece
from leukolens_client.records import Outcome
from leukolens_client.wire import PASSING, Backoff, Wire, is_of_tus, problem, retry_after, why_not

_VERSION = {"Tus-Resumable": "1.0.0"}
_BODY = "application/offset+octet-stream"
_SMALLEST, _LARGEST = 64 * 1024, 4 * 1024 * 1024
#: What may go better another time: a full disk, an error of the server's, a piece that was damaged on the way. So may
#: whatever a proxy says: only the portal refuses a file for good.
_AGAIN = PASSING | {460, 500, 507, 408, 425}
_BEGUN_ANEW_AT_MOST = 5

#: Called with how many bytes of a file the server has.
Progress = Callable[[int], None]


class Pace:
    """How much is sent at once. Only whole pieces count, so a line that breaks often gets smaller ones."""

    def __init__(self, size: int = _LARGEST) -> None:
        self.size, self.largest = size, size
        self._lock = threading.Lock()

    def went_well(self) -> None:
        with self._lock:
            self.size = min(self.largest, self.size * 2)

    def is_too_much(self) -> bool:
        """Never send that much again; False where it cannot be less."""
        with self._lock:
            if self.size <= _SMALLEST:
                return False
            self.largest = self.size = max(_SMALLEST, self.size // 2)
            return True

    def broke(self) -> None:
        with self._lock:
            self.size = max(_SMALLEST, self.size // 2)


@dataclass(slots=True)
class _Way:
    """How far one upload is. `offset`: None where the server has to be asked."""

    url: str = ""
    offset: int | None = None
    reached: int = -1  # the furthest that it has come
    begun: int = 0  # how often it was announced


class Sender:
    """Sends files, one in each call; several threads may call at once."""

    def __init__(self, wire: Wire, pace: Pace | None = None) -> None:
        self.wire, self.pace = wire, pace or Pace()

    def send(
        self,
        parcel: Parcel,
        *,
        batch: int | None = None,
        accession: str = "",
        kind: str = "",
        um_per_pixel: float | None = None,
        progress: Progress | None = None,
    ) -> Outcome:
        """Send a file, or what is missing of it; what became of it.

        The same parcel again in the same batch is the same upload: nothing is sent twice, whichever run began it.
        Raises `Refused`, `Unreachable` (nothing went through for as long as the wire is patient), `FileChanged`,
        `Stopped`, OSError.
        """
        said = {
            "filename": parcel.path.name,
            "relativePath": parcel.name,
            "fingerprint": parcel.fingerprint,
            "batch": "" if batch is None else str(batch),
            "accession": accession,
            "kind": kind,
            "um_per_pixel": "" if um_per_pixel is None else repr(um_per_pixel),
        }
        backoff, way = Backoff(self.wire.patience), _Way()
        while True:
            self.wire.check_stop()
            try:
                answer = self._step(parcel, way, said)
            except httpx.TransportError as error:
                self.pace.broke()
                way.offset = None
                self.wire.pause(backoff, 0.0, why_not(error))
                continue
            except FileChanged:
                self._cancel(way)
                raise
            if (outcome := self._understand(answer, way, backoff)) is not None:
                if progress:
                    progress(parcel.look.size)
                return outcome
            if way.offset is not None and way.offset > way.reached:
                way.reached = way.offset
                backoff.reset()
                if progress:
                    progress(way.offset)
            if way.offset == parcel.look.size:  # all of it is there, and the server has not looked at it yet
                way.offset = None
                self.wire.pause(backoff, 0.2, "The server has all of the file and does not say what became of it.")

    def _cancel(self, way: _Way) -> None:
        """Tell the server that the rest will not come. It gives the upload up by itself where this gets lost."""
        if way.url:
            with contextlib.suppress(httpx.TransportError):
                self.wire.once("DELETE", way.url, headers=_VERSION)

    def _step(self, parcel: Parcel, way: _Way, said: Mapping[str, str]) -> httpx.Response:
        if not way.url:
            way.begun += 1
            headers = self._announced(parcel, said)
            # A small file is sent along with its announcement, the first time: one request instead of two.
            if way.begun == 1 and 0 < parcel.look.size <= self.pace.size:
                piece = read_piece(parcel, 0, parcel.look.size)
                headers |= {"Content-Type": _BODY, "Upload-Checksum": _checksum(piece)}
                return self.wire.once("POST", f"{self.wire.url}/uploads/", headers=headers, content=piece)
            return self.wire.once("POST", f"{self.wire.url}/uploads/", headers=headers)
        if way.offset is None:
            return self.wire.once("HEAD", way.url, headers=_VERSION)
        piece = read_piece(parcel, way.offset, self.pace.size)
        headers = _VERSION | {
            "Content-Type": _BODY, "Upload-Offset": str(way.offset), "Upload-Checksum": _checksum(piece),
        }  # fmt: skip
        return self.wire.once("PATCH", way.url, headers=headers, content=piece)

    def _understand(self, answer: httpx.Response, way: _Way, backoff: Backoff) -> Outcome | None:
        """Note what an answer says of the upload; its outcome where it has come whole."""
        status = answer.status_code
        if answer.is_success:
            if answer.request.method == "POST":
                way.url = self._location(answer)
            elif answer.request.method == "PATCH":
                self.pace.went_well()
            way.offset = _offset(answer)
            if "Upload-Outcome" in answer.headers:
                return Outcome.read(json.loads(unquote(answer.headers["Upload-Outcome"])))
            return None
        if status == 409:  # somebody (a request that was thought lost) has sent more, or less
            way.offset = _offset(answer) if way.url else None
            self.wire.pause(backoff, 0.05, "The server and we do not agree on how much has come.")
        elif status in (404, 410) and way.url and way.begun < _BEGUN_ANEW_AT_MOST:  # it was given up: begin anew
            way.url, way.offset = "", None
            self.wire.pause(backoff, 0.05, "The server gave this upload up.")
        elif status == 413 and not is_of_tus(answer) and self.pace.is_too_much():
            way.offset = None  # a proxy before the server takes no body of that size
            self.wire.pause(backoff, 0.05, problem(answer).detail)
        elif status in _AGAIN or not is_of_tus(answer):
            if status == 460:
                self.pace.broke()
            way.offset = None
            self.wire.pause(backoff, retry_after(answer), problem(answer).detail)
        else:
            raise problem(answer)
        return None

    def _announced(self, parcel: Parcel, said: Mapping[str, str]) -> dict[str, str]:
        metadata = ",".join(
            f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in said.items() if value
        )
        return _VERSION | {"Upload-Length": str(parcel.look.size), "Upload-Metadata": metadata}

    def _location(self, answer: httpx.Response) -> str:
        try:
            return self.wire.address(answer.headers["Location"])
        except KeyError:
            raise Unreachable("The server took the file's name but did not say where its bytes go.") from None


def _offset(answer: httpx.Response) -> int | None:
    value = answer.headers.get("Upload-Offset", "")
    return int(value) if value.isdecimal() else None


def _checksum(piece: bytes) -> str:
    return f"sha256 {base64.b64encode(hashlib.sha256(piece).digest()).decode()}"
