"""The cases that a newcomer finds, all invented: who, what is asked, what other laboratories found, and the smears."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from diagnosis import clinic, clinical, intake
from diagnosis.management.demo.clock import clock_at
from diagnosis.management.demo.people import TECHNICIAN, demo_actor
from diagnosis.models import Case, SmearImage
from mlcore import phantom

FIRST = 2870  # what accession numbers go on from
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DemoCase:
    """One case to invent. `story`: a key of mlcore.phantom.STORIES, or "" for a case that waits for its pictures;
    `pictures`: how many of its smear. `opened`: hours ago. `state`: a function of `states`, "" for as it is read.
    `lost`: the stored file of one picture goes missing before it is read."""

    story: str
    patient: str
    mrn: str
    born: int
    sex: str
    question: str
    opened: float
    state: str = ""
    urgent: bool = False
    marrow: bool = False
    pictures: int = 99
    lost: bool = False
    requester: str = "Dr Invented, Ward 3"
    blood: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # fields of `diagnosis.clinical`


CASES = (
    DemoCase(
        "APL", "Rendered Person 07", "7710-442", 1980, "female", "Gum bleeding for a week, bruises.", 2.6, urgent=True,
        blood={"wbc": 2.1, "haemoglobin": 8.4, "platelets": 21, "blasts": 58,
               "immunophenotype": {"CD34": "negative", "HLA-DR": "negative", "CD33": "positive", "MPO": "positive"}},
    ),
    DemoCase(
        "AML", "Rendered Person 15", "7655-231", 1954, "female", "Pancytopenia, fever. Blasts?", 2.2, "in_review",
        urgent=True, blood={"wbc": 1.6, "haemoglobin": 7.9, "platelets": 34, "blasts": 22},
    ),
    DemoCase(
        "ALL pro-B", "Rendered Person 12", "7702-118", 2018, "male", "Pallor, bone pain.", 1.5, "asked", urgent=True,
        requester="Dr Invented, Children's clinic",
        blood={"wbc": 64, "haemoglobin": 6.8, "platelets": 28, "blasts": 81,
               "immunophenotype": {"CD19": "positive", "CD10": "negative", "CD34": "positive", "TdT": "positive"},
               "cytogenetics": ["kmt2a"]},
    ),
    DemoCase(
        "reactive", "Rendered Person 03", "7693-900", 1995, "female", "Sore throat, atypical cells?", 20,
        blood={"wbc": 12.4, "haemoglobin": 13.1, "platelets": 240},
    ),
    DemoCase(
        "ALL early pre-B", "Rendered Person 21", "7714-006", 2015, "male", "Lymphocytosis.", 26, "reviewed",
        marrow=True, requester="Dr Invented, Children's clinic",
        blood={"wbc": 31, "haemoglobin": 9.2, "platelets": 66, "blasts": 44,
               "immunophenotype": {"CD19": "positive", "CD10": "positive", "CD34": "positive"}},
    ),
    DemoCase(
        "ALL pre-B", "Rendered Person 24", "7719-350", 2012, "female", "Follow-up smear.", 61, marrow=True,
        requester="Dr Invented, Children's clinic", blood={"wbc": 3.2, "haemoglobin": 10.4, "platelets": 110},
    ),
    DemoCase(
        "haematogones", "Rendered Person 30", "7722-817", 2021, "male", "After chemotherapy. Relapse?", 30, "differ",
        marrow=True, requester="Dr Invented, Children's clinic",
        blood={"wbc": 4.4, "haemoglobin": 11.2, "platelets": 188,
               "immunophenotype": {"CD19": "positive", "CD10": "positive", "CD34": "dim", "CD20": "dim"}},
    ),
    DemoCase(
        "plasma cells", "Rendered Person 09", "7688-124", 1950, "male", "Raised total protein.", 41, "signed",
        blood={"wbc": 9.8, "haemoglobin": 8.8, "platelets": 98,
               "immunophenotype": {"CD138": "positive", "CD38": "positive", "CD56": "positive", "CD19": "negative"}},
    ),
    DemoCase(
        "reactive", "Rendered Person 41", "7741-556", 2003, "male", "Swollen nodes. Lymphoma?", 44, "amended",
        pictures=9, blood={"wbc": 14.9, "haemoglobin": 14.0, "platelets": 201},
    ),
    DemoCase(
        "AML", "Rendered Person 44", "7744-870", 1961, "male", "Tired for weeks. Blasts?", 36, "addendum", pictures=9,
        blood={"wbc": 27, "haemoglobin": 8.1, "platelets": 41, "blasts": 52,
               "immunophenotype": {"CD34": "positive", "CD117": "positive", "MPO": "positive", "CD33": "positive"}},
    ),
    DemoCase(
        "reactive", "Rendered Person 47", "7747-019", 1977, "female", "Eosinophilia?", 5, pictures=6, lost=True,
        blood={"wbc": 11.1, "haemoglobin": 12.6, "platelets": 310},
    ),
    DemoCase("", "Rendered Person 33", "7731-009", 1972, "other", "Waiting for its smears.", 0.2),
    DemoCase(
        "ALL pre-B", "Rendered Person 50", "7750-602", 2009, "female", "Blasts at another hospital.", 0.4, marrow=True,
        requester="Dr Invented, Children's clinic",
    ),
)  # fmt: skip


def accession(number: int) -> str:
    return f"ACC-{datetime.date.today().year % 100}-{FIRST + number:05d}"


def found(number: int) -> Case | None:
    """The case of that number in `CASES`, where it was made, perhaps last year."""
    laboratory = demo_actor(TECHNICIAN).laboratory
    return Case.objects.filter(laboratory=laboratory, accession_number__endswith=f"-{FIRST + number:05d}").first()


def load_cases() -> Iterator[str]:
    """Make the invented cases that are not there yet and take in their rendered smears; a line for each."""
    for number, demo in enumerate(CASES, start=1):
        if found(number) is None:
            yield f"{accession(number)}: {_make(number, demo)} rendered pictures ({demo.story or 'none yet'})"


def _make(number: int, demo: DemoCase) -> int:
    technician = demo_actor(TECHNICIAN)
    with clock_at(timezone.now() - datetime.timedelta(hours=demo.opened)):
        case = clinic.create_case(
            actor=technician,
            accession_number=accession(number),
            specimen=Case.Specimen.BONE_MARROW if demo.marrow else Case.Specimen.PERIPHERAL_BLOOD,
            priority=Case.Priority.URGENT if demo.urgent else Case.Priority.ROUTINE,
            clinical_question=demo.question,
            requester_name=demo.requester,
            requester_email="ward@demo.example",
            patient=clinic.PatientData(
                mrn=demo.mrn, name=demo.patient, birth_date=datetime.date(demo.born, 5, 17), sex=demo.sex
            ),
        )
        if demo.blood:
            counted = timezone.localdate()
            clinical.save(actor=technician, case=case, expected_revision=0, counted_on=counted, **demo.blood)
    images = smear(number, demo)
    for at, image in enumerate(images):
        with transaction.atomic():
            stored = intake.receive_image(
                actor=technician,
                case=case,
                data=image.data,
                name=image.filename,
                kind=image.kind,
                um_per_pixel=0.1 if image.kind == "cell" else None,
                via=SmearImage.Via.COMMAND,
            ).image
            if demo.lost and at == 0 and stored is not None:
                default_storage.delete(str(stored.file))
    return len(images)


def smear(number: int, demo: DemoCase) -> list[phantom.RenderedImage]:
    return phantom.rendered_smear(demo.story, seed=number)[: demo.pictures] if demo.story else []


def drawn(number: int) -> dict[str, str]:
    """File name → the class that was drawn, of a case: what the demo's pathologists see in it."""
    return {image.filename: image.label for image in smear(number, CASES[number - 1])}
