"""What people type about accounts, checked before a step is asked."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.conf import settings

from accounts.models import Role
from accounts.permissions import Actor, Scope, grantable_scopes
from accounts.tokens import DAYS_DEFAULT, DAYS_MAX

SCOPE_WORDS = {
    Scope.CASES_READ: "Read cases, images and readings",
    Scope.CASES_WRITE: "Create cases, edit patients",
    Scope.IMAGES_WRITE: "Upload images, correct their kind, retry them",
    Scope.REVIEW_WRITE: "Decide on images",
    Scope.AUDIT_READ: "Read a case's history",
    Scope.DATA_EXPORT: "Take the laboratory's decided pictures away",
    Scope.WEBHOOKS_WRITE: "Say which systems are told of what happens",
}
_DAYS = (1, 7, 30, DAYS_DEFAULT, 180, DAYS_MAX)


class TokenForm(forms.Form):
    """A new API token; offers only the scopes that the person's roles can fill."""

    name = forms.CharField(max_length=100, help_text="The instrument or script that will use it.")
    scopes = forms.MultipleChoiceField(
        label="What it may do",
        widget=forms.CheckboxSelectMultiple,
        choices=(),
        error_messages={"required": "Choose at least one thing that the token may do."},
    )
    days = forms.TypedChoiceField(
        label="Lives for",
        coerce=int,
        choices=[(days, "1 day" if days == 1 else f"{days} days") for days in _DAYS],
        initial=DAYS_DEFAULT,
        help_text="After that it stops working. A token cannot be prolonged: make a new one.",
    )

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        most = settings.API_TOKEN_MAX
        self.fields["requests_per_hour"] = forms.IntegerField(
            label="Requests an hour",
            required=False,
            min_value=1,
            max_value=most,
            help_text=f"At most {most}. Left empty: {settings.API_THROTTLE}, as every token.",
        )
        offered = [(str(scope), SCOPE_WORDS[scope]) for scope in grantable_scopes(actor)]
        cast(forms.MultipleChoiceField, self.fields["scopes"]).choices = offered


class RolesForm(forms.Form):
    """The roles of one person in the laboratory."""

    roles = forms.TypedMultipleChoiceField(
        coerce=Role,
        choices=Role.choices,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one role."},
    )


class PersonForm(RolesForm):
    """Somebody new to the laboratory."""

    full_name = forms.CharField(
        label="Full name", max_length=200, help_text="As it should stand beside their decisions."
    )
    email = forms.EmailField(label="E-mail address", max_length=254, help_text="They sign in with it.")
    field_order = ["full_name", "email", "roles"]


class LaboratoryForm(forms.Form):
    """What heads the laboratory's reports, and how fast they ought to be signed."""

    name = forms.CharField(label="Name", max_length=200)
    address = forms.CharField(
        label="Address", max_length=500, required=False, widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"})
    )
    phone = forms.CharField(label="Telephone", max_length=60, required=False)
    director = forms.CharField(label="Director", max_length=200, required=False)
    accreditation = forms.CharField(
        label="Accreditation", max_length=200, required=False, help_text="Such as the standard and your number."
    )
    routine_hours = forms.IntegerField(
        label="Target for routine cases, hours", min_value=1, max_value=2_000, help_text="From receipt to signature."
    )
    urgent_hours = forms.IntegerField(
        label="Target for urgent cases, hours", min_value=1, max_value=2_000, help_text="Cases opened from now on."
    )

    def clean_address(self) -> str:
        return "\n".join(line.strip() for line in self.cleaned_data["address"].splitlines()).strip()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        routine, urgent = cleaned.get("routine_hours"), cleaned.get("urgent_hours")
        if routine and urgent and urgent > routine:
            self.add_error("urgent_hours", "Urgent cases cannot have more time than routine ones.")
        return cleaned
