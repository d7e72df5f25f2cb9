"""The report of a released network from the cross-validation that its settings came out of.

Every figure is of pictures that the network asked had not learnt; calibrated and thresholded by the other folds. Only
the maps and the cost are of the released network itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlcore import colour
from mlcore.bundle import MALIGNANT, TASKS, Bundle
from mlcore.calibration import calibrate, calibrated
from mlcore.engines import Predictor
from mlcore.experiment import Experiment, Material
from mlcore.measuring import Measured
from mlcore.released import REPORT
from mlcore.report import stress
from mlcore.report.asking import copies, reader
from mlcore.report.building import build
from mlcore.report.card import card_facts, identity
from mlcore.report.cost import cost
from mlcore.report.data import Data
from mlcore.report.evidence import Evidence
from mlcore.report.listing import read_listing
from mlcore.report.prose import group_noun
from mlcore.training import Settings
from mlcore.tuning import SUMMARY as STUDY
from mlcore.validation import OutOfFold, read_summary
from mlcore.whole import save_text

EXPLAINED = 200  # pictures of the deletion test
ORDINARY = "Of ordinary pictures, each asked of a network that had not learnt it, so many do, the false alarms:"


@dataclass(frozen=True, slots=True)
class Validated:
    """A bundle with the finished cross-validation of its settings."""

    bundle: Bundle
    run: Path
    summary: dict[str, Any]
    told: OutOfFold
    measured: Measured

    @classmethod
    def load(cls, bundle: Bundle, run: Path) -> Validated:
        """Raises ValueError unless the validation is finished and measured, and of the bundle's data and settings."""
        summary = read_summary(run)
        training = bundle.card.training
        learnt_by, validated_by = Settings.of(training.get("settings", {})), Settings.of(summary["settings"])
        if training.get("data_digest") != summary["data_digest"] or learnt_by != validated_by:
            raise ValueError(f"{bundle.name} was trained with other data or settings than {run} cross-validated")
        return cls(bundle, run, summary, OutOfFold.load(run), Measured.load(run))

    def evidence(self, paths: list[str]) -> Evidence:
        card = self.bundle.card
        crossed = self.told.crossed(card.task)
        return Evidence(
            task=card.task,
            network=card.network,
            classes=TASKS[card.task],
            malignant=MALIGNANT[card.task],
            probabilities=crossed.probabilities,
            logits=self.told.logits.astype(np.float64),
            labels=self.told.labels,
            groups=self.told.groups,
            paths=paths,
            threshold=crossed.thresholds,
            temperature=card.temperature,
            folds=self.told.folds,
            novelty=self.scores(self.measured.residuals),
            novelty_threshold=card.thresholds["novelty"],
        )

    def scores(self, residuals: np.ndarray) -> np.ndarray:
        """Novelty residuals as the score of the release, 0..1: the share of ordinary pictures that have less."""
        ordinary = np.sort(self.measured.residuals)
        return np.asarray(np.searchsorted(ordinary, residuals) / len(ordinary))

    def robustness(self, evidence: Evidence) -> dict[str, Any]:
        """Part 10, every fold's spoilt pictures under the temperature that the other folds give."""
        rows = self.measured.rows
        folds = self.told.folds[rows]
        answers = {("", ""): evidence.probabilities[rows]}
        temperatures = self._temperatures()
        for fault, logits in self.measured.corrupted.items():
            answers[fault] = np.empty(logits.shape, dtype=np.float64)
            for fold, temperature in temperatures.items():
                answers[fault][folds == fold] = calibrated(logits[folds == fold], temperature)
        return stress.robustness(answers, evidence.labels[rows], evidence.classes, evidence.malignant)

    def _temperatures(self) -> dict[int, float]:
        told, task = self.told, self.bundle.card.task
        return {
            int(fold): calibrate(told.logits[told.folds != fold], told.labels[told.folds != fold], task).temperature
            for fold in np.unique(told.folds)
        }

    def novelty(self) -> dict[str, Any]:
        """Part 11."""
        card = self.bundle.card
        against = {kind: self.scores(residuals) for kind, residuals in self.measured.unlike.items()}
        ordinary = self.scores(self.measured.residuals)
        return stress.novelty(ordinary, card.thresholds["novelty"], against, card.task, ORDINARY)


def report_of(
    validated: Validated,
    *,
    manifest: Path,
    group: str | None,
    cache: Path,
    sibling: Validated | None = None,
    study: Path | None = None,
    command: str = "",
    seed: int = 0,
) -> dict[str, Any]:
    """The out-of-fold report, as `report.write` takes it.

    Raises ManifestError, and ValueError when the manifest, the sibling or the study is not that of the validation.
    """
    bundle, summary = validated.bundle, validated.summary
    task, steps = bundle.card.task, bundle.card.preprocessing
    material = _material(validated, manifest, group, cache)
    paths = [row.path.name for row in material.rows]
    evidence = validated.evidence(paths)
    siblings = [] if sibling is None else [_beside(validated, sibling, paths)]
    squares = material.samples(material.rows, task, steps).squares
    by_colour = colour.out_of_fold(
        colour.statistics(squares, steps), evidence.labels, evidence.groups, classes=len(evidence.classes), seed=seed
    )
    shown = np.random.default_rng(seed).permutation(len(squares))[:EXPLAINED]
    explanation = stress.explanation(reader(Predictor([bundle])), steps.masked(squares[shown]), seed)
    explanation["words"] += " Asked was the released network, which learnt these pictures: the maps are judged, not it."
    found = read_listing(manifest, task, group, Experiment.load(validated.run).rename)
    facts = identity(
        bundle, manifest=manifest.name, group=group, data_digest=material.digest, command=command, seed=seed
    )
    facts["siblings"] = [
        {"bundle": of.bundle.name, "version": of.bundle.card.version, "digest": of.bundle.card.digest}
        for of in ([sibling] if sibling else [])
    ]
    grade = summary["split_grade"]
    noun = group_noun({"identity": facts, "data": {"grade": grade}})
    return build(
        evidence,
        basis="out-of-fold",
        basis_words=f"Every picture was read by a network that had learnt no picture of the same {noun}.",
        identity=facts,
        data=Data(
            grade=grade,
            mapped=found.mapped,
            left_out=found.left_out,
            duplicates={
                **copies(material.rows),
                "set_aside": sum(fold["set_aside"] for fold in summary["folds"]),
            },
        ),
        card=card_facts(bundle),
        siblings=siblings,
        colour=by_colour,
        curves=summary["curves"],
        search=None if study is None else search_of(study, summary["settings"]),
        missing={} if study else {"search": "The settings are those asked for; no search was named for this report."},
        robustness=validated.robustness(evidence),
        novelty=validated.novelty(),
        explanation=explanation,
        cost=cost(bundle),
        seed=seed,
    )


def keep(report: Mapping[str, Any], bundle: Bundle) -> Path:
    """The report beside the bundle's card, where the portal looks for it."""
    path = bundle.path / REPORT
    save_text(path, json.dumps(report, indent=1, allow_nan=False) + "\n")
    return path


def _material(validated: Validated, manifest: Path, group: str | None, cache: Path) -> Material:
    asked = Experiment.load(validated.run)
    experiment = Experiment(asked.settings, str(manifest), group, asked.rename, asked.terms)
    material = Material.gather(experiment, cache)
    if material.digest != validated.summary["data_digest"]:
        raise ValueError(
            f"{manifest} with the group {group} is not what {validated.run} cross-validated "
            f"({validated.summary['manifest']} with the group {validated.summary['group']})"
        )
    return material


def _beside(validated: Validated, sibling: Validated, paths: list[str]) -> Evidence:
    """What the other network said, if it was asked of the same pictures in the same folds."""
    same = sibling.summary["data_digest"] == validated.summary["data_digest"]
    if not same or not np.array_equal(sibling.told.folds, validated.told.folds):
        raise ValueError(f"{sibling.run} cross-validated other pictures or folds than {validated.run}")
    return sibling.evidence(paths)


def search_of(study: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Part 6's search. Raises ValueError when it was of another task or network."""
    if not (study / STUDY).is_file():
        raise ValueError(f"{study} holds no finished search")
    found = json.loads((study / STUDY).read_text())
    if (found["task"], found["network"]) != (settings["task"], settings["network"]):
        raise ValueError(f"the search in {study} was for {found['task']} and {found['network']}")
    return {
        "study": f"{found['task']}-{found['network']}",
        "objective": found["objective"],
        "direction": "minimize",
        "space": {name: bounds[:2] for name, bounds in found["space"].items()},
        **{key: found[key] for key in ("trials", "best", "seconds", "epochs", "size", "share")},
    }
