"""The novelty score: what its two distances find, and that it survives being stored."""

import numpy as np
import pytest

from mlcore import novelty, outliers
from mlcore.novelty import NoveltyScore, appearance
from mlcore.phantom import render_cell

SIZE = 64
CLASSES = ("blast", "lymphocyte", "monocyte", "neutrophil")


def cells(first: int, count: int) -> np.ndarray:
    return np.stack([render_cell(CLASSES[i % 4], seed=first + i, size=SIZE) for i in range(count)])


def features(count: int, seed: int, *, wide: bool = False) -> np.ndarray:
    """(count, 80) activations that vary in twelve directions, or in all of them."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(0).standard_normal((12, 80))
    roots = 5 + rng.standard_normal((count, 12)) @ directions * 0.3 + rng.standard_normal((count, 80)) * 0.05
    return np.asarray((roots + (rng.standard_normal((count, 80)) if wide else 0)) ** 2)


@pytest.fixture(scope="module")
def blood() -> np.ndarray:
    return cells(10, 120)


@pytest.fixture(scope="module")
def score(blood: np.ndarray) -> NoveltyScore:
    fitted = novelty.fit(features(120, 1), [blood[:90], blood[90:]])
    return fitted.with_quantiles(fitted.residual(features(60, 2), cells(900, 60)))


def test_ordinary_pictures_fill_the_range(score: NoveltyScore) -> None:
    said = score.score(features(60, 3), cells(2000, 60))
    assert 0.25 < said.mean() < 0.75
    assert ((said >= 0) & (said <= 1)).all()
    assert (said >= 0.98).mean() < 0.15


def test_features_from_outside_of_the_training_are_found_whatever_the_picture_looks_like(score: NoveltyScore) -> None:
    assert (score.score(features(20, 4, wide=True), cells(3000, 20)) > 0.98).all()


def test_pictures_that_look_different_are_found_whatever_the_network_makes_of_them(score: NoveltyScore) -> None:
    ordinary = cells(4000, 20)
    for name, seen in outliers.other_microscopes(ordinary, seed=1).items():
        assert (score.score(features(20, 5), seen) > 0.98).mean() > 0.9, name
    for name, seen in outliers.non_blood(5, SIZE, seed=1).items():
        assert (score.score(features(5, 6), seen) > 0.98).all(), name


def test_each_kind_of_training_picture_is_at_home(blood: np.ndarray) -> None:
    """Two kinds far apart: pictures half-way between them are at home in neither."""
    dark = (blood * 0.4).astype(np.uint8)
    fitted = novelty.fit(features(240, 1), [blood, dark])
    between = (blood[:30] * 0.65).astype(np.uint8)
    median = [
        float(np.median(fitted.residual(features(30, 7), squares))) for squares in (blood[:30], dark[:30], between)
    ]
    assert median[2] > median[0] + 2
    assert median[2] > median[1] + 2


def test_appearance_does_not_depend_on_the_other_pictures_of_the_batch(blood: np.ndarray) -> None:
    together = appearance(blood[:3])
    assert together.shape == (3, 30)
    assert together.dtype == np.float32
    for row, square in zip(together, blood[:3], strict=True):
        np.testing.assert_allclose(appearance(square[None])[0], row, atol=1e-4)
    for plain in (np.zeros((1, SIZE, SIZE, 3), np.uint8), np.full((1, SIZE, SIZE, 3), 255, np.uint8)):
        assert np.isfinite(appearance(plain)).all()


def test_a_stored_score_says_the_same(score: NoveltyScore) -> None:
    tensors = score.tensors()
    assert all(name.startswith("novelty.") and tensor.dtype == np.float32 for name, tensor in tensors.items())
    again = NoveltyScore.from_tensors(tensors)
    inputs = features(5, 8), cells(5000, 5)
    np.testing.assert_allclose(again.score(*inputs), score.score(*inputs))
