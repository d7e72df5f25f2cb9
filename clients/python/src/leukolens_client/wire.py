"""Requests that get through: what fails for a moment is tried again, and a refusal is raised in words."""

from __future__ import annotations

import email.utils
import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from leukolens_client._version import __version__
from leukolens_client.errors import FieldError, NotSignedIn, Refused, Stopped, Unreachable

#: Answers that mean: not now. Whatever was asked may be asked again.
PASSING = frozenset({429, 502, 503, 504})
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)  # seconds; a server checks a picture before it answers
_LONGEST_WAIT = 30.0


class Backoff:
    """How long to wait before the next try: twice as long each time, up to `longest` seconds, and never exactly, so
    that many clients do not come back at once. `patience`: seconds from the first failure on until giving up."""

    def __init__(self, patience: float, *, first: float = 0.5, longest: float = _LONGEST_WAIT) -> None:
        self.patience, self.first, self.longest = patience, first, longest
        self._tries, self._until = 0, 0.0

    def reset(self) -> None:
        self._tries = 0

    def next(self, at_least: float = 0.0) -> float | None:
        """Seconds to wait now; None where patience has ended. `at_least`: what the server asked for."""
        now = time.monotonic()
        if self._tries == 0:
            self._until = now + self.patience
        wait = min(self.longest, self.first * 2.0 ** min(self._tries, 30)) * random.uniform(0.5, 1.0)
        if at_least:
            wait = at_least + random.uniform(0.0, min(1.0, at_least))
        self._tries += 1
        return wait if now + wait <= self._until else None


class Wire:
    """One connection pool to one portal, signed in by a token. Safe to use from several threads.

    `patience`: seconds for which a server that does not answer is asked again. `stop`: set it, and whatever waits ends
    with `Stopped`. The token is sent to this portal alone.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        patience: float = 120.0,
        transport: httpx.BaseTransport | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.url = plain_url(url)
        self.patience = patience
        self.stop = stop or threading.Event()
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {token}", "User-Agent": f"leukolens-client/{__version__}"},
            timeout=_TIMEOUT,
            transport=transport,
        )

    def close(self) -> None:
        self._http.close()

    def address(self, path: str) -> str:
        """The address of a path of this portal, or of an address that it gave. Raises `Refused` for a stranger's."""
        address = str(httpx.URL(self.url + "/").join(path))
        if _origin(address) != _origin(self.url):
            raise Refused(
                0, "foreign_address", f"The server sent us on to another one ({address}); that is not followed."
            )
        return address

    def api(
        self, method: str, path: str, *, body: object = None, params: Mapping[str, Any] | None = None, key: str = ""
    ) -> Any:
        """Ask below `/api/v1/`; the decoded answer, None where it is empty. `key`: an idempotency key of the caller's.
        Raises `Refused`, `Unreachable`."""
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.ask(method, f"{self.url}/api/v1/{path}", json=body, params=params, headers=headers)
        if not answer.content:
            return None
        try:
            return answer.json()
        except json.JSONDecodeError:
            raise _no_portal(answer) from None

    def ask(self, method: str, address: str, **request: Any) -> httpx.Response:
        """Ask until there is an answer that is not for the moment only. Raises `Refused`, `Unreachable`, `Stopped`.

        A POST carries one `Idempotency-Key` through all its tries, so that one whose answer got lost counts once.
        """
        return self._ask(self.once, method, address, request)

    def begin(self, method: str, address: str, **request: Any) -> httpx.Response:
        """The same, but the body of the answer is not read yet; the caller reads and closes it."""
        return self._ask(self._stream, method, address, request)

    def _ask(
        self, send: Callable[..., httpx.Response], method: str, address: str, request: dict[str, Any]
    ) -> httpx.Response:
        headers = dict(request.pop("headers", {}))
        if method == "POST":
            headers.setdefault("Idempotency-Key", str(uuid.uuid4()))
        backoff = Backoff(self.patience)
        while True:
            self.check_stop()
            try:
                answer = send(method, address, headers=headers, **request)
                if answer.is_success:
                    return answer
                answer.read()
            except httpx.TransportError as error:
                self.pause(backoff, 0.0, why_not(error))
                continue
            if answer.status_code not in PASSING and not _is_in_progress(answer):
                raise problem(answer)
            self.pause(backoff, retry_after(answer), problem(answer).detail)

    def once(self, method: str, address: str, **request: Any) -> httpx.Response:
        """Ask one time, whatever comes of it. Raises `httpx.TransportError`."""
        return self._http.request(method, self.address(address), **request)

    def _stream(self, method: str, address: str, **request: Any) -> httpx.Response:
        return self._http.send(self._http.build_request(method, self.address(address), **request), stream=True)

    def pause(self, backoff: Backoff, at_least: float, why: str) -> None:
        """Wait before another try. Raises `Unreachable` where patience has ended, `Stopped`."""
        wait = backoff.next(at_least)
        if wait is None:
            asked = f" It asks to wait for {at_least:.0f} s." if at_least >= 1 else ""
            raise Unreachable(f"{self.url}: {why}{asked}")
        self.stop.wait(wait)
        self.check_stop()

    def check_stop(self) -> None:
        if self.stop.is_set():
            raise Stopped("Stopped as asked.")


def plain_url(url: str) -> str:
    """The portal's address without what people copy along. Raises ValueError with a sentence."""
    url = url.strip().rstrip("/").removesuffix("/api/v1").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"“{url}” is not the address of a portal. Write it as https://lab.example.")
    return url


def _origin(address: str) -> tuple[str, str, int]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _is_in_progress(answer: httpx.Response) -> bool:
    """Whether the same request, by its `Idempotency-Key`, is still being answered elsewhere."""
    return answer.status_code == 409 and "Retry-After" in answer.headers


def retry_after(answer: httpx.Response) -> float:
    """Seconds that the server asks to wait for; 0 where it does not say."""
    said = answer.headers.get("Retry-After", "")
    if said.isdecimal():
        return float(said)
    moment = email.utils.parsedate_to_datetime(said).timestamp() if _is_date(said) else 0.0
    return max(0.0, moment - time.time())


def _is_date(said: str) -> bool:
    return email.utils.parsedate_tz(said) is not None


def problem(answer: httpx.Response) -> Refused:
    """The refusal that an answer is: problem details, or the plain sentence of the tus address."""
    kind = NotSignedIn if answer.status_code == 401 else Refused
    media = answer.headers.get("Content-Type", "")
    if "json" in media:
        try:
            said = answer.json()
            errors = tuple(
                FieldError(str(each.get("field", "")), str(each.get("code", "")), str(each.get("detail", "")))
                for each in said.get("errors", ())
            )
            existing = said.get("existing")
            detail = str(said["detail"])
            if len(errors) > 1:
                detail = "; ".join(f"{each.field}: {each.detail}" for each in errors)
            for each in said.get("mistakes", ()):  # of a list
                detail += f"\nline {each['line']}, {each['column']}: {each['detail']}"
            return kind(
                answer.status_code, str(said.get("code", "")), detail, errors=errors,
                existing=existing if isinstance(existing, int) else None,
            )  # fmt: skip
        except (ValueError, KeyError, AttributeError, TypeError):
            pass
    if is_of_tus(answer):
        code = answer.headers.get("Upload-Refusal") or _TUS_CODES.get(answer.status_code, "refused")
        return kind(answer.status_code, code, answer.text.strip()[:500] or _plainly(answer))
    if answer.is_redirect:
        return _no_portal(answer)
    return Refused(answer.status_code, "", _plainly(answer))


def is_of_tus(answer: httpx.Response) -> bool:
    """Whether the portal's tus address said it, and no proxy before it."""
    return "Tus-Resumable" in answer.headers


_TUS_CODES = {401: "not_authenticated", 403: "permission_denied", 404: "not_found"}


def _plainly(answer: httpx.Response) -> str:
    return f"The server answered {answer.status_code} {answer.reason_phrase}."


def _no_portal(answer: httpx.Response) -> Refused:
    if answer.is_redirect:
        to = answer.headers.get("Location", "")
        return Refused(
            answer.status_code,
            "redirected",
            f"The server sends us on to {to}. Use that address, if it is the portal's.",
        )
    return Refused(
        answer.status_code, "not_a_portal", "What answers there is not a LeukoLens portal. Check the address."
    )


def why_not(error: httpx.TransportError) -> str:
    """A sentence for a connection that failed."""
    if isinstance(error, httpx.TimeoutException):
        return "The server took too long to answer."
    if isinstance(error, httpx.ConnectError):
        return f"The server cannot be reached ({error})."
    return f"The connection broke ({error or type(error).__name__})."
