"""Wakes are hints: sending one never hurts the work that it is about."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from celery import Celery

from config.filebroker import Transport
from diagnosis import waking


@pytest.fixture(autouse=True)
def _talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking, "_silent_until", 0.0)


def use_broker(monkeypatch: pytest.MonkeyPatch, url: str, **options: object) -> Celery:
    """An application on a broker of the test's own, in the place of the product's."""
    app = Celery("waking-tests", broker=url, set_as_current=False)
    app.conf.broker_transport_options = options
    monkeypatch.setattr(waking, "current_app", app)
    return app


@dataclass(frozen=True)
class FileBroker:
    app: Celery
    folder: Path


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FileBroker:
    """A file broker in a folder that nobody made yet."""
    messages = tmp_path / "broker" / "messages"
    app = use_broker(
        monkeypatch, "filesystem://localhost/",
        data_folder_in=str(messages), data_folder_out=str(messages), control_folder=str(tmp_path / "control"),
    )  # fmt: skip
    return FileBroker(app, messages)


def test_a_wake_reaches_the_file_broker_whole(files: FileBroker) -> None:
    assert waking.wake_workers(3)
    names = sorted(path.name for path in files.folder.iterdir())
    assert len(names) == 3
    assert all(name.endswith(".celery.msg") for name in names), "nothing half written is left"
    with files.app.connection_for_read() as connection:
        assert isinstance(connection.transport, Transport)
        queue = connection.SimpleQueue("celery")
        messages = [queue.get(timeout=2) for _ in range(3)]
    assert {message.headers["task"] for message in messages} == {"diagnosis.tasks.wake"}
    assert {message.body for message in messages} == {messages[0].body}
    assert messages[0].headers["expires"] is not None


def test_a_message_appears_only_when_it_is_complete(files: FileBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    ready: list[int] = []
    replace = os.replace

    def look(source: Path, target: Path) -> None:
        with files.app.connection_for_read() as connection:
            ready.append(connection.default_channel._size("celery"))
        assert json.loads(source.read_text())["headers"]["task"] == "diagnosis.tasks.wake"
        replace(source, target)

    monkeypatch.setattr("config.filebroker.os.replace", look)
    assert waking.wake_workers()
    assert ready == [0], "while it was being written nobody could see it"


def test_a_broker_that_is_gone_costs_little_and_is_left_in_peace_for_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use_broker(monkeypatch, "redis://:a-secret@127.0.0.1:1/0", socket_connect_timeout=2)
    started = time.monotonic()
    assert not waking.wake_workers()
    assert time.monotonic() - started < 3
    assert "does not answer" in caplog.text
    assert "a-secret" not in caplog.text
    started = time.monotonic()
    assert not any(waking.wake_workers() for _ in range(1_000))
    assert time.monotonic() - started < 0.1
    assert caplog.text.count("does not answer") == 1
