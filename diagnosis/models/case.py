from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils import timezone

from accounts.models import Laboratory
from diagnosis.models.patient import Patient


class Case(models.Model):
    """One diagnostic question on one patient, by accession number within a laboratory.

    Written by `diagnosis.clinic`; `status`, `assessment` and the columns beside it only by
    `diagnosis.assessment.refresh`, which recomputes them from the evidence; `held_by` and `held_at` only by
    `diagnosis.holding`; `signed_at`, `report_version` and `amending` only by `diagnosis.signout`.
    """

    class Priority(models.TextChoices):
        ROUTINE = "routine", "Routine"
        URGENT = "urgent", "Urgent"

    class Specimen(models.TextChoices):
        PERIPHERAL_BLOOD = "peripheral_blood", "Peripheral blood"
        BONE_MARROW = "bone_marrow", "Bone marrow"

    class Stain(models.TextChoices):
        MAY_GRUNWALD_GIEMSA = "may_grunwald_giemsa", "May–Grünwald–Giemsa"
        WRIGHT_GIEMSA = "wright_giemsa", "Wright–Giemsa"
        WRIGHT = "wright", "Wright"
        GIEMSA = "giemsa", "Giemsa"
        LEISHMAN = "leishman", "Leishman"
        OTHER = "other", "Other"

    class Status(models.TextChoices):
        RECEIVED = "received", "Received"  # no image yet
        READING = "reading", "Reading"  # the networks still have work
        ATTENTION = "attention", "Needs attention"  # nothing left to wait for, but a reading failed
        READY = "ready", "Ready"  # all read, nobody has decided yet
        IN_REVIEW = "in_review", "In review"  # some images decided
        REVIEWED = "reviewed", "Reviewed"  # every image decided
        SIGNED = "signed", "Signed"  # a report stands, and nobody is amending it

    laboratory = models.ForeignKey(Laboratory, on_delete=models.PROTECT, related_name="cases")
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="cases")
    accession_number = models.CharField(max_length=64)
    priority = models.CharField(max_length=10, choices=Priority.choices, default=Priority.ROUTINE)
    clinical_question = models.TextField(blank=True, max_length=4_000)
    specimen = models.CharField(max_length=20, choices=Specimen.choices, default=Specimen.PERIPHERAL_BLOOD)
    stain = models.CharField(max_length=24, choices=Stain.choices, default=Stain.MAY_GRUNWALD_GIEMSA)
    requester_name = models.CharField(max_length=200, blank=True)  # who asked, and is told of the report
    requester_email = models.EmailField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    due_at = models.DateTimeField(editable=False)  # created_at and the laboratory's target for the priority

    held_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="held_cases", editable=False
    )  # the one pathologist whose case it is
    held_at = models.DateTimeField(null=True, editable=False)
    signed_at = models.DateTimeField(null=True, editable=False)  # of the newest report
    report_version = models.PositiveSmallIntegerField(default=0, editable=False)  # 0: never signed
    amending = models.BooleanField(default=False, editable=False)  # signed once, and open again

    status = models.CharField(max_length=12, choices=Status.choices, default=Status.RECEIVED, editable=False)
    malignant = models.FloatField(null=True, editable=False)  # probability of blood cancer, 0–1
    image_count = models.PositiveIntegerField(default=0, editable=False)
    assessment = models.JSONField(default=dict, editable=False)  # Assessment.to_dict()
    assessed_at = models.DateTimeField(null=True, editable=False)

    #: Of a case in memory: whoever reads it is asked for a second opinion (set by `diagnosis.blinding`).
    blinded: bool = False

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "laboratory", Upper("accession_number"), name="accession_once_per_laboratory"
            )  # "s26-1" and "S26-1" are one number
        ]
        indexes = [
            models.Index(fields=["laboratory", "status", "-created_at"], name="case_by_status"),
            models.Index(fields=["laboratory", "-priority", "-created_at", "-id"], name="case_worklist"),
            models.Index(
                fields=["laboratory", "-priority", "due_at", "id"],
                condition=~Q(status="signed"),
                name="case_open_by_due",
            ),
            models.Index(fields=["laboratory", "held_by"], condition=~Q(status="signed"), name="case_open_by_holder"),
            models.Index(fields=["laboratory", "-signed_at", "-id"], name="case_by_signing"),
            models.Index(fields=["laboratory", "created_at", "priority", "due_at", "id"], name="case_by_opening"),
        ]
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return self.accession_number

    @property
    def is_closed(self) -> bool:
        """A report stands and is not being amended: nothing may be decided."""
        return self.signed_at is not None and not self.amending


class CaseFlag(models.Model):
    """A flag of the case's assessment, beside it so that lists can be searched. Written by `assessment.refresh`."""

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="flags")
    code = models.CharField(max_length=40)
    level = models.CharField(max_length=10)  # alarm, doubt, info

    class Meta:
        constraints = [models.UniqueConstraint(fields=["case", "code"], name="flag_once_per_case")]
        indexes = [models.Index(fields=["code", "case"], name="flag_by_code")]

    def __str__(self) -> str:
        return self.code


class SavedView(models.Model):
    """A worklist filter that a person gave a name. Written by `diagnosis.saved_views`."""

    laboratory = models.ForeignKey(Laboratory, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=400)  # as in the list's address, without the page
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["laboratory", "user", "name"], name="view_name_once")]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
