"""Lists, counters and the evidence of a case: right, scoped, and in a constant number of queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from diagnosis import assessment, worklist
from diagnosis.models import Analysis, Case, Decision, Patient, SmearImage
from tests.cast import Cast, PatientFactory
from tests.diagnosis.opinions import make_releases, opinion, read_image
from tests.smears import make_image, make_release

pytestmark = pytest.mark.django_db


def _patient(cast: Cast, name: str, mrn: str) -> Patient:
    patient: Patient = PatientFactory(laboratory=cast.laboratory, name=name, mrn=mrn)
    return patient


class TestCases:
    def test_urgent_first_then_the_newest(self, cast: Cast) -> None:
        for number, priority in (("1", "routine"), ("2", "urgent"), ("3", "routine"), ("4", "urgent")):
            cast.case(accession_number=number, priority=priority)
        assert [case.accession_number for case in worklist.cases(actor=cast.pathologist)] == ["4", "2", "3", "1"]

    def test_strangers_see_none(self, cast: Cast) -> None:
        case = cast.case()
        assert list(worklist.cases(actor=cast.stranger)) == []
        assert list(worklist.patients(actor=cast.stranger)) == []
        with pytest.raises(Case.DoesNotExist):
            worklist.case_page(actor=cast.stranger, case_id=case.pk)
        image = make_image(case)
        with pytest.raises(SmearImage.DoesNotExist):
            worklist.image_page(actor=cast.stranger, image_id=image.pk)
        assert worklist.case_page(actor=cast.technician, case_id=case.pk) == case

    def test_patients_are_searched_alike(self, cast: Cast) -> None:
        anna, berta = _patient(cast, "Berg, Anna", "0815"), _patient(cast, "Berta Tal", "x4711")
        assert list(worklist.patients(actor=cast.technician)) == [anna, berta]
        assert list(worklist.patients(actor=cast.technician, search="anna berg")) == [anna]
        assert list(worklist.patients(actor=cast.technician, search="X47")) == [berta]

    def test_filters(self, cast: Cast) -> None:
        for number, (status, priority) in enumerate(
            [("ready", "urgent"), ("ready", "routine"), ("reviewed", "urgent"), ("reading", "routine")]
        ):
            cast.case(status=status, priority=priority, accession_number=str(number))
        numbers = lambda **by: {case.accession_number for case in worklist.cases(actor=cast.pathologist, **by)}  # noqa: E731
        assert numbers(status="ready") == {"0", "1"}
        assert numbers(priority="urgent") == {"0", "2"}
        assert numbers(status="ready", priority="urgent") == {"0"}


class TestStatus:
    @pytest.mark.parametrize(
        ("states", "status"),
        [
            ([], "queued"),
            (["queued", "queued"], "queued"),
            (["queued", "running"], "running"),
            (["done", "queued"], "queued"),
            (["done", "running"], "running"),
            (["done", "done"], "done"),
            (["done", "failed"], "failed"),
            (["failed", "running"], "running"),
            (["failed", "failed"], "failed"),
        ],
    )
    def test_of_an_image(self, states: list[str], status: str) -> None:
        assert worklist.image_status([Analysis(state=state) for state in states]) == status

    def test_an_image_as_a_row(self, cast: Cast) -> None:
        image = read_image(cast.case(), make_releases(), "blast")
        row = worklist.image_page(actor=cast.technician, image_id=image.pk)
        assert (row.image, row.status, row.decision, row.error) == (image, "done", None, "")
        assert [analysis.release.network for analysis in row.analyses] == ["cnn", "mobilenet"]
        assert row.reading is not None
        assert (row.reading.label, row.reading.agree) == ("blast", True)

    def test_one_failure_is_told_beside_the_opinion_that_there_is(self, cast: Cast) -> None:
        image = make_image(cast.case())
        mobilenet, cnn = make_releases()
        opinion(image, mobilenet, "blast")
        opinion(image, cnn, state="failed", error="The file cannot be read.")
        row = worklist.image_page(actor=cast.technician, image_id=image.pk)
        assert (row.status, row.error) == ("failed", "The file cannot be read.")
        assert row.reading is not None

    def test_only_what_counts_counts(self, cast: Cast) -> None:
        """Shadow releases, retired ones beside an active one, and the other kind's readings do not."""
        image = make_image(cast.case())
        active, retired, shadow = (
            make_release("cell", "cnn", version=stage, stage=stage) for stage in ("active", "retired", "shadow")
        )
        other_kind = make_release("field", "cnn")
        opinion(image, retired, "monocyte")
        opinion(image, shadow, "platelet", state="failed")
        opinion(image, other_kind, "pro_b")
        found = opinion(image, active, "blast")
        assert worklist.rows([image])[0].analyses == [found]
        assert worklist.rows([image])[0].status == "done"

    def test_what_a_retired_release_read_stays_until_the_new_one_is_asked(self, cast: Cast) -> None:
        image = make_image(cast.case())
        for version in ("1", "2"):
            opinion(
                image,
                make_release("cell", "cnn", version=version, stage="retired"),
                "blast" if version == "2" else "monocyte",
            )
        new = make_release("cell", "cnn", version="3")
        row = worklist.rows([image])[0]
        assert row.reading is not None
        assert (row.status, row.reading.label) == ("done", "blast")
        opinion(image, new, state="queued")
        assert worklist.rows([image])[0].status == "queued"


class TestRefresh:
    def test_it_writes_what_the_evidence_says(self, cast: Cast) -> None:
        case, releases = cast.case(), make_releases("field")
        for label in ("pro_b", "pro_b", "benign"):
            read_image(case, releases, label)
        result = assessment.refresh(case.pk)
        case.refresh_from_db()
        assert case.assessment == result.to_dict()
        assert (case.status, case.image_count) == ("ready", 3)
        assert result.malignant is not None
        assert case.malignant == result.malignant.value
        assert case.assessment["fields"]["malignant"] == 2
        assert case.assessed_at is not None

    def test_again_changes_nothing(self, cast: Cast) -> None:
        case = cast.case()
        read_image(case, make_releases(), "blast")
        assessment.refresh(case.pk)
        first = Case.objects.get(pk=case.pk)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assessment.refresh(case.pk)
        assert not any(query["sql"].startswith("UPDATE") for query in queries)
        assert Case.objects.filter(pk=case.pk).values().get() == Case.objects.filter(pk=first.pk).values().get()

    def test_it_leaves_what_others_write(self, cast: Cast) -> None:
        case = cast.case(clinical_question="Blasts?")
        Case.objects.filter(pk=case.pk).update(priority="urgent")
        assessment.refresh(case.pk)
        case.refresh_from_db()
        assert (case.priority, case.clinical_question, case.status) == ("urgent", "Blasts?", "received")

    def test_an_unknown_case(self) -> None:
        with pytest.raises(Case.DoesNotExist):
            assessment.refresh(10**9)


def _fill(cast: Cast, case: Case, releases: list[Any], n: int) -> None:
    for _ in range(n):
        image = read_image(case, releases, "blast")
        for person in (cast.pathologist, cast.second_pathologist):
            Decision.objects.create(
                image=image, verdict="override", label="monocyte", decided_by=person.user, decided_at=timezone.now()
            )


def _look(row: worklist.ImageRow) -> object:
    """What a page touches of a row."""
    opinions = [(analysis.release.network, analysis.probabilities, analysis.error) for analysis in row.analyses]
    decision = row.decision
    return (row.image.uploaded_by.email, row.reading, opinions, decision and decision.decided_by.email)


@pytest.mark.parametrize(
    ("read", "bound"),
    [
        (lambda cast, case: [c.patient.name for c in worklist.cases(actor=cast.technician, search="a")], 3),
        (lambda cast, case: worklist.case_page(actor=cast.technician, case_id=case.pk).created_by.email, 1),
        (lambda cast, case: [_look(row) for row in worklist.images(case)], 3),
        (lambda cast, case: _look(worklist.image_page(actor=cast.technician, image_id=case.images.all()[0].pk)), 4),
        (lambda cast, case: assessment.gather(case), 3),
        (lambda cast, case: assessment.refresh(case.pk), 8),  # savepoint, lock, three reads, update, flags, release
    ],
)
def test_the_number_of_queries_does_not_grow(cast: Cast, read: Callable[[Cast, Case], object], bound: int) -> None:
    case, releases = cast.case(), make_releases()
    _fill(cast, case, releases, 1)
    assessment.refresh(case.pk)  # the flags stand; more of the same cells only change the counts
    counted = []
    for more in (1, 12):
        _fill(cast, case, releases, more)
        cast.case()
        with CaptureQueriesContext(connection) as queries:
            read(cast, case)
        counted.append(len(queries))
    assert counted[0] == counted[1] <= bound


def test_pictures_of_activation_and_cards_stay_in_the_database(cast: Cast) -> None:
    image = read_image(cast.case(), make_releases(), "blast")
    for analysis in worklist.rows([image])[0].analyses:
        assert "activation" in analysis.get_deferred_fields()
        assert "card" in analysis.release.get_deferred_fields()
