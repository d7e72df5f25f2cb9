"""The pages on which an administrator says which systems are told of what happens."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis import webhooks
from diagnosis.models import WebhookDelivery, WebhookEndpoint
from diagnosis.webhooks import TOPICS, WebhookRefused

SHOWN = 100  # of the newest deliveries


class EndpointForm(forms.Form):
    name = forms.CharField(label="Name", max_length=100, help_text="The system that listens, such as “LIS bridge”.")
    url = forms.CharField(
        label="Address", max_length=500, widget=forms.URLInput(attrs={"placeholder": "https://", "autocomplete": "off"})
    )
    topics = forms.MultipleChoiceField(
        label="It is told of",
        choices=[(name, topic.says) for name, topic in TOPICS.items()],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one thing that it is told of."},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.MANAGE_WEBHOOKS)
def webhook_list(request: PageRequest) -> HttpResponseBase:
    """The laboratory's addresses; a POST makes one and shows its secret in the answer, the only time."""
    form = EndpointForm(request.POST if request.method == "POST" else None)
    context: dict[str, Any] = {"form": form}
    if request.method == "POST" and form.is_valid():
        try:
            context["made"], context["secret"] = webhooks.create(actor=request.actor, **form.cleaned_data)
            context["form"] = EndpointForm()
        except WebhookRefused as refused:
            form.add_error(refused.field, str(refused))
    context["endpoints"] = webhooks.of(actor=request.actor)
    return render(request, "laboratory/webhooks.html", context, status=422 if form.errors else 200)


@require_safe
@page(Action.MANAGE_WEBHOOKS)
def webhook(request: PageRequest, endpoint_id: int) -> HttpResponseBase:
    """One address and what it was sent."""
    return _shown(request, _endpoint(request, endpoint_id))


@require_POST
@page(Action.MANAGE_WEBHOOKS)
def webhook_change(request: PageRequest, endpoint_id: int) -> HttpResponseBase:
    """One of: pause, resume, ping, secret, remove, replay (what was given up)."""
    endpoint, actor, what = _endpoint(request, endpoint_id), request.actor, request.POST.get("what", "")
    if what in ("pause", "resume"):
        webhooks.change(actor=actor, endpoint=endpoint, active=what == "resume")
        messages.success(
            request, "It is sent to again." if what == "resume" else "Paused: what happens is kept for it."
        )
    elif what == "ping":
        webhooks.ping(actor=actor, endpoint=endpoint)
        messages.success(request, "A test message is on its way. Load this page again in a moment.")
    elif what == "secret":
        return _shown(request, endpoint, secret=webhooks.renew(actor=actor, endpoint=endpoint))
    elif what == "replay":
        count = webhooks.replay(actor=actor, endpoint=endpoint)
        messages.success(request, f"{count} message{'' if count == 1 else 's'} will be sent again.")
    elif what == "remove":
        webhooks.remove(actor=actor, endpoint=endpoint)
        messages.success(request, f"{endpoint} is told nothing any more.")
        return redirect("webhook-list")
    else:
        return HttpResponse("Nothing of that name can be done.", status=400, content_type="text/plain; charset=utf-8")
    return redirect("webhook", endpoint_id=endpoint.pk)


@require_POST
@page(Action.MANAGE_WEBHOOKS)
def webhook_replay(request: PageRequest, endpoint_id: int, delivery_id: int) -> HttpResponseBase:
    """Send one message again."""
    endpoint = _endpoint(request, endpoint_id)
    if not webhooks.replay(actor=request.actor, endpoint=endpoint, delivery_id=delivery_id):
        messages.warning(request, "That message waits to be sent already, or is gone.")
    return redirect("webhook", endpoint_id=endpoint.pk)


def _endpoint(request: PageRequest, endpoint_id: int) -> WebhookEndpoint:
    try:
        return webhooks.named(actor=request.actor, endpoint_id=endpoint_id)
    except WebhookEndpoint.DoesNotExist:
        raise Http404 from None


def _shown(request: PageRequest, endpoint: WebhookEndpoint, *, secret: str = "") -> HttpResponse:
    context = {
        "endpoint": endpoint,
        "secret": secret,
        "topics": [TOPICS[name].says for name in endpoint.topics if name in TOPICS],
        "deliveries": WebhookDelivery.objects.filter(endpoint=endpoint)[:SHOWN],
        "shown": SHOWN,
    }
    return render(request, "laboratory/webhook.html", context)
