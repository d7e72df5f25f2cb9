"""Worklist filters that a person gave a name, in one laboratory; nobody else sees them."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from accounts.permissions import Action, require
from diagnosis.listing import Filter
from diagnosis.models import SavedView

if TYPE_CHECKING:
    from accounts.permissions import Actor

MOST = 40


class ViewRefused(ValueError):  # noqa: N818
    """The view cannot be saved; `str(error)` says why. `code`: missing, unreadable, too_long, taken or too_many."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def of(actor: Actor) -> list[SavedView]:
    """The person's views in this laboratory by name."""
    return list(SavedView.objects.filter(laboratory=actor.laboratory, user=actor.user).order_by("name"))


def save(*, actor: Actor, name: str, chosen: Filter) -> SavedView:
    """Keep `chosen` under `name`. Raises `ViewRefused`, `PermissionDenied`."""
    require(actor, Action.READ_CASES)
    name = _name(name)
    if len(chosen.query) > (SavedView._meta.get_field("query").max_length or 0):
        raise ViewRefused("too_long", "The words of this search are too many to be kept. Shorten them, then save.")
    if len(of(actor)) >= MOST:
        raise ViewRefused("too_many", f"You have {MOST} saved views. Delete one that you no longer need first.")
    view = SavedView(laboratory=actor.laboratory, user=actor.user, name=name, query=chosen.query)
    return _kept(view)


def rename(*, actor: Actor, view_id: int, name: str) -> SavedView:
    """Raises `ViewRefused`, `PermissionDenied`, and `SavedView.DoesNotExist` for a view that is not the person's."""
    require(actor, Action.READ_CASES)
    view = SavedView.objects.get(pk=view_id, laboratory=actor.laboratory, user=actor.user)
    view.name = _name(name)
    return _kept(view)


def delete(*, actor: Actor, view_id: int) -> None:
    """One that is gone already, or is not the person's, stays as it is."""
    require(actor, Action.READ_CASES)
    SavedView.objects.filter(pk=view_id, laboratory=actor.laboratory, user=actor.user).delete()


def _name(name: str) -> str:
    name = " ".join(unicodedata.normalize("NFC", name).split())
    if not name:
        raise ViewRefused("missing", "Give the view a name.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise ViewRefused("unreadable", "The name contains a character that is no text. Type it again.")
    longest = SavedView._meta.get_field("name").max_length or 0
    if len(name) > longest:
        raise ViewRefused("too_long", f"A name holds {longest} characters; this one has {len(name)}. Shorten it.")
    return name


def _kept(view: SavedView) -> SavedView:
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError as error:
        raise ViewRefused("taken", f"You have a view “{view.name}” already. Choose another name.") from error
    return view
