"""Intake: every file ends as exactly one outcome, and what is kept is right."""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries, Settings

from diagnosis import assessment, intake
from diagnosis.intake import correct_kind, receive_image
from diagnosis.models import Analysis, AuditEvent, Case, ModelRelease, SmearImage
from diagnosis.storage import ContentStorage
from mlcore import phantom
from mlcore.images import decode, read_header
from tests import hostile
from tests.cast import Cast
from tests.hostile import PATIENT, Sample, encoded, jpeg, smear

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"


@pytest.fixture
def case(cast: Cast) -> Case:
    return cast.case()


@pytest.fixture
def releases(db: None) -> list[ModelRelease]:
    return [
        ModelRelease.objects.create(task=task, network=network, version="1", digest=f"{task}-{network}", bundle=task)
        for task in ("cell", "field")
        for network in ("cnn", "mobilenet")
    ]


def receive(cast: Cast, case: Case, data: object = None, name: str = "a.jpg", **options: object) -> intake.Outcome:
    return receive_image(
        actor=cast.technician, case=case, data=jpeg() if data is None else data, name=name,
        **{"via": SmearImage.Via.API, **options},
    )  # type: ignore[arg-type]  # fmt: skip


def stored_files(media: Path) -> list[Path]:
    return [path for path in media.rglob("*") if path.is_file()]


def events(case: Case) -> list[str]:
    return list(AuditEvent.objects.filter(case=case).order_by("sequence").values_list("action", flat=True))


def test_an_accepted_image_is_all_there(cast: Cast, case: Case, releases: list[ModelRelease], media: Path) -> None:
    data = jpeg(comment=PATIENT.encode())
    outcome = receive(cast, case, data, "smear 7.JPG", kind="field", um_per_pixel=0.25)
    image = SmearImage.objects.get()
    assert (outcome.status, outcome.image, outcome.code, outcome.reason) == ("accepted", image, "", "")
    assert image.case == case
    case.refresh_from_db()
    assert (case.status, case.image_count) == ("reading", 1)
    assert (image.kind, image.kind_source, image.kind_confidence) == ("field", "given", None)
    assert image.original_name == "smear 7.JPG"
    assert image.received_sha256 == hashlib.sha256(data).hexdigest()
    assert (image.width, image.height, image.um_per_pixel) == (160, 120, 0.25)
    assert (image.format, image.received_format, image.via) == ("JPEG", "JPEG", "api")
    assert image.uploaded_by == cast.technician.user
    assert set(image.quality) == {"focus", "brightness", "contrast", "saturation", "stained", "warnings", "likeness"}
    kept = image.file.read()
    assert hashlib.sha256(kept).hexdigest() == image.stored_sha256
    assert len(kept) == image.byte_size
    assert PATIENT.encode() not in kept
    assert np.array_equal(decode(kept), decode(data))
    assert [path.name for path in stored_files(media)] == [f"{image.stored_sha256}.jpg"]
    assert {(a.release.network, a.release.task, a.state) for a in Analysis.objects.all()} == {
        ("cnn", "field", "queued"), ("mobilenet", "field", "queued"),
    }  # fmt: skip
    (event,) = AuditEvent.objects.filter(case=case)
    assert (event.action, event.subject) == ("image.accepted", f"image {image.pk}")
    assert (event.detail["name"], event.detail["sha256"]) == ("smear 7.JPG", image.received_sha256)


@pytest.mark.parametrize("sample", hostile.bad(), ids=lambda sample: sample.name)
def test_bad_files_are_rejected_and_leave_only_a_note(cast: Cast, case: Case, media: Path, sample: Sample) -> None:
    outcome = receive(cast, case, sample.data, sample.name)
    assert (outcome.status, outcome.image, outcome.code) == ("rejected", None, sample.code)
    assert outcome.reason.endswith(".")
    assert not SmearImage.objects.exists()
    assert not stored_files(media)
    (event,) = AuditEvent.objects.filter(case=case)
    assert event.action == "image.rejected"
    assert event.detail == {"name": sample.name, "code": sample.code, "reason": outcome.reason}


@pytest.mark.parametrize("sample", hostile.odd_but_right() + hostile.planted(), ids=lambda sample: sample.name)
def test_unusual_files_are_accepted_and_stored_bare(cast: Cast, case: Case, sample: Sample) -> None:
    image = receive(cast, case, sample.data, sample.name).image
    assert image is not None
    kept = image.file.read()
    assert PATIENT.encode() not in kept
    assert np.array_equal(decode(kept), decode(sample.data))
    header = read_header(kept)
    assert (image.format, image.width, image.height) == (header.format, header.width, header.height)
    assert image.format in {"JPEG", "PNG", "WEBP"}
    assert image.received_format == read_header(sample.data).format
    assert image.file.name.endswith(header.extension)


def test_bad_files_leave_their_neighbours_alone(cast: Cast, case: Case, releases: list[ModelRelease]) -> None:
    files = [s for pair in zip(hostile.bad(), hostile.odd_but_right(), strict=False) for s in pair]
    outcomes = [receive(cast, case, sample.data, sample.name) for sample in files]
    for sample, outcome in zip(files, outcomes, strict=True):
        assert outcome.code == sample.code or (outcome.status == "duplicate" and not sample.code)
    different = {sample.data for sample in files if not sample.code}
    assert SmearImage.objects.count() == len(different)
    assert Analysis.objects.count() == 2 * len(different)
    assert AuditEvent.objects.filter(case=case).count() == len(files)


def test_the_same_bytes_again_are_a_duplicate(
    cast: Cast, case: Case, releases: list[ModelRelease], media: Path
) -> None:
    first = receive(cast, case, name="first.jpg")
    again = receive(cast, case, name="second.jpg")
    assert (again.status, again.image, again.code) == ("duplicate", first.image, "duplicate")
    assert "first.jpg" in again.reason
    assert SmearImage.objects.count() == 1
    assert Analysis.objects.count() == 2
    assert len(stored_files(media)) == 1
    assert events(case) == ["image.accepted", "image.duplicate"]


def test_the_same_bytes_in_another_case_are_accepted_and_both_flagged(
    cast: Cast, releases: list[ModelRelease], media: Path
) -> None:
    one, other = cast.case(), cast.case()
    first, second = receive(cast, one), receive(cast, other)
    assert (first.status, first.flags) == ("accepted", ())
    assert second.status == "accepted"
    assert second.flags == (intake.SEEN_ELSEWHERE,)
    assert list(SmearImage.objects.values_list("seen_in_other_case", flat=True)) == [True, True]
    assert len(stored_files(media)) == 1
    assert Analysis.objects.count() == 4


def test_another_laboratory_is_not_told_of_our_bytes(cast: Cast) -> None:
    receive(cast, cast.case())
    theirs = cast.case(laboratory=cast.elsewhere, patient__laboratory=cast.elsewhere)
    outcome = receive_image(actor=cast.stranger, case=theirs, data=jpeg(), name="a.jpg", via="api")
    assert (outcome.status, outcome.flags) == ("accepted", ())
    assert not SmearImage.objects.filter(seen_in_other_case=True).exists()


@pytest.mark.parametrize("kind", ["cell", "field"])
def test_the_kind_is_told_from_the_picture(cast: Cast, case: Case, kind: str) -> None:
    pixels = phantom.render_cell("blast", seed=5) if kind == "cell" else phantom.render_field("pre_b", seed=5)
    image = receive(cast, case, encoded(pixels, "PNG")).image
    assert image is not None
    assert (image.kind, image.kind_source) == (kind, "told")
    assert image.kind_confidence is not None
    assert 0.5 <= image.kind_confidence <= 1


def test_quality_warnings_are_flags(cast: Cast, case: Case) -> None:
    dark = (smear() * 0.3).astype(np.uint8)
    outcome = receive(cast, case, encoded(dark, "PNG"))
    assert outcome.status == "accepted"
    assert outcome.flags[0].startswith("Too dark: raise the light")
    assert outcome.image is not None
    outcome.image.refresh_from_db()
    assert tuple(outcome.image.quality["warnings"]) == outcome.flags


def test_the_hundredth_upload_costs_what_the_second_did(
    cast: Cast, case: Case, releases: list[ModelRelease], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    receive(cast, case)
    with CaptureQueriesContext(connection) as second:
        receive(cast, case, jpeg(seed=1))
    rows_read_from = {query["sql"].split("FROM")[1].split()[0] for query in second if "FROM" in query["sql"]}
    assert '"diagnosis_decision"' not in rows_read_from  # the whole case was not assessed again
    for seed in range(2, 9):
        receive(cast, case, jpeg(seed=seed))
    with django_assert_max_num_queries(len(second)):
        receive(cast, case, jpeg(seed=9))
    case.refresh_from_db()
    assert (case.status, case.image_count) == ("reading", 10)
    assert assessment.refresh(case.pk).progress.images == 10


class Endless(io.RawIOBase):
    """An upload without end that counts what was taken from it."""

    taken = 0

    def read(self, size: int = -1, /) -> bytes:
        assert size > 0
        part = min(size, 4096)
        self.taken += part
        return b"\xff\xd8\xff" + bytes(part - 3)


def test_an_upload_is_never_read_beyond_the_limit(cast: Cast, case: Case, settings: Settings) -> None:
    settings.INTAKE_MAX_BYTES = 100_000
    upload = Endless()
    assert receive(cast, case, upload).code == "too_large"
    assert upload.taken == 100_001


def test_limits_come_from_the_settings(cast: Cast, case: Case, settings: Settings) -> None:
    settings.INTAKE_MAX_BYTES = len(jpeg()) - 1
    assert receive(cast, case).code == "too_large"
    settings.INTAKE_MAX_BYTES += 1
    settings.INTAKE_MAX_PIXELS = 160 * 120 - 1
    assert receive(cast, case).code == "too_many_pixels"
    settings.INTAKE_MAX_PIXELS += 1
    settings.INTAKE_MAX_SIDE = 159
    assert receive(cast, case).code == "too_many_pixels"
    settings.INTAKE_MAX_SIDE, settings.INTAKE_MIN_SIDE = 160, 121
    assert receive(cast, case).code == "too_small"
    settings.INTAKE_MIN_SIDE = 120
    assert receive(cast, case).status == "accepted"


def test_what_grows_beyond_the_limit_when_stored_is_refused(
    cast: Cast, case: Case, settings: Settings, media: Path
) -> None:
    """A JPEG inside a TIFF is small; kept without loss it is not, and no worker would read it."""
    data = encoded(smear(), "TIFF", compression="jpeg", quality=30)
    settings.INTAKE_MAX_BYTES = len(data) + 100
    assert receive(cast, case, data).code == "too_large"
    assert not stored_files(media)


def test_uploads_are_read_like_bytes(cast: Cast, case: Case) -> None:
    upload = SimpleUploadedFile("a.jpg", jpeg(), content_type="text/html")
    assert receive(cast, case, upload).status == "accepted"
    assert receive(cast, case).status == "duplicate"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("smear.jpg", "smear.jpg"),
        ("../../etc/passwd.jpg", "passwd.jpg"),
        ("C:\\Bilder\\Ausstrich 3.tif", "Ausstrich 3.tif"),
        ("a\x00b\r\nc.jpg", "abc.jpg"),
        ("picture\u202egpj.exe", "picturegpj.exe"),
        ("A\u0308ther.png", "\u00c4ther.png"),
        ("", "unnamed"),
        ("..", "unnamed"),
        ("x" * 400 + ".jpg", "x" * 251 + ".jpg"),
        ("✓ 血液.png", "✓ 血液.png"),
    ],
)
def test_names_are_kept_for_people_only(cast: Cast, case: Case, name: str, kept: str) -> None:
    image = receive(cast, case, name=name).image
    assert image is not None
    image.refresh_from_db()
    assert image.original_name == kept
    assert image.file.name == f"smears/{image.stored_sha256[:2]}/{image.stored_sha256[2:4]}/{image.stored_sha256}.jpg"


def test_who_may_not_upload_is_told_so_before_anything_is_read(cast: Cast, case: Case) -> None:
    upload = Endless()
    for actor in (cast.administrator, cast.stranger):
        with pytest.raises(PermissionDenied):
            receive_image(actor=actor, case=case, data=upload, name="a.jpg", via="api")
    assert upload.taken == 0
    assert not AuditEvent.objects.filter(case=case).exists()


@pytest.mark.parametrize("wrong", [{"kind": "slide"}, {"um_per_pixel": 0.0}, {"um_per_pixel": float("nan")}])
def test_what_no_door_lets_through_is_a_mistake(cast: Cast, case: Case, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"kind|number"):
        receive(cast, case, **wrong)


def test_a_row_that_fails_leaves_nothing_but_the_file(
    cast: Cast, case: Case, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Image, analyses and audit stand together or not at all; the file waits for the next try."""

    def broken(image: SmearImage) -> None:
        raise RuntimeError("the database went away")

    with monkeypatch.context() as patch:
        patch.setattr(intake.queue, "enqueue_new", broken)
        with pytest.raises(RuntimeError):
            receive(cast, case)
    assert not SmearImage.objects.exists()
    assert not AuditEvent.objects.exists()
    assert len(stored_files(media)) == 1
    assert receive(cast, case).status == "accepted"
    assert len(stored_files(media)) == 1


def test_a_storage_that_fails_is_told_and_can_be_tried_again(
    cast: Cast, case: Case, media: Path, caplog: pytest.LogCaptureFixture
) -> None:
    media.parent.mkdir(exist_ok=True)
    media.write_text("a file where the folder should be")
    outcome = receive(cast, case)
    assert (outcome.status, outcome.code) == ("rejected", "not_stored")
    assert "Upload it again" in outcome.reason
    assert "did not take" in caplog.text
    media.unlink()
    assert receive(cast, case).status == "accepted"


class Breaking(ContentFile):
    """Content whose second half never comes."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        yield b"the first half"
        raise OSError("the disk is full")


def test_a_file_on_disk_is_whole_or_not_there(media: Path) -> None:
    storage = ContentStorage()
    with pytest.raises(OSError, match="full"):
        storage.save("smears/ab/cd/abcd.jpg", Breaking(b""))
    assert not stored_files(media)
    for _ in range(2):
        assert storage.save("smears/ab/cd/abcd.jpg", ContentFile(b"whole")) == "smears/ab/cd/abcd.jpg"
    (path,) = stored_files(media)
    assert path.read_bytes() == b"whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_any_storage_will_do(cast: Cast, case: Case, settings: Settings) -> None:
    """Files go through Django's storage interface alone, as they must for a bucket."""
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
    image = receive(cast, case).image
    assert image is not None
    assert storages["default"].size(image.file.name) == image.byte_size
    assert receive(cast, cast.case()).image.file.name == image.file.name  # type: ignore[union-attr]


def test_a_person_corrects_the_kind(cast: Cast, case: Case, releases: list[ModelRelease]) -> None:
    image = receive(cast, case, kind="field").image
    assert image is not None
    corrected = correct_kind(actor=cast.pathologist, image=image, kind="cell")
    assert (corrected.pk, corrected.kind, corrected.kind_source) == (image.pk, "cell", "corrected")
    image.refresh_from_db()
    assert (image.kind, image.kind_source, image.kind_confidence) == ("cell", "corrected", None)
    assert set(image.analyses.values_list("release__task", flat=True)) == {"cell"}
    assert image.analyses.count() == 2
    event = AuditEvent.objects.get(action="image.kind_corrected")
    assert (event.detail["kind"], event.detail["previous_kind"]) == ("cell", "field")
    assert event.actor == cast.pathologist.user
    correct_kind(actor=cast.pathologist, image=image, kind="cell")
    assert AuditEvent.objects.filter(action="image.kind_corrected").count() == 1
    assert image.analyses.count() == 2


def test_only_those_who_may_correct_the_kind(cast: Cast, case: Case) -> None:
    image = receive(cast, case, kind="field").image
    assert image is not None
    for actor in (cast.administrator, cast.stranger):
        with pytest.raises(PermissionDenied):
            correct_kind(actor=actor, image=image, kind="cell")
    with pytest.raises(ValueError, match="no such kind"):
        correct_kind(actor=cast.technician, image=image, kind="slide")
    image.refresh_from_db()
    assert image.kind == "field"
