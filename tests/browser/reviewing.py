"""A case that is read already, for tests of what people do with it: run inside the portal's own Django.

`python manage.py shell -c "from tests.browser.reviewing import make; make('N-1', 'blast blast monocyte')"`
"""

from __future__ import annotations

import hashlib
import io

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from PIL import Image, ImageDraw

from accounts.models import User
from diagnosis import assessment, clinic
from diagnosis.management.demo import demo_actor
from diagnosis.models import Analysis, ModelRelease, SmearImage
from mlcore.bundle import MALIGNANT, TASKS

TINTS = ((96, 60, 150), (140, 70, 150), (70, 80, 160), (120, 50, 120), (90, 100, 170))


def make(accession: str, said: str) -> None:
    """A case of the demo laboratory whose pictures both networks read as the words of `said`; a word with `?` is
    read differently by the second network, `field:benign` is a field. Prints its id and those of its images."""
    technician = demo_actor("technician@demo.example")
    case = clinic.create_case(
        actor=technician, accession_number=accession, patient=clinic.PatientData(mrn=f"M-{accession}", name="Rendered")
    )
    images = [_image(case, number, word, technician.user) for number, word in enumerate(said.split())]
    _read(images, said.split())
    assessment.refresh(case.pk)
    print(case.pk, *(image.pk for image in images))


def _image(case: object, number: int, word: str, by: User) -> SmearImage:
    kind = "field" if word.startswith("field:") else "cell"
    data = _picture(number, word)
    digest = hashlib.sha256(data).hexdigest()
    name = f"tests/{digest[:20]}.png"
    if not default_storage.exists(name):
        default_storage.save(name, ContentFile(data))
    return SmearImage.objects.create(
        case=case, kind=kind, kind_source="given", original_name=f"cell-{number}.png", received_sha256=digest,
        stored_sha256=digest, file=name, format="PNG", received_format="PNG", byte_size=len(data), width=96,
        height=96, via="command", uploaded_by=by,
    )  # fmt: skip


def _picture(number: int, word: str) -> bytes:
    picture = Image.new("RGB", (96, 96), (240, 228, 224))
    draw = ImageDraw.Draw(picture)
    tint = TINTS[sum(map(ord, word)) % len(TINTS)]
    draw.ellipse((16 + number % 5, 16, 80, 80 - number % 7), fill=tuple(channel + 70 for channel in tint))
    draw.ellipse((24, 26, 66 + number % 9, 70), fill=tint)
    draw.point((number % 96, number // 96), fill=(0, 0, 0))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _read(images: list[SmearImage], words: list[str]) -> None:
    releases = {(release.task, release.network): release for release in ModelRelease.objects.filter(stage="active")}
    rows = []
    for number, (image, word) in enumerate(zip(images, words, strict=True)):
        label = word.removeprefix("field:").rstrip("?")
        for network in ("cnn", "mobilenet"):
            classes = TASKS[image.kind]
            leads = next(c for c in classes if c != label) if word.endswith("?") and network == "mobilenet" else label
            sure = 0.62 + 0.36 * (number * 7 % 11) / 11
            rest = (1 - sure) / (len(classes) - 1)
            probabilities = {c: sure if c == leads else rest for c in classes}
            rows.append(
                Analysis(
                    image=image, release=releases[image.kind, network], state="done", finished_at=timezone.now(),
                    probabilities=probabilities, malignant=sum(probabilities[c] for c in MALIGNANT[image.kind]),
                    novelty=0.2, novel=False,
                )
            )  # fmt: skip
    Analysis.objects.bulk_create(rows)
