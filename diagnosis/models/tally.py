from django.db import models

from accounts.models import Laboratory
from diagnosis.models.analysis import ModelRelease


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


class ReadingTally(models.Model):
    """How many analyses of a release were done before a moment, counted once so that nobody counts millions for every
    look. Written only by `diagnosis.watching.tally_done`, for all releases with the same moment.
    """

    release = models.OneToOneField(ModelRelease, on_delete=models.CASCADE, primary_key=True, related_name="+")
    until = models.DateTimeField()
    done = models.PositiveBigIntegerField()

    class Meta:
        verbose_name_plural = "reading tallies"

    def __str__(self) -> str:
        return f"{self.release_id}: {self.done} before {self.until}"
