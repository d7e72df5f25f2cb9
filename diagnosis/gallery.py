"""The images of a case as a pathologist reviews them: by class, malignant patterns first, the least sure first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mlcore.bundle import MALIGNANT
from mlcore.reading import words

if TYPE_CHECKING:
    from diagnosis.worklist import ImageRow

Sort = Literal["unsure", "arrival"]

#: What is pressed for each class, in the clinical order of the groups. Letters that the words hold (S: segmented) for
#: cells, figures in the order of maturation for fields, so that one key never means a class of each. C, K, N, O, W, X,
#: Y and Z belong to the gallery, [ and ] to the case page.
KEYS: dict[str, dict[str, str]] = {
    "field": {"pro_b": "1", "pre_b": "2", "early_pre_b": "3", "benign": "4"},
    "cell": {
        "blast": "B",
        "promyelocyte": "P",
        "immature_granulocyte": "I",
        "plasma_cell": "A",
        "erythroblast": "R",
        "lymphocyte": "L",
        "monocyte": "M",
        "neutrophil": "S",
        "eosinophil": "E",
        "basophil": "H",
        "smudge_cell": "D",
        "platelet": "T",
    },
}
#: Groups of images without a class: what the networks failed on stands before all others, what waits after them.
FAILED, WAITING = "failed", "waiting"
TITLES = {FAILED: "Could not be read", WAITING: "Not read yet"}
KIND_TITLES = {"field": "Fields", "cell": "Single cells"}


@dataclass(frozen=True, slots=True)
class Tile:
    """One image in the gallery. What networks think and what a person decided stay apart."""

    row: ImageRow
    number: int  # in the order of arrival, from 1
    flagged: bool  # a flag of the case rests on it, or its quality is poor
    doubt: str  # why the networks should not be relied on, in a few words; "" for no reason

    @property
    def reading(self) -> str:
        return self.row.reading.label if self.row.reading else ""

    @property
    def decided(self) -> str:
        return self.row.decision.label if self.row.decision else ""

    @property
    def group(self) -> str:
        """The class that counts, the person's before the networks', else why there is none."""
        return self.decided or self.reading or (FAILED if self.row.status == "failed" else WAITING)

    @property
    def sure(self) -> float:
        """Probability of the reading's class, 0–1; 0 where there is none."""
        return self.row.reading.probability if self.row.reading else 0.0

    @property
    def rank(self) -> tuple[bool, float, int]:
        """Sorts the least sure first."""
        return (not self.doubt, self.sure, self.number)

    @property
    def facts(self) -> str:
        """What it is and what the networks say, for those who hear the page."""
        kind = "single cell" if self.row.image.kind == "cell" else "field"
        if self.row.reading is None:
            return f"{kind}: {'could not be read' if self.row.status == 'failed' else 'not read yet'}"
        said = f"{kind}: networks say {words(self.reading)}, {self.sure:.0%} sure"
        return f"{said}, {self.doubt}" if self.doubt else said


@dataclass(slots=True)
class Group:
    """Images of one class; all classes of a kind that the case has are there, most of them empty."""

    kind: str
    label: str  # a class, FAILED or WAITING
    title: str
    tiles: list[Tile] = field(default_factory=list)
    share: float | None = None  # of the kind's images that have a class

    @property
    def malignant(self) -> bool:
        return self.label in MALIGNANT[self.kind]

    @property
    def undecided(self) -> int:
        return sum(not tile.decided for tile in self.tiles)


def tiles(rows: Sequence[ImageRow], *, assessment: Mapping[str, Any]) -> list[Tile]:
    """Every image of a case, in the order of arrival. `assessment`: as the case stores it."""
    rest = {pk for flag in assessment.get("flags", ()) for pk in flag["rests_on"]}
    return [
        Tile(row, number, row.image.pk in rest or bool((row.image.quality or {}).get("warnings")), _doubt(row))
        for number, row in enumerate(rows, start=1)
    ]


def groups(shown: Sequence[Tile], *, sort: Sort = "unsure") -> list[Group]:
    """By kind (fields first) and class, malignant patterns first. No query."""
    found: list[Group] = []
    for kind, keys in KEYS.items():
        mine = [tile for tile in shown if tile.row.image.kind == kind]
        if not mine:
            continue
        by_label = {label: Group(kind, label, _title(label)) for label in (FAILED, *keys, WAITING)}
        for tile in sorted(mine, key=lambda tile: tile.rank) if sort == "unsure" else mine:
            by_label[tile.group].tiles.append(tile)
        classed = sum(len(by_label[label].tiles) for label in keys)
        for label in keys:
            by_label[label].share = len(by_label[label].tiles) / classed if classed else 0.0
        found += by_label.values()
    return found


def _title(label: str) -> str:
    said = TITLES.get(label) or words(label)
    return said[:1].upper() + said[1:]


def _doubt(row: ImageRow) -> str:
    if row.reading is None:
        return "could not be read" if row.status == "failed" else ""
    if not row.reading.agree:
        return "networks disagree"
    if any(analysis.novel for analysis in row.analyses):
        return "unlike the training data"
    if row.reading.needs_person:
        return "networks unsure"
    return "one network failed" if row.status == "failed" else ""
