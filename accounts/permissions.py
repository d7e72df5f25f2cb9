"""The one place that decides who may do what.

Doors (pages, API) turn a request into an `Actor` and ask `require(actor, Action.…)`; what an actor may see at
all is `visible(queryset, actor)`. A stranger to a laboratory gets 404, a reader who tries to write gets 403.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet

from accounts.models import Laboratory, Membership, Role, User

if TYPE_CHECKING:
    from collections.abc import Iterable

M = TypeVar("M", bound=Model)


class Scope(StrEnum):
    """What an API token may be used for, on top of what its person may do."""

    CASES_READ = "cases:read"
    CASES_WRITE = "cases:write"
    IMAGES_WRITE = "images:write"
    REVIEW_WRITE = "review:write"
    AUDIT_READ = "audit:read"
    DATA_EXPORT = "data:export"
    WEBHOOKS_WRITE = "webhooks:write"


class Action(StrEnum):
    """Everything a person or a token can ask of a laboratory's data."""

    READ_CASES = "read cases"
    CREATE_CASE = "create cases"
    EDIT_CASE = "edit cases"
    EDIT_PATIENT = "edit patients"
    UPLOAD_IMAGE = "upload images"
    CORRECT_KIND = "correct the kind of an image"
    RETRY_ANALYSIS = "retry an analysis"
    DECIDE = "decide on images"
    HOLD_CASE = "hold cases"
    EDIT_CLINICAL = "enter clinical data"
    GIVE_OPINION = "ask for second opinions and give them"
    SIGN = "sign reports"
    EDIT_TEMPLATES = "change the comment templates"
    READ_DASHBOARD = "see the laboratory's figures"
    EXPORT = "export the laboratory's pictures"
    MANAGE_WEBHOOKS = "manage the laboratory's webhooks"
    EDIT_LABORATORY = "change the laboratory's particulars"
    READ_AUDIT = "read a case's history"
    READ_LABORATORY = "see the laboratory's people"
    MANAGE_PEOPLE = "manage the laboratory's people"
    MANAGE_TOKENS = "make and revoke API tokens"


_EVERYONE = frozenset(Role)
_BENCH = frozenset({Role.TECHNICIAN, Role.PATHOLOGIST})

#: Action → roles that may, and the scope a token needs for it (None: no token may).
RULES: dict[Action, tuple[frozenset[Role], Scope | None]] = {
    Action.READ_CASES: (_EVERYONE, Scope.CASES_READ),
    Action.CREATE_CASE: (_BENCH, Scope.CASES_WRITE),
    Action.EDIT_CASE: (_BENCH, Scope.CASES_WRITE),
    Action.EDIT_PATIENT: (_BENCH, Scope.CASES_WRITE),
    Action.UPLOAD_IMAGE: (_BENCH, Scope.IMAGES_WRITE),
    Action.CORRECT_KIND: (_BENCH, Scope.IMAGES_WRITE),
    Action.RETRY_ANALYSIS: (_BENCH, Scope.IMAGES_WRITE),
    Action.DECIDE: (frozenset({Role.PATHOLOGIST}), Scope.REVIEW_WRITE),
    Action.HOLD_CASE: (frozenset({Role.PATHOLOGIST}), Scope.REVIEW_WRITE),
    Action.EDIT_CLINICAL: (_BENCH, Scope.CASES_WRITE),
    Action.GIVE_OPINION: (frozenset({Role.PATHOLOGIST}), None),
    Action.SIGN: (frozenset({Role.PATHOLOGIST}), None),  # a signature is a person's, never a program's
    Action.EDIT_TEMPLATES: (frozenset({Role.PATHOLOGIST, Role.ADMINISTRATOR}), None),
    Action.READ_DASHBOARD: (frozenset({Role.PATHOLOGIST, Role.ADMINISTRATOR}), None),
    Action.EXPORT: (frozenset({Role.ADMINISTRATOR}), Scope.DATA_EXPORT),
    Action.MANAGE_WEBHOOKS: (frozenset({Role.ADMINISTRATOR}), Scope.WEBHOOKS_WRITE),
    Action.EDIT_LABORATORY: (frozenset({Role.ADMINISTRATOR}), None),
    Action.READ_AUDIT: (_EVERYONE, Scope.AUDIT_READ),
    Action.READ_LABORATORY: (frozenset({Role.ADMINISTRATOR}), None),
    Action.MANAGE_PEOPLE: (frozenset({Role.ADMINISTRATOR}), None),
    Action.MANAGE_TOKENS: (_EVERYONE, None),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """A person acting in one laboratory, perhaps through a token that narrows what they may do."""

    user: User
    laboratory: Laboratory
    roles: frozenset[Role]
    scopes: frozenset[Scope] | None = None  # None: not through a token
    label: str = ""  # how the audit names them: "Ada Technician", "Ada Technician (token scanner-2)"
    token_id: int | None = None  # the `ApiToken` they came with
    requests_per_hour: int | None = None  # of that token; None: the rate of all

    def may(self, action: Action) -> bool:
        roles, scope = RULES[action]
        if not self.roles & roles:
            return False
        return self.scopes is None or (scope is not None and scope in self.scopes)


def actor_for(
    user: User,
    laboratory: Laboratory,
    *,
    scopes: Iterable[str] | None = None,
    token: str = "",
    token_id: int | None = None,
    requests_per_hour: int | None = None,
) -> Actor | None:
    """The actor that `user` is in `laboratory`, or None for a stranger to it or a closed account.

    Scopes that this version does not know are dropped: an old token never widens.
    """
    if not user.is_active:
        return None
    held = Membership.objects.filter(user=user, laboratory=laboratory).values_list("role", flat=True)
    roles = frozenset(Role(role) for role in held)
    if not roles:
        return None
    narrowed = None if scopes is None else frozenset(Scope) & frozenset(scopes)
    label = f"{user} (token {token})" if token else str(user)
    return Actor(user, laboratory, roles, narrowed, label, token_id, requests_per_hour)


def grantable_scopes(actor: Actor) -> list[Scope]:
    """The scopes a token of this person can carry: each opens at least one thing that their roles allow."""
    return [
        scope for scope in Scope if any(needed == scope and actor.roles & roles for roles, needed in RULES.values())
    ]


def require(actor: Actor, action: Action) -> None:
    """Raise `PermissionDenied` with a plain sentence unless `actor` may do `action`."""
    if actor.may(action):
        return
    if actor.scopes is not None and actor.roles & RULES[action][0]:
        scope = RULES[action][1]
        raise PermissionDenied(
            f"This token may not {action.value}: it lacks the scope {scope}."
            if scope
            else f"No token may {action.value}: sign in on the pages for that."
        )
    raise PermissionDenied(f"Your roles in {actor.laboratory} do not allow you to {action.value}.")


def visible(queryset: QuerySet[M], actor: Actor, path: str = "laboratory") -> QuerySet[M]:
    """Only the rows of the actor's own laboratory; `path` leads from the model to its laboratory."""
    return queryset.filter(**{path: actor.laboratory})
