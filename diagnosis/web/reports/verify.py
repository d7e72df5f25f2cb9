"""The check page, open to everybody who holds a report: is it the current version? No patient's name is on it."""

from __future__ import annotations

from allauth.core.internal import ratelimit
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_safe

from diagnosis import signout
from diagnosis.reporting.canonical import code_shown
from diagnosis.signout.verifying import normalised

#: From one address; codes have 64 bits, so this only keeps noise away.
LIMIT = {"verify": "30/m/ip"}


@require_safe
def ask(request: HttpRequest) -> HttpResponseBase:
    """Type a code; a file is hashed in the browser and does not leave it."""
    typed = request.GET.get("code", "")
    if code := normalised(typed):
        return redirect("verify-code", code=code)
    problem = ""
    if typed.strip():
        problem = "A check code has 16 signs or more, 0–9 and A–F, as at the foot of every page of the report."
    return _shown(request, {"typed": typed, "problem": problem}, 422 if problem else 200)


@require_safe
def answer(request: HttpRequest, code: str) -> HttpResponseBase:
    """What stands of the report with this code: current, superseded by which version, or unknown (404)."""
    allowed = ratelimit.consume(request, app="leukolens", action="verify", config=LIMIT, limit_get=True)
    if not allowed:
        response = _shown(request, {"problem": "Too many codes in a short time. Wait a minute, then try again."}, 429)
        response["Retry-After"] = "60"
        return response
    standing = signout.check(code)
    context = {"standing": standing, "typed": code_shown(code) if len(code) < 64 else code}
    if standing.report:
        context |= {
            "code": code_shown(standing.report.content_hash),
            "is_pdf": standing.report.pdf_sha256 == code.lower(),
        }
    return _shown(request, context, 404 if standing.state == "unknown" else 200)


def _shown(request: HttpRequest, context: dict[str, object], status: int) -> HttpResponse:
    response = render(request, "reports/verify.html", context, status=status)
    add_never_cache_headers(response)
    return response
