from django.conf import settings
from django.db import models
from django.utils import timezone

from diagnosis.models.case import Case


class ClinicalData(models.Model):
    """What other instruments and laboratories found of the case's patient. Written by `diagnosis.clinical`.

    Codes are keys of `diagnosis.vocabulary`; the free text beside them says what no code does.
    """

    case = models.OneToOneField(Case, on_delete=models.PROTECT, related_name="clinical")
    counted_on = models.DateField(null=True, blank=True)  # of the blood count
    wbc = models.FloatField("white cells", null=True, blank=True)  # 10⁹/l
    haemoglobin = models.FloatField(null=True, blank=True)  # g/dl
    platelets = models.FloatField(null=True, blank=True)  # 10⁹/l
    blasts = models.FloatField("blasts by counter", null=True, blank=True)  # percent of the white cells
    cytogenetics = models.JSONField(default=list, blank=True)  # codes of findings
    cytogenetics_text = models.TextField(blank=True, max_length=4_000)
    immunophenotype = models.JSONField(default=dict, blank=True)  # marker → positive, dim, negative
    immunophenotype_text = models.TextField(blank=True, max_length=4_000)
    revision = models.PositiveIntegerField(default=1)  # an edit names the one it saw
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "clinical data"

    def __str__(self) -> str:
        return f"clinical data of case {self.case_id}"
