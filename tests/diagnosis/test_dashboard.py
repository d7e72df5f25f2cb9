"""The laboratory's figures: counted right, of the right laboratory, and kept counts never differ from fresh ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Laboratory
from accounts.permissions import Actor
from diagnosis import dashboard
from diagnosis.dashboard import READING, Period, overrides, tallies
from diagnosis.dashboard.sources import Share, change, share
from diagnosis.dashboard.tallies import DayCount, Tally
from diagnosis.models import (
    AgreementDay,
    Analysis,
    Case,
    Decision,
    ModelRelease,
    OutgoingMail,
    Report,
    SecondOpinion,
    SmearImage,
    WorkerSeen,
)
from diagnosis.tasks import tally as tally_task
from tests.cast import Cast
from tests.diagnosis.opinions import make_releases, opinion
from tests.smears import make_image, make_release

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)  # a Wednesday
DAY = timedelta(days=1)


@pytest.fixture
def releases(db: None) -> list[ModelRelease]:
    return make_releases()


def decided(
    actor: Actor,
    image: SmearImage,
    label: str,
    at: datetime,
    *,
    reading: str = "blast",
    verdict: str | None = None,
) -> Decision:
    """A decision as `review` leaves it, at a time of its own."""
    return Decision.objects.create(
        image=image,
        label=label,
        reading_label=reading,
        verdict=verdict or ("agree" if label == reading else "override"),
        decided_by=actor.user,
        decided_at=at,
    )


@pytest.fixture
def read(cast: Cast, releases: list[ModelRelease]) -> Callable[..., SmearImage]:
    """`read("blast", "monocyte", case=…)`: an image that MobileNet and CNN read so, long before any decision."""

    def build(mobilenet: str, cnn: str | None = None, *, case: Case | None = None, kind: str = "cell") -> SmearImage:
        image = make_image(case or cast.case(), kind=kind)
        for release, label in zip(releases, (mobilenet, cnn or mobilenet), strict=True):
            opinion(image, release, label, finished_at=NOW - 700 * DAY)
        return image

    return build


class TestPeriod:
    def test_days_of_an_address(self) -> None:
        assert [Period.chosen(text).days for text in (None, "", "7", "90", "365", "8", "x", "9" * 99)] == [
            30, 30, 7, 90, 365, 30, 30, 30,
        ]  # fmt: skip

    def test_a_week_and_the_week_before(self) -> None:
        period = Period(7, NOW)
        assert (period.since, period.before.since) == (
            datetime(2026, 11, 19, tzinfo=UTC),
            datetime(2026, 11, 12, tzinfo=UTC),
        )
        assert period.before.now == NOW - 7 * DAY
        assert len(period.slices()) == 7

    def test_slices_begin_within_the_period(self) -> None:
        quarter = Period(90, NOW)
        assert quarter.slices()[0] == quarter.first_day
        assert all(start.weekday() == 0 for start in quarter.slices()[1:])
        year = Period(365, NOW)
        assert (year.slices()[0], year.slices()[1]) == (year.first_day, datetime(2025, 12, 1).date())
        assert [year.slice_words(start) for start in year.slices()[:2]] == ["26 Nov", "Dec 2025"]
        assert {year.slice_of(day) for day in year.all_days()} == set(year.slices())


class TestFlow:
    def sign(self, cast: Cast, case: Case, at: datetime, version: int = 1) -> None:
        Report.objects.create(
            case=case, version=version, kind="original" if version == 1 else "amendment", content={}, pdf=b"",
            content_hash=f"{case.pk}-{version}", pdf_sha256="", signed_by=cast.pathologist.user, signed_at=at,
            signed_with="password",
        )  # fmt: skip

    def test_volumes_beside_the_period_before(self, cast: Cast) -> None:
        for days, priority, images in ((0, "urgent", 3), (1, "routine", 5), (6, "routine", 0), (8, "routine", 2)):
            cast.case(created_at=NOW - days * DAY, priority=priority, image_count=images)
        cast.case(created_at=NOW - 7 * DAY + timedelta(hours=2))  # later in the day than it is today: in neither
        cast.case(created_at=NOW - 15 * DAY)
        cast.case(created_at=NOW, laboratory=cast.elsewhere, created_by=cast.stranger.user)
        flow = dashboard.flow(laboratory=cast.laboratory, period=Period(7, NOW))
        assert (flow.now.cases, flow.now.urgent, flow.now.images) == (3, 1, 8)
        assert (flow.before.cases, flow.before.images) == (1, 2)
        assert [volume.cases for volume in flow.slices.values()] == [1, 0, 0, 0, 0, 1, 1]

    def test_turnaround_by_priority(self, cast: Cast) -> None:
        for hours in (1, 2, 3, 30):
            case = cast.case(created_at=NOW - 2 * DAY, due_at=NOW - 2 * DAY + timedelta(hours=4), priority="urgent")
            self.sign(cast, case, NOW - 2 * DAY + timedelta(hours=hours))
        self.sign(cast, case, NOW - timedelta(hours=1), version=2)
        other = cast.case(created_at=NOW - 10 * DAY, due_at=NOW - 8 * DAY)
        self.sign(cast, other, NOW - 9 * DAY)
        flow = dashboard.flow(laboratory=cast.laboratory, period=Period(7, NOW))
        urgent = flow.turnaround["urgent"]
        assert (urgent.signed, urgent.in_time, urgent.share) == (4, 3, 0.75)
        assert (urgent.median, urgent.p90) == (timedelta(hours=2), timedelta(hours=30))
        assert urgent.low < 0.75 < urgent.high
        assert flow.turnaround["routine"].signed == 0
        assert flow.turnaround["routine"].median is None
        assert flow.turnaround_before["routine"].share == 1.0
        assert (flow.now.reports, flow.now.versions, flow.before.reports) == (4, 1, 1)
        assert sum(part["urgent"].signed for part in flow.trend.values()) == 4
        assert dashboard.flow(laboratory=cast.elsewhere, period=Period(7, NOW)).empty

    def test_what_is_open_and_who_has_it(self, cast: Cast) -> None:
        first, second = cast.pathologist.user, cast.second_pathologist.user
        cast.case(held_by=first, due_at=NOW - DAY, created_at=NOW - 3 * DAY)
        held = cast.case(held_by=first, due_at=NOW + timedelta(hours=2), created_at=NOW - DAY, priority="urgent")
        cast.case(due_at=NOW + 2 * DAY, status="attention")
        signed = cast.case(status="signed", signed_at=NOW, held_by=second)
        self.sign(cast, signed, NOW - timedelta(hours=2))
        asked = {"case": held, "asked_by": first, "asked_of": second, "first_diagnosis": "normal"}
        SecondOpinion.objects.create(**asked)
        SecondOpinion.objects.create(**asked, state="answered", differs=True, ended_at=NOW - DAY)
        period = Period(7, NOW)
        now = dashboard.now(laboratory=cast.laboratory, period=period)
        assert (now.open, now.urgent, now.late, now.due_today, now.unassigned, now.attention) == (3, 1, 1, 1, 1, 1)
        assert (now.opinions_asked, now.opinions_differ) == (1, 1)
        paul, petra = dashboard.workload(laboratory=cast.laboratory, period=period)
        assert (paul.person, paul.held, paul.late, paul.oldest, paul.signed) == (first, 2, 1, 3 * DAY, 1)
        assert (petra.person, petra.held, petra.opinions_open, petra.opinions_answered) == (second, 0, 1, 1)


class TestAgreement:
    def test_each_network_beside_what_people_decided(self, cast: Cast, read: Callable[..., SmearImage]) -> None:
        decided(cast.pathologist, read("blast", "monocyte"), "blast", NOW - DAY)
        decided(cast.pathologist, read("blast"), "monocyte", NOW - DAY)
        decided(cast.pathologist, read("neutrophil"), "neutrophil", NOW - 2 * DAY, reading="neutrophil")
        read("blast")  # undecided: counts nowhere
        found = dashboard.agreement(laboratory=cast.laboratory, period=Period(7, NOW))
        both, cnn, mobilenet = found.of("cell")
        assert (both.release, cnn.release.network, mobilenet.release.network) == (None, "cnn", "mobilenet")  # type: ignore[union-attr]
        assert [(each.now.overrides, each.now.images) for each in (both, cnn, mobilenet)] == [(1, 3), (2, 3), (1, 3)]
        assert {label: (s.overrides, s.images) for label, s in cnn.classes.items()} == {
            "blast": (1, 1), "monocyte": (1, 1), "neutrophil": (0, 1),
        }  # fmt: skip
        assert cnn.pairs == [("blast", "monocyte", 1), ("monocyte", "blast", 1)]
        assert sum(each.images for each in cnn.trend.values()) == 3
        assert dashboard.agreement(laboratory=cast.elsewhere, period=Period(7, NOW)).sources == []

    def test_only_the_newest_decision_counts(self, cast: Cast, read: Callable[..., SmearImage]) -> None:
        changed, undone = read("blast"), read("blast")
        decided(cast.pathologist, changed, "monocyte", NOW - 5 * DAY)
        decided(cast.pathologist, changed, "blast", NOW - DAY)
        decided(cast.pathologist, undone, "monocyte", NOW - DAY)
        decided(cast.pathologist, undone, "", NOW, verdict="withdraw")
        both = dashboard.agreement(laboratory=cast.laboratory, period=Period(7, NOW)).of("cell")[0]
        assert (both.now.overrides, both.now.images) == (0, 1)

    def test_an_opinion_that_came_after_the_decision_was_not_overridden(
        self, cast: Cast, releases: list[ModelRelease]
    ) -> None:
        image = make_image(cast.case())
        opinion(image, releases[0], "monocyte", finished_at=NOW)
        opinion(image, releases[1], state="failed")
        decided(cast.pathologist, image, "blast", NOW - DAY, reading="")
        assert dashboard.agreement(laboratory=cast.laboratory, period=Period(7, NOW)).sources == []

    def test_a_retired_and_a_shadow_release_stay_apart(self, cast: Cast, read: Callable[..., SmearImage]) -> None:
        image = read("blast")
        old = make_release("cell", "cnn", version="0.9.0", stage="retired")
        shadow = make_release("cell", "cnn", version="3.0.0", stage="shadow")
        opinion(image, old, "monocyte", finished_at=NOW - 9 * DAY)
        opinion(image, shadow, "lymphocyte", finished_at=NOW - 9 * DAY)
        decided(cast.pathologist, image, "blast", NOW - DAY)
        sources = dashboard.agreement(laboratory=cast.laboratory, period=Period(7, NOW)).of("cell")
        assert [source.release and source.release.version for source in sources] == [
            None, "1.0.0", "1.0.0", "0.9.0", "3.0.0",
        ]  # fmt: skip
        assert [source.now.overrides for source in sources] == [0, 0, 0, 1, 1]
        assert [source.shadow for source in sources] == [False, False, False, False, True]


def day_counts(laboratory: Laboratory, since: date, until: date) -> dict[date, DayCount]:
    found, whole = tallies.day_counts(laboratory, since, until)
    assert whole
    return found


class TestTallies:
    def test_kept_counts_are_the_same_as_fresh_ones(self, cast: Cast, read: Callable[..., SmearImage]) -> None:
        now = timezone.now()
        days = (now - 40 * DAY).date(), now.date()
        images = [read("blast", "monocyte"), read("monocyte"), read("blast")]
        for number, image in enumerate(images):
            decided(cast.pathologist, image, "blast", now - (30 - number) * DAY)
        fresh = day_counts(cast.laboratory, *days)
        assert dashboard.tally(laboratory=cast.laboratory) == 3
        assert AgreementDay.objects.count() == 3
        with CaptureQueriesContext(connection) as asked:
            assert day_counts(cast.laboratory, *days) == fresh
        assert not any("diagnosis_analysis" in query["sql"] for query in asked.captured_queries)

        # What is decided afterwards is there at once, and takes the day of the decision that it replaces with it.
        decided(cast.pathologist, images[0], "monocyte", timezone.now())
        for counts in (day_counts(cast.laboratory, *days), self.everything(cast, days)):
            assert sum(each.pairs[READING, "monocyte", "blast"] for each in counts.values()) == 1
            assert sum(each.tallies[READING, "cell", ""].images for each in counts.values()) == 3
        assert dashboard.tally(laboratory=cast.laboratory) == 2
        counts = day_counts(cast.laboratory, *days)
        assert {day: each for day, each in counts.items() if each.pairs} == self.everything(cast, days)

    def everything(self, cast: Cast, days: Any) -> Any:
        kept = list(AgreementDay.objects.all())
        AgreementDay.objects.all().delete()
        counts = day_counts(cast.laboratory, *days)
        AgreementDay.objects.bulk_create(kept)
        return counts

    def test_a_count_that_was_cut_short_goes_on(self, cast: Cast, read: Callable[..., SmearImage]) -> None:
        now = timezone.now()
        for number in range(20):
            decided(cast.pathologist, read("blast"), "blast", now - number * DAY)
        dashboard.tally(laboratory=cast.laboratory)
        AgreementDay.objects.filter(day__gt=(now - 10 * DAY).date()).delete()  # as if it had been killed there
        found = dashboard.agreement(laboratory=cast.laboratory, period=Period(30, now))
        assert found.of("cell")[0].now.images == 20
        assert dashboard.tally(laboratory=cast.laboratory) < 20
        assert AgreementDay.objects.count() == 20

    def test_what_would_take_too_long_waits_for_the_worker(
        self, cast: Cast, read: Callable[..., SmearImage], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("diagnosis.dashboard.tallies._LIVE", 2)
        now = timezone.now()
        for number in range(3):
            decided(cast.pathologist, read("blast"), "blast", now - number * DAY)
        found = dashboard.agreement(laboratory=cast.laboratory, period=Period(7, now))
        assert (found.whole, found.sources) == (False, [])
        dashboard.tally(laboratory=cast.laboratory)
        found = dashboard.agreement(laboratory=cast.laboratory, period=Period(7, now))
        assert (found.whole, found.of("cell")[0].now.images) == (True, 3)

    def test_the_worker_counts_every_laboratory(self, cast: Cast, read: Callable[..., SmearImage]) -> None:
        decided(cast.pathologist, read("blast"), "blast", timezone.now())
        tally_task()
        tally_task()
        assert list(AgreementDay.objects.values_list("laboratory", flat=True)) == [cast.laboratory.pk]

    def test_history_that_was_written_late_is_counted_when_asked(
        self, cast: Cast, read: Callable[..., SmearImage]
    ) -> None:
        now = timezone.now()
        decided(cast.pathologist, read("blast"), "blast", now)
        dashboard.tally(laboratory=cast.laboratory)
        decided(cast.pathologist, read("blast"), "blast", now - 20 * DAY)
        dashboard.tally(laboratory=cast.laboratory, everything=True)
        found = dashboard.agreement(laboratory=cast.laboratory, period=Period(30, now))
        assert found.of("cell")[0].now.images == 2


class TestIntervals:
    def tally(self, *cases: tuple[int, int]) -> Tally:
        found = Tally()
        for images, overrides_ in cases:
            found.add_case(images, overrides_)
        return found

    def test_cases_that_differ_from_one_another_make_it_wide(self) -> None:
        alike = share(self.tally(*[(10, 2)] * 20))
        lumpy = share(self.tally(*[(10, 10)] * 4, *[(10, 0)] * 16))
        assert alike.value == lumpy.value == 0.2
        assert (round(alike.low, 3), round(alike.high, 3)) == (0.15, 0.261)  # Wilson for 40 of 200
        assert lumpy.low < alike.low
        assert lumpy.high > alike.high
        assert (round(lumpy.low, 2), round(lumpy.high, 2)) == (0.08, 0.42)  # about 19 images' worth

    def test_nothing_decided(self) -> None:
        assert share(Tally()) == Share(0, 0, 0, 0.0, 1.0)
        assert share(Tally()).value is None

    def test_a_change_is_told_from_chance(self) -> None:
        before, same = self.tally(*[(10, 1)] * 40), self.tally(*[(10, 1)] * 30, *[(10, 2)] * 10)
        more = self.tally(*[(10, 3)] * 40)
        small = change(share(same), share(before))
        large = change(share(more), share(before))
        assert small is not None
        assert large is not None
        assert not small.beyond_chance
        assert large.beyond_chance
        assert large.difference == pytest.approx(0.2)
        # 120 of 400 against 40 of 400 by Newcombe's method 10.
        assert (round(large.low, 3), round(large.high, 3)) == (0.146, 0.253)
        assert change(share(self.tally((100, 90))), share(before)) is None


class TestOverrides:
    def rows(self, actor: Actor, **by: Any) -> list[tuple[int, str, str]]:
        found = overrides(actor=actor, period=Period(7, NOW), task="cell", **by)
        assert found.older is None
        return [(row.decision.image_id, row.said, row.decision.label) for row in found.rows]

    def test_the_images_behind_a_share(
        self, cast: Cast, read: Callable[..., SmearImage], releases: list[ModelRelease]
    ) -> None:
        mobilenet, cnn = releases
        one, two, three = read("blast", "monocyte"), read("blast"), read("blast")
        decided(cast.pathologist, one, "blast", NOW - DAY)
        decided(cast.pathologist, two, "monocyte", NOW - 2 * DAY)
        decided(cast.pathologist, three, "lymphocyte", NOW - 20 * DAY)
        assert self.rows(cast.pathologist, source=READING) == [(two.pk, "blast", "monocyte")]
        assert self.rows(cast.administrator, source=cnn.pk) == [
            (two.pk, "blast", "monocyte"), (one.pk, "monocyte", "blast"),
        ]  # fmt: skip
        assert self.rows(cast.pathologist, source=cnn.pk, decided_as="blast") == [(one.pk, "monocyte", "blast")]
        assert self.rows(cast.pathologist, source=cnn.pk, said_as="blast") == [(two.pk, "blast", "monocyte")]
        assert self.rows(cast.pathologist, source=mobilenet.pk, said_as="monocyte") == []
        assert self.rows(cast.stranger, source=READING) == []
        with pytest.raises(PermissionDenied):
            self.rows(cast.technician, source=READING)

    def test_pages_go_on_where_the_last_one_ended(
        self, cast: Cast, read: Callable[..., SmearImage], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in (("PAGE", 2), ("_CHUNK", 3), ("_LOOKED_AT", 4)):
            monkeypatch.setattr(f"diagnosis.dashboard.images.{name}", value)
        for label in ("blast", "monocyte", "blast", "blast", "blast", "blast", "monocyte", "monocyte"):
            decided(cast.pathologist, read("blast"), label, NOW - DAY)
        sizes, before = [], None
        for _ in range(9):
            found = overrides(actor=cast.pathologist, period=Period(7, NOW), source=READING, task="cell", before=before)
            sizes.append(len(found.rows))
            before = found.older
            if before is None:
                break
        assert sum(sizes) == 3
        assert max(sizes) == 2

    def test_whoever_is_to_judge_blind_sees_nothing_of_the_case(
        self, cast: Cast, read: Callable[..., SmearImage]
    ) -> None:
        image = read("blast")
        decided(cast.pathologist, image, "monocyte", NOW - DAY)
        SecondOpinion.objects.create(
            case=image.case, asked_by=cast.pathologist.user, asked_of=cast.second_pathologist.user,
            first_diagnosis="normal",
        )  # fmt: skip
        assert self.rows(cast.second_pathologist, source=READING) == []
        assert len(self.rows(cast.pathologist, source=READING)) == 1


class TestMachine:
    def test_queue_workers_and_mails(self, cast: Cast, releases: list[ModelRelease]) -> None:
        now = timezone.now()
        image = make_image(cast.case())
        opinion(image, releases[0], state="queued", queued_at=now - timedelta(minutes=10))
        opinion(image, releases[1], state="failed")
        opinion(make_image(cast.case()), releases[0], "blast", queued_at=now - timedelta(minutes=2), finished_at=now)
        WorkerSeen.objects.create(name="w1", engine="onnxruntime cpu", seen_at=now)
        WorkerSeen.objects.create(name="w2", seen_at=now - timedelta(hours=1))
        for state in ("waiting", "sent", "failed"):
            OutgoingMail.objects.create(
                laboratory=cast.laboratory, to="x@example.org", subject="s", body="b", state=state
            )
        found = dashboard.machine(laboratory=cast.laboratory, period=Period(7, now))
        assert (found.waiting, found.running, found.failed, found.alive) == (1, 0, 1, 1)
        assert found.oldest == timedelta(minutes=10)
        assert (found.mails_waiting, found.mails_failed) == (1, 1)
        assert [hour.opinions for hour in found.hours] == [0] * 23 + [1]
        assert found.hours[-1].waited == timedelta(minutes=2)
        assert not found.stuck
        WorkerSeen.objects.all().delete()
        assert dashboard.machine(laboratory=cast.laboratory, period=Period(7, now)).stuck
        elsewhere = dashboard.machine(laboratory=cast.elsewhere, period=Period(7, now))
        assert (elsewhere.failed, elsewhere.mails_failed) == (0, 0)


def test_no_figure_asks_more_the_more_there_is(cast: Cast, read: Callable[..., SmearImage]) -> None:
    period = Period(90, timezone.now())

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            for figure in (dashboard.flow, dashboard.now, dashboard.agreement, dashboard.workload, dashboard.machine):
                figure(laboratory=cast.laboratory, period=period)
        return len(queries)

    decided(cast.pathologist, read("blast"), "blast", timezone.now())
    few = asked()
    assert few <= 24
    for number in range(40):
        decided(cast.pathologist, read("blast", "monocyte"), "monocyte", timezone.now() - number * DAY)
    assert asked() == few
    dashboard.tally(laboratory=cast.laboratory)
    assert asked() <= few + 1
    assert Analysis.objects.count() == 82
