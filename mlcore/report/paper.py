"""The figures of the paper behind this project and of others' work, beside ours, with what the comparison is worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlcore.metrics import at_specificity, confusion_counts, macro, operating_points
from mlcore.report.evidence import Evidence

WORDS = (
    "The paper behind this project trained both networks for 50 epochs and gives figures of the training pictures: a "
    "network that has learnt its pictures by heart reaches them too. The paper's accuracies and precisions cannot all "
    "be true of one threshold."
)
OURS = " Ours are of pictures that the network did not learn from."
_TRAINING = "No: the paper's figure is of training pictures and says nothing of new ones."
_VALIDATION = 0.9070
_DRAWN = "drawn over 50 epochs"
_CURVE = "Only by eye: the paper gives a drawing and no number."
_OTHER_DATA = "Loosely: other pictures of the same question"


def paper(evidence: Evidence, *, learnt: bool = False) -> dict[str, Any]:
    """What the paper says beside what was measured here, and what the comparison is worth.

    `rows` of figure, the paper's value or words, ours, comparability and source; `lines`: figure -> (words, the
    paper's value after 50 epochs), for the drawings of training. A figure of one network stands in its report alone.
    `learnt`: whether the evidence is of pictures that the network learnt from.
    """
    means = macro(confusion_counts(evidence.labels, evidence.told, len(evidence.classes)))
    networks = {"cnn": ("CNN", 1.0), "mobilenet": ("MobileNet", 0.9985)}
    rows, lines = [], {"precision": [("paper, validation", _VALIDATION)]}
    if evidence.network in networks:
        name, reported = networks[evidence.network]
        rows.append(_row(f"accuracy, {name}", reported, means["accuracy"], _TRAINING))
        lines["accuracy"] = [("paper, training", reported)]
    if evidence.network == "mobilenet":
        rows.append(_row("precision (mean over classes), MobileNet", 0.7755, means["precision"], _TRAINING))
        lines["precision"].append(("paper, training", 0.7755))
    rows += [
        _row(
            "precision (mean over classes), validation",
            _VALIDATION,
            means["precision"],
            "Partly: held-out pictures, but split by picture, so that one patient may be on both sides.",
        ),
        _row("recall (mean over classes)", _DRAWN, means["recall"], _CURVE),
    ]
    if evidence.two_kinds:
        points = operating_points(evidence.positive, evidence.score)
        sensitivity = at_specificity(points, 0.95).sensitivity
        rows.append(_row("sensitivity at specificity 0.95", _DRAWN, sensitivity, _CURVE))
    rows.append(_row("confusion matrix", "drawn", "part 4, in counts and row per cent", _CURVE))
    return {"words": WORDS + ("" if learnt else OURS), "rows": rows + _anchors(evidence, means), "lines": lines}


def _anchors(evidence: Evidence, means: dict[str, float]) -> list[dict[str, Any]]:
    """Published figures for the same questions, from data that nobody here has seen."""
    if evidence.task == "field":
        reported = {"cnn": 0.986, "mobilenet": 0.9969}.get(evidence.network)
        return [
            _row(
                "accuracy, ALL fields split by picture",
                reported,
                means["accuracy"],
                "Partly: the same kind of pictures, but split by picture instead of by group.",
                "arXiv 2501.14228",
            )
        ]
    rows = [
        _row("macro-F1, 13 cell types by patient", 0.64, means["f1"], f"{_OTHER_DATA}.", "WBCBench 2026, baseline"),
    ]
    if evidence.two_kinds:
        points = operating_points(evidence.positive, evidence.score)
        at = {level: at_specificity(points, level).sensitivity for level in (0.80, 0.66)}
        area = float(np.trapezoid([p.sensitivity for p in points], [1 - p.specificity for p in points]))
        rows += [
            _row("AUROC, lymphoblast or normal cell", 0.913, area, f"{_OTHER_DATA}.", "C-NMC, arXiv 2606.24944"),
            _row("sensitivity at specificity 0.80", 0.87, at[0.80], f"{_OTHER_DATA}.", "C-NMC, arXiv 2606.24944"),
            _row(
                "sensitivity for blasts at specificity 0.66",
                0.83,
                at[0.66],
                f"{_OTHER_DATA}; an analyser before a person reclassifies.",
                "CellaVision DM96, PMID 28333407",
            ),
        ]
    return rows


def _row(
    figure: str, paper: float | str | None, ours: float | str, comparable: str, source: str = "the paper"
) -> dict[str, Any]:
    return {"figure": figure, "paper": paper, "ours": ours, "comparable": comparable, "source": source}
