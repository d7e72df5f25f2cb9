"""From a cross-validation to a bundle: what is measured on held-out groups, and what the card may say of it."""

import csv
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from mlcore import measuring, release
from mlcore.bundle import TASKS
from mlcore.corruptions import CORRUPTIONS, SEVERITIES
from mlcore.engines import Predictor
from mlcore.evaluation import Wish, evaluate
from mlcore.experiment import Experiment, Material
from mlcore.measuring import Measured, measure
from mlcore.outliers import INSTRUMENTS
from mlcore.phantom import render_field, save_rendered
from mlcore.preprocessing import BY_TASK
from mlcore.report.validated import Validated, report_of
from mlcore.training import Settings
from mlcore.validation import SUMMARY, OutOfFold, read_summary, validate

CLASSES = TASKS["field"]
SIZE = 96  # pixels: not the task's own
FOLDS, BLOCKS, EACH = 2, 9, 2


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Nine blocks, two rendered fields of every class in each."""
    folder = tmp_path_factory.mktemp("fields")
    rows = []
    for number in range(len(CLASSES) * BLOCKS * EACH):
        label, block = CLASSES[number % 4], number // 4 % BLOCKS
        save_rendered(render_field(label, seed=number, size=96), folder / f"{number}.png", kind="field")
        rows.append((f"{number}.png", label, f"B{block}"))
    with (folder / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "block"), *rows])
    settings = Settings(
        "field", "cnn", epochs=2, batch=16, size=SIZE, turns=4, small_size=48, rendered_share=0.0, learning_rate=2e-3
    )
    return Experiment(settings, str(folder / "manifest.csv"), "block", terms="rendered")


@pytest.fixture(scope="module")
def material(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Material:
    return Material.gather(experiment, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def run(experiment: Experiment, material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    validate(experiment, material, folder, count=FOLDS)
    with pytest.MonkeyPatch.context() as patch:
        for name, few in (("KNOWN", 40), ("CORRUPTED", 6), ("OUTLIERS", 2)):
            patch.setattr(measuring, name, few)
        measure(material, folder)
    return folder


def test_every_fold_is_measured_on_its_own_held_out_pictures(run: Path, material: Material) -> None:
    measured, told = Measured.load(run), OutOfFold.load(run)
    assert measured.residuals.shape == (len(material.rows),)
    assert np.isfinite(measured.residuals).all()
    assert set(measured.corrupted) == {(name, severity) for name in CORRUPTIONS for severity in SEVERITIES}
    assert measured.rows.shape == (6 * FOLDS,)
    assert (np.bincount(told.folds[measured.rows])[1:] == 6).all()
    assert all(logits.shape == (6 * FOLDS, 4) for logits in measured.corrupted.values())
    assert {f"other microscope: {name}" for name in INSTRUMENTS} < set(measured.unlike)
    assert len(measured.unlike["not blood: text"]) == 2 * FOLDS


def test_what_was_measured_is_not_measured_again(run: Path, material: Material) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.glob("fold-*/measured.npz")}
    assert len(before) == FOLDS
    measure(material, run)
    assert {path: path.stat().st_mtime_ns for path in run.glob("fold-*/measured.npz")} == before


def test_a_release_learns_every_group_and_shows_what_its_siblings_said_of_groups_they_never_saw(
    run: Path, experiment: Experiment, material: Material, tmp_path: Path
) -> None:
    bundle = release.train_on_all(experiment, material, run, tmp_path / "out", tmp_path / "bundle", version="3.1.4")
    card, told = bundle.card, OutOfFold.load(run)
    crossed = told.crossed("field")
    assert card.version == "3.1.4"
    assert card.preprocessing == replace(BY_TASK["field"], size=SIZE, turns=4)
    assert card.training["basis"] == "out-of-fold"
    assert card.training["folds"] == FOLDS
    assert card.training["split"]["train"]["images"] == len(material.rows)
    assert card.training["split"]["test"]["images"] == 0
    right = (crossed.probabilities.argmax(axis=1) == told.labels).mean()
    assert card.metrics["held_out"]["figures"]["accuracy"]["value"] == pytest.approx(right, abs=1e-3)
    assert card.thresholds["novelty"] == 1 - release.FALSE_ALARMS
    answers = Predictor([bundle], engine="onnxruntime", threads=1).read(
        [render_field("pro_b", seed=1, size=96)], "field"
    )
    assert answers[0][0].digest == card.digest
    manifest = Path(experiment.manifest)
    report = report_of(Validated.load(bundle, run), manifest=manifest, group="block", cache=tmp_path / "cache")
    assert report["basis"] == "out-of-fold"
    assert report["card"]["sees"] == (
        f"The middle square of the picture at {SIZE} × {SIZE} pixels in all four quarter turns, "
        "and answers with their mean."
    )
    assert [fold["fold"] for fold in report["folds"]] == [1, 2]
    assert report["accuracy"]["value"] == pytest.approx(right, abs=1e-4)
    assert set(report["robustness"]["corruptions"]) == set(CORRUPTIONS)
    assert report["novelty"]["against"]["not blood"]["images"] == 9 * 2 * FOLDS
    assert [entry["epoch"] for entry in report["curves"]] == [1, 2]


def test_a_validation_from_before_a_setting_was_there_is_one_with_its_default(
    run: Path, experiment: Experiment, material: Material, tmp_path: Path
) -> None:
    old, out = tmp_path / "old", tmp_path / "out"
    shutil.copytree(run, old)
    summary = read_summary(old)
    del summary["settings"]["bfloat16"]
    (old / SUMMARY).write_text(json.dumps(summary))
    bundle = release.train_on_all(experiment, material, old, out, tmp_path / "bundle", version="1")
    assert Validated.load(bundle, old).told.labels.shape == (len(material.rows),)


def test_a_validation_of_other_settings_is_no_ground_for_a_release(
    run: Path, experiment: Experiment, material: Material, tmp_path: Path
) -> None:
    other = replace(experiment, settings=replace(experiment.settings, epochs=3))
    assert read_summary(run)["settings"] == asdict(experiment.settings)
    with pytest.raises(ValueError, match="other data or settings"):
        release.train_on_all(other, material, run, tmp_path / "out", tmp_path / "bundle", version="1")


def test_a_split_is_calibrated_and_tested_on_groups_it_did_not_learn(
    experiment: Experiment, material: Material, tmp_path: Path
) -> None:
    bundle = release.train_on_split(experiment, material, tmp_path / "out", tmp_path / "bundle", version="1.0.0")
    training = bundle.card.training
    assert training["basis"] == "held-out"
    sides = training["split"]
    assert bundle.card.metrics["held_out"]["images"] == sides["test"]["images"] > 0
    assert sum(side["images"] for side in sides.values()) + training["set_aside"] == len(material.rows)
    wish = Wish(Path(experiment.manifest), group="block", alone=True, quick=True, run=tmp_path / "out")
    report = evaluate(bundle, wish)
    assert report["basis"] == "held-out"
    assert report["data"]["images"] == sides["test"]["images"]
    # The engine and the training decode and compute alike.
    held_out = bundle.card.metrics["held_out"]["figures"]
    assert report["accuracy"]["value"] == pytest.approx(held_out["accuracy"]["value"], abs=1e-3)
    assert report["brier"]["value"] < 2
    assert [entry["epoch"] for entry in report["curves"]] == [1, 2]
    assert "curves" not in report["missing"]
    quantiles = Predictor([bundle], engine="onnxruntime", threads=1)._models[0].novelty.quantiles
    assert (np.diff(quantiles) >= 0).all()
    stranger = replace(bundle, card=replace(bundle.card, training={**training, "data_digest": "another"}))
    with pytest.raises(ValueError, match="is not the run that made bundle"):
        evaluate(stranger, wish)
