"""The preview of a report, and its signature.

The PDF is set before the case is locked; under the lock everything is made once more and has to be the same, so that
nothing is signed that the person has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from accounts.permissions import Action, require, visible
from diagnosis import assessment, audit, holding
from diagnosis.models import Case, Report
from diagnosis.reporting import changes, pdf
from diagnosis.reporting.canonical import clean, content_hash, section_hashes
from diagnosis.reporting.content import CLERICAL, Content, Identity, of_case, records, signed, unsigned
from diagnosis.signout import telling
from diagnosis.signout.drafting import draft_of
from diagnosis.signout.gaps import missing
from diagnosis.signout.refusals import NotReady, PreviewChanged, SignoutRefused, locked, text_of

if TYPE_CHECKING:
    from accounts.permissions import Actor

#: How a signer can have proved who they are.
PROOFS = tuple(pdf.PROOFS)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Which next version is meant: the draft's (original, amendment), or the newest with an addendum or a correction.

    `comment` and `diagnosis_text` belong to a correction; None leaves them as they were.
    """

    kind: str
    reason: str = ""
    addendum: str = ""
    diagnosis_text: str | None = None
    comment: str | None = None


def proposal_of(case: Case) -> Proposal:
    """What the draft of an open case is to become."""
    if case.report_version:
        return Proposal(Report.Kind.AMENDMENT, reason=draft_of(case).amendment_reason)
    return Proposal(Report.Kind.ORIGINAL)


def preview(*, actor: Actor, case: Case, proposal: Proposal) -> Content:
    """What would be signed now, without the signature. Raises `SignoutRefused` and `PermissionDenied`."""
    require(actor, Action.SIGN)
    return _content(actor, _read(actor, case), proposal)


def sign(
    *, actor: Actor, case: Case, proposal: Proposal, seen: Mapping[str, str], signed_with: str, site: str
) -> Report:
    """Freeze what the actor saw as the next version of the report, and close the case.

    `seen`: `section_hashes` of the preview. `signed_with`: one of `PROOFS`, how they proved just now who they are.
    `site`: where the portal is, for the QR code. Raises `PreviewChanged`, `NotReady`, `SignoutRefused`,
    `PermissionDenied`, and `Case.DoesNotExist` for a case of another laboratory. Nothing is written then.
    """
    require(actor, Action.SIGN)
    if signed_with not in PROOFS:
        raise ValueError(f"unknown proof of identity: {signed_with!r}")
    now = timezone.now()
    found = _read(actor, case)
    content = _content(actor, found, proposal)
    _compare(seen, content)
    if gaps := _gaps(actor, found, proposal):
        raise NotReady(gaps)
    content = signed(content, name=str(actor.user), at=now, signed_with=signed_with)
    try:
        document = pdf.typeset(content, site=site)
    except pdf.PictureGone as gone:
        raise SignoutRefused("picture_gone", str(gone), "key_images") from gone
    with transaction.atomic():
        record = locked(actor, case)
        _compare(section_hashes(unsigned(content)), _content(actor, record, proposal))
        if gaps := _gaps(actor, record, proposal):
            raise NotReady(gaps)
        if _of_draft(proposal):
            holding.claim_for_decision(actor, record)
        report = Report.objects.create(
            case=record,
            version=content["report"]["version"],
            kind=proposal.kind,
            reason=content["report"]["reason"],
            content=content,
            content_hash=content_hash(content),
            pdf=document,
            pdf_sha256=pdf.sha256(document),
            signed_by=actor.user,
            signed_at=now,
            signed_with=signed_with,
        )
        record.signed_at, record.report_version, record.amending = now, report.version, False
        record.save(update_fields=["signed_at", "report_version", "amending"])
        audit.record(
            actor=actor,
            action="report.signed",
            case=record,
            subject=f"report {report.version}",
            version=report.version,
            kind=report.kind,
            diagnosis=content["diagnosis"]["shown"],
            content_hash=report.content_hash,
            pdf_sha256=report.pdf_sha256,
            signed_with=signed_with,
            reason=report.reason,
        )
        assessment.refresh(record.pk)
        telling.signed(actor=actor, case=record, report=report, site=site)
    return report


def _read(actor: Actor, case: Case) -> Case:
    return visible(Case.objects.select_related("patient", "laboratory", "held_by"), actor).get(pk=case.pk)


def _of_draft(proposal: Proposal) -> bool:
    return proposal.kind in (Report.Kind.ORIGINAL, Report.Kind.AMENDMENT)


def _gaps(actor: Actor, case: Case, proposal: Proposal) -> list[Any]:
    return missing(case, actor=actor) if _of_draft(proposal) else []


def _compare(seen: Mapping[str, str], content: Content) -> None:
    now = section_hashes(content)
    if dict(seen) != now:
        raise PreviewChanged(changes.changed_sections(seen, now) or ["the form of the report"])


def _content(actor: Actor, case: Case, proposal: Proposal) -> Content:
    """What `proposal` makes of the case as it stands in the database."""
    newest = Report.objects.filter(case=case).defer("pdf").order_by("-version").first()
    _fits(case, proposal, newest)
    reason = ""
    if newest:
        reason = text_of(proposal.reason, "reason", "the reason for the new version", 4_000, needed=True)
    identity = Identity(case.report_version + 1, str(proposal.kind), reason, newest)
    if newest is None or _of_draft(proposal):
        content = of_case(case, draft_of(case), identity, _addenda(newest))
    else:
        content = unsigned(newest.content) | {"addenda": _addenda(newest)}
        fresh = records(case, identity)
        content |= {name: fresh[name] for name in ("report", "statement")}
        if proposal.kind == Report.Kind.ADDENDUM:
            text = text_of(proposal.addendum, "addendum", "the addendum", 10_000, needed=True)
            content["addenda"].append({"version": identity.version, "name": clean(str(actor.user)), "text": text})
        else:
            content |= {name: fresh[name] for name in CLERICAL}
            content |= _corrected(newest.content, proposal)
    if newest and not changes.changes(newest.content, content):
        raise SignoutRefused("no_change", _no_change(proposal, newest))
    return content


def _fits(case: Case, proposal: Proposal, newest: Report | None) -> None:
    """Whether the case is in the state that the kind of version needs."""
    if _of_draft(proposal):
        if case.is_closed:
            who = f" by {newest.signed_by} on {timezone.localtime(newest.signed_at):%d %B at %H:%M}" if newest else ""
            raise SignoutRefused("signed", f"{case} was signed{who}. Open it for an amendment to change it.")
        if (newest is None) != (proposal.kind == Report.Kind.ORIGINAL):
            raise SignoutRefused("signed", f"{case} has a signed report already: what comes next is an amendment.")
    elif newest is None:
        raise SignoutRefused("not_signed", f"{case} has no signed report yet.")
    elif case.amending:
        raise SignoutRefused(
            "not_signed", f"{case} is open for an amendment. Write it into the amendment, or cancel that first."
        )


def _corrected(content: Content, proposal: Proposal) -> Content:
    """The texts of a correction; the diagnosis itself is changed by an amendment only."""
    corrected: Content = {}
    if proposal.comment is not None:
        corrected["comment"] = text_of(proposal.comment, "comment", "the comment", 10_000)
    if proposal.diagnosis_text is not None:
        text = text_of(proposal.diagnosis_text, "diagnosis_text", "the text on the diagnosis", 4_000)
        corrected["diagnosis"] = {**content["diagnosis"], "text": text}
    return corrected


def _addenda(newest: Report | None) -> list[dict[str, Any]]:
    """The addenda so far, the last one now with the time at which it was signed."""
    if newest is None:
        return []
    shown = newest.content["signature"]["shown"]
    return [{**each, "at": each.get("at") or shown} for each in newest.content["addenda"]]


def _no_change(proposal: Proposal, newest: Report) -> str:
    if proposal.kind == Report.Kind.CORRECTION:
        return (
            f"Nothing differs from version {newest.version}. Correct the patient's or the case's record first, or the "
            "texts below."
        )
    return f"Nothing differs from version {newest.version}. Change what has to be amended, or cancel the amendment."
