"""What clinical data say beside the smear: reference ranges, and where they and the images do not fit together.

Pure functions; nothing here changes an assessment. Networks, people and other instruments are compared, never mixed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from diagnosis.assessment.rules import not_counted
from diagnosis.assessment.statistics import wilson
from diagnosis.assessment.words import percent, span
from diagnosis.clinical import QUANTITIES, shown
from diagnosis.models import ClinicalData, Patient
from diagnosis.vocabulary import CYTOGENETICS

#: B. J. Bain, I. Bates and M. A. Laffan (eds.), Dacie and Lewis Practical Haematology, 12th edition (2017), chapter 2:
#: means with two standard deviations. Ages in full years, the upper one not included; sex None: both. Between 12 and
#: 17 the values change with puberty and below 1 year by the week, so that no range is given there.
RANGES: dict[str, tuple[tuple[int, int, str | None, float, float], ...]] = {
    "wbc": ((1, 2, None, 6, 16), (2, 6, None, 5, 15), (6, 12, None, 5, 13), (18, 150, None, 4, 10)),
    "haemoglobin": (
        (1, 2, None, 11.1, 14.1),
        (2, 6, None, 11, 14),
        (6, 12, None, 11.5, 15.5),
        (18, 150, "male", 13, 17),
        (18, 150, "female", 12, 15),
    ),
    "platelets": ((1, 2, None, 200, 550), (2, 6, None, 200, 490), (6, 12, None, 170, 450), (18, 150, None, 150, 410)),
    "blasts": ((1, 150, None, 0, 0),),  # none belongs into peripheral blood
}
RANGE_SOURCE = "Dacie and Lewis, Practical Haematology, 12th edition. Your laboratory's own ranges come first."

#: A case's cells must be so many before their share is held against the counter's.
ENOUGH_REVIEWED = 10
_LINE = 20.0  # percent of blasts: acute leukaemia (WHO 5th edition, ICC)
#: Findings that make an acute leukaemia whatever the share of blasts: WHO 5th edition (Leukemia 2022; 36: 1703).
DEFINING = {
    "t_15_17": "acute promyelocytic leukaemia",
    "t_8_21": "acute myeloid leukaemia",
    "inv_16": "acute myeloid leukaemia",
    "kmt2a": "acute leukaemia",
    "t_6_9": "acute myeloid leukaemia",
    "mecom": "acute myeloid leukaemia",
}
_UNLIKELY = 0.2  # probability of blood cancer below which a defining finding contradicts the images


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the blood count, ready to be shown. `level`: "", "low" or "high" against `range_words`."""

    name: str
    value: str
    unit: str
    level: str
    range_words: str  # "13–17, men"; empty where no range is known


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that a person should look at. `level`: alarm, doubt or info, as flags have it."""

    level: str
    title: str
    detail: str


def age_at(born: date | None, on: date) -> int | None:
    """Full years of age on a day; None without a birth date."""
    return None if born is None else on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def figures(data: ClinicalData, patient: Patient, *, on: date) -> list[Figure]:
    """The figures of the blood count that are known, each against the range of the patient's sex and age on `on`."""
    age = age_at(patient.birth_date, data.counted_on or on)
    return [_figure(name, value, age, patient.sex) for name in QUANTITIES if (value := getattr(data, name)) is not None]


def _figure(name: str, value: float, age: int | None, sex: str) -> Figure:
    what = QUANTITIES[name]
    found = _range(name, age, sex)
    if found is None:
        return Figure(what.name, shown(value), what.unit, "", "")
    low, high, for_whom = found
    level = "low" if value < low else "high" if value > high else ""
    words = "none" if high == 0 else f"{shown(low)}–{shown(high)}"
    return Figure(what.name, shown(value), what.unit, level, f"{words}{f', {for_whom}' if for_whom else ''}")


def _range(name: str, age: int | None, sex: str) -> tuple[float, float, str] | None:
    if age is None:
        return None
    rows = [row for row in RANGES[name] if row[0] <= age < row[1]]
    if not rows:
        return None
    of_sex = [row for row in rows if row[2] in (None, sex)]
    if of_sex:
        _, _, for_sex, low, high = of_sex[0]
        return low, high, {"male": "men", "female": "women"}.get(for_sex or "", "")
    # Sex not recorded: only what neither range holds stands out.
    return min(row[3] for row in rows), max(row[4] for row in rows), "either sex"


def no_range_words(patient: Patient, *, on: date) -> str:
    """Why no reference range is shown; empty where there is one."""
    age = age_at(patient.birth_date, on)
    if age is None:
        return "No reference range: the birth date is not recorded."
    if age < 1 or 12 <= age < 18:
        return "No reference range is shown below 1 year and from 12 to 17: use your laboratory's own."
    return ""


def remarks(
    data: ClinicalData,
    *,
    specimen: str,
    assessment: Mapping[str, Any],
    reviewed: Sequence[str],
) -> list[Remark]:
    """Where the clinical data and the smear, or the data among themselves, do not fit; alarms first.

    `assessment`: `Case.assessment`; `reviewed`: the class that a person gave to each single cell, one entry a cell.
    """
    found = [*_genetics(data, assessment), *_blasts(data, specimen, reviewed), *_markers(data, assessment)]
    return sorted(found, key=lambda remark: ("alarm", "doubt", "info").index(remark.level))


def _genetics(data: ClinicalData, assessment: Mapping[str, Any]) -> Iterator[Remark]:
    codes = list(data.cytogenetics)
    if "t_15_17" in codes:
        yield Remark(
            "alarm",
            "PML::RARA: acute promyelocytic leukaemia",
            "Whatever the smear's share of blasts. Urgent: coagulation status, and treatment today.",
        )
    defining = [code for code in codes if code in DEFINING]
    probability = (assessment.get("malignant") or {}).get("value")
    if defining and probability is not None and probability < _UNLIKELY:
        yield Remark(
            "doubt",
            f"{CYTOGENETICS[defining[0]]} defines {DEFINING[defining[0]]}",
            f"The networks' readings of these images give a probability of {percent(probability)}. Genetics weighs "
            f"more: check that smear and result belong to the same person and day.",
        )
    if "normal" in codes and len(codes) > 1:
        yield Remark(
            "doubt",
            "Normal karyotype beside a finding",
            "Both hold where a change was found by FISH or PCR only; say so in the text, or take one out.",
        )


def _blasts(data: ClinicalData, specimen: str, reviewed: Sequence[str]) -> Iterator[Remark]:
    counted = [label for label in reviewed if label not in not_counted(specimen)]
    if data.blasts is None or specimen != "peripheral_blood" or len(counted) < ENOUGH_REVIEWED:
        return
    blasts, n = counted.count("blast"), len(counted)
    low, high = wilson(blasts, n)
    by_eye = 100 * blasts / n
    outside = not 100 * low <= data.blasts <= 100 * high
    crosses = (data.blasts >= _LINE) != (by_eye >= _LINE)
    if outside and (crosses or abs(data.blasts - by_eye) >= 10):
        yield Remark(
            "doubt",
            f"Counter and review differ: {shown(data.blasts)} % and {percent(blasts / n)} blasts",
            f"People called {blasts} of {n} reviewed white cells blasts (95 % interval {span(low, high)}). Counters "
            f"mistake blasts for lymphocytes and monocytes, and images can be a selection: count by hand.",
        )


def _markers(data: ClinicalData, assessment: Mapping[str, Any]) -> Iterator[Remark]:
    there = {marker for marker, state in data.immunophenotype.items() if state in ("positive", "dim")}
    if {"Kappa", "Lambda"} <= there:
        yield Remark(
            "doubt",
            "Kappa and lambda are both positive",
            "One clone has one light chain: a mixed population, or a slip. Check the flow report.",
        )
    flags = {flag.get("code") for flag in assessment.get("flags", ())}
    if "malignant_fields" in flags and "MPO" in there:
        yield Remark(
            "doubt",
            "MPO is positive; the fields look lymphoblastic to the networks",
            "The networks know B-lineage stages only. MPO speaks for myeloid or mixed lineage, and weighs more.",
        )
    if "promyelocytes" in flags and data.cytogenetics and "t_15_17" not in data.cytogenetics:
        yield Remark(
            "doubt",
            "Promyelocytes predominate, and PML::RARA is not among the findings",
            "A cryptic or variant RARA fusion is possible: make sure that it was looked for by FISH or PCR.",
        )
