"""Figures against cases worked out by hand."""

import numpy as np
import pytest

from mlcore.metrics import (
    class_rates,
    expected_calibration_error,
    held_out_report,
    macro,
    operating_threshold,
    sensitivity_at_specificity,
)

CONFUSION = np.array([[8, 2, 0], [1, 4, 0], [0, 0, 0]])  # the third class never occurs


def test_rates_by_hand() -> None:
    rates = class_rates(CONFUSION)
    assert rates["recall"][:2] == pytest.approx([0.8, 0.8])
    assert rates["precision"][:2] == pytest.approx([8 / 9, 4 / 6])
    assert rates["specificity"][:2] == pytest.approx([0.8, 0.8])
    assert rates["f1"][:2] == pytest.approx([16 / 19, 8 / 11])
    assert np.isnan(rates["recall"][2])


def test_means_are_over_classes_that_occur() -> None:
    means = macro(CONFUSION)
    assert means["accuracy"] == pytest.approx(12 / 15)
    assert means["recall"] == pytest.approx(0.8)
    assert means["f1"] == pytest.approx((16 / 19 + 8 / 11) / 2)


def test_a_class_never_told_has_no_precision() -> None:
    assert macro(np.array([[5, 0], [5, 0]]))["precision"] == pytest.approx(0.25)


def test_sensitivity_at_a_specificity() -> None:
    negative, positive = np.linspace(0, 0.95, 20), np.array([0.2, 0.92, 0.97, 0.99])
    truth = np.array([False] * 20 + [True] * 4)
    score = np.concatenate([negative, positive])
    assert sensitivity_at_specificity(truth, score, 0.95) == 0.75  # one of twenty may be told wrongly: 0.95 itself
    assert sensitivity_at_specificity(truth, score, 1.0) == 0.5


def test_the_threshold_that_is_frozen_keeps_the_specificity_and_stands_between_scores() -> None:
    truth = np.array([False] * 4 + [True] * 4)
    apart = np.array([0.0, 0.01, 0.02, 0.1, 0.7, 0.9, 0.95, 0.99])
    assert operating_threshold(truth, apart, 0.95) == pytest.approx(0.4)
    mixed = np.array([0.0, 0.01, 0.02, 0.8, 0.7, 0.9, 0.95, 0.99])
    threshold = operating_threshold(truth, mixed, 0.95)
    assert threshold == pytest.approx(0.85)
    assert (mixed[:4] < threshold).all()


@pytest.mark.parametrize("truth", [np.array([True, True]), np.array([False, False])])
def test_one_kind_alone_has_no_operating_point(truth: np.ndarray) -> None:
    for of in (operating_threshold, sensitivity_at_specificity):
        with pytest.raises(ValueError, match="both"):
            of(truth, np.array([0.1, 0.9]), 0.95)


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.35, 0.65]] * 10)
    truth = np.array([0] * 9 + [1] + [1] * 5 + [0] * 5)  # 0.9 is right; 0.65 is right half of the time
    assert expected_calibration_error(probabilities, truth) == pytest.approx(0.5 * 0.15)


def test_intervals_come_from_groups_and_hold_the_value() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 600)
    groups = [str(i // 60) for i in range(600)]
    noise = 0.2 + 1.5 * rng.random(10).repeat(60)[:, None]  # some groups are much harder than others
    logits = 2 * np.eye(3)[truth] + noise * rng.normal(size=(600, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    report = held_out_report(probabilities, truth, groups, ("a", "b", "c"), {"b"}, 0.5, resamples=200)
    alone = held_out_report(
        probabilities, truth, [str(i) for i in range(600)], ("a", "b", "c"), {"b"}, 0.5, resamples=200
    )
    assert report["groups"] == 10
    assert report["images"] == 600
    for figure in report["figures"].values():
        low, high = figure["interval_95"]
        assert low <= figure["value"] <= high

    def width(of: dict) -> float:
        low, high = of["figures"]["accuracy"]["interval_95"]
        return high - low

    assert width(report) > 1.3 * width(alone)
    assert sum(map(sum, report["confusion"])) == 600


def test_a_class_of_few_is_called_not_assessable() -> None:
    truth = np.array([0] * 30 + [1] * 19)
    probabilities = np.eye(2)[truth] * 0.8 + 0.1
    report = held_out_report(probabilities, truth, [str(i % 7) for i in range(49)], ("a", "b"), {"b"}, 0.5, resamples=5)
    assert report["per_class"]["a"]["assessable"]
    assert not report["per_class"]["b"]["assessable"]
    assert report["per_class"]["b"]["n"] == 19
