"""What people are told: in the portal, and by mail. Written only by `diagnosis.notices`."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Laboratory
from diagnosis.models.batch import Batch
from diagnosis.models.case import Case


class Event(models.TextChoices):
    """What a person can be told of."""

    CASE_ALARM = "case_alarm", "A case shows an alarm (blasts, promyelocytes)"
    CASE_URGENT = "case_urgent", "An urgent case is ready for review"
    CASE_LATE = "case_late", "A case that I hold passes its target time"
    CASE_TAKEN = "case_taken", "A colleague takes over a case that I hold"
    READING_FAILED = "reading_failed", "A reading failed for good in a case"
    OPINION_ASKED = "opinion_asked", "A colleague asks for my opinion"
    OPINION_ENDED = "opinion_ended", "My request for an opinion was answered or declined"
    ADJUDICATION_NEEDED = "adjudication_needed", "Two opinions differ and need an adjudicator"
    REPORT_SIGNED = "report_signed", "A report that concerns me is signed or amended"
    BATCH_FINISHED = "batch_finished", "A batch that I opened is read"
    BATCH_STALLED = "batch_stalled", "A batch that I opened stands still: no worker is there"


class Notice(models.Model):
    """One thing that one person is told of, about a case or about a batch. The words are made from `event`, what it is
    about and `detail` when shown."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices")
    laboratory = models.ForeignKey(Laboratory, on_delete=models.CASCADE, related_name="+")
    event = models.CharField(max_length=24, choices=Event.choices)
    case = models.ForeignKey(Case, on_delete=models.CASCADE, null=True, related_name="+")
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, null=True, related_name="+")
    detail = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["user", "laboratory", "-id"], name="notice_newest"),
            models.Index(fields=["user", "laboratory"], condition=Q(read_at__isnull=True), name="notice_unread"),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.event} to {self.user_id}"


class NoticeChoice(models.Model):
    """How one person wants to be told of one kind of event; without a row the event's default holds."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notice_choices")
    event = models.CharField(max_length=24, choices=Event.choices)
    in_portal = models.BooleanField(default=True)
    by_mail = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "event"], name="choice_once_per_event")]

    def __str__(self) -> str:
        return f"{self.event} for {self.user_id}"


class OutgoingMail(models.Model):
    """A mail that waits in the database until the mail server has taken it. Never a patient's name in it."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        SENT = "sent", "Sent"
        FAILED = "failed", "Given up"

    laboratory = models.ForeignKey(Laboratory, on_delete=models.CASCADE, related_name="+")
    to = models.EmailField()
    subject = models.CharField(max_length=200)
    body = models.TextField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["not_before"], condition=Q(state="waiting"), name="mail_waiting")]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.subject} ({self.state})"
