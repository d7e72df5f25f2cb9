"""A signed case is opened again, and closed as it was where nothing came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from accounts.permissions import Action, require
from diagnosis import assessment, audit, holding
from diagnosis.models import Case, Report, ReportDraft, SmearImage
from diagnosis.signout.drafting import draft_of, store
from diagnosis.signout.refusals import SignoutRefused, locked, text_of

if TYPE_CHECKING:
    from accounts.permissions import Actor


def amend(*, actor: Actor, case: Case, reason: str) -> Case:
    """Open a signed case again: decisions and draft can change, the signed version stays the current one until the
    amendment is signed. The case is the actor's from then on.

    Raises `SignoutRefused` (empty, too_long, not_signed), `PermissionDenied`, and `Case.DoesNotExist` for a case of
    another laboratory.
    """
    require(actor, Action.SIGN)
    reason = text_of(reason, "reason", "the reason for the amendment", 4_000, needed=True)
    with transaction.atomic():
        record = locked(actor, case)
        if record.amending:
            raise SignoutRefused("not_signed", f"{record} is open for an amendment already.")
        newest = _newest(record)
        record.amending = True
        record.save(update_fields=["amending"])
        _restore(actor, record, newest, reason)
        audit.record(
            actor=actor,
            action="report.amending",
            case=record,
            subject=f"report {newest.version}",
            version=newest.version,
            reason=reason,
        )
        holding.claim(actor=actor, case=record, take_over=True)
        assessment.refresh(record.pk)
    return record


def cancel_amendment(*, actor: Actor, case: Case) -> Case:
    """Close a case that was opened for an amendment; its newest signed version stands as before.

    Refused with `SignoutRefused` (decided_since) while an image that was signed is decided otherwise now: what the
    case shows has to be what was signed. Raises as `amend` does.
    """
    require(actor, Action.SIGN)
    with transaction.atomic():
        record = locked(actor, case)
        if not record.amending:
            raise SignoutRefused("not_signed", f"No amendment of {record} is open.")
        newest = _newest(record)
        images = list(SmearImage.objects.filter(case=record).only("id", "kind"))
        now = assessment.current_decisions(images)
        was = {each["id"]: each["decision"] for each in newest.content["images"]}
        other = [pk for pk, label in was.items() if (now[pk].label if pk in now else "") != label]
        if other:
            raise SignoutRefused(
                "decided_since",
                f"{len(other)} image{'s are' if len(other) > 1 else ' is'} decided otherwise than was signed. Undo "
                "that first, or sign the amendment.",
            )
        record.amending = False
        record.save(update_fields=["amending"])
        _restore(actor, record, newest, "")
        audit.record(
            actor=actor,
            action="report.amendment_cancelled",
            case=record,
            subject=f"report {newest.version}",
            version=newest.version,
        )
        assessment.refresh(record.pk)
    return record


def arrived_since(case: Case, report: Report) -> list[int]:
    """Keys of the case's images that the signed `report` does not rest on: they came later."""
    known = {each["id"] for each in report.content["images"]}
    return [
        pk for pk in SmearImage.objects.filter(case=case).order_by("id").values_list("pk", flat=True) if pk not in known
    ]


def _newest(case: Case) -> Report:
    newest = Report.objects.filter(case=case).defer("pdf").order_by("-version").first()
    if newest is None:
        raise SignoutRefused("not_signed", f"{case} has no signed report yet: there is nothing to amend.")
    return newest


def _restore(actor: Actor, case: Case, report: Report, reason: str) -> None:
    """The draft made what was signed last."""
    draft: ReportDraft = draft_of(case)
    content = report.content
    draft.diagnosis, draft.diagnosis_text = content["diagnosis"]["code"], content["diagnosis"]["text"]
    draft.comment = content["comment"]
    draft.key_images = [each["id"] for each in content["key_images"]]
    draft.amendment_reason = reason
    store(actor, draft)
