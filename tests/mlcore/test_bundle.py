"""Bundles: what ships is whole, small and sealed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mlcore.bundle import MALIGNANT, TASKS, BundleError, Card, load_bundle, shipped_bundles
from mlcore.released import load_report

NAMES = ["cell-cnn", "cell-mobilenet", "field-cnn", "field-mobilenet"]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(load_bundle("field-cnn").path, tmp_path / "copy"))


def test_four_ship_and_stay_small() -> None:
    bundles = shipped_bundles()
    assert [bundle.name for bundle in bundles] == NAMES
    assert [f"{bundle.card.task}-{bundle.card.network}" for bundle in bundles] == NAMES
    size = sum(file.stat().st_size for bundle in bundles for file in bundle.path.iterdir())
    assert size <= 20_000_000
    # The graph holds no weights of its own: they are stored once.
    assert all(bundle.graph_path.stat().st_size < 50_000 for bundle in bundles)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_a_reader_must_know(name: str) -> None:
    card = load_bundle(name).card
    assert card.classes == TASKS[card.task]
    assert set(card.malignant_classes) == MALIGNANT[card.task]
    assert 0 < card.thresholds["malignant"] < 1
    assert card.thresholds["novelty"] == 0.98
    assert card.training["split_grade"] == {"cell": "A", "field": "C"}[card.task]
    assert card.training["terms"]
    assert 0 < card.training["settings"]["rendered_share"] < 0.5
    held_out = card.metrics["held_out"]
    # Figures are of pictures set aside, or of all pictures, each read by a sibling that had not seen its group.
    side = {"held-out": "test", "out-of-fold": "train"}[card.training["basis"]]
    assert held_out["images"] == card.training["split"][side]["images"] > 500
    for name_of, figure in held_out["figures"].items():
        low, high = figure["interval_95"]
        assert low <= figure["value"] <= high, name_of
    check = card.metrics["rendered_check"]
    assert check["right"] >= 0.9 * check["images"]
    assert not any(word in json.dumps(card.to_dict()) for word in ("/home", "/root", "/tmp"))


@pytest.mark.parametrize("name", NAMES)
def test_a_report_ships_beside_each_card_and_says_the_same(name: str) -> None:
    card, report = load_bundle(name).card, load_report(name)
    assert report is not None
    assert report["identity"]["digest"] == card.digest
    assert report["basis"] == card.training["basis"]
    assert report["banner"] == "Research use only – not for diagnostic use."
    for figure in ("accuracy", "macro_f1", "malignant_auroc"):
        told = card.metrics["held_out"]["figures"][figure]["value"]
        assert report[figure]["low"] <= report[figure]["value"] <= report[figure]["high"]
        assert report[figure]["value"] == pytest.approx(told, abs=2e-3), figure
    for part in ("operating", "per_class", "patients", "calibration", "use", "robustness", "novelty", "explanation"):
        assert report[part], part
    networks = {"cnn", "mobilenet", "both", "colour"}
    other = load_bundle(f"{card.task}-{'cnn' if card.network == 'mobilenet' else 'mobilenet'}").card
    if card.training["basis"] == "out-of-fold" and other.training["basis"] == "held-out":
        networks = {card.network, "colour"}  # the other one was not asked of these pictures yet
    assert set(report["networks"]) == networks
    assert bool(report["identity"]["siblings"]) == ("both" in networks)


def test_a_card_survives_its_file() -> None:
    card = load_bundle("cell-cnn").card
    assert Card.from_dict(json.loads(json.dumps(card.to_dict()))) == card


def test_a_card_from_before_there_were_turns_is_the_same() -> None:
    card = load_bundle("field-cnn").card
    told = replace(card, preprocessing=replace(card.preprocessing, turns=1)).to_dict()
    assert "turns" not in told["preprocessing"]
    assert Card.from_dict(told).preprocessing.turns == 1
    turned = replace(card, preprocessing=replace(card.preprocessing, turns=4))
    assert Card.from_dict(turned.to_dict()) == turned


@pytest.mark.parametrize("name", ["weights.safetensors", "graph.onnx"])
def test_one_changed_byte_is_refused(copied: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[-1] ^= 1
    (copied / name).write_bytes(data)
    with pytest.raises(BundleError, match="digest"):
        load_bundle(copied)


def test_a_changed_card_is_refused(copied: Path) -> None:
    card = json.loads((copied / "card.json").read_text())
    card["thresholds"]["malignant"] = 0.99
    (copied / "card.json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match="digest"):
        load_bundle(copied)


def test_a_missing_file_and_a_broken_card_are_refused(copied: Path) -> None:
    (copied / "graph.onnx").rename(copied / "elsewhere")
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(copied)
    (copied / "card.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(copied)


def test_an_unknown_bundle_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="field-mobilenet"):
        load_bundle(tmp_path / "nothing")
