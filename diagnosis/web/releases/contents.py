"""What the model pages show, in the order in which a pathologist asks: how good, on whom, where not to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diagnosis.models import ModelRelease
from diagnosis.web.releases import plots
from diagnosis.web.releases.beside import comparison, data
from diagnosis.web.releases.charts import known
from diagnosis.web.releases.doubts import doubts, robustness
from diagnosis.web.releases.evidence import Evidence
from diagnosis.web.releases.figures import (
    FIGURES,
    Report,
    differences,
    groups_word,
    malignant_words,
    number,
    own_figures,
    points,
    share,
    shown,
)

#: Task → what it reads, and the question it is to answer.
TASKS = {
    "cell": ("Single cells", "What is this cell, and what share of the nucleated cells are blasts?"),
    "field": ("Microscope fields", "Is this acute lymphoblastic leukaemia, and which stage?"),
}
#: Part of a report → what it would say; one that is not there is named.
PARTS = {
    "patients": "every single patient",
    "folds": "cross-validation",
    "search": "the search for its settings",
    "curves": "training curves",
    "calibration": "calibration",
    "use": "when a person is asked",
    "robustness": "poor pictures",
    "novelty": "pictures unlike its training",
    "explanation": "whether its heat maps tell the truth",
    "paper": "the paper’s figures",
    "cost": "time and memory",
    "card": "its card",
}
SEARCH_TRIALS = 40  # that the page lists; report.json has all
DECISIONS = 5  # of the decision curve, each fifth point is listed


def release_context(release: ModelRelease, evidence: Evidence, siblings: Sequence[ModelRelease]) -> dict[str, Any]:
    """Everything on the page of one release; a part that its report does not have is None or empty.

    `siblings`: the other active releases of its task; where the report knows of no other network, they stand beside it.
    """
    report = evidence.report
    figures = own_figures(report)
    context = {
        "release": release,
        "siblings": siblings,
        "evidence": evidence,
        "report": report,
        "identity": report["identity"],
        "settings": settings(report["identity"].get("settings") or {}, without=("task", "network")),
        "card": report.get("card") or {},
        "reads": TASKS[release.task][0],
        "question": TASKS[release.task][1],
        "data": data(report),
        "single": groups_word(report, 1),
        "absent": [said for part, said in PARTS.items() if not report.get(part)] if evidence.whole else [],
        "gist": gist(report, figures),
        "doubts": doubts(report),
        "comparison": comparison(release, report, siblings),
        "differences": differences(report),
        "operating": operating(report),
        "per_class": per_class(report),
        "confusion": confusion(report),
        "patients": patients(report),
        "curves": plots.curves(report),
        "calibration": calibration(report),
        "use": use(report),
        "robustness": robustness(report),
        "novelty": novelty(report),
        "deletion": plots.deletion(report),
        "folds": folds(report),
        "search": search(report),
        "paper": paper(report),
        "cost": report.get("cost"),
    }
    parts = (
        ("figures", "Figures", context["comparison"]),
        ("operating", "At the threshold", context["operating"]),
        ("classes", "Class by class", context["per_class"]),
        ("confusion", "What is taken for what", context["confusion"]),
        ("patients", f"{groups_word(report)}".capitalize(), context["patients"]),
        ("calibration", "Calibration", context["calibration"]),
        ("use", "When a person is asked", context["use"]),
        ("robustness", "Poor pictures", context["robustness"]),
        ("novelty", "Unlike its training", context["novelty"]),
        ("maps", "Heat maps", context["deletion"]),
        ("folds", "Folds and search", context["folds"] or context["search"]),
        ("curves", "Training curves", context["curves"]),
        ("paper", "Beside the paper", context["paper"]),
        ("card", "Card and identity", True),
    )
    return context | {"parts": [(key, title) for key, title, has in parts if has]}


def gist(report: Report, figures: dict[str, Any]) -> dict[str, Any]:
    """The answer in five seconds: found and false alarms in a hundred, each with its interval."""
    found, calm = figures.get("sensitivity", {}), figures.get("specificity", {})
    alarms = {
        "value": _less(calm.get("value")),
        "low": _less(calm.get("high")),  # the ends change places
        "high": _less(calm.get("low")),
        "why": calm.get("why", ""),
    }
    return {
        "found": shown(found, lambda value: share(value, 0)),
        "alarms": shown(alarms, lambda value: share(value, 0)),
        "auroc": shown(figures.get("malignant_auroc"), number),
        "accuracy": shown(figures.get("accuracy"), lambda value: share(value, 0)),
        "malignant": malignant_words(report),
    }


def _less(value: float | None) -> float | None:
    return 1 - value if known(value) else None


def operating(report: Report) -> dict[str, Any] | None:
    part = report.get("operating")
    if not part:
        return None

    def achieved(key: str, moving: str, fixed: str) -> list[dict[str, Any]]:
        return [
            {
                "target": target,
                "fixed": share(line.get(fixed)),
                "moving": shown(line | {"value": line.get(moving)}, share),
                "threshold": number(line.get("threshold")),
            }
            for target, line in sorted((report.get(key) or {}).items())
        ]

    return {
        "threshold": number(part.get("threshold")),
        "chosen": part.get("chosen", ""),
        "sensitivity": shown(part.get("sensitivity"), share),
        "specificity": shown(part.get("specificity"), share),
        "prevalence": [
            {"of": share(line["prevalence"], 0), "ppv": share(line.get("ppv")), "npv": share(line.get("npv"))}
            for line in part.get("prevalence") or ()
        ],
        "at_specificity": achieved("sensitivity_at_specificity", "sensitivity", "specificity"),
        "at_sensitivity": achieved("specificity_at_sensitivity", "specificity", "sensitivity"),
        "roc": plots.roc(report),
    }


def per_class(report: Report) -> list[dict[str, Any]]:
    """A line for each class, the frequent ones first; figures only where there are enough pictures."""
    malignant = report["identity"].get("malignant_classes") or ()
    lines = [
        {
            "name": name,
            "malignant": name in malignant,
            "n": line["n"],
            "counted": f"{line['n']:,}",
            "groups": line.get("groups"),
            "assessable": line.get("assessable", True),
            "cells": [share(line.get(each)) for each in ("recall", "precision", "specificity")]
            + [number(line.get(each)) for each in ("f1", "auroc")],
        }
        for name, line in (report.get("per_class") or {}).items()
    ]
    return sorted(lines, key=lambda line: -line["n"])


def confusion(report: Report) -> dict[str, Any] | None:
    """Counts with their share of the row, shaded in tenths."""
    part = report.get("confusion")
    if not part:
        return None
    rows = []
    for i, (name, counts) in enumerate(zip(part["classes"], part["counts"], strict=True)):
        total = sum(counts)
        cells = [
            {
                "count": count,
                "percent": share(count / total, 0) if total and count else "",
                "shade": min(9, int(10 * count / total)) if total and count else "none",
                "right": i == j,
            }
            for j, count in enumerate(counts)
        ]
        rows.append({"name": name, "n": f"{total:,}", "cells": cells})
    return {"classes": part["classes"], "rows": rows}


def patients(report: Report) -> dict[str, Any] | None:
    lines = plots.patient_shares(report)
    if not lines:
        return None
    of_blasts = report.get("blast_share") or {}
    apart = sorted(lines, key=lambda line: -abs(line["predicted"] - line["labelled"]))
    off = [abs(line["predicted"] - line["labelled"]) for line in apart]
    return {
        "chart": plots.patients(report),
        "what": "blasts" if of_blasts else "malignant pictures",
        "of_cells": report["identity"].get("task") == "cell",
        "error": shown(of_blasts.get("mean_absolute_error"), points),
        "error_of_pattern": shown((report.get("pattern_share") or {}).get("mean_absolute_error"), points),
        "bias": shown(of_blasts.get("bias"), points),
        "agreement": shown(of_blasts.get("agreement_20"), share),
        "lines": [
            line
            | {
                "labelled": share(line["labelled"]),
                "predicted": shown({"value": line["predicted"], "low": line["low"], "high": line["high"]}, share),
            }
            for line in apart
        ],
        "off": points(sum(off) / len(off)),
        "most": (points(off[0]), apart[0]["group"]),
        "crossed": sum(not line["same_side"] for line in lines),
    }


def calibration(report: Report) -> dict[str, Any] | None:
    part = report.get("calibration")
    if not part:
        return None
    return {
        "temperature": number(part.get("temperature")),
        "chart": plots.reliability(report),
        "rows": [
            (words, *(number((part.get(side) or {}).get(each)) for each in ("ece", "brier", "nll")))
            for words, side in (("as trained", "before"), ("after temperature", "after"))
        ],
        "bins": [
            {
                "from": share(each["low"], 0),
                "to": share(each["high"], 0),
                "n": each["n"],
                "confidence": share(each["confidence"]),
                "accuracy": share(each["accuracy"]),
            }
            for each in (part.get("after") or {}).get("bins") or ()
            if each["n"]
        ],
    }


def use(report: Report) -> dict[str, Any] | None:
    part = report.get("use")
    if not part:
        return None
    rule = part.get("rule") or {}
    return {
        "words": rule.get("words", ""),
        **{key: share(rule.get(key)) for key in ("coverage", "risk", "risk_without", "malignant_missed")},
        "missed_known": known(rule.get("malignant_missed")),
        "abstention": plots.abstention(report),
        "decision": plots.decision_curve(report),
        "risks": [(share(point["coverage"], 0), share(point["risk"])) for point in part.get("risk_coverage") or ()],
        "benefits": [
            (share(point["threshold"], 0), *(number(point[each]) for each in ("net_benefit", "all", "none")))
            for point in (part.get("decision_curve") or ())[DECISIONS - 1 :: DECISIONS]
        ],
    }


def novelty(report: Report) -> dict[str, Any] | None:
    part = report.get("novelty")
    if not part:
        return None
    return {
        "threshold": share(part.get("threshold"), 0),
        "false_alarms": share(part.get("false_alarms")),
        "against": [
            (name, line.get("words", ""), number(line.get("auroc")), share(line.get("caught"), 0), line.get("images"))
            for name, line in (part.get("against") or {}).items()
        ],
    }


def folds(report: Report) -> dict[str, Any] | None:
    part = report.get("folds")
    if not part:
        return None
    names = [name for name in FIGURES if name in part[0]["figures"]]
    summary = report.get("folds_summary") or {}
    return {
        "heads": [FIGURES[name].title for name in names],
        "rows": [(line, [FIGURES[name].form(line["figures"].get(name)) for name in names]) for line in part],
        "mean": [
            (FIGURES[name].form(line.get("mean")), FIGURES[name].form(line.get("sd")))
            for name in names
            for line in (summary.get(name, {}),)
        ],
    }


def search(report: Report) -> dict[str, Any] | None:
    part = report.get("search")
    if not part:
        return None
    best = part.get("best") or {}
    worse = 1 if part.get("direction") == "minimize" else -1
    trials = part.get("trials") or ()
    trials = sorted(trials, key=lambda trial: (not known(trial["value"]), worse * (trial["value"] or 0)))
    return {
        "count": len(trials),
        "minutes": round((part.get("seconds") or 0) / 60),
        "best": number(best.get("value")),
        "params": settings(best.get("params") or {}),
        "trials": [
            (trial["number"], trial["state"].lower(), number(trial["value"]), settings(trial.get("params") or {}))
            for trial in trials[:SEARCH_TRIALS]
        ],
    }


def settings(params: dict[str, Any], without: Sequence[str] = ()) -> str:
    """Settings as a person lists them; what is not set is left out."""
    said = {True: "yes", False: "no"}
    return ", ".join(
        f"{name.replace('_', ' ')} {said[value] if isinstance(value, bool) else value}"
        for name, value in params.items()
        if value not in (None, "") and name not in without
    )


def paper(report: Report) -> dict[str, Any] | None:
    part = report.get("paper")
    if not part or not part.get("rows"):
        return None

    def said(value: Any, figure: str) -> str:
        if isinstance(value, str):
            return value
        return number(value) if "F1" in figure or "AUROC" in figure else share(value, 2)

    rows = [
        {
            "figure": row["figure"],
            "source": row.get("source", ""),
            "paper": said(row["paper"], row["figure"]),
            "ours": said(row["ours"], row["figure"]),
            "comparable": row["comparable"],
        }
        for row in part["rows"]
    ]
    return {"words": part.get("words", ""), "rows": rows}
