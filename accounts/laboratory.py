"""The particulars of a laboratory: what heads its reports, and its targets."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from accounts import events
from accounts.models import Laboratory
from accounts.permissions import Action, Actor, require

FIELDS = ("name", "address", "phone", "director", "accreditation", "routine_hours", "urgent_hours")


class LaboratoryChanged(Exception):  # noqa: N818 - what the person is told
    """Somebody changed the particulars meanwhile. `current`: the laboratory as it stands."""

    def __init__(self, current: Laboratory) -> None:
        super().__init__("A colleague changed these particulars after you opened the page. Nothing was overwritten.")
        self.current = current


@transaction.atomic
def change_laboratory(*, actor: Actor, seen: dict[str, Any], **new: Any) -> Laboratory:
    """Store the given particulars (of `FIELDS`) of the actor's laboratory; reports that are signed keep theirs.

    `seen`: what the person's page showed of each field that they send. Raises `LaboratoryChanged` where something
    else stands now, and `PermissionDenied`.
    """
    require(actor, Action.EDIT_LABORATORY)
    record = Laboratory.objects.select_for_update().get(pk=actor.laboratory.pk)
    before = {name: getattr(record, name) for name in new}
    changes = {name: [before[name], value] for name, value in new.items() if before[name] != value}
    if any(seen[name] != before[name] for name in new):
        if not changes:
            return record
        raise LaboratoryChanged(record)
    if changes:
        for name, (_, value) in changes.items():
            setattr(record, name, value)
        record.save(update_fields=list(changes))
        events.laboratory_changed.send(sender=Laboratory, actor=actor, laboratory=record, changes=changes)
    return record
