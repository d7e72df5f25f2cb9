"""Manifests as laboratories bring them: a spreadsheet's CSV of any separator and encoding, labels of another house.

A manifest is a CSV with a header. `path` (relative to the manifest) and `label` are needed; the column named as
group says which pictures belong together. `split` (train, validation, test), where present, is taken as it stands.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

SPLITS = ("train", "validation", "test")
# What other people call the three sides, in a column `split` or as folders.
SIDES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
# Columns that name whose picture it is, blanks and capitals evened out; any other column stands in for it, grade C.
GRADES = {
    "patient": "A",
    "patientid": "A",
    "subject": "A",
    "subjectid": "A",
    "slide": "B",
    "slideid": "B",
}
OWN_COLUMNS = ("path", "label", "split", "near_duplicate_group")
# What other programs call the two columns that are needed.
ALIASES = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img", "picture"),
    "label": ("class", "cell_type", "celltype", "type", "category", "target", "annotation", "diagnosis"),
}
LEFT_OUT = ("", "-")
# Second headings by which a map's first line is known to be one; none of them is a class.
MAP_HEADINGS = ("new", "to", "ours", "class", "label", "target", "meaning", "means")
_WORKBOOKS = {b"PK\x03\x04": "an Excel or OpenDocument workbook", b"\xd0\xcf\x11\xe0": "an old Excel workbook"}


class ManifestError(ValueError):
    """The manifest cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV as read: cells without surrounding blanks, `lines` the line of each row in the file, from 1.

    `oddities`: in words, what was unusual about the file and how it was read all the same.
    """

    path: Path
    columns: list[str]
    rows: list[dict[str, str]]
    lines: list[int]
    oddities: list[str]

    def column(self, name: str) -> str:
        """The column of that name, "Patient ID" for patient_id too, or the only one with another program's name for it.

        Raises ManifestError, naming the nearest one.
        """
        for column in self.columns:
            if column == name or spelling(column) == spelling(name):
                return column
        others = [column for column in self.columns if spelling(column) in ALIASES.get(name, ())]
        if len(others) == 1:
            return others[0]
        meant = others[0] if others else nearest(name, self.columns) or self._alike(name)
        hint = f" If {meant!r} is meant, " if meant else ""
        if hint:
            hint += f"head it {name!r}." if name in OWN_COLUMNS else f"say --group {meant}."
        raise ManifestError(f"There is no column {name!r}; the columns are: {', '.join(self.columns)}.{hint}")

    def _alike(self, name: str) -> str | None:
        """The column spelled most like what other programs call that one: "Diagnose" for diagnosis."""
        for alias in ALIASES.get(name, ()):
            if meant := nearest(alias, self.columns, cutoff=0.8):
                return meant
        return None


def read_table(path: Path) -> Table:
    """Any CSV that spreadsheets export: comma, semicolon, tab or bar; UTF-8 (with mark or without), UTF-16, Latin-1.

    Raises ManifestError for a file that is missing, empty or no text.
    """
    text, oddities = _text(path)
    skipped = 0
    if text[:4].lower() == "sep=":  # Excel's own first line
        skipped, text = 1, text.partition("\n")[2]
    separator = _separator(text)
    if separator != ",":
        named = {";": "semicolons", "\t": "tabs", "|": "bars"}[separator]
        oddities.append(f"The columns are separated by {named}, not commas.")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows, lines, columns, ragged = [], [], list[str](), list[int]()
    for cells in reader:
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if not columns:
            columns = [spelling(cell) if spelling(cell) in OWN_COLUMNS else cell for cell in cells]
            continue
        line = reader.line_num + skipped
        if len(cells) != len(columns):
            ragged.append(line)
        rows.append(dict(zip(columns, [*cells, *[""] * len(columns)], strict=False)))
        lines.append(line)
    if not columns:
        raise ManifestError(f"{path} has no line in it; a manifest begins with its headings (path,label,…).")
    if ragged:
        oddities.append(
            f"{len(ragged)} lines have more or fewer cells than the heading, the first is line {ragged[0]}: "
            "a separator inside of a name needs quotation marks round the name."
        )
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise ManifestError(f"{path}: two columns are headed {twice[0]!r}; give one of them another name.")
    return Table(path, columns, rows, lines, oddities)


def read_map(path: Path) -> dict[str, str | None]:
    """What another house's labels mean here: their label -> our class, or None for pictures to leave out.

    A CSV of two columns (a heading such as `old,new` may stand above) or a JSON object; an empty second cell, "-" or
    null leaves out. Whether the classes exist is for the task to say. Raises ManifestError.
    """
    text, _ = _text(path)
    if text.lstrip().startswith("{"):
        return _checked(path, _json_pairs(path, text))
    pairs: list[tuple[str, str | None]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text))
    for cells in reader:
        cells = [cell.strip() for cell in cells]
        if not any(cells) or (not pairs and len(cells) == 2 and cells[1].casefold() in MAP_HEADINGS):
            continue
        if len(cells) != 2:
            raise ManifestError(
                f"{path}, line {reader.line_num}: {len(cells)} cells where two are meant: their label,our class"
            )
        pairs.append((cells[0], cells[1]))
    return _checked(path, pairs)


def _json_pairs(path: Path, text: str) -> list[tuple[str, str | None]]:
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except json.JSONDecodeError as error:
        raise ManifestError(f"{path}, line {error.lineno}: this is not JSON ({error.msg})") from error
    for old, new in pairs:
        if not (new is None or isinstance(new, str)):
            raise ManifestError(f"{path}: {old!r} stands for {new!r}; a class in quotation marks or null is meant")
    return list(pairs)


def _checked(path: Path, pairs: Iterable[tuple[str, str | None]]) -> dict[str, str | None]:
    told: dict[str, str | None] = {}
    for old, new in pairs:
        meant = None if new is None or new.strip() in LEFT_OUT else new.strip()
        if told.setdefault(old.strip(), meant) != meant:
            raise ManifestError(f"{path}: {old.strip()!r} is mapped twice, to {told[old.strip()]!r} and to {meant!r}")
    if not told:
        raise ManifestError(f"{path}: there is no pair in it; a line reads: their label,our class")
    return told


def spelling(name: str) -> str:
    """A name with capitals, blanks and hyphens evened out: "Plasma Cell" and "plasma-cell" are plasma_cell."""
    return "_".join(name.casefold().replace("-", " ").replace("_", " ").split())


def grade_of(group: str | None) -> str:
    """What a split by that column is worth: A by patient, B by slide, C by a stand-in, D by picture (no column)."""
    return GRADES.get(spelling(group).replace("_", ""), "C") if group else "D"


def class_of(label: str, classes: Sequence[str], mapping: Mapping[str, str | None]) -> str | None:
    """The class a label means, None where the map leaves it out. Raises KeyError for a label that is no class."""
    if label in mapping:
        meant = mapping[label]
        if meant is None:
            return None
        label = meant
    for name in (label, spelling(label)):
        if name in classes:
            return name
    raise KeyError(label)


def nearest(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The one of `names` that is spelled most alike, if any is alike at all."""
    by_spelling = {spelling(other): other for other in names}
    close = difflib.get_close_matches(spelling(name), by_spelling, n=1, cutoff=cutoff)
    return by_spelling[close[0]] if close else None


def locate(folder: Path, written: str) -> Path:
    """The file a manifest's cell means: relative to the manifest's folder; backslashes of Windows are slashes."""
    return folder / (written if "\\" not in written else PureWindowsPath(written).as_posix())


def _text(path: Path) -> tuple[str, list[str]]:
    """The text of a file in whichever encoding spreadsheets write, and what was unusual about it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path} cannot be opened: {error.strerror}.") from error
    for magic, named in _WORKBOOKS.items():
        if data.startswith(magic):
            raise ManifestError(f"{path} is {named}. Open it and save the sheet as “CSV UTF-8 (comma delimited)”.")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace"), ["The file is in UTF-16 (Excel calls it Unicode text)."]
    if b"\0" in data:
        raise ManifestError(f"{path} is not a text file. A manifest is a CSV: one line a picture, headings on top.")
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        words = f"The file is not in UTF-8 and was read as Windows Latin-1; look at the letters in line {line}."
        return data.decode("cp1252", errors="replace"), [words]


def _separator(text: str) -> str:
    """The separator that cuts the first line with anything in it into most cells; a comma where none does."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    cells = {mark: len(next(csv.reader([first], delimiter=mark), [])) for mark in ",;\t|"}
    return max(cells, key=lambda mark: cells[mark])
