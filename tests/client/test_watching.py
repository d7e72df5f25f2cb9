"""A watched folder: what is finished is sent, once, whatever happens to the folder, the server or this program."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from leukolens_client import Client, LeukoLensError, NotSignedIn
from leukolens_client.files import find
from leukolens_client.places import Busy
from leukolens_client.watching import Watch, Watcher
from tests.client.fake import URL, FakePortal, cut, once

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scope").mkdir()
    return tmp_path / "scope"


def put(folder: Path, name: str, data: bytes = b"") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data or f"picture {name} ".encode() * 500)
    return path


@pytest.fixture
def once_through(portal: FakePortal, folder: Path) -> Callable[..., dict[str, int]]:
    """Run a watcher until all that is there is sent."""

    def run(**how: object) -> dict[str, int]:
        with Client(URL, "ll_right", transport=portal.transport, patience=2.0) as client:
            watch = Watch(folder, still=0.05, every=0.01, once=True, **how)  # type: ignore[arg-type]
            return dict(Watcher(client, watch).run())

    return run


class Running:
    """A watcher in a thread, until it is stopped."""

    def __init__(self, portal: FakePortal, folder: Path, **how: object) -> None:
        self.client = Client(URL, "ll_right", transport=portal.transport, patience=0.05)
        self.watcher = Watcher(self.client, Watch(folder, **({"still": 0.05, "every": 0.01} | how)))  # type: ignore[arg-type]
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.watcher.run()
        except BaseException as error:
            self.error = error

    def until(self, ready: Callable[[], object], what: str) -> None:
        end = time.monotonic() + 20
        while not ready():
            assert time.monotonic() < end, f"waited in vain for {what}"
            assert self.thread.is_alive() or ready(), self.error
            time.sleep(0.01)

    def stop(self) -> None:
        self.client.wire.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def running(portal: FakePortal, folder: Path) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def run(**how: object) -> Running:
        made.append(Running(portal, folder, **how))
        return made[-1]

    yield run
    for each in made:
        each.stop()


def test_what_is_there_is_sent_and_another_run_sends_nothing(
    portal: FakePortal, folder: Path, once_through: Callable[..., dict[str, int]]
) -> None:
    put(folder, "S26-0123/1.jpg")
    put(folder, "nobody.jpg")
    put(folder, "bad.jpg", b"no picture")
    put(folder, "notes.txt", b"notes")
    assert once_through() == {"accepted": 1, "rejected": 1, "unmatched": 1}
    assert sorted(portal.stored()) == ["scope/S26-0123/1.jpg", "scope/bad.jpg", "scope/nobody.jpg"]
    requests = len(portal.requests)
    assert once_through() == {}
    assert len(portal.requests) == requests

    os.utime(folder / "nobody.jpg")  # touched: the same file
    put(folder, "S26-0123/2.jpg")
    assert once_through() == {"accepted": 1}
    put(folder, "S26-0123/1.jpg", b"another picture of the same name")
    assert once_through() == {"accepted": 1}
    assert len(portal.batches) == 1


def test_a_file_is_not_sent_while_it_is_written(
    portal: FakePortal, folder: Path, running: Callable[..., Running]
) -> None:
    still = 0.4
    watcher = running(still=still)
    for number in range(10):
        path, longest, last = put(folder, f"{number}.jpg", b"x"), 0.0, time.monotonic()
        for _ in range(20):  # for more than twice as long as a file has to be still
            time.sleep(0.05)
            with path.open("ab") as file:
                file.write(b"more")
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        early = [upload for upload in portal.uploads.values() if upload.name == f"scope/{number}.jpg"]
        if longest < still / 2:  # this machine wrote as it was asked to
            assert early == []
            break
    else:
        pytest.fail("this machine is too busy to write a file steadily")
    watcher.until(lambda: watcher.watcher.ended["accepted"] == number + 1, "the finished file")
    assert portal.stored()[f"scope/{number}.jpg"] == path.read_bytes()


def test_a_watcher_that_was_killed_goes_on_in_the_same_upload(
    portal: FakePortal, folder: Path, once_through: Callable[..., dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies at each of its requests in turn, before or after the server did what was asked."""
    monkeypatch.setattr("leukolens_client.tus._LARGEST", 64 * 1024)
    monkeypatch.setattr("leukolens_client.tus.Pace.__init__.__defaults__", (64 * 1024,))
    for number in range(3):
        put(folder, f"{number}.jpg", os.urandom(200_000))

    class Killed(BaseException):
        pass

    turn = 0
    for turn in range(1, 40):
        begun = len(portal.requests)

        def dies(request: httpx.Request, begun: int = begun) -> None:
            if len(portal.requests) - begun >= 2:
                raise Killed

        portal.before, portal.after = (dies, lambda request: None) if turn % 2 else (lambda request: None, dies)
        try:
            once_through(parallel=1)
        except Killed:
            continue
        break
    assert turn > 5, "it was killed often"
    stored = portal.stored()
    assert {name: len(data) for name, data in stored.items()} == {f"scope/{n}.jpg": 200_000 for n in range(3)}
    assert len(portal.batches) == 1
    assert portal.sent_bytes == 600_000


def test_a_server_that_goes_away_is_waited_for(
    portal: FakePortal, folder: Path, running: Callable[..., Running], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "leukolens")
    portal.before = cut("POST")
    put(folder, "1.jpg")
    watcher = running()
    watcher.until(lambda: "Nothing is lost" in caplog.text, "word of the outage")
    put(folder, "2.jpg")
    portal.before = lambda request: None
    watcher.until(lambda: watcher.watcher.ended["accepted"] == 2, "both files")
    watcher.until(lambda: "Back again" in caplog.text, "word of its end")
    assert len(portal.stored()) == 2
    assert caplog.text.count("Nothing is lost") <= 2, "an outage is told, not repeated"


@pytest.mark.parametrize("path", ["/uploads/", "/api/v1/batches/"])
def test_a_proxy_that_is_set_wrongly_loses_no_file(
    portal: FakePortal, folder: Path, running: Callable[..., Running], caplog: pytest.LogCaptureFixture, path: str
) -> None:
    wrong = httpx.Response(403, html="<html>Forbidden by the proxy</html>")
    portal.before = lambda request: wrong if request.url.path == path else None
    put(folder, "1.jpg")
    watcher = running()
    watcher.until(lambda: "403 Forbidden. Nothing is lost" in caplog.text, "word of it")
    portal.before = lambda request: None
    watcher.until(lambda: watcher.watcher.ended == {"accepted": 1}, "the file")


def test_a_folder_within_that_cannot_be_read_is_told_once(
    folder: Path, running: Callable[..., Running], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = os.scandir

    def refusing(path: str | Path) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return right(path)

    monkeypatch.setattr(os, "scandir", refusing)
    put(folder, "locked/1.jpg")
    put(folder, "2.jpg")
    watcher = running()
    watcher.until(lambda: watcher.watcher.ended["accepted"] == 1, "the other file")
    assert caplog.text.count("A folder cannot be read") == 1
    with pytest.raises(PermissionError):
        find([folder])


def test_a_file_that_vanishes_is_told_and_no_more(
    portal: FakePortal, folder: Path, running: Callable[..., Running], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "leukolens")
    gone, path = [], put(folder, "1.jpg", os.urandom(5_000_000))

    def removed(request: httpx.Request) -> None:
        if request.method == "PATCH" and not gone:
            gone.append(True)
            path.unlink()

    portal.before = removed
    watcher = running()
    watcher.until(lambda: gone and "not there any more" in caplog.text, "word of it")
    put(folder, "2.jpg")
    watcher.until(lambda: watcher.watcher.ended["accepted"] == 1, "the other file")
    assert list(portal.stored()) == ["scope/2.jpg"]


def test_a_share_that_drops_out_comes_back(portal: FakePortal, folder: Path, running: Callable[..., Running]) -> None:
    put(folder, "1.jpg")
    watcher = running()
    watcher.until(lambda: watcher.watcher.ended["accepted"] == 1, "the first file")
    away = folder.rename(folder.with_name("away"))
    time.sleep(0.1)
    put(away, "2.jpg")
    away.rename(folder)
    watcher.until(lambda: watcher.watcher.ended["accepted"] == 2, "the second file")
    assert len(portal.stored()) == 2


def test_what_cannot_be_read_just_now_is_read_later(
    portal: FakePortal, folder: Path, running: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leukolens_client.watching._FILE_AGAIN", 0.05)
    from leukolens_client import watching

    right, refused = watching.parcel, []

    def locked(*arguments: object) -> object:
        if len(refused) < 2:
            refused.append(True)
            raise PermissionError("another program has it")
        return right(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(watching, "parcel", locked)
    put(folder, "1.jpg")
    watcher = running()
    watcher.until(lambda: watcher.watcher.ended["accepted"] == 1, "the file")
    assert len(refused) == 2


def test_what_has_arrived_is_moved_and_nothing_is_written_over(
    portal: FakePortal, folder: Path, tmp_path: Path, once_through: Callable[..., dict[str, int]]
) -> None:
    done = folder / "sent"
    put(folder, "a/1.jpg")
    put(folder, "nobody.jpg")
    put(folder, "bad.jpg", b"no picture")
    put(done, "a/1.jpg", b"an older one")
    once_through(move_to=done)
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "bad.jpg", "sent/a/1 (2).jpg", "sent/a/1.jpg", "sent/nobody.jpg",
    ]  # fmt: skip
    assert (done / "a/1.jpg").read_bytes() == b"an older one"
    assert once_through(move_to=done) == {}
    assert len(portal.uploads) == 3


def test_a_folder_has_one_watcher(folder: Path, running: Callable[..., Running], portal: FakePortal) -> None:
    put(folder, "1.jpg")
    watcher = running()
    watcher.until(lambda: watcher.watcher.ended["accepted"], "the first one at work")
    with Client(URL, "ll_right", transport=portal.transport) as client, pytest.raises(Busy, match="looks after"):
        Watcher(client, Watch(folder, once=True)).run()


def test_a_batch_that_is_full_is_followed_by_another(
    portal: FakePortal, folder: Path, once_through: Callable[..., dict[str, int]]
) -> None:
    portal.batch_at_most = 3
    for number in range(7):
        put(folder, f"{number}.jpg")
    assert once_through(parallel=1) == {"accepted": 7}
    assert len(portal.stored()) == 7
    assert len(portal.batches) == 3


def test_a_token_that_was_revoked_ends_it(portal: FakePortal, folder: Path) -> None:
    put(folder, "1.jpg")
    with Client(URL, "ll_wrong", transport=portal.transport) as client, pytest.raises(NotSignedIn):
        Watcher(client, Watch(folder, still=0.05, every=0.01)).run()


def test_a_zip_is_told_once_it_is_unpacked(
    portal: FakePortal, folder: Path, running: Callable[..., Running], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr("leukolens_client.watching._ASK_EVERY", 0.05)
    portal.unpacking = True
    put(folder, "all.zip")
    watcher = running(move_to=tmp_path / "done")
    watcher.until(lambda: portal.uploads, "the zip")
    time.sleep(0.2)
    assert watcher.watcher.ended == {}
    assert (folder / "all.zip").exists(), "it is moved once it is known what became of it"
    portal.unpacking = False
    watcher.until(lambda: watcher.watcher.ended["opened"] == 1, "its outcome")
    watcher.until(lambda: (tmp_path / "done/all.zip").exists(), "its place")


def test_batches_are_asked_for_once_though_the_answer_got_lost(
    portal: FakePortal, folder: Path, once_through: Callable[..., dict[str, int]]
) -> None:
    put(folder, "1.jpg")
    portal.after = once(cut("POST", "/api/v1/batches/"))
    assert once_through() == {"accepted": 1}
    assert len(portal.batches) == 1


def test_a_journal_that_is_none_is_told(
    folder: Path, once_through: Callable[..., dict[str, int]], tmp_path: Path
) -> None:
    put(folder, "1.jpg")
    once_through()
    for path in (tmp_path / "state").glob("*.sqlite3*"):
        path.write_bytes(b"a disk that failed" * 1000)
    with pytest.raises(LeukoLensError, match="Move it away"):
        once_through()


def test_a_folder_that_is_not_there_is_told_at_once(folder: Path, once_through: Callable[..., dict[str, int]]) -> None:
    shutil.rmtree(folder)
    with pytest.raises(OSError, match="scope"):
        once_through()
