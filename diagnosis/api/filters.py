"""What lists can be narrowed and ordered by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import django_filters
from django import forms
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django_filters.fields import IsoDateTimeField

from diagnosis.assessment.words import FLAG_WORDS
from diagnosis.batches import opening
from diagnosis.models import Batch, BatchFile, Case, CaseFlag, Patient, WebhookDelivery
from diagnosis.webhooks import TOPICS
from diagnosis.webhooks.topics import PING


class MomentField(IsoDateTimeField):
    """An ISO 8601 moment that still is one in UTC (the ends of the calendar are not)."""

    def to_python(self, value: Any) -> datetime | None:
        try:
            moment: datetime | None = super().to_python(value)
            return moment and moment.astimezone(UTC)
        except (OverflowError, ValueError):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None


class MomentFilter(django_filters.IsoDateTimeFilter):
    field_class = MomentField


class SeveralFilter(django_filters.MultipleChoiceFilter):
    """Of a column of the row itself: no row comes twice, so none is sorted out at the cost of reading them all."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(distinct=False, **kwargs)


class StableOrdering(django_filters.OrderingFilter):
    """Ties are broken by id, so that no row falls between two pages."""

    def filter(self, qs: QuerySet[Any], value: list[str] | None) -> QuerySet[Any]:
        return super().filter(qs, [*value, "-id"]) if value else qs

    def get_ordering_value(self, param: str) -> str:
        ordering: str = "-id" if param == "-id" else super().get_ordering_value(param)
        return ordering


class CaseFilter(django_filters.FilterSet):
    status = SeveralFilter(choices=Case.Status.choices, help_text="One or several.")
    priority = django_filters.ChoiceFilter(choices=Case.Priority.choices)
    specimen = django_filters.ChoiceFilter(choices=Case.Specimen.choices)
    accession_number = django_filters.CharFilter(lookup_expr="iexact", help_text="The whole number, in any case.")
    mrn = django_filters.CharFilter(
        field_name="patient__mrn", lookup_expr="iexact", help_text="The patient's medical record number."
    )
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte", help_text="At or after, ISO 8601.")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt", help_text="Before, ISO 8601.")
    due_before = MomentFilter(field_name="due_at", lookup_expr="lt", help_text="To be signed before, ISO 8601.")
    signed_after = MomentFilter(field_name="signed_at", lookup_expr="gte", help_text="Signed then or later, ISO 8601.")
    held = django_filters.ChoiceFilter(
        choices=[("me", "By the token's person"), ("nobody", "By nobody"), ("anybody", "By somebody")],
        method="filter_held",
        help_text="Who holds it: `me`, `nobody` or `anybody`.",
    )
    late = django_filters.BooleanFilter(
        method="filter_late", help_text="Open, and past the time it was due (`false`: open and within it)."
    )
    flag = django_filters.ChoiceFilter(
        choices=list(FLAG_WORDS.items()), method="filter_flag", help_text="A flag of its assessment, by its code."
    )
    ordering = StableOrdering(
        fields=[
            "created_at",
            "due_at",
            "signed_at",
            "priority",
            "status",
            "accession_number",
            "malignant",
            "image_count",
        ],
        help_text="One or several, by comma; a minus turns round. Unless told: urgent ones, then the newest.",
    )

    class Meta:
        model = Case
        fields: list[str] = []

    def filter_held(self, cases: QuerySet[Case], name: str, value: str) -> QuerySet[Case]:
        if value == "me":
            return cases.filter(held_by=self.request.auth.user)
        return cases.filter(held_by__isnull=value == "nobody")

    def filter_late(self, cases: QuerySet[Case], name: str, value: bool) -> QuerySet[Case]:
        late = {f"due_at__{'lt' if value else 'gte'}": timezone.now()}
        return cases.exclude(status=Case.Status.SIGNED).filter(**late)

    def filter_flag(self, cases: QuerySet[Case], name: str, value: str) -> QuerySet[Case]:
        return cases.filter(Exists(CaseFlag.objects.filter(case=OuterRef("pk"), code=value)))


class PatientFilter(django_filters.FilterSet):
    mrn = django_filters.CharFilter(lookup_expr="iexact", help_text="The whole medical record number.")

    class Meta:
        model = Patient
        fields: list[str] = []


class BatchFilter(django_filters.FilterSet):
    finished = django_filters.BooleanFilter(
        field_name="finished_at",
        lookup_expr="isnull",
        exclude=True,
        help_text="`true`: nothing of it arrives, waits or is being read any more; `false`: something does.",
    )

    class Meta:
        model = Batch
        fields: list[str] = []


class BatchFileFilter(django_filters.FilterSet):
    show = django_filters.ChoiceFilter(
        choices=[("needs", "Needs somebody"), ("flagged", "Picture quality"), *BatchFile.State.choices],
        method="filter_show",
        help_text="An outcome, or `needs`: somebody has to do something about it, or `flagged`: its picture's quality "
        "calls for a look.",
    )

    class Meta:
        model = BatchFile
        fields: list[str] = []

    def filter_show(self, files: QuerySet[BatchFile], name: str, value: str) -> QuerySet[BatchFile]:
        return opening.narrowed(files, value)


class DeliveryFilter(django_filters.FilterSet):
    state = SeveralFilter(choices=WebhookDelivery.State.choices, help_text="One or several.")
    topic = SeveralFilter(
        choices=[*((name, topic.says) for name, topic in TOPICS.items()), (PING, "A test")], help_text="One or several."
    )
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte", help_text="At or after, ISO 8601.")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt", help_text="Before, ISO 8601.")

    class Meta:
        model = WebhookDelivery
        fields: list[str] = []
