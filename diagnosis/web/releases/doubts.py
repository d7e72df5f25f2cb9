"""Where not to trust a network: what its figures themselves say, what was never measured, what spoils it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from diagnosis.web.releases.charts import known
from diagnosis.web.releases.figures import GRADES, Report, groups_word, listing, number, share, signed
from mlcore.reading import words

#: From these losses of malignant AUROC on, a corruption is pointed out, and called serious.
LOSS, SERIOUS_LOSS = 0.03, 0.1
FEW_GROUPS = 20  # an interval over fewer resampled groups is itself uncertain
OFTEN_MISSED = 0.5  # recall below which a class is named among the limits
SELDOM_CAUGHT = 0.8  # a kind of foreign pictures that is noticed less often than this is named
TELLING_COLOUR = 0.85  # malignant AUROC of colours alone from which on figures may rest on the stain
WORST = 4  # corruptions named

#: Corruption → what happens to the picture.
CORRUPTIONS = {
    "blur": "Blur",
    "jpeg": "Strong JPEG compression",
    "brightness": "Brightness",
    "contrast": "Contrast",
    "colour": "Colour shift",
    "stain": "Stain shift",
    "scale_down": "Smaller scale",
    "scale_up": "Larger scale",
    "off_centre": "Off-centre framing",
    "background": "Other background",
    "noise": "Camera noise",
}

Doubt = dict[str, str]  # level, title, detail


def doubts(report: Report) -> list[Doubt]:
    """The reasons for caution, worst first; the card's own limits stand beside them."""
    found = [*_of_data(report), *_of_classes(report), *_of_pictures(report)]
    return sorted(found, key=lambda doubt: ("alarm", "doubt", "info").index(doubt["level"]))


def _of_data(report: Report) -> Iterator[Doubt]:
    data = report.get("data") or {}
    grade, groups = data.get("grade"), data.get("groups")
    warnings = list(report.get("warnings") or ())
    for line in warnings:
        yield _doubt("Please note:", line)
    if grade in ("C", "D"):
        detail = "The same patient may stand on both sides of the split: expect less on patients of your own."
        yield _doubt("Patients are not told apart in its data.", detail, GRADES[grade][1])
    elif groups and groups < FEW_GROUPS and not any(f"only {groups} groups" in line for line in warnings):
        title = f"Only {groups} {groups_word(report, groups)}."
        yield _doubt(title, "Intervals that rest on so few are themselves uncertain.")
    colour = (((report.get("networks") or {}).get("colour") or {}).get("malignant_auroc") or {}).get("value")
    if known(colour) and colour >= TELLING_COLOUR:
        detail = f"Colours without any shape reach a malignant AUROC of {number(colour)}: good figures may owe much to "
        yield _doubt("Colour alone tells much.", f"{detail}the stain and say little of another laboratory’s slides.")


def _of_classes(report: Report) -> Iterator[Doubt]:
    per_class = report.get("per_class") or {}
    rare = [name for name, line in per_class.items() if not line.get("assessable", True)]
    rare += [name for name in (report.get("data") or {}).get("absent_classes") or () if name not in rare]
    if rare:
        yield _doubt("Not assessable:", f"{listing(rare)}, with fewer than 20 labelled pictures each.")
    missed = [
        f"{words(name)} ({share(line['recall'], 0)} found)"
        for name, line in per_class.items()
        if line.get("assessable", True) and known(line.get("recall")) and line["recall"] < OFTEN_MISSED
    ]
    if missed:
        yield _doubt("Often missed:", f"{', '.join(missed)}.")


def _of_pictures(report: Report) -> Iterator[Doubt]:
    losses = ((line.get("medium", {}).get("loss_of_auroc"), name) for name, line in _corruptions(report).items())
    costly = sorted(((loss, name) for loss, name in losses if known(loss) and loss > LOSS), reverse=True)
    if costly:
        worst = [f"{_within(CORRUPTIONS.get(name, words(name)))} (−{loss:.2f})" for loss, name in costly[:WORST]]
        yield _doubt("Poor pictures:", f"malignant AUROC falls most by {', '.join(worst)}.")
    missed = [
        f"{name} ({share(line['caught'], 0)})"
        for name, line in ((report.get("novelty") or {}).get("against") or {}).items()
        if known(line.get("caught")) and line["caught"] < SELDOM_CAUGHT
    ]
    if missed:
        yield _doubt("Does not always notice pictures it cannot know;", f"the share noticed: {', '.join(missed)}.")
    unknown = [
        said
        for part, said in (
            ("robustness", "what poor pictures cost it"),
            ("novelty", "which foreign pictures it notices"),
        )
        if not report.get(part)
    ]
    if unknown:
        yield _doubt("Not stated here:", f"{' and '.join(unknown)}.", "info")


def _doubt(title: str, detail: str, level: str = "doubt") -> Doubt:
    return {"level": level, "title": title, "detail": detail}


def _within(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _corruptions(report: Report) -> dict[str, dict[str, dict[str, float | None]]]:
    return (report.get("robustness") or {}).get("corruptions") or {}


def robustness(report: Report) -> dict[str, Any] | None:
    """One line for each corruption: malignant AUROC and its loss at each severity, with a sign where it is large."""
    corruptions = _corruptions(report)
    if not corruptions:
        return None
    part = report["robustness"]
    return {
        "images": part.get("images"),
        "clean": number((part.get("clean") or {}).get("malignant_auroc")),
        "mean_loss": number(part.get("mean_loss_medium")),
        "lines": [
            {
                "title": CORRUPTIONS.get(name, words(name)),
                "cells": [_cell(line.get(severity) or {}) for severity in ("mild", "medium", "severe")],
            }
            for name, line in corruptions.items()
        ],
    }


def _cell(at: dict[str, float | None]) -> dict[str, str]:
    loss = at.get("loss_of_auroc")
    level = "" if not known(loss) or loss <= LOSS else "alarm" if loss > SERIOUS_LOSS else "doubt"
    change = signed(-loss, number) if known(loss) else "–"
    return {"auroc": number(at.get("malignant_auroc")), "change": change, "level": level}
