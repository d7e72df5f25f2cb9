"""The door of every web page: who is acting, and may they?"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme, urlencode

from accounts.middleware import ActorRequest
from accounts.permissions import Action, Actor, require

P = ParamSpec("P")


class AccountRequest(ActorRequest):
    """A request behind `signed_in`: a person, perhaps without a laboratory."""


class PageRequest(ActorRequest):
    """A request behind `page`: somebody with a laboratory is acting."""

    actor: Actor


def signed_in(
    view: Callable[Concatenate[AccountRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Let a view about the person's own account run for anybody who is signed in, laboratory or not."""

    @wraps(view)
    def door(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return to_sign_in(request)
        response = view(cast(AccountRequest, request), *args, **kwargs)
        add_never_cache_headers(response)
        return response

    return door


def page(
    action: Action, *, post: Action | None = None
) -> Callable[
    [Callable[Concatenate[PageRequest, P], HttpResponseBase]],
    Callable[Concatenate[HttpRequest, P], HttpResponseBase],
]:
    """Let a web view run only for a person who may do `action` (`post` where writing needs another right).

    Anonymous people are sent to sign in and come back afterwards; htmx and scripts get 401 instead of a
    sign-in page in the wrong place. A person without a laboratory meets a page that says so, a person without
    the right `PermissionDenied` (403). Answers are kept out of caches unless the view says otherwise itself.
    """

    def decorate(
        view: Callable[Concatenate[PageRequest, P], HttpResponseBase],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
        @wraps(view)
        def door(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            response = answer(request, *args, **kwargs)
            if not response.has_header("Cache-Control"):
                add_never_cache_headers(response)
            return response

        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return to_sign_in(request)
            actor = cast(ActorRequest, request).actor
            if actor is None:
                return render(request, "accounts/no_laboratory.html", status=403)
            require(actor, post if post and request.method not in {"GET", "HEAD", "OPTIONS"} else action)
            return view(cast(PageRequest, request), *args, **kwargs)

        return door

    return decorate


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """Send an anonymous visitor to sign in, in the manner that the caller understands."""
    if request.headers.get("HX-Request"):
        current = urlsplit(request.headers.get("HX-Current-URL", ""))
        back = current.path + (f"?{current.query}" if current.query else "")
        if not back or not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
            back = resolve_url("case-list")
        response = HttpResponse("Please sign in again.", status=401, content_type="text/plain; charset=utf-8")
        response["HX-Redirect"] = f"{resolve_url('account_login')}?{urlencode({'next': back})}"
        return response
    if request.headers.get("X-Requested-With") or "application/json" in request.headers.get("Accept", ""):
        return JsonResponse({"detail": "Please sign in again.", "sign_in": resolve_url("account_login")}, status=401)
    # Only a page can be come back to: a form that was sent is shown again, not sent again.
    return redirect_to_login(request.get_full_path() if request.method == "GET" else resolve_url("case-list"))
