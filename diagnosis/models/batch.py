"""Many files that arrive together: what of each has come, what became of it, and how files find their cases.

Written only by `diagnosis.batches`.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Laboratory
from diagnosis.models.case import Case
from diagnosis.models.image import SmearImage


class IntakeRules(models.Model):
    """How one laboratory's files name their cases."""

    laboratory = models.OneToOneField(Laboratory, on_delete=models.CASCADE, related_name="intake_rules")
    masks = models.TextField(blank=True, max_length=1_000)  # one a line, see `batches.matching`
    read_codes = models.BooleanField(default=True)  # in pictures that neither a name nor a list leads to a case
    camera_pixel_um = models.FloatField(null=True, blank=True)  # side of the camera's pixel; ÷ magnification = scale
    revision = models.PositiveIntegerField(default=1)  # an edit names the one it saw
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "intake rules"

    def __str__(self) -> str:
        return f"intake rules of {self.laboratory_id}"


class Batch(models.Model):
    """Files that were brought together. It is finished while nothing of it arrives, waits or is being read."""

    laboratory = models.ForeignKey(Laboratory, on_delete=models.PROTECT, related_name="batches")
    name = models.CharField(max_length=120)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, null=True, related_name="batches")  # of all its files
    kind = models.CharField(max_length=10, choices=SmearImage.Kind.choices, blank=True)
    um_per_pixel = models.FloatField(null=True, blank=True)
    via = models.CharField(max_length=10, choices=SmearImage.Via.choices)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    moved_at = models.DateTimeField(default=timezone.now)  # something arrived or was decided last
    finished_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)  # that it is finished; empty again with new files and retries
    stall_told_at = models.DateTimeField(null=True, blank=True)  # that it stands still; empty again once finished

    class Meta:
        verbose_name_plural = "batches"
        indexes = [
            models.Index(fields=["laboratory", "-id"], name="batch_newest"),
            models.Index(fields=["moved_at"], condition=Q(finished_at__isnull=True), name="batch_unfinished"),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class BatchFile(models.Model):
    """One file of a batch, on its way or with what became of it.

    `receiving → received → accepted | duplicate | rejected | unmatched | opened`, or `cancelled`, `expired` where it
    never came whole. An opened one is a zip: its members are files of their own. An unmatched one waits in the tray
    with its bytes kept, until a person assigns it (accepted, duplicate or rejected) or discards it.
    """

    class State(models.TextChoices):
        RECEIVING = "receiving", "Arriving"
        RECEIVED = "received", "Being checked"
        ACCEPTED = "accepted", "Accepted"
        DUPLICATE = "duplicate", "Already there"
        REJECTED = "rejected", "Not accepted"
        UNMATCHED = "unmatched", "Needs a case"
        OPENED = "opened", "Unpacked"
        DISCARDED = "discarded", "Discarded"
        CANCELLED = "cancelled", "Cancelled"
        EXPIRED = "expired", "Never came whole"

    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, related_name="files")
    path = models.CharField(max_length=400)  # folders and name, as the person's computer calls them
    key = models.CharField(max_length=64)  # who sends the same file again finds this one
    upload = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)  # its address below /uploads/
    metadata = models.TextField(blank=True)  # as the client sent it
    length = models.PositiveBigIntegerField()  # bytes
    expires_at = models.DateTimeField(null=True)  # of an upload that is not whole
    container = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="members")  # the zip
    sent_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    sent_as = models.CharField(max_length=320)  # how the audit names them
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVING)
    settled_at = models.DateTimeField(null=True, blank=True)
    checking_until = models.DateTimeField(null=True, blank=True)  # somebody looks at it until then
    attempts = models.PositiveSmallIntegerField(default=0)
    code = models.CharField(max_length=30, blank=True)
    reason = models.TextField(blank=True)  # a sentence
    flags = models.JSONField(default=list)  # sentences: what the picture's quality calls for
    accession = models.CharField(max_length=64, blank=True)  # what the name, the manifest or the sender said
    codes = models.JSONField(default=list)  # texts of the codes in the picture, where it was searched for them
    kind = models.CharField(max_length=10, choices=SmearImage.Kind.choices, blank=True)
    um_per_pixel = models.FloatField(null=True, blank=True)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, null=True, related_name="batch_files")
    image = models.ForeignKey(SmearImage, on_delete=models.PROTECT, null=True, related_name="batch_files")
    replaces = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="replaced_by")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["batch", "key"], name="file_once_per_batch")]
        indexes = [
            models.Index(fields=["batch", "state", "id"], name="batch_file_by_state"),
            models.Index(fields=["batch", "id"], condition=Q(state="unmatched"), name="batch_file_tray"),
            models.Index(
                fields=["state", "checking_until"],
                condition=Q(state__in=["receiving", "received"]),
                name="batch_file_open",
            ),
        ]  # fmt: skip
        ordering = ["id"]

    def __str__(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_settled(self) -> bool:
        return self.state not in (self.State.RECEIVING, self.State.RECEIVED)


class ManifestRow(models.Model):
    """A line of a manifest that was taken: what it says of the files of one accession, or of one file."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="manifest")
    line = models.PositiveIntegerField()  # in the sheet, the heading being line 1
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="+")
    file = models.CharField(max_length=400, blank=True)  # empty: every file of the accession
    kind = models.CharField(max_length=10, choices=SmearImage.Kind.choices, blank=True)
    um_per_pixel = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["batch", "line"]

    def __str__(self) -> str:
        return f"line {self.line} of batch {self.batch_id}"
