"""A list of cases and files, as CSV or XLSX, checked completely before anything is written.

Columns, by their heading in any order: `accession` (needed), `mrn` (needed where the case is new), and if wanted
`file`, `kind`, `stain`, `specimen`, `priority`, `patient`, `magnification`, `um_per_pixel`. A case that does not exist
is opened, one that does must be of the same patient; a row with a `file` says whose that file is, one without holds
for all files of its accession.
"""

from __future__ import annotations

import csv
import io
import math
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import python_calamine
from django.db import transaction
from django.utils import timezone

from accounts.permissions import Action, Actor, require
from diagnosis import audit, clinic
from diagnosis.batches import matching, tray
from diagnosis.batches.opening import plain, rules_of
from diagnosis.models import Batch, Case, ManifestRow, SmearImage

MAX_BYTES = 4 * 1024 * 1024
_UNPACKED = 64 * 1024 * 1024  # of an XLSX
MAX_ROWS = 5_000
_ERRORS_SHOWN = 200
COLUMNS = {
    "accession": ("accession", "accession number", "accession_number", "case", "lab number"),
    "mrn": ("mrn", "medical record number", "patient id", "patient_id", "record number"),
    "file": ("file", "file name", "filename", "image", "path"),
    "kind": ("kind", "type"),
    "stain": ("stain", "staining"),
    "specimen": ("specimen", "material"),
    "priority": ("priority",),
    "patient": ("patient", "patient name", "name"),
    "magnification": ("magnification", "objective"),
    "um_per_pixel": ("um_per_pixel", "µm per pixel", "um per pixel", "µm/pixel", "um/px", "µm/px"),
}
_BY_HEADING = {heading: column for column, headings in COLUMNS.items() for heading in headings}
#: The clinic's own names of what it refuses → columns.
_OF_FIELD = {"accession_number": "accession", "name": "patient"}


@dataclass(frozen=True, slots=True)
class Mistake:
    """`line`: of the sheet, 1 is the heading; 0: the file as a whole. `column`: its heading here, or empty."""

    line: int
    column: str
    message: str


class ManifestRefused(ValueError):  # noqa: N818 - it is the list that fails
    """Nothing was written. `mistakes`: each with its row and column, in the order of the sheet."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__(f"{len(mistakes)} mistake{'' if len(mistakes) == 1 else 's'}; nothing was written.")
        self.mistakes = list(mistakes)[:_ERRORS_SHOWN]
        self.more = max(0, len(mistakes) - _ERRORS_SHOWN)


@dataclass(frozen=True, slots=True)
class Taken:
    rows: int
    opened: int  # new cases
    matched: int  # files of the batch that found their case by it


def take(*, actor: Actor, batch: Batch, data: bytes, name: str) -> Taken:
    """Read a manifest, and if nothing is wrong with any of its rows, open its cases and keep it for the batch.

    A later manifest of the same batch takes the place of an earlier one. Raises `ManifestRefused`,
    `PermissionDenied`.
    """
    require(actor, Action.UPLOAD_IMAGE)
    rows = _records(data, name)
    mistakes: list[Mistake] = []
    with transaction.atomic():
        kept, opened = _written(actor, batch, rows, mistakes)
        if mistakes:
            transaction.set_rollback(True)
        else:
            ManifestRow.objects.filter(batch=batch).delete()
            ManifestRow.objects.bulk_create(kept)
            Batch.objects.filter(pk=batch.pk).update(moved_at=timezone.now(), finished_at=None)
            audit.record(
                actor=actor, action="batch.manifest_taken", subject=f"batch {batch.pk}", name=plain(name)[:200],
                rows=len(kept), opened=opened,
            )  # fmt: skip
    if mistakes:
        raise ManifestRefused(sorted(mistakes, key=lambda mistake: mistake.line))
    return Taken(len(kept), opened, tray.match_again(actor=actor, batch=batch))


def _written(
    actor: Actor, batch: Batch, rows: Iterable[tuple[int, dict[str, str]]], mistakes: list[Mistake]
) -> tuple[list[ManifestRow], int]:
    """The rows as they are kept and how many cases were opened, inside a transaction that a mistake takes back."""
    pixel = rules_of(actor.laboratory).camera_pixel_um
    cases: dict[str, Case] = {}
    said: dict[str, tuple[int, str]] = {}  # accession → line and record number that it stood with first
    files: dict[str, int] = {}
    kept, opened = [], 0
    for line, row in rows:
        values = _Values(line, row, mistakes)
        number, mrn = row.get("accession", ""), row.get("mrn", "")
        if not number:
            values.wrong("accession", "The accession number is missing.")
            continue
        first = said.setdefault(number.casefold(), (line, mrn))
        if mrn and first[1] and mrn.casefold() != first[1].casefold():
            values.wrong("mrn", f"Line {first[0]} gives the same accession to MRN {first[1]}.")
            continue
        if file := row.get("file", "").replace("\\", "/").strip("/"):
            if file.casefold() in files:
                values.wrong("file", f"Line {files[file.casefold()]} names the same file.")
            files[file.casefold()] = line
        kind = values.one_of("kind", SmearImage.Kind)
        scale = values.scale(pixel)
        facts = {name: values.one_of(name, choices) for name, choices in _CHOICES.items()}
        case = cases.get(number.casefold())
        if case is None:
            case, new = _case(actor, values, number, mrn or first[1], facts)
            opened += new
        if case is not None:
            cases[number.casefold()] = case
            kept.append(ManifestRow(batch=batch, line=line, case=case, file=file, kind=kind, um_per_pixel=scale))
    return kept, opened


_CHOICES: Mapping[str, Any] = {"stain": Case.Stain, "specimen": Case.Specimen, "priority": Case.Priority}


def _case(actor: Actor, values: _Values, number: str, mrn: str, facts: Mapping[str, str]) -> tuple[Case | None, bool]:
    """The case of a row, opened where there is none; (None, False) where it cannot be."""
    known = matching.by_accession(laboratory=actor.laboratory, accession=number).case
    if known is not None:
        if mrn and known.patient.mrn.casefold() != mrn.casefold():
            values.wrong("mrn", f"Case {known} belongs to MRN {known.patient.mrn}. Check both numbers.")
        for name, value in facts.items():
            if value and value != getattr(known, name):
                stands = getattr(known, f"get_{name}_display")()
                values.wrong(name, f"Case {known} has another {name}: {stands}. Change it there first, or here.")
        return known, False
    if not mrn:
        values.wrong("mrn", f"There is no case {number} yet; to open it, give the patient's record number.")
        return None, False
    try:
        patient = clinic.PatientData(mrn=mrn, name=values.row.get("patient", ""))
        given = {name: value for name, value in facts.items() if value}
        return clinic.create_case(actor=actor, accession_number=number, patient=patient, **given), True
    except clinic.ClinicError as refused:
        values.wrong(_OF_FIELD.get(refused.field, refused.field), refused.message)
        return None, False


@dataclass(frozen=True, slots=True)
class _Values:
    """One row while it is checked; whatever is wrong is noted with its line and column."""

    line: int
    row: dict[str, str]
    mistakes: list[Mistake]

    def wrong(self, column: str, message: str) -> None:
        self.mistakes.append(Mistake(self.line, column, message))

    def one_of(self, column: str, choices: Any) -> str:
        """A value of a TextChoices, given as its code or in words; empty where the cell is."""
        given = self.row.get(column, "")
        if not given:
            return ""
        wanted = _folded(given)
        for value, label in choices.choices:
            if wanted in (_folded(value), _folded(label)):
                return str(value)
        self.wrong(column, f"“{given[:40]}” is none of: {', '.join(label for _, label in choices.choices)}.")
        return ""

    def scale(self, pixel: float | None) -> float | None:
        """µm per pixel, given so or as a magnification (with the laboratory's camera)."""
        if given := self.row.get("um_per_pixel", ""):
            return self._number("um_per_pixel", given, 0.001, 100)
        given = self.row.get("magnification", "").lower().strip("x× ")
        times = self._number("magnification", given, 1, 200) if given else None
        return pixel / times if pixel and times else None

    def _number(self, column: str, given: str, low: float, high: float) -> float | None:
        try:
            number = float(given.replace(",", "."))
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            self.wrong(column, f"“{given[:40]}” is no number from {low:g} to {high:g}.")
            return None
        return number


def _folded(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _records(data: bytes, name: str) -> list[tuple[int, dict[str, str]]]:
    """(line, column → text) of every row that is not empty. Raises `ManifestRefused`."""
    if not data:
        raise _whole("The list is empty.")
    if len(data) > MAX_BYTES:
        raise _whole(f"The list is larger than {MAX_BYTES // 2**20} MiB. Send it in parts.")
    read: Callable[[bytes], list[list[str]]] = _sheet if data.startswith(b"PK") else _table
    lines = read(data)
    heading, *rest = lines or [[]]
    columns = [_BY_HEADING.get(cell.strip().lower()) for cell in heading]
    mistakes = [
        Mistake(1, cell.strip()[:40], f"This column is not known. Known are: {', '.join(COLUMNS)}.")
        for cell, column in zip(heading, columns, strict=True)
        if column is None and cell.strip()
    ]
    for column in COLUMNS:
        if columns.count(column) > 1:
            mistakes.append(Mistake(1, column, "Two columns have this heading."))
    if "accession" not in columns:
        mistakes.append(Mistake(1, "accession", "There is no column “accession”: the first line holds the headings."))
    rows = [(line, cells) for line, cells in enumerate(rest, start=2) if any(cell.strip() for cell in cells)]
    if len(rows) > MAX_ROWS:
        mistakes.append(Mistake(0, "", f"At most {MAX_ROWS} rows are taken, not {len(rows)}. Send it in parts."))
    elif not rows:
        mistakes.append(Mistake(0, "", "There is no row below the headings."))
    if mistakes:
        raise ManifestRefused(mistakes)
    return [
        (line, {column: plain(cell) for column, cell in zip(columns, cells, strict=False) if column})
        for line, cells in rows
    ]


def _whole(message: str) -> ManifestRefused:
    return ManifestRefused([Mistake(0, "", message)])


def _table(data: bytes) -> list[list[str]]:
    """CSV with commas, semicolons or tabs, in UTF-8 or as Excel writes it in western Europe."""
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    first = text.split("\n", 1)[0]
    delimiter = max(";,\t", key=first.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise _whole(f"This is no CSV table ({error}). Save it as CSV or XLSX again.") from error


def _sheet(data: bytes) -> list[list[str]]:
    """The first sheet of an XLSX; what it unpacks to is bounded before it is read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            left = _UNPACKED
            for info in archive.infolist()[:1_000]:
                with archive.open(info) as part:
                    while left > 0 and (piece := part.read(min(left, 1024 * 1024))):
                        left -= len(piece)
            if left <= 0:
                raise _whole("This workbook unpacks to more than is reasonable. Save the list as CSV.")
        book = python_calamine.load_workbook(io.BytesIO(data))
        rows = book.get_sheet_by_index(0).to_python(skip_empty_area=False, nrows=MAX_ROWS + 2)
    except ManifestRefused:
        raise
    except Exception as error:  # calamine and zipfile each have failures of their own
        raise _whole("This workbook cannot be read. Save it as XLSX or CSV again.") from error
    return [[_text(cell) for cell in row] for row in rows]


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
