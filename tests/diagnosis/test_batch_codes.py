"""Codes in pictures lead files to cases where neither a list nor a name does, and never anywhere else."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diagnosis import intake
from diagnosis.batches import codes, manifest, matching, opening, tray
from diagnosis.models import AuditEvent, Batch, Case, SmearImage
from mlcore.phantom import render_field
from tests.cast import Cast
from tests.diagnosis.test_batches import bring, zipped
from tests.mlcore.test_codes import code128, pasted, qr

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folders(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT, settings.UPLOADS_ROOT = tmp_path / "media", tmp_path / "uploads"


@pytest.fixture
def case(cast: Cast) -> Case:
    return cast.case(accession_number="S26-0123")


@pytest.fixture
def batch(cast: Cast, case: Case) -> Batch:
    return opening.open_batch(actor=cast.technician, name="Morning")


@pytest.fixture(scope="module")
def field() -> np.ndarray:
    return render_field("early_pre_b", seed=11, size=(900, 500))


def jpeg(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=88)
    return out.getvalue()


def label(text: str) -> bytes:
    """A photograph of a slide's label: paper, a code, nothing of a smear."""
    paper = Image.new("RGB", (640, 480), (236, 234, 228))
    paper.paste(qr(text, 8), (60, 80))
    return jpeg(np.asarray(paper))


def test_a_code_leads_to_its_case_and_says_so(cast: Cast, batch: Batch, case: Case, field: np.ndarray) -> None:
    file = bring(cast.technician, batch, "IMG_1.jpg", jpeg(pasted(field, qr("s26-0123", 5), angle=7)))
    assert (file.state, file.reason, file.codes) == ("accepted", matching.BY_CODE, ["s26-0123"])
    assert file.image is not None
    assert (file.image.case, file.accession) == (case, "S26-0123")
    plain = bring(cast.technician, batch, "IMG_2.jpg", jpeg(field))
    assert (plain.state, plain.code, plain.reason) == ("unmatched", "unmatched", matching.NOTHING_FOUND)


def test_members_of_a_zip_are_searched_too(cast: Cast, batch: Batch, case: Case, field: np.ndarray) -> None:
    bring(cast.technician, batch, "day.zip", zipped(("DSC_1.jpg", jpeg(pasted(field, code128("S26-0123", 3))))))
    assert case.images.get().original_name == "DSC_1.jpg"


def test_list_name_and_sender_count_before_the_code(
    cast: Cast, batch: Batch, case: Case, field: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = cast.case(accession_number="S26-0200")
    data = jpeg(pasted(field, qr("S26-0200", 5)))

    def never(*args: Any, **named: Any) -> Any:
        raise AssertionError("a picture that has a case is not searched")

    monkeypatch.setattr(intake, "read_codes", never)
    assert bring(cast.technician, batch, "S26-0123 4.jpg", data).case == case
    assert bring(cast.technician, batch, "IMG_4.jpg", data + b"1", accession="S26-0123").case == case
    manifest.take(actor=cast.technician, batch=batch, data=b"accession,file\nS26-0123,IMG_5.jpg\n", name="l.csv")
    assert bring(cast.technician, batch, "IMG_5.jpg", data + b"2").case == case
    opening.save_rules(actor=cast.technician, seen=0, masks="S##-####", camera_pixel_um=None)
    waits = bring(cast.technician, batch, "S26-0999 1.jpg", data)  # its name names a case, though there is none yet
    assert (waits.state, waits.accession) == ("unmatched", "S26-0999")
    assert not other.images.exists()


def test_a_laboratory_can_have_it_off(cast: Cast, batch: Batch, field: np.ndarray) -> None:
    opening.save_rules(actor=cast.technician, seen=0, masks="", camera_pixel_um=None, read_codes=False)
    file = bring(cast.technician, batch, "IMG_1.jpg", jpeg(pasted(field, qr("S26-0123", 5))))
    assert (file.state, file.codes) == ("unmatched", [])
    event = AuditEvent.objects.get(action="batch.rules_changed")
    assert event.detail["changes"] == {"read_codes": [True, False]}
    kept = opening.save_rules(actor=cast.technician, seen=1, masks="S##-####", camera_pixel_um=None)
    assert kept.read_codes is False


def test_two_accessions_in_one_picture_go_to_the_tray(cast: Cast, batch: Batch, field: np.ndarray) -> None:
    cast.case(accession_number="S26-0124")
    both = jpeg(pasted(field, qr("S26-0123", 5), qr("S26-0124", 5)))
    file = bring(cast.technician, batch, "IMG_1.jpg", both)
    assert file.state == "unmatched"
    assert file.reason.startswith("The codes in the picture name two cases, S26-0123 and S26-0124.")
    assert not SmearImage.objects.exists()


def test_one_of_another_number_without_a_case_goes_to_the_tray(cast: Cast, batch: Batch, field: np.ndarray) -> None:
    opening.save_rules(actor=cast.technician, seen=0, masks="S##-####", camera_pixel_um=None)
    file = bring(cast.technician, batch, "IMG.jpg", jpeg(pasted(field, qr("S26-0123", 5), qr("S26-0777", 5))))
    assert (file.state, file.reason) == (
        "unmatched", "The codes in the picture say S26-0123 and S26-0777. Say which one it is.",
    )  # fmt: skip


def test_codes_of_nobody_and_of_another_laboratory_lead_nowhere(cast: Cast, batch: Batch, field: np.ndarray) -> None:
    cast.case(laboratory=cast.elsewhere, patient__laboratory=cast.elsewhere, accession_number="OTHER-77")
    for number, text in enumerate(("OTHER-77", "https://lot.example/4711")):
        file = bring(cast.technician, batch, f"IMG_{number}.jpg", jpeg(pasted(field, qr(text, 5))))
        assert (file.state, file.accession) == ("unmatched", "")
        assert text in file.reason


def test_a_case_opened_later_is_found_by_the_code_that_was_read(cast: Cast, batch: Batch, field: np.ndarray) -> None:
    opening.save_rules(actor=cast.technician, seen=0, masks="S##-####", camera_pixel_um=None)
    file = bring(cast.technician, batch, "IMG_1.jpg", jpeg(pasted(field, qr("S26-0500;2", 5))))
    assert (file.accession, file.reason) == (
        "S26-0500", "The code in the picture says S26-0500. There is no such case yet: open it.",
    )  # fmt: skip
    opened = cast.case(accession_number="S26-0500")
    assert tray.match_again(actor=cast.technician, batch=batch) == 1
    file.refresh_from_db()
    assert (file.case, file.reason) == (opened, matching.BY_CODE)


def test_a_picture_of_a_label_alone_is_not_read_but_waits(cast: Cast, batch: Batch, case: Case) -> None:
    file = bring(cast.technician, batch, "label.jpg", label("S26-0123"))
    assert (file.state, file.code, file.accession, file.flags) == ("unmatched", codes.LABEL, "S26-0123", [])
    assert file.reason.startswith("This is a picture of the label of S26-0123 and shows no stained cell")
    assert tray.match_again(actor=cast.technician, batch=batch) == 0
    tray.assign(actor=cast.technician, file_ids=[file.pk], accession="S26-0123")  # a person may know better
    assert case.images.count() == 1


def test_a_hostile_code_harms_nothing(cast: Cast, batch: Batch, field: np.ndarray) -> None:
    for number, text in enumerate(("x" * 900, b"\x00\xff" * 40, "S26-0123\x00", "';--\u202e<b>S26-0123</b>")):
        file = bring(cast.technician, batch, f"IMG_{number}.jpg", jpeg(pasted(field, qr(text, 4))))
        assert file.state == "unmatched"


@pytest.mark.parametrize(
    ("masks", "typed", "found"),
    [
        ("", "S26-0123", "S26-0123"),
        ("", " s26-0123\t", "S26-0123"),
        ("", "]C1S26-0123", "S26-0123"),
        ("", "]Q3S26-0123", "S26-0123"),
        ("", "~S26-0123#", "S26-0123"),
        ("", "S26-0123\x1d", "S26-0123"),
        ("", "S26-0123;2", None),
        ("S##-####", "S26-0123;2", "S26-0123"),
        ("S##-####", "]Q1S26-0123^MGG^2", "S26-0123"),
        ("S##-####", "S26-0123 S26-0124", None),
        ("", "S26-0123\x00", "S26-0123"),
        ("", "", None),
        ("", "]C1", None),
    ],
)
def test_what_a_hand_scanner_sends(cast: Cast, case: Case, masks: str, typed: str, found: str | None) -> None:
    cast.case(accession_number="S26-0124")
    match = matching.scanned(laboratory=cast.laboratory, text=typed, masks=matching.read_masks(masks))
    assert (match.case.accession_number if match.case else None) == found
    assert bool(match.reason) == (found is None)


def test_a_number_that_is_written_like_a_mark_is_found(cast: Cast) -> None:
    cast.case(accession_number="]C1-7")
    assert matching.scanned(laboratory=cast.laboratory, text="]C1-7", masks=[]).accession == "]C1-7"
