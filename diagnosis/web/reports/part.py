"""What the case page shows of the report: the draft being written, or the version that stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accounts.doors import PageRequest
from accounts.permissions import Action, visible
from diagnosis import signout, worklist
from diagnosis.blinding import is_blinded
from diagnosis.models import Case, ClinicalData, CommentTemplate, Report, ReportDraft
from diagnosis.reporting import likely
from diagnosis.signout.drafting import MOST_KEY_IMAGES
from diagnosis.vocabulary import DIAGNOSES, GROUPS

Row = worklist.ImageRow


def report_part(request: PageRequest, case: Case, rows: Sequence[Row]) -> dict[str, Any]:
    """The context of `_case_report.html` and of its live part, under one name. A number of queries that does not
    grow with the case. For a blinded reader nothing but that they are."""
    if is_blinded(actor=request.actor, case=case):
        return {"blinded": True}
    newest = Report.objects.filter(case=case).select_related("signed_by").defer("pdf").order_by("-version").first()
    part: dict[str, Any] = {"newest": newest, "may_sign": request.actor.may(Action.SIGN), "numbers": _numbers(rows)}
    if case.is_closed and newest:
        return part | {"arrived": signout.arrived_since(case, newest)}
    draft = signout.draft_of(case)
    part |= {
        "draft": draft,
        "missing": signout.missing(case, actor=request.actor, rows=rows),
        "diagnosis": DIAGNOSES.get(draft.diagnosis),
    }
    if part["may_sign"]:
        part |= {
            "choices": choices(request, case, draft),
            "templates": visible(CommentTemplate.objects.all(), request.actor),
            "key_images": _key_images(draft, rows),
            "most_key_images": MOST_KEY_IMAGES,
        }
    return part


def choices(request: PageRequest, case: Case, draft: ReportDraft) -> list[tuple[str, list[Any]]]:
    """The pick list, (title, diagnoses) by group: what fits the evidence first, then what the person signed lately."""
    clinical = ClinicalData.objects.filter(case=case).first()
    fits = likely.fitting(case, clinical)
    lately = [code for code in likely.recent(request.actor.user, request.actor.laboratory) if code not in fits]
    groups: dict[str, list[Any]] = {"Fits this case": [DIAGNOSES[code] for code in fits if code in DIAGNOSES]}
    groups["You signed lately"] = [DIAGNOSES[code] for code in lately if code in DIAGNOSES]
    for entry in DIAGNOSES.values():
        groups.setdefault(GROUPS[entry.group], []).append(entry)
    return [(title, entries) for title, entries in groups.items() if entries]


def _numbers(rows: Sequence[Row]) -> dict[int, int]:
    return {row.image.pk: number for number, row in enumerate(rows, start=1)}


def _key_images(draft: ReportDraft, rows: Sequence[Row]) -> list[tuple[int, Row]]:
    """(number, row) of the chosen images, in the order of the report."""
    by_id = {row.image.pk: (number, row) for number, row in enumerate(rows, start=1)}
    return [by_id[pk] for pk in draft.key_images if pk in by_id]
