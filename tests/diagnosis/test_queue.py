"""The queue of record: who may claim what, what counts once, and what is found again after a loss."""

from __future__ import annotations

import re
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import close_old_connections, connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from diagnosis import assessment, queue, watching
from diagnosis.models import Analysis, Case, ModelRelease, SmearImage, WorkerSeen
from tests.cast import Cast
from tests.smears import make_image, make_release

State = Analysis.State

RESULT = queue.Result(
    probabilities={"blast": 0.9, "lymphocyte": 0.1}, malignant=0.9, novelty=0.2, novel=False,
    activation=b"\x00\x01", activation_shape=[2, 1, 1], seconds=0.05, engine="test",
)  # fmt: skip


@pytest.fixture
def refreshed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The cases that were reassessed, in order."""
    cases: list[int] = []
    monkeypatch.setattr(assessment, "refresh", cases.append)
    return cases


@pytest.fixture
def wakes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages each call for workers asked for."""
    sent: list[int] = []
    monkeypatch.setattr(queue, "wake_workers", lambda messages=1: sent.append(messages))
    return sent


@pytest.fixture(autouse=True)
def networks(request: pytest.FixtureRequest) -> list[ModelRelease]:
    request.getfixturevalue("transactional_db" if "transactional_db" in request.fixturenames else "db")
    return [make_release("cell", "cnn"), make_release("cell", "mobilenet")]


@pytest.fixture
def case(cast: Cast) -> Case:
    return cast.case()


def waiting(case: Case, images: int) -> list[SmearImage]:
    rows = [make_image(case) for _ in range(images)]
    for image in rows:
        queue.enqueue(image)
    return rows


def states() -> Counter[str]:
    return Counter(Analysis.objects.values_list("state", flat=True))


def lose(batch: queue.Batch) -> None:
    """The worker of `batch` died: its lease ends without a result."""
    Analysis.objects.filter(lease_token=batch.token).update(leased_until=timezone.now() - timedelta(seconds=1))


# -- into the queue -------------------------------------------------------------------------------------------


def test_an_image_is_asked_of_each_reading_release_once(case: Case) -> None:
    shadow, retired = make_release(version="2", stage="shadow"), make_release(version="0", stage="retired")
    make_release("field", "cnn")
    image = make_image(case)
    assert {a.release_id for a in queue.enqueue(image)} == {
        *ModelRelease.objects.filter(task="cell", stage="active").values_list("id", flat=True), shadow.pk
    }  # fmt: skip
    assert len(queue.enqueue(image)) == 3
    assert Analysis.objects.count() == 3
    assert not retired.analyses.exists()


def test_a_corrected_kind_withdraws_what_nobody_has_begun(case: Case) -> None:
    field = make_release("field", "cnn")
    image = make_image(case)
    queue.enqueue(image)
    begun = queue.claim(worker="w", limit=1).analyses
    other = make_image(case)
    queue.enqueue(other)
    SmearImage.objects.update(kind="field")
    for row in SmearImage.objects.all():
        queue.enqueue(row)
    assert set(Analysis.objects.filter(image=image).values_list("release__task", "state")) == {
        ("cell", State.RUNNING), ("field", State.QUEUED)
    }  # fmt: skip
    assert list(other.analyses.values_list("release", flat=True)) == [field.pk]
    assert {a.image_id for a in begun} == {image.pk}


def test_a_thousand_uploads_send_one_message(
    case: Case, wakes: list[int], django_capture_on_commit_callbacks: object
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        waiting(case, 50)
    assert sum(wakes) == 1
    queue.claim(worker="w", limit=1_000)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        waiting(case, 3)
    assert sum(wakes) == 2, "what came after the queue was emptied needs a wake of its own"


# -- claims ---------------------------------------------------------------------------------------------------


def test_a_claim_takes_urgent_cases_first_then_the_oldest_with_both_networks_together(cast: Cast, case: Case) -> None:
    first, second = waiting(case, 2)
    (urgent,) = waiting(cast.case(priority="urgent"), 1)
    order = [queue.claim(worker="w", limit=1) for _ in range(3)]
    assert [{a.image_id for a in batch.analyses} for batch in order] == [{urgent.pk}, {first.pk}, {second.pk}]
    assert all(len(batch.analyses) == 2 for batch in order), "an image's analyses travel together"
    assert queue.claim(worker="w").analyses == ()


def test_batches_grow_with_what_waits_up_to_the_limit(case: Case, settings: object) -> None:
    settings.ANALYSIS_BATCH_MAX = 8  # type: ignore[attr-defined]
    waiting(case, 1)
    assert len(queue.claim(worker="w").analyses) == 2
    waiting(case, 7)
    assert [len(queue.claim(worker="w").analyses) for _ in range(3)] == [8, 6, 0]


def test_a_claim_is_a_lease(case: Case, settings: object) -> None:
    waiting(case, 1)
    before = timezone.now()
    batch = queue.claim(worker="host:7")
    (analysis, _) = Analysis.objects.all()
    assert (analysis.state, analysis.worker, analysis.lease_token) == (State.RUNNING, "host:7", batch.token)
    assert analysis.attempts == 1
    assert analysis.leased_until is not None
    lease = (analysis.leased_until - before).total_seconds()
    assert 0 <= lease - settings.ANALYSIS_LEASE < 5  # type: ignore[attr-defined]
    Analysis.objects.update(leased_until=before)
    assert queue.renew(batch_token=batch.token) == 2
    assert not Analysis.objects.filter(leased_until=before).exists()


@pytest.mark.django_db(transaction=True)
def test_racing_workers_never_share_an_analysis(cast: Cast) -> None:
    images = waiting(cast.case(), 40)
    claimed: list[int] = []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        close_old_connections()
        try:
            start.wait()
            while analyses := queue.claim(worker=f"w{number}", limit=6).analyses:
                claimed.extend(analysis.pk for analysis in analyses)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(claimed) == len(set(claimed)) == 2 * len(images)
    assert set(Analysis.objects.values_list("attempts", flat=True)) == {1}


# -- results --------------------------------------------------------------------------------------------------


def test_a_result_is_recorded_once(case: Case) -> None:
    waiting(case, 1)
    batch = queue.claim(worker="w")
    one, other = batch.analyses
    assert queue.complete(batch_token=batch.token, analysis_id=one.pk, result=RESULT)
    assert not queue.complete(batch_token=batch.token, analysis_id=one.pk, result=RESULT)
    assert not queue.complete(batch_token=uuid.uuid4(), analysis_id=other.pk, result=RESULT)
    one.refresh_from_db()
    assert (one.state, one.malignant, one.activation_shape, one.lease_token) == (State.DONE, 0.9, [2, 1, 1], None)
    assert bytes(one.activation or b"") == b"\x00\x01"
    assert one.finished_at is not None


def test_a_result_under_a_lost_lease_is_refused(case: Case) -> None:
    waiting(case, 1)
    slow = queue.claim(worker="slow")
    lose(slow)
    assert queue.sweep().reclaimed == 2
    quick = queue.claim(worker="quick")
    ids = [a.pk for a in slow.analyses]
    assert not any(queue.complete(batch_token=slow.token, analysis_id=pk, result=RESULT) for pk in ids)
    assert queue.fail(batch_token=slow.token, analysis_ids=ids, error="late", final=True) == 0
    assert queue.release(batch_token=slow.token, analysis_ids=ids) == 0
    assert all(queue.complete(batch_token=quick.token, analysis_id=pk, result=RESULT) for pk in ids)
    assert states() == {State.DONE: 2}


# -- failures -------------------------------------------------------------------------------------------------


def test_a_failure_is_tried_again_alone_and_later_until_attempts_are_used_up(
    case: Case, settings: object, refreshed: list[int], django_capture_on_commit_callbacks: object
) -> None:
    settings.ANALYSIS_MAX_ATTEMPTS, settings.ANALYSIS_RETRY_DELAY = 3, 10  # type: ignore[attr-defined]
    image, neighbour = waiting(case, 2)
    delays = []
    for attempt in range(3):
        batch = queue.claim(worker="w")
        assert {a.image_id for a in batch.analyses} == ({image.pk, neighbour.pk} if attempt == 0 else {image.pk})
        now = timezone.now()
        with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
            for analysis in batch.analyses:
                if analysis.image_id == image.pk:
                    assert queue.fail(batch_token=batch.token, analysis_ids=[analysis.pk], error="The reader stumbled.")
                else:
                    queue.complete(batch_token=batch.token, analysis_id=analysis.pk, result=RESULT)
        assert refreshed == ([] if attempt < 2 else [case.pk] * 2)
        first = image.analyses.order_by("id")[0]
        assert queue.claim(worker="w").analyses == (), "not before its delay"
        delays.append(round((first.not_before - now).total_seconds()))
        Analysis.objects.update(not_before=now)
    assert delays[:2] == [10, 20]
    assert set(image.analyses.values_list("state", "error")) == {(State.FAILED, "The reader stumbled.")}
    assert set(neighbour.analyses.values_list("state", "attempts")) == {(State.DONE, 1)}


def test_a_final_failure_fails_at_once(case: Case) -> None:
    waiting(case, 1)
    batch = queue.claim(worker="w")
    for analysis in batch.analyses:
        queue.fail(batch_token=batch.token, analysis_ids=[analysis.pk], error="Not a picture.", final=True)
    assert states() == {State.FAILED: 2}
    assert set(case.audit_events.values_list("action", flat=True)) >= {"image.failed"}


def test_work_handed_back_keeps_its_attempts(case: Case) -> None:
    waiting(case, 2)
    batch = queue.claim(worker="w")
    rest = [a.pk for a in batch.analyses[2:]]
    assert queue.release(batch_token=batch.token, analysis_ids=rest) == 2
    again = queue.claim(worker="w")
    assert [a.pk for a in again.analyses] == rest
    assert {a.attempts for a in again.analyses} == {1}


# -- losses ---------------------------------------------------------------------------------------------------


def test_a_picture_that_kills_its_worker_fails_alone(case: Case, settings: object, refreshed: list[int]) -> None:
    settings.ANALYSIS_MAX_ATTEMPTS = 3  # type: ignore[attr-defined]
    images = waiting(case, 5)
    poison = images[2]
    deaths = 0
    for _ in range(30):
        batch = queue.claim(worker="w")
        if not batch.analyses:
            break
        if poison.pk in {a.image_id for a in batch.analyses}:
            deaths += 1
            if deaths > 1:
                assert {a.image_id for a in batch.analyses} == {poison.pk}
            lose(batch)
            queue.sweep()
        else:
            for analysis in batch.analyses:
                assert queue.complete(batch_token=batch.token, analysis_id=analysis.pk, result=RESULT)
    assert deaths == 3
    assert states() == {State.DONE: 8, State.FAILED: 2}
    assert {a.error for a in poison.analyses.all()} == {
        "The reading process ended 3 times while it read this picture, the last times with nothing beside it. "
        "Open the picture to check it, then retry or upload it again."
    }


def test_a_suspect_in_the_midst_of_the_queue_is_left_out_of_the_batch(case: Case) -> None:
    first, suspect, last = waiting(case, 3)
    Analysis.objects.filter(image=suspect).update(alone=True)
    batches = [{a.image_id for a in queue.claim(worker="w").analyses} for _ in range(3)]
    assert batches == [{first.pk, last.pk}, {suspect.pk}, set()]


def test_an_attempt_among_neighbours_is_never_the_last(case: Case, settings: object) -> None:
    settings.ANALYSIS_MAX_ATTEMPTS = 1  # type: ignore[attr-defined]
    waiting(case, 3)
    lose(queue.claim(worker="w"))
    swept = queue.sweep()
    assert (swept.reclaimed, swept.exhausted, swept.waiting) == (6, 0, 6)


def test_sweep_leaves_living_leases_alone_and_wakes_for_what_waits(
    case: Case, wakes: list[int], settings: object
) -> None:
    settings.ANALYSIS_BATCH_MAX = 4  # type: ignore[attr-defined]
    assert queue.sweep() == queue.Swept(0, 0, 0)
    assert wakes == []
    waiting(case, 10)
    queue.claim(worker="a:1")
    for number in range(3):
        watching.heartbeat(worker=f"a:{number}", engine="onnxruntime cpu")
    assert queue.sweep() == queue.Swept(reclaimed=0, exhausted=0, waiting=16)
    assert wakes == [3], "one message for each worker seen, and no more than there are batches"


def test_leases_of_a_dead_process_are_taken_back_before_they_end(case: Case) -> None:
    waiting(case, 2)
    queue.claim(worker="host:1", limit=2)
    queue.claim(worker="host:2", limit=2)
    assert queue.reclaim_from({"host:1"}) == 2
    assert set(Analysis.objects.values_list("worker", "state")) == {("host:1", "queued"), ("host:2", "running")}


# -- people ---------------------------------------------------------------------------------------------------


def test_a_person_retries_what_failed(cast: Cast, case: Case, wakes: list[int], refreshed: list[int],
                                      django_capture_on_commit_callbacks: object) -> None:  # fmt: skip
    (image,) = waiting(case, 1)
    batch = queue.claim(worker="w")
    one, other = batch.analyses
    queue.complete(batch_token=batch.token, analysis_id=one.pk, result=RESULT)
    queue.fail(batch_token=batch.token, analysis_ids=[other.pk], error="x", final=True)
    with pytest.raises(PermissionDenied):
        queue.retry(actor=cast.administrator, image=image)
    wakes.clear()
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        assert queue.retry(actor=cast.technician, image=image) == 1
        assert queue.retry(actor=cast.technician, image=image) == 0
    assert wakes == [1]
    assert refreshed[-1] == case.pk
    one.refresh_from_db()
    other.refresh_from_db()
    assert (one.state, other.state, other.attempts, other.error) == (State.DONE, State.QUEUED, 0, "")
    assert case.audit_events.filter(action="image.retried").count() == 1
    waiting(case, 1)
    assert {a.image_id for a in queue.claim(worker="w").analyses} == {image.pk}, "a suspect stays alone"


# -- what is seen ---------------------------------------------------------------------------------------------


def test_counts(case: Case) -> None:
    assert watching.counts() == watching.QueueCounts(0, 0, 0, 0.0)
    waiting(case, 3)
    batch = queue.claim(worker="w", limit=4)
    queue.complete(batch_token=batch.token, analysis_id=batch.analyses[0].pk, result=RESULT)
    queue.fail(batch_token=batch.token, analysis_ids=[batch.analyses[1].pk], error="x", final=True)
    Analysis.objects.filter(state=State.QUEUED).update(queued_at=timezone.now() - timedelta(seconds=90))
    # What has ended keeps nobody waiting, however long ago it was asked for.
    ended = Analysis.objects.filter(state__in=(State.DONE, State.FAILED))
    assert ended.update(queued_at=timezone.now() - timedelta(days=9)) == 2
    seen = watching.counts()
    assert (seen.queued, seen.running, seen.failed) == (2, 2, 1)
    assert 89 < seen.oldest_seconds < 100


def planned(sql: str) -> str:
    """How the database would go about it, had it many rows."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # with four rows a planner would read them all
        cursor.execute(f"EXPLAIN {'' if connection.vendor == 'postgresql' else 'QUERY PLAN '}{sql}")
        return " ".join(str(row) for row in cursor.fetchall())


def test_counting_reads_nothing_that_is_done(case: Case) -> None:
    waiting(case, 2)
    with CaptureQueriesContext(connection) as asked:
        watching.counts()
    (sql,) = (query["sql"] for query in asked)
    plan = planned(sql)
    assert "analysis_by_state" in plan
    assert not re.search(r"Seq Scan|SCAN diagnosis_analysis", plan), plan
    assert "done" not in sql


def test_workers_that_live_are_seen(db: None) -> None:
    watching.heartbeat(worker="w", engine="")
    watching.heartbeat(worker="w", engine="torch cuda")
    for name, seconds in (("gone", 60), ("forgotten", 90_000)):
        watching.heartbeat(worker=name, engine="torch cuda")
        WorkerSeen.objects.filter(name=name).update(seen_at=timezone.now() - timedelta(seconds=seconds))
    assert watching.workers_seen() == 1
    assert WorkerSeen.objects.get(name="w").engine == "torch cuda"
    queue.sweep()
    assert set(WorkerSeen.objects.values_list("name", flat=True)) == {"w", "gone"}
    watching.farewell(worker="w")
    assert watching.workers_seen() == 0


def test_a_claim_costs_the_same_for_many_as_for_few(case: Case, django_assert_max_num_queries: object) -> None:
    waiting(case, 30)
    with django_assert_max_num_queries(5):  # type: ignore[operator]
        assert len(queue.claim(worker="w", limit=60).analyses) == 60


@pytest.fixture(autouse=True)
def _no_messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where a test does not look at wakes they go nowhere."""
    monkeypatch.setattr(queue, "wake_workers", lambda messages=1: True)
    return
