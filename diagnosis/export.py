"""A laboratory's own pictures and what its people decided on them, de-identified, as `mlcore` learns from.

What leaves: the pixels, the class, the person's agreement with the networks, stain, specimen, scale. What does not:
names, numbers, dates, file names, who decided, and whatever a file said beside its pixels. Patients and cases have
pseudonyms that are the same in each export of a laboratory, so that two exports can be joined without a patient
standing on both sides of a split; without the installation's key nobody gets back from them.
"""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import Laboratory
from accounts.permissions import Action, require, visible
from diagnosis import audit, blinding
from diagnosis.assessment import current_decisions
from diagnosis.models import Case, Decision, SmearImage
from mlcore.bundle import TASKS
from mlcore.images import ImageRefused, Limits, read_header, strip_metadata

if TYPE_CHECKING:
    from accounts.permissions import Actor

logger = logging.getLogger(__name__)

COLUMNS = (
    "path", "label", "patient_id", "slide_id", "decision", "reading", "specimen", "stain", "um_per_pixel", "signed",
)  # fmt: skip
#: Why a decided picture is left out, in words that follow its number.
LEFT_OUT = {
    "contradicted": "stand twice in the laboratory with different classes",
    "two_patients": "stand in the cases of two patients",
    "repeated": "stand twice in one patient's cases: each is exported once",
    "gone": "could not be read from the storage",
}
_CHUNK = 2_000
_SUFFIX = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_LIMITS = Limits(max_bytes=1 << 40, max_pixels=1 << 40, max_side=1 << 31, min_side=1)  # intake's were looked at


class ExportRefused(ValueError):  # noqa: N818
    """It cannot be exported as asked; the text says what to do. `code`: dates, classes, empty, too_large."""

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code, self.field = code, field


@dataclass(frozen=True, slots=True)
class Choice:
    """What to export. `since` and `until` are days of the decisions, both included; no `labels`: all classes."""

    tasks: tuple[str, ...] = tuple(TASKS)
    signed_only: bool = True
    since: date | None = None
    until: date | None = None
    labels: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        known = {label for task in TASKS for label in TASKS[task]}
        if unknown := self.labels - known:
            raise ExportRefused("classes", f"There is no class {', '.join(sorted(unknown))[:80]}.", "labels")
        if not self.tasks or not set(self.tasks) <= set(TASKS):
            raise ExportRefused("classes", "Choose fields, single cells, or both.", "tasks")
        if self.since and self.until and self.since > self.until:
            raise ExportRefused("dates", "The first day is after the last one.", "until")

    def wants(self, label: str, day: date) -> bool:
        return (
            (not self.labels or label in self.labels)
            and (self.since is None or day >= self.since)
            and (self.until is None or day <= self.until)
        )


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture that is to leave, under the name that it leaves by."""

    stored: str  # its name in the storage
    byte_size: int
    task: str
    path: str  # within the task's folder
    row: dict[str, str]  # of the manifest


@dataclass(slots=True)
class Plan:
    """What an export holds, before a byte of it is read. `left_out`: by a key of LEFT_OUT; `undecided`: pictures that
    fit but for a decision."""

    pictures: list[Picture] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    undecided: int = 0

    @property
    def byte_size(self) -> int:
        return sum(picture.byte_size for picture in self.pictures)

    @property
    def patients(self) -> int:
        return len({picture.row["patient_id"] for picture in self.pictures})

    def classes(self) -> dict[str, list[tuple[str, int, int]]]:
        """By task: each class with its pictures and patients, in the order of the task's classes."""
        images: Counter[tuple[str, str]] = Counter()
        patients: dict[tuple[str, str], set[str]] = defaultdict(set)
        for picture in self.pictures:
            key = picture.task, picture.row["label"]
            images[key] += 1
            patients[key].add(picture.row["patient_id"])
        return {
            task: [(label, images[task, label], len(patients[task, label])) for label in TASKS[task]]
            for task in TASKS
            if any(picture.task == task for picture in self.pictures)
        }


def preview(*, actor: Actor, choice: Choice) -> Plan:
    """What `choice` would export; nothing is read from the storage. Raises `PermissionDenied`."""
    require(actor, Action.EXPORT)
    return _plan(visible(SmearImage.objects.all(), actor, "case__laboratory").exclude(
        case__in=blinding.open_questions(actor).values("case")  # their own opinion is awaited: they see no decision
    ), actor.laboratory, choice)  # fmt: skip


def download(*, actor: Actor, choice: Choice) -> Iterator[bytes]:
    """The export as the bytes of a zip, one picture in memory at a time. Stands in the audit before the first byte.

    Raises `ExportRefused` (empty, too_large) and `PermissionDenied`.
    """
    plan = preview(actor=actor, choice=choice)
    refuse(plan)
    _record(actor, actor.laboratory, choice, plan)
    return _zipped(_files(plan))


def write(*, laboratory: Laboratory, choice: Choice, to: Path) -> Plan:
    """The same for whoever operates the installation: into a zip if `to` ends so, else into an empty folder.

    Raises `ExportRefused`, `FileExistsError` where something is there already, and OSError.
    """
    plan = _plan(SmearImage.objects.filter(case__laboratory=laboratory), laboratory, choice)
    refuse(plan)
    zipped = to.suffix.lower() == ".zip"
    if to.exists() and (zipped or any(to.iterdir())):
        raise FileExistsError(f"{to} is there already.")
    _record(None, laboratory, choice, plan)
    if zipped:
        with to.open("xb") as out:
            out.writelines(_zipped(_files(plan)))
    else:
        for name, data in _files(plan):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes(data)
    return plan


def pseudonym(laboratory: Laboratory, what: str, pk: int) -> str:
    """Of a patient, a case or an image: the same in each export, and of no use without the installation's key."""
    said = f"{laboratory.pk} {what} {pk}"
    key = settings.EXPORT_KEY or settings.SECRET_KEY
    return what[0] + salted_hmac("leukolens.export", said, secret=key, algorithm="sha256").hexdigest()[:20]


def _plan(found: QuerySet[SmearImage], laboratory: Laboratory, choice: Choice) -> Plan:
    found = found.filter(kind__in=choice.tasks)
    if choice.signed_only:
        found = found.filter(case__status=Case.Status.SIGNED)
    rows = (
        found.select_related("case")
        .only(
            "kind", "stored_sha256", "file", "format", "byte_size", "um_per_pixel",
            "case__patient", "case__specimen", "case__stain", "case__status",
        )
        .order_by("id")
    )  # fmt: skip
    plan = Plan()
    by_content: dict[str, list[tuple[SmearImage, Decision]]] = defaultdict(list)
    images = rows.iterator(chunk_size=_CHUNK)
    while chunk := list(islice(images, _CHUNK)):
        decisions = current_decisions(chunk)
        for image in chunk:
            decision = decisions.get(image.pk)
            if decision is None:
                plan.undecided += 1
            elif choice.wants(decision.label, timezone.localdate(decision.decided_at)):
                by_content[image.stored_sha256].append((image, decision))
    for same in by_content.values():
        if len({(image.kind, decision.label) for image, decision in same}) > 1:
            plan.left_out["contradicted"] += len(same)
        elif len({image.case.patient_id for image, _ in same}) > 1:
            plan.left_out["two_patients"] += len(same)
        else:
            plan.left_out["repeated"] += len(same) - 1
            plan.pictures.append(_picture(laboratory, *same[0]))
    plan.left_out = +plan.left_out
    return plan


def _picture(laboratory: Laboratory, image: SmearImage, decision: Decision) -> Picture:
    patient = pseudonym(laboratory, "patient", image.case.patient_id)
    path = f"images/{patient}/{pseudonym(laboratory, 'image', image.pk)}.{_SUFFIX[image.format]}"
    row = {
        "path": path,
        "label": decision.label,
        "patient_id": patient,
        "slide_id": pseudonym(laboratory, "slide", image.case_id),
        "decision": str(decision.verdict),
        "reading": decision.reading_label,
        "specimen": image.case.specimen,
        "stain": image.case.stain,
        "um_per_pixel": "" if image.um_per_pixel is None else f"{image.um_per_pixel:g}",
        "signed": "yes" if image.case.status == Case.Status.SIGNED else "no",
    }
    return Picture(str(image.file.name), image.byte_size, image.kind, path, row)


def refuse(plan: Plan) -> None:
    """Raise `ExportRefused` for a plan that cannot be carried out: it is empty, or more than one export holds."""
    if not plan.pictures:
        raise ExportRefused("empty", "No decided picture fits this choice. Widen it, or decide on pictures first.")
    if len(plan.pictures) > settings.EXPORT_MAX_IMAGES or plan.byte_size > settings.EXPORT_MAX_BYTES:
        raise ExportRefused(
            "too_large",
            f"{len(plan.pictures):,} pictures of {plan.byte_size / 2**30:,.1f} GiB are more than one export holds "
            f"({settings.EXPORT_MAX_IMAGES:,} pictures, {settings.EXPORT_MAX_BYTES / 2**30:,.0f} GiB). Choose a "
            "shorter time or fewer classes, and export several times: pseudonyms stay the same.",
        )


def _record(actor: Actor | None, laboratory: Laboratory, choice: Choice, plan: Plan) -> None:
    audit.record(
        actor=actor,
        who="Operator of the installation",
        laboratory=laboratory,
        action="data.exported",
        images=len(plan.pictures),
        patients=plan.patients,
        tasks=list(choice.tasks),
        signed_only=choice.signed_only,
        since=choice.since,
        until=choice.until,
        labels=sorted(choice.labels),
    )


def _files(plan: Plan) -> Iterator[tuple[str, bytes]]:
    """(name, content) of everything in the export; the manifests last, for they name only what was there."""
    written: dict[str, list[dict[str, str]]] = defaultdict(list)
    for picture in plan.pictures:
        try:
            with default_storage.open(picture.stored, "rb") as file:
                data = file.read()
            data = strip_metadata(data, read_header(data, _LIMITS))  # as intake did: pixels alone leave
        except (OSError, ImageRefused):
            logger.exception("An export lacks %s", picture.stored)
            plan.left_out["gone"] += 1
            continue
        written[picture.task].append(picture.row)
        yield f"{picture.task}/{picture.path}", data
    for task, rows in written.items():
        yield f"{task}/manifest.csv", _csv(rows)
    yield "README.txt", _readme(plan, written).encode()


def _csv(rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _readme(plan: Plan, written: dict[str, list[dict[str, str]]]) -> str:
    lines = [
        "Smear images and what people decided on them, from LeukoLens.",
        "Research use only – not for diagnostic use.",
        "",
        "De-identified: no names, numbers or dates; patients, slides and files have pseudonyms, the same in each",
        "export of this laboratory. What is in the pixels is left as it is: look for labels that were photographed",
        "with a smear.",
        "",
    ]
    for task, rows in written.items():
        patients = len({row["patient_id"] for row in rows})
        lines += [f"{task}/manifest.csv: {len(rows)} pictures of {patients} patients"]
        lines += [f"  {label}: {count}" for label, count in sorted(Counter(row["label"] for row in rows).items())]
        lines += [
            f"  python -m mlcore data check {task}/manifest.csv --task {task} --group patient_id",
            f"  python -m mlcore train --task {task} --network cnn --manifest {task}/manifest.csv --group patient_id "
            f"--out runs/{task}",
            "",
        ]
    lines += [f"Left out: {count} {LEFT_OUT[why]}" for why, count in sorted(plan.left_out.items())]
    return "\n".join(lines) + "\n"


class _Sink(io.RawIOBase):
    """Where a zip is written to, to be taken piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _zipped(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """A zip as it grows. Pictures are compressed already and stand as they are; every entry has the same date."""
    sink = _Sink()
    with ZipFile(sink, "w", ZIP_STORED) as archive:
        for name, data in files:
            entry = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
            yield sink.taken()
    yield sink.taken()
