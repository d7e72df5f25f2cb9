"""Releases with a report beside them, for tests of the pages that show one. Every report is invented."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mlcore.bundle import MALIGNANT, TASKS
from tests.mlcore.report_sample import interval, sample

FIELDS = {"benign": 100, "early_pre_b": 197, "pre_b": 192, "pro_b": 149}
ONE_KIND = "all pictures are labelled malignant, so nothing can be told apart"


def digest_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def cell_report() -> dict[str, Any]:
    return sample()


def field_report() -> dict[str, Any]:
    """Of fields: four classes, blocks instead of patients, no blast share."""
    report = sample()
    names = list(FIELDS)
    counts = [[98, 2, 0, 0], [1, 196, 0, 0], [0, 0, 192, 0], [0, 0, 1, 148]]
    total = sum(FIELDS.values())
    blocks = []
    for number in range(1, 33):
        called = 20 if number > 5 else number % 2
        share = {
            "labelled": float(number > 5),
            "predicted": called / 20,
            "low": 0.83 * called / 20,
            "high": 0.17 + 0.83 * called / 20,
        }
        blocks.append(
            {
                "group": f"block-{number:02d}",
                "images": 20,
                "malignant": {"labelled": 20 if number > 5 else 0, "predicted": called},
                "nucleated": None,
                "blast_share": None,
                "pattern_share": None,
                "malignant_share": share,
            }
        )
    report["identity"] |= {
        "bundle": "field-mobilenet",
        "task": "field",
        "classes": names,
        "malignant_classes": sorted(MALIGNANT["field"]),
        "group_column": "block",
    }
    report["data"] |= {
        "images": total,
        "groups": len(blocks),
        "grade": "C",
        "grade_words": "Groups stand in for patients that are not named.",
        "per_class": {name: {"images": n, "groups": 8} for name, n in FIELDS.items()},
        "per_group": [],
        "mapped": {},
    }
    report["per_class"] = {
        name: {
            "n": n, "groups": 8, "assessable": True, "precision": 0.99, "recall": counts[i][i] / n,
            "specificity": 0.998, "f1": 0.991, "auroc": 0.9997,
        }
        for i, (name, n) in enumerate(FIELDS.items())
    }  # fmt: skip
    report["confusion"] = {
        "classes": names,
        "counts": counts,
        "row_percent": [[100 * count / sum(row) for count in row] for row in counts],
    }
    return report | {
        "patients": blocks,
        "blast_share": None,
        "pattern_share": None,
        "malignant_auroc": interval(0.9995, 0.0004),
        "accuracy": interval(0.9937, 0.006),
    }


def external_report() -> dict[str, Any]:
    """As `evaluate` writes it on another laboratory's pictures, all of them malignant: most parts are not there."""
    report = sample()
    nothing = {"value": None, "low": None, "high": None, "why": ONE_KIND}
    point = {"sensitivity": None, "specificity": None, "threshold": None, "low": None, "high": None, "why": ONE_KIND}
    own = report["networks"]["mobilenet"] | {"malignant_auroc": nothing, "specificity": nothing}
    return report | {
        "basis": "external",
        "basis_words": "Pictures that no network here has learnt from.",
        "warnings": ["All pictures are labelled malignant: how well the two kinds are told apart cannot be said."],
        "malignant_auroc": nothing,
        "malignant_auprc": nothing,
        "networks": {"mobilenet": own},
        "differences": [],
        "sensitivity_at_specificity": dict.fromkeys(("0.90", "0.95", "0.99"), point),
        "specificity_at_sensitivity": dict.fromkeys(("0.90", "0.95", "0.99"), point),
        "roc": None,
        "operating": report["operating"] | {"specificity": nothing, "prevalence": []},
        "calibration": report["calibration"] | {"before": None},
        "use": {"decision_curve": [], "risk_coverage": report["use"]["risk_coverage"], "rule": None},
        "folds": [],
        "folds_summary": {},
        "curves": [],
        **dict.fromkeys(("search", "robustness", "novelty", "explanation", "cost", "paper", "card")),
    }


def lay(folder: Path, report: dict[str, Any], *, network: str = "mobilenet", version: str = "2.0.0") -> dict[str, Any]:
    """Put `report` into `folder` as the bundle of a release carries it; the values of that release come back."""
    task = report["identity"]["task"]
    digest = digest_of(f"{task} {network} {version} {folder}")
    report["identity"] |= {"network": network, "version": version, "digest": digest}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report))
    card = {
        "task": task,
        "network": network,
        "classes": list(TASKS[task]),
        "malignant_classes": sorted(MALIGNANT[task]),
    }
    return {
        "task": task, "network": network, "version": version, "digest": digest, "bundle": str(folder), "card": card,
    }  # fmt: skip
