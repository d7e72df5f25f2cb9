"""`python -m mlcore report`: the out-of-fold report of a release, from a finished cross-validation."""

import csv
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlcore import colour
from mlcore.bundle import SHIPPED, TASKS, load_bundle, write_card
from mlcore.calibration import cross_calibrate
from mlcore.cli import main
from mlcore.corruptions import CORRUPTIONS, SEVERITIES
from mlcore.datasets import Row, fingerprint
from mlcore.experiment import Experiment, data_digest
from mlcore.metrics import HEADLINE
from mlcore.released import load_report
from mlcore.report import validated
from mlcore.report.html import render
from mlcore.training import Settings
from mlcore.validation import OutOfFold

CLASSES = TASKS["cell"]
COUNT, FOLDS = 120, 5
UNLIKE = ("not blood: noise", "not blood: text", "other microscope: eosin", "other task", "other laboratory")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour, "TREES", 5)
    monkeypatch.setattr(validated, "EXPLAINED", 3)
    monkeypatch.setattr(validated, "cost", lambda bundle: None)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred and twenty small noisy pictures of ten patients and twelve classes, and their manifest."""
    folder = tmp_path_factory.mktemp("pictures")
    with (folder / "M.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "patient_id"])
        for number in range(COUNT):
            coarse = np.random.default_rng(number).integers(0, 256, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((64, 64)).save(folder / f"{number:03}.png")
            writer.writerow([f"{number:03}.png", CLASSES[number % 12], f"P{number // 12}"])
    return folder


def settings(network: str) -> Settings:
    return Settings(task="cell", network=network, epochs=3, batch=8)


def run(folder: Path, pictures: Path, network: str) -> OutOfFold:
    """A finished cross-validation of networks that never were: logits, novelty and faults by chance."""
    rng = np.random.default_rng([3, network == "cnn"])
    labels = np.arange(COUNT) % 12
    logits = rng.normal(size=(COUNT, 12)).astype(np.float32)
    logits[np.arange(COUNT), labels] += 2.5
    groups = [f"P{number // 12}" for number in range(COUNT)]
    told = OutOfFold(logits, labels, (np.arange(COUNT) // 24 + 1).astype(np.int8), np.array(groups))
    folder.mkdir()
    told.save(folder / "out-of-fold.npz")
    Experiment(settings(network), "elsewhere/M.csv", "patient_id").save(folder)
    rows = [
        fingerprint(Row(pictures / f"{number:03}.png", CLASSES[number % 12], groups[number])) for number in range(COUNT)
    ]
    sides = dict.fromkeys(("loss", "accuracy", "precision", "recall", "specificity"), 0.5)
    summary = {
        "settings": asdict(settings(network)),
        "manifest": "M.csv",
        "group": "patient_id",
        "data_digest": data_digest(rows),
        "split_grade": "A",
        "folds": [
            {"fold": fold, "images": 24, "groups": [], "train_images": 96, "set_aside": 0}
            for fold in range(1, FOLDS + 1)
        ],
        "curves": [{"epoch": epoch, "train": sides, "validation": sides} for epoch in (1, 2, 3)],
    }
    (folder / "validation.json").write_text(json.dumps(summary))
    for fold in range(1, FOLDS + 1):
        held_out = np.flatnonzero(told.folds == fold)
        spoilt = held_out[:14]
        arrays = {"held_out": held_out, "residuals": rng.random(len(held_out)), "rows": spoilt}
        arrays |= {f"unlike.{kind}": rng.random(4) + (0.98 if "noise" in kind else 0.2) for kind in UNLIKE}
        for name in CORRUPTIONS:
            for severity in SEVERITIES:
                arrays[f"corrupted.{name}.{severity}"] = logits[spoilt] + rng.normal(0, 0.3, (14, 12))
        (folder / f"fold-{fold}").mkdir()
        np.savez(folder / f"fold-{fold}" / "measured.npz", **arrays)
    return told


def release(folder: Path, run_folder: Path, network: str) -> Path:
    """A shipped bundle whose card says that it was trained with the run's data and settings."""
    shutil.copytree(SHIPPED / f"cell-{network}", folder)
    card = load_bundle(folder).card
    summary = json.loads((run_folder / "validation.json").read_text())
    training = card.training | {key: summary[key] for key in ("data_digest", "settings")}
    write_card(folder, replace(card, training=training))
    return folder


def study(folder: Path) -> Path:
    folder.mkdir()
    found = {
        "task": "cell", "network": "cnn", "objective": "cross entropy", "epochs": 2, "size": 64, "share": 0.5,
        "seconds": 3600, "space": {"learning_rate": [1e-4, 1e-2, True]},
        "best": {"number": 0, "value": 0.6, "params": {"learning_rate": 1e-3}},
        "trials": [{"number": 0, "state": "complete", "value": 0.6, "params": {"learning_rate": 1e-3}, "seconds": 9}],
    }  # fmt: skip
    (folder / "study.json").write_text(json.dumps(found))
    return folder


def command(pictures: Path, tmp_path: Path, *options: str) -> list[str]:
    return [
        "report", "--bundle", str(tmp_path / "cnn"), "--validated", str(tmp_path / "run"), "--manifest",
        str(pictures / "M.csv"), "--group", "patient_id", "--out", str(tmp_path / "out"), "--cache",
        str(tmp_path / "cache"), *options,
    ]  # fmt: skip


def test_the_report_of_a_release_comes_from_its_folds(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = run(tmp_path / "run", pictures, "cnn")
    run(tmp_path / "other run", pictures, "mobilenet")
    bundle = release(tmp_path / "cnn", tmp_path / "run", "cnn")
    release(tmp_path / "mobilenet", tmp_path / "other run", "mobilenet")
    options = ["--study", str(study(tmp_path / "study")), "--sibling", str(tmp_path / "mobilenet")]
    options += ["--sibling-validated", str(tmp_path / "other run")]
    assert main(command(pictures, tmp_path, *options)) == 0
    report: dict[str, Any] = json.loads((tmp_path / "out" / "report.json").read_text())

    assert report["basis"] == "out-of-fold"
    assert report["basis_words"].endswith("no picture of the same patient.")
    crossed = cross_calibrate(told.logits, told.labels, told.folds, "cell")
    right = (crossed.probabilities.argmax(axis=1) == told.labels).mean()
    assert report["accuracy"]["value"] == pytest.approx(right, abs=1e-5)
    assert report["operating"]["threshold"] == pytest.approx(crossed.thresholds.mean(), abs=1e-5)
    for name in HEADLINE:
        assert report[name]["low"] <= report[name]["value"] <= report[name]["high"]
    assert set(report["networks"]) == {"cnn", "mobilenet", "both", "colour"}
    assert [fold["fold"] for fold in report["folds"]] == [1, 2, 3, 4, 5]
    assert report["search"]["space"] == {"learning_rate": [1e-4, 1e-2]}
    assert len(report["curves"]) == 3
    assert report["robustness"]["images"] == FOLDS * 14
    clean = report["robustness"]["clean"]["malignant_auroc"]
    jpeg = report["robustness"]["corruptions"]["jpeg"]["medium"]
    assert jpeg["loss_of_auroc"] == pytest.approx(clean - jpeg["malignant_auroc"], abs=2e-5)
    against = report["novelty"]["against"]
    assert against["not blood"]["images"] == 2 * FOLDS * 4
    assert against["not blood: noise"]["caught"] > 0.9
    assert report["novelty"]["false_alarms"] == pytest.approx(0.02, abs=0.01)
    assert report["explanation"]["images"] == 3
    assert report["data"]["grade"] == "A"
    assert (
        report["identity"]["data_digest"]
        == json.loads((tmp_path / "run" / "validation.json").read_text())["data_digest"]
    )
    assert "--validated run" in report["identity"]["command"]
    assert str(tmp_path) not in json.dumps(report)
    assert load_report(bundle) == report
    load_bundle(bundle)  # its digest still holds
    assert "kept with the bundle as report.json" in capsys.readouterr().out
    assert "Measured out of fold" in render(report)


def test_what_does_not_belong_together_is_refused(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "run", pictures, "cnn")
    release(tmp_path / "cnn", tmp_path / "run", "cnn")

    def refused(*options: str, words: str) -> None:
        assert main(command(pictures, tmp_path, *options)) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert words in said
        assert said.startswith("mlcore: ")

    refused("--sibling", "cell-mobilenet", words="go together")
    refused("--bundle", "cell-mobilenet", words="was trained with other data or settings")
    refused("--validated", str(tmp_path / "nowhere"), words="holds no finished cross-validation")
    refused("--study", str(tmp_path / "nowhere"), words="holds no finished search")
    (pictures / "other.csv").write_text("path,label,patient_id\n000.png,basophil,P0\n")
    refused("--manifest", str(pictures / "other.csv"), words="is not what")
    (tmp_path / "run" / "fold-3" / "measured.npz").unlink()
    refused(words="is not measured yet")
