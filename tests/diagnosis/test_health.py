"""/healthz, /readyz and /metrics: what probes and Prometheus are told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from diagnosis import health, queue, registry, watching
from diagnosis.models import Analysis
from mlcore.bundle import BundleError
from tests.cast import Cast
from tests.diagnosis.test_queue import RESULT
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


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_only_looking_is_allowed(client: Client, db: None, path: str) -> None:
    assert client.post(path).status_code == 405
