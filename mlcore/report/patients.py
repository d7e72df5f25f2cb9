"""Figures of patients instead of pictures: the blast share that a pathologist would count, and who reaches 20 %."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import betaincinv

from mlcore.metrics import Resampling
from mlcore.report.evidence import Evidence, missing
from mlcore.report.headline import Measured

LINE = 0.20  # of nucleated cells, from which acute leukaemia is called (WHO and ICC 2022)
NOT_NUCLEATED = frozenset({"platelet", "smudge_cell"})  # no cell of the differential, or none whose kind can be told


def patients(evidence: Evidence) -> list[dict[str, Any]]:
    """One entry for each group, in the order of their names.

    Cells are counted by their leading class, as at the microscope: the blast share is that of the nucleated cells
    (platelets and smudge cells are not counted, promyelocytes apart), with its exact binomial interval (Clopper and
    Pearson 1934), which speaks of the cells that were counted and not of errors of reading. The pattern share counts
    the promyelocytes with the blasts, as in acute promyelocytic leukaemia. For fields the share is that of pictures at
    or above the frozen threshold.
    """
    found = []
    called = evidence.score >= (0.5 if evidence.threshold is None else evidence.threshold)
    positive, every_told = evidence.positive, evidence.told
    names = np.array(evidence.classes)
    for group, rows in evidence.by_group().items():
        malignant = {"labelled": int(positive[rows].sum()), "predicted": int(called[rows].sum())}
        entry: dict[str, Any] = {"group": group, "images": len(rows), "malignant": malignant}
        if evidence.task == "cell":
            counted, read = names[evidence.labels[rows]], names[every_told[rows]]
            entry["nucleated"] = int((~np.isin(counted, list(NOT_NUCLEATED))).sum())
            entry["blast_share"] = _share(counted, read, "blast")
            entry["pattern_share"] = _share(counted, read, "blast", "promyelocyte")
            entry["promyelocyte_share"] = _share(counted, read, "promyelocyte")
            entry["decision"] = {side: _reaches(entry["blast_share"][side]) for side in ("labelled", "predicted")}
        else:
            count = len(rows)
            entry["nucleated"] = None
            entry["blast_share"] = None
            entry["pattern_share"] = None
            entry["malignant_share"] = {
                "labelled": malignant["labelled"] / count,
                **_exact(malignant["predicted"], count),
            }
        found.append(entry)
    return found


def _share(labelled: np.ndarray, told: np.ndarray, *names: str) -> dict[str, Any]:
    """The share of some classes among the nucleated cells, of cells labelled so and of cells told so."""
    nucleated = labelled[~np.isin(labelled, list(NOT_NUCLEATED))]
    read = told[~np.isin(told, list(NOT_NUCLEATED))]
    return {
        "labelled": float(np.isin(nucleated, names).mean()) if len(nucleated) else None,
        **_exact(int(np.isin(read, names).sum()), len(read)),
    }


def _exact(hits: int, count: int) -> dict[str, float | None]:
    if not count:
        return {"predicted": None, "low": None, "high": None}
    low = betaincinv(hits, count - hits + 1, 0.025) if hits else 0.0
    high = betaincinv(hits + 1, count - hits, 0.975) if hits < count else 1.0
    return {"predicted": hits / count, "low": float(low), "high": float(high)}


def _reaches(share: float | None) -> bool | None:
    return None if share is None else share >= LINE


def apart(share: str, entries: list[dict[str, Any]], resampling: Resampling, measured: Measured) -> dict[str, Any]:
    """How far the predicted share is from the labelled one, over patients; resampled like everything else.

    `resampling` must number the groups in the order of `entries`, as `Resampling.of` does.
    """
    known = np.array([_both(entry[share]) for entry in entries])
    counts = resampling.counts * known
    labelled, predicted = (
        np.array([entry[share][side] if ok else 0.0 for entry, ok in zip(entries, known, strict=True)])
        for side in ("labelled", "predicted")
    )
    agree = (labelled >= LINE) == (predicted >= LINE)
    found: dict[str, Any] = {"patients": int(known.sum()), "line": LINE}
    per_patient = {
        "mean_absolute_error": np.abs(predicted - labelled),
        "bias": predicted - labelled,
        "agreement_20": agree.astype(float),
    }
    for name, values in per_patient.items():
        if not known.any():
            found[name] = missing("no group holds a nucleated cell")
            continue
        with np.errstate(invalid="ignore"):
            drawn = (counts @ values) / counts.sum(axis=1)
        found[name] = measured.within(float(values[known].mean()), drawn)
    return found


def _both(share: dict[str, Any]) -> bool:
    return share["labelled"] is not None and share["predicted"] is not None
