"""Which pictures of a laboratory's manifest are evaluated, as what, and what is said of all others.

Training refuses a manifest with a fault; an evaluation takes what can be taken, and counts and lists the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlcore.bundle import TASKS
from mlcore.datasets import ManifestError
from mlcore.findings import STOP, examine
from mlcore.manifest import ALIASES, Table, class_of, grade_of, locate, nearest, read_table, spelling
from mlcore.report.prose import counted

NO_LABEL, NO_GROUP = "(no label)", "(not stated)"
NAMED = 8  # labels that a warning lists


@dataclass(frozen=True, slots=True)
class Listed:
    """A line that names a class and an existing file; `own_group` is what its training's group column says of it."""

    written: str
    path: Path
    label: str
    group: str
    own_group: str


@dataclass(slots=True)
class Listing:
    """`pictures` in the manifest's order; `column` as the manifest heads it; `grade` of the groups, A to D.

    `mapped`: label of the manifest -> class, where they differ; `left_out`: label -> pictures; `unreadable`: path and
    why; `warnings` in words.
    """

    pictures: list[Listed]
    column: str | None
    grade: str
    mapped: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    unreadable: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_listing(
    manifest: Path, task: str, group: str | None, mapping: Mapping[str, str | None], own_column: str | None = None
) -> Listing:
    """`own_column`: the group column of the network's own training, to know its pictures again.

    Raises ManifestError when there is no such manifest or column, when the map names no class, or when no line is left.
    """
    table = read_table(manifest)
    path_column, label_column = _column(table, "path"), _column(table, "label")
    column = table.column(group) if group else None
    own = next((name for name in table.columns if own_column and spelling(name) == spelling(own_column)), None)
    listing = Listing([], column, grade_of(column))
    labels = Counter(values[label_column] for values in table.rows)
    mapping = _used(mapping, labels, task, listing)
    meant = _meanings(labels, task, mapping, listing)
    nobody = again = 0
    seen: set[Path] = set()
    for line, values in zip(table.lines, table.rows, strict=True):
        label, written = meant.get(values[label_column]), values[path_column]
        if label is None:
            continue
        path = locate(manifest.parent, written)
        if not written or not path.is_file():
            why = "There is no such file." if written else f"Line {line} names no file."
            listing.unreadable.append({"path": written, "why": why})
            continue
        if path in seen:
            again += 1
            continue
        seen.add(path)
        name = values[column] if column else written
        nobody += not name
        listing.pictures.append(Listed(written, path, label, name or NO_GROUP, values[own] if own else written))
    if again:
        listing.warnings.append(f"{counted(again, 'line')} name a picture a second time: its first line counts.")
    if nobody:
        listing.warnings.append(f"{counted(nobody)} with nothing in {column}: they count as one group.")
    if listing.unreadable and not listing.pictures:
        raise ManifestError(_why_none(manifest, task, group, mapping))
    if not listing.pictures:
        shown = ", ".join(f"{label or NO_LABEL} ({count})" for label, count in labels.most_common(NAMED))
        raise ManifestError(
            f"{manifest} has no picture of a class of the task {task}; its labels are: {shown or 'none'}. Write into a "
            "file what each means (a line reads: their label,our class) and add --map FILE. "
            f"Classes are: {', '.join(TASKS[task])}"
        )
    if any(values.get("split") == "train" for values in table.rows):
        listing.warnings.append("The manifest has a column split: it is not followed, pictures of every side are read.")
    return listing


def _column(table: Table, name: str) -> str:
    """The column of that name, or the only one with another program's name for it."""
    if not any(spelling(column) == name for column in table.columns):
        other = [column for column in table.columns if spelling(column) in ALIASES[name]]
        if len(other) == 1:
            return other[0]
    return table.column(name)


def _used(
    mapping: Mapping[str, str | None], labels: Counter[str], task: str, listing: Listing
) -> dict[str, str | None]:
    """The pairs of a map that speak of labels that occur. Raises ManifestError where one of these names no class."""
    by_spelling = {spelling(label): label for label in labels}
    used = {}
    for old, new in mapping.items():
        label = old if old in labels else by_spelling.get(spelling(old))
        if label is None:
            listing.warnings.append(f"The map speaks of {old!r}, a label that no picture has.")
            continue
        if new is not None and new not in TASKS[task] and spelling(new) not in TASKS[task]:
            close = nearest(new, TASKS[task])
            hint = f" Is {close} meant?" if close else ""
            raise ManifestError(
                f"The map turns {old!r} into {new!r}, which is no class of the task {task}.{hint} "
                f"Classes are: {', '.join(TASKS[task])}; “-” leaves pictures out"
            )
        used[label] = new
    return used


def _meanings(
    labels: Counter[str], task: str, mapping: Mapping[str, str | None], listing: Listing
) -> dict[str, str | None]:
    """label -> class, None for what is left out; what was mapped, left out and not understood goes into `listing`."""
    meant: dict[str, str | None] = {}
    unknown = {}
    for label, count in labels.most_common():
        try:
            meant[label] = class_of(label, TASKS[task], mapping)
        except KeyError:
            meant[label] = None
            unknown[label or NO_LABEL] = count
        told = meant[label]
        if told is None:
            listing.left_out[label or NO_LABEL] = count
        elif told != label:
            listing.mapped[label] = told
    if unknown:
        shown = ", ".join(f"{label} ({count:,})" for label, count in list(unknown.items())[:NAMED])
        more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
        listing.warnings.append(
            f"{counted(sum(unknown.values()))} left out, for their labels are no classes of the task {task}: {shown}"
            f"{more}. Say what they mean with --map FILE."
        )
    return meant


def _why_none(manifest: Path, task: str, group: str | None, mapping: Mapping[str, str | None]) -> str:
    """Not one file is there: the words of `data check`, which looks for the reason."""
    _, findings, _ = examine(manifest, task, group, mapping)
    stops = [
        finding for finding in findings if finding.weight == STOP and finding.code in ("missing_files", "empty_path")
    ]
    return f"{manifest}: " + " ".join(f"{stop.words} {stop.advice}" for stop in stops)
