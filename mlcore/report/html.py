"""One self-contained HTML page from a `report.json`: no script, no request to anywhere, made to be printed as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError

from mlcore.report import plots
from mlcore.report.prose import counted, group_noun, listed, name_of, percent, ranged, summary

FORMAT = 2
TITLES = (
    "Identity",
    "Data",
    "Headline figures",
    "Operating point",
    "Every class",
    "Every patient",
    "Folds and search",
    "Training",
    "Calibration",
    "Use",
    "Robustness",
    "Foreign pictures",
    "Explanation",
    "Cost",
    "Model card",
)
FIGURES = {
    "accuracy": ("accuracy", "share named right"),
    "balanced_accuracy": ("balanced accuracy", "mean recall, every class alike"),
    "macro_f1": ("macro-F1", "mean F1, every class alike"),
    "mcc": ("MCC", "1 perfect, 0 as by chance"),
    "malignant_auroc": ("malignant AUROC", "0.5 as by chance, 1 perfect"),
    "malignant_auprc": ("malignant AUPRC", "depends on how common they are"),
    "sensitivity_at_specificity_95": ("sensitivity at specificity 0.95", "threshold moved"),
    "ece": ("ECE", "calibration error, lower is better"),
    "brier": ("Brier score", "0 to 2, lower is better"),
}
BASES = {
    "out-of-fold": "Measured out of fold",
    "external": "Measured on external pictures",
    "held-out": "Measured on held-out pictures",
    "learnt": "Measured on pictures it learnt from: no result",
}
# Parts that may be null, with what to say where the report itself gives no reason.
MISSING = {
    "colour": "Not measured: no colour-only baseline was read on these pictures.",
    "paper": "No comparison was made for these pictures.",
    "points": "Cannot be stated: these pictures are all malignant or all not.",
    "patients": "Not measured: these pictures name no groups.",
    "folds": "These pictures were read once by the finished network; there are no folds to compare.",
    "search": "No search of settings stands in this report.",
    "curves": "Training curves belong to the run that made the network; this report was not made from one.",
    "calibration": "Not measured on these pictures.",
    "use": "Not measured on these pictures.",
    "decision": "No decision curve: these pictures are all malignant or all not.",
    "rule": "No rule for abstaining was measured on these pictures: it needs both networks.",
    "robustness": "Not measured in this report: how the network bears spoilt pictures is unknown here.",
    "novelty": "Not measured in this report: whether foreign pictures are noticed is unknown here.",
    "explanation": "The deletion test was not run for this report.",
    "cost": "Time and memory were not measured for this report.",
    "card": "This network has no model card.",
}
MOST = 400  # rows of a table, and groups in a drawing; report.json has all
ELSEWHERE = {"folds", "search", "curves", "robustness", "novelty", "explanation", "cost"}


class ReportError(ValueError):
    """A report that this page cannot show; says why."""


def render(report: Mapping[str, Any]) -> str:
    """The HTML page of a report (the dict of `report.json`, format 2).

    Parts that are null or absent are said in words; `report["missing"][part]` may give the reason.
    Raises ReportError when the format is another or a needed key is not there.
    """
    if report.get("format") != FORMAT:
        raise ReportError(f"this is a report of format {report.get('format')!r}; make it again with this version")
    known_identity = {"siblings": [], **(report.get("identity") or {})}
    parts = (*MISSING, "networks", "blast_share", "pattern_share", "differences", "folds_summary")
    known = dict.fromkeys(parts) | dict(report) | {"identity": known_identity}
    try:
        return _environment().get_template("report.html").render(_context(known))
    except (UndefinedError, KeyError, TypeError, AttributeError) as missing:
        raise ReportError(f"the report is incomplete ({missing}); make it again with `evaluate`") from missing


def _context(report: dict[str, Any]) -> dict[str, Any]:
    noun = group_noun(report)
    networks = report["networks"] or {report["identity"]["network"]: {f: report[f] for f in FIGURES if f in report}}
    networks = {name: of for name, of in networks.items() if of}
    colour = networks.get("colour")
    figures = {key: {"name": name, "meaning": meaning} for key, (name, meaning) in FIGURES.items()}
    titles = list(TITLES)
    titles[5] = f"Every {noun}"
    return {
        "report": report,
        "titles": titles,
        "noun": noun,
        "basis": BASES.get(report["basis"], report["basis"]),
        "figures": figures,
        "networks": networks,
        "rows_of": lambda key: any(key in of for of in networks.values()),
        "colour": colour,
        "points": _points(report),
        "pairs": list(dict.fromkeys((d["a"], d["b"]) for d in report["differences"] or ())),
        "differences": _differences(report),
        "people": _people(report),
        "share_words": "Blast share" if report["blast_share"] else "Share of malignant pictures",
        "tiles": _tiles(report, noun),
        "summary": summary(report),
        "missing": _missing(report),
        "plots": plots,
        "most": MOST,
        "heat": lambda loss: min(max(round(50 * (loss or 0)), 0), 5),  # a step for each 0.02 of AUROC
    }


def _missing(report: Mapping[str, Any]) -> dict[str, str]:
    """What to say of each part that is not there: the report's own reason, else a general one."""
    external = report["basis"] in ("external", "learnt")
    said = {
        part: words + (" The network's own report has it." if external and part in ELSEWHERE else "")
        for part, words in MISSING.items()
    }
    return said | dict(report.get("missing") or {})


def _points(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"fixed": fixed, "target": target, **point}
        for fixed, key in (("specificity", "sensitivity_at_specificity"), ("sensitivity", "specificity_at_sensitivity"))
        for target, point in (report.get(key) or {}).items()
        if point["sensitivity"] is not None
    ]


def _differences(report: Mapping[str, Any]) -> dict[str, dict[tuple[str, str], Any]]:
    """Figure -> the pair of networks that is compared -> their difference."""
    found: dict[str, dict[tuple[str, str], Any]] = {}
    for difference in report["differences"] or ():
        found.setdefault(difference["figure"], {})[difference["a"], difference["b"]] = difference
    return found


def _people(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Groups with a share to show, the highest labelled share first."""
    people = [
        {
            "decision": None,
            "nucleated": None,
            **group,
            "share": group.get("blast_share") or group.get("malignant_share"),
        }
        for group in report["patients"] or []
    ]
    shown = [group for group in people if group["share"] and None not in group["share"].values()]
    return sorted(shown, key=lambda group: (-group["share"]["labelled"], str(group["group"])))


def _tiles(report: Mapping[str, Any], noun: str) -> list[dict[str, str]]:
    """The four numbers a reader takes away, each with its interval and what it rests on."""
    operating, rests = report["operating"], counted(report["data"]["groups"], noun)
    tiles = [
        _tile("Malignant found (sensitivity)", operating["sensitivity"], rests, share=True),
        _tile("Others left alone (specificity)", operating["specificity"], rests, share=True),
        _tile("Malignant AUROC", report["malignant_auroc"], rests, share=False),
    ]
    share = report["blast_share"]
    if not share:
        return [*tiles, _tile("Accuracy", report["accuracy"], rests, share=True)]
    words = f"percentage points{_points_interval(share['mean_absolute_error'])}, {counted(share['patients'], noun)}"
    return [
        *tiles,
        {"name": "Mean error of blast share", "value": _in_points(share["mean_absolute_error"]), "words": words},
    ]


def _tile(name: str, figure: Mapping[str, Any], rests: str, *, share: bool) -> dict[str, str]:
    if figure["value"] is None:
        return {"name": name, "value": "–", "words": figure.get("why") or "cannot be stated from these pictures"}
    low, high = figure.get("low"), figure.get("high")
    shown = percent if share else _number
    interval = "" if low is None or high is None else f"95 % interval {shown(low)} to {shown(high)}, "
    return {"name": name, "value": shown(figure["value"]), "words": interval + rests}


def _number(figure: Mapping[str, Any] | float | None, digits: int = 3) -> str:
    value: float | None = figure["value"] if isinstance(figure, Mapping) else figure
    if value is None:
        return "–"
    return f"{0.0 if round(value, digits) == 0 else value:,.{digits}f}".replace("-", "−")


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _in_points(figure: Mapping[str, Any]) -> str:
    return "–" if figure["value"] is None else f"{100 * figure['value']:.1f}".replace("-", "−")


def _points_interval(figure: Mapping[str, Any]) -> str:
    if figure.get("low") is None:
        return ""
    return f", 95 % interval {100 * figure['low']:.1f} to {100 * figure['high']:.1f}".replace("-", "−")


def _ranged(figure: Mapping[str, Any] | float | str | None) -> str:
    """A share with its interval; words, as the paper's figures may be, as they stand."""
    if figure is None:
        return "not stated"
    if isinstance(figure, str):
        return figure
    if not isinstance(figure, Mapping):
        return percent(figure, 2)
    return ranged(figure) if figure["value"] is not None else figure.get("why") or "not measurable"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)


def _span(value: object) -> str:
    """A searched range: two numbers as from–to, choices by comma."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return _plain(value)
    if len(value) == 2 and all(isinstance(end, int | float) for end in value):
        return f"{_plain(value[0])} to {_plain(value[1])}"
    return ", ".join(map(_plain, value))


def _settings(values: Mapping[str, Any]) -> str:
    known = {name.replace("_", " "): value for name, value in values.items() if value not in ("", None)}
    return "; ".join(f"{name} {_span(value)}" for name, value in known.items())


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("mlcore.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    found.filters |= {
        "number": _number,
        "signed": _signed,
        "whole": _whole,
        "percent": percent,
        "ranged": _ranged,
        "points": _in_points,
        "points_interval": _points_interval,
        "listed": listed,
        "network": name_of,
        "counted": counted,
        "spaced": lambda name: str(name).replace("_", " "),
        "settings": _settings,
        "plain": _plain,
        "span": _span,
        "duration": _duration,
    }
    return found
