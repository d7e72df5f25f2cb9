"""What a pathologist decides: attributed, checked, never silently overwritten, and at once in the assessment."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection

from diagnosis import assessment, audit, review
from diagnosis.models import AuditEvent, Case, Decision, SmearImage
from diagnosis.review import UNSET, ReviewConflict, ReviewRefused, decide
from tests.cast import Cast, make_cast
from tests.diagnosis.opinions import make_releases, opinion, read_image
from tests.smears import make_image

pytestmark = pytest.mark.django_db


@pytest.fixture
def image(cast: Cast) -> SmearImage:
    """Two cells of one case, both read as blasts; this is the first."""
    case, releases = cast.case(), make_releases()
    images = [read_image(case, releases, "blast") for _ in range(2)]
    assessment.refresh(case.pk)
    return images[0]


def _refused(code: str, field: str, **arguments: Any) -> ReviewRefused:
    before = (Decision.objects.count(), AuditEvent.objects.count())
    with pytest.raises(ReviewRefused) as caught:
        decide(**arguments)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert caught.value.message.endswith(".")
    assert (Decision.objects.count(), AuditEvent.objects.count()) == before
    return caught.value


def test_agreeing_takes_the_readings_class(cast: Cast, image: SmearImage) -> None:
    decision = decide(actor=cast.pathologist, image=image, verdict="agree", comment=" Clear. ", expected_decision=None)
    decision.refresh_from_db()
    assert (decision.verdict, decision.label, decision.reading_label) == ("agree", "blast", "blast")
    assert (decision.comment, decision.decided_by) == ("Clear.", cast.pathologist.user)
    assert review.current(image) == decision
    assert audit.history(image.case)[0].sentence == (
        f"Paul Pathologist agreed that {image.original_name} shows blast (“Clear.”)"
    )
    assert audit.verify(case=image.case) == []


def test_overriding_changes_the_case_at_once(cast: Cast, image: SmearImage) -> None:
    before = Case.objects.get(pk=image.case_id)
    decide(actor=cast.pathologist, image=image, verdict="override", label="lymphocyte")
    after = Case.objects.get(pk=image.case_id)
    assert (before.status, after.status) == ("ready", "in_review")
    assert before.malignant is not None
    assert after.malignant is not None
    assert after.malignant < before.malignant
    assert after.assessment["differential"] == [
        {"label": "blast", "count": 1, "share": 0.5},
        {"label": "lymphocyte", "count": 1, "share": 0.5},
    ]
    for other in SmearImage.objects.exclude(pk=image.pk):
        decide(actor=cast.pathologist, image=other, verdict="agree")
    assert Case.objects.get().status == "reviewed"


def test_the_newest_counts_and_the_older_stay(cast: Cast, image: SmearImage) -> None:
    first = decide(actor=cast.pathologist, image=image, verdict="agree")
    second = decide(
        actor=cast.second_pathologist, image=image, verdict="override", label="monocyte", expected_decision=first.pk
    )
    assert review.current(image) == second
    assert list(image.decisions.all()) == [second, first]
    assert AuditEvent.objects.filter(action="image.decided").order_by("-sequence")[0].detail["replaces"] == first.pk


def test_naming_the_readings_own_class_is_agreement(cast: Cast, image: SmearImage) -> None:
    assert decide(actor=cast.pathologist, image=image, verdict="override", label="blast").verdict == "agree"


@pytest.mark.parametrize("state", ["queued", "running", "failed"])
def test_without_a_reading_one_overrides_but_does_not_agree(cast: Cast, state: str) -> None:
    image = make_image(cast.case())
    for release in make_releases():
        opinion(image, release, state=state)
    error = _refused("nothing_read", "verdict", actor=cast.pathologist, image=image, verdict="agree")
    assert "override" in error.message
    decision = decide(actor=cast.pathologist, image=image, verdict="override", label="blast")
    assert (decision.verdict, decision.reading_label) == ("override", "")
    assert Case.objects.get().status == "reviewed"


def test_half_a_reading_is_none_yet(cast: Cast) -> None:
    image = make_image(cast.case())
    done, waiting = make_releases()
    opinion(image, done, "blast")
    opinion(image, waiting, state="queued")
    _refused("nothing_read", "verdict", actor=cast.pathologist, image=image, verdict="agree")


@pytest.mark.parametrize(
    ("code", "field", "change"),
    [
        ("verdict_unknown", "verdict", {"verdict": "perhaps"}),
        ("label_missing", "label", {"verdict": "override"}),
        ("label_missing", "label", {"verdict": "override", "label": ""}),
        ("label_unknown", "label", {"verdict": "override", "label": "pro_b"}),  # a class of fields
        ("label_unknown", "label", {"verdict": "override", "label": "x" * 5_000}),
        ("reading_changed", "label", {"verdict": "agree", "label": "monocyte"}),
        ("comment_unfit", "comment", {"comment": "x" * 4_001}),
        ("comment_unfit", "comment", {"comment": "a\x00b"}),
        ("comment_unfit", "comment", {"comment": "a\ud800b"}),
    ],
)
def test_bad_input_is_refused_in_words(
    cast: Cast, image: SmearImage, code: str, field: str, change: dict[str, Any]
) -> None:
    error = _refused(code, field, **({"actor": cast.pathologist, "image": image, "verdict": "agree"} | change))
    assert len(error.message) < 400


def test_only_pathologists_of_the_laboratory_decide(cast: Cast, image: SmearImage) -> None:
    for actor in (cast.technician, cast.administrator):
        with pytest.raises(PermissionDenied):
            decide(actor=actor, image=image, verdict="agree")
    with pytest.raises(SmearImage.DoesNotExist):
        decide(actor=cast.stranger, image=image, verdict="agree")
    assert not Decision.objects.exists()


class TestConflict:
    def test_a_decision_made_meanwhile_is_not_overwritten(self, cast: Cast, image: SmearImage) -> None:
        first = decide(actor=cast.pathologist, image=image, verdict="agree", expected_decision=None)
        with pytest.raises(ReviewConflict) as conflict:
            decide(
                actor=cast.second_pathologist, image=image, verdict="override", label="monocyte", expected_decision=None
            )
        assert conflict.value.decision == first
        assert str(conflict.value).startswith("Paul Pathologist decided on “blast” at ")
        assert list(Decision.objects.all()) == [first]

    def test_one_that_never_was_is_a_conflict_too(self, cast: Cast, image: SmearImage) -> None:
        with pytest.raises(ReviewConflict) as conflict:
            decide(actor=cast.pathologist, image=image, verdict="agree", expected_decision=12345)
        assert conflict.value.decision is None
        assert "Look at the image again" in str(conflict.value)

    def test_a_second_click_is_the_first_one(self, cast: Cast, image: SmearImage) -> None:
        clicks = [
            decide(actor=cast.pathologist, image=image, verdict="agree", expected_decision=None) for _ in range(3)
        ]
        assert len({click.pk for click in clicks}) == Decision.objects.count() == 1
        assert AuditEvent.objects.filter(action="image.decided").count() == 1

    def test_the_same_words_of_another_person_are_a_decision_of_their_own(self, cast: Cast, image: SmearImage) -> None:
        decide(actor=cast.pathologist, image=image, verdict="agree")
        decide(actor=cast.second_pathologist, image=image, verdict="agree", expected_decision=UNSET)
        assert Decision.objects.count() == 2

    @pytest.mark.django_db(transaction=True)
    def test_two_at_once_are_one_decision_and_one_conflict(self) -> None:
        cast = make_cast()
        image = read_image(cast.case(), make_releases(), "blast")
        start, results = threading.Barrier(2), list[object]()

        def click(actor: Any, label: str) -> None:
            start.wait()
            try:
                results.append(
                    decide(actor=actor, image=image, verdict="override", label=label, expected_decision=None)
                )
            except Exception as error:
                results.append(error)
            finally:
                connection.close()

        people = ((cast.pathologist, "monocyte"), (cast.second_pathologist, "lymphocyte"))
        threads = [threading.Thread(target=click, args=person) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(type(result).__name__ for result in results) == ["Decision", "ReviewConflict"], results
        decision = Decision.objects.get()
        assert Case.objects.get().assessment["differential"][0]["label"] == decision.label


def test_a_decision_on_another_kind_does_not_count_any_more(cast: Cast, image: SmearImage) -> None:
    decide(actor=cast.pathologist, image=image, verdict="override", label="monocyte")
    SmearImage.objects.filter(pk=image.pk).update(kind="field")
    image.refresh_from_db()
    assert review.current(image) is None
    assert {found.id: found.decision for found in assessment.gather(image.case).images}[image.pk] is None
    decision = decide(actor=cast.pathologist, image=image, verdict="override", label="benign")
    assert review.current(image) == decision
