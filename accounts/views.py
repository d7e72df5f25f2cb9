"""Pages about oneself: profile, laboratory, API tokens. `people_views` has the administrator's page."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import get_adapter as get_social_adapter
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import tokens
from accounts.doors import AccountRequest, PageRequest, page, signed_in
from accounts.forms import SCOPE_WORDS, TokenForm
from accounts.middleware import LABORATORY_KEY
from accounts.models import ApiToken
from accounts.permissions import Action, Scope


@require_GET
@signed_in
def profile(request: AccountRequest) -> HttpResponse:
    factors = list(Authenticator.objects.filter(user=request.user))
    kinds = Authenticator.Type
    return render(
        request,
        "accounts/profile.html",
        {
            "may": [action.value for action in Action if request.actor and request.actor.may(action)],
            "totp": any(factor.type == kinds.TOTP for factor in factors),
            "keys": [factor for factor in factors if factor.type == kinds.WEBAUTHN],
            "recovery": next((factor for factor in factors if factor.type == kinds.RECOVERY_CODES), None),
            "providers": get_social_adapter().list_providers(request),
        },
    )


@require_POST
@signed_in
def switch(request: AccountRequest) -> HttpResponse:
    """Work in another of one's laboratories from now on."""
    wanted = request.POST.get("laboratory", "")
    chosen = next((lab for lab in request.laboratories if str(lab.pk) == wanted), None)
    if chosen is None:
        raise Http404("You do not belong to that laboratory.")
    request.session[LABORATORY_KEY] = chosen.pk
    request.session.cycle_key()
    messages.success(request, f"You now work in {chosen}.")
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else resolve_url("case-list"))


@require_http_methods(["GET", "POST"])
@page(Action.MANAGE_TOKENS)
def token_list(request: PageRequest) -> HttpResponse:
    """The person's tokens; a POST makes one and shows it in its answer, the only time it is ever seen."""
    form, made, plaintext = TokenForm(request.POST or None, actor=request.actor), None, ""
    if request.method == "POST" and form.is_valid():
        try:
            made, plaintext = tokens.issue(
                actor=request.actor,
                name=form.cleaned_data["name"],
                scopes=[Scope(scope) for scope in form.cleaned_data["scopes"]],
                days=form.cleaned_data["days"],
                requests_per_hour=form.cleaned_data["requests_per_hour"],
            )
        except tokens.TokenError as error:
            form.add_error(None, str(error))
        else:
            form = TokenForm(actor=request.actor)
    rows = [
        {
            "token": token,
            "scopes": [SCOPE_WORDS[scope] for scope in Scope if scope in token.scopes],
            "rate": tokens.rate(token.requests_per_hour),
        }
        for token in tokens.own_tokens(request.actor)
    ]
    context = {"form": form, "rows": rows, "made": made, "plaintext": plaintext}
    return render(request, "accounts/tokens.html", context, status=422 if form.errors else 200)


@require_POST
@page(Action.MANAGE_TOKENS)
def token_revoke(request: PageRequest, pk: int) -> HttpResponse:
    try:
        ended = tokens.revoke(actor=request.actor, token_id=pk)
    except ApiToken.DoesNotExist as error:
        raise Http404("No token of yours.") from error
    messages.success(request, "The token is revoked: it stopped working now." if ended else "It was revoked before.")
    return redirect("accounts:tokens")


@signed_in
def email_is_given(request: HttpRequest) -> HttpResponse:
    """In place of allauth's page to change one's address: an administrator gives it, and OIDC trusts it."""
    messages.info(request, "Your e-mail address is given by your laboratory's administrator.")
    return redirect("accounts:profile")
