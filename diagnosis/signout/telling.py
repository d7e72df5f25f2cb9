"""Who is told of a signed version: colleagues who had a part in it, and the requester by mail. No patient's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.models import User
from diagnosis import notices
from diagnosis.models import Case, Event, Report, SecondOpinion
from diagnosis.reporting.canonical import code_shown
from diagnosis.reporting.content import RESEARCH_USE, moment
from diagnosis.reporting.pdf import verify_url

if TYPE_CHECKING:
    from accounts.permissions import Actor

_WHAT = {
    Report.Kind.ORIGINAL: "The report is signed.",
    Report.Kind.AMENDMENT: "The report was amended: the diagnosis or what it rests on changed.",
    Report.Kind.ADDENDUM: "The report has an addendum; all else stands as it was.",
    Report.Kind.CORRECTION: "A slip in the report was corrected; its meaning is unchanged.",
}


def signed(*, actor: Actor, case: Case, report: Report, site: str) -> None:
    """Tell of `report`; called inside the transaction that signs it."""
    opinions = SecondOpinion.objects.filter(case=case).exclude(state=SecondOpinion.State.WITHDRAWN)
    concerned = {
        case.created_by_id,
        case.held_by_id or actor.user.pk,
        *case.reports.values_list("signed_by", flat=True),
        *opinions.values_list("asked_of", flat=True),
    } - {actor.user.pk}
    detail = {"version": report.version, "kind": report.kind, "by": str(actor.user)}
    notices.tell(event=Event.REPORT_SIGNED, case=case, users=User.objects.filter(pk__in=concerned), detail=detail)
    notices.mail_requester(case=case, subject=_subject(case, report), body=_body(case, report, site))


def _subject(case: Case, report: Report) -> str:
    return f"{case.accession_number}: {report.get_kind_display().lower()}, version {report.version}"


def _body(case: Case, report: Report, site: str) -> str:
    lines = [
        f"{_WHAT[Report.Kind(report.kind)]}",
        "",
        f"Accession number: {case.accession_number}",
        f"Laboratory: {case.laboratory}",
        f"Version: {report.version}, signed by {report.signed_by} on {moment(report.signed_at)}",
    ]
    if report.version > 1:
        lines += [f"Reason: see the report. Version {report.version - 1} is superseded: please put it away."]
    lines += [
        "",
        f"Whether a printed report is the current version: {verify_url(site, report.content_hash)}",
        f"Check code: {code_shown(report.content_hash)}",
        "",
        "The report itself comes from the laboratory, not by mail.",
        RESEARCH_USE,
    ]
    return "\n".join(lines)
