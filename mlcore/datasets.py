"""Manifest -> rows -> grouped split, and the gate that refuses a split through which answers leak.

A manifest is a CSV with a header. `path` (relative to the manifest) and `label` are needed; the column named as
group says which pictures belong together. `split` (train, validation, test), where present, is taken as it stands.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from mlcore import images, phantom
from mlcore.preprocessing import Preprocessing

SPLITS = ("train", "validation", "test")
GRADES = {"patient_id": "A", "patient": "A", "slide_id": "B", "slide": "B"}
# Bits of 256 in which two difference hashes may differ and still be called the same picture, re-encoded or rescaled.
NEAR = 24


class ManifestError(ValueError):
    """The manifest cannot be used; the message says why and what to do."""


class LeakError(ValueError):
    """The same patient, file or near-duplicate stands on two sides of a split."""


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled picture. `fingerprint`: difference hash of 32 bytes; `cluster`: its near-duplicate group."""

    path: Path
    label: str
    group: str
    split: str = ""
    cluster: str = ""
    sha256: str = ""
    fingerprint: bytes = b""


@dataclass(frozen=True, slots=True)
class Split:
    """Rows by side, what was set aside, and the grade: grouped by A patient, B slide, C pseudo-group, D image only."""

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    grade: str
    set_aside: list[Row] = field(default_factory=list)

    def sides(self) -> dict[str, list[Row]]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def summary(self) -> dict[str, dict[str, object]]:
        """Images, groups and images per class of every side, for the card."""
        return {
            side: {
                "images": len(rows),
                "groups": len({row.group for row in rows}),
                "per_class": dict(sorted(Counter(row.label for row in rows).items())),
            }
            for side, rows in self.sides().items()
        }


def read_manifest(
    manifest: Path, classes: Sequence[str], *, group: str | None, rename: Mapping[str, str] | None = None
) -> list[Row]:
    """Rows of a manifest whose labels, after `rename`, are all among `classes`.

    Raises ManifestError, with the line, for a missing column, an unknown label, a missing file or an empty group.
    """
    with manifest.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        columns = reader.fieldnames or []
        for column in ["path", "label", *([group] if group else [])]:
            if column not in columns:
                raise ManifestError(f"{manifest}: there is no column {column!r}; columns are: {', '.join(columns)}")
        rows = []
        for number, values in enumerate(reader, start=2):
            label = (rename or {}).get(values["label"], values["label"])
            if label not in classes:
                raise ManifestError(
                    f"{manifest}, line {number}: {label!r} is no class of this task ({', '.join(classes)}); "
                    "name the class it means with --rename OLD=NEW"
                )
            path = manifest.parent / values["path"]
            if not path.is_file():
                raise ManifestError(f"{manifest}, line {number}: there is no file {values['path']}")
            side = values.get("split") or ""
            if side and side not in SPLITS:
                raise ManifestError(f"{manifest}, line {number}: split {side!r} is none of {', '.join(SPLITS)}")
            name = values[group] if group else values["path"]
            if not name:
                raise ManifestError(f"{manifest}, line {number}: {group} is empty")
            rows.append(Row(path, label, name, side, values.get("near_duplicate_group") or ""))
    if not rows:
        raise ManifestError(f"{manifest}: there are no rows")
    return rows


def fingerprint(row: Row) -> Row:
    """The row with the hash of its bytes and its difference hash: 16 x 16 signs of neighbouring grey differences."""
    data = row.path.read_bytes()
    with Image.open(row.path) as picture:
        grey = np.asarray(picture.convert("L").resize((17, 16), Image.Resampling.BOX), dtype=np.int16)
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    return replace(row, sha256=hashlib.sha256(data).hexdigest(), fingerprint=bits.tobytes())


def split_rows(rows: Sequence[Row], *, group: str | None, seed: int) -> Split:
    """Set test groups aside first (about a fifth), then validation groups (about 15 %), classes kept in proportion.

    A row for training that equals or nearly equals a held-out one is set aside, for it would teach the answer; between
    validation and test the validation row gives way. A `split` column is taken as it stands, for the gate to judge.
    """
    grade = GRADES.get(group, "C") if group else "D"
    if all(row.split for row in rows):
        by_side = {side: [row for row in rows if row.split == side] for side in SPLITS}
        return Split(by_side["train"], by_side["validation"], by_side["test"], grade)
    rest, test = _fold(rows, folds=5, seed=seed)
    train, validation = _fold(rest, folds=6, seed=seed)
    validation, twins = _without_twins(validation, test)
    train, more = _without_twins(train, [*validation, *test])
    return Split(train, validation, test, grade, twins + more)


def refuse_leaks(split: Split) -> None:
    """Raise LeakError when a group, a file's hash, a near-duplicate cluster or a near fingerprint has two sides."""
    sides = list(split.sides().items())
    for index, (name, rows) in enumerate(sides):
        if not rows:
            raise LeakError(f"{name} is empty: there are too few groups to hold any out")
        for other_name, others in sides[index + 1 :]:
            for what in ("group", "sha256", "cluster"):
                shared = {getattr(row, what) for row in rows} & {getattr(row, what) for row in others} - {""}
                if shared:
                    raise LeakError(
                        f"{what} {min(shared)!r} stands in both {name} and {other_name} ({len(shared)} such); "
                        "keep everything of one patient or one picture on one side"
                    )
            near = _near(rows, others)
            if near:
                mine, theirs = near[0]
                raise LeakError(
                    f"{rows[mine].path.name} in {name} is nearly {others[theirs].path.name} in {other_name} "
                    f"({len(near)} such pairs); remove one of each"
                )


def _fold(rows: Sequence[Row], *, folds: int, seed: int) -> tuple[list[Row], list[Row]]:
    """(the rest, one fold): whole groups, classes in proportion, the same for the same seed."""
    labels = [row.label for row in rows]
    groups = [row.group for row in rows]
    if len(set(groups)) < folds:
        raise LeakError(f"{len(set(groups))} groups are too few to hold any out; at least {folds} are needed")
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    rest, held_out = next(iter(splitter.split(labels, labels, groups)))
    return [rows[i] for i in rest], [rows[i] for i in held_out]


def _without_twins(rows: Sequence[Row], held_out: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """(rows to keep, rows that equal or nearly equal a held-out row)."""
    hashes = {row.sha256 for row in held_out} - {""}
    clusters = {row.cluster for row in held_out} - {""}
    near = {mine for mine, _ in _near(rows, held_out)}
    twin = [row.sha256 in hashes or row.cluster in clusters or i in near for i, row in enumerate(rows)]
    return (
        [row for row, out in zip(rows, twin, strict=True) if not out],
        [row for row, out in zip(rows, twin, strict=True) if out],
    )


def _near(rows: Sequence[Row], others: Sequence[Row]) -> list[tuple[int, int]]:
    """Pairs (index in rows, index in others) whose fingerprints differ in at most NEAR bits."""
    left, left_index = _words(rows)
    right, right_index = _words(others)
    if not len(left) or not len(right):
        return []
    pairs = []
    for i, word in zip(left_index, left, strict=True):
        distance = np.bitwise_count(right ^ word).sum(axis=1, dtype=np.int32)
        pairs += [(i, right_index[j]) for j in np.flatnonzero(distance <= NEAR)]
    return pairs


def _words(rows: Iterable[Row]) -> tuple[np.ndarray, list[int]]:
    """Fingerprints as (n, 4) uint64, and which rows have one."""
    index = [i for i, row in enumerate(rows) if row.fingerprint]
    words = [np.frombuffer(row.fingerprint, dtype=np.uint64) for row in rows if row.fingerprint]
    return np.array(words, dtype=np.uint64).reshape(-1, 4), index


def load_squares(rows: Sequence[Row], preprocessing: Preprocessing, cache: Path) -> np.ndarray:
    """uint8 (N, S, S, 3): every row decoded and squared as the service does it, kept under `cache` for the next run."""
    key = hashlib.sha256(f"{preprocessing.size} ".encode() + b" ".join(row.sha256.encode() for row in rows)).hexdigest()
    kept = cache / f"squares-{key[:24]}.npy"
    if not kept.exists():
        with ThreadPoolExecutor() as pool:
            squares = pool.map(lambda row: preprocessing.square(images.decode(row.path.read_bytes())), rows)
            _save(kept, np.stack(list(tqdm(squares, total=len(rows), desc="decode", unit="image"))))
    return np.load(kept)


def render_squares(task: str, classes: Sequence[str], preprocessing: Preprocessing, each: int, seed: int) -> np.ndarray:
    """uint8 (classes * each, S, S, 3), `each` rendered pictures of every class in card order, of varied size."""
    render = {"cell": phantom.render_cell, "field": phantom.render_field}[task]
    sizes = np.random.default_rng(seed).integers(128, 321, size=(len(classes), each))
    return np.stack(
        [
            preprocessing.square(render(label, seed=seed + number * each + i, size=int(sizes[number, i])))
            for number, label in enumerate(classes)
            for i in range(each)
        ]
    )


def _save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npy", delete=False) as stream:
        np.save(stream, array)
    os.replace(stream.name, path)
