"""What is known of a release: its evaluation report where this machine has it, else what its card says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from diagnosis.models import ModelRelease
from mlcore.bundle import BundleError
from mlcore.released import load_report

logger = logging.getLogger(__name__)
T = TypeVar("T")

FORMAT = 2  # of report.json
#: Basis of a card's figures, in words; a report brings its own.
BASES = {
    "held-out": "Measured on groups that were set aside before training.",
    "out-of-fold": "Every picture was read by a network that had learnt nothing from its group.",
}
UNREADABLE = "The evaluation report of this release cannot be read on this machine."
#: What reading a report raises that has not the parts its format promises, or has something else in their place.
MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_reports: dict[str, dict[str, Any]] = {}  # by digest; a report is never changed, so it is read once in each process


@dataclass(frozen=True)
class Evidence:
    """`report` has the shape of report.json; from a card it holds fewer parts, and `why` says in words why that is."""

    report: dict[str, Any]
    why: str = ""

    @property
    def whole(self) -> bool:
        return not self.why


def evidence_of(release: ModelRelease) -> Evidence:
    """The report that belongs to `release` by its digest, else its card. Never raises: the reason stands in `why`."""
    report = _reports.get(release.digest)
    if report is not None:
        return Evidence(report)
    try:
        report = load_report(release.bundle)
    except BundleError as error:
        logger.warning("The report of %s is not shown: %s", release, error)
        return Evidence(of_card(release), UNREADABLE)
    if report is None:
        return Evidence(of_card(release), "The evaluation report of this release is not on this machine.")
    if report["identity"].get("digest") != release.digest:
        why = "The evaluation report on this machine belongs to another release of this network."
        return Evidence(of_card(release), why)
    if report.get("format") != FORMAT:
        why = "The evaluation report of this release has a format that this version of LeukoLens does not know."
        return Evidence(of_card(release), why)
    _reports[release.digest] = report
    return Evidence(report)


def shown_of(release: ModelRelease, show: Callable[[Evidence], T]) -> T:
    """What `show` makes of the evidence of `release`; of its card where the report is not what its format promises."""
    evidence = evidence_of(release)
    if evidence.whole:
        try:
            return show(evidence)
        except MALFORMED:
            logger.exception("The report of %s is not shown: it is malformed.", release)
            evidence = Evidence(of_card(release), UNREADABLE)
    return show(evidence)


def of_card(release: ModelRelease) -> dict[str, Any]:
    """The facts of a release's card in the shape of a report, with the parts that it has."""
    card = release.card
    training, metrics = card.get("training", {}), card.get("metrics", {})
    held_out = metrics.get("held_out", {})
    figures = {name: _with_ends(figure) for name, figure in held_out.get("figures", {}).items()}
    basis = training.get("basis", "held-out")
    found: dict[str, Any] = {
        "basis": basis,
        "basis_words": BASES.get(basis, ""),
        "identity": {
            **{key: getattr(release, key) for key in ("task", "network", "version", "digest")},
            **{key: card.get(key) for key in ("classes", "malignant_classes")},
            "group_column": training.get("group"),
            "data_digest": training.get("data_digest"),
            "starting_weights": training.get("start"),
            "parameters": training.get("parameters"),
            "settings": training.get("settings", {}),
        },
        "data": {
            "images": held_out.get("images"),
            "groups": held_out.get("groups"),
            "grade": training.get("split_grade"),
            "trained": training.get("split", {}).get("train"),
        },
        "card": {"terms": training["terms"]} if training.get("terms") else {},
    } | figures
    if {"sensitivity", "specificity"} <= set(figures):
        found["operating"] = {
            "threshold": card.get("thresholds", {}).get("malignant"),
            "sensitivity": figures["sensitivity"],
            "specificity": figures["specificity"],
        }
    if "per_class" in held_out:
        found["per_class"] = held_out["per_class"]
    if "confusion" in held_out:
        found["confusion"] = {"classes": card["classes"], "counts": held_out["confusion"]}
    return found


def _with_ends(figure: dict[str, Any]) -> dict[str, Any]:
    low, high = figure.get("interval_95", (figure.get("low"), figure.get("high")))
    return {"value": figure.get("value"), "low": low, "high": high}
