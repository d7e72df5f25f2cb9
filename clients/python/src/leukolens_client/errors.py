"""What can go wrong, each with a sentence that a person at the bench understands."""

from __future__ import annotations

from dataclasses import dataclass


class LeukoLensError(Exception):
    """Base of all that this package raises; its text is a sentence."""


class Unreachable(LeukoLensError):
    """The server did not answer, or only said that it cannot now, for as long as was waited. Try again later."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One member of a request that does not fit."""

    field: str
    code: str
    detail: str


class Refused(LeukoLensError):
    """The server refused a request, as a problem (RFC 9457).

    `status`: of HTTP. `code`: stable, to branch on; empty where something between here and the portal answered, such
    as a proxy. `detail`: the sentence. `errors`: by field. `existing`: id of what stands in the way, where the server
    names it.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: tuple[FieldError, ...] = (),
        existing: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.existing = errors, existing


class NotSignedIn(Refused):
    """The token is missing, unknown, expired or revoked."""


class FileChanged(LeukoLensError):
    """A file is not the one any more that was looked at: somebody writes to it, or it is not there (`gone`)."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


class Stopped(LeukoLensError):
    """Somebody asked to stop; what was sent so far is kept by the server and goes on another time."""


class TimedOut(LeukoLensError):
    """What was waited for did not happen in the time that was given."""
