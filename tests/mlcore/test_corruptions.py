"""Named changes of three severities: the same for the same seed, stronger by severity, each doing what it is called."""

import numpy as np
import pytest

from mlcore.corruptions import CHUNK, CORRUPTIONS, SEVERITIES, corrupt
from mlcore.phantom import FIRST_UNTRAINED_SEED, render_cell

SQUARES = np.stack([render_cell("blast", seed=FIRST_UNTRAINED_SEED + i, size=128) for i in range(6)])


def nucleus(squares: np.ndarray) -> np.ndarray:
    """Where little red light comes through, bool (N, S, S)."""
    return squares[..., 0] < 150


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_severity_changes_more_and_repeats(name: str) -> None:
    before = SQUARES.copy()
    changed = []
    for severity in SEVERITIES:
        out = corrupt(SQUARES, name, severity, seed=4)
        assert (out.shape, out.dtype) == (SQUARES.shape, np.uint8)
        assert (out == corrupt(SQUARES, name, severity, seed=4)).all()
        changed.append(np.abs(out.astype(float) - SQUARES).mean())
    assert 0.2 < changed[0] < changed[1] < changed[2] < 60
    assert (before == SQUARES).all()


def test_seeds_and_pictures_differ_where_chance_plays() -> None:
    alike = np.repeat(SQUARES[:1], 12, axis=0)
    for name in ("brightness", "contrast", "colour", "stain", "off_centre", "background", "noise"):
        out = corrupt(alike, name, "medium", seed=1)
        assert (out != corrupt(alike, name, "medium", seed=2)).any(), name
        assert (out != out[:1]).any(), name


def test_pictures_beyond_a_chunk_are_changed_too() -> None:
    many = np.repeat(SQUARES[:1], CHUNK + 2, axis=0)
    out = corrupt(many, "blur", "medium", seed=0)
    assert (out == out[:1]).all()
    assert (out[-1] != many[-1]).any()


def test_light_and_focus_do_what_they_are_called() -> None:
    means = corrupt(np.repeat(SQUARES[:1] // 2, 20, axis=0), "brightness", "medium", seed=0).mean(axis=(1, 2, 3))
    before = (SQUARES[0] // 2).mean()
    assert sorted(set(np.round(means / before, 2))) == pytest.approx([0.75, 1.25], abs=0.01)

    def detail(squares: np.ndarray) -> float:
        return float(np.abs(np.diff(squares.astype(float), axis=1)).mean())

    assert detail(corrupt(SQUARES, "blur", "medium", 0)) < 0.8 * detail(SQUARES)
    assert detail(corrupt(SQUARES, "noise", "medium", 0)) > 1.1 * detail(SQUARES)


def test_scale_changes_the_nucleus_and_mirrors_no_second_one() -> None:
    spot = np.full((2, 64, 64, 3), 220, dtype=np.uint8)
    spot[:, 18:46, 18:46] = 60
    for severity, small, large in zip(SEVERITIES, (0.8, 0.6, 0.45), (1.2, 1.5, 2.0), strict=True):
        for name, zoom in (("scale_down", small), ("scale_up", large)):
            share = nucleus(corrupt(spot, name, severity, 0))[0].sum() / 28**2
            assert share == pytest.approx(zoom**2, rel=0.1), (name, severity)


def test_off_centre_moves_the_nucleus_by_its_share() -> None:
    spot = np.full((8, 64, 64, 3), 220, dtype=np.uint8)
    spot[:, 29:35, 29:35] = 60
    for moved in nucleus(corrupt(spot, "off_centre", "medium", 3)):
        row, column = np.mean(np.nonzero(moved), axis=1)
        assert np.hypot(row - 31.5, column - 31.5) == pytest.approx(0.15 * 64, abs=0.5)


def test_another_background_leaves_the_nucleus() -> None:
    out = corrupt(SQUARES, "background", "severe", 0)
    difference = np.abs(out.astype(float) - SQUARES).mean(axis=-1)
    inner = SQUARES[..., 0] < 110
    assert inner.any()
    assert difference[inner].mean() < 0.25 * difference[~nucleus(SQUARES)].mean()


def test_an_unknown_name_or_severity_is_told() -> None:
    with pytest.raises(ValueError, match="choose from blur, jpeg"):
        corrupt(SQUARES, "fog", "mild", 0)
    with pytest.raises(ValueError, match="mild, medium, severe"):
        corrupt(SQUARES, "blur", "deadly", 0)
