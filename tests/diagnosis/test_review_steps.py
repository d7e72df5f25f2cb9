"""Many images in one step, undo and redo: whole, idempotent, never over a colleague, and in few queries."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.permissions import Actor
from diagnosis import assessment, audit, review
from diagnosis.models import AuditEvent, Case, Decision, ModelRelease, SmearImage
from diagnosis.review import Choice, ReviewConflict, ReviewRefused, decide, decide_many, redo, undo, withdraw
from tests.cast import Cast, make_cast
from tests.diagnosis.opinions import make_releases, read_image
from tests.smears import make_image

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(cast: Cast) -> Case:
    """Four cells, read as blast, blast, monocyte, monocyte."""
    case, releases = cast.case(), make_releases()
    for label in ("blast", "blast", "monocyte", "monocyte"):
        read_image(case, releases, label)
    assessment.refresh(case.pk)
    return case


def ids(case: Case) -> list[int]:
    return list(case.images.order_by("id").values_list("pk", flat=True))


def agree(case: Case, **more: Any) -> list[Choice]:
    return [Choice(pk, "agree", **more) for pk in ids(case)]


def labels(case: Case) -> list[str]:
    """The class that people gave each image, "" where none counts."""
    images = list(case.images.order_by("id"))
    current = assessment.current_decisions(images)
    return [current[image.pk].label if image.pk in current else "" for image in images]


def refusal(code: str, act: Any, **arguments: Any) -> ReviewRefused:
    before = (Decision.objects.count(), AuditEvent.objects.count())
    with pytest.raises(ReviewRefused) as caught:
        act(**arguments)
    assert caught.value.code == code
    assert caught.value.message.endswith(".")
    assert (Decision.objects.count(), AuditEvent.objects.count()) == before
    return caught.value


class TestMany:
    def test_each_image_takes_its_own_reading(self, cast: Cast, case: Case) -> None:
        outcome = decide_many(actor=cast.pathologist, case=case, choices=agree(case, expected=None))
        assert labels(case) == ["blast", "blast", "monocyte", "monocyte"]
        assert len(outcome.saved) == 4
        assert outcome.refused == {}
        assert {(d.verdict, d.step, d.label == d.reading_label) for d in outcome.saved} == {
            ("agree", outcome.step, True)
        }
        assert Case.objects.get().status == "reviewed"
        event = audit.history(case)[0]
        assert event.sentence == "Paul Pathologist decided on 4 images: 2 blast, 2 monocyte"
        assert [told["decision"] for told in event.detail["images"]] == [d.pk for d in outcome.saved]
        assert audit.verify(case=case) == []

    def test_one_class_for_all_is_agreement_where_the_reading_says_so(self, cast: Cast, case: Case) -> None:
        choices = [Choice(pk, "override", "monocyte") for pk in ids(case)]
        outcome = decide_many(actor=cast.pathologist, case=case, choices=choices)
        assert [(d.verdict, d.reading_label) for d in outcome.saved] == [
            ("override", "blast"), ("override", "blast"), ("agree", "monocyte"), ("agree", "monocyte"),
        ]  # fmt: skip

    def test_what_can_be_saved_is_saved_and_the_rest_is_told(self, cast: Cast, case: Case) -> None:
        first, second, third, fourth = ids(case)
        theirs = decide(actor=cast.second_pathologist, image=SmearImage.objects.get(pk=first), verdict="agree")
        elsewhere = make_image(cast.case())
        choices = [
            Choice(first, "override", "lymphocyte", expected=None),
            Choice(second, "agree", "lymphocyte", expected=None),  # the page showed another reading
            Choice(third, "override", "pro_b", expected=None),  # a class of fields
            Choice(fourth, "agree", "monocyte", expected=None),
            Choice(elsewhere.pk, "override", "blast"),
        ]
        outcome = decide_many(actor=cast.pathologist, case=case, choices=choices)
        assert [decision.image_id for decision in outcome.saved] == [fourth]
        assert {pk: error.code for pk, error in outcome.refused.items()} == {
            first: "decided_meanwhile", second: "reading_changed", third: "label_unknown",
            elsewhere.pk: "image_unknown",
        }  # fmt: skip
        conflict = outcome.refused[first]
        assert isinstance(conflict, ReviewConflict)
        assert conflict.decision == theirs
        assert conflict.message.startswith("Petra Pathologist decided on “blast” at ")
        assert labels(case) == ["blast", "", "", "monocyte"]
        assert not elsewhere.decisions.exists()

    def test_the_same_step_again_is_one_step(self, cast: Cast, case: Case) -> None:
        step = uuid4()
        first = decide_many(actor=cast.pathologist, case=case, choices=agree(case, expected=None), step=step)
        again = decide_many(actor=cast.pathologist, case=case, choices=agree(case, expected=None), step=step)
        assert [d.pk for d in again.saved] == [d.pk for d in first.saved]
        assert again.refused == {}
        assert Decision.objects.count() == 4
        assert AuditEvent.objects.filter(action="images.decided").count() == 1

    def test_a_step_that_came_in_part_is_completed(self, cast: Cast, case: Case) -> None:
        step = uuid4()
        decide_many(actor=cast.pathologist, case=case, choices=agree(case)[:2], step=step)
        assert len(decide_many(actor=cast.pathologist, case=case, choices=agree(case), step=step).saved) == 4
        assert Decision.objects.count() == 4

    def test_the_database_itself_keeps_a_step_once_per_image(self, cast: Cast, case: Case) -> None:
        outcome = decide_many(actor=cast.pathologist, case=case, choices=agree(case)[:1])
        twin = Decision.objects.get(pk=outcome.saved[0].pk)
        twin.pk = None
        with pytest.raises(IntegrityError), transaction.atomic():
            twin.save()

    def test_nobody_writes_into_anothers_step(self, cast: Cast, case: Case) -> None:
        step = decide_many(actor=cast.pathologist, case=case, choices=agree(case)[:1]).step
        refusal("step_taken", decide_many, actor=cast.second_pathologist, case=case, choices=agree(case), step=step)
        other = cast.case()
        refusal("step_taken", decide_many, actor=cast.pathologist, case=other, choices=[], step=step)

    def test_a_step_may_rest_on_one_that_was_not_answered_yet(self, cast: Cast, case: Case) -> None:
        """The page does not know the key of what it has just sent: it names the step."""
        pk, before = ids(case)[0], uuid4()
        decide_many(actor=cast.pathologist, case=case, choices=[Choice(pk, "agree", expected=None)], step=before)
        then = decide_many(actor=cast.pathologist, case=case, choices=[Choice(pk, "withdraw", expected=before)])
        last = decide_many(
            actor=cast.pathologist, case=case, choices=[Choice(pk, "override", "monocyte", expected=then.step)]
        )
        assert last.refused == {}
        stale = decide_many(actor=cast.pathologist, case=case, choices=[Choice(pk, "agree", expected=before)])
        assert stale.refused[pk].code == "decided_meanwhile"

    def test_refused_as_a_whole(self, cast: Cast, case: Case) -> None:
        many = [Choice(n, "agree") for n in range(5_001)]
        refusal("too_many", decide_many, actor=cast.pathologist, case=case, choices=many)
        for actor in (cast.technician, cast.administrator):
            for act in (
                lambda a: decide_many(actor=a, case=case, choices=agree(case)),
                lambda a: undo(actor=a, case=case),
            ):
                with pytest.raises(PermissionDenied):
                    act(actor)
        with pytest.raises(Case.DoesNotExist):
            decide_many(actor=cast.stranger, case=case, choices=agree(case))
        assert not Decision.objects.exists()

    def test_the_first_decision_claims_a_case_that_nobody_holds(self, cast: Cast, case: Case) -> None:
        decide_many(actor=cast.pathologist, case=case, choices=agree(case)[:1])
        assert Case.objects.get(pk=case.pk).held_by == cast.pathologist.user
        decide_many(actor=cast.second_pathologist, case=case, choices=agree(case)[1:])
        assert Case.objects.get(pk=case.pk).held_by == cast.pathologist.user

    @pytest.mark.parametrize("amending", [False, True])
    def test_a_signed_case_is_closed_until_it_is_amended(self, cast: Cast, case: Case, amending: bool) -> None:
        image = SmearImage.objects.get(pk=ids(case)[0])
        decide(actor=cast.pathologist, image=image, verdict="agree")
        Case.objects.filter(pk=case.pk).update(signed_at=timezone.now(), report_version=1, amending=amending)
        acts: list[Any] = [
            lambda: decide(actor=cast.pathologist, image=image, verdict="override", label="monocyte"),
            lambda: withdraw(actor=cast.pathologist, image=image),
            lambda: undo(actor=cast.pathologist, case=case),
            lambda: redo(actor=cast.pathologist, case=case),
            lambda: decide_many(actor=cast.pathologist, case=case, choices=agree(case)),
        ]
        for act in acts[:1] if amending else acts:
            if amending:
                act()
            else:
                assert "Reopen it for an amendment first" in refusal("signed", act).message

    def test_two_hundred_images_cost_what_two_do(self, cast: Cast, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
        releases = list(ModelRelease.objects.all())
        refreshed: list[int] = []
        monkeypatch.setattr(
            assessment, "refresh", lambda pk, real=assessment.refresh, **by: refreshed.append(pk) or real(pk, **by)
        )
        counted = []
        for more in (0, 200):
            for _ in range(more):
                read_image(case, releases, "blast")
            step = [Choice(pk, "override", "blast") for pk in ids(case)]
            with CaptureQueriesContext(connection) as queries:
                decide_many(actor=cast.pathologist, case=case, choices=step)
            counted.append(len(queries))
        assert refreshed == [case.pk] * 2
        assert counted[1] <= counted[0] + 6  # SQLite takes 999 parameters in one INSERT
        assert counted[0] < 40


class TestWithdraw:
    def test_the_image_is_undecided_again_and_counts_as_read(self, cast: Cast, case: Case) -> None:
        image = SmearImage.objects.get(pk=ids(case)[0])
        stood = decide(actor=cast.pathologist, image=image, verdict="override", label="lymphocyte")
        gone = withdraw(actor=cast.pathologist, image=image, comment="Wrong tile.", expected_decision=stood.pk)
        assert (gone.verdict, gone.label, gone.reading_label) == ("withdraw", "", "blast")
        assert review.current(image) is None
        evidence = {found.id: found for found in assessment.gather(case).images}[image.pk]
        assert (evidence.decision, evidence.final) == (None, "blast")
        assert Case.objects.get(pk=case.pk).assessment["progress"]["decided"] == 0
        assert audit.history(case)[0].said == f"took the decision on {image.original_name} back (“Wrong tile.”)"
        # What the page shows is "no decision", and that is what the next one names.
        decide(actor=cast.second_pathologist, image=image, verdict="agree", expected_decision=None)
        assert labels(case)[0] == "blast"

    def test_twice_is_once_and_nothing_is_told_so(self, cast: Cast, case: Case) -> None:
        image = SmearImage.objects.get(pk=ids(case)[0])
        refusal("nothing_decided", withdraw, actor=cast.pathologist, image=image)
        decide(actor=cast.pathologist, image=image, verdict="agree")
        assert withdraw(actor=cast.pathologist, image=image) == withdraw(actor=cast.pathologist, image=image)
        assert Decision.objects.count() == 2
        refusal("nothing_decided", withdraw, actor=cast.second_pathologist, image=image)

    def test_a_decision_that_was_not_seen_is_not_taken_back(self, cast: Cast, case: Case) -> None:
        image = SmearImage.objects.get(pk=ids(case)[0])
        seen = decide(actor=cast.pathologist, image=image, verdict="agree")
        decide(actor=cast.second_pathologist, image=image, verdict="override", label="monocyte")
        with pytest.raises(ReviewConflict):
            withdraw(actor=cast.pathologist, image=image, expected_decision=seen.pk)
        assert labels(case)[0] == "monocyte"

    def test_after_another_kind_the_old_decision_is_in_nobodys_way(self, cast: Cast, case: Case) -> None:
        image = SmearImage.objects.get(pk=ids(case)[0])
        decide(actor=cast.pathologist, image=image, verdict="agree")
        SmearImage.objects.filter(pk=image.pk).update(kind="field")
        decide(actor=cast.second_pathologist, image=image, verdict="override", label="benign", expected_decision=None)
        assert labels(case)[0] == "benign"


class TestUndo:
    def _three(self, actor: Actor, case: Case) -> list[UUID]:
        """Agree with all; call the first two monocytes; take the third back."""
        one, two, three, _ = ids(case)
        return [
            decide_many(actor=actor, case=case, choices=choices).step
            for choices in (
                agree(case),
                [Choice(one, "override", "monocyte"), Choice(two, "override", "monocyte")],
                [Choice(three, "withdraw")],
            )
        ]

    def test_back_and_forth_through_every_state(self, cast: Cast, case: Case) -> None:
        states = [labels(case)]
        one, two, three, _ = ids(case)
        for choices in (
            agree(case),
            [Choice(one, "override", "monocyte"), Choice(two, "override", "monocyte")],
            [Choice(three, "withdraw")],
        ):
            decide_many(actor=cast.pathologist, case=case, choices=choices)
            states.append(labels(case))
        for _ in range(2):
            for state in states[-2::-1]:
                undo(actor=cast.pathologist, case=case)
                assert labels(case) == state
            refusal("nothing_to_undo", undo, actor=cast.pathologist, case=case)
            for state in states[1:]:
                redo(actor=cast.pathologist, case=case)
                assert labels(case) == state
            refusal("nothing_to_redo", redo, actor=cast.pathologist, case=case)
        assert Case.objects.get(pk=case.pk).assessment["progress"]["decided"] == 3
        assert audit.verify(case=case) == []
        assert {event.action for event in audit.history(case)} >= {"images.undone", "images.redone"}

    def test_what_comes_back_is_said_of_the_present_reading(self, cast: Cast, case: Case) -> None:
        self._three(cast.pathologist, case)
        undo(actor=cast.pathologist, case=case)
        back = undo(actor=cast.pathologist, case=case)
        assert {(d.verdict, d.label, d.reading_label, d.undoes is not None) for d in back.saved} == {
            ("agree", "blast", "blast", True)
        }

    def test_a_new_step_ends_what_could_be_redone(self, cast: Cast, case: Case) -> None:
        self._three(cast.pathologist, case)
        undo(actor=cast.pathologist, case=case)
        assert len(review.steps(actor=cast.pathologist, case=case).undone) == 1
        decide_many(actor=cast.pathologist, case=case, choices=[Choice(ids(case)[3], "override", "blast")])
        refusal("nothing_to_redo", redo, actor=cast.pathologist, case=case)
        undo(actor=cast.pathologist, case=case)
        assert labels(case) == ["monocyte", "monocyte", "monocyte", "monocyte"]

    def test_sent_twice_is_once(self, cast: Cast, case: Case) -> None:
        steps, step = self._three(cast.pathologist, case), uuid4()
        first = undo(actor=cast.pathologist, case=case, undoes=steps[-1], step=step)
        again = undo(actor=cast.pathologist, case=case, undoes=steps[-1], step=step)
        assert [d.pk for d in first.saved] == [d.pk for d in again.saved]
        assert review.steps(actor=cast.pathologist, case=case) == review.Steps(tuple(steps[:2]), (step,))

    def test_a_page_that_is_behind_undoes_nothing_else(self, cast: Cast, case: Case) -> None:
        steps = self._three(cast.pathologist, case)
        refusal("step_changed", undo, actor=cast.pathologist, case=case, undoes=steps[0])

    def test_only_ones_own(self, cast: Cast, case: Case) -> None:
        self._three(cast.pathologist, case)
        refusal("nothing_to_undo", undo, actor=cast.second_pathologist, case=case)
        with pytest.raises(Case.DoesNotExist):
            undo(actor=cast.stranger, case=case)

    def test_a_colleague_on_top_is_left(self, cast: Cast, case: Case) -> None:
        decide_many(actor=cast.pathologist, case=case, choices=agree(case))
        first, second = SmearImage.objects.filter(case=case).order_by("id")[:2]
        theirs = decide(actor=cast.second_pathologist, image=first, verdict="override", label="lymphocyte")
        withdraw(actor=cast.second_pathologist, image=second)
        outcome = undo(actor=cast.pathologist, case=case)
        assert set(outcome.refused) == {first.pk, second.pk}
        conflict = outcome.refused[first.pk]
        assert isinstance(conflict, ReviewConflict)
        assert conflict.decision == theirs
        assert "Petra Pathologist decided on “lymphocyte”" in str(conflict)
        assert "Petra Pathologist took the decision back" in str(outcome.refused[second.pk])
        assert labels(case) == ["lymphocyte", "", "", ""]

    def test_a_colleague_in_between_is_not_lost(self, cast: Cast, case: Case) -> None:
        """Mine, theirs, mine again: undoing twice brings theirs back and stops there."""
        image = SmearImage.objects.get(pk=ids(case)[0])
        decide(actor=cast.pathologist, image=image, verdict="agree")
        decide(actor=cast.second_pathologist, image=image, verdict="override", label="lymphocyte", comment="Small.")
        decide(actor=cast.pathologist, image=image, verdict="override", label="monocyte")
        undo(actor=cast.pathologist, case=case)
        restored = review.current(image)
        assert restored is not None
        assert (restored.label, restored.comment) == ("lymphocyte", "As Petra Pathologist had decided before.")
        assert set(undo(actor=cast.pathologist, case=case).refused) == {image.pk}
        assert labels(case)[0] == "lymphocyte"

    def test_a_step_that_was_overtaken_is_not_in_the_way(self, cast: Cast, case: Case) -> None:
        """The first key tells who decided; the next one takes back the step before."""
        one, two, three, _ = ids(case)
        older = decide_many(actor=cast.pathologist, case=case, choices=agree(case)[:2]).step
        newer = decide_many(actor=cast.pathologist, case=case, choices=[Choice(three, "override", "monocyte")]).step
        theirs = withdraw(actor=cast.second_pathologist, image=SmearImage.objects.get(pk=three))
        assert review.steps(actor=cast.pathologist, case=case) == review.Steps((older,))

        told = undo(actor=cast.pathologist, case=case, undoes=newer)
        assert (told.saved, set(told.refused)) == ((), {three})
        assert "Petra Pathologist took the decision back" in str(told.refused[three])
        back = undo(actor=cast.pathologist, case=case, undoes=older)
        assert {decision.image_id for decision in back.saved} == {one, two}
        assert labels(case) == ["", "", "", ""]
        # Nothing is left but what was overtaken: that is told, and never stored over theirs.
        refusal("nothing_to_undo", undo, actor=cast.pathologist, case=case, undoes=older)
        assert set(undo(actor=cast.pathologist, case=case).refused) == {three}
        assert Decision.objects.filter(image=three).latest("id") == theirs
        # Theirs, then an undoing of mine that they overtake: redoing passes it over in the same way.
        decide(actor=cast.second_pathologist, image=SmearImage.objects.get(pk=one), verdict="override", label="blast")
        assert review.steps(actor=cast.pathologist, case=case).undone == (back.step,)
        decide(actor=cast.second_pathologist, image=SmearImage.objects.get(pk=two), verdict="override", label="blast")
        assert review.steps(actor=cast.pathologist, case=case) == review.Steps()
        assert set(redo(actor=cast.pathologist, case=case, undoes=back.step).refused) == {one, two}

    def test_half_overtaken_is_half_undone(self, cast: Cast, case: Case) -> None:
        one, two = ids(case)[:2]
        step = decide_many(actor=cast.pathologist, case=case, choices=agree(case)[:2]).step
        decide(
            actor=cast.second_pathologist, image=SmearImage.objects.get(pk=two), verdict="override", label="monocyte"
        )
        outcome = undo(actor=cast.pathologist, case=case, undoes=step)
        assert ([decision.image_id for decision in outcome.saved], set(outcome.refused)) == ([one], {two})
        assert labels(case)[:2] == ["", "monocyte"]

    def test_decisions_of_single_images_are_steps_too(self, cast: Cast, case: Case) -> None:
        image = SmearImage.objects.get(pk=ids(case)[0])
        decide(actor=cast.pathologist, image=image, verdict="agree", comment="Clear.")
        withdraw(actor=cast.pathologist, image=image)
        undo(actor=cast.pathologist, case=case)
        restored = review.current(image)
        assert restored is not None
        assert (restored.label, restored.comment) == ("blast", "Clear.")


@pytest.mark.django_db(transaction=True)
def test_two_people_at_the_same_images_at_once() -> None:
    cast = make_cast()
    case, releases = cast.case(), make_releases()
    for _ in range(6):
        read_image(case, releases, "blast")
    pks = ids(case)
    start, results = threading.Barrier(2), dict[str, Any]()

    def review_all(actor: Actor, label: str, mine: list[int]) -> None:
        start.wait()
        try:
            choices = [Choice(pk, "override", label, expected=None) for pk in mine]
            results[label] = decide_many(actor=actor, case=case, choices=choices)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=review_all, args=(cast.pathologist, "monocyte", pks[:4])),
        threading.Thread(target=review_all, args=(cast.second_pathologist, "lymphocyte", pks[2:])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Decision.objects.count() == 6
    assert sorted(len(outcome.refused) for outcome in results.values()) == [0, 2]
    assert Case.objects.get().assessment["progress"]["decided"] == 6
    assert Case.objects.get().held_by is not None
    assert audit.verify(case=case) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("saw", [True, False])
def test_undoing_while_a_colleague_decides(saw: bool) -> None:
    """Whoever comes first, the colleague's decision stands in the end, and the older step can be undone."""
    cast = make_cast()
    case, releases = cast.case(), make_releases()
    for _ in range(2):
        read_image(case, releases, "blast")
    one, two = ids(case)
    older = decide_many(actor=cast.pathologist, case=case, choices=[Choice(one, "override", "monocyte")]).step
    newer = decide_many(actor=cast.pathologist, case=case, choices=[Choice(two, "override", "monocyte")]).step
    start = threading.Barrier(2)

    def together(act: Any) -> None:
        start.wait()
        try:
            act()
        finally:
            connection.close()

    threads = [
        threading.Thread(target=together, args=(act,))
        for act in (
            lambda: undo(actor=cast.pathologist, case=case, undoes=newer if saw else None),
            lambda: decide_many(
                actor=cast.second_pathologist, case=case, choices=[Choice(two, "override", "lymphocyte")]
            ),
        )
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    newest = Decision.objects.filter(image=two).latest("id")
    assert (newest.label, newest.decided_by) == ("lymphocyte", cast.second_pathologist.user)
    # Without having said which step was meant, the colleague being first makes it the older one.
    if review.steps(actor=cast.pathologist, case=case).done:
        undo(actor=cast.pathologist, case=case, undoes=older)
    assert labels(case) == ["", "lymphocyte"]
    assert audit.verify(case=case) == []
