"""Puts the acting person and their laboratory on the request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts.models import Laboratory, Membership, Role, User
from accounts.permissions import Actor

if TYPE_CHECKING:
    from django.contrib.sessions.backends.base import SessionBase

#: Where the session keeps the laboratory that a person with several chose last.
LABORATORY_KEY = "laboratory"


class ActorRequest(HttpRequest):
    """A request that has passed `ActorMiddleware`."""

    user: User
    actor: Actor | None  # None: nobody signed in, or a person without a laboratory
    laboratories: list[Laboratory]  # all that the person may act in, by name


class ActorMiddleware:
    """Sets `request.actor` and `request.laboratories`.

    A request without a session cookie (probes, API calls with a token) costs no query here.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        acting = cast(ActorRequest, request)
        acting.actor, acting.laboratories = None, []
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            acting.actor, acting.laboratories = actor_of(request.user, request.session)
        return self.get_response(request)


def actor_of(user: User, session: SessionBase) -> tuple[Actor | None, list[Laboratory]]:
    """The actor that a signed-in person is now, and every laboratory they may switch to.

    Without a choice, or with one that no longer holds, it is the laboratory they have belonged to longest: being
    added to another one moves nobody.
    """
    roles: dict[int, set[Role]] = {}
    laboratories: dict[int, Laboratory] = {}
    held = Membership.objects.filter(user=user).select_related("laboratory")
    for membership in held.order_by("pk"):
        laboratories[membership.laboratory_id] = membership.laboratory
        roles.setdefault(membership.laboratory_id, set()).add(Role(membership.role))
    if not laboratories:
        return None, []
    chosen = session.get(LABORATORY_KEY)
    if chosen not in laboratories:
        chosen = next(iter(laboratories))
    actor = Actor(user, laboratories[chosen], frozenset(roles[chosen]), label=str(user))
    return actor, sorted(laboratories.values(), key=lambda laboratory: laboratory.name)
