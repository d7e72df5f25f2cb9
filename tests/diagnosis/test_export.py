"""What leaves for training: only what was decided, nothing that names a patient, and mlcore learns from it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.utils import timezone
from PIL import Image, PngImagePlugin

from accounts.models import Membership, Role
from accounts.permissions import Actor, actor_for
from diagnosis import export, review, second_opinion
from diagnosis.export import Choice, ExportRefused
from diagnosis.models import AuditEvent, Case, Decision, SmearImage
from mlcore import data_check
from mlcore.bundle import TASKS
from mlcore.datasets import read_manifest, split_rows
from tests.cast import Cast, PatientFactory
from tests.smears import make_image

pytestmark = pytest.mark.django_db
OPEN = Choice(signed_only=False)
NAME, MRN, ACCESSION = "Rosa Rendered", "7741-203", "S26-0077"


@pytest.fixture(autouse=True)
def _files_of_our_own(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"


def noisy(seed: int, side: int = 64) -> bytes:
    """A picture with structure, so that no two are alike, that bears a patient's name in its text chunk."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    said = PngImagePlugin.PngInfo()
    said.add_text("Patient", NAME)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((side, side)).save(out, "PNG", pnginfo=said)
    return out.getvalue()


def decided(cast: Cast, case: Case, label: str, seed: int, *, kind: str = "cell") -> SmearImage:
    image = make_image(case, kind=kind, data=noisy(seed))
    Decision.objects.create(image=image, verdict="override", label=label, decided_by=cast.pathologist.user)
    return image


@pytest.fixture
def case(cast: Cast) -> Case:
    patient = PatientFactory(laboratory=cast.laboratory, name=NAME, mrn=MRN)
    return cast.case(patient=patient, accession_number=ACCESSION)


def unzipped(pieces: Iterator[bytes]) -> ZipFile:
    return ZipFile(io.BytesIO(b"".join(pieces)))


def rows(found: ZipFile, task: str = "cell") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(found.read(f"{task}/manifest.csv").decode())))


def download(actor: Actor, choice: Choice = OPEN) -> ZipFile:
    return unzipped(export.download(actor=actor, choice=choice))


def test_a_manifest_that_data_check_calls_ready_and_training_divides(cast: Cast, tmp_path: Path) -> None:
    for number in range(12):
        case = cast.case()
        for label in TASKS["field"]:
            for more in range(3):
                decided(cast, case, label, 100 * number + 10 * more + TASKS["field"].index(label), kind="field")
    to = tmp_path / "out"
    plan = export.write(laboratory=cast.laboratory, choice=OPEN, to=to)
    assert (len(plan.pictures), plan.patients) == (144, 12)
    check = data_check.check(to / "field" / "manifest.csv", None, group="patient_id", mapping={})
    assert (check.usable, check.grade, check.task, check.images) == (True, "A", "field", 144)
    assert [finding.code for finding in check.findings if finding.weight == "stop"] == []
    read = read_manifest(to / "field" / "manifest.csv", "field", group="patient_id")
    split = split_rows(read, group="patient_id", seed=0)
    sides = [{row.group for row in side} for side in split.sides().values()]
    assert all(sides)
    assert not sides[0] & sides[1] | sides[1] & sides[2] | sides[0] & sides[2]


def test_a_network_learns_from_it(cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlcore import preprocessing, training
    from mlcore.cli import main
    from mlcore.preprocessing import Preprocessing

    monkeypatch.setitem(preprocessing.BY_TASK, "field", Preprocessing(size=32))
    monkeypatch.setattr(training, "write_curves", lambda history, out: None)
    for number in range(10):
        case = cast.case()
        for label in TASKS["field"]:
            decided(cast, case, label, 10 * number + TASKS["field"].index(label), kind="field")
    export.write(laboratory=cast.laboratory, choice=OPEN, to=tmp_path / "out")
    said = main(
        f"train --task field --network cnn --manifest {tmp_path}/out/field/manifest.csv --group patient_id "
        f"--out {tmp_path}/run --cache {tmp_path}/cache --epochs 1 --batch 8 --small-size 16 --rendered-share 0".split()
    )
    assert not said
    card = json.loads((tmp_path / "run" / "bundle" / "card.json").read_text())
    assert card["training"]["split_grade"] == "A"


def test_nothing_names_a_patient(cast: Cast, case: Case) -> None:
    image = decided(cast, case, "blast", 1)
    Decision.objects.update(comment=f"as in {NAME}")
    found = download(cast.administrator)
    (row,) = rows(found)
    day = timezone.localdate().isoformat()
    for name in found.namelist():
        for secret in (NAME, MRN, ACCESSION, "smear-", day, "Pathologist", "North"):
            assert secret not in name
            assert secret.encode() not in found.read(name), (name, secret)
    assert all(entry.date_time == (1980, 1, 1, 0, 0, 0) for entry in found.infolist())
    pixels = [np.asarray(Image.open(io.BytesIO(data))) for data in (noisy(1), found.read(f"cell/{row['path']}"))]
    assert np.array_equal(*pixels)
    assert image.original_name not in str(row)


def test_what_a_row_says(cast: Cast, case: Case) -> None:
    image = decided(cast, case, "blast", 1)
    SmearImage.objects.filter(pk=image.pk).update(um_per_pixel=0.1)
    (row,) = rows(download(cast.administrator))
    assert list(row) == list(export.COLUMNS)
    assert row | {"path": "", "patient_id": "", "slide_id": ""} == {
        "path": "", "label": "blast", "patient_id": "", "slide_id": "", "decision": "override", "reading": "",
        "specimen": "peripheral_blood", "stain": "may_grunwald_giemsa", "um_per_pixel": "0.1", "signed": "no",
    }  # fmt: skip


def test_pseudonyms_are_the_same_in_each_export_and_in_no_other_laboratory(
    cast: Cast, case: Case, settings: Any
) -> None:
    decided(cast, case, "blast", 1)
    first, second = rows(download(cast.administrator)), rows(download(cast.administrator))
    assert first == second
    assert export.pseudonym(cast.laboratory, "patient", 1) != export.pseudonym(cast.elsewhere, "patient", 1)
    settings.EXPORT_KEY = "another key"
    assert rows(download(cast.administrator))[0]["patient_id"] != first[0]["patient_id"]


def test_only_what_was_chosen(cast: Cast, case: Case) -> None:
    blast, old = decided(cast, case, "blast", 1), decided(cast, case, "lymphocyte", 2)
    decided(cast, case, "pro_b", 3, kind="field")
    taken_back = decided(cast, case, "monocyte", 4)
    review.withdraw(actor=cast.pathologist, image=taken_back)
    make_image(case, data=noisy(5))
    Decision.objects.filter(image=old).update(decided_at=timezone.now() - timedelta(days=40))
    today = timezone.localdate()

    def labels(**choice: Any) -> list[str]:
        plan = export.preview(actor=cast.administrator, choice=Choice(**{"signed_only": False} | choice))
        assert plan.undecided == 2 * ("cell" in choice.get("tasks", ("cell",)))
        return sorted(picture.row["label"] for picture in plan.pictures)

    assert labels() == ["blast", "lymphocyte", "pro_b"]
    assert labels(tasks=("field",)) == ["pro_b"]
    assert labels(labels=frozenset({"blast"})) == ["blast"]
    assert labels(since=today - timedelta(days=2)) == ["blast", "pro_b"]
    assert labels(until=today - timedelta(days=2)) == ["lymphocyte"]
    assert export.preview(actor=cast.administrator, choice=Choice()).pictures == []
    Case.objects.update(status="signed")
    assert len(export.preview(actor=cast.administrator, choice=Choice()).pictures) == 3
    assert blast.pk


def test_a_picture_that_stands_twice(cast: Cast, case: Case) -> None:
    decided(cast, case, "blast", 1)
    decided(cast, cast.case(patient=case.patient), "blast", 1)  # a second case of the patient
    for label in ("blast", "lymphocyte"):
        decided(cast, cast.case(patient=case.patient), label, 2)  # people differ
    for _ in range(2):
        decided(cast, cast.case(), "monocyte", 3)  # two patients
    plan = export.preview(actor=cast.administrator, choice=OPEN)
    assert [picture.row["label"] for picture in plan.pictures] == ["blast"]
    assert plan.left_out == {"repeated": 1, "contradicted": 2, "two_patients": 2}


def test_a_file_that_is_gone_is_left_out_and_told(cast: Cast, case: Case) -> None:
    decided(cast, case, "blast", 1)
    gone = decided(cast, case, "blast", 2)
    gone.file.storage.delete(gone.file.name)
    found = download(cast.administrator)
    assert len(rows(found)) == 1
    assert "Left out: 1 could not be read" in found.read("README.txt").decode()


def test_administrators_alone(cast: Cast, case: Case) -> None:
    decided(cast, case, "blast", 1)
    for actor in (cast.technician, cast.pathologist):
        with pytest.raises(PermissionDenied):
            export.download(actor=actor, choice=OPEN)
    with pytest.raises(ExportRefused, match="No decided picture"):
        export.download(actor=cast.stranger, choice=OPEN)


def test_a_blinded_administrator_gets_nothing_of_that_case(cast: Cast, case: Case) -> None:
    decided(cast, case, "blast", 1)
    Membership.objects.create(user=cast.second_pathologist.user, laboratory=cast.laboratory, role=Role.ADMINISTRATOR)
    Case.objects.filter(pk=case.pk).update(image_count=1)
    second_opinion.ask(actor=cast.pathologist, case=case, colleagues=[cast.second_pathologist.user], diagnosis="9861/3")
    actor = actor_for(cast.second_pathologist.user, cast.laboratory)
    assert actor is not None
    assert export.preview(actor=actor, choice=OPEN).pictures == []
    assert len(export.preview(actor=cast.administrator, choice=OPEN).pictures) == 1


def test_more_than_one_export_holds(cast: Cast, case: Case, settings: Any) -> None:
    decided(cast, case, "blast", 1)
    decided(cast, case, "blast", 2)
    settings.EXPORT_MAX_IMAGES = 1
    with pytest.raises(ExportRefused, match="more than one export holds") as refused:
        export.download(actor=cast.administrator, choice=OPEN)
    assert refused.value.code == "too_large"
    settings.EXPORT_MAX_IMAGES, settings.EXPORT_MAX_BYTES = 10, 100
    with pytest.raises(ExportRefused):
        export.download(actor=cast.administrator, choice=OPEN)


def test_it_stands_in_the_audit_before_a_byte_leaves(cast: Cast, case: Case) -> None:
    decided(cast, case, "blast", 1)
    pieces = export.download(actor=cast.administrator, choice=Choice(signed_only=False, labels=frozenset({"blast"})))
    event = AuditEvent.objects.get(action="data.exported")
    assert event.sentence == "Ada Administrator exported 1 pictures of 1 patients, de-identified"
    assert event.detail["labels"] == ["blast"]
    assert unzipped(pieces).testzip() is None


def test_one_picture_in_memory_at_a_time(cast: Cast, case: Case) -> None:
    for seed in range(5):
        decided(cast, case, "blast", seed)
    pieces = list(export.download(actor=cast.administrator, choice=OPEN))
    assert len(pieces) == 5 + 1 + 1 + 1  # pictures, manifest, README, the zip's end
    assert unzipped(iter(pieces)).testzip() is None


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"labels": frozenset({"unicorn"})}, "classes"),
        ({"tasks": ()}, "classes"),
        ({"tasks": ("slide",)}, "classes"),
        ({"since": timezone.localdate(), "until": timezone.localdate() - timedelta(days=1)}, "dates"),
    ],
)
def test_choices_that_cannot_be(wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(ExportRefused) as refused:
        Choice(**wrong)
    assert refused.value.code == code


def test_the_command(cast: Cast, case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decided(cast, case, "blast", 1)
    slug = cast.laboratory.slug
    call_command("export_images", str(tmp_path / "x.zip"), "--laboratory", slug, "--open-cases", "--task", "cell")
    said = capsys.readouterr().out
    assert "cell: 1 blast" in said
    assert "1 pictures of 1 patients" in said
    assert ZipFile(tmp_path / "x.zip").testzip() is None
    assert AuditEvent.objects.get(action="data.exported").actor_label == "Operator of the installation"
    with pytest.raises(CommandError, match="is there already"):
        call_command("export_images", str(tmp_path / "x.zip"), "--laboratory", slug, "--open-cases")
    with pytest.raises(CommandError, match="No decided picture"):
        call_command("export_images", str(tmp_path / "y"), "--laboratory", slug)
    with pytest.raises(CommandError, match="Name one laboratory"):
        call_command("export_images", str(tmp_path / "y"))
    with pytest.raises(CommandError, match="no class unicorn"):
        call_command("export_images", str(tmp_path / "y"), "--laboratory", slug, "--class", "unicorn")
