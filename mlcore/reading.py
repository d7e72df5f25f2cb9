"""The reading of an image: what the opinions of its networks come to, and whether a person is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

UNSURE = 0.6  # a leading class below this probability does not lead clearly


class OpinionLike(Protocol):
    """What `combine` needs of an opinion: mlcore.engines.Opinion has it, and so has a stored analysis."""

    @property
    def network(self) -> str: ...
    @property
    def probabilities(self) -> dict[str, float]: ...
    @property
    def malignant(self) -> float: ...
    @property
    def novelty(self) -> float: ...
    @property
    def novel(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """`label` the leading class of the mean probabilities; `malignant` and `novelty` means, 0..1; `agree` whether all
    networks lead with the same class; `warnings` in plain words; `needs_person` when any of them stands."""

    label: str
    probability: float
    probabilities: dict[str, float]
    malignant: float
    agree: bool
    novelty: float
    warnings: tuple[str, ...]
    needs_person: bool


def combine(opinions: Sequence[OpinionLike]) -> Reading:
    """The mean of calibrated probabilities (a linear opinion pool: it never is surer than its surest member).

    Raises ValueError without opinions, or when they speak of different classes.
    """
    if not opinions:
        raise ValueError("there is no opinion to combine")
    classes = list(opinions[0].probabilities)
    if any(list(opinion.probabilities) != classes for opinion in opinions):
        raise ValueError("the opinions speak of different classes")
    count = len(opinions)
    mean = {name: sum(opinion.probabilities[name] for opinion in opinions) / count for name in classes}
    label = max(classes, key=lambda name: mean[name])
    leaders = {max(classes, key=lambda name: opinion.probabilities[name]) for opinion in opinions}
    warnings = []
    if len(leaders) > 1:
        warnings.append("The networks disagree: " + " or ".join(words(name) for name in sorted(leaders)) + ".")
    elif mean[label] < UNSURE:
        warnings.append(f"Unsure: {words(label)} leads with only {mean[label]:.0%}.")
    novel = sum(opinion.novel for opinion in opinions)
    if novel:
        who = "The networks find" if novel == count else f"{novel} of {count} networks finds"
        warnings.append(f"{who} this unlike the pictures of the training: do not rely on the reading.")
    return Reading(
        label=label,
        probability=mean[label],
        probabilities=mean,
        malignant=sum(opinion.malignant for opinion in opinions) / count,
        agree=len(leaders) == 1,
        novelty=sum(opinion.novelty for opinion in opinions) / count,
        warnings=tuple(warnings),
        needs_person=bool(warnings),
    )


WORDS = {"early_pre_b": "early pre-B", "pre_b": "pre-B", "pro_b": "pro-B"}


def words(label: str) -> str:
    """A class as people write it: "plasma cell", "early pre-B"."""
    return WORDS.get(label, label.replace("_", " "))
