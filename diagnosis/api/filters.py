"""What lists can be narrowed and ordered by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet
from django_filters.fields import IsoDateTimeField

from diagnosis.models import Case, Patient


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


class StableOrdering(django_filters.OrderingFilter):
    """Ties are broken by id, so that no row falls between two pages."""

    def filter(self, qs: QuerySet[Any], value: list[str] | None) -> QuerySet[Any]:
        return super().filter(qs, [*value, "-id"]) if value else qs

    def get_ordering_value(self, param: str) -> str:
        ordering: str = "-id" if param == "-id" else super().get_ordering_value(param)
        return ordering


class CaseFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=Case.Status.choices, help_text="One or several.")
    priority = django_filters.ChoiceFilter(choices=Case.Priority.choices)
    specimen = django_filters.ChoiceFilter(choices=Case.Specimen.choices)
    accession_number = django_filters.CharFilter(lookup_expr="iexact", help_text="The whole number, in any case.")
    mrn = django_filters.CharFilter(
        field_name="patient__mrn", lookup_expr="iexact", help_text="The patient's medical record number."
    )
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte", help_text="At or after, ISO 8601.")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt", help_text="Before, ISO 8601.")
    ordering = StableOrdering(
        fields=["created_at", "priority", "status", "accession_number", "malignant", "image_count"],
        help_text="One or several, by comma; a minus turns round. Unless told: urgent ones, then the newest.",
    )

    class Meta:
        model = Case
        fields: list[str] = []


class PatientFilter(django_filters.FilterSet):
    mrn = django_filters.CharFilter(lookup_expr="iexact", help_text="The whole medical record number.")

    class Meta:
        model = Patient
        fields: list[str] = []
