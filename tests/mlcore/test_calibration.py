"""Temperature and threshold: found again where they are known, and never fitted on what they are used on."""

import numpy as np
import pytest
import torch

from mlcore.bundle import TASKS
from mlcore.calibration import (
    SPECIFICITY,
    best_temperature,
    calibrate,
    calibrated,
    cross_calibrate,
    malignant_mask,
)
from mlcore.metrics import expected_calibration_error


def overconfident(rows: int = 4000, *, factor: float = 2.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `factor` times what the labels, drawn from their softmax, deserve."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(size=(rows, 4)) * 2
    labels = np.array([rng.choice(4, p=odds) for odds in calibrated(honest, 1.0)])
    return (honest * factor).astype(np.float32), labels


def test_the_temperature_undoes_what_was_done() -> None:
    logits, labels = overconfident()
    temperature = best_temperature(torch.from_numpy(logits), torch.from_numpy(labels))
    assert temperature == pytest.approx(2.5, rel=0.08)
    raw, tempered = calibrated(logits, 1.0), calibrated(logits, temperature)
    assert expected_calibration_error(tempered, labels) < 0.02 < expected_calibration_error(raw, labels)
    assert (raw.argmax(axis=1) == tempered.argmax(axis=1)).all()


def test_probabilities_add_up_however_large_the_logits() -> None:
    told = calibrated(np.array([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]], np.float32), 0.5)
    np.testing.assert_allclose(told.sum(axis=1), 1)
    np.testing.assert_allclose(told[1], 1 / 3)


def test_the_threshold_keeps_its_specificity() -> None:
    logits, labels = overconfident()
    found = calibrate(logits, labels, "field")
    score = calibrated(logits, found.temperature)[:, malignant_mask("field")].sum(axis=1)
    assert SPECIFICITY <= (score[labels == 0] < found.threshold).mean() <= SPECIFICITY + 0.01


def test_no_fold_is_calibrated_by_itself() -> None:
    logits, labels = overconfident(1000)
    folds = np.arange(1000) % 5 + 1
    told = cross_calibrate(logits, labels, folds, "field")
    changed = logits.copy()
    changed[folds == 3] *= -7
    again = cross_calibrate(changed, labels, folds, "field")
    mine = folds == 3
    assert (again.thresholds[mine] == told.thresholds[mine]).all()
    assert not (again.thresholds[~mine] == told.thresholds[~mine]).any()
    others = calibrate(logits[~mine], labels[~mine], "field")
    np.testing.assert_allclose(told.probabilities[mine], calibrated(logits[mine], others.temperature))
    assert set(told.thresholds[mine]) == {others.threshold}


def test_one_kind_alone_cannot_be_calibrated() -> None:
    logits, labels = overconfident(50)
    with pytest.raises(ValueError, match="both"):
        calibrate(logits, np.maximum(labels, 1), "field")


def test_the_malignant_classes_are_marked_in_card_order() -> None:
    assert malignant_mask("field").tolist() == [False, True, True, True]
    marked = [name for name, out in zip(TASKS["cell"], malignant_mask("cell"), strict=True) if out]
    assert marked == ["blast", "promyelocyte"]
