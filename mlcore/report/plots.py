"""The charts of an evaluation report, each from its part of `report.json`, as SVG text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlcore.report.prose import name_of
from mlcore.report.svg import Axis, Series, chart, rows

Titled = tuple[str, str]  # what stands above a chart, and its SVG

MUTED, INK = "var(--muted)", "var(--ink)"
CURVES = ("loss", "accuracy", "precision", "recall", "specificity")
SCORES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "mcc": "MCC",
    "malignant_auroc": "malignant AUROC",
    "malignant_auprc": "malignant AUPRC",
}
SIDES = (("train", "training", "dashed", "", MUTED), ("validation", "validation", "solid", "", "var(--accent)"))
MARKERS = {"cnn": "square", "mobilenet": "circle", "both": "diamond", "colour": "cross"}


def curves(epochs: Sequence[Mapping[str, Any]], lines: Mapping[str, Sequence[Any]]) -> list[Titled]:
    """One chart a figure: training against validation over the epochs, and where the paper's curves ended.

    `lines`: figure -> (words, value).
    """
    found = []
    for figure in CURVES:
        series = [
            Series(
                said,
                [(row["epoch"], row[side][figure]) for row in epochs if row[side].get(figure) is not None],
                line=line,
                marker=marker or ("circle" if len(epochs) < 3 else ""),
                colour=colour,
            )
            for side, said, line, marker, colour in SIDES
        ]
        values = [y for one in series for _, y in one.points]
        if not values:
            continue
        rules = [("y", value, words) for words, value in lines.get(figure, ())]
        values += [value for _, value, _ in rules]
        top = max(values) * 1.05 if figure == "loss" else 1.0
        low = 0.0 if figure == "loss" else max(0.0, min(values) - 0.05)
        last = ", ".join(f"{one.name} {one.points[-1][1]:.3f}" for one in series if one.points)
        title = f"{figure.capitalize()} over {len(epochs)} epochs"
        drawn = chart(
            series,
            Axis("epoch", 1, max(len(epochs), 2), whole=True),
            Axis(figure, low, top),
            title=title,
            words=f"At the last epoch: {last}." + "".join(f" {words}: {value:.4f}." for _, value, words in rules),
            rules=rules,
        )
        found.append((title, drawn))
    return found


def headline(networks: Mapping[str, Mapping[str, Any]]) -> str:
    """Every network's scores with their intervals, a row a figure."""
    figures = [figure for figure in SCORES if any(_value(of.get(figure)) is not None for of in networks.values())]
    series = []
    for network, of in networks.items():
        known = [(i, of[figure]) for i, figure in enumerate(figures) if _value(of.get(figure)) is not None]
        series.append(
            Series(
                name_of(network),
                [(i, figure["value"]) for i, figure in known],
                line="",
                marker=MARKERS.get(network, "ring"),
                colour={"colour": MUTED, "cnn": INK}.get(network, "var(--accent)"),
                intervals=[_ends(figure) for _, figure in known],
            )
        )
    lowest = min((low for one in series for low, _ in one.intervals), default=0.0)
    return rows(
        [SCORES[figure] for figure in figures],
        series,
        Axis("value, with 95 % interval", max(0.0, round(lowest - 0.05, 1)), 1.0),
        title="The networks beside one another",
        words="Marks are figures, lines their 95 % intervals from resampling groups; the table has the numbers.",
        width=560,
        label_width=140,
    )


def operating(report: Mapping[str, Any]) -> str:
    """Sensitivity against specificity: the curve where known, the fixed points, and the frozen threshold."""
    roc = report.get("roc")
    at = list((report.get("sensitivity_at_specificity") or {}).values())
    for_sensitivity = list((report.get("specificity_at_sensitivity") or {}).values())
    frozen = report["operating"]
    series = []
    if roc:
        series.append(
            Series("every threshold", list(zip(roc["specificity"], roc["sensitivity"], strict=True)), colour=MUTED)
        )
    series += [
        Series(name, [(p["specificity"], p["sensitivity"]) for p in points], line="", marker=marker, colour=INK)
        for name, points, marker in (
            ("at a fixed specificity", at, "ring"),
            ("at a fixed sensitivity", for_sensitivity, "square"),
        )
    ]
    where = (_value(frozen["specificity"]), _value(frozen["sensitivity"]))
    points = [(where[0], where[1])] if where[0] is not None and where[1] is not None else []
    series.append(Series("frozen threshold", points, line="", marker="diamond"))
    shown = [p for one in series[bool(roc) :] for p in one.points]
    low = [max(0.0, min([p[axis] for p in shown] or [0.5]) - 0.08) for axis in (0, 1)]
    if roc:
        kept = [p for p in series[0].points if p[0] >= low[0] and p[1] >= low[1]]
        series[0] = Series("every threshold", kept, colour=MUTED)
    return chart(
        series,
        Axis("specificity", low[0], 1.0, percent=True),
        Axis("sensitivity", low[1], 1.0, percent=True),
        title="Sensitivity against specificity",
        words="What the thresholds achieve on these pictures; the table has the numbers.",
    )


def per_class(classes: Mapping[str, Mapping[str, Any]]) -> str:
    """Recall and precision of every class with its n; a class that is not assessable has no marks but says so."""
    labels, recall, precision = [], [], []
    for i, (name, of) in enumerate(classes.items()):
        few = "" if of["assessable"] else ", not assessable"
        labels.append(f"{name.replace('_', ' ')} (n {of['n']}{few})")
        if of["assessable"]:
            recall += [(i, of["recall"])] if of["recall"] is not None else []
            precision += [(i, of["precision"])] if of["precision"] is not None else []
    return rows(
        labels,
        [
            Series("recall", recall, line="", marker="circle"),
            Series("precision", precision, line="", marker="square", colour=INK),
        ],
        Axis("share", percent=True),
        title="Recall and precision of every class",
        words="Classes with fewer than 20 pictures have no marks: they are not assessable.",
        width=560,
        label_width=250,
    )


def patients(people: Sequence[Mapping[str, Any]], share: str, line: float | None, group: str) -> str:
    """Predicted against labelled share of every group with its exact interval, and the criterion's line on both."""
    points = [(p[share]["labelled"], p[share]["predicted"]) for p in people]
    rules = [("x", line, f"{100 * line:.0f} %"), ("y", line, f"{100 * line:.0f} %")] if line is not None else []
    return chart(
        [
            Series("equal", [(0, 0), (1, 1)], line="dotted", colour=MUTED),
            Series(
                f"one {group}, 95 % interval",
                points,
                line="",
                marker="circle",
                intervals=[(p[share]["low"], p[share]["high"]) for p in people],
                sizes=[3.0] * len(points),
            ),
        ],
        Axis("labelled share", percent=True),
        Axis("predicted share", percent=True),
        title=f"Predicted against labelled share, {len(points)} {group}s",
        words="The vertical lines are exact binomial 95 % intervals; the table has every row.",
        width=460,
        height=400,
        rules=rules,
    )


def folds(each: Sequence[Mapping[str, Any]], summary: Mapping[str, Mapping[str, float]]) -> str:
    """Every fold's scores as rings, their mean as a diamond."""
    figures = [figure for figure in SCORES if figure in summary]
    rings = [
        (i, fold["figures"][figure])
        for i, figure in enumerate(figures)
        for fold in each
        if fold["figures"].get(figure) is not None
    ]
    low = min([value for _, value in rings] or [0.0])
    return rows(
        [SCORES[figure] for figure in figures],
        [
            Series("one fold", rings, line="", marker="ring", colour=INK),
            Series(
                "mean", [(i, summary[figure]["mean"]) for i, figure in enumerate(figures)], line="", marker="diamond"
            ),
        ],
        Axis("value", max(0.0, round(low - 0.1, 1)), 1.0),
        title=f"Scores of the {len(each)} folds",
        words="How far the figures differ between folds; the table has the numbers.",
        width=460,
        label_width=140,
    )


def search(trials: Sequence[Mapping[str, Any]], best: Mapping[str, Any]) -> str:
    """The value of every trial in the order they ran."""
    known = [trial for trial in trials if trial["value"] is not None]
    values = [trial["value"] for trial in known] or [0.0]
    room = 0.06 * (max(values) - min(values)) or 0.01
    kinds = (("finished", "complete", "circle", INK), ("stopped early", "pruned", "cross", MUTED))
    series = [
        Series(
            said,
            [(trial["number"], trial["value"]) for trial in known if trial["state"].lower() == state],
            line="",
            marker=marker,
            colour=colour,
        )
        for said, state, marker, colour in kinds
    ]
    series.append(Series("best", [(best["number"], best["value"])], line="", marker="diamond"))
    return chart(
        series,
        Axis("trial", -0.5, max(trial["number"] for trial in trials) + 0.5, whole=True),
        Axis("value sought", min(values) - room, max(values) + room),
        title=f"Search history, {len(trials)} trials",
        words=f"The best is trial {best['number']} with {best['value']:.4f}.",
        width=460,
    )


def reliability(calibration: Mapping[str, Any]) -> list[Titled]:
    """Accuracy against confidence before and after the temperature; the bars show how many pictures a bin holds."""
    found = []
    for side, said in (("before", "Before"), ("after", "After")):
        of = calibration[side]
        bins = [b for b in of["bins"] if b["n"]]
        most = max([b["n"] for b in bins] or [1])
        title = f"{said} temperature: ECE {of['ece']:.3f}"
        drawn = chart(
            [
                Series("perfect", [(0, 0), (1, 1)], line="dotted", colour=INK),
                Series("accuracy of a bin", [(b["confidence"], b["accuracy"]) for b in bins], marker="circle"),
            ],
            Axis("confidence", percent=True),
            Axis("accuracy", percent=True),
            title=title,
            words=f"Grey bars: pictures in a bin, the tallest {most}.",
            columns=[(b["low"], b["high"], 0.35 * b["n"] / most) for b in bins],
            height=280,
        )
        found.append((title, drawn))
    return found


def decision_curve(points: Sequence[Mapping[str, float]]) -> str:
    """Net benefit over the threshold probability (Vickers and Elkin 2006), against treating all and none."""
    top = max(max(p["net_benefit"], p["all"]) for p in points) * 1.1
    kinds = (
        ("this network", "net_benefit", "solid", "var(--accent)"),
        ("flag every picture", "all", "dashed", INK),
        ("flag none", "none", "dotted", MUTED),
    )
    floor = -0.15 * top
    return chart(
        [
            Series(said, [(p["threshold"], p[key]) for p in points if p[key] >= floor], line=line, colour=colour)
            for said, key, line, colour in kinds
        ],
        Axis("threshold probability", percent=True),
        Axis("net benefit", floor, top or 1.0),
        title="Decision curve",
        words="Higher is better. The network is of use where its line lies above both others.",
    )


def risk_coverage(use: Mapping[str, Any]) -> str:
    """Share of wrong opinions among those given, over the share of pictures an opinion is given for."""
    points, rule = use["risk_coverage"], use.get("rule")
    series = [Series("surest pictures first", [(p["coverage"], p["risk"]) for p in points])]
    if rule and rule.get("coverage") is not None:
        series.append(
            Series("the rule in use", [(rule["coverage"], rule["risk"])], line="", marker="diamond", colour=INK)
        )
    top = max([y for one in series for _, y in one.points]) * 1.1
    return chart(
        series,
        Axis("share of pictures with an opinion", percent=True),
        Axis("share of those wrong", 0.0, top or 0.01, percent=True),
        title="Risk against coverage",
        words="Abstaining on the least sure pictures lowers the share of wrong opinions.",
    )


def novelty(against: Mapping[str, Mapping[str, Any]]) -> str:
    """AUROC of the novelty score and share caught, a row a kind of foreign picture."""
    return rows(
        [f"{name.replace('_', ' ')} (n {of['images']})" for name, of in against.items()],
        [
            Series(
                "share caught",
                [(i, of["caught"]) for i, of in enumerate(against.values())],
                line="",
                marker="square",
                colour=INK,
            ),
            Series("AUROC", [(i, of["auroc"]) for i, of in enumerate(against.values())], line="", marker="circle"),
        ],
        Axis("value"),
        title="How well foreign pictures are told from the training's",
        words="The table has the numbers.",
        width=520,
        label_width=220,
    )


def deletion(of: Mapping[str, Sequence[float]]) -> str:
    """Mean probability of the leading class while a growing share of the picture is removed."""
    return chart(
        [
            Series("what the map marks first", list(zip(of["shares"], of["by_map"], strict=True)), marker="circle"),
            Series(
                "at random",
                list(zip(of["shares"], of["by_chance"], strict=True)),
                line="dashed",
                marker="square",
                colour=INK,
            ),
        ],
        Axis("share of the picture removed", 0.0, max(of["shares"]) or 1.0, percent=True),
        Axis("mean probability", percent=True),
        title="Deletion test",
        words="A map that means something makes its line fall faster than removal at random.",
    )


def _ends(figure: Mapping[str, Any]) -> tuple[float, float]:
    """The interval, or the value alone where nothing could be resampled."""
    value = figure["value"]
    low, high = figure["low"], figure["high"]
    return (value if low is None else low, value if high is None else high)


def _value(figure: Mapping[str, Any] | float | None) -> float | None:
    if isinstance(figure, Mapping):
        return figure.get("value")
    return figure
