"""Everything that is wrong or doubtful about a laboratory's pictures and their manifest, found at once.

`check` never stops at the first fault: what can still be looked at is looked at. What it calls usable is what `tune`,
`validate` and `train` accept, for it reads as they do and, where nothing else stops them, divides as they do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mlcore import images, shortcuts
from mlcore import picture_findings as pictures
from mlcore.bundle import TASKS
from mlcore.datasets import LeakError, Row, decoded, fingerprint, folds, refuse_leaks, split_rows
from mlcore.experiment import data_digest
from mlcore.findings import DOUBT, FOLDS, NOTE, STOP, Entry, Finding, are, counted, examine, likely_groups
from mlcore.kind import guess_kind
from mlcore.manifest import ManifestError, class_of, grade_of, locate, read_table
from mlcore.picture_findings import Seen
from mlcore.preprocessing import BY_TASK

# Pictures, drawn at random, that the colour baselines are measured on; with fewer than the second they say nothing.
LOOKED, TELLING = 2600, 50
ASKED = 30  # pictures whose kind is guessed where no label says the task
GRADE_WORDS = {
    "A": "by patient: nobody is in training and in test, so figures hold for new patients of the same laboratory",
    "B": "by slide: a patient with two slides may be in training and in test, so figures may be somewhat too good",
    "C": "by a stand-in: the same patient may be in training and in test, so figures are too good for new patients",
    "D": "by picture: a patient is in training and in test, figures say nothing of new patients; cannot be released",
}


@dataclass(frozen=True, slots=True)
class Check:
    """What was found. `data_digest` is training's own on these files, None while something stops training.

    `shortcuts`: accuracy of what sees no cell, out of fold, to be compared with that of "always the commonest class".
    """

    manifest: str
    task: str
    group: str | None
    grade: str
    findings: list[Finding]
    images: int = 0
    left_out: int = 0
    per_class: dict[str, dict[str, int]] = field(default_factory=dict)
    per_group: list[dict[str, Any]] = field(default_factory=list)
    duplicates: dict[str, int] = field(default_factory=dict)
    unreadable: list[dict[str, str]] = field(default_factory=list)
    shortcuts: dict[str, float] = field(default_factory=dict)
    data_digest: str | None = None
    divided: bool = False  # by a column split that is followed
    likely_groups: list[str] = field(default_factory=list)  # columns to choose the group from, where none was named

    @property
    def usable(self) -> bool:
        return all(finding.weight != STOP for finding in self.findings)

    @property
    def verdict(self) -> str:
        """One sentence: ready to train, can be used but, or cannot be used until."""
        weights = Counter(finding.weight for finding in self.findings)
        if weights[STOP]:
            return f"cannot be used until {counted(weights[STOP], 'point')} marked STOP {are(weights[STOP])} put right"
        if weights[DOUBT]:
            return f"can be used, but read {counted(weights[DOUBT], 'point')} marked LOOK first"
        return "ready to train"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "grade_words": GRADE_WORDS[self.grade], "usable": self.usable, "verdict": self.verdict}


def task_of(manifest: Path, mapping: Mapping[str, str | None]) -> tuple[str, str]:
    """(the task a manifest is for, how that was found out, in words).

    By its labels, the task that most of them are classes of; where none is of either, by the look of up to ASKED
    pictures. Raises ManifestError where neither tells.
    """
    table = read_table(manifest)
    labels: Counter[str] = Counter()
    with suppress(ManifestError):
        labels.update(values[table.column("label")] for values in table.rows)
    votes = {task: sum(n for label, n in labels.items() if _known(label, task, mapping)) for task in TASKS}
    best = max(votes, key=lambda task: votes[task])
    if list(votes.values()).count(votes[best]) == 1:
        of = counted(len(table.rows), "label")
        return best, f"Taken for the task {best}: {votes[best]:,} of {of} name its classes (--task says otherwise)."
    kinds: Counter[str] = Counter()
    with suppress(ManifestError):
        column = table.column("path")
        for number in np.random.default_rng(0).permutation(len(table.rows))[:ASKED].tolist():
            with suppress(images.ImageRefused, OSError):
                path = locate(manifest.parent, table.rows[number][column])
                kinds[guess_kind(images.decode(path.read_bytes()))[0]] += 1
    if len(set(kinds.values())) != len(kinds) or not kinds:
        raise ManifestError(
            f"{manifest}: neither labels nor pictures say which task it is for; add --task {' or --task '.join(TASKS)}"
        )
    best, count = kinds.most_common(1)[0]
    return best, (
        f"Taken for the task {best}: its labels do not tell, but {count} of {kinds.total()} pictures looked at seem to "
        f"be {pictures.KINDS[best]} (--task says otherwise)."
    )


def _known(label: str, task: str, mapping: Mapping[str, str | None]) -> bool:
    try:
        return class_of(label, TASKS[task], mapping) is not None
    except KeyError:
        return False


def check(manifest: Path, task: str | None, *, group: str | None, mapping: Mapping[str, str | None]) -> Check:
    """Read the manifest and every picture it names. Raises nothing for what is wrong with them.

    Without a task, `task_of` finds it out; raises ManifestError where it cannot.
    """
    guessed = ""
    if task is None:
        task, guessed = task_of(manifest, mapping)
    grade = grade_of(group)
    try:
        entries, findings, left_out = examine(manifest, task, group, mapping)
    except ManifestError as error:
        return Check(manifest.name, task, group, grade, [Finding(STOP, "no_manifest", str(error))])
    if guessed:
        findings.append(Finding(NOTE, "task", guessed))
    seen, refused = _look(entries, task)
    rows = [picture.row for picture in seen]
    findings += pictures.about_refused(refused)
    findings += pictures.about_unfit(seen, task)
    findings += pictures.about_classes(rows, task, grouped=bool(group))
    if group:
        findings += pictures.about_groups(rows, group)
    findings += pictures.about_sides(rows, grouped=bool(group))
    told, duplicates = pictures.about_duplicates(rows, grouped=bool(group))
    findings += told
    measured = _shortcuts([picture for picture in seen if picture.square is not None], task)
    if measured:
        findings += pictures.about_shortcuts(measured, task)
    if all(finding.weight != STOP for finding in findings):
        findings += _divided(rows, group)
    order = {STOP: 0, DOUBT: 1, NOTE: 2}
    findings.sort(key=lambda finding: order[finding.weight])
    usable = all(finding.weight != STOP for finding in findings)
    return Check(
        manifest=manifest.name,
        task=task,
        group=group,
        grade=grade,
        findings=findings,
        images=len(rows),
        left_out=left_out,
        per_class=pictures.per_class(rows, TASKS[task]),
        per_group=pictures.per_group(rows) if group else [],
        duplicates=duplicates,
        unreadable=[{"path": entry.written, "why": why} for entry, why in refused],
        shortcuts=measured,
        data_digest=data_digest(rows) if usable else None,
        divided=bool(rows) and all(row.split for row in rows),
        likely_groups=[] if group else _likely_groups(manifest),
    )


def _look(entries: Sequence[Entry], task: str) -> tuple[list[Seen], list[tuple[Entry, str]]]:
    """(pictures that can be read, those that cannot with the reason), every one decoded as the service does it."""
    drawn = set(np.random.default_rng(0).permutation(len(entries))[:LOOKED].tolist())

    def look(number: int) -> Seen | str:
        entry = entries[number]
        row = Row(entry.path, entry.label, entry.group, entry.side, entry.cluster)
        try:
            pixels = decoded(row)
            row = fingerprint(row)
        except ManifestError as error:
            return str(error.__cause__ or error)
        except OSError as error:
            return f"This file cannot be opened: {error.strerror}."
        wanted = number in drawn
        return Seen(
            row,
            min(pixels.shape[:2]),
            BY_TASK[task].square(pixels) if wanted else None,
            guess_kind(pixels)[0] if wanted and number % 10 == 0 else "",
        )

    with ThreadPoolExecutor() as pool:
        looked = list(
            tqdm(pool.map(look, range(len(entries))), total=len(entries), desc="look", unit="image", disable=None)
        )
    seen = [picture for picture in looked if isinstance(picture, Seen)]
    return seen, [(entry, why) for entry, why in zip(entries, looked, strict=True) if isinstance(why, str)]


def _shortcuts(drawn: Sequence[Seen], task: str) -> dict[str, float]:
    """`shortcuts.measure` of the pictures that were drawn; nothing where there are too few, or one class alone."""
    labels, groups = [picture.row.label for picture in drawn], [picture.row.group for picture in drawn]
    if len(drawn) < TELLING or len(set(labels)) < 2 or len(set(groups)) < FOLDS:
        return {}
    squares = np.stack([picture.square for picture in drawn if picture.square is not None])
    return shortcuts.measure(squares, labels, groups, BY_TASK[task])


def _likely_groups(manifest: Path) -> list[str]:
    table = read_table(manifest)
    with suppress(ManifestError):
        return likely_groups(table, {name: table.column(name) for name in ("path", "label")})
    return []


def _divided(rows: Sequence[Row], group: str | None) -> Iterator[Finding]:
    """What the gate of training says once the rows are divided as training divides them."""
    given = all(row.split for row in rows)
    try:
        refuse_leaks(split_rows(rows, group=group, seed=0))
        if not given or len({row.group for row in rows}) >= FOLDS:
            folds(rows, group=group, count=FOLDS, seed=0)
    except LeakError as error:
        yield Finding(STOP, "cannot_be_divided", f"Training refuses these pictures: {error}.")
