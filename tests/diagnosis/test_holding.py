"""Who holds a case: claimed, released, taken over and taken next, also by several people at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Role
from diagnosis import audit, holding, notice_words
from diagnosis.models import AuditEvent, Case, Notice
from tests.cast import Cast, make_cast, person


def actions(case: Case) -> list[str]:
    return list(AuditEvent.objects.filter(case=case).order_by("sequence").values_list("action", flat=True))


def signed(cast: Cast, **fields: Any) -> Case:
    return cast.case(status="signed", signed_at=timezone.now(), report_version=1, **fields)


@pytest.mark.django_db
class TestClaim:
    def test_it_is_held_and_told(self, cast: Cast) -> None:
        case = holding.claim(actor=cast.pathologist, case=cast.case())
        case.refresh_from_db()
        assert (case.held_by, actions(case)) == (cast.pathologist.user, ["case.claimed"])
        assert case.held_at is not None
        assert AuditEvent.objects.get(case=case).sentence == "Paul Pathologist took the case"

    def test_again_changes_nothing(self, cast: Cast) -> None:
        case = holding.claim(actor=cast.pathologist, case=cast.case())
        assert holding.claim(actor=cast.pathologist, case=case).held_at == case.held_at
        assert actions(case) == ["case.claimed"]

    def test_a_colleague_is_told_who_holds_it(self, cast: Cast) -> None:
        case = holding.claim(actor=cast.pathologist, case=cast.case(accession_number="S-1"))
        with pytest.raises(holding.HeldByOther, match=r"Paul Pathologist holds S-1 since .*take it over"):
            holding.claim(actor=cast.second_pathologist, case=case)
        case.refresh_from_db()
        assert case.held_by == cast.pathologist.user

    def test_taking_over_names_who_held_it(self, cast: Cast) -> None:
        case = holding.claim(actor=cast.pathologist, case=cast.case())
        taken = holding.claim(actor=cast.second_pathologist, case=case, take_over=True)
        assert taken.held_by == cast.second_pathologist.user
        event = AuditEvent.objects.get(case=case, action="case.taken_over")
        assert event.sentence == "Petra Pathologist took the case over from Paul Pathologist"
        assert event.detail["former_id"] == cast.pathologist.user.pk
        notice = Notice.objects.get()
        assert notice.user == cast.pathologist.user
        assert notice_words.sentence(notice) == f"Petra Pathologist took {case} over from you."
        assert audit.verify(case=case) == []

    def test_a_signed_case_is_nobodys_to_claim_until_it_is_amended(self, cast: Cast) -> None:
        case = signed(cast)
        with pytest.raises(holding.HoldRefused, match="is signed"):
            holding.claim(actor=cast.pathologist, case=case)
        Case.objects.filter(pk=case.pk).update(amending=True)
        assert holding.claim(actor=cast.pathologist, case=case).held_by == cast.pathologist.user

    def test_who_may(self, cast: Cast) -> None:
        case = cast.case()
        for step in (holding.claim, holding.release):
            for actor in (cast.technician, cast.administrator):
                with pytest.raises(PermissionDenied):
                    step(actor=actor, case=case)
            with pytest.raises(Case.DoesNotExist):
                step(actor=cast.stranger, case=case)
        with pytest.raises(PermissionDenied):
            holding.take_next(actor=cast.technician)
        assert actions(case) == []


@pytest.mark.django_db
class TestRelease:
    def test_it_is_everybodys_again(self, cast: Cast) -> None:
        case = holding.claim(actor=cast.pathologist, case=cast.case())
        for _ in range(2):
            case = holding.release(actor=cast.pathologist, case=case)
            case.refresh_from_db()
            assert (case.held_by, case.held_at) == (None, None)
        assert actions(case) == ["case.claimed", "case.released"]

    def test_only_by_who_holds_it(self, cast: Cast) -> None:
        case = holding.claim(actor=cast.pathologist, case=cast.case())
        with pytest.raises(holding.HeldByOther, match="Only they can release it"):
            holding.release(actor=cast.second_pathologist, case=case)


@pytest.mark.django_db
class TestTakeNext:
    def test_urgent_first_then_what_is_due_first_and_ready(self, cast: Cast) -> None:
        now = timezone.now()
        for number, priority, status, hours in (
            ("later", "routine", "ready", 9), ("sooner", "routine", "in_review", 5), ("urgent", "urgent", "ready", 40),
            ("waits", "urgent", "reading", -3), ("empty", "urgent", "received", -2),
            ("failed", "routine", "attention", 7),
        ):  # fmt: skip
            cast.case(accession_number=number, priority=priority, status=status, due_at=now + timedelta(hours=hours))
        cast.case(accession_number="held", status="ready", held_by=cast.second_pathologist.user, due_at=now)
        cast.case(laboratory=cast.elsewhere, status="ready", priority="urgent", due_at=now)
        signed(cast, priority="urgent", due_at=now)
        taken = []
        while case := holding.take_next(actor=cast.pathologist):
            assert (case.held_by, actions(case)) == (cast.pathologist.user, ["case.claimed"])
            taken.append(case.accession_number)
        assert taken == ["urgent", "sooner", "failed", "later"]


@pytest.mark.django_db
def test_deciding_holds_what_nobody_holds(cast: Cast) -> None:
    free, taken = cast.case(), holding.claim(actor=cast.second_pathologist, case=cast.case())
    with transaction.atomic():
        for case in (free, taken):
            record = Case.objects.select_for_update(no_key=True).get(pk=case.pk)
            holding.claim_for_decision(cast.pathologist, record)
    free.refresh_from_db()
    taken.refresh_from_db()
    assert (free.held_by, taken.held_by) == (cast.pathologist.user, cast.second_pathologist.user)
    assert (actions(free), actions(taken)) == (["case.claimed"], ["case.claimed"])


def together(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each answered or refused with; all at once, each on a connection of its own."""
    gate = threading.Barrier(len(tasks))

    def run(task: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return task()
        except holding.HoldRefused as refused:
            return refused
        finally:
            connection.close()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


@pytest.mark.django_db(transaction=True)
class TestTogether:
    """Real threads in transactions of their own, on whichever database the suite runs."""

    @pytest.mark.parametrize("attempt", range(3))
    def test_one_of_many_gets_the_case(self, attempt: int) -> None:
        cast = make_cast()
        people = [person(cast.laboratory, f"Person {n}", Role.PATHOLOGIST) for n in range(6)]
        case = cast.case()
        answers = together([lambda actor=actor: holding.claim(actor=actor, case=case) for actor in people])
        assert sum(isinstance(answer, Case) for answer in answers) == 1
        assert sum(isinstance(answer, holding.HeldByOther) for answer in answers) == 5
        case.refresh_from_db()
        assert case.held_by == next(answer.held_by for answer in answers if isinstance(answer, Case))
        assert actions(case) == ["case.claimed"]
        assert audit.verify(case=case) == []

    def test_many_who_take_the_next_get_a_case_each(self) -> None:
        cast = make_cast()
        people = [person(cast.laboratory, f"Person {n}", Role.PATHOLOGIST) for n in range(6)]
        cases = {cast.case(status="ready").pk for _ in range(5)}
        answers = together([lambda actor=actor: holding.take_next(actor=actor) for actor in people])
        assert {answer.pk for answer in answers if answer} == cases
        assert answers.count(None) == 1
        held = list(Case.objects.values_list("held_by", flat=True))
        assert len(set(held)) == 5
        assert all(actions(case) == ["case.claimed"] for case in Case.objects.all())

    def test_releasing_and_taking_over_at_once_leaves_one_holder(self) -> None:
        cast = make_cast()
        case = holding.claim(actor=cast.pathologist, case=cast.case())
        together(
            [
                lambda: holding.release(actor=cast.pathologist, case=case),
                lambda: holding.claim(actor=cast.second_pathologist, case=case, take_over=True),
            ]
        )
        case.refresh_from_db()
        assert case.held_by == cast.second_pathologist.user
        assert audit.verify(case=case) == []
