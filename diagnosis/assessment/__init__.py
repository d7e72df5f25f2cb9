"""What the evidence of a case says: probability of blood cancer, differential, flags.

`assess` is a pure function from evidence to assessment; `refresh` is the only writer of a case's status and
assessment, and recomputes both whenever a reading ends or a person decides.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from diagnosis.assessment.evidence import Assessment, Evidence, Flag, ImageEvidence, Interval, Part, Progress
from diagnosis.assessment.gathering import current_analyses, current_decisions, gather, image_reading, image_status
from diagnosis.assessment.rules import assess
from diagnosis.assessment.telling import tell_change
from diagnosis.models import Case, CaseFlag

__all__ = [
    "Assessment",
    "Evidence",
    "Flag",
    "ImageEvidence",
    "Interval",
    "Part",
    "Progress",
    "assess",
    "current_analyses",
    "current_decisions",
    "gather",
    "image_added",
    "image_reading",
    "image_status",
    "refresh",
]


def image_added(case_id: int) -> None:
    """A new image waits in a case: note that at once. What it says is assessed when it has been read.

    While a case is being read its next image changes nothing but the count, so that the thousandth upload costs what
    the first did; the readings that are on their way bring the full `refresh`.
    """
    if not Case.objects.filter(pk=case_id, status=Case.Status.READING).update(image_count=F("image_count") + 1):
        refresh(case_id)


def refresh(case_id: int, *, by: User | None = None) -> Assessment:
    """Recompute the assessment of a case and store it; nothing is written where nothing has changed. Whom it concerns
    is told of a new alarm, except `by`, who decided.

    Call it in the transaction that changed the evidence, once for each case, after all that the transaction writes:
    it locks the case row until the commit, so that the last of several writers sees what the others wrote. Raises
    `Case.DoesNotExist`.
    """
    with transaction.atomic():
        # NO KEY, as in audit: see there.
        case = Case.objects.select_for_update(no_key=True).get(pk=case_id)
        was, assessment = case.status, assess(gather(case))
        new = {
            "status": Case.Status.SIGNED if case.is_closed else assessment.status,
            "malignant": assessment.malignant.value if assessment.malignant else None,
            "image_count": assessment.progress.images,
            "assessment": assessment.to_dict(),
        }
        if case.assessed_at is None or any(getattr(case, name) != value for name, value in new.items()):
            for name, value in new.items():
                setattr(case, name, value)
            case.assessed_at = timezone.now()
            case.save(update_fields=[*new, "assessed_at"])
            kept = _keep_flags(case, assessment)
            alarms = [flag.code for flag in assessment.flags if flag.level == "alarm"]
            before = [code for code, level in kept.items() if level == "alarm"]
            tell_change(case, was=was, alarms_before=before, alarms=alarms, by=by)
    return assessment


def _keep_flags(case: Case, assessment: Assessment) -> dict[str, str]:
    """The case's rows of `CaseFlag` made those of the assessment; code → level of those that there were before."""
    wanted = {flag.code: flag.level for flag in assessment.flags}
    kept = dict(case.flags.values_list("code", "level"))
    if kept != wanted:
        case.flags.exclude(code__in=[code for code in wanted if kept.get(code) == wanted[code]]).delete()
        CaseFlag.objects.bulk_create(
            CaseFlag(case=case, code=code, level=level) for code, level in wanted.items() if kept.get(code) != level
        )
    return kept
