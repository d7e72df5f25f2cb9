"""What people choose and type around labels; the rules stay in the steps."""

from __future__ import annotations

from typing import Any

from django import forms

from diagnosis.labels.layout import CODES
from diagnosis.labels.printing import NO_STAIN, OF_CASE
from diagnosis.labels.stock import MEASURES, Stock
from diagnosis.models import Case


def _count(label: str, low: int, high: int, help_text: str = "") -> forms.IntegerField:
    attrs = {"inputmode": "numeric", "autocomplete": "off"}
    return forms.IntegerField(
        label=label, min_value=low, max_value=high, help_text=help_text, widget=forms.NumberInput(attrs=attrs)
    )


class LabelForm(forms.Form):
    """What is printed; the keys of the last print are offered again."""

    stock = forms.ChoiceField(label="Printed on")
    start = _count("First free label of the sheet", 1, 1_600, "Counted row by row from the upper left.")
    code = forms.ChoiceField(label="Code", choices=list(CODES.items()))
    stain = forms.ChoiceField(
        label="Stain", choices=[(OF_CASE, "As the case says"), (NO_STAIN, "None on the label"), *Case.Stain.choices]
    )
    first = _count("First smear", 0, 999, "0: without a number.")
    smears = _count("Smears of each case", 1, 50)
    copies = _count("Copies of each label", 1, 50)

    def __init__(self, *args: Any, stocks: dict[str, Stock], **named: Any) -> None:
        super().__init__(*args, **named)
        self.fields["stock"].choices = [(key, stock.title) for key, stock in stocks.items()]  # type: ignore[attr-defined]


def _measure(label: str) -> forms.FloatField:
    attrs = {"step": "any", "inputmode": "decimal", "autocomplete": "off"}
    return forms.FloatField(label=label, required=False, widget=forms.NumberInput(attrs=attrs))


class SettingsForm(forms.Form):
    """What stands on labels, and the laboratory's own sheet: all of its measures or none. `revision`: as shown."""

    revision = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    with_name = forms.BooleanField(label="The patient's name on every label", required=False)
    columns = _measure("Labels in a row")
    rows = _measure("Rows on the sheet")
    width = _measure("Width of a label, mm")
    height = _measure("Height of a label, mm")
    left = _measure("From the left edge to the first label, mm")
    top = _measure("From the upper edge to the first label, mm")
    across = _measure("From the left of one label to the left of the next, mm")
    down = _measure("From the top of one label to the top of the next, mm")

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        given = [name for name in MEASURES if values.get(name) is not None]
        if given and not self.errors:
            for name in MEASURES:
                if name not in given:
                    self.add_error(name, "A sheet needs all of its measures; none at all where there is no such sheet.")
        return values

    @property
    def sheet(self) -> dict[str, float]:
        values = self.cleaned_data
        return {name: values[name] for name in MEASURES} if values.get("width") is not None else {}
