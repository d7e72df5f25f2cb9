"""Opening cases and keeping patients' records straight, also when two do it at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.utils import timezone

from diagnosis import audit
from diagnosis.clinic import ClinicError, PatientData, create_case, update_patient
from diagnosis.models import AuditEvent, Case, Patient
from tests.cast import Cast, make_cast

pytestmark = pytest.mark.django_db

ANNA = PatientData(mrn="4711", name="Anna Berg", birth_date=date(1961, 5, 4), sex="female", clinical_notes="Fatigue.")


def _refused(code: str, field: str, call: Callable[[], object]) -> ClinicError:
    before = (Case.objects.count(), Patient.objects.count(), AuditEvent.objects.count())
    with pytest.raises(ClinicError) as caught:
        call()
    assert (caught.value.code, caught.value.field) == (code, field)
    assert str(caught.value) == caught.value.message
    assert (Case.objects.count(), Patient.objects.count(), AuditEvent.objects.count()) == before
    return caught.value


class TestCreateCase:
    def test_a_new_patient_and_a_new_case(self, cast: Cast) -> None:
        case = create_case(
            actor=cast.technician,
            accession_number="  S26-0042 ",
            patient=ANNA,
            specimen="bone_marrow",
            stain="wright",
            priority="urgent",
            clinical_question="Blasts?",
        )
        case.refresh_from_db()
        assert (case.accession_number, case.specimen, case.stain, case.priority) == (
            "S26-0042", "bone_marrow", "wright", "urgent",
        )  # fmt: skip
        assert (case.laboratory, case.created_by, case.clinical_question) == (
            cast.laboratory, cast.technician.user, "Blasts?",
        )  # fmt: skip
        assert (case.status, case.malignant, case.image_count) == ("received", None, 0)
        patient = case.patient
        assert PatientData(
            patient.mrn, patient.name, patient.birth_date, patient.sex, patient.clinical_notes
        ) == ANNA  # fmt: skip
        assert [event.sentence for event in audit.history(case)] == [
            "Tess Technician opened the case S26-0042",
            "Tess Technician entered the patient in the laboratory's records",
        ]
        assert audit.verify(case=case) == audit.verify(laboratory=cast.laboratory) == []

    def test_the_same_number_is_the_same_patient(self, cast: Cast) -> None:
        first = create_case(actor=cast.technician, accession_number="A-1", patient=ANNA)
        second = create_case(actor=cast.pathologist, accession_number="A-2", patient=PatientData(mrn=" 4711"))
        assert second.patient == first.patient
        assert second.patient.name == "Anna Berg"

    def test_numbers_are_the_laboratorys_own(self, cast: Cast) -> None:
        here = create_case(actor=cast.technician, accession_number="A-1", patient=ANNA)
        there = create_case(actor=cast.stranger, accession_number="A-1", patient=PatientData(mrn="4711", name="Other"))
        assert here.patient != there.patient
        assert there.laboratory == cast.elsewhere

    def test_blanks_are_filled_and_told(self, cast: Cast) -> None:
        create_case(actor=cast.technician, accession_number="A-1", patient=PatientData(mrn="4711", name="Anna Berg"))
        case = create_case(actor=cast.technician, accession_number="A-2", patient=replace(ANNA, name="ANNA BERG"))
        record = Patient.objects.get()
        assert (record.name, record.birth_date, record.sex) == ("Anna Berg", ANNA.birth_date, "female")
        event = next(event for event in audit.history(case) if event.action == "patient.updated")
        assert event.sentence == "Tess Technician filled in the patient's birth date, sex and clinical notes"
        assert event.detail["changes"]["birth_date"] == [None, "1961-05-04"]

    @pytest.mark.parametrize(
        ("field", "other", "stands", "given"),
        [
            ("name", "Berta Tal", "“Anna Berg”", "“Berta Tal”"),
            ("birth_date", date(1961, 4, 5), "04 May 1961", "05 April 1961"),
            ("sex", "male", "“female”", "“male”"),
        ],
    )
    def test_a_contradiction_is_refused_and_nothing_changes(
        self, cast: Cast, field: str, other: Any, stands: str, given: str
    ) -> None:
        create_case(actor=cast.technician, accession_number="A-1", patient=ANNA)
        known = replace(ANNA, clinical_notes="Something new.", **{field: other})
        error = _refused(
            "patient_differs",
            field,
            lambda: create_case(actor=cast.technician, accession_number="A-2", patient=known),
        )
        assert stands in error.message
        assert given in error.message
        assert "Check the number" in error.message
        record = Patient.objects.get()
        assert error.existing == record.pk
        assert record.clinical_notes == "Fatigue."

    def test_notes_are_added_once(self, cast: Cast) -> None:
        for number, notes in enumerate(("Fatigue.", "Splenomegaly.", "Fatigue.")):
            create_case(
                actor=cast.technician, accession_number=f"A-{number}", patient=replace(ANNA, clinical_notes=notes)
            )
        assert Patient.objects.get().clinical_notes == "Fatigue.\n\nSplenomegaly."

    @pytest.mark.parametrize("number", ["A-1", "a-1", " A-1 "])
    def test_a_taken_accession_says_whose_it_is(self, cast: Cast, number: str) -> None:
        first = create_case(actor=cast.technician, accession_number="A-1", patient=ANNA)
        error = _refused(
            "accession_taken",
            "accession_number",
            lambda: create_case(
                actor=cast.pathologist, accession_number=number, patient=PatientData(mrn="0815", name="New")
            ),
        )
        assert error.existing == first.pk
        assert "Tess Technician opened it" in error.message
        assert "MRN 4711" in error.message

    @pytest.mark.parametrize(
        ("code", "field", "change"),
        [
            ("missing", "accession_number", {"accession_number": " \t "}),
            ("too_long", "accession_number", {"accession_number": "A" * 65}),
            ("unreadable", "accession_number", {"accession_number": "A\x00B"}),
            ("unreadable", "clinical_question", {"clinical_question": "x\ud800"}),
            ("too_long", "clinical_question", {"clinical_question": "x" * 4_001}),
            ("invalid", "specimen", {"specimen": "hair"}),
            ("invalid", "stain", {"stain": ""}),
            ("invalid", "priority", {"priority": "tomorrow"}),
            ("missing", "mrn", {"patient": PatientData(mrn="")}),
            ("too_long", "name", {"patient": PatientData(mrn="1", name="x" * 201)}),
            ("invalid", "sex", {"patient": PatientData(mrn="1", sex="f")}),
            ("invalid", "birth_date", {"patient": PatientData(mrn="1", birth_date=date(1879, 12, 31))}),
            ("too_long", "clinical_notes", {"patient": PatientData(mrn="1", clinical_notes="x" * 10_001)}),
        ],
    )
    def test_bad_input_is_refused_in_words(self, cast: Cast, code: str, field: str, change: dict[str, Any]) -> None:
        error = _refused(
            code,
            field,
            lambda: create_case(**({"actor": cast.technician, "accession_number": "A-1", "patient": ANNA} | change)),
        )
        assert error.message.endswith(".")

    def test_nobody_is_born_tomorrow(self, cast: Cast) -> None:
        tomorrow = timezone.localdate() + timedelta(days=1)
        unborn = PatientData(mrn="1", birth_date=tomorrow)
        _refused(
            "invalid",
            "birth_date",
            lambda: create_case(actor=cast.technician, accession_number="A-1", patient=unborn),
        )
        newborn = PatientData(mrn="1", birth_date=timezone.localdate())
        assert create_case(actor=cast.technician, accession_number="A-1", patient=newborn).pk

    def test_an_administrator_may_not(self, cast: Cast) -> None:
        with pytest.raises(PermissionDenied):
            create_case(actor=cast.administrator, accession_number="A-1", patient=ANNA)
        assert not Patient.objects.exists()


class TestUpdatePatient:
    def test_a_correction_is_made_and_kept_in_the_audit(self, cast: Cast) -> None:
        case = create_case(actor=cast.technician, accession_number="A-1", patient=ANNA)
        record = update_patient(
            actor=cast.pathologist, patient=case.patient, name=" Anna  Bergmann ", clinical_notes=""
        )
        assert (record.name, record.clinical_notes, record.sex) == ("Anna Bergmann", "", "female")
        assert Patient.objects.get().name == "Anna Bergmann"
        event = audit.history(case)[0]
        assert event.sentence == "Paul Pathologist changed the patient's name and clinical notes"
        assert event.detail["changes"]["name"] == ["Anna Berg", "Anna Bergmann"]

    def test_nothing_changed_is_nothing_told(self, cast: Cast) -> None:
        case = create_case(actor=cast.technician, accession_number="A-1", patient=ANNA)
        before = AuditEvent.objects.count()
        update_patient(actor=cast.technician, patient=case.patient, name="Anna Berg")
        assert AuditEvent.objects.count() == before

    def test_another_patients_number_is_refused(self, cast: Cast) -> None:
        case = create_case(actor=cast.technician, accession_number="A-1", patient=ANNA)
        other = create_case(actor=cast.technician, accession_number="A-2", patient=PatientData(mrn="X9"))
        error = _refused(
            "mrn_taken", "mrn", lambda: update_patient(actor=cast.technician, patient=case.patient, mrn="x9")
        )
        assert error.existing == other.patient.pk
        assert update_patient(actor=cast.technician, patient=other.patient, mrn="x9").mrn == "x9"

    def test_strangers_and_readers_may_not(self, cast: Cast) -> None:
        patient = create_case(actor=cast.technician, accession_number="A-1", patient=ANNA).patient
        with pytest.raises(Patient.DoesNotExist):
            update_patient(actor=cast.stranger, patient=patient, name="X")
        with pytest.raises(PermissionDenied):
            update_patient(actor=cast.administrator, patient=patient, name="X")
        with pytest.raises(TypeError, match="a patient has no laboratory"):
            update_patient(actor=cast.technician, patient=patient, laboratory=cast.elsewhere)
        assert Patient.objects.get().name == "Anna Berg"


def _at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """What each call answers or raises, all started together, each on a connection of its own."""
    start, results = threading.Barrier(len(calls)), list[Any]()

    def run(call: Callable[[], Any]) -> None:
        start.wait()
        try:
            results.append(call())
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_one_accession_number_is_one_case(self) -> None:
        cast = make_cast()
        results = _at_once(
            [
                lambda n=n: create_case(actor=cast.technician, accession_number="A-1", patient=PatientData(mrn=f"{n}"))
                for n in range(4)
            ]
        )
        won = [result for result in results if isinstance(result, Case)]
        lost = [result for result in results if isinstance(result, ClinicError)]
        assert (len(won), len(lost)) == (1, 3), results
        assert {error.code for error in lost} == {"accession_taken"}
        assert {error.existing for error in lost} == {won[0].pk}
        assert list(Patient.objects.all()) == [won[0].patient]  # the losers' patients went with their cases
        assert AuditEvent.objects.count() == 2

    def test_one_new_number_is_one_patient(self) -> None:
        cast = make_cast()
        results = _at_once(
            [
                lambda n=n: create_case(
                    actor=cast.technician,
                    accession_number=f"A-{n}",
                    patient=PatientData(mrn="MRN-1" if n % 2 else "mrn-1"),
                )
                for n in range(4)
            ]
        )
        assert [type(result) for result in results] == [Case] * 4, results
        assert {result.patient_id for result in results} == {Patient.objects.get().pk}
        assert audit.verify(laboratory=cast.laboratory) == []

    def test_two_who_fill_the_same_blank_differently(self) -> None:
        cast = make_cast()
        create_case(actor=cast.technician, accession_number="A-0", patient=PatientData(mrn="1"))
        results = _at_once(
            [
                lambda name=name: create_case(
                    actor=cast.technician, accession_number=name, patient=PatientData(mrn="1", name=name)
                )
                for name in ("Anna", "Berta")
            ]
        )
        assert sorted(type(result).__name__ for result in results) == ["Case", "ClinicError"], results
        assert Patient.objects.get().name == next(r.accession_number for r in results if isinstance(r, Case))


def test_the_fields_of_a_patient_are_those_of_the_record() -> None:
    columns = {field.name for field in Patient._meta.get_fields()}
    assert set(PatientData.__dataclass_fields__) <= columns
