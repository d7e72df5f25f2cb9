from django.conf import settings
from django.db import models
from django.utils import timezone

from diagnosis.models.image import SmearImage


class Decision(models.Model):
    """What a person said of an image. Written only by `diagnosis.review`; the newest one of an image counts,
    the older ones stay. One that withdraws has no class: the image is undecided again.

    All decisions of one `step` were made by one act of one person; `undoes` names the step that this one takes back.
    """

    class Verdict(models.TextChoices):
        AGREE = "agree", "Agrees with the reading"
        OVERRIDE = "override", "Overrides the reading"
        WITHDRAW = "withdraw", "Takes the decision back"

    image = models.ForeignKey(SmearImage, on_delete=models.PROTECT, related_name="decisions")
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    label = models.CharField(max_length=40, blank=True)  # the class, as the person sees it
    reading_label = models.CharField(max_length=40, blank=True)  # what the networks' reading said then
    comment = models.TextField(blank=True, max_length=4_000)
    step = models.UUIDField(null=True, editable=False)  # made by the page, so that sending it twice is one step
    undoes = models.UUIDField(null=True, editable=False)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["step", "image"], name="step_once_per_image")]
        indexes = [
            models.Index(fields=["image", "-id"], name="decision_newest"),
            models.Index(fields=["decided_at"], name="decision_by_time"),
            models.Index(fields=["-id"], condition=models.Q(verdict="override"), name="decision_overrides"),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.verdict}: {self.label or 'no class'}"
