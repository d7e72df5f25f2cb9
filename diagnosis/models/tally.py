from django.db import models

from accounts.models import Laboratory


class AgreementDay(models.Model):
    """What people decided on one day beside what the networks had said, counted once so that a year need not be
    counted anew for every look. Written only by `diagnosis.dashboard.tallies`, which can make every row again.

    `counts`: see `tallies.DayCount`.
    """

    laboratory = models.ForeignKey(Laboratory, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()  # of the decisions, in the installation's time zone
    counts = models.JSONField(default=dict)
    counted_at = models.DateTimeField(db_index=True)  # decisions made since are not in it

    class Meta:
        constraints = [models.UniqueConstraint(fields=["laboratory", "day"], name="agreement_once_a_day")]
        ordering = ["laboratory", "day"]

    def __str__(self) -> str:
        return f"{self.laboratory}, {self.day}"
