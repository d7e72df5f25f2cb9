"""The worklist: its views, their order, the way through them, searching and saving, in a constant number of queries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from diagnosis import listing, saved_views, searching
from diagnosis.assessment.words import FLAG_WORDS
from diagnosis.listing import Filter
from diagnosis.models import Case, CaseFlag, SavedView, SecondOpinion
from tests.cast import Cast, PatientFactory

pytestmark = pytest.mark.django_db


def numbers(cast: Cast, **chosen: str) -> list[str]:
    return [case.accession_number for case in listing.page(actor=cast.pathologist, chosen=Filter(**chosen)).cases]


def flag(case: Case, code: str) -> None:
    CaseFlag.objects.create(case=case, code=code, level="alarm")


def ask(case: Case, cast: Cast, **fields: Any) -> SecondOpinion:
    people = {"asked_by": cast.pathologist.user, "asked_of": cast.second_pathologist.user}
    return SecondOpinion.objects.create(case=case, first_diagnosis="aml", **people, **fields)


@pytest.fixture
def desk(cast: Cast) -> dict[str, Case]:
    """One case of every sort, named by what it is."""
    now = timezone.now()
    made = {
        name: cast.case(accession_number=name, **{"due_at": now + timedelta(hours=hours)} | fields)
        for name, hours, fields in (
            ("mine", 3, {"status": "in_review", "held_by": cast.pathologist.user}),
            ("free", 9, {"status": "ready"}),
            ("urgent", 40, {"status": "ready", "priority": "urgent", "held_by": cast.second_pathologist.user}),
            ("late", -1, {"status": "ready", "held_by": cast.second_pathologist.user}),
            ("reading", 20, {"status": "reading"}),
            ("asked", 30, {"status": "reviewed", "held_by": cast.pathologist.user}),
            ("differs", 31, {"status": "reviewed", "held_by": cast.pathologist.user}),
            ("signed", -50, {"status": "signed", "signed_at": now, "held_by": cast.pathologist.user}),
            ("long signed", -900, {"status": "signed", "signed_at": now - timedelta(days=30)}),
        )
    }
    cast.case(accession_number="elsewhere", laboratory=cast.elsewhere, status="ready")
    ask(made["asked"], cast)
    ask(made["differs"], cast, state="answered", differs=True)
    ask(made["mine"], cast, state="declined")
    return made


@pytest.mark.parametrize(
    ("view", "found"),
    [
        ("", ["urgent", "late", "mine", "free", "reading", "asked", "differs"]),
        ("open", ["urgent", "late", "mine", "free", "reading", "asked", "differs"]),
        ("mine", ["mine", "asked", "differs"]),
        ("unassigned", ["free", "reading"]),
        ("urgent", ["urgent"]),
        ("late", ["late"]),
        ("second", ["asked", "differs"]),
        ("reading", ["reading"]),
        ("signed", ["signed", "long signed"]),
    ],
)
def test_views(cast: Cast, desk: dict[str, Case], view: str, found: list[str]) -> None:
    assert numbers(cast, view=view) == found
    counted = listing.counts(actor=cast.pathologist)
    assert counted[view or "open"] == (1 if view == "signed" else len(found)), "signed ones since Monday"
    assert "all" not in counted
    assert len(numbers(cast, view="all")) == 9


def test_what_a_colleague_is_asked_is_among_theirs(cast: Cast, desk: dict[str, Case]) -> None:
    page = listing.page(actor=cast.second_pathologist, chosen=Filter(view="mine"))
    assert [case.accession_number for case in page.cases] == ["urgent", "late", "asked"]
    assert listing.counts(actor=cast.second_pathologist)["mine"] == 3
    waits = listing.opinions(actor=cast.pathologist, cases=[desk["asked"], desk["mine"]])
    assert [opinion.asked_of for opinion in waits[desk["asked"].pk]] == [cast.second_pathologist.user]
    assert waits[desk["mine"].pk] == []


def test_strangers_see_none(cast: Cast, desk: dict[str, Case]) -> None:
    stranger, mine = cast.stranger, desk["mine"]
    for view in listing.VIEWS:
        page = listing.page(actor=stranger, chosen=Filter(view=view), after=mine.pk)
        assert {case.accession_number for case in page.cases} <= {"elsewhere"}
    assert listing.counts(actor=stranger)["mine"] == listing.counts(actor=stranger)["second"] == 0
    assert listing.named(actor=stranger, ids=[mine.pk]) == []
    assert numbers(cast, q="elsewhere") == []


@pytest.mark.parametrize("view", ["open", "all", "signed", "urgent"])
def test_pages_and_neighbours_walk_the_whole_list_once(cast: Cast, view: str) -> None:
    moment = timezone.now()
    for n in range(60):  # many due, opened and signed at the same moment
        at = moment + timedelta(hours=n // 7)
        status = {"status": "signed", "signed_at": at} if view == "signed" else {"status": "ready"}
        priority = "urgent" if n % 3 == 0 or view == "urgent" else "routine"
        cast.case(priority=priority, due_at=at, created_at=at, **status)
    chosen, seen, after = Filter(view=view), list[Case](), None
    while True:
        page = listing.page(actor=cast.pathologist, chosen=chosen, after=after)
        assert page.earlier is (after is not None)
        seen += page.cases
        if not page.further:
            break
        after = page.cases[-1].pk
    assert len(seen) == len({case.pk for case in seen}) == 60
    back = listing.page(actor=cast.pathologist, chosen=chosen, before=seen[50].pk)
    assert (back.cases, back.earlier, back.further) == (seen[25:50], True, True)
    back = listing.page(actor=cast.pathologist, chosen=chosen, before=seen[25].pk)
    assert (back.cases, back.earlier) == (seen[:25], False)
    for at, case in enumerate(seen):
        before, behind = listing.neighbours(actor=cast.pathologist, chosen=chosen, case=case)
        assert before == (seen[at - 1] if at else None)
        assert behind == (seen[at + 1] if at < 59 else None)


def test_a_case_that_left_the_list_still_marks_its_place(cast: Cast, desk: dict[str, Case]) -> None:
    chosen = Filter(view="unassigned")
    before, behind = listing.neighbours(actor=cast.pathologist, chosen=chosen, case=desk["mine"])
    assert (before, behind) == (None, desk["free"])
    assert listing.neighbours(actor=cast.pathologist, chosen=Filter(view="signed"), case=desk["mine"]) == (None, None)
    page = listing.page(actor=cast.pathologist, chosen=Filter(view="signed"), after=desk["mine"].pk)
    assert page.cases[0] == desk["signed"], "one that was never signed marks no place there"


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("s26", {"S26-100", "S26-200"}),
        ("26-1", {"S26-100"}),
        ("berg", {"S26-100"}),
        ("anna s26-1", {"S26-100"}),
        ("anna tal", set()),
        ("X4711", {"S26-200"}),
        ("%", set()),
        ("berta\x00", {"S26-200"}),
        ("\ud800berta", {"S26-200"}),
        ("disagree", {"S26-200"}),
        ("BLASTS", {"S26-100"}),
        ("berg blasts", {"S26-100"}),
        ("berta blasts", set()),
        ("be", {"S26-100", "S26-200"}),
        ("an", {"S26-100"}),
        ("10", {"S26-100"}),
        ("na", set()),
        ("S2 08", {"S26-100"}),
    ],
)
@pytest.mark.parametrize("rare", [searching.RARE, 0])
def test_search(cast: Cast, search: str, found: set[str], rare: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same is found where a word is rare and where it is common."""
    monkeypatch.setattr(searching, "RARE", rare)
    people = {name: PatientFactory(laboratory=cast.laboratory, name=name, mrn=mrn)
              for name, mrn in (("Berg, Anna", "0815"), ("Berta Tal", "x4711"))}  # fmt: skip
    one = cast.case(accession_number="S26-100", patient=people["Berg, Anna"])
    two = cast.case(accession_number="S26-200", patient=people["Berta Tal"], status="signed", signed_at=timezone.now())
    flag(one, "blasts_20")
    flag(two, "networks_disagree")
    assert set(numbers(cast, q=search)) == found


def test_filters(cast: Cast) -> None:
    one, two = cast.case(accession_number="1", status="ready"), cast.case(accession_number="2", priority="urgent")
    flag(one, "blasts_20")
    flag(one, "few_cells")
    flag(two, "few_cells")
    assert numbers(cast, flag="blasts_20") == ["1"]
    assert numbers(cast, flag="few_cells") == ["2", "1"]
    assert numbers(cast, flag="few_cells", status="ready") == ["1"]
    assert numbers(cast, priority="routine") == ["1"]
    assert numbers(cast, status="signed") == []


def test_an_address_is_read_leniently_and_written_shortly() -> None:
    assert Filter.read({"view": "gone", "status": "x", "flag": "y", "q": "\ud800a\x00b ", "page": "9"}) == Filter(
        q="a b"
    )
    for chosen, short in (
        (Filter(), ""),
        (Filter(view="mine"), "mine"),
        (Filter(view="late", q="a&b=c"), "view=late&q=a%26b%3Dc"),
        (Filter(q="Müller"), "q=M%C3%BCller"),
    ):
        assert chosen.short == short
        assert Filter.parse(short) == chosen
    assert (Filter().shown, Filter(q="x").shown, Filter(view="open", q="x").shown) == ("open", "all", "open")
    assert Filter.parse("nonsense") == Filter.parse("a=b=c&&") == Filter()


def test_every_flag_has_words() -> None:
    from pathlib import Path

    from diagnosis.assessment import flags

    source = Path(flags.__file__).read_text()
    assert all(f'"{code}"' in source for code in FLAG_WORDS)


class TestSavedViews:
    def test_kept_renamed_and_deleted_by_their_person_alone(self, cast: Cast) -> None:
        view = saved_views.save(actor=cast.pathologist, name=" Late  ones ", chosen=Filter(view="late", q="berg"))
        assert (view.name, view.query) == ("Late ones", "view=late&q=berg")
        assert saved_views.of(cast.pathologist) == [view]
        assert saved_views.of(cast.second_pathologist) == []
        with pytest.raises(SavedView.DoesNotExist):
            saved_views.rename(actor=cast.second_pathologist, view_id=view.pk, name="Mine now")
        saved_views.delete(actor=cast.second_pathologist, view_id=view.pk)
        assert saved_views.rename(actor=cast.pathologist, view_id=view.pk, name="Overdue").name == "Overdue"
        saved_views.delete(actor=cast.pathologist, view_id=view.pk)
        assert saved_views.of(cast.pathologist) == []

    @pytest.mark.parametrize(
        ("name", "q", "code"),
        [(" ", "", "missing"), ("x" * 61, "", "too_long"), ("a\x07", "", "unreadable"), ("A", "ü" * 200, "too_long"),
         ("Taken", "", "taken")],
    )  # fmt: skip
    def test_refused_in_words(self, cast: Cast, name: str, q: str, code: str) -> None:
        saved_views.save(actor=cast.pathologist, name="Taken", chosen=Filter())
        with pytest.raises(saved_views.ViewRefused) as refused:
            saved_views.save(actor=cast.pathologist, name=name, chosen=Filter(q=q))
        assert refused.value.code == code
        saved_views.save(actor=cast.second_pathologist, name="Taken", chosen=Filter())

    def test_not_without_end(self, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(saved_views, "MOST", 1)
        saved_views.save(actor=cast.pathologist, name="One", chosen=Filter())
        with pytest.raises(saved_views.ViewRefused, match="Delete one"):
            saved_views.save(actor=cast.pathologist, name="Two", chosen=Filter())


@pytest.mark.parametrize(
    ("read", "bound"),
    [
        (lambda actor, case: listing.page(actor=actor, chosen=Filter(view="open"), after=case.pk), 3),
        (lambda actor, case: listing.page(actor=actor, chosen=Filter(q="acc 26")), 5),
        (lambda actor, case: listing.neighbours(actor=actor, chosen=Filter(), case=case), 4),
        (lambda actor, case: listing.counts(actor=actor), 3),
        (lambda actor, case: listing.opinions(actor=actor, cases=[case]), 1),
    ],
)
def test_the_number_of_queries_does_not_grow(cast: Cast, read: Any, bound: int) -> None:
    case = cast.case()
    for more in (1, 30):
        for _ in range(more):
            cast.case()
            cast.case(priority="urgent")
        with CaptureQueriesContext(connection) as queries:
            read(cast.pathologist, case)
        assert len(queries) <= bound
