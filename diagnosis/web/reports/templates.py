"""The laboratory's comment templates: made, changed, deleted."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.doors import PageRequest, page
from accounts.permissions import Action, visible
from diagnosis import signout
from diagnosis.models import CommentTemplate
from diagnosis.signout import SignoutRefused


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.EDIT_TEMPLATES)
def template_list(request: PageRequest) -> HttpResponseBase:
    """All of them, and the form for a new one."""
    return _form(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.EDIT_TEMPLATES)
def template(request: PageRequest, template_id: int) -> HttpResponseBase:
    """Change one."""
    return _form(request, get_object_or_404(visible(CommentTemplate.objects.all(), request.actor), pk=template_id))


@require_POST
@page(Action.EDIT_TEMPLATES)
def template_delete(request: PageRequest, template_id: int) -> HttpResponseBase:
    try:
        signout.delete_template(actor=request.actor, template_id=template_id)
    except CommentTemplate.DoesNotExist as missing:
        raise Http404("No such template in this laboratory.") from missing
    messages.success(request, "The template is deleted. Reports keep what was written with it.")
    return redirect("templates")


def _form(request: PageRequest, edited: CommentTemplate | None) -> HttpResponseBase:
    title = request.POST.get("title", edited.title if edited else "")
    text = request.POST.get("text", edited.text if edited else "")
    refused = None
    if request.method == "POST":
        try:
            signout.save_template(
                actor=request.actor, title=title, text=text, template_id=edited.pk if edited else None
            )
        except SignoutRefused as error:
            refused = error
        else:
            messages.success(request, "The template is stored.")
            return redirect("templates")
    context = {
        "templates": visible(CommentTemplate.objects.select_related("updated_by"), request.actor),
        "edited": edited,
        "title": title,
        "text": text,
        "refused": refused,
    }
    return render(request, "reports/templates.html", context, status=422 if refused else 200)
