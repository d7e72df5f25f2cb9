"""The colour-only baseline: finds what colour betrays, and nothing where colour says nothing."""

import numpy as np
import pytest

from mlcore import colour
from mlcore.colour import out_of_fold, statistics
from mlcore.preprocessing import CELL, FIELD


def tinted(labels: np.ndarray, by_label: float, seed: int = 0) -> np.ndarray:
    """uint8 (N, 32, 32, 3): noise whose red rises with the label."""
    squares = np.random.default_rng(seed).normal(120, 25, (len(labels), 32, 32, 3))
    squares[..., 0] += by_label * labels[:, None, None]
    return squares.clip(0, 255).astype(np.uint8)


def test_statistics_by_hand() -> None:
    square = np.zeros((1, 10, 10, 3), dtype=np.uint8)
    square[0, :, :, 1] = np.arange(100).reshape(10, 10)
    (found,) = statistics(square, CELL)
    assert found.shape == (15,)
    means, deviations, tenths, halves, nineties = found.reshape(5, 3)
    assert means == pytest.approx([0, 49.5, 0])
    assert deviations == pytest.approx([0, np.arange(100).std(), 0], rel=1e-5)
    assert (tenths[1], halves[1], nineties[1]) == pytest.approx((9.9, 49.5, 89.1))


def test_the_blanked_corner_is_not_looked_at() -> None:
    plain = np.full((1, FIELD.size, FIELD.size, 3), 90, dtype=np.uint8)
    width, height = FIELD.mask_pixels()
    barred = plain.copy()
    barred[:, -height:, -width:] = 255
    assert (statistics(barred, FIELD) == statistics(plain, FIELD)).all()
    assert (statistics(barred, CELL) != statistics(plain, CELL)).any()


def test_a_tint_is_found_and_noise_is_not() -> None:
    labels = np.tile([0, 1, 3], 40)
    groups = [f"g{i // 12}" for i in range(len(labels))]
    told, blind = (
        out_of_fold(statistics(tinted(labels, strength), CELL), labels, groups, classes=5) for strength in (8, 0)
    )
    assert told.sum(axis=1) == pytest.approx(1)
    assert (told[:, [2, 4]] == 0).all()
    assert (told.argmax(axis=1) == labels).mean() > 0.9
    assert (blind.argmax(axis=1) == labels).mean() < 0.5


def test_a_group_never_teaches_its_own_answer() -> None:
    # Each group has one label and one colour of its own: only who saw the group could tell.
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(20) % 2, 10)
    squares = np.repeat(rng.integers(0, 256, (20, 1, 1, 3)), 10, axis=0) + rng.integers(0, 3, (200, 8, 8, 3))
    features = statistics(squares.clip(0, 255).astype(np.uint8), CELL)
    grouped = out_of_fold(features, labels, [f"g{i // 10}" for i in range(200)], classes=2)
    alone = out_of_fold(features, labels, [str(i) for i in range(200)], classes=2)
    assert (grouped.argmax(axis=1) == labels).mean() < 0.7
    assert (alone.argmax(axis=1) == labels).mean() > 0.95


def test_one_group_has_no_baseline() -> None:
    with pytest.raises(ValueError, match="one group"):
        out_of_fold(np.zeros((4, 15)), np.array([0, 1, 0, 1]), ["a"] * 4, classes=2)


def test_a_long_list_is_learnt_from_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    learnt = []

    class Forest(colour.RandomForestClassifier):  # type: ignore[misc]
        def fit(self, features: np.ndarray, labels: np.ndarray) -> object:
            learnt.append(len(features))
            return super().fit(features, labels)

    monkeypatch.setattr(colour, "RandomForestClassifier", Forest)
    monkeypatch.setattr(colour, "MOST", 20)
    labels = np.arange(100) % 2
    told = colour.out_of_fold(labels[:, None] + np.zeros((100, 15)), labels, np.arange(100).astype(str), classes=2)
    assert learnt == [20] * 5
    assert (told.argmax(axis=1) == labels).all()
