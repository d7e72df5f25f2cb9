"""Whether a report on paper or in a file is the current one, asked by whoever holds it; and whether what is stored is
what was signed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from django.db import connection
from django.db.models import Q

from diagnosis.models import Case, Report
from diagnosis.reporting.canonical import SHORT
from diagnosis.reporting.content import verified

#: What migration 0007 installs; `verify_reports` says so when one is gone.
TRIGGERS = {
    "sqlite": {"report_no_update", "report_no_delete", "report_no_replace"},
    "postgresql": {"report_no_change", "report_no_truncate"},
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the check says of a code. No more of the report than its holder reads on the paper is ever shown."""

    state: Literal["current", "superseded", "unknown"]
    report: Report | None = None
    newest: Report | None = None  # the version that took its place


def normalised(code: str) -> str:
    """A code as it was typed or scanned, without spaces and dashes: lower-case hexadecimal digits, or empty."""
    digits = "".join(each for each in code.lower() if each not in " -–‑\u00a0\t\n")
    fits = SHORT <= len(digits) <= 64 and all(each in "0123456789abcdef" for each in digits)
    return digits if fits else ""


def check(code: str) -> Standing:
    """The standing of the report that `code` belongs to: a content hash, its first 16 digits or more, or the SHA-256
    of a report's PDF. Two queries at most."""
    digits = normalised(code)
    if not digits:
        return Standing("unknown")
    found = list(
        Report.objects.filter(Q(content_hash__startswith=digits) | Q(pdf_sha256=digits))
        .select_related("case__laboratory")
        .defer("pdf", "content")[:2]
    )
    if len(found) != 1:
        return Standing("unknown")
    newest = Report.objects.filter(case=found[0].case_id).defer("pdf", "content").order_by("-version")[0]
    if newest.version == found[0].version:
        return Standing("current", found[0])
    return Standing("superseded", found[0], newest)


def faults() -> Iterator[str]:
    """Every stored report that is not what was signed, and every trigger that is gone, each in a sentence."""
    if gone := missing_triggers():
        yield f"the database lacks the triggers {', '.join(sorted(gone))}: run `manage.py migrate`"
    newest: dict[int, int] = {}  # case → its last version so far
    for report in Report.objects.order_by("case_id", "version").iterator(chunk_size=100):
        name = f"case {report.case_id}, version {report.version}"
        yield from (f"case {report.case_id}, version {gap}: gone" for gap in _between(newest, report))
        newest[report.case_id] = report.version
        if not verified(report):
            yield f"{name}: the content is not the one that was signed"
        if hashlib.sha256(bytes(report.pdf)).hexdigest() != report.pdf_sha256:
            yield f"{name}: the PDF is not the one that was signed"
    for pk, version in Case.objects.filter(report_version__gt=0).order_by("id").values_list("id", "report_version"):
        yield from (f"case {pk}, version {gap}: gone" for gap in range(newest.get(pk, 0) + 1, version + 1))


def _between(newest: dict[int, int], report: Report) -> range:
    return range(newest.get(report.case_id, 0) + 1, report.version)


def missing_triggers() -> set[str]:
    """Names of the triggers on reports that the database lacks (empty: all in place and enabled)."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'diagnosis_report'")
        else:
            cursor.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = 'diagnosis_report'::regclass AND tgenabled = 'A'"
            )
        return TRIGGERS[connection.vendor] - {row[0] for row in cursor.fetchall()}
