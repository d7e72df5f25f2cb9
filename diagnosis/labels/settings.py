"""What a laboratory has on its labels, and its own sheet."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import Laboratory
from accounts.permissions import Action, Actor, require
from diagnosis import audit
from diagnosis.labels.stock import MEASURES, own_sheet
from diagnosis.models import LabelSettings


class SettingsChanged(Exception):  # noqa: N818 - what the person is told
    """Somebody changed them meanwhile. `current`: as they stand now."""

    def __init__(self, current: LabelSettings) -> None:
        super().__init__("Somebody changed these settings meanwhile. Compare both versions and save again.")
        self.current = current


def settings_of(laboratory: Laboratory) -> LabelSettings:
    """The laboratory's settings; an unsaved row (revision 0) where it has set none."""
    found = LabelSettings.objects.filter(laboratory=laboratory).select_related("updated_by").first()
    return found or LabelSettings(laboratory=laboratory, revision=0)


def save_settings(*, actor: Actor, seen: int, with_name: bool, sheet: dict[str, Any]) -> LabelSettings:
    """Store them, audited. `seen`: the revision that the person's page showed; `sheet`: the `MEASURES`, or nothing.

    Raises `StockError`, `SettingsChanged`, `PermissionDenied`.
    """
    require(actor, Action.EDIT_LABORATORY)
    kept = {name: sheet[name] for name in MEASURES} if sheet else {}
    if kept:
        own_sheet(kept)
    with transaction.atomic():
        Laboratory.objects.select_for_update(no_key=True).only("pk").get(pk=actor.laboratory.pk)
        stands = settings_of(actor.laboratory)
        if stands.revision != seen:
            raise SettingsChanged(stands)
        changes = {
            name: [getattr(stands, name), value]
            for name, value in (("with_name", with_name), ("sheet", kept))
            if getattr(stands, name) != value
        }
        if not changes:
            return stands
        stands.with_name, stands.sheet = with_name, kept
        stands.revision, stands.updated_by, stands.updated_at = seen + 1, actor.user, timezone.now()
        stands.save()
        audit.record(actor=actor, action="labels.settings_changed", changes=changes)
    return stands
