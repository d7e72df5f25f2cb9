"""Whom the state of a case concerns: told of each alarm, of an urgent case that is ready, of what cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.models import User
from diagnosis import notices
from diagnosis.assessment.words import FLAG_WORDS
from diagnosis.models import Case, Event, Notice

if TYPE_CHECKING:
    from collections.abc import Collection

    from diagnosis.models import SmearImage

#: Nothing is told while readings are on their way: shares of the first few cells come and go.
_UNSETTLED = (Case.Status.RECEIVED, Case.Status.READING)


def tell_change(
    case: Case, *, was: str, alarms_before: Collection[str], alarms: Collection[str], by: User | None
) -> None:
    """Tell the holder, or of a case that nobody holds the laboratory's pathologists, what is new in `case`.

    `case` as it is stored now, `was` its status before; `by`, who decided, is told nothing of their own doing.
    """
    if case.status in _UNSETTLED or case.is_closed:
        return
    if was in _UNSETTLED:
        alarms_before = ()
        if case.priority == Case.Priority.URGENT and case.status == Case.Status.READY:
            _tell(Event.CASE_URGENT, case, by, [])
    if fresh := [code for code in alarms if code not in alarms_before]:
        _tell(Event.CASE_ALARM, case, by, fresh)


def tell_failed(images: Collection[SmearImage]) -> None:
    """Of images that no network could read, tell who can do something about it, once for each case: its holder, else
    who opened it and who sent the images. Case and sender are joined or looked up."""
    for case in {image.case_id: image.case for image in images}.values():
        failed = [image for image in images if image.case_id == case.pk]
        users = [case.held_by] if case.held_by else [case.created_by, *(image.uploaded_by for image in failed)]
        notices.tell(event=Event.READING_FAILED, case=case, users=users, detail={"images": len(failed)})


def _tell(event: Event, case: Case, by: User | None, codes: list[str]) -> None:
    concerned = [case.held_by] if case.held_by else list(notices.pathologists(case.laboratory_id))
    # Another image brings the whole case through its readings again; what somebody was told they are not told again.
    told = {
        notice.user_id
        for notice in Notice.objects.filter(case=case, event=event, user__in=concerned)
        if set(codes) <= set(notice.detail.get("flags", ()))
    }
    users = [user for user in concerned if user != by and user.pk not in told]
    detail = {"flags": codes, "words": [FLAG_WORDS.get(code, code) for code in codes]} if codes else {}
    notices.tell(event=event, case=case, users=users, detail=detail)
