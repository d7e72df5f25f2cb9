"""The summary of an evaluation report in plain sentences: what for, how good, on whom, where not to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

WEAK_RECALL = 0.6  # below it a class is named among those that are often missed
NOTABLE_LOSS = 0.03  # malignant AUROC that a medium corruption may cost before it is named
NOTABLE_COLOUR = 0.85  # malignant AUROC of colours alone from which on the figures may rest on the stain
SELDOM_CAUGHT = 0.8  # kinds of foreign pictures that are caught less often than this are named

READS = {"cell": "one nucleated cell", "field": "a microscope field"}
NETWORKS = {"cnn": "SmearCNN", "mobilenet": "MobileNetV2", "both": "both together", "colour": "colour alone"}


def name_of(network: str) -> str:
    return NETWORKS.get(network, network)


def group_noun(report: Mapping[str, Any]) -> str:
    """What one group is: patient, slide, block, picture, else group."""
    by_grade = {"A": "patient", "B": "slide", "D": "picture"}
    column = "block" if report["identity"].get("group_column") == "block" else "group"
    return by_grade.get(report["data"]["grade"], column)


def counted(number: int, noun: str = "picture") -> str:
    """ "1 picture", "12,061 pictures"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %".replace("-", "−")


def listed(names: Sequence[str]) -> str:
    """`a, b and c`, with underscores as spaces."""
    shown = [name.replace("_", " ") for name in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def ranged(figure: Mapping[str, Any]) -> str:
    """`84.2 % (95 % interval 82.2–85.8)`."""
    value = percent(figure["value"])
    if figure.get("low") is None:
        return value
    return f"{value} (95 % interval {100 * figure['low']:.1f}–{100 * figure['high']:.1f})"


def summary(report: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Four headings, each with its sentences; what was not measured is said so."""
    return [
        ("What it is for", _purpose(report)),
        ("How good it is", _quality(report)),
        ("On whom it was measured", _whom(report)),
        ("Where not to trust it", _caution(report)),
    ]


def _purpose(report: Mapping[str, Any]) -> list[str]:
    identity, card = report["identity"], report["card"] or {}
    return [
        *_sentences(card.get("intended_use")),
        f"{name_of(identity['network'])} looks at {READS.get(identity['task'], 'a picture')} and says which of "
        f"{len(identity['classes'])} classes it is, with a probability for each.",
        f"It raises the malignant flag for {listed(identity['malignant_classes'])}.",
        *(f"It sees: {said}" for said in _sentences(card.get("sees"))),
    ]


def _quality(report: Mapping[str, Any]) -> list[str]:
    operating, found = report["operating"], []
    sensitivity, specificity = operating["sensitivity"], operating["specificity"]
    if sensitivity["value"] is not None and specificity["value"] is not None:
        found += [
            f"Of the pictures with a malignant pattern it flags {ranged(sensitivity)}.",
            f"Of the others it rightly leaves {ranged(specificity)} alone.",
        ]
    else:
        found.append(
            "Whether it finds malignant pictures cannot be said from these: "
            + (sensitivity.get("why") or specificity.get("why") or "one kind is missing.")
        )
    found.append(
        f"It names the right class for {ranged(report['accuracy'])} of the pictures. Counting every class alike, rare "
        f"or common, it finds {ranged(report['balanced_accuracy'])}."
    )
    if report["ece"]["value"] is not None:
        gap = 100 * report["ece"]["value"]
        found.append(f"Its confidence and its being right differ by {gap:.1f} percentage points on average (ECE).")
    share = report["blast_share"]
    if share:
        error, agree, noun = share["mean_absolute_error"], share["agreement_20"], group_noun(report)
        if error["value"] is not None:
            found.append(
                f"The blast share of a {noun} is off by {100 * error['value']:.1f} percentage points on average "
                f"({counted(share['patients'], noun)}); on the side of the 20 % line it agrees for {ranged(agree)}."
            )
            if with_promyelocytes := (report["pattern_share"] or {}).get("mean_absolute_error"):
                found.append(
                    "Where promyelocytes count as blasts, as in acute promyelocytic leukaemia, it is off by "
                    f"{100 * with_promyelocytes['value']:.1f}."
                )
    return found


def _whom(report: Mapping[str, Any]) -> list[str]:
    data, card, noun = report["data"], report["card"] or {}, group_noun(report)
    counted = "" if data["grade"] == "D" else f" of {data['groups']:,} {noun}s"
    found = [report["basis_words"], f"{data['images']:,} pictures{counted}. {data['grade_words']}"]
    if data["absent_classes"]:
        found.append(f"These pictures hold no {listed(data['absent_classes'])}: nothing is known of them here.")
    return found + [f"It learnt from: {said}" for said in _sentences(card.get("training_data"))]


def _caution(report: Mapping[str, Any]) -> list[str]:
    card, noun = report["card"] or {}, group_noun(report)
    found = [*_sentences(report.get("warnings")), *(f"Not for: {said}" for said in _sentences(card.get("not_for")))]
    classes = report["per_class"]
    few = [f"{name} ({of['n']})" for name, of in classes.items() if of["n"] and not of["assessable"]]
    if few:
        found.append(f"Too few pictures to say anything (fewer than 20): {listed(few)}.")
    weak = [
        f"{name} ({percent(of['recall'], 0)} of {of['n']})"
        for name, of in classes.items()
        if of["assessable"] and of["recall"] is not None and of["recall"] < WEAK_RECALL
    ]
    if weak:
        found.append(f"Often missed: {listed(weak)}.")
    if report["robustness"]:
        costly = [
            f"{name} (−{of['medium']['loss_of_auroc']:.3f})"
            for name, of in report["robustness"]["corruptions"].items()
            if (of["medium"]["loss_of_auroc"] or 0) > NOTABLE_LOSS
        ]
        if costly:
            found.append(f"Loses malignant AUROC on pictures with medium {listed(costly)}.")
    else:
        found.append("What blur, stain or another scale cost was not measured in this report.")
    missed = [
        f"{name} ({percent(of['caught'], 0)})"
        for name, of in ((report["novelty"] or {}).get("against") or {}).items()
        if of["caught"] is not None and of["caught"] < SELDOM_CAUGHT and ": " not in name  # kinds are pooled
    ]
    if missed:
        found.append(f"Does not always notice pictures it cannot know; share noticed: {listed(missed)}.")
    colour = ((report["networks"] or {}).get("colour") or {}).get("malignant_auroc") or {}
    if (colour.get("value") or 0) >= NOTABLE_COLOUR:
        found.append(
            f"Colours alone, without any shape, reach a malignant AUROC of {colour['value']:.3f} here: good figures "
            "may owe much to the stain and say little about another laboratory's slides."
        )
    if report["data"]["grade"] in "CD":
        found.append(
            f"The split is by {noun}, not by patient: one patient may stand on both sides, and the figures may flatter."
        )
    return found + _sentences(card.get("limits"))


def _sentences(said: str | Sequence[str] | None) -> list[str]:
    if said is None:
        return []
    return [said] if isinstance(said, str) else list(said)
