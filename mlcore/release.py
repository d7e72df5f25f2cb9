"""From a trained network to a bundle: fold, halve, calibrate on pictures it did not learn from, seal with a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlcore import export, novelty
from mlcore.bundle import MALIGNANT, TASKS, Bundle, Card, load_bundle, write_card
from mlcore.calibration import Calibration, calibrate, calibrated
from mlcore.datasets import Row, Split, refuse_leaks, split_rows
from mlcore.experiment import CHECK_SEED, Experiment, Material, rendered_samples
from mlcore.measuring import KNOWN, Measured, fit_novelty
from mlcore.metrics import held_out_report
from mlcore.networks import PooledNetwork, fold, parameter_count
from mlcore.sketch import sketch
from mlcore.training import Samples, Settings, fit, load_checkpoint, network_of, predict
from mlcore.validation import OutOfFold, read_summary

FALSE_ALARMS = 0.02  # share of ordinary pictures, of groups that were not learnt, that may be called novel


@dataclass(frozen=True, slots=True)
class Tested:
    """What the card says of pictures whose groups the figures' networks never saw, and what was calibrated on them."""

    calibration: Calibration
    residuals: np.ndarray  # (M,) of ordinary pictures, for the percentiles of the novelty score
    figures: dict[str, Any]
    facts: dict[str, Any]


def train_on_split(experiment: Experiment, material: Material, out: Path, to: Path, *, version: str) -> Bundle:
    """Train on the training groups, calibrate on the validation groups, measure on the test groups; the bundle is `to`.

    Raises LeakError, TrainingStopped or ResumeError.
    """
    settings, task, steps = experiment.settings, experiment.settings.task, experiment.settings.preprocessing
    split = split_rows(material.rows, group=experiment.group, seed=settings.seed)
    refuse_leaks(split)
    experiment.save(out)
    train, validation = (material.samples(rows, task, steps) for rows in (split.train, split.validation))
    rendered = rendered_samples(task, steps) if settings.rendered_share else None
    checkpoint = fit(
        settings, TASKS[task], train, validation, rendered, out,
        data_digest=material.digest, resume=True,
    )  # fmt: skip
    network, state = _sealed_weights(checkpoint)
    unusual = fit_novelty(network, steps, _known(train, settings.seed), rendered)
    logits, embeddings = predict(network, validation.squares, steps)
    calibration = calibrate(logits.numpy(), validation.labels, task)
    residuals = unusual.residual(embeddings.numpy(), steps.masked(validation.squares))
    test = material.samples(split.test, task, steps)
    logits, _ = predict(network, test.squares, steps)
    figures = held_out_report(
        calibrated(logits.numpy(), calibration.temperature), test.labels, _groups(split.test), TASKS[task],
        MALIGNANT[task], calibration.threshold,
    )  # fmt: skip
    facts = {
        "basis": "held-out",
        "split_grade": split.grade,
        "split": split.summary(),
        "set_aside": len(split.set_aside),
        "sketch": sketch(row.sha256 for row in split.train),
    }
    tested = Tested(calibration, residuals, figures, facts)
    return _write(experiment, material, to, network, state, unusual, tested, version=version)


def train_on_all(
    experiment: Experiment, material: Material, validated: Path, out: Path, to: Path, *, version: str
) -> Bundle:
    """Train on every group with the settings that `validated` cross-validated; the bundle is `to`.

    The figures of the card, its temperature, its threshold and the percentiles of its novelty score come from the
    out-of-fold predictions of its siblings, which learnt by the same settings without the group they were asked about.
    Raises ValueError unless `validated` is finished, of the same data and measured; TrainingStopped; ResumeError.
    """
    settings, task, steps = experiment.settings, experiment.settings.task, experiment.settings.preprocessing
    summary, told, measured = read_summary(validated), OutOfFold.load(validated), Measured.load(validated)
    if summary["data_digest"] != material.digest or Settings.of(summary["settings"]) != settings:
        raise ValueError(f"{validated} was made with other data or settings; validate these first")
    experiment.save(out)
    everything = material.samples(material.rows, task, steps)
    rendered = rendered_samples(task, steps) if settings.rendered_share else None
    checkpoint = fit(
        settings, TASKS[task], everything, None, rendered, out,
        data_digest=material.digest, resume=True,
    )  # fmt: skip
    network, state = _sealed_weights(checkpoint)
    unusual = fit_novelty(network, steps, _known(everything, settings.seed), rendered)
    crossed = told.crossed(task)
    figures = held_out_report(
        crossed.probabilities, told.labels, told.groups.tolist(), TASKS[task], MALIGNANT[task], crossed.thresholds
    )
    facts = {
        "basis": "out-of-fold",
        "split_grade": summary["split_grade"],
        "folds": len(summary["folds"]),
        "split": Split(material.rows, [], [], summary["split_grade"]).summary(),
        "set_aside": 0,
        "sketch": sketch(row.sha256 for row in material.rows),
    }
    tested = Tested(calibrate(told.logits, told.labels, task), measured.residuals, figures, facts)
    return _write(experiment, material, to, network, state, unusual, tested, version=version)


def _sealed_weights(checkpoint: Path) -> tuple[PooledNetwork, dict[str, np.ndarray]]:
    """The network as it will be served, norms folded in and rounded to half precision, and its state as float16."""
    network = network_of(load_checkpoint(checkpoint)).cpu()
    return network, export.halve(fold(network))


def _known(train: Samples, seed: int) -> np.ndarray:
    """Up to KNOWN squares of the training pictures."""
    return train.squares[np.sort(np.random.default_rng(seed).permutation(len(train.labels))[:KNOWN])]


def _write(
    experiment: Experiment,
    material: Material,
    to: Path,
    network: PooledNetwork,
    state: dict[str, np.ndarray],
    unusual: novelty.NoveltyScore,
    tested: Tested,
    *,
    version: str,
) -> Bundle:
    settings, task, steps = experiment.settings, experiment.settings.task, experiment.settings.preprocessing
    to.mkdir(parents=True, exist_ok=True)
    export.write_weights(to, state, unusual.with_quantiles(tested.residuals))
    export.write_graph(to, network, steps.size)
    check = rendered_samples(task, steps, each=20, seed=CHECK_SEED)
    logits, _ = predict(network, check.squares, steps)
    right = logits.argmax(1).numpy() == check.labels
    pretrained = settings.network == "mobilenet" and settings.pretrained
    card = Card(
        task=task,
        network=settings.network,
        version=version,
        classes=TASKS[task],
        malignant_classes=tuple(name for name in TASKS[task] if name in MALIGNANT[task]),
        preprocessing=steps,
        temperature=tested.calibration.temperature,
        thresholds={"malignant": tested.calibration.threshold, "novelty": 1 - FALSE_ALARMS},
        training={
            "manifest": Path(experiment.manifest).name,
            "data_digest": material.digest,
            "terms": experiment.terms,
            "group": experiment.group,
            **tested.facts,
            "settings": asdict(settings),
            "start": "ImageNet (torchvision IMAGENET1K_V1)" if pretrained else "random",
            "parameters": parameter_count(network),
        },
        metrics={
            "held_out": tested.figures,
            "rendered_check": {"images": len(right), "right": int(right.sum()), "seed": CHECK_SEED},
        },
    )
    write_card(to, card)
    return load_bundle(to)


def _groups(rows: Sequence[Row]) -> list[str]:
    return [row.group for row in rows]
