"""What goes into an assessment and what comes out of it: plain values, no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlcore.bundle import MALIGNANT

Level = str  # "alarm": act now · "doubt": look before you trust it · "info": know it


@dataclass(frozen=True, slots=True)
class ImageEvidence:
    """One image: what the networks read in it, and what a person decided, kept apart."""

    id: int
    kind: str  # field, cell
    status: str  # queued, running, done, failed
    label: str | None = None  # of the reading
    malignant: float | None = None  # of the reading, 0–1
    probabilities: Mapping[str, float] = field(default_factory=dict)  # mean of the opinions, by class
    agree: bool = True  # the networks name the same class
    novel: bool = False  # a network says: unlike my training data
    poor_quality: bool = False
    decision: str | None = None  # the class a person named; goes before every opinion

    @property
    def final(self) -> str | None:
        """The class that counts: the person's, else the reading's, else None."""
        return self.decision or self.label

    @property
    def is_malignant(self) -> bool:
        return self.final in MALIGNANT[self.kind]

    @property
    def undecided(self) -> bool:
        return self.decision is None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is known of a case's images. `specimen` decides which cells are counted."""

    specimen: str  # peripheral_blood, bone_marrow
    images: tuple[ImageEvidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Interval:
    """A value between the ends of its 95 % interval; all are shares or probabilities, 0–1."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


@dataclass(frozen=True, slots=True)
class Part:
    """The fields, or the counted cells, of a case."""

    count: int
    malignant: int
    share: Interval | None  # malignant of count; None where nothing is counted
    probability: Interval | None  # of blood cancer, resting on this part alone
    decided: int  # of count

    def to_dict(self) -> dict[str, Any]:
        share = self.share.to_dict() if self.share else {"value": None, "low": None, "high": None}
        return {
            "count": self.count,
            "malignant": self.malignant,
            "decided": self.decided,
            "share": share["value"],
            "low": share["low"],
            "high": share["high"],
            "probability": self.probability.to_dict() if self.probability else None,
        }


@dataclass(frozen=True, slots=True)
class Flag:
    """A remark in words, and the images it rests on."""

    code: str
    level: Level
    title: str
    detail: str
    rests_on: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "level": self.level,
            "title": self.title,
            "detail": self.detail,
            "rests_on": list(self.rests_on),
        }


@dataclass(frozen=True, slots=True)
class Progress:
    images: int
    done: int
    failed: int
    waiting: int
    decided: int

    def to_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("images", "done", "failed", "waiting", "decided")}


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the evidence of a case says. `malignant`: probability of blood cancer, None where nothing is read."""

    status: str  # a Case.Status
    malignant: Interval | None
    fields: Part
    cells: Part
    acute_leukaemia: Interval | None  # probability that the malignant-pattern share of the cells is 20 % or more
    blasts: Interval | None  # share of the counted cells
    differential: tuple[tuple[str, int], ...]  # counted classes, most frequent first
    not_counted: tuple[tuple[str, int], ...]
    flags: tuple[Flag, ...]
    progress: Progress
    statement: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "malignant": self.malignant.to_dict() if self.malignant else None,
            "fields": self.fields.to_dict(),
            "cells": {
                **self.cells.to_dict(),
                "acute_leukaemia": self.acute_leukaemia.to_dict() if self.acute_leukaemia else None,
                "blast_share": self.blasts.to_dict() if self.blasts else None,
                "not_counted": [{"label": label, "count": count} for label, count in self.not_counted],
            },
            "differential": [
                {"label": label, "count": count, "share": round(count / self.cells.count, 4)}
                for label, count in self.differential
            ],
            "flags": [flag.to_dict() for flag in self.flags],
            "progress": self.progress.to_dict(),
            "statement": self.statement,
            "research_use_only": True,
        }
