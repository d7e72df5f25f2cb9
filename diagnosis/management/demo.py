"""The demo laboratory: its people, their patients and cases, all invented; its pictures are rendered."""

from __future__ import annotations

import csv
import datetime
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from accounts import tokens
from accounts.models import Laboratory, Membership, Role, User
from accounts.permissions import Actor, Scope, actor_for
from diagnosis import clinic, intake
from diagnosis.models import Case, SmearImage

CREDENTIALS = settings.VAR / "demo-credentials.json"

PEOPLE = (
    ("technician@demo.example", "Demo Technician", Role.TECHNICIAN),
    ("pathologist@demo.example", "Demo Pathologist", Role.PATHOLOGIST),
    ("second.pathologist@demo.example", "Second Pathologist", Role.PATHOLOGIST),
    ("administrator@demo.example", "Demo Administrator", Role.ADMINISTRATOR),
)


@dataclass(frozen=True, slots=True)
class DemoCase:
    """One case to invent. story: a key of mlcore.phantom.STORIES, or "" for a case that waits for its pictures."""

    story: str
    patient: str
    mrn: str
    born: int
    sex: str
    question: str
    urgent: bool = False
    marrow: bool = False


CASES = (
    DemoCase("APL", "Rendered Person 07", "7710-442", 1980, "female", "Gum bleeding for a week.", urgent=True),
    DemoCase("AML", "Rendered Person 15", "7655-231", 1954, "female", "Pancytopenia, fever. Blasts?", urgent=True),
    DemoCase("ALL pro-B", "Rendered Person 12", "7702-118", 2018, "male", "Pallor, bone pain.", urgent=True),
    DemoCase("ALL early pre-B", "Rendered Person 21", "7714-006", 2015, "male", "Lymphocytosis.", marrow=True),
    DemoCase("ALL pre-B", "Rendered Person 24", "7719-350", 2012, "female", "Follow-up smear.", marrow=True),
    DemoCase("haematogones", "Rendered Person 30", "7722-817", 2021, "male", "After chemotherapy.", marrow=True),
    DemoCase("reactive", "Rendered Person 03", "7693-900", 1995, "female", "Sore throat, atypical cells?"),
    DemoCase("plasma cells", "Rendered Person 09", "7688-124", 1950, "male", "Raised total protein."),
    DemoCase("", "Rendered Person 33", "7731-009", 1972, "other", "Waiting for its smears."),
)


def make_people(url: str) -> dict[str, object]:
    """The laboratory, its people and an API token, made once; their credentials as written to CREDENTIALS.

    Passwords and the token are random for each installation and are kept in that file (mode 0600), because the
    demo prints them at every start.
    """
    laboratory, _ = Laboratory.objects.get_or_create(slug="demo", defaults={"name": "Demo Laboratory"})
    known = json.loads(CREDENTIALS.read_text()) if CREDENTIALS.exists() else {}
    passwords = {person["email"]: person["password"] for person in known.get("users", [])}
    for email, name, role in PEOPLE:
        user = User.objects.filter(email=email).first()
        if user is None or email not in passwords:
            passwords[email] = "-".join(secrets.token_hex(2) for _ in range(3))
            user = user or User(email=email, full_name=name)
            user.set_password(passwords[email])
            user.save()
        Membership.objects.get_or_create(user=user, laboratory=laboratory, role=role)
    token = known.get("api_token", "")
    if not token or tokens.authenticate(token) is None:
        _, token = tokens.issue(
            actor=demo_actor("technician@demo.example"),
            name="demo",
            scopes=[Scope.CASES_READ, Scope.CASES_WRITE, Scope.IMAGES_WRITE, Scope.AUDIT_READ],
            days=365,
        )
    credentials: dict[str, object] = {
        "url": url,
        "api_token": token,
        "users": [{"email": email, "password": passwords[email], "role": str(role)} for email, _, role in PEOPLE],
    }
    CREDENTIALS.parent.mkdir(parents=True, exist_ok=True)
    CREDENTIALS.touch(mode=0o600)
    CREDENTIALS.write_text(json.dumps(credentials, indent=2) + "\n")
    return credentials


def demo_actor(email: str) -> Actor:
    actor = actor_for(User.objects.get(email=email), Laboratory.objects.get(slug="demo"))
    if actor is None:
        raise LookupError(f"{email} holds no role in the demo laboratory any more; give one back on the people page")
    return actor


def load_rendered() -> Iterator[str]:
    """Make the invented cases that are not there yet and take in their rendered smears; a line for each."""
    from mlcore import phantom

    technician = demo_actor("technician@demo.example")
    year = datetime.date.today().year
    for number, demo in enumerate(CASES, start=1):
        accession = f"ACC-{year % 100}-{1870 + number:05d}"
        if Case.objects.filter(laboratory=technician.laboratory, accession_number=accession).exists():
            continue
        case = clinic.create_case(
            actor=technician,
            accession_number=accession,
            specimen=Case.Specimen.BONE_MARROW if demo.marrow else Case.Specimen.PERIPHERAL_BLOOD,
            priority=Case.Priority.URGENT if demo.urgent else Case.Priority.ROUTINE,
            clinical_question=demo.question,
            patient=clinic.PatientData(
                mrn=demo.mrn, name=demo.patient, birth_date=datetime.date(demo.born, 5, 17), sex=demo.sex
            ),
        )
        images = phantom.rendered_smear(demo.story, seed=number) if demo.story else []
        for image in images:
            intake.receive_image(
                actor=technician,
                case=case,
                data=image.data,
                name=image.filename,
                kind=image.kind,
                via=SmearImage.Via.COMMAND,
            )
        yield f"{accession}: {len(images)} rendered pictures ({demo.story or 'none yet'})"


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
    technician = demo_actor("technician@demo.example")
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


def write_samples(folder: Path) -> int:
    """Some more rendered pictures as files, for a newcomer to upload by hand; answers how many there are."""
    from mlcore import phantom

    folder.mkdir(parents=True, exist_ok=True)
    for story, seed in (("APL", 501), ("ALL early pre-B", 502), ("reactive", 503)):
        for image in phantom.rendered_smear(story, seed=seed)[:4]:
            path = folder / f"{story.lower().replace(' ', '-')}-{image.filename}"
            if not path.exists():
                path.write_bytes(image.data)
    return len(list(folder.glob("*.jpg")))
