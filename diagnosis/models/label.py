from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import Laboratory


class LabelSettings(models.Model):
    """What stands on the labels of one laboratory's slides. Written by `diagnosis.labels.settings`."""

    laboratory = models.OneToOneField(Laboratory, on_delete=models.CASCADE, related_name="label_settings")
    with_name = models.BooleanField(default=False)  # the patient's, on every label
    sheet = models.JSONField(default=dict)  # its own label stock, see `diagnosis.labels.stock`; empty: it has none
    revision = models.PositiveIntegerField(default=1)  # an edit names the one it saw
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "label settings"

    def __str__(self) -> str:
        return f"label settings of {self.laboratory_id}"
