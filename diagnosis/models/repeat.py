"""What makes a request safe to send again. Written only by `diagnosis.repeats`."""

import uuid

from django.db import models
from django.utils import timezone

from accounts.models import ApiToken


class KeptAnswer(models.Model):
    """One request that came with an `Idempotency-Key`, and what it was answered.

    The row stands, committed, before anything is done; the unique key lets only one of two racing requests in.
    `claim` is the request that works on it now: who was overtaken cannot answer any more.
    """

    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="+")  # one person in one laboratory
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)  # SHA-256 of method, address and body
    claim = models.UUIDField(default=uuid.uuid4)
    claimed_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    status = models.PositiveSmallIntegerField(null=True)  # None: in flight
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=b"")  # compressed

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "key"], name="one_answer_per_key")]

    def __str__(self) -> str:
        return f"{self.key}: {self.status or 'in flight'}"
