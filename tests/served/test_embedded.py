"""The same without servers: SQLite, the file broker and one worker with beat inside, as real processes."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.portal import ROOT, Portal


class Stage:
    def __init__(self) -> None:
        # Limits as they ship: nothing here may depend on a lease that ends soon.
        self.portal = Portal(environment={"INFERENCE_ENGINE": "onnxruntime"})
        self.portal.manage("migrate", "--verbosity", "0")
        self.portal.manage("register_models")

    def seed(self, images: int) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "tests.served.seed", str(images)],
            cwd=ROOT, env=self.portal.environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.portal.var / "leukolens.sqlite3", timeout=30)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def wait_until_done(self, analyses: int) -> None:
        self.portal.wait_for(
            lambda: self.ask("SELECT count(*) FROM diagnosis_analysis WHERE state = 'done'") == [(analyses,)],
            f"{analyses} analyses to be done",
        )


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    try:
        yield stage
    finally:
        stage.portal.stop()


def test_wakes_go_through_files_and_a_restarted_worker_goes_on_at_once(stage: Stage) -> None:
    stage.portal.start_worker()
    stage.portal.wait_for(
        lambda: stage.ask("SELECT 1 FROM diagnosis_workerseen WHERE engine LIKE 'onnxruntime%'"), "the worker"
    )
    for number in range(1, 4):
        stage.seed(1)
        stage.wait_until_done(2 * number)
    waits = stage.ask("SELECT (julianday(started_at) - julianday(queued_at)) * 86400 FROM diagnosis_analysis")
    assert min(waits)[0] < 1.0, "a wake, not the sweep every ten seconds, started the reading"

    stage.portal.kill("worker")
    stage.seed(30)
    stage.portal.start_worker("slow", "--include", "tests.served.slow", SLOW_PASS="0.5")
    stage.portal.wait_for(
        lambda: (
            stage.ask("SELECT 1 FROM diagnosis_analysis WHERE state = 'running'")
            and stage.ask("SELECT count(*) FROM diagnosis_analysis WHERE state = 'done'")[0][0] > 6
        ),
        "a batch half done",
    )
    stage.portal.kill("slow", signal.SIGKILL)
    held = stage.ask("SELECT count(*) FROM diagnosis_analysis WHERE state = 'running'")[0][0]
    assert held > 0
    stage.portal.start_worker("next")
    stage.wait_until_done(66)  # the lease of the dead process would have held this up for four minutes
    assert stage.ask("SELECT attempts, count(*) FROM diagnosis_analysis GROUP BY attempts") == [
        (1, 66 - held), (2, held)
    ]  # fmt: skip
    read = stage.ask("SELECT subject, count(*) FROM diagnosis_auditevent WHERE action = 'image.read' GROUP BY subject")
    assert len(read) == 33
    assert {count for _, count in read} == {1}
