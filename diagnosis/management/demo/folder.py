"""A folder of one's own pictures in place of rendered ones."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from diagnosis import clinic, intake
from diagnosis.management.demo.people import TECHNICIAN, demo_actor
from diagnosis.models import Case, SmearImage


def load_folder(folder: Path) -> Iterator[str]:
    """Take in the pictures that `folder/manifest.csv` lists (column `path`; `patient_id`, `block` or the folder of
    the picture makes the case; `kind` where it is known); a line for each case.

    Raises FileNotFoundError or ValueError, in words, when there is no manifest or it has no `path` column.
    """
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        raise FileNotFoundError(f"DEMO_IMAGES: there is no manifest.csv in {folder}")
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or "path" not in rows[0]:
        raise ValueError(f"DEMO_IMAGES: {manifest} needs a header with a column 'path' and at least one row")
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        group = row.get("patient_id") or row.get("block") or Path(row["path"]).parent.name or "images"
        groups.setdefault(group, []).append(row)
    technician = demo_actor(TECHNICIAN)
    for group, pictures in groups.items():
        accession = f"{folder.name}-{group}"[:64]
        case = Case.objects.filter(laboratory=technician.laboratory, accession_number=accession).first()
        if case is None:
            case = clinic.create_case(
                actor=technician,
                accession_number=accession,
                patient=clinic.PatientData(mrn=accession, name=""),
            )
        counts = {"accepted": 0, "duplicate": 0, "rejected": 0}
        for row in pictures:
            path = folder / row["path"]
            data = path.read_bytes() if path.exists() else b""
            outcome = intake.receive_image(
                actor=technician,
                case=case,
                data=data,
                name=path.name,
                kind=row.get("kind") or None,
                via=SmearImage.Via.COMMAND,
            )
            counts[outcome.status] += 1
        yield f"{accession}: " + ", ".join(f"{count} {status}" for status, count in counts.items() if count)
