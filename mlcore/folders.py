"""A manifest from folders: FOLDER/class/picture, FOLDER/class/patient/picture, or names that say the patient."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mlcore.manifest import SIDES, ManifestError, spelling

PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")


@dataclass(frozen=True, slots=True)
class Written:
    """What went into a manifest: pictures per label, the group's column with its number of groups, what did not."""

    labels: Counter[str]
    group: str | None
    groups: int
    split: bool
    passed: Counter[str] = field(default_factory=Counter)


def write_manifest(folder: Path, out: Path, *, group_from: re.Pattern[str] | None) -> Written:
    """Write the CSV `out` with path (relative to it), label and, where folders or names say it, group and split.

    `group_from` is searched in each path below the class and must have one named group, which names the column.
    Without it the folder inside of a class folder is taken as the patient. Raises ManifestError.
    """
    if out.exists():
        raise ManifestError(f"{out} is there already; name another file with --out, or remove it first.")
    if not out.parent.is_dir():
        raise ManifestError(f"There is no folder {out.parent} to write {out.name} into.")
    found, rows = _gathered(folder, out, group_from)
    columns = ["path", "label", *([found.group] if found.group else []), *(["split"] if found.split else [])]
    with out.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return found


def survey(folder: Path) -> Written:
    """What `write_manifest` would write of the folder, without writing it. Raises ManifestError."""
    return _gathered(folder, folder / "manifest.csv", None)[0]


def _gathered(folder: Path, out: Path, group_from: re.Pattern[str] | None) -> tuple[Written, list[dict[str, str]]]:
    if not folder.is_dir():
        raise ManifestError(f"{folder} is not a folder.")
    column = _column(group_from)
    files, passed = _walk(folder)
    split = bool(files) and all(len(parts) > 2 and spelling(parts[0]) in SIDES for parts in files)
    rows, nameless = [], []
    for parts in files:
        side = SIDES[spelling(parts[0])] if split else ""
        label, *below = parts[1:] if split else parts
        if not below:
            passed["pictures outside of any class folder"] += 1
            continue
        if group_from:
            found = group_from.search("/".join(below))
            name = (found[column] or "") if found else ""
        else:
            name = below[0] if len(below) > 1 else ""
        if not name:
            nameless.append("/".join(parts))
        path = os.path.relpath(folder.joinpath(*parts), out.parent)
        rows.append({"path": Path(path).as_posix(), "label": label, column: name, "split": side})
    if not rows:
        raise ManifestError(
            f"In {folder} there is no picture in a folder named after its class, as in {folder.name}/blast/0001.jpg."
        )
    if group_from and nameless:
        raise ManifestError(
            f"--group-from finds nothing in {len(nameless)} of {len(rows)} paths, the first is {nameless[0]}"
        )
    if nameless and len(nameless) < len(rows):
        raise ManifestError(
            f"{len(nameless)} of {len(rows)} pictures are in no patient's folder, the first is {nameless[0]}; put them "
            "into one, or say with --group-from how the name tells the patient."
        )
    groups = len({row[column] for row in rows})
    labels = Counter(row["label"] for row in rows)
    return Written(labels, None if nameless else column, groups, split, passed), rows


def _column(group_from: re.Pattern[str] | None) -> str:
    if group_from is None:
        return "patient_id"
    if len(group_from.groupindex) != 1:
        raise ManifestError(
            f"--group-from {group_from.pattern!r} needs one named group, which names the column, "
            r"as in (?P<patient_id>P\d+) for names such as P06_0001.jpg"
        )
    return next(iter(group_from.groupindex))


def _walk(folder: Path) -> tuple[list[tuple[str, ...]], Counter[str]]:
    """(the parts of every picture's path below the folder, in order; how many other files there are, by ending)."""
    files, passed = [], Counter[str]()
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith(".") or name.casefold() in ("thumbs.db", "desktop.ini"):
                continue
            path = Path(at, name)
            if path.suffix.lower() in PICTURES:
                files.append(path.relative_to(folder).parts)
            else:
                passed[f"{path.suffix or name} files"] += 1
    return files, passed
