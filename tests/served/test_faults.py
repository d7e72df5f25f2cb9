"""What happens to work when processes and servers die: every image ends read exactly once by each network."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter

import pytest
import redis as redis_client

from tests.served.conftest import POISONED, SLOW, Stage
from tests.smears import picture

pytestmark = pytest.mark.served


def test_a_worker_killed_in_mid_batch_loses_nothing(stage: Stage) -> None:
    """The other worker is up already, so nothing but the end of the lease tells that the work is free again."""
    seeded = stage.seed(60)
    stage.portal.start_beat()
    stage.portal.start_worker("left", *SLOW, SLOW_PASS="0.5")
    stage.portal.start_worker("right", *SLOW, SLOW_PASS="0.5")
    held: list[str] = []

    def left_holds_some() -> bool:
        rows = stage.ask("SELECT worker, state FROM diagnosis_analysis WHERE state IN ('running', 'done')")
        names = {worker for worker, state in rows if state == "running"}
        held[:] = sorted(name for name in names if rows.count((name, "running")) >= 8 and (name, "done") in rows)
        return len(names) == 2 and bool(held)

    stage.portal.wait_for(left_holds_some, "two workers in mid-batch", every=0.02)
    child = int(held[0].split(":")[1])
    name = next(n for n, p in stage.portal.processes.items() if n != "beat" and os.getpgid(child) == p.pid)
    stage.portal.kill(name, signal.SIGKILL)
    lost = stage.ask("SELECT count(*) FROM diagnosis_analysis WHERE state = 'running' AND worker = %s", held[0])[0][0]
    assert lost >= 8, "it died with work in its hands"

    stage.assert_each_read_once(seeded.images)
    attempts = Counter(dict(stage.ask("SELECT attempts, count(*) FROM diagnosis_analysis GROUP BY attempts")))
    assert attempts == {1: 120 - lost, 2: lost}, "only what the dead worker held was begun again"
    assert stage.ask("SELECT count(*) FROM diagnosis_analysis WHERE alone") == [(lost,)]


def test_redis_flushed_and_restarted_while_hundreds_wait(stage: Stage) -> None:
    seeded = stage.seed(200)
    stage.portal.start_beat()
    stage.portal.start_worker("one", *SLOW, SLOW_PASS="0.1")
    stage.wait_until("some work", done=20)
    stage.redis.flush()
    stage.wait_until("work after the flush", done=100)
    assert stage.states()["queued"] > 100
    stage.redis.restart()
    stage.assert_each_read_once(seeded.images)

    # And the messages flow again: what comes now is begun at once, not by the sweep alone.
    more = stage.seed(1)
    stage.wait_until("an image after the restart", seconds=10, done=2 * (len(seeded.images) + len(more.images)))


def test_no_message_at_all_is_enough(stage: Stage) -> None:
    """The web process published into a broker that forgot everything before any worker came."""
    seeded = stage.seed(20)
    stage.redis.flush()
    stage.portal.start_worker()
    stage.assert_each_read_once(seeded.images)


def test_messages_delivered_many_times_to_two_racing_workers(stage: Stage) -> None:
    seeded = stage.seed(100)
    broker = redis_client.Redis.from_url(stage.redis.url)
    messages = broker.lrange("celery", 0, -1)
    assert 1 <= len(messages) <= 3, "a hundred uploads do not send a hundred messages"
    for _ in range(10):
        broker.rpush("celery", *messages)
    stage.portal.start_worker("left", *SLOW, SLOW_PASS="0.1")
    stage.portal.start_worker("right", *SLOW, SLOW_PASS="0.1")
    stage.portal.start_beat()
    stage.assert_each_read_once(seeded.images)
    shares = dict(stage.ask("SELECT worker, count(*) FROM diagnosis_analysis GROUP BY worker"))
    assert len(shares) == 2, "both worked"
    assert stage.ask("SELECT max(attempts) FROM diagnosis_analysis") == [(1,)]


def test_postgresql_restarted_under_web_and_workers(stage: Stage) -> None:
    seeded = stage.seed(120)
    stage.portal.start_web()
    stage.portal.start_worker("one", *SLOW, SLOW_PASS="0.2")
    stage.portal.start_beat()
    stage.wait_until("some work", done=16)
    assert stage.portal.get("/readyz")[0] == 200
    stage.postgres.restart(signal.SIGINT)
    stage.wait_until("work after the shutdown", done=80)
    stage.postgres.stop(signal.SIGQUIT)
    assert stage.portal.get("/healthz")[0] == 200
    status, parts = stage.portal.get("/readyz")
    assert (status, parts["database"]["ok"]) == (503, False)
    stage.postgres.start()
    stage.assert_each_read_once(seeded.images)
    stage.portal.wait_for(lambda: stage.portal.get("/readyz")[0] == 200, "the web process to be ready again", 20)
    assert stage.portal.get(f"/api/v1/cases/{seeded.case}/", token=seeded.token)[0] == 200


def test_a_poison_picture_fails_alone_and_can_be_retried(stage: Stage) -> None:
    seeded = stage.seed(24)
    poison, digest = list(seeded.images.items())[5]
    stage.portal.start_beat()
    stage.portal.start_web()
    stage.portal.start_worker("exposed", *POISONED, POISON=digest)
    stage.wait_until_settled()
    assert stage.states() == {"done": 46, "failed": 2}
    rows = stage.ask("SELECT state, attempts, error FROM diagnosis_analysis WHERE image_id = %s", poison)
    assert {(state, attempts) for state, attempts, _ in rows} == {("failed", 3)}
    assert all("ended 3 times while it read this picture" in error for *_, error in rows)
    neighbours = stage.ask("SELECT max(attempts) FROM diagnosis_analysis WHERE image_id <> %s", poison)
    assert neighbours <= [(2,)], "neighbours shared its first attempt at most"
    assert stage.ask("SELECT status FROM diagnosis_case") == [("attention",)]
    status, shown = stage.portal.get(f"/api/v1/images/{poison}/", token=seeded.token)
    assert (status, shown["status"]) == (200, "failed")

    stage.portal.kill("exposed")
    stage.portal.start_worker("cured")
    assert stage.portal.request("POST", f"/api/v1/images/{poison}/retry/", token=seeded.token)[0] in (200, 202)
    stage.assert_each_read_once(seeded.images)


def test_an_upload_does_not_wait_for_a_broker_that_is_gone(stage: Stage) -> None:
    seeded = stage.seed(1)
    stage.portal.start_web()
    stage.portal.start_beat()
    stage.portal.start_worker()
    stage.wait_until_settled()
    stage.redis.stop(signal.SIGKILL)
    started = time.monotonic()
    status, image = stage.portal.upload(seeded.case, picture(5, side=96), kind="field", token=seeded.token)
    assert status == 201, image
    assert time.monotonic() - started < 5
    assert stage.portal.get("/readyz")[1]["broker"]["ok"] is False
    stage.redis.start()
    stage.wait_until("the image to be read once the broker is back", done=4)
    assert json.loads(json.dumps(stage.portal.get(f"/api/v1/images/{image['id']}/", token=seeded.token)[1]))[
        "status"
    ] == "done"  # fmt: skip
