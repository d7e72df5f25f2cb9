"""Kappa against published numbers and against scikit-learn; its interval against the published standard error."""

from __future__ import annotations

import math
import random

import pytest
from sklearn.metrics import cohen_kappa_score

from diagnosis.kappa import ENOUGH, Z95, cohen, grade


def of_table(table: list[list[int]]) -> list[tuple[str, str]]:
    return [(str(i), str(j)) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]


def test_the_example_of_fleiss_cohen_and_everitt() -> None:
    """Psychol Bull 1969; 72: 323, table 1 (n = 200, shares in the table): κ = 0.429, and their standard error."""
    pairs = of_table([[106, 10, 4], [22, 28, 10], [2, 12, 6]])
    found = cohen(pairs)
    assert (found.n, found.same) == (200, 140)
    assert found.kappa == pytest.approx(0.429, abs=0.0005)
    assert (found.high - found.low) / (2 * Z95) == pytest.approx(math.sqrt(0.002885), abs=0.0003)


def test_the_example_of_cohen() -> None:
    """Educ Psychol Meas 1960; 20: 37, table 1: observed 0.70, expected 0.41 by the margins, κ = 0.492."""
    pairs = of_table([[88, 14, 18], [10, 40, 10], [2, 6, 12]])
    found = cohen(pairs)
    assert found.observed == pytest.approx(0.70)
    assert found.kappa == pytest.approx(0.492, abs=0.0005)


@pytest.mark.parametrize("seed", range(20))
def test_as_scikit_learn_has_it(seed: int) -> None:
    draw = random.Random(seed)
    names = ["aml", "apl", "b_all", "benign", "open"][: draw.randint(2, 5)]
    pairs = [(one := draw.choice(names), one if draw.random() < 0.6 else draw.choice(names)) for _ in range(60)]
    found = cohen(pairs)
    assert found.kappa == pytest.approx(cohen_kappa_score([a for a, _ in pairs], [b for _, b in pairs]))
    assert -1 <= found.low <= found.kappa <= found.high <= 1


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Two readers who say the truth with 70 %, else any of three at random."""
    draw = random.Random(7)
    names = "abc"

    def say(truth: str) -> str:
        return truth if draw.random() < 0.7 else draw.choice(names)

    def sample(n: int) -> list[tuple[str, str]]:
        return [(say(truth), say(truth)) for truth in draw.choices(names, k=n)]

    truth = cohen(sample(200_000)).kappa
    covered = sum(found.low <= truth <= found.high for found in (cohen(sample(80)) for _ in range(1_000)))
    assert 920 <= covered <= 975


def test_perfect_and_none() -> None:
    perfect = cohen([("a", "a"), ("b", "b")] * 10)
    assert (perfect.kappa, perfect.low, perfect.high) == (1.0, 1.0, 1.0)
    opposed = cohen([("a", "b"), ("b", "a")] * 10)
    assert opposed.kappa == pytest.approx(-1.0)
    assert grade(opposed.kappa) == "no better than chance"


def test_too_few_is_said_and_not_counted() -> None:
    found = cohen([("a", "a")] * 5 + [("a", "b")] * (ENOUGH - 6))
    assert (found.kappa, found.low) == (None, None)
    assert found.words == (
        "5 of 9 second opinions agree with the first diagnosis. Too few to state an agreement beyond chance: 10 are "
        "needed."
    )
    assert cohen([]).words == "No second opinion has been answered yet."
    assert cohen([]).observed is None


def test_one_group_throughout_tells_nothing_beyond_chance() -> None:
    found = cohen([("a", "a")] * 30)
    assert (found.kappa, found.observed) == (None, 1.0)
    assert "cannot be told" in found.words


@pytest.mark.parametrize(
    ("kappa", "word"),
    [(0.9, "almost perfect"), (0.7, "substantial"), (0.5, "moderate"), (0.3, "fair"), (0.1, "slight")],
)
def test_words(kappa: float, word: str) -> None:
    assert grade(kappa) == word
