"""The people of a laboratory: who is in it, with which roles.

An administrator decides about their own laboratory only. A person who also belongs to another laboratory keeps
their name, their account and everything there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from allauth.account.adapter import get_adapter
from allauth.account.app_settings import PASSWORD_RESET_TOKEN_GENERATOR
from allauth.account.utils import user_pk_to_url_str
from django.db import transaction
from django.utils import timezone

from accounts import events
from accounts.models import ApiToken, Laboratory, Membership, Role, User
from accounts.permissions import Action, Actor, require


class PeopleError(ValueError):
    """A change that cannot be made; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Person:
    """One line of the people page."""

    user: User
    roles: list[Role]
    elsewhere: bool  # also belongs to another laboratory
    last_administrator: bool


def people(actor: Actor) -> list[Person]:
    """Everybody in the actor's laboratory, by name. Two queries, however many there are."""
    require(actor, Action.READ_LABORATORY)
    members = User.objects.filter(memberships__laboratory=actor.laboratory).distinct().prefetch_related("memberships")
    roles = {
        user: sorted(Role(m.role) for m in user.memberships.all() if m.laboratory_id == actor.laboratory.pk)
        for user in members
    }
    administrators = [u for u, held in roles.items() if u.is_active and Role.ADMINISTRATOR in held]
    return [
        Person(
            user=user,
            roles=held,
            elsewhere=any(m.laboratory_id != actor.laboratory.pk for m in user.memberships.all()),
            last_administrator=administrators == [user],
        )
        for user, held in sorted(roles.items(), key=lambda item: str(item[0]).casefold())
    ]


@transaction.atomic
def add_person(*, actor: Actor, email: str, full_name: str, roles: Iterable[Role]) -> User:
    """Give the person with this address `roles` in the actor's laboratory, with a new account where there is none.

    Raises `PeopleError` where they are here already or no role is given.
    """
    require(actor, Action.MANAGE_PEOPLE)
    wanted = _at_least_one(roles)
    email = User.objects.normalize_email(email).lower()
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email, full_name=full_name.strip())
    elif user.memberships.filter(laboratory=actor.laboratory).exists():
        raise PeopleError(f"{user} is in this laboratory already. Change their roles below.")
    elif not user.is_active:
        if user.memberships.exists():
            raise PeopleError("The account with this address is closed. Ask the operator of this installation.")
        user.is_active = True
        user.save(update_fields=["is_active"])
    _set_roles(actor, user, wanted)
    return user


@transaction.atomic
def change_roles(*, actor: Actor, user_id: int, roles: Iterable[Role]) -> User:
    """Let a person of the actor's laboratory hold exactly `roles` there.

    Raises `User.DoesNotExist` for a stranger and `PeopleError` for no role or the last administrator.
    """
    require(actor, Action.MANAGE_PEOPLE)
    user = _member(actor, user_id)
    _set_roles(actor, user, _at_least_one(roles))
    return user


@transaction.atomic
def remove_person(*, actor: Actor, user_id: int) -> User:
    """Take a person out of the actor's laboratory, their tokens there with them.

    The account is closed where this was their only laboratory. What they did stays under their name.
    Raises `User.DoesNotExist` for a stranger and `PeopleError` for the last administrator.
    """
    require(actor, Action.MANAGE_PEOPLE)
    user = _member(actor, user_id)
    _set_roles(actor, user, frozenset())
    ApiToken.objects.filter(user=user, laboratory=actor.laboratory, revoked_at=None).update(revoked_at=timezone.now())
    if not user.memberships.exists():
        user.is_active = False
        user.save(update_fields=["is_active"])
    return user


def member(*, actor: Actor, user_id: int) -> User:
    """A person of the actor's laboratory. Raises `User.DoesNotExist` for a stranger to it."""
    require(actor, Action.MANAGE_PEOPLE)
    return User.objects.filter(memberships__laboratory=actor.laboratory).distinct().get(pk=user_id)


def invite(user: User, laboratory: Laboratory) -> None:
    """Mail `user` that they are in `laboratory`, with a link to choose a password where they have none.

    Raises `OSError` (smtplib's errors are some) when the mail server does not take it.
    """
    link = None if user.has_usable_password() else get_adapter().get_reset_password_from_key_url(password_key(user))
    get_adapter().send_mail(
        "accounts/email/invitation", user.email, {"user": user, "laboratory": laboratory, "link": link}
    )


def password_key(user: User) -> str:
    """The part of the set-password address that proves who it was sent to; dead once used, or after three days."""
    return f"{user_pk_to_url_str(user)}-{PASSWORD_RESET_TOKEN_GENERATOR().make_token(user)}"


def _at_least_one(roles: Iterable[Role]) -> frozenset[Role]:
    wanted = frozenset(Role(role) for role in roles)
    if not wanted:
        raise PeopleError("Choose at least one role. To take somebody out, use “Remove from the laboratory”.")
    return wanted


def _member(actor: Actor, user_id: int) -> User:
    """A person of the laboratory, under its lock: two administrators cannot remove each other at once."""
    Laboratory.objects.select_for_update().get(pk=actor.laboratory.pk)
    return member(actor=actor, user_id=user_id)


def _set_roles(actor: Actor, user: User, wanted: frozenset[Role]) -> None:
    held = user.memberships.filter(laboratory=actor.laboratory)
    before = sorted(Role(role) for role in held.values_list("role", flat=True))
    if Role.ADMINISTRATOR in before and Role.ADMINISTRATOR not in wanted:
        others = Membership.objects.filter(
            laboratory=actor.laboratory, role=Role.ADMINISTRATOR, user__is_active=True
        ).exclude(user=user)
        if not others.exists():
            raise PeopleError(f"{user} is the last administrator. Make somebody else administrator first.")
    if set(before) == wanted:
        return
    held.exclude(role__in=wanted).delete()
    Membership.objects.bulk_create(
        [Membership(user=user, laboratory=actor.laboratory, role=role) for role in sorted(wanted - set(before))]
    )
    events.role_changed.send(
        sender=Membership,
        actor=actor,
        laboratory=actor.laboratory,
        user=user,
        before=[str(role) for role in before],
        after=[str(role) for role in sorted(wanted)],
    )
