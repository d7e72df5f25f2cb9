"""What people type around batches; the rules stay in the steps."""

from __future__ import annotations

from django import forms

from diagnosis.models import SmearImage


class BatchForm(forms.Form):
    """A new batch, all of it optional."""

    name = forms.CharField(
        label="Name", required=False, max_length=120, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="To find it again: the microscope, the day's list. Left empty, it is named by the time.",
    )  # fmt: skip
    accession = forms.CharField(
        label="All of one case", required=False, max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Its accession number, typed or scanned. Left empty, each file is matched by its name.",
    )  # fmt: skip
    kind = forms.ChoiceField(
        label="What the pictures show",
        required=False,
        choices=[("", "Tell it from the picture"), *SmearImage.Kind.choices],
    )
    um_per_pixel = forms.FloatField(
        label="µm per pixel", required=False,
        widget=forms.NumberInput(attrs={"step": "any", "min": "0.001", "max": "100", "inputmode": "decimal"}),
        help_text="From the microscope's settings; gives the scale bar.",
    )  # fmt: skip


class RulesForm(forms.Form):
    """How file names lead to cases. `revision`: the one that the page showed."""

    revision = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    masks = forms.CharField(
        label="How accession numbers look", required=False, max_length=1_000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocomplete": "off"}),
        help_text="One form a line: # a digit, @ a letter, #+ one or more digits. "
        "S##-#### finds S26-0123 in “s26_0123 f4.jpg”.",
    )  # fmt: skip
    read_codes = forms.BooleanField(
        label="Look for QR codes, Data Matrix and Code 128 in pictures that neither a name nor a list leads to a case",
        required=False,
    )
    camera_pixel_um = forms.FloatField(
        label="Side of the camera's pixel, µm", required=False,
        widget=forms.NumberInput(attrs={"step": "any", "min": "0.5", "max": "50", "inputmode": "decimal"}),
        help_text="With it, a magnification in a list gives the scale. The camera's data sheet has it, often 3.45.",
    )  # fmt: skip
    names = forms.CharField(
        label="Try file names", required=False, max_length=2_000,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "autocomplete": "off"}),
        help_text="One a line, with folders if you like. Nothing is saved by trying.",
    )  # fmt: skip
