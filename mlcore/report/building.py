"""All parts of an evaluation report put together, and written as JSON and as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlcore.metrics import Resampling
from mlcore.report.data import Data
from mlcore.report.evidence import BANNER, Evidence, both, tidy
from mlcore.report.headline import (
    PREVALENCES,
    Measured,
    by_fold,
    classes,
    differences,
    headline,
    operating,
    trade_offs,
)
from mlcore.report.paper import paper
from mlcore.report.patients import apart, patients
from mlcore.report.prose import counted
from mlcore.report.use import calibration, decision_curve, risk_coverage, rule
from mlcore.whole import save_text

FORMAT = 2
JSON, PAGE = "report.json", "report.html"
BLOCKS = 2000  # of pictures without groups, drawn as one: the intervals of single pictures in bounded memory
LEARNT = "learnt"  # the basis that is no result
CHOSEN = (
    "The threshold with the best sum of sensitivity and specificity among those with a specificity of at least 0.95, "
    "chosen on pictures of other groups and frozen in the card."
)


def build(
    evidence: Evidence,
    *,
    basis: str,
    basis_words: str,
    identity: Mapping[str, Any],
    data: Data,
    card: Mapping[str, Any],
    siblings: Sequence[Evidence] = (),
    colour: np.ndarray | None = None,
    chosen: str = CHOSEN,
    prevalences: Sequence[float] = PREVALENCES,
    curves: Sequence[Mapping[str, Any]] | None = None,
    search: Mapping[str, Any] | None = None,
    robustness: Mapping[str, Any] | None = None,
    novelty: Mapping[str, Any] | None = None,
    explanation: Mapping[str, Any] | None = None,
    cost: Mapping[str, Any] | None = None,
    missing: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    resamples: int = 500,
    seed: int = 0,
) -> dict[str, Any]:
    """The report of one network, as it goes into `report.json`.

    `basis`: "out-of-fold", "external", "held-out" or "learnt" (pictures of the training), and in a sentence
    `basis_words`. `siblings`: the other network of the task on the very same rows; with one the two are also read
    together, as "both". `colour` (N, C): the probabilities of the colour-only baseline. `missing`: part -> why it is
    null. The rest is put in as given. Raises ValueError for a sibling on other rows.
    """
    for sibling in siblings:
        if not evidence.same_rows(sibling):
            raise ValueError(f"{sibling.network} was asked about other pictures than {evidence.network}")
    everyone = {evidence.network: evidence, **{sibling.network: sibling for sibling in siblings}}
    reading = both(evidence, siblings[0]) if len(siblings) == 1 else None
    if reading:
        everyone["both"] = reading
    if colour is not None:
        everyone["colour"] = replace(
            evidence, network="colour", probabilities=colour, logits=None, threshold=None, temperature=None
        )
    resampling = Resampling.of(_drawn_together(evidence, data, seed), resamples, seed)
    measured = {name: Measured(of, resampling) for name, of in everyone.items()}
    own = measured[evidence.network]
    folds, folds_summary = by_fold(evidence)
    entries = [] if data.grade == "D" else patients(evidence)
    return tidy(
        {
            "format": FORMAT,
            "banner": BANNER,
            "basis": basis,
            "basis_words": basis_words,
            "warnings": [*warnings, *_doubts(evidence, data)],
            "identity": identity,
            **headline(own),
            **trade_offs(own),
            "data": data.part(evidence),
            "networks": {name: of.all_figures() for name, of in measured.items()},
            "differences": differences(measured, _pairs(list(measured), evidence.network)),
            "operating": operating(own, chosen, prevalences),
            **classes(evidence),
            "patients": entries,
            **{
                share: apart(share, entries, resampling, own) if entries and evidence.task == "cell" else None
                for share in ("blast_share", "pattern_share")
            },
            "folds": folds or None,
            "folds_summary": folds_summary or None,
            "search": search,
            "curves": curves or None,
            "calibration": calibration(evidence),
            "use": {
                "decision_curve": decision_curve(evidence),
                "risk_coverage": risk_coverage(reading or evidence),
                "rule": rule([evidence, *siblings]),
            },
            "robustness": robustness,
            "novelty": novelty,
            "explanation": explanation,
            "cost": cost,
            "paper": paper(evidence, learnt=basis == LEARNT),
            "card": card,
            "missing": missing or {},
        }
    )


def write(report: Mapping[str, Any], out: Path) -> tuple[Path, Path]:
    """`report.json` and `report.html` in `out`, each whole or not at all; their paths come back."""
    from mlcore.report.html import render  # templates and plots are needed here alone

    written = []
    for name, text in ((JSON, json.dumps(report, indent=1, allow_nan=False) + "\n"), (PAGE, render(report))):
        save_text(out / name, text)
        written.append(out / name)
    return written[0], written[1]


def _pairs(names: Sequence[str], own: str) -> list[tuple[str, str]]:
    """What is compared: both with each network, the networks with one another, and each with colour alone."""
    networks = [own, *(name for name in names if name not in (own, "both", "colour"))]
    pairs = [(own, other) for other in networks[1:]]
    if "both" in names:
        pairs += [("both", name) for name in networks]
    if "colour" in names:
        pairs += [(name, "colour") for name in networks]
    return pairs


def _drawn_together(evidence: Evidence, data: Data, seed: int) -> np.ndarray:
    """(N,) what is drawn as one when resampling: the groups; of pictures without groups, single ones or random blocks.

    The mean over a random block varies like that of as many pictures drawn singly, so intervals stay what they were.
    """
    count = len(evidence.labels)
    if data.grade != "D" or count <= BLOCKS:
        return evidence.groups
    return np.random.default_rng(seed).permutation(count) % BLOCKS


def _doubts(evidence: Evidence, data: Data) -> list[str]:
    """What a reader must know of these pictures before believing a figure."""
    found = []
    groups = len(np.unique(evidence.groups))
    if data.grade == "D":
        found.append(
            "No column of groups was named (grade D): pictures of one patient count as independent, so the intervals "
            "are too narrow. Name the patient's column with --group."
        )
    elif groups == 1:
        found.append("All pictures are of one group: there is nothing to resample, so no figure has an interval.")
    elif groups < 10:
        found.append(f"There are only {groups} groups: intervals from so few are rough.")
    absent = [name for number, name in enumerate(evidence.classes) if not (evidence.labels == number).any()]
    if absent:
        shown = ", ".join(name.replace("_", " ") for name in absent)
        found.append(f"Classes without a picture here: {shown}. Means over classes are over the others.")
    if not evidence.two_kinds:
        kind = "malignant" if evidence.positive.any() else "not malignant"
        found.append(f"All pictures are labelled {kind}: how well the two kinds are told apart cannot be said.")
    copies = (data.duplicates["exact"] or 0) + (data.duplicates["near"] or 0)
    if copies and not data.duplicates["set_aside"]:
        found.append(f"{counted(copies)} equal or nearly equal another one, and count as often as they are listed.")
    if data.unreadable:
        found.append(f"{counted(len(data.unreadable))} could not be read and are left out.")
    return found
