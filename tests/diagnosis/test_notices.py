"""Who is told what, how they chose it, and that no mail names a patient."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Role
from diagnosis import assessment, audit, holding, notices, queue, review, second_opinion
from diagnosis.batches import opening
from diagnosis.models import Case, Event, Notice, OutgoingMail
from tests.cast import Cast, PatientFactory, person
from tests.diagnosis.opinions import make_releases, read_image
from tests.smears import make_image

pytestmark = pytest.mark.django_db


def told(event: Event) -> list[str]:
    return sorted(str(notice.user) for notice in Notice.objects.filter(event=event).select_related("user"))


class TestTelling:
    def test_as_each_person_chose(self, cast: Cast) -> None:
        case = cast.case()
        notices.choose(user=cast.pathologist.user, ways={Event.CASE_ALARM: (False, True)})
        notices.choose(user=cast.technician.user, ways={Event.CASE_ALARM: (False, False)})
        everybody = [cast.pathologist.user, cast.second_pathologist.user, cast.technician.user, cast.stranger.user]
        notices.tell(event=Event.CASE_ALARM, case=case, users=everybody, detail={"words": ["think of APL"]})
        assert OutgoingMail.objects.get().to == cast.pathologist.user.email
        assert (notices.unread(cast.pathologist), notices.unread(cast.second_pathologist)) == (0, 1)
        assert [list(notices.of(actor)) for actor in (cast.pathologist, cast.technician, cast.stranger)] == [[]] * 3
        assert "think of APL" in OutgoingMail.objects.get().subject

    def test_each_person_once(self, cast: Cast) -> None:
        notices.tell(event=Event.CASE_URGENT, case=cast.case(), users=[cast.pathologist.user] * 3)
        assert told(Event.CASE_URGENT) == ["Paul Pathologist"]

    def test_whoever_left_is_not_told(self, cast: Cast) -> None:
        cast.pathologist.user.memberships.all().delete()
        notices.tell(event=Event.CASE_URGENT, case=cast.case(), users=[cast.pathologist.user])
        assert not Notice.objects.exists()

    def test_reading(self, cast: Cast) -> None:
        for _ in range(3):
            notices.tell(event=Event.CASE_URGENT, case=cast.case(), users=[cast.pathologist.user])
        newest = notices.of(cast.pathologist)[0]
        assert notices.mark_read(actor=cast.second_pathologist, notice_id=newest.pk) == 0, "another's stays"
        assert notices.mark_read(actor=cast.pathologist, notice_id=newest.pk) == 1
        assert notices.unread(cast.pathologist) == 2
        assert notices.mark_read(actor=cast.pathologist) == 2
        assert notices.unread(cast.pathologist) == 0

    def test_it_goes_with_the_transaction(self, cast: Cast) -> None:
        from django.db import transaction

        with transaction.atomic():
            notices.tell(event=Event.OPINION_ASKED, case=cast.case(), users=[cast.pathologist.user])
            transaction.set_rollback(True)
        assert not Notice.objects.exists()
        assert not OutgoingMail.objects.exists()

    def test_the_requester_is_mailed_where_there_is_one(self, cast: Cast) -> None:
        assert not notices.mail_requester(case=cast.case(), subject="Report", body="It is signed.")
        case = cast.case(requester_email="ward@hospital.example")
        assert notices.mail_requester(case=case, subject="Report of\nACC-1", body="It is signed.")
        assert OutgoingMail.objects.get().subject == "Report of ACC-1", "one line, whatever was typed"


class TestAlarms:
    def test_an_alarm_is_told_when_the_readings_have_ended(self, cast: Cast) -> None:
        case, releases = cast.case(status="reading"), make_releases()
        for _ in range(4):
            read_image(case, releases, "promyelocyte")
        assessment.refresh(case.pk)
        assert told(Event.CASE_ALARM) == ["Paul Pathologist", "Petra Pathologist"]
        assert "think of APL" in Notice.objects.first().detail["words"]
        assessment.refresh(case.pk)
        read_image(case, releases, "promyelocyte")
        Case.objects.filter(pk=case.pk).update(status="reading")
        assessment.refresh(case.pk)
        assert Notice.objects.filter(event=Event.CASE_ALARM).count() == 2, "what was told is not told again"

    def test_not_while_something_is_being_read(self, cast: Cast) -> None:
        case, releases = cast.case(), make_releases()
        read_image(case, releases, "blast")
        queue.enqueue(make_image(case))
        assessment.refresh(case.pk)
        assert case.flags.filter(level="alarm").exists()
        assert not Notice.objects.exists()

    def test_the_holder_alone_is_told_of_a_held_case(self, cast: Cast) -> None:
        case, releases = cast.case(held_by=cast.pathologist.user, held_at=timezone.now()), make_releases()
        read_image(case, releases, "blast")
        assessment.refresh(case.pk)
        assert told(Event.CASE_ALARM) == ["Paul Pathologist"]

    def test_nobody_is_told_of_their_own_decision(self, cast: Cast) -> None:
        case, releases = cast.case(), make_releases()
        image = read_image(case, releases, "monocyte")
        assessment.refresh(case.pk)
        review.decide(actor=cast.pathologist, image=image, verdict="override", label="blast")
        assert case.flags.filter(level="alarm").exists()
        assert told(Event.CASE_ALARM) == []

    def test_an_urgent_case_is_told_when_it_is_ready(self, cast: Cast) -> None:
        case, releases = cast.case(status="reading", priority="urgent"), make_releases()
        read_image(case, releases, "monocyte")
        assessment.refresh(case.pk)
        assessment.refresh(case.pk)
        assert told(Event.CASE_URGENT) == ["Paul Pathologist", "Petra Pathologist"]

    def test_a_reading_that_failed_for_good_is_told_to_who_sent_it_or_holds_the_case(self, cast: Cast) -> None:
        make_releases()
        for held_by in (None, cast.pathologist.user):
            case = cast.case(held_by=held_by)
            queue.enqueue(make_image(case))
            batch = queue.claim(worker="w")
            queue.fail(batch_token=batch.token, analysis_ids=[a.pk for a in batch.analyses], error="Torn.", final=True)
        assert told(Event.READING_FAILED) == ["Paul Pathologist", "Tess Technician"]


class TestLateness:
    def late(self, cast: Cast, **fields: object) -> Case:
        now = timezone.now()
        at = {"created_at": now - timedelta(hours=50), "due_at": now - timedelta(hours=2)}
        return cast.case(**at | {"held_by": cast.pathologist.user, "held_at": now - timedelta(hours=9)} | fields)

    def test_the_holder_is_told_once(self, cast: Cast) -> None:
        case = self.late(cast)
        assert (notices.tell_late(), notices.tell_late()) == (1, 0)
        assert told(Event.CASE_LATE) == ["Paul Pathologist"]
        assert audit.history(case)[0].sentence == "LeukoLens worker noted that the case passed its target time"
        assert audit.verify(case=case) == []
        assert OutgoingMail.objects.count() == 1

    def test_not_for_what_is_in_time_signed_unheld_or_taken_late(self, cast: Cast) -> None:
        now = timezone.now()
        self.late(cast, due_at=now + timedelta(hours=1))
        self.late(cast, status="signed", signed_at=now)
        self.late(cast, held_by=None, held_at=None)
        self.late(cast, held_at=now - timedelta(hours=1))
        assert notices.tell_late() == 0
        assert not Notice.objects.exists()

    def test_once_also_where_nobody_wants_to_hear_of_it(self, cast: Cast) -> None:
        notices.choose(user=cast.pathologist.user, ways={Event.CASE_LATE: (False, True)})
        self.late(cast)
        for _ in range(3):
            notices.tell_late()
        assert OutgoingMail.objects.count() == 1


BATCH_EVENTS = (Event.BATCH_FINISHED, Event.BATCH_STALLED)
ODD_NAMES = ["Łukasz O'Brien-Ñandú", "case", "Zoë\u200d Müller; DROP TABLE", "王小明", "%s {patient.name} <b>x</b>"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_no_mail_carries_anything_of_the_patient_or_of_what_was_typed(cast: Cast, name: str) -> None:
    """Every event there is, told by the steps themselves, with a patient, a question and a reason that give away."""
    patient = PatientFactory(laboratory=cast.laboratory, name=name, mrn="MRN-4711", clinical_notes="notes-4712")
    now = timezone.now()
    case = cast.case(
        patient=patient, priority="urgent", clinical_question="question-4713", status="reading",
        due_at=now - timedelta(hours=1),
    )  # fmt: skip
    third = person(cast.laboratory, "Thea Third", Role.PATHOLOGIST)
    for actor in (cast.pathologist, cast.second_pathologist, third, cast.technician):
        notices.choose(user=actor.user, ways=dict.fromkeys(Event, (True, True)))
    releases = make_releases()
    read_image(case, releases, "promyelocyte")
    assessment.refresh(case.pk)
    queue.enqueue(make_image(case))
    batch = queue.claim(worker="w")
    queue.fail(batch_token=batch.token, analysis_ids=[a.pk for a in batch.analyses], error="error-4714", final=True)
    ask = lambda whom: second_opinion.ask(  # noqa: E731
        actor=cast.pathologist, case=case, colleagues=[whom.user], diagnosis="9861/3", question=f"{name} 4715"
    )[0]
    second_opinion.decline(actor=third, opinion=ask(third), reason="reason-4716")
    second_opinion.withdraw(actor=cast.pathologist, opinion=ask(third))
    second_opinion.answer(
        actor=cast.second_pathologist, opinion=ask(cast.second_pathologist), diagnosis="9866/3", comment="c-4717"
    )
    second_opinion.adjudicate(actor=third, case=case, diagnosis="9866/3", reason="reason-4718")
    Case.objects.filter(pk=case.pk).update(held_at=now - timedelta(hours=2))
    notices.tell_late()
    holding.claim(actor=third, case=case, take_over=True)
    notices.tell(
        event=Event.REPORT_SIGNED, case=case, users=[cast.second_pathologist.user], detail={"kind": "original"}
    )
    batch = opening.open_batch(actor=cast.technician, name=f"{case.accession_number} MRN-4711 {name}")
    for event in BATCH_EVENTS:
        notices.tell(event=event, batch=batch, users=[cast.technician.user], detail={"read": 3, "failed": 1})
    assert set(Notice.objects.values_list("event", flat=True)) == set(Event)
    mails = list(OutgoingMail.objects.all())
    assert len(mails) >= len(Event)
    of_batches = [mail for mail in mails if f"http://localhost:8000/batches/{batch.pk}/" in mail.body]
    assert len(of_batches) == len(BATCH_EVENTS)
    for mail in mails:
        said = f"{mail.subject}\n{mail.body}"
        assert (case.accession_number in said) is (mail not in of_batches)
        assert (f"http://localhost:8000/cases/{case.pk}/" in said) is (mail not in of_batches)
        assert "/notices/settings/" in said
        assert "471" not in said.replace(case.accession_number, ""), said
        assert name == "case" or name not in said
        assert "promyelocytic" not in said, "no diagnosis either"
