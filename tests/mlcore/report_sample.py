"""An invented evaluation report with every key of the format, for tests of what reads one. Nothing here was measured.

`python -m tests.mlcore.report_sample` prints it as JSON.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

COUNTS = {
    "basophil": 6,
    "blast": 620,
    "eosinophil": 18,
    "erythroblast": 71,
    "immature_granulocyte": 34,
    "lymphocyte": 655,
    "monocyte": 210,
    "neutrophil": 341,
    "plasma_cell": 4,
    "platelet": 9,
    "promyelocyte": 112,
    "smudge_cell": 520,
}
CELL = list(COUNTS)
MALIGNANT = ("blast", "promyelocyte")
HEADLINE = {
    "accuracy": 0.842,
    "balanced_accuracy": 0.648,
    "macro_f1": 0.651,
    "mcc": 0.801,
    "malignant_auroc": 0.976,
    "malignant_auprc": 0.951,
    "ece": 0.014,
    "brier": 0.229,
}
CORRUPTIONS = [
    "blur",
    "jpeg",
    "brightness",
    "contrast",
    "colour",
    "stain",
    "scale_down",
    "scale_up",
    "off_centre",
    "background",
    "noise",
]


def interval(value: float, width: float = 0.02) -> dict[str, float]:
    low, high = max(value - width, 0.0), min(value + 0.8 * width, 1.0)
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}


def confusion() -> np.ndarray:
    """(12, 12) counts, truth in rows, whose rows sum to COUNTS."""
    rng = np.random.default_rng(3)
    rows = []
    for i, n in enumerate(COUNTS.values()):
        share = rng.dirichlet(np.full(len(CELL), 0.25)) * 0.18
        share[i] += 0.82
        rows.append(rng.multinomial(n, share / share.sum()))
    return np.array(rows)


def patients() -> list[dict[str, Any]]:
    rng = np.random.default_rng(5)
    found = []
    for number in range(1, 25):
        nucleated = int(rng.integers(30, 160))
        labelled = float(rng.beta(0.9, 1.4))
        predicted = float(np.clip(labelled + rng.normal(0, 0.04), 0, 1))
        half = 1.96 * math.sqrt(max(predicted * (1 - predicted), 0.01) / nucleated)
        low, high = max(predicted - half, 0), min(predicted + half, 1)
        share = {"labelled": labelled, "predicted": predicted, "low": low, "high": high}
        found.append(
            {
                "group": f"P{number:02d}",
                "images": nucleated + int(rng.integers(2, 40)),
                "nucleated": nucleated,
                "blast_share": {name: round(value, 4) for name, value in share.items()},
                "pattern_share": {name: round(value, 4) for name, value in share.items()},
                "promyelocyte_share": {"labelled": 0.0, "predicted": 0.02, "low": 0.0, "high": 0.06},
                "malignant": {"labelled": round(labelled * nucleated), "predicted": round(predicted * nucleated)},
                "decision": {"labelled": labelled >= 0.2, "predicted": predicted >= 0.2},
            }
        )
    return found


def curves(epochs: int = 12) -> list[dict[str, Any]]:
    found = []
    for epoch in range(1, epochs + 1):
        left = math.exp(-epoch / 3)
        row: dict[str, Any] = {"epoch": epoch}
        for side, floor, best in (("train", 0.55, 0.93), ("validation", 0.72, 0.84)):
            row[side] = {
                "loss": round(floor + 1.6 * left, 4),
                "accuracy": round(best - 0.5 * left, 4),
                "precision": round(best - 0.18 - 0.4 * left, 4),
                "recall": round(best - 0.16 - 0.45 * left, 4),
                "specificity": round(0.985 - 0.05 * left, 4),
            }
        found.append(row)
    return found


def bins(lean: float) -> list[dict[str, Any]]:
    """15 bins of the top probability; `lean` is by how much confidence exceeds accuracy. Empty bins have nulls."""
    found: list[dict[str, Any]] = []
    for i in range(15):
        n = 0 if i < 3 else 20 * i * i
        middle = (i + 0.5) / 15
        found.append(
            {
                "low": round(i / 15, 4),
                "high": round((i + 1) / 15, 4),
                "n": n,
                "confidence": round(middle, 4) if n else None,
                "accuracy": round(max(middle - lean * math.sin(math.pi * middle), 0.0), 4) if n else None,
            }
        )
    return found


def operating_points(moving: str, fixed: str, reached: tuple[float, float, float]) -> dict[str, dict[str, float]]:
    found = {}
    for target, value in zip(("0.90", "0.95", "0.99"), reached, strict=True):
        found[target] = {
            moving: value,
            fixed: float(target) + 0.001,
            "threshold": round(1.2 - float(target), 3),
            "low": round(value - 0.05, 3),
            "high": round(min(value + 0.03, 1.0), 3),
        }
    return found


def per_class(counts: np.ndarray) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for i, (name, n) in enumerate(COUNTS.items()):
        hit, told = int(counts[i, i]), int(counts[:, i].sum())
        others = int(counts.sum()) - n
        recall, precision = hit / n, hit / told if told else None
        found[name] = {
            "n": n,
            "groups": min(24, 1 + n // 12),
            "assessable": n >= 20,
            "precision": None if precision is None else round(precision, 4),
            "recall": round(recall, 4),
            "specificity": round((others - told + hit) / others, 4),
            "f1": round(2 * hit / (n + told), 4),
            "auroc": round(0.9 + 0.09 * recall, 4) if n >= 20 else None,
        }
    return found


def sample() -> dict[str, Any]:
    """A complete report of the `cell` task, new on every call, so that a test may change it."""
    counts = confusion()
    rng = np.random.default_rng(8)
    total = int(counts.sum())
    everyone = patients()
    removed = [round(x / 10, 1) for x in range(11)]
    step = np.arange(0.05, 1.0, 0.05)
    prevalence = 732 / total
    return {
        "format": 2,
        "banner": "Research use only – not for diagnostic use.",
        "basis": "out-of-fold",
        "warnings": [],
        "basis_words": "Every picture was read by a network that had seen no picture of the same patient.",
        **{name: interval(value) for name, value in HEADLINE.items()},
        "sensitivity_at_specificity": operating_points("sensitivity", "specificity", (0.937, 0.889, 0.731)),
        "specificity_at_sensitivity": operating_points("specificity", "sensitivity", (0.943, 0.871, 0.702)),
        "patients": everyone,
        "blast_share": {
            "mean_absolute_error": interval(0.043, 0.01),
            "bias": interval(0.008, 0.008),
            "agreement_20": interval(0.951, 0.04),
            "patients": len(everyone),
            "line": 0.2,
        },
        "pattern_share": {
            "mean_absolute_error": interval(0.037, 0.01),
            "bias": interval(0.006, 0.008),
            "agreement_20": interval(0.963, 0.04),
            "patients": len(everyone),
            "line": 0.2,
        },
        "identity": {
            "bundle": "cell-mobilenet",
            "task": "cell",
            "network": "mobilenet",
            "version": "2.0.0",
            "digest": "5e" * 32,
            "classes": CELL,
            "malignant_classes": list(MALIGNANT),
            "code": "c0" * 32,
            "data_digest": "da" * 32,
            "seed": 0,
            "settings": {"epochs": 12, "batch": 64, "learning_rate": 0.0007, "weight_decay": 0.02},
            "starting_weights": "ImageNet (torchvision IMAGENET1K_V1)",
            "parameters": 2222188,
            "manifest": "manifest.csv",
            "group_column": "patient_id",
            "command": "python -m mlcore validate --task cell --network mobilenet --manifest cells/manifest.csv",
            "made": "2026-01-15",
            "siblings": [{"bundle": "cell-cnn", "version": "2.0.0", "digest": "ab" * 32}],
        },
        "data": {
            "images": total,
            "groups": len(everyone),
            "grade": "A",
            "grade_words": "Split by patient: no patient stands on both sides.",
            "per_class": {c: {"images": n, "groups": min(24, 1 + n // 12)} for c, n in COUNTS.items()},
            "per_group": [
                {"group": p["group"], "images": p["images"], "per_class": {"blast": 9, "lymphocyte": p["images"] - 9}}
                for p in everyone
            ],
            "duplicates": {"exact": 2, "near": 5, "set_aside": 7},
            "absent_classes": [],
            "mapped": {"lymphoblast": "blast"},
            "left_out": {"artefact": 3},
            "unreadable": [{"path": "blast/P03_0009.jpg", "why": "cut off at 62 %"}],
        },
        "networks": {
            name: {
                **{
                    figure: interval(value - minus if figure not in ("ece", "brier") else value + minus)
                    for figure, value in HEADLINE.items()
                },
                "sensitivity_at_specificity_95": interval(0.889 - 2 * minus, 0.05),
            }
            for name, minus in {"cnn": 0.012, "mobilenet": 0.0, "both": -0.006, "colour": 0.31}.items()
        },
        "differences": [
            {"a": "mobilenet", "b": "cnn", "figure": "malignant_auroc", "value": 0.012, "low": 0.003, "high": 0.021},
            {"a": "mobilenet", "b": "cnn", "figure": "macro_f1", "value": 0.012, "low": -0.009, "high": 0.034},
            {"a": "mobilenet", "b": "colour", "figure": "malignant_auroc", "value": 0.31, "low": 0.27, "high": 0.35},
        ],
        "operating": {
            "threshold": 0.412,
            "chosen": "Best sum of sensitivity and specificity among thresholds with a specificity of at least 0.95.",
            "sensitivity": interval(0.884, 0.06),
            "specificity": interval(0.957, 0.015),
            "prevalence": [
                {
                    "prevalence": p,
                    "ppv": round(0.884 * p / (0.884 * p + 0.043 * (1 - p)), 4),
                    "npv": round(0.957 * (1 - p) / (0.957 * (1 - p) + 0.116 * p), 4),
                }
                for p in (0.01, 0.05, 0.1, 0.2, 0.5)
            ],
        },
        "roc": {
            "sensitivity": [0.0, 0.71, 0.81, 0.889, 0.937, 0.985, 1.0],
            "specificity": [1.0, 0.99, 0.975, 0.951, 0.901, 0.7, 0.0],
        },
        "per_class": per_class(counts),
        "confusion": {
            "classes": CELL,
            "counts": counts.tolist(),
            "row_percent": (100 * counts / counts.sum(axis=1, keepdims=True)).round(1).tolist(),
        },
        "folds": [
            {
                "fold": fold,
                "images": total // 5,
                "groups": 5,
                "figures": {name: round(value + float(rng.normal(0, 0.012)), 4) for name, value in HEADLINE.items()},
            }
            for fold in range(1, 6)
        ],
        "folds_summary": {name: {"mean": value, "sd": 0.012} for name, value in HEADLINE.items()},
        "search": {
            "study": "cell-mobilenet",
            "trials": [
                {
                    "number": i,
                    "state": ("complete", "pruned", "complete", "complete", "fail")[i % 5],
                    "value": None
                    if i % 5 == 4
                    else round(0.93 + 0.03 * (1 - math.exp(-i / 5)) * float(rng.random()), 4),
                    "params": {"learning_rate": round(float(10 ** rng.uniform(-4, -2)), 5), "label_smoothing": 0.05},
                    "seconds": round(float(rng.uniform(90, 400)), 1),
                }
                for i in range(16)
            ],
            "best": {"number": 13, "value": 0.957, "params": {"learning_rate": 0.0007, "label_smoothing": 0.05}},
            "seconds": 3920.0,
            "space": {"learning_rate": [0.0001, 0.01], "label_smoothing": [0.0, 0.1]},
            "objective": "the mean of malignant AUROC and macro-F1 on the validation groups",
            "direction": "maximize",
        },
        "curves": curves(),
        "calibration": {
            "temperature": 1.18,
            "before": {"ece": 0.041, "brier": 0.236, "nll": 0.548, "bins": bins(0.08)},
            "after": {"ece": 0.014, "brier": 0.229, "nll": 0.521, "bins": bins(0.015)},
        },
        "use": {
            "decision_curve": [
                {
                    "threshold": round(float(t), 2),
                    "net_benefit": round(prevalence * 0.93 - 0.03 * t / (1 - t), 4),
                    "all": round(prevalence - (1 - prevalence) * t / (1 - t), 4),
                    "none": 0.0,
                }
                for t in step
            ],
            "risk_coverage": [
                {
                    "coverage": round(float(c), 2),
                    "risk": round(0.158 * float(c) ** 2.2, 4),
                    "threshold": round(1 - c, 2),
                }
                for c in np.linspace(0.1, 1, 19)
            ],
            "rule": {
                "words": "A person reads the picture when the two networks disagree or neither is surer than 0.60.",
                "coverage": 0.81,
                "risk": 0.071,
                "risk_without": 0.158,
                "malignant_missed": 0.021,
                "networks": ["mobilenet", "cnn"],
            },
        },
        "robustness": {
            "corruptions": {
                name: {
                    severity: {
                        "malignant_auroc": round(0.976 - loss, 4),
                        "accuracy": round(0.842 - 1.7 * loss, 4),
                        "macro_f1": round(0.651 - 1.9 * loss, 4),
                        "loss_of_auroc": round(loss, 4),
                    }
                    for severity, loss in zip(
                        ("mild", "medium", "severe"), np.cumsum(rng.uniform(0.0, 0.035, 3)).tolist(), strict=True
                    )
                }
                for name in CORRUPTIONS
            },
            "clean": {name: HEADLINE[name] for name in ("malignant_auroc", "accuracy", "macro_f1")},
            "images": 800,
            "mean_loss": {"mild": 0.014, "medium": 0.031, "severe": 0.055},
            "mean_loss_medium": 0.031,
        },
        "novelty": {
            "threshold": 0.98,
            "false_alarms": 0.021,
            "ordinary": {"images": total, "median": 0.5, "words": "Of ordinary pictures so many do, the false alarms:"},
            "against": {
                "not blood": {"auroc": 0.993, "caught": 0.962, "images": 400, "words": "textures, text, gradients"},
                "rendered pictures": {"auroc": 0.941, "caught": 0.701, "images": 400, "words": "drawn cells"},
                "another microscope": {"auroc": 0.912, "caught": 0.644, "images": 400, "words": "a changed camera"},
            },
        },
        "explanation": {
            "deletion": {
                "shares": removed,
                "by_map": [round(0.93 * math.exp(-4 * x) + 0.05, 3) for x in removed],
                "by_chance": [round(0.93 * math.exp(-1.3 * x) + 0.02, 3) for x in removed],
            },
            "images": 200,
            "words": "Blanking what the map marks lowers the probability faster than blanking at random.",
        },
        "cost": {
            "parameters": 2222188,
            "bytes": 4501234,
            "milliseconds_per_image": 11.4,
            "images_per_s": 88.0,
            "peak_memory_mb": 312.0,
            "engine": "ONNX Runtime",
            "threads": 1,
            "machine": "one core of an x86-64 server",
        },
        "paper": {
            "words": "The paper trained both networks for 50 epochs and reports figures of training pictures.",
            "rows": [
                {
                    "figure": "training accuracy, MobileNet",
                    "paper": 0.9985,
                    "ours": 0.93,
                    "comparable": "Not a result: a training figure says nothing about new patients.",
                },
                {
                    "figure": "validation precision",
                    "paper": 0.907,
                    "ours": 0.66,
                    "comparable": "Loosely: other pictures, other classes and a split by picture.",
                },
                {
                    "figure": "sensitivity at specificity 0.95",
                    "paper": "drawn over 50 epochs",
                    "ours": 0.889,
                    "comparable": "Only by eye: the paper gives a drawing and no number.",
                },
            ],
            "lines": {"accuracy": [["paper, training", 0.9985]], "precision": [["paper, validation", 0.907]]},
        },
        "card": {
            "intended_use": "Research on typing nucleated cells in stained blood smears, beside a person who decides.",
            "not_for": "Diagnosis, screening of healthy people, or any decision about treatment.",
            "training_data": "Invented pictures of 24 patients with acute leukaemia.",
            "terms": "None: the pictures do not exist.",
            "limits": [
                "No healthy donors: it cannot tell healthy from ill.",
                "One hospital and one microscope.",
                "Basophil, eosinophil, plasma cell and platelet have too few pictures to be assessed.",
            ],
        },
    }


if __name__ == "__main__":
    print(json.dumps(sample(), indent=1, allow_nan=False))
