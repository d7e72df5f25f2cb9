"""What may be changed of an open case and of its images' scale, and what follows from it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from diagnosis import assessment, audit, clinic, intake, queue
from diagnosis.clinic import ClinicConflict, ClinicError
from diagnosis.models import Analysis, AuditEvent, Case, Patient
from tests.cast import Cast
from tests.smears import make_image, make_release

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(cast: Cast) -> Case:
    return cast.case(clinical_question="Blasts?")


def test_priority_moves_the_due_time_and_the_queue(cast: Cast, case: Case) -> None:
    make_release()
    image = make_image(case)
    queue.enqueue(image)
    other = make_image(cast.case())
    queue.enqueue(other)
    changed = clinic.update_case(actor=cast.pathologist, case=case, priority="urgent")
    case.refresh_from_db()
    assert changed.priority == case.priority == "urgent"
    assert case.due_at == case.created_at + timedelta(hours=cast.laboratory.urgent_hours)
    assert list(Analysis.objects.order_by("image_id").values_list("urgent", flat=True)) == [True, False]
    assert queue.claim(worker="tests", limit=1).analyses[0].image_id == image.pk
    assert audit.history(case)[0].sentence == "Paul Pathologist made the case urgent"
    # What is being read keeps its lease, and comes back with the priority of now if it has to be read again.
    clinic.update_case(actor=cast.pathologist, case=case, priority="routine")
    assert Analysis.objects.get(image=image).urgent is False
    assert Analysis.objects.get(image=image).state == "running"


def test_finished_readings_are_left_alone(cast: Cast, case: Case) -> None:
    image = make_image(case)
    done = Analysis.objects.create(image=image, release=make_release(), state="done", finished_at=timezone.now())
    clinic.update_case(actor=cast.technician, case=case, priority="urgent")
    done.refresh_from_db()
    assert done.urgent is False


def test_question_and_requester(cast: Cast, case: Case) -> None:
    clinic.update_case(
        actor=cast.technician, case=case, clinical_question=" APL? ", requester_name="Dr Vera Vogt",
        requester_email="vera@ward.example",
    )  # fmt: skip
    case.refresh_from_db()
    assert (case.clinical_question, case.requester_name, case.requester_email) == (
        "APL?", "Dr Vera Vogt", "vera@ward.example",
    )  # fmt: skip
    event = audit.history(case)[0]
    assert event.sentence == (
        "Tess Technician changed the case's clinical question, requester's name and requester's e-mail"
    )
    assert event.detail["changes"]["clinical_question"] == ["Blasts?", "APL?"]
    before = AuditEvent.objects.count()
    clinic.update_case(actor=cast.technician, case=case, clinical_question="APL?")
    assert AuditEvent.objects.count() == before


def test_specimen_counts_for_the_assessment(cast: Cast, case: Case) -> None:
    assessment.refresh(case.pk)
    clinic.update_case(actor=cast.technician, case=case, specimen="bone_marrow")
    case.refresh_from_db()
    assert case.specimen == "bone_marrow"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"priority": "yesterday"}, "invalid"),
        ({"requester_email": "not an address"}, "invalid"),
        ({"clinical_question": "x" * 4_001}, "too_long"),
        ({"requester_name": "a\x00"}, "unreadable"),
    ],
)
def test_what_cannot_be_stored(cast: Cast, case: Case, fields: dict[str, str], code: str) -> None:
    with pytest.raises(ClinicError) as caught:
        clinic.update_case(actor=cast.technician, case=case, **fields)
    assert (caught.value.code, caught.value.field) == (code, next(iter(fields)))


def test_two_people_at_one_field(cast: Cast, case: Case) -> None:
    seen = {"clinical_question": "Blasts?", "priority": "routine"}
    clinic.update_case(actor=cast.technician, case=case, seen=seen, clinical_question="APL?")
    # The pathologist changes another field on a page from before: no conflict.
    clinic.update_case(actor=cast.pathologist, case=case, seen=seen, priority="urgent", clinical_question="APL?")
    with pytest.raises(ClinicConflict, match="clinical question meanwhile") as caught:
        clinic.update_case(actor=cast.pathologist, case=case, seen=seen, clinical_question="ALL?")
    assert (caught.value.fields, caught.value.record.clinical_question) == (["clinical_question"], "APL?")


def test_a_signed_case_keeps_what_its_report_states(cast: Cast, case: Case) -> None:
    Case.objects.filter(pk=case.pk).update(signed_at=timezone.now(), report_version=1)
    with pytest.raises(ClinicError, match="Begin an amendment first") as caught:
        clinic.update_case(actor=cast.pathologist, case=case, clinical_question="APL?", requester_name="Dr V")
    assert (caught.value.code, caught.value.field) == ("signed", "clinical_question")
    clinic.update_case(actor=cast.pathologist, case=case, requester_name="Dr V")
    Case.objects.filter(pk=case.pk).update(amending=True)
    clinic.update_case(actor=cast.pathologist, case=case, clinical_question="APL?")
    case.refresh_from_db()
    assert (case.clinical_question, case.requester_name) == ("APL?", "Dr V")


def test_who_may_edit_a_case(cast: Cast, case: Case) -> None:
    with pytest.raises(PermissionDenied):
        clinic.update_case(actor=cast.administrator, case=case, priority="urgent")
    with pytest.raises(Case.DoesNotExist):
        clinic.update_case(actor=cast.stranger, case=case, priority="urgent")
    with pytest.raises(TypeError, match="status"):
        clinic.update_case(actor=cast.pathologist, case=case, status="signed")


def test_two_people_at_one_patient(cast: Cast) -> None:
    patient = Patient.objects.create(laboratory=cast.laboratory, mrn="P-1", name="Ana", birth_date=date(1960, 1, 1))
    seen = {"name": "Ana", "birth_date": date(1960, 1, 1)}
    clinic.update_patient(actor=cast.technician, patient=patient, seen=seen, name="Anna")
    clinic.update_patient(actor=cast.pathologist, patient=patient, seen=seen, birth_date=date(1961, 1, 1))
    with pytest.raises(ClinicConflict, match="name meanwhile"):
        clinic.update_patient(actor=cast.pathologist, patient=patient, seen=seen, name="Anne")
    patient.refresh_from_db()
    assert (patient.name, patient.birth_date) == ("Anna", date(1961, 1, 1))


# ---- the scale of images -------------------------------------------------------------------------------------------
def test_scale_of_one_image(cast: Cast, case: Case) -> None:
    image, other = make_image(case), make_image(case)
    assert intake.set_scale(actor=cast.technician, image=image, um_per_pixel=0.1, seen=None) == 1
    image.refresh_from_db()
    other.refresh_from_db()
    assert (image.um_per_pixel, other.um_per_pixel) == (0.1, None)
    sentence = audit.history(case)[0].sentence
    assert sentence == f"Tess Technician set the scale of {image.original_name} to 0.1 µm per pixel"
    # A wrong one is corrected, and the history keeps the old one.
    intake.set_scale(actor=cast.technician, image=image, um_per_pixel=0.2, seen=0.1)
    assert audit.history(case)[0].sentence.endswith("to 0.2 µm per pixel (was 0.1)")
    assert intake.set_scale(actor=cast.technician, image=image, um_per_pixel=0.2, seen=0.2) == 0


def test_scale_of_all_that_have_none(cast: Cast, case: Case) -> None:
    known, first, second = make_image(case), make_image(case), make_image(case)
    elsewhere = make_image(cast.case())
    intake.set_scale(actor=cast.technician, image=known, um_per_pixel=0.5, seen=None)
    assert intake.set_scale(actor=cast.technician, image=first, um_per_pixel=0.1, seen=None, whole_case=True) == 2
    for image in (known, first, second, elsewhere):
        image.refresh_from_db()
    assert [i.um_per_pixel for i in (known, first, second, elsewhere)] == [0.5, 0.1, 0.1, None]
    event = audit.history(case)[0]
    assert event.sentence == "Tess Technician set the scale of 2 images to 0.1 µm per pixel"
    assert event.detail["images"] == [first.pk, second.pk]


def test_scales_that_are_refused(cast: Cast, case: Case) -> None:
    image = make_image(case)
    for wrong in (0.0, -1.0, 0.0001, 250.0, float("nan"), float("inf")):
        with pytest.raises(intake.ScaleError, match="Give a number of µm per pixel from") as caught:
            intake.set_scale(actor=cast.technician, image=image, um_per_pixel=wrong, seen=None)
        assert caught.value.code == "invalid"
    intake.set_scale(actor=cast.technician, image=image, um_per_pixel=0.1, seen=None)
    with pytest.raises(intake.ScaleError, match="Somebody set the scale meanwhile") as caught:
        intake.set_scale(actor=cast.pathologist, image=image, um_per_pixel=0.2, seen=None)
    assert caught.value.code == "changed"
    for actor in (cast.administrator, cast.stranger):
        with pytest.raises(PermissionDenied):
            intake.set_scale(actor=actor, image=image, um_per_pixel=0.2, seen=0.1)
