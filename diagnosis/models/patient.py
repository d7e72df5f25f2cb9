from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone

from accounts.models import Laboratory


class Patient(models.Model):
    """A person, by medical record number within a laboratory. Written by `diagnosis.clinic`."""

    class Sex(models.TextChoices):
        FEMALE = "female", "Female"
        MALE = "male", "Male"
        OTHER = "other", "Other"
        UNKNOWN = "unknown", "Not known"

    laboratory = models.ForeignKey(Laboratory, on_delete=models.PROTECT, related_name="patients")
    mrn = models.CharField("medical record number", max_length=64)
    name = models.CharField(max_length=200, blank=True)
    birth_date = models.DateField(null=True, blank=True)
    sex = models.CharField(max_length=10, choices=Sex.choices, default=Sex.UNKNOWN)
    clinical_notes = models.TextField(blank=True, max_length=10_000)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint("laboratory", Upper("mrn"), name="mrn_once_per_laboratory")]
        ordering = ["name", "mrn"]

    def __str__(self) -> str:
        return f"{self.name or 'Unnamed'} (MRN {self.mrn})"
