"""The administrator's page about the people of the laboratory."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts import people
from accounts.doors import PageRequest, page
from accounts.forms import PersonForm, RolesForm
from accounts.models import User
from accounts.permissions import Action


@require_http_methods(["GET", "POST"])
@page(Action.READ_LABORATORY, post=Action.MANAGE_PEOPLE)
def people_list(request: PageRequest) -> HttpResponse:
    """Everybody with their roles; a POST adds somebody and mails them."""
    form = PersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = people.add_person(actor=request.actor, **form.cleaned_data)
        except people.PeopleError as error:
            form.add_error(None, str(error))
        else:
            _invite(request, user, f"{user} is now in {request.actor.laboratory}.")
            return redirect("accounts:people")
    context = {
        "form": form,
        "rows": [
            {"person": person, "roles": RolesForm(initial={"roles": person.roles}, auto_id=f"id_{person.user.pk}_%s")}
            for person in people.people(request.actor)
        ],
    }
    return render(request, "accounts/people.html", context, status=422 if form.errors else 200)


@require_POST
@page(Action.MANAGE_PEOPLE)
def person_roles(request: PageRequest, pk: int) -> HttpResponse:
    form = RolesForm(request.POST)
    roles = form.cleaned_data["roles"] if form.is_valid() else []
    return _change(
        request,
        lambda: people.change_roles(actor=request.actor, user_id=pk, roles=roles),
        "{user} now has these roles: they count from the next click on.",
    )


@require_POST
@page(Action.MANAGE_PEOPLE)
def person_remove(request: PageRequest, pk: int) -> HttpResponse:
    return _change(
        request,
        lambda: people.remove_person(actor=request.actor, user_id=pk),
        "{user} is out of the laboratory. What they did stays under their name.",
    )


@require_POST
@page(Action.MANAGE_PEOPLE)
def person_invite(request: PageRequest, pk: int) -> HttpResponse:
    """Mail the invitation again."""
    try:
        user = people.member(actor=request.actor, user_id=pk)
    except User.DoesNotExist as error:
        raise Http404("Nobody of this laboratory.") from error
    _invite(request, user, "")
    return redirect("accounts:people")


def _change(request: PageRequest, step: Callable[[], User], done: str) -> HttpResponse:
    try:
        user = step()
    except User.DoesNotExist as error:
        raise Http404("Nobody of this laboratory.") from error
    except people.PeopleError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, done.format(user=user))
    return redirect("accounts:people")


def _invite(request: PageRequest, user: User, done: str) -> None:
    try:
        people.invite(user, request.actor.laboratory)
    except OSError:
        messages.warning(request, f"{done} The mail to {user.email} could not be sent. Send it again later.".strip())
        return
    where = "" if settings.EMAIL_HOST else " No mail server is set up: it stands in the web server's log."
    messages.success(request, f"{done} A mail went to {user.email}.{where}".strip())
