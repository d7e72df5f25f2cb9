"""The draft of a report, saved as it is typed; one for each case, never over somebody else's words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from accounts.permissions import Action, require
from diagnosis import audit, holding
from diagnosis.models import AuditEvent, Case, ReportDraft, SmearImage
from diagnosis.signout.refusals import SignoutRefused, locked, text_of
from diagnosis.vocabulary import DIAGNOSES

if TYPE_CHECKING:
    from accounts.permissions import Actor

MOST_KEY_IMAGES = 6
FIELDS = ("diagnosis", "diagnosis_text", "comment", "key_images")
_LONGEST = {"diagnosis_text": 4_000, "comment": 10_000}
_CALLED = {"diagnosis_text": "the text on the diagnosis", "comment": "the comment"}
#: While one person goes on typing, the history says so once in this time and not at every pause.
_COALESCE = timedelta(minutes=5)


class DraftConflict(Exception):  # noqa: N818
    """Somebody saved another draft meanwhile. `current`: the one that stands."""

    def __init__(self, current: ReportDraft) -> None:
        when = timezone.localtime(current.updated_at)
        super().__init__(
            f"{current.updated_by} changed the draft at {when:%H:%M}. Nothing was overwritten: look at both, then "
            "choose."
        )
        self.current = current


def draft_of(case: Case) -> ReportDraft:
    """The draft of a case; without any an empty, unsaved one of revision 0. No query where it is joined."""
    try:
        return case.draft
    except ReportDraft.DoesNotExist:
        return ReportDraft(case=case, revision=0)


def save_draft(*, actor: Actor, case: Case, expected_revision: int, **fields: Any) -> ReportDraft:
    """Store the given fields (of `FIELDS`) of the draft; what is not given stays as it is.

    `expected_revision`: the one that the person saw, 0 where there was none. A case that nobody holds is the actor's
    from then on. Where nothing differs nothing is written. Raises `SignoutRefused`, `DraftConflict`,
    `PermissionDenied`, and `Case.DoesNotExist` for a case of another laboratory.
    """
    require(actor, Action.SIGN)
    if unknown := fields.keys() - set(FIELDS):
        raise TypeError(f"a draft has no {', '.join(sorted(unknown))}")
    with transaction.atomic():
        record = locked(actor, case)
        if record.is_closed:
            raise SignoutRefused("signed", f"{record} is signed. Open it for an amendment before you change it.")
        stands = ReportDraft.objects.select_related("updated_by").filter(case=record).first()
        draft = stands or ReportDraft(case=record, revision=0)
        new = {name: _checked(name, value, record) for name, value in fields.items()}
        changed = [name for name, value in new.items() if getattr(draft, name) != value]
        if not changed:
            return draft
        if draft.revision != expected_revision:
            raise DraftConflict(draft)
        for name in changed:
            setattr(draft, name, new[name])
        store(actor, draft)
        holding.claim_for_decision(actor, record)
        _note(actor, record, draft, sorted(changed))
    return draft


def set_key_image(*, actor: Actor, case: Case, image: int, chosen: bool) -> ReportDraft:
    """Put one image behind the key images of the draft as it stands, or take it out; all else stays as it is, so that
    no revision has to be named. Raises as `save_draft`, but for `DraftConflict`."""
    require(actor, Action.SIGN)
    with transaction.atomic():
        draft = draft_of(Case.objects.get(pk=locked(actor, case).pk))
        images = [pk for pk in draft.key_images if pk != image or chosen]
        if chosen and image not in images:
            images.append(image)
        return save_draft(actor=actor, case=case, expected_revision=draft.revision, key_images=images)


def store(actor: Actor, draft: ReportDraft) -> None:
    """Write the draft as the actor's next revision."""
    draft.revision += 1
    draft.updated_by, draft.updated_at = actor.user, timezone.now()
    draft.save()


def _checked(name: str, value: Any, case: Case) -> Any:
    if name == "diagnosis":
        if value and value not in DIAGNOSES:
            raise SignoutRefused("unknown", "Choose a diagnosis from the list.", name)
        return value or ""
    if name == "key_images":
        return _key_images(value, case)
    return text_of(value or "", name, _CALLED[name], _LONGEST[name])


def _key_images(chosen: Sequence[int], case: Case) -> list[int]:
    chosen = list(dict.fromkeys(chosen))
    if len(chosen) > MOST_KEY_IMAGES:
        raise SignoutRefused(
            "too_many", f"A report shows up to {MOST_KEY_IMAGES} key images. Take one out.", "key_images"
        )
    if SmearImage.objects.filter(case=case, pk__in=chosen).count() != len(chosen):
        raise SignoutRefused("unknown", "A key image has to be an image of this case.", "key_images")
    return chosen


def _note(actor: Actor, case: Case, draft: ReportDraft, changed: list[str]) -> None:
    last = AuditEvent.objects.filter(case=case).order_by("-sequence").first()
    goes_on = (
        last is not None
        and last.action == "draft.saved"
        and last.actor_id == actor.user.pk
        and last.at > timezone.now() - _COALESCE
        and set(changed) <= set(last.detail.get("fields", ()))
        and "diagnosis" not in changed
    )
    if not goes_on:
        audit.record(
            actor=actor,
            action="draft.saved",
            case=case,
            subject=f"case {case.pk}",
            fields=changed,
            revision=draft.revision,
            diagnosis=draft.diagnosis,
        )
