"""What is wrong or doubtful about a manifest's cells, before any picture is opened: findings in plain words."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

from mlcore.bundle import TASKS
from mlcore.manifest import (
    ALIASES,
    OWN_COLUMNS,
    SIDES,
    SPLITS,
    ManifestError,
    Table,
    class_of,
    grade_of,
    locate,
    nearest,
    read_table,
    spelling,
)

FOLDS = 5  # of the cross-validation
SHOWN = 5  # examples of one finding
STOP, DOUBT, NOTE = "stop", "doubt", "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """`weight`: stop (training would refuse it), doubt (for a person to judge) or note; `examples` are a few."""

    weight: str
    code: str
    words: str
    advice: str = ""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a manifest that names a class and an existing file; what its cells say, after the map."""

    line: int
    written: str
    path: Path
    label: str
    group: str
    side: str
    cluster: str


def examine(
    manifest: Path, task: str, group: str | None, mapping: Mapping[str, str | None]
) -> tuple[list[Entry], list[Finding], int]:
    """(the usable lines, what was found, how many pictures the map leaves out). Raises ManifestError if no CSV.

    `datasets.read_manifest` refuses what has a finding of weight "stop" here. Lines that the map leaves out are not
    looked at any further, and of equal lines the first counts.
    """
    table = read_table(manifest)
    findings = [Finding(NOTE, "form", oddity) for oddity in table.oddities]
    columns = {}
    for name in ("path", "label", *([group] if group else [])):
        try:
            columns[name] = table.column(name)
        except ManifestError as error:
            findings.append(Finding(STOP, "missing_column", str(error)))
            continue
        if name in ALIASES and spelling(columns[name]) != name:
            words = f"There is no column {name!r}; the column {columns[name]!r} was taken for it."
            findings.append(Finding(NOTE, "other_heading", words))
    if not table.rows:
        findings.append(Finding(STOP, "no_rows", "There is no picture in the manifest, only its headings."))
    whole = len(table.rows)
    if "label" in columns:
        findings += _labels(Counter(values[columns["label"]] for values in table.rows), task, mapping)
        table = _wanted(table, columns["label"], mapping)
        if whole and not table.rows:
            findings.append(Finding(STOP, "no_rows", "The map leaves out every picture."))
    left_out = whole - len(table.rows)
    there: dict[int, Path] = {}
    if "path" in columns:
        findings += _files(table, columns["path"], there)
        findings += _listed_twice(table, columns, there)
    findings += _sides(table)
    if group is None:
        findings.append(_no_group(table, columns))
    elif group in columns:
        findings += _empty_groups(table, columns[group])
    return list(_entries(table, columns, group, TASKS[task], mapping, there)), findings, left_out


def _wanted(table: Table, column: str, mapping: Mapping[str, str | None]) -> Table:
    """The table without the lines that the map leaves out."""
    keep = [values[column] not in mapping or mapping[values[column]] is not None for values in table.rows]
    return replace(table, rows=list(compress(table.rows, keep)), lines=list(compress(table.lines, keep)))


def _entries(
    table: Table,
    columns: Mapping[str, str],
    group: str | None,
    classes: Sequence[str],
    mapping: Mapping[str, str | None],
    there: Mapping[int, Path],
) -> Iterator[Entry]:
    if not {"path", "label"} <= set(columns):
        return
    listed_before: set[Path] = set()
    for line, values in zip(table.lines, table.rows, strict=True):
        try:
            label = class_of(values[columns["label"]], classes, mapping)
        except KeyError:
            continue
        if label is None or line not in there or there[line] in listed_before:
            continue
        listed_before.add(there[line])
        written = values[columns["path"]]
        name = values[columns[group]] if group and group in columns else written
        yield Entry(line, written, there[line], label, name, _side(values), values.get("near_duplicate_group", ""))


def _labels(labels: Counter[str], task: str, mapping: Mapping[str, str | None]) -> Iterator[Finding]:
    classes = TASKS[task]
    for old in sorted(set(mapping) - set(labels)):
        yield Finding(
            DOUBT, "map_unused", f"The map speaks of {old!r}, a label that no picture has.", "Look at its letters."
        )
    for old, new in sorted(mapping.items()):
        if new is not None and new not in classes and spelling(new) not in classes:
            meant = nearest(new, classes)
            hint = f" Is {meant} meant?" if meant else ""
            yield Finding(STOP, "map_target", f"The map turns {old!r} into {new!r}, which is no class.{hint}")
    if labels[""]:
        yield Finding(
            STOP, "empty_label", f"{counted(labels[''], 'picture')} without a label.", "Label or remove these lines."
        )
    unknown, respelled = [], []
    for label in sorted(set(labels) - {""}, key=lambda label: (-labels[label], label)):
        try:
            meant = class_of(label, classes, mapping)
        except KeyError:
            if label not in mapping:
                unknown.append(label)
            continue
        if label not in mapping and meant != label:
            respelled.append(f"{label} → {meant} ({labels[label]})")
    if respelled:
        yield Finding(
            NOTE,
            "respelled",
            f"{counted(len(respelled), 'label')} spelled otherwise than the class, and understood.",
            examples=tuple(respelled),
        )
    if not unknown:
        return
    examples = []
    for label in unknown:
        meant = nearest(label, classes)
        examples.append(f"{label},{meant or '-'}")
    pictures = sum(labels[label] for label in unknown)
    other = next(
        (name for name in TASKS if name != task and any(spelling(label) in TASKS[name] for label in unknown)), ""
    )
    wrong = f" Some are classes of the other task: is --task {other} meant?" if other else ""
    yield Finding(
        STOP,
        "unknown_labels",
        f"{counted(len(unknown), 'label')} that {are(len(unknown))} no class of the task {task}, "
        f"on {counted(pictures, 'picture')}: {listed([f'{label} ({labels[label]})' for label in unknown], 12)}.{wrong}",
        f"Classes are: {', '.join(classes)}. Write into a file map.csv which class each means (“-” leaves its pictures "
        "out) and add --map map.csv. A start, to be corrected:",
        tuple(examples),
    )


def _files(table: Table, column: str, there: dict[int, Path]) -> Iterator[Finding]:
    """Findings about files that are not there; the ones that are go into `there`, by line."""
    folder = table.path.parent
    empty, missing, absolute = [], [], []
    for line, values in zip(table.lines, table.rows, strict=True):
        written = values[column]
        if not written:
            empty.append(line)
            continue
        path = locate(folder, written)
        if path.is_file():
            there[line] = path
            if written.startswith("/"):
                absolute.append(line)
        else:
            missing.append((line, written))
    if any("\\" in values[column] for values in table.rows):
        yield Finding(
            NOTE, "backslashes", "The paths are written with backslashes, as on Windows, and were understood."
        )
    if empty:
        yield Finding(
            STOP,
            "empty_path",
            f"{counted(len(empty), 'line')} without a path ({_lines(empty)}).",
            "Fill in or remove them.",
        )
    if absolute:
        yield Finding(
            DOUBT,
            "absolute_paths",
            f"{counted(len(absolute), 'path')} written from the root of this machine's disk.",
            "They break when the folder is moved; write them relative to the manifest's folder.",
        )
    if missing:
        yield _missing(folder, missing, len(table.rows))


def _missing(folder: Path, missing: Sequence[tuple[int, str]], rows: int) -> Finding:
    """One finding about all files that are not there, with the most likely reason."""
    advice = "Paths are relative to the manifest's folder. Copy the files there, or correct or remove the lines."
    _, first = missing[0]
    name = re.split(r"[\\/]", first)[-1]
    by_name = {
        other.casefold(): Path(at, other).relative_to(folder).as_posix()
        for at, _, names in os.walk(folder)
        for other in names
    }
    found = by_name.get(name.casefold())
    written = first.replace("\\", "/")
    if found and found.casefold() == written.casefold():
        advice = f"There is a file {found}: capitals and small letters count."
    elif found and written.casefold().endswith(found.casefold()):
        advice = f"There is a file {found} here: replace “{first[: len(first) - len(found)]}” by nothing in the column."
    elif found and found.casefold().endswith(written.casefold()):
        advice = f"There is a file {found}: put “{found[: len(found) - len(written)]}” before each path."
    elif found:
        advice = f"A file of that name is {found}: paths are relative to the manifest's folder."
    elif "." not in name and any(other.startswith(name.casefold() + ".") for other in by_name):
        advice = "The ending is missing: write the whole file name, as in 0001.jpg."
    return Finding(
        STOP,
        "missing_files",
        f"{len(missing)} of {counted(rows, 'file')} {are(len(missing))} not there.",
        advice,
        tuple(f"line {line}: {written}" for line, written in missing[:SHOWN]),
    )


def _listed_twice(table: Table, columns: Mapping[str, str], there: Mapping[int, Path]) -> Iterator[Finding]:
    """Files that several lines name: harmless where the lines say the same."""
    said: defaultdict[Path, list[tuple[str, ...]]] = defaultdict(list)
    written: dict[Path, str] = {}
    others = [column for name, column in columns.items() if name != "path"]
    for line, values in zip(table.lines, table.rows, strict=True):
        if line in there:
            cells = [values[column] for column in others]
            said[there[line]].append((*cells, _side(values), values.get("near_duplicate_group", "")))
            written.setdefault(there[line], values[columns["path"]])
    twice = [path for path, lines in said.items() if len(lines) > 1]
    if not twice:
        return
    contrary = [path for path in twice if len(set(said[path])) > 1]
    words = f"{counted(len(twice), 'picture')} listed more than once"
    words += f", {len(contrary)} of them with lines that contradict each other." if contrary else ", in the same words."
    yield Finding(
        STOP if contrary else DOUBT,
        "listed_twice",
        words,
        "Keep one line for each picture." if contrary else "Each counts once; was another picture meant?",
        tuple(
            f"{written[path]}: {' / '.join(sorted({', '.join(filter(None, cells)) for cells in said[path]}))}"
            for path in (contrary or twice)[:SHOWN]
        ),
    )


def likely_groups(table: Table, columns: Mapping[str, str]) -> list[str]:
    """Columns that might say which pictures belong together; `columns` are taken for something else."""
    likely = [column for column in table.columns if grade_of(column) in "AB"]
    for column in table.columns:
        if column in (*columns.values(), *OWN_COLUMNS, *likely):
            continue
        values = {row[column] for row in table.rows}
        if FOLDS <= len(values) <= len(table.rows) / 2:
            likely.append(column)
    return likely


def _no_group(table: Table, columns: Mapping[str, str]) -> Finding:
    likely = likely_groups(table, columns)
    advice = (
        f"Add --group {likely[0]}, if that is what it says."
        if len(likely) == 1
        else f"One of these columns may say it: {', '.join(likely)}. Add it as --group COLUMN."
        if likely
        else "Add a column patient_id (numbers or letters, no names) and say --group patient_id."
    )
    return Finding(DOUBT, "no_group", "Nothing says which pictures are of the same patient.", advice)


def _empty_groups(table: Table, column: str) -> Iterator[Finding]:
    empty = [line for line, values in zip(table.lines, table.rows, strict=True) if not values[column]]
    if empty:
        yield Finding(
            STOP,
            "empty_group",
            f"{counted(len(empty), 'line')} with nothing in {column} ({_lines(empty)}).",
            "Say whose picture it is; where nobody knows, give each patient, slide or day a name of its own.",
        )
    alike: defaultdict[str, set[str]] = defaultdict(set)
    for values in table.rows:
        alike[spelling(values[column])].add(values[column])
    twins = [" = ".join(sorted(names)) + " ?" for names in alike.values() if len(names) > 1]
    if twins:
        yield Finding(
            DOUBT,
            "group_spelling",
            f"{counted(len(twins), 'name')} in {column} spelled in two ways.",
            "If they are one patient, write them alike: otherwise the patient is in training and in test.",
            tuple(sorted(twins)[:SHOWN]),
        )


def _side(values: Mapping[str, str]) -> str:
    """What a line's column `split` says, in our words where they are known."""
    written = values.get("split", "")
    return SIDES.get(spelling(written), written)


def _sides(table: Table) -> Iterator[Finding]:
    """The column `split`, where there is one: its words and its gaps."""
    if "split" not in table.columns:
        return
    sides = Counter(_side(values) for values in table.rows)
    wrong = sorted(set(sides) - {"", *SPLITS})
    if wrong:
        yield Finding(
            STOP,
            "split_words",
            f"The column split says {listed([f'{side!r} ({sides[side]})' for side in wrong], SHOWN)}.",
            f"It may say {', '.join(SPLITS)}, or be empty everywhere to let the groups be divided.",
        )
    if sides[""] and len(sides) > 1:
        yield Finding(
            DOUBT,
            "split_gaps",
            f"The column split is empty in {counted(sides[''], 'line')}, so it is not followed at all.",
            "Fill it everywhere or remove it.",
        )


def counted(number: int, noun: str) -> str:
    """ "1 picture", "12,061 pictures"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def are(number: int) -> str:
    return "is" if number == 1 else "are"


def listed(items: Sequence[str], most: int) -> str:
    """The first `most` items, and how many more there are."""
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def _lines(lines: Sequence[int]) -> str:
    return f"line{'s' if len(lines) > 1 else ''} " + listed([str(line) for line in lines], SHOWN)
