from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from diagnosis.models.case import Case


class SecondOpinion(models.Model):
    """One colleague asked for a diagnosis of their own. Written only by `diagnosis.second_opinion`.

    `asked → answered | declined | withdrawn`. Until they have answered, the colleague sees neither the first
    diagnosis nor anybody's decisions. An answer that differs waits for an adjudicator before the case can be signed.
    """

    class State(models.TextChoices):
        ASKED = "asked", "Asked"
        ANSWERED = "answered", "Answered"
        DECLINED = "declined", "Declined"
        WITHDRAWN = "withdrawn", "Withdrawn"

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="second_opinions")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_of = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="opinions_asked")
    question = models.TextField(blank=True, max_length=4_000)
    first_diagnosis = models.CharField(max_length=20)  # of who asks, fixed when asking
    asked_at = models.DateTimeField(default=timezone.now, editable=False)

    state = models.CharField(max_length=10, choices=State.choices, default=State.ASKED)
    diagnosis = models.CharField(max_length=20, blank=True)  # of the colleague: a code of `diagnosis.vocabulary`
    comment = models.TextField(blank=True, max_length=4_000)  # or why they declined
    ended_at = models.DateTimeField(null=True, blank=True)  # answered, declined or withdrawn
    differs = models.BooleanField(default=False)  # the answer names another diagnosis than the first

    adjudicator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    adjudicated_diagnosis = models.CharField(max_length=20, blank=True)
    adjudication_comment = models.TextField(blank=True, max_length=4_000)
    adjudicated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["case", "asked_of"], condition=Q(state="asked"), name="asked_once_at_a_time"
            )
        ]
        indexes = [
            models.Index(fields=["asked_of", "case"], condition=Q(state="asked"), name="opinion_open"),
            models.Index(fields=["case", "-id"], name="opinion_by_case"),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.asked_of} on case {self.case_id}: {self.state}"

    @property
    def needs_adjudication(self) -> bool:
        return self.state == self.State.ANSWERED and self.differs and self.adjudicated_at is None

    @property
    def by_consensus(self) -> bool:
        """The two who differed settled it between them; otherwise a third pathologist did."""
        return self.adjudicator_id in (self.asked_by_id, self.asked_of_id)
