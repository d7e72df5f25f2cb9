"""What the opinions of two networks come to."""

from dataclasses import dataclass

import pytest

from mlcore.reading import UNSURE, combine, words


@dataclass(frozen=True)
class Said:
    probabilities: dict[str, float]
    malignant: float = 0.0
    novelty: float = 0.1
    novel: bool = False
    network: str = "cnn"


def test_agreement_needs_nobody() -> None:
    reading = combine([Said({"blast": 0.9, "monocyte": 0.1}, 0.9), Said({"blast": 0.7, "monocyte": 0.3}, 0.7)])
    assert reading.label == "blast"
    assert reading.agree
    assert not reading.needs_person
    assert reading.warnings == ()
    assert reading.malignant == pytest.approx(0.8)
    assert reading.probability == pytest.approx(0.8)


def test_disagreement_names_both_and_asks_for_a_person() -> None:
    reading = combine([Said({"blast": 0.9, "plasma_cell": 0.1}, 0.9), Said({"blast": 0.4, "plasma_cell": 0.6}, 0.4)])
    assert not reading.agree
    assert reading.needs_person
    assert reading.warnings == ("The networks disagree: blast or plasma cell.",)


def test_a_weak_lead_is_unsure() -> None:
    weak = UNSURE - 0.01
    reading = combine([Said({"blast": weak, "monocyte": 1 - weak})])
    assert reading.needs_person
    assert "Unsure: blast leads with only 59%." in reading.warnings
    assert not combine([Said({"blast": UNSURE, "monocyte": 1 - UNSURE})]).needs_person


@pytest.mark.parametrize("novel", [(True, False), (True, True)])
def test_novelty_of_any_network_asks_for_a_person(novel: tuple[bool, bool]) -> None:
    reading = combine([Said({"blast": 1.0}, 1.0, 0.99, flag) for flag in novel])
    assert reading.needs_person
    assert "do not rely" in reading.warnings[0]


def test_nothing_and_different_tasks_cannot_be_combined() -> None:
    with pytest.raises(ValueError, match="no opinion"):
        combine([])
    with pytest.raises(ValueError, match="different classes"):
        combine([Said({"blast": 1.0}), Said({"benign": 1.0})])


def test_classes_are_written_as_people_write_them() -> None:
    assert [words(name) for name in ("early_pre_b", "smudge_cell", "blast")] == ["early pre-B", "smudge cell", "blast"]
