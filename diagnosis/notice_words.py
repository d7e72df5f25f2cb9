"""What notices say. A sentence is made of the event, the accession number or the batch, and the notice's `detail`
alone. A batch is called as its owner named it in the portal, and in mails by when it was opened: nobody knows what
somebody wrote there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

from diagnosis.models.notice import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from diagnosis.models import Batch, Notice

#: Event → tone of its sign in the list.
TONES = {
    Event.CASE_ALARM: "alarm",
    Event.CASE_URGENT: "alarm",
    Event.CASE_LATE: "alarm",
    Event.READING_FAILED: "doubt",
    Event.ADJUDICATION_NEEDED: "doubt",
    Event.BATCH_STALLED: "alarm",
}
#: What became of a batch's files and pictures: key of the detail → words for one, for several.
OUTCOMES = {
    "read": ("read", "read"),
    "failed": ("could not be read", "could not be read"),
    "unread": ("accepted that no network reads", "accepted that no network reads"),
    "duplicate": ("already there", "already there"),
    "rejected": ("not accepted", "not accepted"),
    "unmatched": ("waits in the tray", "wait in the tray"),
}


def _alarm(number: str, detail: dict[str, Any]) -> str:
    named = " and ".join(detail.get("words", ()))
    return f"{number} shows an alarm: {named}" if named else f"{number} shows an alarm"


def _failed(number: str, detail: dict[str, Any]) -> str:
    count = detail.get("images", 1)
    return f"{count} image{'' if count == 1 else 's'} of {number} could not be read"


def _ended(number: str, detail: dict[str, Any]) -> str:
    who = detail.get("who", "A colleague")
    how = detail.get("how")
    if how == "declined":
        return f"{who} declined to give an opinion on {number}"
    if how == "withdrawn":
        return f"{who} withdrew the question on {number}: your opinion is no longer needed"
    if how == "adjudicated":
        return f"{who} settled the differing opinions on {number}"
    agrees = {True: ", and differs", False: ", and agrees"}.get(detail.get("differs"), "")  # type: ignore[arg-type]
    return f"{who} answered your question on {number}{agrees}"


def _signed(number: str, detail: dict[str, Any]) -> str:
    kind = {"amendment": "amended", "addendum": "supplemented", "correction": "corrected"}.get(
        str(detail.get("kind")), "signed"
    )
    who = detail.get("who")
    return f"{who} {kind} the report of {number}" if who else f"The report of {number} was {kind}"


def _finished(number: str, detail: dict[str, Any]) -> str:
    said = [f"{detail[key]:,} {words[detail[key] != 1]}" for key, words in OUTCOMES.items() if detail.get(key)]
    return f"{number}: {', '.join(said) or 'nothing of it was kept'}"


def _stalled(number: str, detail: dict[str, Any]) -> str:
    files, minutes = detail.get("files", 0), detail.get("minutes", 0)
    waits = f"{files:,} file{'' if files == 1 else 's'} of it wait{'s' if files == 1 else ''}"
    return f"{number} stands still: {waits}, and no worker has been there for {minutes} minutes"


_WORDS: dict[str, Callable[[str, dict[str, Any]], str]] = {
    Event.CASE_ALARM: _alarm,
    Event.CASE_URGENT: lambda number, detail: f"{number} is urgent and ready for review",
    Event.CASE_LATE: lambda number, detail: f"{number} has passed its target time",
    Event.CASE_TAKEN: lambda number, detail: f"{detail.get('who', 'A colleague')} took {number} over from you",
    Event.READING_FAILED: _failed,
    Event.OPINION_ASKED: lambda number, d: f"{d.get('who', 'A colleague')} asks for your opinion on {number}",
    Event.OPINION_ENDED: _ended,
    Event.ADJUDICATION_NEEDED: lambda number, detail: f"Two opinions on {number} differ: an adjudicator is needed",
    Event.REPORT_SIGNED: _signed,
    Event.BATCH_FINISHED: _finished,
    Event.BATCH_STALLED: _stalled,
}


def subject(notice: Notice) -> str:
    """One line without a full stop: "ACC-1 is urgent and ready for review"."""
    return _line(notice, f"Batch {notice.batch.name}" if notice.batch else "")


def mail_subject(notice: Notice) -> str:
    """The same without anything that somebody typed."""
    return _line(notice, _by_time(notice.batch) if notice.batch else "")


def _by_time(batch: Batch) -> str:
    return f"Your batch of {timezone.localtime(batch.created_at):%d %B, %H:%M}"


def _line(notice: Notice, batch: str) -> str:
    number = batch or (notice.case.accession_number if notice.case else "A case")
    return " ".join(_WORDS[notice.event](number, notice.detail).split())


def sentence(notice: Notice) -> str:
    return f"{subject(notice)}."
