"""The drawings of a report: training curves, reliability, patients, abstention, use, deletion."""

from __future__ import annotations

from typing import Any

from diagnosis.web.releases.charts import SMALL, Chart, Range, bounds, known
from diagnosis.web.releases.figures import Report, groups_word, number, share

WHOLE: Range = (0.0, 1.0)
LINE = 0.2  # share of blasts from which WHO and ICC speak of acute leukaemia
CURVES = (
    ("loss", "Loss"),
    ("accuracy", "Accuracy"),
    ("precision", "Precision"),
    ("recall", "Recall"),
    ("specificity", "Specificity"),
)


def percent(value: float) -> str:
    return share(value, 0)


def plain(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def curves(report: Report) -> list[Chart]:
    """One drawing for each figure of the epochs, training dashed and validation solid."""
    epochs = report.get("curves") or []
    found = []
    for name, title in CURVES:
        sides = {
            side: [(row["epoch"], (row.get(side) or {}).get(name)) for row in epochs]
            for side in ("train", "validation")
        }
        values = [value for points in sides.values() for _, value in points if known(value)]
        if not values:
            continue
        last = sides["validation"][-1][1]
        chart = Chart(
            f"curve-{name}",
            title,
            f"{title} by epoch, in training and validation; validation ends at {number(last)}.",
            "epoch",
            "",
            (min(row["epoch"] for row in epochs), max(row["epoch"] for row in epochs))
            if len(epochs) > 1
            else (0, epochs[0]["epoch"]),
            bounds(values, within=None if name == "loss" else WHOLE),
            plain,
            plain if name == "loss" else percent,
            size=SMALL,
        )
        chart.line("validation", "first", sides["validation"])
        chart.line("training", "second", sides["train"])
        found.append(chart)
    return found


def reliability(report: Report) -> Chart | None:
    """Stated probability against what came true, before and after temperature."""
    calibration = report.get("calibration") or {}
    if not (calibration.get("after") or {}).get("bins"):
        return None
    after, before = calibration["after"], calibration.get("before") or {}
    chart = Chart(
        "reliability",
        "Stated against true",
        "Share of pictures named right by the probability that the network stated. On the diagonal, what it says is "
        f"what comes true. Calibration error after temperature {number(after.get('ece'))}.",
        "probability stated",
        "named right",
        WHOLE,
        WHOLE,
        percent,
        percent,
    )
    chart.line("perfect", "aid", [(0, 0), (1, 1)])
    for side, words, kind in ((before, "before", "second"), (after, "after", "first")):
        bins = [each for each in side.get("bins") or () if each["n"]]
        chart.line(f"{words} temperature", kind, [(each["confidence"], each["accuracy"]) for each in bins])
        if side is after:
            for each in bins:
                chart.mark(each["confidence"], each["accuracy"], "dot", f"{each['n']} pictures")
    return chart


def patient_shares(report: Report) -> list[dict[str, Any]]:
    """Labelled and predicted share of each group: of blasts for cells, of malignant pictures for fields."""
    found = []
    for patient in report.get("patients") or ():
        of_cells = patient.get("blast_share")
        line = of_cells or patient.get("malignant_share")
        if line and known(line.get("labelled")) and known(line.get("predicted")):
            counted = patient.get("nucleated" if of_cells else "images")
            line = {"group": patient["group"], "counted": counted, "low": None, "high": None} | line
            line["same_side"] = (line["labelled"] >= LINE) == (line["predicted"] >= LINE)
            found.append(line)
    return found


def patients(report: Report) -> Chart | None:
    """None where each group is wholly one or the other: such dots lie upon each other, a table says it better."""
    lines = patient_shares(report)
    if all(line["labelled"] in WHOLE for line in lines):
        return None
    of_cells = report["identity"].get("task") == "cell"
    what = "blasts" if of_cells else "malignant pictures"
    crossed = sum(not line["same_side"] for line in lines)
    chart = Chart(
        "patients",
        f"Share of {what}, {groups_word(report)} by {groups_word(report, 1)}",
        f"Predicted share of {what} against the labelled share, one dot for each of {len(lines)}, "
        "with the 95 % interval of the prediction."
        + (f" {crossed} stand on the other side of the 20 % line than their label." if of_cells else ""),
        f"share of {what}, labelled",
        "predicted",
        WHOLE,
        WHOLE,
        percent,
        percent,
    )
    chart.line("equal", "aid", [(0, 0), (1, 1)])
    chart.dots["dot"] = f"one {groups_word(report, 1)}, with 95 % interval"
    if crossed and of_cells:
        chart.dots["dot crossed"] = "on the other side of the line"
    if of_cells:
        chart.line("20 % line", "limit", [(LINE, 0), (LINE, 1)])
        chart.line("", "limit", [(0, LINE), (1, LINE)])
    for line in lines:
        words = f"{line['group']}: labelled {percent(line['labelled'])}, predicted {percent(line['predicted'])}"
        kind = "dot" if line["same_side"] or not of_cells else "dot crossed"
        chart.mark(line["labelled"], line["predicted"], kind, words, low=line["low"], high=line["high"])
    return chart


def roc(report: Report) -> Chart | None:
    """Sensitivity against false alarms over all thresholds, the one in use marked."""
    points = report.get("roc") or {}
    if not points.get("sensitivity"):
        return None
    operating = report.get("operating") or {}
    chart = Chart(
        "roc",
        "Every threshold",
        "Malignant ones found against false alarms over all thresholds; the dot is the threshold in use.",
        "false alarms among the rest",
        "malignant ones found",
        WHOLE,
        WHOLE,
        percent,
        percent,
    )
    chart.line("chance", "aid", [(0, 0), (1, 1)])
    alarms = [1 - value for value in points["specificity"]]
    chart.line("all thresholds", "first", list(zip(alarms, points["sensitivity"], strict=True)))
    found, calm = ((operating.get(name) or {}).get("value") for name in ("sensitivity", "specificity"))
    if known(found) and known(calm):
        chart.dots["dot"] = "the threshold in use"
        chart.mark(1 - calm, found, "dot", f"in use: {percent(found)} found, {percent(1 - calm)} false alarms")
    return chart


def abstention(report: Report) -> Chart | None:
    """Share of wrong readings among those that are not handed to a person."""
    use = report.get("use") or {}
    points = use.get("risk_coverage") or []
    if not points:
        return None
    rule = use.get("rule") or {}
    risks = [point["risk"] for point in points] + [rule.get("risk")]
    chart = Chart(
        "abstention",
        "Errors left, by how much it reads alone",
        "Share of wrong readings among the pictures that the networks read alone, by the share that they read alone; "
        "the dot is the rule in use.",
        "read without a person",
        "of these, wrong",
        WHOLE,
        (0.0, bounds([0.0, *risks], within=WHOLE)[1]),
        percent,
        share_of(risks),
    )
    chart.line("the surest first", "first", [(point["coverage"], point["risk"]) for point in points])
    if known(rule.get("coverage")) and known(rule.get("risk")):
        chart.dots["dot"] = "the rule in use"
        chart.mark(rule["coverage"], rule["risk"], "dot", "the rule in use")
    return chart


def share_of(values: list[float | None]) -> Any:
    """Whole per cent, or with one digit where the whole axis is short."""
    return percent if max((value for value in values if known(value)), default=1.0) > 0.05 else share


def decision_curve(report: Report) -> Chart | None:
    """Net benefit (Vickers and Elkin, Medical Decision Making 2006) against alarming always or never."""
    points = (report.get("use") or {}).get("decision_curve") or []
    if not points:
        return None
    shown = [point["net_benefit"] for point in points]
    top = bounds([0.0, *shown])[1]
    chart = Chart(
        "decision-curve",
        "Worth of acting on it",
        "Net benefit by the probability from which one would act, against acting on every picture and on none.",
        "probability from which one acts",
        "net benefit",
        WHOLE,
        (min(0.0, bounds([0.0, *shown])[0]), top),
        percent,
        plain,
    )
    chart.line("this network", "first", [(point["threshold"], point["net_benefit"]) for point in points])
    floor = chart.y_range[0]
    every = [(point["threshold"], point["all"]) for point in points if known(point["all"]) and point["all"] >= floor]
    chart.line("act on all", "second", every)
    chart.line("act on none", "aid", [(point["threshold"], point["none"]) for point in points])
    return chart


def deletion(report: Report) -> Chart | None:
    """How fast the probability falls as the picture is blanked by the map, and by chance."""
    curve = (report.get("explanation") or {}).get("deletion") or {}
    if not curve.get("by_map"):
        return None
    by_map, by_chance = (_paired(curve[side], curve.get("shares")) for side in ("by_map", "by_chance"))
    chart = Chart(
        "deletion",
        "Does the heat map show what counts?",
        "Mean probability as more of the picture is blanked, by the heat map first, against blanking by chance.",
        "blanked",
        "probability",
        (0.0, max(x for x, _ in by_map)),
        WHOLE,
        percent,
        percent,
    )
    chart.line("by the heat map", "first", by_map)
    chart.line("by chance", "second", by_chance)
    return chart


def _paired(values: list[Any], shares: list[float] | None) -> list[tuple[float, float]]:
    """(share blanked, probability), from pairs or from two lists."""
    if shares is not None:
        return list(zip(shares, values, strict=True))
    return [(x, y) for x, y in values]
