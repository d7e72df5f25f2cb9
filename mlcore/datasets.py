"""Manifest -> rows -> grouped split, and the gate that refuses a split through which answers leak."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from mlcore import images, phantom
from mlcore.bundle import MALIGNANT
from mlcore.findings import STOP, examine
from mlcore.manifest import SPLITS, ManifestError, grade_of
from mlcore.preprocessing import Preprocessing

# Bits of 256 in which two difference hashes may differ and still be called the same picture, re-encoded or rescaled.
NEAR = 24


class LeakError(ValueError):
    """The same patient, file or near-duplicate stands on two sides of a split, or a side lacks what it is for."""


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
    manifest: Path, task: str, *, group: str | None, mapping: Mapping[str, str | None] | None = None
) -> list[Row]:
    """Rows of a manifest in its order, labels as the classes of `task`; `mapping` as of manifest.read_map.

    Raises ManifestError, with the first of them in words, for whatever `data check` marks STOP about its cells.
    """
    entries, findings, _ = examine(manifest, task, group, mapping or {})
    stops = [finding for finding in findings if finding.weight == STOP]
    if stops:
        first = stops[0]
        told = " ".join([first.words, first.advice, "; ".join(first.examples)]).strip()
        more = f" {len(stops) - 1} more:" if len(stops) > 1 else ""
        raise ManifestError(f"{manifest}: {told}{more} see `python -m mlcore data check {manifest}`")
    return [Row(entry.path, entry.label, entry.group, entry.side, entry.cluster) for entry in entries]


def fingerprint(row: Row) -> Row:
    """The row with the hash of its bytes and its difference hash: 16 x 16 signs of neighbouring grey differences.

    Raises ManifestError for a file that is no whole picture.
    """
    try:
        data = row.path.read_bytes()
        with Image.open(row.path) as picture:
            grey = np.asarray(picture.convert("L").resize((17, 16), Image.Resampling.BOX), dtype=np.int16)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ManifestError(f"{row.path} cannot be read as a picture: {error}") from error
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    return replace(row, sha256=hashlib.sha256(data).hexdigest(), fingerprint=bits.tobytes())


def split_rows(rows: Sequence[Row], *, group: str | None, seed: int) -> Split:
    """Set test groups aside first (about a fifth), then validation groups (about 15 %), classes kept in proportion.

    A row for training that equals or nearly equals a held-out one is set aside, for it would teach the answer; between
    validation and test the validation row gives way. A `split` column is taken as it stands, for the gate to judge;
    where it names no validation rows, they come from its training groups.
    """
    grade = grade_of(group)
    if all(row.split for row in rows):
        rest, validation, test = ([row for row in rows if row.split == side] for side in SPLITS)
        if validation or not rest:
            return Split(rest, validation, test, grade)
        train, validation = next(_folds(rest, _parts(rest), seed))
        train, twins = _without_twins(train, validation)
        return Split(train, validation, test, grade, twins)
    rest, test = next(_folds(rows, 5, seed))
    train, validation = next(_folds(rest, _parts(rest), seed))
    validation, twins = _without_twins(validation, test)
    train, more = _without_twins(train, [*validation, *test])
    return Split(train, validation, test, grade, twins + more)


def folds(rows: Sequence[Row], *, group: str | None, count: int, seed: int) -> list[Split]:
    """`count` splits without validation rows, whose test sides together are all rows; the first is `split_rows`' own.

    Pictures that equal or nearly equal a held-out one are set aside from that fold's training. A `split` column is not
    looked at. Raises LeakError when there are fewer groups than folds, when something still stands on both sides, or
    when benign or malignant pictures are in one fold alone, which then could not be calibrated without itself.
    """
    grade = grade_of(group)
    splits = []
    for rest, held_out in _folds(rows, count, seed):
        train, twins = _without_twins(rest, held_out)
        split = Split(train, [], held_out, grade, twins)
        refuse_leaks(split)
        splits.append(split)
    for kind in (True, False):
        if sum(kind in _kinds(split.test) for split in splits) < 2:
            raise LeakError(
                f"fewer than two of {count} folds hold {_KIND_WORDS[kind]} pictures, so no threshold can be chosen "
                "without the fold it is for; bring more groups with them"
            )
    return splits


def refuse_leaks(split: Split) -> None:
    """Raise LeakError when a group, a file's hash, a near-duplicate cluster or a near fingerprint has two sides.

    Also when training or test is empty, and when the validation rows are all benign or all malignant: an operating
    threshold is chosen between the two.
    """
    for name in ("train", "test"):
        if not split.sides()[name]:
            raise LeakError(f"{name} is empty: there are too few groups to hold any out")
    if split.validation and len(kinds := _kinds(split.validation)) == 1:
        raise LeakError(
            f"validation holds {_KIND_WORDS[kinds.pop()]} pictures only, so no threshold can be chosen; bring more "
            "groups of the others"
        )
    sides = list(split.sides().items())
    for index, (name, rows) in enumerate(sides):
        for other_name, others in sides[index + 1 :]:
            for what in ("group", "sha256", "cluster"):
                shared = {getattr(row, what) for row in rows} & {getattr(row, what) for row in others} - {""}
                if shared:
                    raise LeakError(
                        f"{what} {min(shared)!r} stands in both {name} and {other_name} ({len(shared)} such); "
                        "keep everything of one patient or one picture on one side"
                    )
            near = near_pairs(rows, others)
            if near:
                mine, theirs = near[0]
                raise LeakError(
                    f"{rows[mine].path.name} in {name} is nearly {others[theirs].path.name} in {other_name} "
                    f"({len(near)} such pairs); remove one of each"
                )


_KIND_WORDS = {True: "malignant", False: "benign"}
_MALIGNANT = frozenset[str]().union(*MALIGNANT.values())


def _kinds(rows: Iterable[Row]) -> set[bool]:
    """Which of malignant (True) and benign (False) are among the rows; no class is of both tasks."""
    return {row.label in _MALIGNANT for row in rows}


def _parts(rows: Sequence[Row]) -> int:
    """Of how many parts validation is one: six, fewer where there are fewer groups or pictures of every class."""
    most = Counter(row.label for row in rows).most_common(1)
    return max(2, min(6, len({row.group for row in rows}), *(count for _, count in most)))


def _folds(rows: Sequence[Row], count: int, seed: int) -> Iterator[tuple[list[Row], list[Row]]]:
    """(the rest, one fold), `count` times: whole groups, classes in proportion, the same for the same seed."""
    labels = [row.label for row in rows]
    groups = [row.group for row in rows]
    if len(set(groups)) < count:
        raise LeakError(f"{len(set(groups))} groups are too few to hold any out; at least {count} are needed")
    if max(Counter(labels).values()) < count:
        raise LeakError(f"no class has as many as {count} pictures; that is too few to hold any out")
    splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a rare class is missing from some folds, which its figures say by themselves
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        divided = list(splitter.split(labels, labels, groups))
    for rest, held_out in divided:
        yield [rows[i] for i in rest], [rows[i] for i in held_out]


def _without_twins(rows: Sequence[Row], held_out: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """(rows to keep, rows that equal or nearly equal a held-out row)."""
    hashes = {row.sha256 for row in held_out} - {""}
    clusters = {row.cluster for row in held_out} - {""}
    near = {mine for mine, _ in near_pairs(rows, held_out)}
    twin = [row.sha256 in hashes or row.cluster in clusters or i in near for i, row in enumerate(rows)]
    return (
        [row for row, out in zip(rows, twin, strict=True) if not out],
        [row for row, out in zip(rows, twin, strict=True) if out],
    )


def near_pairs(rows: Sequence[Row], others: Sequence[Row]) -> list[tuple[int, int]]:
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


def decoded(row: Row) -> np.ndarray:
    """uint8 (H, W, 3) as the service decodes it. Raises ManifestError where the service would refuse the picture."""
    try:
        return images.decode(row.path.read_bytes())
    except images.ImageRefused as refused:
        raise ManifestError(f"{row.path}: {refused}") from refused


def load_squares(rows: Sequence[Row], preprocessing: Preprocessing, cache: Path) -> np.ndarray:
    """uint8 (N, S, S, 3): every row decoded and squared as the service does it, kept under `cache` for the next run."""
    key = hashlib.sha256(f"{preprocessing.size} ".encode() + b" ".join(row.sha256.encode() for row in rows)).hexdigest()
    kept = cache / f"squares-{key[:24]}.npy"
    if not kept.exists():
        with ThreadPoolExecutor() as pool:
            squares = pool.map(lambda row: preprocessing.square(decoded(row)), rows)
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
