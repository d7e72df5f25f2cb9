"""What the portal tells, as plain values. Members that a newer portal adds are passed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

#: Stands with everything that a network thinks.
RESEARCH_USE_ONLY = "Research use only – not for diagnostic use."


def _moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _when(value: Any) -> datetime:
    return datetime.fromisoformat(str(value))


@dataclass(frozen=True, slots=True)
class Me:
    """Whom the token speaks for. `may`: what its scopes and the person's roles allow together."""

    email: str
    name: str
    laboratory: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    may: tuple[str, ...]

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Me:
        lists = {name: tuple(said[name]) for name in ("roles", "scopes", "may")}
        return cls(email=said["email"], name=said["name"], laboratory=said["laboratory"], **lists)


@dataclass(frozen=True, slots=True)
class Reading:
    """Both networks' opinions of an image taken together. Probabilities and novelty from 0 to 1; `malignant`: of a
    malignant class; `novelty`: how unlike the pictures that the networks learnt from."""

    label: str
    probability: float
    malignant: float
    agree: bool
    novelty: float
    warnings: tuple[str, ...]
    needs_person: bool

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Reading:
        return cls(
            label=said["label"],
            probability=said["probability"],
            malignant=said["malignant"],
            agree=said["agree"],
            novelty=said["novelty"],
            warnings=tuple(said["warnings"]),
            needs_person=said["needs_person"],
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said of an image. `verdict`: agree or override."""

    id: int
    verdict: str
    label: str
    comment: str
    decided_by: str
    decided_at: datetime

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Decision:
        plain = {name: said[name] for name in ("id", "verdict", "label", "comment", "decided_by")}
        return cls(**plain, decided_at=_when(said["decided_at"]))


@dataclass(frozen=True, slots=True)
class Image:
    """One picture of a case. `status`: queued, running, done or failed; `reading` is None until nothing waits.
    `case`: id of the case, where the answer says it."""

    id: int
    name: str
    kind: str
    status: str
    reading: Reading | None
    decision: Decision | None
    error: str
    uploaded_at: datetime
    case: int | None = None

    @property
    def is_settled(self) -> bool:
        return self.status in ("done", "failed")

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Image:
        errors = (opinion["error"] for opinion in said.get("analyses", ()) if opinion["state"] == "failed")
        return cls(
            id=said["id"],
            name=said["name"],
            kind=said["kind"],
            status=said["status"],
            reading=Reading.read(said["reading"]) if said["reading"] else None,
            decision=Decision.read(said["decision"]) if said["decision"] else None,
            error=said["error"] if "error" in said else next(errors, ""),
            uploaded_at=_when(said["uploaded_at"]),
            case=said.get("case"),
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """A probability between the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Interval:
        return cls(said["value"], said["low"], said["high"])


@dataclass(frozen=True, slots=True)
class Flag:
    """What the assessment calls attention to. `level`: alarm, doubt or info; `rests_on`: ids of images."""

    code: str
    level: str
    title: str
    detail: str
    rests_on: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the images of a case say together. `malignant`: of blood cancer, None before any reading."""

    malignant: Interval | None
    statement: str
    flags: tuple[Flag, ...]
    raw: Mapping[str, Any] = field(repr=False)  # the whole of it, as the API documents it

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Assessment:
        return cls(
            malignant=Interval.read(said["malignant"]) if said["malignant"] else None,
            statement=said["statement"],
            flags=tuple(
                Flag(flag["code"], flag["level"], flag["title"], flag["detail"], tuple(flag["rests_on"]))
                for flag in said["flags"]
            ),
            raw=said,
        )


@dataclass(frozen=True, slots=True)
class Patient:
    id: int
    mrn: str
    name: str


@dataclass(frozen=True, slots=True)
class Case:
    """One diagnostic question on one patient. `malignant`: probability of blood cancer, None before any reading.
    `assessment` comes with a single case, not with lists."""

    id: int
    accession_number: str
    status: str
    priority: str
    specimen: str
    stain: str
    clinical_question: str
    patient: Patient
    image_count: int
    malignant: float | None
    created_at: datetime
    due_at: datetime | None
    signed_at: datetime | None
    report_version: int | None
    held_by: str | None
    assessment: Assessment | None = None

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Case:
        plain = {
            name: said[name]
            for name in (
                "id", "accession_number", "status", "priority", "specimen", "stain", "clinical_question",
                "image_count", "malignant", "report_version", "held_by",
            )
        }  # fmt: skip
        patient = said["patient"]
        return cls(
            **plain,
            patient=Patient(patient["id"], patient["mrn"], patient["name"]),
            created_at=_when(said["created_at"]),
            due_at=_moment(said["due_at"]),
            signed_at=_moment(said["signed_at"]),
            assessment=Assessment.read(said["assessment"]) if said.get("assessment") else None,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file that was sent.

    `status`: accepted, duplicate, rejected, unmatched (it waits in the server's tray until a person says whose it is),
    opened (a zip: its members are files of their own), received (came whole, is still being looked at), discarded,
    cancelled or expired. `words` and `reason` tell it to a person, `code` to a program; `flags`: what the picture's
    quality calls for. `case`, `image`, `batch`, `file`: ids.
    """

    status: str
    words: str
    code: str
    reason: str
    flags: tuple[str, ...]
    case: int | None
    image: int | None
    batch: int | None
    file: int | None

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Outcome:
        ids = {name: said.get(name) for name in ("case", "image", "batch", "file")}
        return cls(
            status=said["status"],
            words=said.get("words", said["status"]),
            code=said.get("code", ""),
            reason=said.get("reason", ""),
            flags=tuple(said.get("flags", ())),
            **ids,
        )

    @property
    def has_arrived(self) -> bool:
        """Whether the server has it, so that it need never be sent again."""
        return self.status in ("accepted", "duplicate", "unmatched", "opened", "received", "discarded")


@dataclass(frozen=True, slots=True)
class Batch:
    """Files that were brought together, and how far they are.

    `state`: empty, receiving, reading or done. `counts`: files by what has become of them, as the API documents it.
    `seconds_left`: until all is read, None while that is not known. `warning`: a sentence such as that no worker is
    there, or empty.
    """

    id: int
    name: str
    created_at: datetime
    finished_at: datetime | None
    state: str
    counts: Mapping[str, int]
    seconds_left: float | None
    warning: str

    @property
    def is_done(self) -> bool:
        return self.state == "done"

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Batch:
        return cls(
            id=said["id"],
            name=said["name"],
            created_at=_when(said["created_at"]),
            finished_at=_moment(said["finished_at"]),
            state=said["state"],
            counts=dict(said["counts"]),
            seconds_left=said["seconds_left"],
            warning=said["warning"] or "",
        )


@dataclass(frozen=True, slots=True)
class BatchFile:
    """One file of a batch with its outcome. `status`: of the picture's reading (queued, running, done, failed), None
    where there is no picture; `error`: why it could not be read; `container`: id of the zip that it came in."""

    id: int
    path: str
    bytes: int
    outcome: Outcome
    accession_number: str
    status: str | None
    error: str
    container: int | None

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> BatchFile:
        outcome = Outcome.read({**said, "status": said["outcome"], "file": said["id"]})
        plain = {
            name: said[name] for name in ("id", "path", "bytes", "accession_number", "status", "error", "container")
        }
        return cls(**plain, outcome=outcome)
