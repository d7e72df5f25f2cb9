"""Second opinions: asked, answered blind, declined, withdrawn, adjudicated; and whoever is too late is told so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
from django.core import mail as outbox
from django.core.exceptions import PermissionDenied
from django.db import connection

from accounts.models import Role
from accounts.permissions import Actor
from diagnosis import audit, second_opinion, vocabulary
from diagnosis.models import AuditEvent, Case, Decision, Event, Notice, OutgoingMail, ReportDraft, SecondOpinion
from diagnosis.second_opinion import OpinionRefused
from tests.cast import Cast, make_cast, person
from tests.smears import make_image

AML, APL, OTHER_AML = "9861/3", "9866/3", "9877/3"


@pytest.fixture
def case(cast: Cast) -> Case:
    return a_case(cast)


def a_case(cast: Cast) -> Case:
    case = cast.case(status="ready", image_count=1)
    make_image(case)
    return case


def asked(cast: Cast, case: Case, diagnosis: str = AML, **words: str) -> SecondOpinion:
    return second_opinion.ask(
        actor=cast.pathologist, case=case, colleagues=[cast.second_pathologist.user], diagnosis=diagnosis, **words
    )[0]


def third(cast: Cast, name: str = "Thea Third") -> Actor:
    return person(cast.laboratory, name, Role.PATHOLOGIST)


def differing(cast: Cast, case: Case) -> SecondOpinion:
    return second_opinion.answer(actor=cast.second_pathologist, opinion=asked(cast, case), diagnosis=APL)


def refusal(step: Callable[[], object]) -> str:
    with pytest.raises(OpinionRefused) as refused:
        step()
    assert str(refused.value).endswith((".", "”."))
    return refused.value.code


class TestAsking:
    def test_a_colleague_is_asked_told_and_mailed(self, cast: Cast, case: Case) -> None:
        opinion = asked(cast, case, question="Blasts or reactive lymphocytes?")
        assert (opinion.state, opinion.first_diagnosis, opinion.asked_by) == ("asked", AML, cast.pathologist.user)
        notice = Notice.objects.get()
        assert (notice.user, notice.event, notice.case) == (cast.second_pathologist.user, Event.OPINION_ASKED, case)
        mail = OutgoingMail.objects.get()
        assert mail.to == cast.second_pathologist.user.email
        assert mail.subject == f"Paul Pathologist asks for your opinion on {case.accession_number}"
        assert "reactive" not in mail.body
        case.refresh_from_db()
        assert case.held_by == cast.pathologist.user, "a case that nobody held is the asker's from then on"
        assert outbox.outbox == [], "the mail waits for the sweep"
        assert audit.history(case).filter(action="opinion.asked").get().said == (
            "asked Petra Pathologist for a second opinion; their own diagnosis: Acute myeloid leukaemia, not further "
            "specified"
        )

    def test_the_drafts_diagnosis_is_taken_and_fixed(self, cast: Cast, case: Case) -> None:
        draft = ReportDraft.objects.create(case=case, diagnosis=APL, updated_by=cast.pathologist.user)
        opinion = asked(cast, case, diagnosis="")
        draft.diagnosis = AML
        draft.save()
        opinion.refresh_from_db()
        assert opinion.first_diagnosis == APL

    def test_it_needs_a_diagnosis_of_the_list(self, cast: Cast, case: Case) -> None:
        assert refusal(lambda: asked(cast, case, diagnosis="")) == "diagnosis"
        assert refusal(lambda: asked(cast, case, diagnosis="1234/5")) == "diagnosis"
        assert not SecondOpinion.objects.exists()

    def test_it_needs_a_colleague_and_an_image(self, cast: Cast, case: Case) -> None:
        nobody = partial(second_opinion.ask, actor=cast.pathologist, case=case, colleagues=[], diagnosis=AML)
        assert refusal(nobody) == "nobody"
        assert refusal(lambda: asked(cast, cast.case())) == "no_images"

    @pytest.mark.parametrize("who", ["technician", "stranger", "pathologist"])
    def test_only_other_pathologists_of_the_laboratory(self, cast: Cast, case: Case, who: str) -> None:
        ask = partial(
            second_opinion.ask, actor=cast.pathologist, case=case, colleagues=[getattr(cast, who).user], diagnosis=AML
        )
        assert refusal(ask) == "colleague"

    def test_all_or_none(self, cast: Cast, case: Case) -> None:
        both = [cast.second_pathologist.user, cast.technician.user]
        ask = partial(second_opinion.ask, actor=cast.pathologist, case=case, colleagues=both, diagnosis=AML)
        assert refusal(ask) == "colleague"
        assert (SecondOpinion.objects.count(), OutgoingMail.objects.count()) == (0, 0)

    def test_nobody_who_could_not_judge_blind(self, cast: Cast, case: Case) -> None:
        image = case.images.get()
        Decision.objects.create(image=image, verdict="override", label="blast", decided_by=cast.second_pathologist.user)
        assert refusal(lambda: asked(cast, case)) == "colleague"
        holder = third(cast)
        Case.objects.filter(pk=case.pk).update(held_by=holder.user)
        why = dict(second_opinion.askable(actor=cast.pathologist, case=Case.objects.get(pk=case.pk)))
        assert why[holder.user] == "holds this case"
        assert "would not judge it blind" in why[cast.second_pathologist.user]

    def test_not_twice_while_it_is_open_nor_after_an_answer_but_after_a_refusal(self, cast: Cast, case: Case) -> None:
        opinion = asked(cast, case)
        assert refusal(lambda: asked(cast, case)) == "colleague"
        second_opinion.decline(actor=cast.second_pathologist, opinion=opinion, reason="On leave")
        again = asked(cast, case)
        second_opinion.answer(actor=cast.second_pathologist, opinion=again, diagnosis=AML)
        assert refusal(lambda: asked(cast, case)) == "colleague"

    def test_not_in_a_signed_case_and_not_by_who_is_asked(self, cast: Cast, case: Case) -> None:
        asked(cast, case)
        other = third(cast)
        ask = partial(second_opinion.ask, case=case, colleagues=[other.user], diagnosis=AML)
        assert refusal(partial(ask, actor=cast.second_pathologist)) == "blinded"
        Case.objects.filter(pk=case.pk).update(signed_at="2026-01-01T00:00:00Z", report_version=1)
        assert refusal(partial(ask, actor=cast.pathologist)) == "signed"

    def test_only_pathologists_ask_and_only_in_their_laboratory(self, cast: Cast, case: Case) -> None:
        for actor in (cast.technician, cast.administrator):
            with pytest.raises(PermissionDenied):
                second_opinion.ask(actor=actor, case=case, colleagues=[cast.pathologist.user], diagnosis=AML)
        with pytest.raises(Case.DoesNotExist):
            second_opinion.ask(actor=cast.stranger, case=case, colleagues=[cast.pathologist.user], diagnosis=AML)


class TestAnswering:
    def test_an_answer_that_agrees_needs_nobody(self, cast: Cast, case: Case) -> None:
        opinion = asked(cast, case)
        assert second_opinion.is_blinded(actor=cast.second_pathologist, case=case)
        found = second_opinion.answer(
            actor=cast.second_pathologist, opinion=opinion, diagnosis=OTHER_AML, comment="Cup-like nuclei"
        )
        assert (found.state, found.differs, found.comment) == ("answered", False, "Cup-like nuclei")
        assert not second_opinion.is_blinded(actor=cast.second_pathologist, case=case)
        assert second_opinion.blocking(case) == []
        told = Notice.objects.get(event=Event.OPINION_ENDED)
        assert (told.user, told.detail["differs"]) == (cast.pathologist.user, False)

    def test_the_same_answer_twice_is_one(self, cast: Cast, case: Case) -> None:
        opinion = asked(cast, case)
        for _ in range(2):
            second_opinion.answer(actor=cast.second_pathologist, opinion=opinion, diagnosis=AML)
        assert AuditEvent.objects.filter(action="opinion.answered").count() == 1
        other = partial(second_opinion.answer, actor=cast.second_pathologist, opinion=opinion, diagnosis=APL)
        assert refusal(other) == "ended"

    def test_only_who_is_asked_answers(self, cast: Cast, case: Case) -> None:
        opinion = asked(cast, case)
        assert (
            refusal(lambda: second_opinion.answer(actor=cast.pathologist, opinion=opinion, diagnosis=APL))
            == "not_yours"
        )
        assert (
            refusal(lambda: second_opinion.decline(actor=cast.pathologist, opinion=opinion, reason="no")) == "not_yours"
        )
        with pytest.raises(SecondOpinion.DoesNotExist):
            second_opinion.answer(actor=cast.stranger, opinion=opinion, diagnosis=APL)
        with pytest.raises(PermissionDenied):
            second_opinion.answer(actor=cast.technician, opinion=opinion, diagnosis=APL)

    def test_declining_says_why(self, cast: Cast, case: Case) -> None:
        opinion = asked(cast, case)
        assert (
            refusal(lambda: second_opinion.decline(actor=cast.second_pathologist, opinion=opinion, reason=" "))
            == "reason"
        )
        second_opinion.decline(actor=cast.second_pathologist, opinion=opinion, reason="I know the patient.")
        opinion.refresh_from_db()
        assert (opinion.state, opinion.comment) == ("declined", "I know the patient.")
        assert second_opinion.blocking(case) == []
        mail = OutgoingMail.objects.get(to=cast.pathologist.user.email)
        assert "I know the patient" not in mail.body

    def test_what_is_withdrawn_takes_no_answer(self, cast: Cast, case: Case) -> None:
        opinion = asked(cast, case)
        assert refusal(lambda: second_opinion.withdraw(actor=third(cast), opinion=opinion)) == "not_yours"
        second_opinion.withdraw(actor=cast.pathologist, opinion=opinion)
        second_opinion.withdraw(actor=cast.pathologist, opinion=opinion)
        late = partial(second_opinion.answer, actor=cast.second_pathologist, opinion=opinion, diagnosis=APL)
        assert refusal(late) == "ended"
        assert Notice.objects.filter(event=Event.OPINION_ENDED).get().user == cast.second_pathologist.user

    def test_who_holds_the_case_may_withdraw_too(self, cast: Cast, case: Case) -> None:
        opinion = asked(cast, case)
        holder = third(cast)
        Case.objects.filter(pk=case.pk).update(held_by=holder.user)
        assert second_opinion.withdraw(actor=holder, opinion=opinion).state == "withdrawn"

    def test_an_open_question_blocks_in_words(self, cast: Cast, case: Case) -> None:
        asked(cast, case)
        assert second_opinion.blocking(case) == [
            "Petra Pathologist has not given the second opinion yet. Wait for it, or withdraw the question."
        ]

    @pytest.mark.parametrize("text", ["a\x00b", "x" * 4_001])
    def test_texts_that_are_none(self, cast: Cast, case: Case, text: str) -> None:
        assert refusal(lambda: asked(cast, case, question=text)) == "question"
        opinion = asked(cast, case)
        assert (
            refusal(
                lambda: second_opinion.answer(
                    actor=cast.second_pathologist, opinion=opinion, diagnosis=AML, comment=text
                )
            )
            == "comment"
        )


class TestAdjudicating:
    def test_a_third_pathologist_settles_it(self, cast: Cast, case: Case) -> None:
        other = third(cast)
        opinion = differing(cast, case)
        assert opinion.needs_adjudication
        assert second_opinion.blocking(case) == [
            "Petra Pathologist comes to another diagnosis than Paul Pathologist. Have it adjudicated."
        ]
        assert set(Notice.objects.filter(event=Event.ADJUDICATION_NEEDED).values_list("user", flat=True)) == {
            cast.pathologist.user.pk,
            other.user.pk,
        }
        (settled,) = second_opinion.adjudicate(actor=other, case=case, diagnosis=APL, reason="Faggot cells")
        assert (settled.adjudicator, settled.by_consensus, settled.needs_adjudication) == (other.user, False, False)
        assert second_opinion.blocking(case) == []
        assert not ReportDraft.objects.exists(), "nothing goes into the report by itself"
        told = Notice.objects.filter(event=Event.OPINION_ENDED, detail__how="adjudicated")
        assert set(told.values_list("user", flat=True)) == {cast.pathologist.user.pk, cast.second_pathologist.user.pk}

    def test_the_two_settle_it_only_together(self, cast: Cast, case: Case) -> None:
        differing(cast, case)
        step = partial(second_opinion.adjudicate, case=case, diagnosis=APL, reason="Seen together")
        assert refusal(partial(step, actor=cast.pathologist)) == "consensus"
        assert refusal(partial(step, actor=cast.second_pathologist, consensus=True)) == "party"
        (settled,) = step(actor=cast.pathologist, consensus=True)
        assert settled.by_consensus
        assert "in consensus" in AuditEvent.objects.get(action="opinion.adjudicated").said

    def test_it_needs_a_reason_a_diagnosis_and_a_difference(self, cast: Cast, case: Case) -> None:
        other = third(cast)
        step = partial(second_opinion.adjudicate, actor=other, case=case)
        assert refusal(partial(step, diagnosis=APL, reason="x")) == "nothing_differs"
        differing(cast, case)
        assert refusal(partial(step, diagnosis=APL, reason=" ")) == "reason"
        assert refusal(partial(step, diagnosis="", reason="x")) == "diagnosis"
        with pytest.raises(PermissionDenied):
            second_opinion.adjudicate(actor=cast.technician, case=case, diagnosis=APL, reason="x")

    def test_who_is_still_asked_does_not_adjudicate_nor_hear_of_it(self, cast: Cast, case: Case) -> None:
        other = third(cast)
        first, _ = second_opinion.ask(
            actor=cast.pathologist, case=case, colleagues=[cast.second_pathologist.user, other.user], diagnosis=AML
        )
        second_opinion.answer(actor=cast.second_pathologist, opinion=first, diagnosis=APL)
        assert (
            refusal(lambda: second_opinion.adjudicate(actor=other, case=case, diagnosis=APL, reason="x")) == "blinded"
        )
        assert set(Notice.objects.filter(user=other.user).values_list("event", flat=True)) == {Event.OPINION_ASKED}


def together(*steps: Callable[[], object]) -> list[object]:
    """Run the steps in threads that start at once; what each gave or raised."""
    barrier, outcomes = threading.Barrier(len(steps)), [None] * len(steps)

    def run(at: int, step: Callable[[], object]) -> None:
        try:
            barrier.wait()
            outcomes[at] = step()
        except Exception as error:
            outcomes[at] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(at, step)) for at, step in enumerate(steps)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_two_adjudicators(self) -> None:
        cast = make_cast()
        case = a_case(cast)
        differing(cast, case)
        one, other = third(cast, "Una One"), third(cast, "Otto Other")
        outcomes = together(
            lambda: second_opinion.adjudicate(actor=one, case=case, diagnosis=APL, reason="a"),
            lambda: second_opinion.adjudicate(actor=other, case=case, diagnosis=AML, reason="b"),
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, OpinionRefused)]
        assert [each.code for each in refused] == ["nothing_differs"]
        assert "has settled it already" in str(refused[0])
        assert AuditEvent.objects.filter(action="opinion.adjudicated").count() == 1

    def test_an_answer_while_the_question_is_withdrawn(self) -> None:
        cast = make_cast()
        case = a_case(cast)
        opinion = asked(cast, case)
        outcomes = together(
            lambda: second_opinion.answer(actor=cast.second_pathologist, opinion=opinion, diagnosis=APL),
            lambda: second_opinion.withdraw(actor=cast.pathologist, opinion=opinion),
        )
        assert [each.code for each in outcomes if isinstance(each, OpinionRefused)] == ["ended"]
        opinion.refresh_from_db()
        assert opinion.state in ("answered", "withdrawn")
        ended = AuditEvent.objects.filter(action__in=("opinion.answered", "opinion.withdrawn")).get()
        assert ended.action == f"opinion.{opinion.state}"

    def test_asked_twice(self) -> None:
        cast = make_cast()
        case = a_case(cast)
        outcomes = together(lambda: asked(cast, case), lambda: asked(cast, case))
        assert [each.code for each in outcomes if isinstance(each, OpinionRefused)] == ["colleague"]
        assert (SecondOpinion.objects.count(), OutgoingMail.objects.count()) == (1, 1)


def test_agreement_is_counted_by_group(cast: Cast) -> None:
    pairs = [(AML, OTHER_AML), (AML, APL), ("normal", "reactive")]
    for first, second in pairs:
        opinion = asked(cast, a_case(cast), diagnosis=first)
        second_opinion.answer(actor=cast.second_pathologist, opinion=opinion, diagnosis=second)
    found = second_opinion.agreement(cast.laboratory)
    assert (found.n, found.same, found.kappa) == (3, 2, None)
    assert "Too few" in found.words
    assert second_opinion.agreement(cast.elsewhere).words == "No second opinion has been answered yet."
    *before, (_, now) = second_opinion.agreement_by_quarter(cast.laboratory)
    assert (now.n, {each.n for _, each in before}) == (3, {0})


def test_every_diagnosis_has_a_group() -> None:
    assert {entry.group for entry in vocabulary.DIAGNOSES.values()} == set(vocabulary.GROUPS)
