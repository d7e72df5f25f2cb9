"""What a report was measured on: classes, groups, what their kind is worth, what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlcore.report.evidence import Evidence

GRADE_WORDS = {
    "A": "Groups are patients: the figures and their intervals speak of new patients.",
    "B": "Groups are slides: a patient with several slides counts several times, so intervals are somewhat too narrow.",
    "C": "Groups stand in for patients that are not named: one patient may be in several groups, "
    "so figures may be too good and intervals too narrow.",
    "D": "No groups are named: every picture counts for itself, so intervals are too narrow, and nothing is known "
    "of new patients.",
}


@dataclass(frozen=True, slots=True)
class Data:
    """What the evidence itself does not say of its pictures.

    `grade` A patient, B slide, C stand-in, D picture; `mapped` and `left_out`: labels of the manifest as ours, and how
    many pictures of each label are left out; `duplicates`: pictures that are `exact` or `near` copies of an earlier
    one (None if nobody looked), and how many were `set_aside` from training for it; `unreadable`: path and why.
    """

    grade: str
    mapped: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    duplicates: Mapping[str, int | None] = field(default_factory=lambda: {"exact": 0, "near": 0, "set_aside": 0})
    unreadable: Sequence[Mapping[str, str]] = ()

    def part(self, evidence: Evidence) -> dict[str, Any]:
        """The report's part 1."""
        labels, rows_of = evidence.labels, evidence.by_group()
        present = np.unique(labels)
        return {
            "images": len(labels),
            "groups": len(rows_of),
            "grade": self.grade,
            "grade_words": GRADE_WORDS[self.grade],
            "per_class": {
                evidence.classes[number]: {
                    "images": int((labels == number).sum()),
                    "groups": len(np.unique(evidence.groups[labels == number])),
                }
                for number in present
            },
            "per_group": []
            if self.grade == "D"
            else [_group(evidence, group, rows) for group, rows in rows_of.items()],
            "duplicates": dict(self.duplicates),
            "absent_classes": [name for number, name in enumerate(evidence.classes) if number not in present],
            "mapped": dict(self.mapped),
            "left_out": dict(self.left_out),
            "unreadable": [dict(entry) for entry in self.unreadable],
        }


def _group(evidence: Evidence, group: str, rows: np.ndarray) -> dict[str, Any]:
    counts = np.bincount(evidence.labels[rows], minlength=len(evidence.classes))
    per_class = {name: int(count) for name, count in zip(evidence.classes, counts, strict=True) if count}
    return {"group": group, "images": len(rows), "per_class": per_class}
