"""The administrator's page about the laboratory's particulars."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.doors import PageRequest, page
from accounts.forms import LaboratoryForm
from accounts.laboratory import FIELDS, LaboratoryChanged, change_laboratory
from accounts.models import Laboratory
from accounts.permissions import Action


@require_http_methods(["GET", "POST"])
@page(Action.EDIT_LABORATORY)
def particulars(request: PageRequest) -> HttpResponse:
    """Name, address and the rest; what somebody else changed meanwhile is shown beside what was typed (409)."""
    stands = request.actor.laboratory
    form = LaboratoryForm(request.POST or None, initial=_values(stands))
    conflict: list[tuple[str, Any]] = []
    if request.method == "POST" and form.is_valid():
        seen = LaboratoryForm({name: request.POST.get(f"seen_{name}", "") for name in FIELDS})
        seen.is_valid()
        try:
            change_laboratory(
                actor=request.actor,
                seen={name: seen.cleaned_data.get(name) for name in FIELDS},
                **form.cleaned_data,
            )
        except LaboratoryChanged as changed:
            stands = changed.current
            conflict = [
                (str(form.fields[name].label), getattr(stands, name))
                for name in FIELDS
                if getattr(stands, name) != form.cleaned_data[name]
            ]
            messages.error(request, str(changed))
        else:
            messages.success(request, "Stored. Reports signed from now on carry these particulars.")
            return redirect("accounts:laboratory")
    context = {"form": form, "seen": _seen(stands), "conflict": conflict}
    status = 409 if conflict else 422 if form.errors else 200
    return render(request, "accounts/laboratory.html", context, status=status)


def _values(laboratory: Laboratory) -> dict[str, Any]:
    return {name: getattr(laboratory, name) for name in FIELDS}


def _seen(laboratory: Laboratory) -> list[tuple[str, Any]]:
    """Hidden fields that say what the page showed."""
    return [(f"seen_{name}", value) for name, value in _values(laboratory).items()]
