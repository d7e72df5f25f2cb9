"""Figures of a report in words: a value, its interval, what it means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from diagnosis.web.releases.charts import known
from mlcore.bundle import MALIGNANT
from mlcore.reading import words

Report = Mapping[str, Any]


def share(value: float | None, digits: int = 1) -> str:
    """0.8745 → "87.5 %"; what is nearly all is not called all: 0.9981 → "99.8 %" with no digit asked for."""
    return f"{_fixed(value * 100, digits, 100)} %" if known(value) else "–"


def number(value: float | None) -> str:
    """0.97612 → "0.976", 0.99973 → "0.9997"."""
    return _fixed(value, 3, 1) if known(value) else "–"


def points(value: float | None) -> str:
    """A difference of two shares in percentage points: 0.0432 → "4.3 points"."""
    return f"{_fixed(value * 100, 1, None)} points" if known(value) else "–"


def counted(count: int | None) -> str:
    """2571 → "2,571"; nothing for none."""
    return f"{count:,}" if count else ""


def _fixed(value: float, digits: int, whole: int | None) -> str:
    """`value` with so many digits, and one or two more where it would otherwise read as none or as the `whole`."""
    enough = (more for more in range(digits, digits + 3) if round(value, more) not in (0, whole))
    said = f"{abs(value):.{next(enough, digits) if whole else digits}f}"
    return f"−{said}" if value < 0 and float(said) else said


@dataclass(frozen=True)
class Meaning:
    title: str
    words: str
    form: Callable[[float | None], str]
    rising: bool = True  # 1 is best, and a drawing from 0 to 1 says how far off it is


#: The figures that a report may state, in the order in which pages show them.
FIGURES: dict[str, Meaning] = {
    "sensitivity": Meaning("Sensitivity", "of the malignant ones, the share that is found at the set threshold", share),
    "specificity": Meaning("Specificity", "of all others, the share that raises no alarm at the set threshold", share),
    "sensitivity_at_specificity_95": Meaning(
        "Sensitivity at specificity 0.95", "when five in a hundred false alarms are allowed", share
    ),
    "malignant_auroc": Meaning(
        "Malignant AUROC", "how well malignant is ranked above the rest; 0.5 is chance, 1 perfect", number
    ),
    "malignant_auprc": Meaning("Malignant AUPRC", "the same where malignant ones are rare; 1 is perfect", number),
    "accuracy": Meaning("Accuracy", "the share of pictures whose class is named right", share),
    "balanced_accuracy": Meaning("Balanced accuracy", "the same, every class counting alike", share),
    "macro_f1": Meaning("Macro-F1", "precision and recall together, every class counting alike", number),
    "mcc": Meaning("Matthews correlation", "agreement beyond chance; 0 is chance, 1 perfect", number),
    "ece": Meaning(
        "Calibration error", "how far stated probabilities are from what comes true; 0 is best", number, rising=False
    ),
    "brier": Meaning("Brier score", "squared error of the probabilities; 0 is best", number, rising=False),
}
HEADLINE = ("sensitivity", "specificity", "malignant_auroc", "accuracy", "macro_f1", "ece")

NETWORKS = {"cnn": "CNN", "mobilenet": "MobileNet", "both": "Both together", "colour": "Colour alone"}
UNITS = {"cell": "cells", "field": "fields"}
#: What a group is, by the grade of the split; grade C by the name of its column.
GROUPS = {"A": "patients", "B": "slides", "D": "pictures"}
COLUMNS = {"block": "blocks"}
#: Grade of a split → (what must not be split, tone of its pill).
GRADES = {
    "A": ("split by patient", "calm"),
    "B": ("split by slide", "calm"),
    "C": ("split by pseudo-group", "doubt"),
    "D": ("split by image only", "alarm"),
}
#: Of the paired differences, those that stand open on the page.
COMPARED = ("malignant_auroc", "sensitivity_at_specificity_95", "accuracy", "macro_f1")


@dataclass(frozen=True)
class Shown:
    """One figure as a page shows it; the ends are shares of the drawing beside it."""

    words: str
    interval: str = ""
    why: str = ""  # where there is no value
    value: float | None = None
    low: float | None = None
    high: float | None = None


def shown(figure: Mapping[str, Any] | float | None, form: Callable[[float | None], str] = number) -> Shown:
    """`{value, low, high}`, or a bare value, in words; `{value: null, why}` gives a dash and the reason."""
    if not isinstance(figure, Mapping):
        figure = {"value": figure}
    value, low, high = (figure.get(key) for key in ("value", "low", "high"))
    if not known(value):
        return Shown("–", why=figure.get("why", ""))
    if not (known(low) and known(high)):
        return Shown(form(value), value=value)
    between = " to " if low < 0 else "–"
    return Shown(form(value), f"{form(low).split(' ')[0]}{between}{form(high)}", "", value, low, high)


def own_figures(report: Report) -> dict[str, Mapping[str, Any]]:
    """Every figure of `FIGURES` that the report states of the network it is about."""
    of_network = (report.get("networks") or {}).get(report["identity"].get("network"), {})
    operating = report.get("operating") or {}
    found = {}
    for name in FIGURES:
        figure = report.get(name) or operating.get(name) or of_network.get(name)
        if isinstance(figure, Mapping):
            found[name] = figure
    return found


def groups_word(report: Report, count: int | None = None) -> str:
    grade, column = (report.get("data") or {}).get("grade"), report["identity"].get("group_column")
    word = GROUPS.get(grade or "") or COLUMNS.get(column or "", "groups")
    return word.removesuffix("s") if count == 1 else word


def listing(labels: Iterable[str]) -> str:
    """Classes as a person lists them: "blast and promyelocyte"."""
    said = [words(label) for label in labels]
    return " and ".join(filter(None, (", ".join(said[:-1]), said[-1]))) if said else ""


def malignant_words(report: Report) -> str:
    """ "blasts and promyelocytes", "early pre-B, pre-B and pro-B fields"."""
    identity = report["identity"]
    classes = identity.get("malignant_classes") or sorted(MALIGNANT[identity["task"]])
    if identity["task"] == "field":
        return f"{listing(classes)} fields"
    return listing(f"{name}s" for name in classes)


def differences(report: Report) -> dict[str, list[dict[str, Any]]]:
    """Paired differences, the ones that count first; one whose interval holds zero could be chance."""
    found: dict[str, list[dict[str, Any]]] = {"first": [], "rest": []}
    for line in report.get("differences") or ():
        meaning = FIGURES.get(line["figure"])
        title, form = (meaning.title, meaning.form) if meaning else (words(line["figure"]), number)
        form = points if form is share else form
        low, high = line.get("low"), line.get("high")
        clear = known(low) and known(high) and (low > 0 or high < 0)
        found["first" if line["figure"] in COMPARED else "rest"].append(
            {
                "figure": title,
                "between": f"{NETWORKS.get(line['a'], line['a'])} less {NETWORKS.get(line['b'], line['b'])}",
                "value": signed(line.get("value"), form),
                "interval": f"{signed(low, form)} to {signed(high, form)}" if known(low) and known(high) else "",
                "clear": clear,
            }
        )
    return found


def signed(value: float | None, form: Callable[[float | None], str]) -> str:
    """A difference with its sign: "+0.012", "−1.3 points"."""
    if not known(value):
        return "–"
    return f"{'−' if value < 0 else '+'}{form(abs(value))}"
