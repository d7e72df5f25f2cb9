"""What the networks are asked and what they answered."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from diagnosis.models.image import SmearImage


class ModelRelease(models.Model):
    """A registered bundle. Written by `diagnosis.registry`."""

    class Stage(models.TextChoices):
        SHADOW = "shadow", "Shadow"  # reads beside the active one, shown to nobody
        ACTIVE = "active", "Active"
        RETIRED = "retired", "Retired"

    task = models.CharField(max_length=10, choices=SmearImage.Kind.choices)
    network = models.CharField(max_length=20)  # cnn, mobilenet
    version = models.CharField(max_length=40)
    digest = models.CharField(max_length=64, unique=True)
    bundle = models.CharField(max_length=100)  # name or folder of the bundle
    stage = models.CharField(max_length=10, choices=Stage.choices, default=Stage.ACTIVE)
    card = models.JSONField(default=dict)
    registered_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "network"], condition=Q(stage="active"), name="one_active_release_per_network"
            )
        ]
        ordering = ["task", "network", "-registered_at"]

    def __str__(self) -> str:
        return f"{self.task} {self.network} {self.version}"


class Analysis(models.Model):
    """One model release reads one image. Only `diagnosis.queue` moves it between states.

    `queued → running → done | failed`. While running, it belongs to `lease_token` until `leased_until`; a result
    that comes with another token is refused, so a reading is recorded exactly once.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    image = models.ForeignKey(SmearImage, on_delete=models.PROTECT, related_name="analyses")
    release = models.ForeignKey(ModelRelease, on_delete=models.PROTECT, related_name="analyses")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    urgent = models.BooleanField(default=False)  # the case's priority, kept here so that a claim needs no join
    alone = models.BooleanField(default=False)  # an attempt went wrong: read without neighbours from then on
    not_before = models.DateTimeField(default=timezone.now)
    lease_token = models.UUIDField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=120, blank=True)
    error = models.TextField(blank=True)  # the last failure, in words

    queued_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(null=True, blank=True)  # this image's share of its batch
    engine = models.CharField(max_length=20, blank=True)

    probabilities = models.JSONField(null=True, blank=True)  # calibrated, by class
    malignant = models.FloatField(null=True, blank=True)
    novelty = models.FloatField(null=True, blank=True)
    novel = models.BooleanField(null=True, blank=True)
    activation = models.BinaryField(null=True, blank=True)  # uint8 (classes, h, w), C order
    activation_shape = models.JSONField(null=True, blank=True)  # [classes, h, w]

    class Meta:
        constraints = [models.UniqueConstraint(fields=["image", "release"], name="one_reading_per_release")]
        indexes = [
            models.Index(fields=["-urgent", "image", "id"], condition=Q(state="queued"), name="analysis_next"),
            models.Index(fields=["leased_until"], condition=Q(state="running"), name="analysis_leased"),
            models.Index(fields=["state", "finished_at"], name="analysis_by_state"),
        ]
        verbose_name_plural = "analyses"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.release} of image {self.image_id}: {self.state}"


class WorkerSeen(models.Model):
    """A worker process and when it last said that it lives. Written by `diagnosis.watching.heartbeat`."""

    name = models.CharField(max_length=120, primary_key=True)
    engine = models.CharField(max_length=40, blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name_plural = "workers seen"

    def __str__(self) -> str:
        return self.name
