"""Figures against cases worked out by hand, and against scikit-learn's."""

import time

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
    roc_auc_score,
)

from mlcore.metrics import (
    FIGURES,
    Resampling,
    at_sensitivity,
    at_specificity,
    auroc,
    class_rates,
    draws,
    expected_calibration_error,
    figures,
    held_out_report,
    interval,
    macro,
    operating_points,
    operating_threshold,
    resample,
)

CONFUSION = np.array([[8, 2, 0], [1, 4, 0], [0, 0, 0]])  # the third class never occurs
CLASSES = ("a", "b", "c", "d")


def invented(rows: int, *, groups: int = 10, seed: int = 0, decimals: int = 3) -> tuple[np.ndarray, np.ndarray, list]:
    """Probabilities with many ties, class numbers without the last class, groups of unlike difficulty."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, rows)
    group = np.arange(rows) * groups // rows
    noise = 0.3 + 1.5 * rng.random(groups)[group][:, None]
    raised = np.exp(2 * np.eye(4)[truth] + noise * rng.normal(size=(rows, 4)))
    probabilities = np.round(raised / raised.sum(axis=1, keepdims=True), decimals)
    return probabilities, truth, [f"g{number}" for number in group]


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


def test_the_figures_are_scikit_learns() -> None:
    probabilities, truth, _ = invented(700, decimals=2)
    told, positive = probabilities.argmax(axis=1), truth == 1
    score = probabilities[:, 1]
    values = figures(probabilities, truth, CLASSES, {"b"}, 0.5)
    assert set(values) == set(FIGURES)
    assert values["mcc"] == pytest.approx(matthews_corrcoef(truth, told))
    assert values["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, told))
    # scikit-learn's macro mean also counts a class that was told but never occurs; ours does not.
    assert values["macro_f1"] == pytest.approx(f1_score(truth, told, average="macro", labels=[0, 1, 2]))
    assert values["malignant_auroc"] == pytest.approx(roc_auc_score(positive, score))
    assert values["malignant_auprc"] == pytest.approx(average_precision_score(positive, score))
    assert values["brier"] == pytest.approx(((probabilities - np.eye(4)[truth]) ** 2).sum(axis=1).mean())
    assert values["sensitivity"] == pytest.approx((score[positive] >= 0.5).mean())
    assert values["specificity"] == pytest.approx((score[~positive] < 0.5).mean())


def test_a_resample_gives_the_figures_of_the_rows_it_drew() -> None:
    probabilities, truth, groups = invented(300)
    resampling = Resampling.of(groups, 20, seed=3)
    drawn = draws(probabilities, truth, CLASSES, {"b"}, 0.5, resampling)
    for number, counts in enumerate(resampling.counts):
        rows = np.repeat(np.arange(300), counts[resampling.codes])
        expected = figures(probabilities[rows], truth[rows], CLASSES, {"b"}, 0.5)
        assert {name: drawn[name][number] for name in FIGURES} == pytest.approx(expected)


def test_every_fold_may_have_its_own_threshold() -> None:
    probabilities = np.array([[0.4, 0.6], [0.6, 0.4], [0.4, 0.6], [0.6, 0.4]])
    truth = np.array([1, 1, 0, 0])
    values = figures(probabilities, truth, ("a", "b"), {"b"}, np.array([0.5, 0.3, 0.7, 0.3]))
    assert (values["sensitivity"], values["specificity"]) == (1.0, 0.5)
    assert not {"sensitivity", "specificity"} & set(figures(probabilities, truth, ("a", "b"), {"b"}, None))


def test_one_kind_alone_has_no_malignant_figures() -> None:
    probabilities, truth, groups = invented(60)
    rows = truth != 1
    told = resample(probabilities[rows], truth[rows], np.array(groups)[rows], CLASSES, {"b"}, 0.5, resamples=20)
    assert set(told) == {"accuracy", "balanced_accuracy", "macro_f1", "mcc", "ece", "brier", "specificity"}


def test_no_rows_have_no_figures() -> None:
    with pytest.raises(ValueError, match="no pictures"):
        figures(np.zeros((0, 2)), np.zeros(0, int), ("a", "b"), {"b"}, 0.5)


def test_points_by_hand() -> None:
    negative, positive = np.arange(20) / 20, np.array([0.2, 0.92, 0.97, 0.99])
    truth = np.array([False] * 20 + [True] * 4)
    points = operating_points(truth, np.concatenate([negative, positive]))
    strict = at_specificity(points, 0.95)
    # One of twenty may be told wrongly: that is 0.95 itself.
    assert (strict.sensitivity, strict.specificity, strict.threshold) == (0.75, 0.95, 0.92)
    assert at_specificity(points, 1.0).sensitivity == 0.5
    every = at_sensitivity(points, 0.99)
    assert (every.sensitivity, every.specificity, every.threshold) == pytest.approx((1.0, 0.2, 0.2))


def test_points_and_draws_agree_where_scores_are_equal() -> None:
    probabilities, truth, _ = invented(500, decimals=1)
    points = operating_points(truth == 1, probabilities[:, 1])
    drawn = draws(probabilities, truth, CLASSES, {"b"}, 0.5, Resampling.once(500))
    for level in ("0.90", "0.95", "0.99"):
        reached = at_specificity(points, float(level)).sensitivity
        assert drawn[f"sensitivity_at_specificity_{level[2:]}"][0] == pytest.approx(reached)
        spared = at_sensitivity(points, float(level)).specificity
        assert drawn[f"specificity_at_sensitivity_{level[2:]}"][0] == pytest.approx(spared)


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
    with pytest.raises(ValueError, match="both"):
        operating_threshold(truth, np.array([0.1, 0.9]), 0.95)
    with pytest.raises(ValueError, match="both"):
        operating_points(truth, np.array([0.1, 0.9]))


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.35, 0.65]] * 10)
    truth = np.array([0] * 9 + [1] + [1] * 5 + [0] * 5)  # 0.9 is right; 0.65 is right half of the time
    assert expected_calibration_error(probabilities, truth) == pytest.approx(0.5 * 0.15)


def test_intervals_come_from_groups_and_hold_the_value() -> None:
    probabilities, truth, groups = invented(600)
    told = resample(probabilities, truth, groups, CLASSES, {"b"}, 0.5, resamples=200)
    alone = resample(probabilities, truth, [str(i) for i in range(600)], CLASSES, {"b"}, 0.5, resamples=200)
    for figure in told.values():
        assert figure["low"] <= figure["value"] <= figure["high"]
    width, narrow = (of["accuracy"]["high"] - of["accuracy"]["low"] for of in (told, alone))
    assert width > 1.3 * narrow
    assert told == resample(probabilities, truth, groups, CLASSES, {"b"}, 0.5, resamples=200)


def test_an_interval_is_widened_to_hold_its_value() -> None:
    assert interval(0.01, np.array([0.02, 0.03, np.nan])) == pytest.approx((0.01, 0.02975))


def test_twelve_thousand_rows_are_resampled_in_seconds() -> None:
    probabilities, truth, groups = invented(12_000, groups=82, decimals=9)
    start = time.process_time()
    resample(probabilities, truth, groups, CLASSES, {"b"}, 0.5, resamples=500)
    assert time.process_time() - start < 10


def test_a_class_of_few_is_called_not_assessable() -> None:
    truth = np.array([0] * 30 + [1] * 19)
    probabilities = np.eye(2)[truth] * 0.8 + 0.1
    report = held_out_report(probabilities, truth, [str(i % 7) for i in range(49)], ("a", "b"), {"b"}, 0.5, resamples=5)
    assert report["per_class"]["a"]["assessable"]
    assert not report["per_class"]["b"]["assessable"]
    assert report["per_class"]["b"]["n"] == 19
    assert sum(map(sum, report["confusion"])) == 49


def test_auroc_counts_equal_scores_half_and_needs_both_kinds() -> None:
    rng = np.random.default_rng(4)
    positive, score = rng.random(200) < 0.3, rng.integers(0, 6, 200).astype(float)
    assert auroc(positive, score) == pytest.approx(roc_auc_score(positive, score))
    with pytest.raises(ValueError, match="both"):
        auroc(np.ones(3, dtype=bool), np.arange(3.0))
