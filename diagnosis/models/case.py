from django.conf import settings
from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone

from accounts.models import Laboratory
from diagnosis.models.patient import Patient


class Case(models.Model):
    """One diagnostic question on one patient, by accession number within a laboratory.

    Written by `diagnosis.clinic`; `status`, `assessment` and the columns beside it only by
    `diagnosis.assessment.refresh`, which recomputes them from the evidence.
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

    laboratory = models.ForeignKey(Laboratory, on_delete=models.PROTECT, related_name="cases")
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="cases")
    accession_number = models.CharField(max_length=64)
    priority = models.CharField(max_length=10, choices=Priority.choices, default=Priority.ROUTINE)
    clinical_question = models.TextField(blank=True, max_length=4_000)
    specimen = models.CharField(max_length=20, choices=Specimen.choices, default=Specimen.PERIPHERAL_BLOOD)
    stain = models.CharField(max_length=24, choices=Stain.choices, default=Stain.MAY_GRUNWALD_GIEMSA)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    status = models.CharField(max_length=12, choices=Status.choices, default=Status.RECEIVED, editable=False)
    malignant = models.FloatField(null=True, editable=False)  # probability of blood cancer, 0–1
    image_count = models.PositiveIntegerField(default=0, editable=False)
    assessment = models.JSONField(default=dict, editable=False)  # Assessment.to_dict()
    assessed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "laboratory", Upper("accession_number"), name="accession_once_per_laboratory"
            )  # "s26-1" and "S26-1" are one number
        ]
        indexes = [
            models.Index(fields=["laboratory", "status", "-created_at"], name="case_by_status"),
            models.Index(fields=["laboratory", "-priority", "-created_at", "-id"], name="case_worklist"),
        ]
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return self.accession_number
