"""Which diagnoses to offer first: what fits the evidence, and what the person signed lately. A hint, never a choice.

Each rule names the evidence that it needs; none says that a diagnosis is so.
"""

from __future__ import annotations

from typing import Any

from accounts.models import Laboratory, User
from diagnosis.models import Case, ClinicalData, Report

LOOKED_BACK = 20  # reports
MOST = 6

#: Code of a flag → diagnoses that it makes one think of.
_FLAGS = {
    "promyelocytes": ("9866/3",),
    "blasts_20": ("9861/3", "9811/3", "9837/3"),
    "malignant_pattern_20": ("9861/3", "9866/3"),
    "malignant_fields": ("9811/3", "9837/3"),
    "plasma_cells": ("9733/3", "9732/3"),
    "immature_cells": ("9875/3", "reactive"),
}
#: Code of a cytogenetic finding → the diagnosis that it defines.
_CYTOGENETICS = {
    "t_15_17": "9866/3",
    "t_8_21": "9896/3",
    "inv_16": "9871/3",
    "kmt2a": "9897/3",
    "t_6_9": "9865/3",
    "mecom": "9869/3",
    "t_9_22": "9875/3",
    "del_5q": "9986/3",
    "t_8_14": "9687/3",
    "t_11_14": "9673/3",
}
#: Class, least share of the cells, diagnoses.
_SHARES = (("lymphocyte", 0.6, ("9823/3", "reactive")), ("monocyte", 0.2, ("9945/3",)), ("blast", 0.05, ("9983/3",)))


def fitting(case: Case, clinical: ClinicalData | None) -> list[str]:
    """Codes that the case's evidence makes one think of, the most telling first; at most `MOST`."""
    found: list[str] = (
        [_CYTOGENETICS[code] for code in clinical.cytogenetics if code in _CYTOGENETICS] if clinical else []
    )
    assessment: dict[str, Any] = case.assessment or {}
    for flag in assessment.get("flags", []):
        found += _FLAGS.get(flag["code"], ())
    shares = {line["label"]: line["share"] for line in assessment.get("differential", [])}
    for label, least, codes in _SHARES:
        if shares.get(label, 0) >= least:
            found += codes
    if not any(flag["level"] == "alarm" for flag in assessment.get("flags", [])):
        found += ["normal", "reactive"]
    return list(dict.fromkeys(found))[:MOST]


def recent(user: User, laboratory: Laboratory) -> list[str]:
    """Codes of the person's last reports in the laboratory, the newest first; at most three."""
    signed = Report.objects.filter(signed_by=user, case__laboratory=laboratory).order_by("-id")
    codes = signed.values_list("content__diagnosis__code", flat=True)[:LOOKED_BACK]
    return list(dict.fromkeys(codes))[:3]
