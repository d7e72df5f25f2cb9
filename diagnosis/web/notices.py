"""The bell, the list behind it, and how a person wants to be told."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis import mail, notice_words, notices
from diagnosis.batches import telling
from diagnosis.models import Event

PAGE_SIZE = 50


@require_safe
@page(Action.READ_CASES)
def notice_list(request: PageRequest) -> HttpResponseBase:
    """What the person was told, the newest first."""
    shown = Paginator(notices.of(request.actor), PAGE_SIZE).get_page(request.GET.get("page"))
    rows = [
        {
            "notice": notice,
            "said": notice_words.sentence(notice),
            "tone": notice_words.TONES.get(Event(notice.event), ""),
        }
        for notice in shown
    ]
    context: dict[str, Any] = {"rows": rows, "shown": shown, "unread": notices.unread(request.actor)}
    if request.actor.may(Action.EDIT_LABORATORY):
        context["outbox"] = mail.outbox(request.actor.laboratory)
    return render(request, "notices/list.html", context)


@require_POST
@page(Action.EDIT_LABORATORY)
def notice_outbox(request: PageRequest) -> HttpResponseBase:
    """Have the mails sent that were given up."""
    count = mail.retry(actor=request.actor)
    messages.success(request, f"{count} mail{'' if count == 1 else 's'} will be tried again within a minute.")
    return redirect("notice-list")


@require_safe
@page(Action.READ_CASES)
def notice_unread(request: PageRequest) -> HttpResponseBase:
    """For the bell: `{"unread": n}`. Where no worker is left to say so, this tells of batches that stand still."""
    telling.tell_stalled()
    return JsonResponse({"unread": notices.unread(request.actor)})


@require_safe
@page(Action.READ_CASES)
def notice_open(request: PageRequest, notice_id: int) -> HttpResponseBase:
    """The way from a notice to its case or batch; whoever goes it has read the notice."""
    found = notices.of(request.actor).filter(pk=notice_id).first()
    if found is None:
        raise Http404("No such notice of yours.")
    notices.mark_read(actor=request.actor, notice_id=notice_id)
    if found.batch_id:
        return redirect("batch", batch_id=found.batch_id)
    return redirect("case", case_id=found.case_id) if found.case_id else redirect("notice-list")


@require_POST
@page(Action.READ_CASES)
def notice_read(request: PageRequest, notice_id: int) -> HttpResponseBase:
    """One that is not the person's, or is read already, stays as it is."""
    notices.mark_read(actor=request.actor, notice_id=notice_id)
    return redirect("notice-list")


@require_POST
@page(Action.READ_CASES)
def notice_all_read(request: PageRequest) -> HttpResponseBase:
    notices.mark_read(actor=request.actor)
    return redirect("notice-list")


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.READ_CASES)
def notice_settings(request: PageRequest) -> HttpResponseBase:
    """For each event: the bell, a mail, both or neither."""
    if request.method == "POST":
        ways = {
            event: (f"portal-{event.value}" in request.POST, f"mail-{event.value}" in request.POST) for event in Event
        }
        notices.choose(user=request.user, ways=ways)
        messages.success(request, "Saved. It holds from now on.")
        return redirect("notice-settings")
    return render(request, "notices/settings.html", {"choices": notices.choices(request.user)})
