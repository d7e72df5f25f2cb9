"""What people type into the pages. The rules of the clinic stay in the steps; here only shapes are checked."""

from __future__ import annotations

from typing import Any

from django import forms

from diagnosis.clinic import ClinicError, PatientData
from diagnosis.models import Case, Decision, Patient, SmearImage


class FigureField(forms.CharField):
    """A number with a point or a comma, as people type it; None where empty."""

    def __init__(self, *, required: bool = False, **kwargs: Any) -> None:
        attributes = {"inputmode": "decimal", "autocomplete": "off", "class": "num"}
        super().__init__(required=required, max_length=20, widget=forms.TextInput(attrs=attributes), **kwargs)

    def clean(self, value: Any) -> float | None:
        text = super().clean(value).replace(" ", "")
        if not text:
            return None
        try:
            if text.count(",") + text.count(".") > 1:
                raise ValueError
            return float(text.replace(",", "."))
        except ValueError:
            raise forms.ValidationError("Enter a number, with one point or comma at most.") from None

    def prepare_value(self, value: Any) -> Any:
        return f"{value:.6g}" if isinstance(value, float) else value


class CaseForm(forms.Form):
    """A new case and its patient. `patient()` gives the patient's part."""

    mrn = forms.CharField(
        label="Medical record number",
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
        help_text="A patient known to the laboratory is filled in.",
    )
    name = forms.CharField(label="Name", max_length=200, required=False)
    birth_date = forms.DateField(
        label="Birth date", required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    sex = forms.ChoiceField(label="Sex", choices=Patient.Sex.choices, initial=Patient.Sex.UNKNOWN, required=False)
    clinical_notes = forms.CharField(
        label="Clinical notes", required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 3})
    )
    accession_number = forms.CharField(
        label="Accession number", max_length=64, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    specimen = forms.ChoiceField(
        label="Specimen", choices=Case.Specimen.choices, initial=Case.Specimen.PERIPHERAL_BLOOD
    )
    stain = forms.ChoiceField(label="Stain", choices=Case.Stain.choices, initial=Case.Stain.MAY_GRUNWALD_GIEMSA)
    priority = forms.ChoiceField(
        label="Priority",
        choices=Case.Priority.choices,
        initial=Case.Priority.ROUTINE,
        widget=forms.RadioSelect,
    )
    clinical_question = forms.CharField(
        label="Clinical question", required=False, max_length=4_000, widget=forms.Textarea(attrs={"rows": 3})
    )
    requester_name = forms.CharField(
        label="Requested by", max_length=200, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    requester_email = forms.EmailField(
        label="Requester's e-mail",
        required=False,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
        help_text="They are told when the report is signed. No patient's name stands in the mail.",
    )

    PATIENT_FIELDS = ("mrn", "name", "birth_date", "sex", "clinical_notes")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.error_messages["required"] = f"Please enter the {str(field.label).lower()}."

    def refuse(self, refused: ClinicError) -> None:
        """Put what the clinic refused beside the field it is about."""
        self.add_error(refused.field if refused.field in self.fields else None, refused.message)

    def patient(self) -> PatientData:
        known = {name: self.cleaned_data[name] for name in self.PATIENT_FIELDS}
        return PatientData(**known | {"sex": known["sex"] or Patient.Sex.UNKNOWN})

    def case_fields(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name not in self.PATIENT_FIELDS}


class UploadForm(forms.Form):
    """What is said about the files of an upload, all of it optional."""

    kind = forms.ChoiceField(
        required=False,
        choices=[("", "Tell it from the picture"), *SmearImage.Kind.choices],
        label="Kind",
    )
    um_per_pixel = forms.FloatField(
        required=False, min_value=0.001, max_value=100, label="µm per pixel",
        widget=forms.NumberInput(attrs={"step": "any", "min": "0.001", "max": "100", "inputmode": "decimal"}),
    )  # fmt: skip


class DecisionForm(forms.Form):
    """Agree with the class that the page showed (`seen`), override with `label`, withdraw, or undo or redo a step.

    `expected_decision` is the decision that the page showed, or empty for none; `undoes` the step.
    """

    UNDO, REDO = "undo", "redo"

    verdict = forms.ChoiceField(choices=[*Decision.Verdict.choices, (UNDO, "Undo"), (REDO, "Redo")])
    label = forms.CharField(required=False, max_length=40)
    seen = forms.CharField(required=False, max_length=40)
    comment = forms.CharField(required=False, max_length=4_000, strip=True)
    expected_decision = forms.IntegerField(required=False)
    undoes = forms.UUIDField(required=False)

    def class_meant(self) -> str | None:
        agrees = self.cleaned_data["verdict"] == Decision.Verdict.AGREE
        return self.cleaned_data["seen" if agrees else "label"] or None


class KindForm(forms.Form):
    kind = forms.ChoiceField(choices=SmearImage.Kind.choices)


class ScaleForm(forms.Form):
    """How large a pixel is; `seen`: the scale that the page showed."""

    um_per_pixel = FigureField(required=True)
    seen = forms.FloatField(required=False)
    whole_case = forms.BooleanField(required=False)
