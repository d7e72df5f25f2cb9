"""The signed statement of a case, what it is written from, and the sentences a laboratory keeps at hand."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import Laboratory
from diagnosis.models.case import Case


class ReportDraft(models.Model):
    """What the pathologist has written so far, saved as it is typed. Written by `diagnosis.signout`."""

    case = models.OneToOneField(Case, on_delete=models.PROTECT, related_name="draft")
    diagnosis = models.CharField(max_length=20, blank=True)  # a code of `diagnosis.vocabulary`
    diagnosis_text = models.TextField(blank=True, max_length=4_000)
    comment = models.TextField(blank=True, max_length=10_000)
    key_images = models.JSONField(default=list, blank=True)  # primary keys, in the order of the report
    amendment_reason = models.TextField(blank=True, max_length=4_000)  # why a signed case is open again
    revision = models.PositiveIntegerField(default=1)  # an edit names the one it saw
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"draft of case {self.case_id}"


class Report(models.Model):
    """One signed version. Written only by `diagnosis.signout`; the database itself refuses update and delete."""

    class Kind(models.TextChoices):
        ORIGINAL = "original", "Report"
        AMENDMENT = "amendment", "Amended report"  # the diagnosis or what it rests on changed
        ADDENDUM = "addendum", "Report with addendum"  # something was added, all else stands
        CORRECTION = "correction", "Corrected report"  # a slip of the pen, no change of meaning

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="reports")
    version = models.PositiveSmallIntegerField()  # 1, 2, 3 … within the case
    kind = models.CharField(max_length=12, choices=Kind.choices)
    reason = models.TextField(blank=True, max_length=4_000)  # why there is a new version
    content = models.JSONField()  # everything the report states, frozen
    content_hash = models.CharField(max_length=64, unique=True)  # SHA-256 of the canonical content
    pdf = models.BinaryField()
    pdf_sha256 = models.CharField(max_length=64)
    signed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    signed_at = models.DateTimeField()
    signed_with = models.CharField(max_length=20)  # how the signer proved who they are: a key of `pdf.PROOFS`

    class Meta:
        constraints = [models.UniqueConstraint(fields=["case", "version"], name="report_version_once")]
        indexes = [  # holds all that the dashboard counts, for the rows themselves are wide
            models.Index(fields=["signed_at", "version", "case", "signed_by"], name="report_by_time")
        ]
        ordering = ["case", "-version"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.version} of case {self.case_id}"


class CommentTemplate(models.Model):
    """A text for a report's comment that the laboratory keeps at hand. Written by `diagnosis.signout`."""

    laboratory = models.ForeignKey(Laboratory, on_delete=models.CASCADE, related_name="comment_templates")
    title = models.CharField(max_length=80)
    text = models.TextField(max_length=4_000)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["laboratory", "title"], name="template_title_once")]
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title
