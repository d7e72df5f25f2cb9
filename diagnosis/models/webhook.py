"""Addresses that are told of what happens, and what they were sent. Written only by `diagnosis.webhooks`."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Laboratory
from diagnosis.models.audit import AuditEvent


class WebhookEndpoint(models.Model):
    """One address of another system, and which topics it wants."""

    laboratory = models.ForeignKey(Laboratory, on_delete=models.CASCADE, related_name="webhooks")
    name = models.CharField(max_length=100)
    url = models.CharField(max_length=500)
    secret = models.TextField()  # encrypted under SECRET_KEY
    topics = models.JSONField(default=list)
    active = models.BooleanField(default=True)  # paused ones collect, and send when they are taken up again
    seen_until = models.DateTimeField(default=timezone.now)  # audit events before it have become deliveries
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class WebhookDelivery(models.Model):
    """One message to one address, kept until it was taken and for a while longer, to be sent again if wished.

    The body is made once and never changed, so that each attempt sends the same under the same `message`.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        SENT = "sent", "Sent"
        FAILED = "failed", "Given up"

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(AuditEvent, on_delete=models.PROTECT, null=True, related_name="+")  # None: a test
    message = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    topic = models.CharField(max_length=40)
    body = models.TextField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    log = models.JSONField(default=list)  # the newest attempts: at, status, milliseconds, error
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["endpoint", "event"], name="delivery_once_per_event")]
        indexes = [
            models.Index(fields=["not_before"], condition=Q(state="waiting"), name="delivery_waiting"),
            models.Index(fields=["endpoint", "-id"], name="delivery_newest"),
            models.Index(fields=["created_at"], condition=Q(state="sent"), name="delivery_old"),
        ]
        verbose_name_plural = "webhook deliveries"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.topic} to {self.endpoint_id}: {self.state}"
