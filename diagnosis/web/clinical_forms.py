"""The forms of what is known of a case beside its images: clinical data, the request, the patient."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from django import forms
from django.core.serializers.json import DjangoJSONEncoder

from diagnosis import clinic, clinical
from diagnosis.models import Case, ClinicalData, Patient
from diagnosis.vocabulary import CYTOGENETICS, MARKER_STATES, MARKERS
from diagnosis.web.forms import FigureField


class ClinicalForm(forms.Form):
    """All of a case's clinical data. `revision`: the one that the page showed; `confirmed`: rare values looked at
    again, as "wbc:800"."""

    revision = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    counted_on = forms.DateField(
        label="Counted on",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    wbc = FigureField(label="White cells", help_text="10⁹/l")
    haemoglobin = FigureField(label="Haemoglobin", help_text="g/dl")
    platelets = FigureField(label="Platelets", help_text="10⁹/l")
    blasts = FigureField(label="Blasts by counter", help_text="% of the white cells")
    cytogenetics = forms.MultipleChoiceField(
        label="Findings",
        required=False,
        choices=list(CYTOGENETICS.items()),
        widget=forms.CheckboxSelectMultiple,
    )
    cytogenetics_text = forms.CharField(
        label="In words", required=False, max_length=4_000, widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The ISCN formula, the method, or that it is still to come.",
    )  # fmt: skip
    immunophenotype_text = forms.CharField(
        label="In words", required=False, max_length=4_000, widget=forms.Textarea(attrs={"rows": 3}),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        named = [(key, key if key == sign else f"{sign} {key}") for key, sign in MARKER_STATES.items()]
        states = [("", "not tested"), *named]
        self.fields |= {
            _marker_name(marker): forms.ChoiceField(label=marker, choices=states, required=False)
            for marker in clinical.ALL_MARKERS
        }

    @classmethod
    def of(cls, data: ClinicalData) -> ClinicalForm:
        """The form as the page first shows it."""
        names = ("revision", "counted_on", *clinical.QUANTITIES, "cytogenetics", "cytogenetics_text",
                 "immunophenotype_text")  # fmt: skip
        markers = {_marker_name(marker): state for marker, state in data.immunophenotype.items()}
        return cls(initial={name: getattr(data, name) for name in names} | markers)

    def values(self) -> dict[str, Any]:
        """What was entered, by the names of `clinical.FIELDS`."""
        entered = {name: value for name, value in self.cleaned_data.items() if name in clinical.FIELDS}
        markers = {marker: self.cleaned_data[_marker_name(marker)] for marker in clinical.ALL_MARKERS}
        return entered | {"immunophenotype": {marker: state for marker, state in markers.items() if state}}

    def confirmed(self) -> set[str]:
        """Fields whose rare value the person has confirmed, and not changed since."""
        return {
            name
            for name in clinical.QUANTITIES
            if f"{name}:{self.cleaned_data.get(name)}" in self.data.getlist("confirmed")  # type: ignore[attr-defined]
        }

    def marker_groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        return [(group, [self[_marker_name(marker)] for marker in markers]) for group, markers in MARKERS.items()]

    def figures(self) -> list[forms.BoundField]:
        return [self[name] for name in clinical.QUANTITIES]


def _marker_name(marker: str) -> str:
    return f"marker-{marker}"


class SeenForm(forms.Form):
    """A form that tells, in one hidden field, which values the page showed when it was opened."""

    seen = forms.CharField(required=False, widget=forms.HiddenInput, max_length=40_000)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.names = [name for name in self.fields if name != "seen"]

    @classmethod
    def of(cls, record: Case | Patient) -> SeenForm:
        shown = {name: getattr(record, name) for name in cls.base_fields if name != "seen"}
        return cls(initial=shown | {"seen": json.dumps(shown, cls=DjangoJSONEncoder)})

    def values(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.names}

    def seen_values(self) -> dict[str, Any]:
        """What the page showed; of something else that was sent, nothing."""
        try:
            seen = json.loads(self.cleaned_data["seen"] or "{}")
            found = {name: seen[name] for name in self.names if name in seen}
            if found.get("birth_date"):
                found["birth_date"] = date.fromisoformat(found["birth_date"])
        except (ValueError, TypeError):
            return {}
        return found

    def look_again(self, record: Case | Patient) -> None:
        """The next save is made with what stands now in sight."""
        self.data = self.data.copy()  # type: ignore[attr-defined]
        shown = {name: getattr(record, name) for name in self.names}
        self.data["seen"] = json.dumps(shown, cls=DjangoJSONEncoder)  # type: ignore[index]

    def refuse(self, refused: clinic.ClinicError) -> None:
        """Put what the clinic refused beside the field it is about."""
        self.add_error(refused.field if refused.field in self.fields else None, refused.message)

    def differences(self, record: Case | Patient) -> list[tuple[str, str, str]]:
        """(label, what stands, what was typed) of each field in which the two differ."""
        typed: Mapping[str, Any] = self.cleaned_data
        return [
            (str(self.fields[name].label), self.shown(name, getattr(record, name)), self.shown(name, typed[name]))
            for name in self.names
            if getattr(record, name) != typed[name]
        ]

    def shown(self, name: str, value: Any) -> str:
        field = self.fields[name]
        if isinstance(field, forms.ChoiceField):
            return str(dict(field.choices).get(value, value))  # type: ignore[arg-type]
        return f"{value:%d %B %Y}" if isinstance(value, date) else str(value or "empty")


class RequestForm(SeenForm):
    """What was asked for: `clinic.REQUEST_FIELDS`."""

    priority = forms.ChoiceField(label="Priority", choices=Case.Priority.choices, widget=forms.RadioSelect)
    clinical_question = forms.CharField(
        label="Clinical question", required=False, max_length=4_000, widget=forms.Textarea(attrs={"rows": 4})
    )
    specimen = forms.ChoiceField(label="Specimen", choices=Case.Specimen.choices)
    stain = forms.ChoiceField(label="Stain", choices=Case.Stain.choices)
    requester_name = forms.CharField(
        label="Requested by", required=False, max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    requester_email = forms.EmailField(
        label="Requester's e-mail", required=False, widget=forms.EmailInput(attrs={"autocomplete": "off"}),
        help_text="They are told when the report is signed. No patient's name stands in the mail.",
    )  # fmt: skip


class PatientForm(SeenForm):
    """A patient's record: the fields of `clinic.PatientData` but the number."""

    name = forms.CharField(
        label="Name", required=False, max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    birth_date = forms.DateField(
        label="Birth date", required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    sex = forms.ChoiceField(label="Sex", choices=Patient.Sex.choices)
    clinical_notes = forms.CharField(
        label="Clinical notes", required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 6})
    )
