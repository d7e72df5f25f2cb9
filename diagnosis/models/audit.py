from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.models import Laboratory
from diagnosis.audit_words import said
from diagnosis.models.case import Case


class AuditEvent(models.Model):
    """Who did what, when. Written only by `diagnosis.audit.record`; the database itself refuses update and delete.

    Events of a case (or, without a case, of the laboratory) form a chain: `hash` covers the event and the hash
    before it.
    """

    laboratory = models.ForeignKey(Laboratory, on_delete=models.PROTECT, related_name="+")
    case = models.ForeignKey(Case, on_delete=models.PROTECT, null=True, blank=True, related_name="audit_events")
    sequence = models.PositiveIntegerField()  # 1, 2, 3 … within the chain
    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    actor_label = models.CharField(max_length=320)  # the person, their token, or "LeukoLens worker"
    action = models.CharField(max_length=40)  # case.created, case.read, image.accepted, …
    subject = models.CharField(max_length=80, blank=True)  # "image 12"
    detail = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["case", "sequence"], condition=Q(case__isnull=False), name="case_chain"),
            models.UniqueConstraint(
                fields=["laboratory", "sequence"], condition=Q(case__isnull=True), name="laboratory_chain"
            ),
        ]
        indexes = [
            models.Index(fields=["laboratory", "-at"], name="audit_by_time"),
            models.Index(fields=["laboratory", "subject"], condition=Q(case__isnull=True), name="audit_by_subject"),
        ]
        ordering = ["case_id", "sequence"]

    def __str__(self) -> str:
        return self.sentence

    @property
    def said(self) -> str:
        """What was done, to stand after the actor's name: "uploaded smear-03.jpg"."""
        return said(self)

    @property
    def sentence(self) -> str:
        """The whole of it: "Ada Technician uploaded smear-03.jpg"."""
        return f"{self.actor_label} {self.said}"
