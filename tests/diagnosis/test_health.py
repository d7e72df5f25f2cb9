"""/healthz, /readyz and /metrics: what probes and Prometheus are told."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from diagnosis import health, queue, registry, watching
from diagnosis.models import Analysis, ModelRelease, ReadingTally
from mlcore.bundle import BundleError
from tests.cast import Cast
from tests.diagnosis.test_queue import RESULT, planned
from tests.smears import make_image, make_release


def test_healthz_asks_nobody(client: Client) -> None:
    # No database mark on this test: a query would raise.
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


@pytest.fixture
def loadable(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the bundles that this machine has."""
    names = {"field-cnn", "cell-cnn"}

    def bundle_of(release: object) -> None:
        if release.bundle not in names:  # type: ignore[attr-defined]
            raise BundleError("altered")

    monkeypatch.setattr(registry, "bundle_of", bundle_of)
    health._verified.cache_clear()
    return names


def test_readyz_names_each_part_that_is_missing(client: Client, db: None, loadable: set[str]) -> None:
    make_release("cell", "cnn")
    first = client.get("/readyz")
    assert first.status_code == 503
    assert {name: part["ok"] for name, part in first.json().items() if name != "ready"} == {
        "database": True, "broker": True, "workers": False, "models": False
    }  # fmt: skip
    assert "field" in first.json()["models"]["detail"]

    make_release("field", "cnn")
    watching.heartbeat(worker="w:1", engine="onnxruntime cpu")
    assert client.get("/readyz").json()["ready"] is True

    loadable.remove("field-cnn")
    health._verified.cache_clear()
    last = client.get("/readyz")
    assert last.status_code == 503
    assert last.json()["models"] == {
        "ok": False, "detail": "not on this machine: field cnn 1.0.0; run manage.py register_models after an update"
    }  # fmt: skip


def test_readyz_says_that_the_broker_is_gone_without_its_address(
    client: Client, db: None, loadable: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from config.celery import app

    monkeypatch.setattr(app.conf, "broker_write_url", "redis://:a-secret@127.0.0.1:1/0")
    answer = client.get("/readyz")
    assert answer.json()["broker"]["ok"] is False
    assert b"secret" not in answer.content
    assert b"127.0.0.1" not in answer.content


def test_metrics_are_counted_from_the_database(
    client: Client, cast: Cast, django_assert_max_num_queries: object
) -> None:
    make_release("cell", "cnn")
    make_release("cell", "mobilenet")
    case = cast.case()
    for _ in range(4):
        queue.enqueue(make_image(case))
    batch = queue.claim(worker="w", limit=4)
    for analysis in batch.analyses[:3]:
        queue.complete(batch_token=batch.token, analysis_id=analysis.pk, result=RESULT)
    queue.fail(batch_token=batch.token, analysis_ids=[batch.analyses[3].pk], error="x", final=True)
    Analysis.objects.filter(state="queued").update(queued_at=timezone.now() - timedelta(seconds=77))
    watching.heartbeat(worker="w:1", engine="")

    with django_assert_max_num_queries(8):  # type: ignore[operator]
        answer = client.get("/metrics")
    assert answer.status_code == 200
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }
    assert samples["leukolens_queue_depth", ("state", "queued")] == 4
    assert samples["leukolens_queue_depth", ("state", "running")] == 0
    assert 77 <= samples["leukolens_queue_oldest_seconds",] < 90
    assert samples["leukolens_workers_seen",] == 1
    outcomes = {
        (dict(labels)["network"], dict(labels)["outcome"]): value
        for (name, *labels), value in samples.items()
        if name == "leukolens_analyses"
    }
    assert outcomes == {("cnn", "done"): 2, ("mobilenet", "done"): 1, ("mobilenet", "failed"): 1}
    reading = (
        "leukolens_image_seconds",
        ("network", "cnn"),
        ("phase", "reading"),
        ("quantile", "0.5"),
        ("task", "cell"),
    )
    assert samples[reading] == pytest.approx(RESULT.seconds)


def test_what_was_read_is_counted_on_and_never_twice(cast: Cast) -> None:
    now = timezone.now()
    image_case, release, other = cast.case(), make_release("cell", "cnn"), make_release("cell", "mobilenet")

    def done(ago: timedelta, *releases: ModelRelease) -> None:
        image = make_image(image_case)
        for each in releases:
            Analysis.objects.create(image=image, release=each, state="done", finished_at=now - ago)

    done(timedelta(days=3), release)
    done(timedelta(hours=1), release, other)
    done(timedelta(minutes=1), release)
    expected = {release.pk: 3, other.pk: 1}
    assert watching.done_by_release() == expected
    for _ in range(2):
        watching.tally_done()
        assert watching.done_by_release() == expected
    assert {tally.release_id: tally.done for tally in ReadingTally.objects.all()} == {release.pk: 2, other.pk: 1}
    # Committed a little late, by a release that came after the tally, and then left behind by the next one.
    late = make_release("field", "cnn")
    done(timedelta(minutes=5), release, late)
    expected = {release.pk: 4, other.pk: 1, late.pk: 1}
    assert watching.done_by_release() == expected
    ReadingTally.objects.update(until=now - timedelta(days=2), done=1)  # as it was the day before yesterday
    ReadingTally.objects.filter(release=other).update(done=0)
    watching.tally_done()
    assert watching.done_by_release() == expected
    assert ReadingTally.objects.count() == 3


def test_counting_what_was_read_leaves_the_tallied_alone(cast: Cast) -> None:
    make_release("cell", "cnn")
    watching.tally_done()
    with CaptureQueriesContext(connection) as asked:
        watching.done_by_release()
    (sql,) = (query["sql"] for query in asked if "diagnosis_analysis" in query["sql"])
    plan = planned(sql)
    assert "analysis_by_state" in plan
    assert re.search(r"finished_at *>", plan), plan


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_only_looking_is_allowed(client: Client, db: None, path: str) -> None:
    assert client.post(path).status_code == 405
