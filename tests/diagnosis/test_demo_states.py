"""What the demo shows: every state that a case can be in, reached by the steps themselves, and the weeks behind."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Laboratory
from diagnosis import analysis, audit, dashboard, queue, second_opinion, signout
from diagnosis.blinding import is_blinded
from diagnosis.management.demo import cases, demo_actor, history, loading, make_people, people
from diagnosis.management.demo.clock import clock_at
from diagnosis.models import Analysis, Case, Notice, Report
from diagnosis.reporting.pdf import PROOFS
from mlcore import phantom
from tests.diagnosis.test_analysis import Reader, reader  # noqa: F401

pytestmark = pytest.mark.django_db
SITE = "http://127.0.0.1:8000"


@pytest.fixture
def demo(reader: Reader, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """The demo's loader with two pictures a case, three days behind it, and a worker that reads while it waits."""
    settings.MEDIA_ROOT = settings.VAR = tmp_path
    monkeypatch.setattr(people, "CREDENTIALS", tmp_path / "credentials.json")
    monkeypatch.setattr(loading, "PROGRESS", tmp_path / "progress.json")
    monkeypatch.setattr(loading, "write_samples", lambda folder: 0)
    monkeypatch.setattr(loading.time, "sleep", worker)
    monkeypatch.setattr(history, "plan", lambda real=history.plan: real()[-6:])
    monkeypatch.setattr(cases, "phantom", Phantom)
    monkeypatch.setattr(history, "phantom", Phantom)
    make_people(SITE)


class Phantom:
    """Two small pictures for each story and seed."""

    RenderedImage = phantom.RenderedImage

    @staticmethod
    def rendered_smear(story: str, *, seed: int) -> list[phantom.RenderedImage]:
        images = []
        for number, label in enumerate([*phantom.STORIES[story], *phantom.STORIES[story]][:2]):
            kind, file = "field" if label in phantom.FIELDS else "cell", io.BytesIO()
            draw = phantom.render_field if kind == "field" else phantom.render_cell
            size: Any = (160, 120) if kind == "field" else 64
            phantom.save_rendered(draw(label, seed=1000 * seed + number, size=size), file, kind=kind)
            images.append(phantom.RenderedImage(f"{kind}-{number}.jpg", file.getvalue(), kind, label))
        return images


def worker(seconds: float = 1.0) -> None:
    """Reads all that waits; what went wrong is tried again at once."""
    while analysis.run_batch(worker="tests"):
        Analysis.objects.filter(state="queued").update(not_before=timezone.now())


def case(number: int) -> Case:
    found = cases.found(number)
    assert found is not None
    return found


def by_state(state: str) -> Case:
    return case(next(number for number, each in enumerate(cases.CASES, start=1) if each.state == state))


def test_every_state_is_there(demo: None) -> None:
    lines = list(loading.load(SITE))
    worker()
    assert not [line for line in lines if "left as it is" in line]
    here = Case.objects.filter(laboratory__slug="demo", accession_number__regex=r"-028\d\d$")
    assert here.count() == len(cases.CASES)
    assert set(here.values_list("status", flat=True)) >= {
        "received", "attention", "ready", "in_review", "reviewed", "signed",
    }  # fmt: skip
    pathologist, second = demo_actor(people.PATHOLOGIST), demo_actor(people.SECOND)

    first = case(1)
    assert (first.status, first.priority, first.held_by, first.is_closed) == ("ready", "urgent", None, False)
    assert first.clinical.platelets == 21
    assert by_state("in_review").held_by == second.user
    assert by_state("in_review").status == "in_review"
    ready = by_state("reviewed")
    assert ready.held_by == pathologist.user
    assert signout.missing(ready, actor=pathologist) == []
    assert is_blinded(actor=pathologist, case=by_state("asked"))
    differ = by_state("differ")
    assert second_opinion.blocking(differ)
    assert second_opinion.adjudicator_role(pathologist, differ, second_opinion.of_case(differ)) != ""
    kinds = {
        state: list(by_state(state).reports.order_by("version").values_list("kind", flat=True))
        for state in ("signed", "amended", "addendum")
    }
    assert kinds == {"signed": ["original"], "amended": ["original", "amendment"], "addendum": ["original", "addendum"]}
    assert set(Report.objects.values_list("signed_with", flat=True)) == {"demo"}
    assert PROOFS["demo"].startswith("nobody")
    assert Report.objects.first().content["comment"].endswith("no person stands behind them.")  # type: ignore[union-attr]
    late = [each for each in here if each.due_at < timezone.now() and not each.is_closed]
    assert late
    assert all(audit.verify(case=each) == [] for each in Case.objects.all())


def test_the_weeks_behind_are_in_the_figures(demo: None) -> None:
    list(loading.load(SITE))
    past = Case.objects.filter(accession_number__regex=r"-027\d\d$")
    assert past.count() == 6
    now = timezone.now()
    for each in past:
        assert each.status == "signed"
        assert each.created_at < now - timedelta(days=1)
        assert each.created_at < each.signed_at < now  # type: ignore[operator]
        times = list(each.audit_events.order_by("sequence").values_list("at", flat=True))
        assert times == sorted(times)
        assert audit.verify(case=each) == []
    assert not Analysis.objects.filter(image__case__in=past, finished_at__gt=now - timedelta(hours=20)).exists()
    assert not Notice.objects.filter(case__in=past).exists()
    laboratory = Laboratory.objects.get(slug="demo")
    period = dashboard.Period(30, now)
    assert dashboard.flow(laboratory=laboratory, period=period).now.reports == 6 + 3
    assert dashboard.agreement(laboratory=laboratory, period=period).sources


def test_a_second_start_changes_nothing_and_a_newcomer_is_never_overruled(demo: None) -> None:
    lines = loading.load(SITE)
    for line in lines:
        if line.startswith(f"{cases.accession(len(cases.CASES))}"):
            break  # stopped before anything was brought into its state
    worker()
    reviewed, newcomer = by_state("reviewed"), demo_actor(people.PATHOLOGIST)
    signed = by_state("signed")
    signout.save_draft(actor=newcomer, case=signed, expected_revision=0, diagnosis="normal", comment="Mine.")
    later = list(loading.load(SITE))
    assert f"{reviewed.accession_number}: reviewed" in later
    assert by_state("signed").report_version == 1
    events = Case.objects.get(pk=reviewed.pk).audit_events.count()
    counted = (Case.objects.count(), Report.objects.count(), events)
    assert list(loading.load(SITE)) == []
    assert (Case.objects.count(), Report.objects.count(), events) == counted


def test_the_clock_is_set_back_and_forth() -> None:
    then = timezone.now() - timedelta(days=9)
    with clock_at(then):
        assert timedelta() <= timezone.now() - then < timedelta(seconds=5)
        assert Case().created_at - then < timedelta(seconds=5)
        with clock_at(then - timedelta(days=1)):
            assert timezone.now() < then
    assert timezone.now() - then > timedelta(days=8)


def test_history_is_spread_over_weeks() -> None:
    plan = history.plan()
    assert 30 <= len(plan) <= 60
    assert plan == history.plan()
    assert {each.opinion for each in plan} == {"", "same", "differs"}
    assert sum(each.opinion != "" for each in plan) >= 10
    assert any(each.amended for each in plan)
    assert all(each.took < each.opened for each in plan)


def test_only_what_waits_in_one_case_is_claimed(demo: None) -> None:
    list(cases.load_cases())
    wanted = case(4)
    batch = queue.claim(worker="tests", case=wanted)
    assert {each.image.case_id for each in batch.analyses} == {wanted.pk}
