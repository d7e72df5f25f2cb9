"""What each kind of audit event is called in the history of a case: the one place for these words.

A sentence continues after the actor's name: "Ada Technician" + "uploaded smear-03.jpg". It is made of the event's
`detail` alone, so that it says what was so then, and it copes with keys that older events lack.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from diagnosis.vocabulary import DIAGNOSES
from mlcore.reading import words


class Event(Protocol):
    """What the words are made of; `diagnosis.models.AuditEvent` has it."""

    @property
    def action(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def detail(self) -> dict[str, Any]: ...


_KINDS = {"field": "microscope field", "cell": "single cell"}
_FIELDS = {
    "mrn": "record number",
    "name": "name",
    "birth_date": "birth date",
    "sex": "sex",
    "clinical_notes": "clinical notes",
}


def _class(label: Any) -> str:
    return words(str(label or "nothing"))


def _what(event: Event) -> str:
    return str(event.detail.get("name") or event.subject or "an image")


def _because(event: Event) -> str:
    reason = event.detail.get("reason") or event.detail.get("error")
    return f": {reason}" if reason else ""


def _decided(event: Event) -> str:
    detail = event.detail
    label, reading = _class(detail.get("label")), detail.get("reading_label")
    if detail.get("verdict") == "withdraw":
        said_so = f"took the decision on {_what(event)} back"
    elif detail.get("verdict") == "agree":
        said_so = f"agreed that {_what(event)} shows {label}"
    elif reading:
        said_so = f"decided that {_what(event)} shows {label}; the networks had read {_class(reading)}"
    else:
        said_so = f"decided that {_what(event)} shows {label}, without a reading"
    return f"{said_so} (“{detail['comment']}”)" if detail.get("comment") else said_so


def _images(event: Event) -> str:
    """ "3 images: 2 blast, 1 undecided again"."""
    said = Counter(_class(each.get("label") or "undecided again") for each in event.detail.get("images", ()))
    n = said.total()
    return f"{n} image{'' if n == 1 else 's'}: {', '.join(f'{count} {what}' for what, count in said.most_common())}"


def _changed(event: Event) -> str:
    verb = "filled in" if event.detail.get("filled") else "changed"
    return f"{verb} the patient's {_listed(_FIELDS, event.detail.get('changes'), 'record')}"


_REQUEST = {
    "priority": "priority",
    "clinical_question": "clinical question",
    "specimen": "specimen",
    "stain": "stain",
    "requester_name": "requester's name",
    "requester_email": "requester's e-mail",
}
_CLINICAL = {
    "counted_on": "date of the blood count",
    "wbc": "white cells",
    "haemoglobin": "haemoglobin",
    "platelets": "platelets",
    "blasts": "blasts by counter",
    "cytogenetics": "cytogenetics",
    "cytogenetics_text": "text on the cytogenetics",
    "immunophenotype": "immunophenotype",
    "immunophenotype_text": "text on the immunophenotype",
}


_FIGURES = frozenset({"wbc", "haemoglobin", "platelets", "blasts"})


def _listed(names: dict[str, str], changes: Any, otherwise: str) -> str:
    """The changed fields in words, in the order of `names`: PostgreSQL gives keys back in an order of its own."""
    *first, last = [shown for name, shown in names.items() if name in (changes or {})] or [otherwise]
    return f"{', '.join(first)}{' and ' if first else ''}{last}"


def _case_updated(event: Event) -> str:
    changes = event.detail.get("changes", {})
    if set(changes) == {"priority"}:
        return f"made the case {changes['priority'][1]}"
    return f"changed the case's {_listed(_REQUEST, changes, 'request')}"


def _clinical(event: Event) -> str:
    """With the figures as they are now, for they are what is looked for in a history."""
    changes = event.detail.get("changes", {})
    shown = {name: _CLINICAL[name] for name in _CLINICAL if name in changes}
    for name in _FIGURES & shown.keys():
        now = changes[name][1]
        shown[name] += " taken out" if now is None else f" {now:g}"
    verb = "entered" if event.detail.get("revision") == 1 else "changed"
    return f"{verb} clinical data: {_listed(shown, changes, 'something')}"


def _scale(event: Event) -> str:
    detail = event.detail
    count = detail.get("count", 1)
    what = _what(event) if count == 1 else f"{count} images"
    now, before = detail.get("um_per_pixel", "some"), detail.get("previous")
    return f"set the scale of {what} to {now} µm per pixel{f' (was {before})' if before else ''}"


def _kind(event: Event) -> str:
    return f"said that {_what(event)} is a {_KINDS.get(str(event.detail.get('kind')), 'picture of another kind')}"


def _diagnosis(event: Event) -> str:
    entry = DIAGNOSES.get(str(event.detail.get("diagnosis") or event.detail.get("first")))
    return entry.name if entry else "a diagnosis"


def _asked(event: Event) -> str:
    whom = event.detail.get("of", "a colleague")
    return f"asked {whom} for a second opinion; their own diagnosis: {_diagnosis(event)}"


def _answered(event: Event) -> str:
    how = "which differs from the first" if event.detail.get("differs") else "which agrees with the first"
    comment = event.detail.get("comment")
    return f"gave a second opinion, {how}: {_diagnosis(event)}{f' (“{comment}”)' if comment else ''}"


def _adjudicated(event: Event) -> str:
    how = "in consensus" if event.detail.get("consensus") else "as adjudicator"
    reason = event.detail.get("reason")
    return f"settled the differing opinions {how}: {_diagnosis(event)}{f' (“{reason}”)' if reason else ''}"


def _roles(event: Event) -> str:
    person, after = event.detail.get("person", "somebody"), event.detail.get("after")
    return f"made {person} {' and '.join(after)}" if after else f"took {person} out of the laboratory"


_DRAFT = {
    "diagnosis": "diagnosis",
    "diagnosis_text": "text on the diagnosis",
    "comment": "comment",
    "key_images": "key images",
}
_LABORATORY = {
    "name": "name",
    "address": "address",
    "phone": "telephone number",
    "director": "director",
    "accreditation": "accreditation",
    "routine_hours": "target for routine cases",
    "urgent_hours": "target for urgent cases",
}
_VERSIONS = {"amendment": "amended report", "addendum": "addendum", "correction": "correction"}


def _report_signed(event: Event) -> str:
    detail = event.detail
    what = _VERSIONS.get(str(detail.get("kind")), "report")
    stated = f": {detail['diagnosis']}" if detail.get("diagnosis") else ""
    why = f" (“{detail['reason']}”)" if detail.get("reason") else ""
    return f"signed the {what} as version {detail.get('version', '?')}{stated}{why}"


#: Action → what follows the actor's name.
WORDS: dict[str, Callable[[Event], str]] = {
    "case.created": lambda e: f"opened the case {e.detail.get('accession_number', '')}".rstrip(),
    "case.read": lambda e: f"read the case ({e.subject})" if e.subject else "read the case",
    "case.updated": _case_updated,
    "case.claimed": lambda e: "took the case",
    "case.released": lambda e: "released the case",
    "case.taken_over": lambda e: f"took the case over from {e.detail.get('former', 'a colleague')}",
    "clinical.saved": _clinical,
    "patient.created": lambda e: "entered the patient in the laboratory's records",
    "patient.updated": _changed,
    "image.accepted": lambda e: f"uploaded {_what(e)}",
    "image.duplicate": lambda e: f"sent {_what(e)} again; it stands in the case already",
    "image.rejected": lambda e: f"tried to upload {_what(e)}, which was refused{_because(e)}",
    "image.kind_corrected": _kind,
    "image.scaled": _scale,
    "image.read": lambda e: f"read {_what(e)}",
    "image.failed": lambda e: f"could not read {_what(e)}{_because(e)}",
    "image.retried": lambda e: f"had {_what(e)} read again",
    "image.decided": _decided,
    "images.decided": lambda e: f"decided on {_images(e)}",
    "images.undone": lambda e: f"took a step back on {_images(e)}",
    "images.redone": lambda e: f"took up a step again on {_images(e)}",
    "draft.saved": lambda e: f"wrote the draft of the report: {_listed(_DRAFT, e.detail.get('fields'), 'draft')}",
    "report.signed": _report_signed,
    "report.amending": lambda e: (
        f"opened the signed case for an amendment of version {e.detail.get('version', 'unknown')}{_because(e)}"
    ),
    "report.amendment_cancelled": lambda e: (
        f"cancelled the amendment; version {e.detail.get('version', 'unknown')} stands"
    ),
    "template.saved": lambda e: (
        f"{'made' if e.detail.get('made') else 'changed'} the comment template “{e.detail.get('title', '')}”"
    ),
    "template.deleted": lambda e: f"deleted the comment template “{e.detail.get('title', '')}”",
    "laboratory.changed": lambda e: (
        f"changed the laboratory's {_listed(_LABORATORY, e.detail.get('changes'), 'particulars')}"
    ),
    "case.late": lambda e: "noted that the case passed its target time",
    "opinion.asked": _asked,
    "opinion.answered": _answered,
    "opinion.declined": lambda e: f"declined to give a second opinion{_because(e)}",
    "opinion.withdrawn": lambda e: f"withdrew the question to {e.detail.get('of', 'a colleague')}",
    "opinion.adjudicated": _adjudicated,
    "batch.opened": lambda e: f"opened the batch {e.detail.get('name', '')}".rstrip(),
    "batch.finished": lambda e: f"was done with the batch {e.detail.get('name', '')}".rstrip(),
    "batch.manifest_taken": lambda e: (
        f"sent the list {e.detail.get('name', '')} of {e.detail.get('rows', 'some')} rows"
    ),
    "batch.file_discarded": lambda e: f"discarded {_what(e)}, which had no case",
    "batch.rules_changed": lambda e: "changed how file names lead to cases",
    "labels.printed": lambda e: f"printed labels for slides ({e.detail.get('count', 'some')})",
    "labels.settings_changed": lambda e: "changed what stands on labels of slides",
    "mail.retried": lambda e: f"had {e.detail.get('mails', 'some')} mails sent again that had been given up",
    "account.signed_in": lambda e: "signed in",
    "account.signed_out": lambda e: "signed out",
    "account.sign_in_failed": lambda e: f"could not sign in as {e.detail.get('email', 'one of the people')}",
    "account.security_changed": lambda e: f"changed how they sign in: {_class(e.detail.get('what'))}",
    "account.roles_changed": _roles,
    "token.created": lambda e: f"made the API token {e.detail.get('name', '')}".rstrip(),
    "token.revoked": lambda e: f"revoked the API token {e.detail.get('name', '')}".rstrip(),
    "webhook.created": lambda e: f"added the webhook {e.detail.get('name', '')} to {e.detail.get('url', '')}".rstrip(),
    "webhook.changed": lambda e: (
        f"changed the {' and '.join(e.detail.get('changes', ['settings']))} of the webhook {e.detail.get('name', '')}"
    ).rstrip(),
    "webhook.paused": lambda e: f"paused the webhook {e.detail.get('name', '')}".rstrip(),
    "webhook.resumed": lambda e: f"took up the webhook {e.detail.get('name', '')} again",
    "webhook.renewed": lambda e: f"made a new secret for the webhook {e.detail.get('name', '')}".rstrip(),
    "webhook.removed": lambda e: f"removed the webhook {e.detail.get('name', '')}".rstrip(),
    "webhook.replayed": lambda e: (
        f"had {e.detail.get('count', 'some')} messages sent again to the webhook {e.detail.get('name', '')}".rstrip()
    ),
    "data.exported": lambda e: (
        f"exported {e.detail.get('images', 'some')} pictures of {e.detail.get('patients', 'some')} patients, "
        "de-identified"
    ),
}


def said(event: Event) -> str:
    """What was done, to stand after the actor's name; an action without words of its own is named as it is."""
    if phrase := WORDS.get(event.action):
        return phrase(event)
    return f"{event.action.replace('.', ' ').replace('_', ' ')} {event.subject}".rstrip()
