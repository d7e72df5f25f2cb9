"""A folder as one batch: several at a time, gone on with in a later run, an outcome for each."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest

from leukolens_client import Client, NotSignedIn, Refused, Result, TimedOut
from leukolens_client.places import Busy
from tests.client.fake import URL, FakePortal, cut, problem, said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures of a case, one that is none, one of nobody, one file of another kind."""
    top = tmp_path / "run7"
    (top / "S26-0123").mkdir(parents=True)
    for number in range(12):
        (top / f"S26-0123/{number:02}.jpg").write_bytes(b"picture %d " % number * 1000)
    (top / "bad.jpg").write_bytes(b"no picture")
    (top / "nobody.jpg").write_bytes(b"whose?")
    (top / "notes.txt").write_bytes(b"notes")
    return top


class Ears:
    """Hears how an upload goes."""

    def __init__(self) -> None:
        self.bytes, self.total, self.results = 0, 0, list[Result]()
        self._lock = threading.Lock()

    def begun(self, batch: int, files: int, bytes: int) -> None:
        self.total = bytes

    def moved(self, bytes: int) -> None:
        with self._lock:
            self.bytes += bytes

    def ended(self, result: Result) -> None:
        with self._lock:
            self.results.append(result)


def test_each_file_gets_its_outcome(portal: FakePortal, client: Client, folder: Path) -> None:
    ears = Ears()
    sent = client.upload([folder], told=ears, name="Run 7")
    assert portal.batches[0]["name"] == "Run 7"
    assert {result.name for result in sent.results} == set(portal.stored())
    assert [result.name for result in sent.failed] == ["run7/bad.jpg"]
    assert [result.name for result in sent.unmatched] == ["run7/nobody.jpg"]
    assert sent.left_alone == 1
    assert portal.stored()["run7/S26-0123/07.jpg"] == (folder / "S26-0123/07.jpg").read_bytes()
    assert ears.bytes == ears.total == portal.sent_bytes
    assert len(ears.results) == 14


def test_what_was_interrupted_goes_on_in_the_same_batch(portal: FakePortal, client: Client, folder: Path) -> None:
    def dies(request: httpx.Request) -> None:
        if portal.count("POST", "/uploads/") > 6:
            raise httpx.ConnectError("away", request=request)

    portal.before = dies
    with Client(URL, "ll_right", transport=portal.transport, patience=0.1) as hasty:
        first = hasty.upload([folder])
    arrived = {result.name for result in first.results if result.outcome}
    assert 0 < len(arrived) < 14
    assert all("cannot be reached" in result.error for result in first.results if result.outcome is None)

    portal.before, announced = lambda request: None, portal.count("POST", "/uploads/")
    second = client.upload([folder])
    assert second.batch == first.batch
    assert len(portal.batches) == 1
    assert [result.outcome is None for result in second.results] == [False] * 14
    assert len(portal.stored()) == 14
    assert portal.count("POST", "/uploads/") - announced == 14 - len(arrived), "what has an outcome is not asked for"

    assert client.upload([folder]).batch != first.batch, "a finished upload is over"


def test_a_record_that_a_dying_process_cut_off_is_no_harm(
    portal: FakePortal, client: Client, folder: Path, tmp_path: Path
) -> None:
    def dies(request: httpx.Request) -> None:
        if portal.count("POST", "/uploads/") > 6:
            raise httpx.ConnectError("away", request=request)

    portal.before = dies
    with Client(URL, "ll_right", transport=portal.transport, patience=0.1) as hasty:
        hasty.upload([folder])
    record = next((tmp_path / "state").glob("*.jsonl"))
    record.write_bytes(record.read_bytes()[:-9])
    portal.before = lambda request: None
    assert len(client.upload([folder]).results) == 14
    assert len(portal.stored()) == 14
    assert not record.exists()


def test_a_batch_that_is_not_there_any_more_is_opened_anew(portal: FakePortal, client: Client, folder: Path) -> None:
    portal.before = cut("POST", "/uploads/")
    with Client(URL, "ll_right", transport=portal.transport, patience=0.1) as hasty:
        hasty.upload([folder])
    portal.before = lambda request: None
    portal.batches.clear()
    assert client.upload([folder]).batch == 1
    assert len(portal.stored()) == 14


def test_a_token_that_only_uploads_goes_on_too(portal: FakePortal, client: Client, folder: Path) -> None:
    portal.before = cut("POST", "/uploads/")
    with Client(URL, "ll_right", transport=portal.transport, patience=0.1) as hasty:
        first = hasty.upload([folder])
    portal.before = lambda request: problem(403, "permission_denied", "No.") if request.method == "GET" else None
    assert client.upload([folder]).batch == first.batch
    assert len(portal.stored()) == 14


def test_a_server_that_is_away_is_found_out_once(portal: FakePortal, folder: Path) -> None:
    portal.before = cut("POST", "/uploads/")
    with Client(URL, "ll_right", transport=portal.transport, patience=0.05) as hasty:
        sent = hasty.upload([folder], parallel=1)
    assert len(sent.failed) == 14
    names = {request.headers["Upload-Metadata"] for request in portal.requests if request.url.path == "/uploads/"}
    assert len(names) == 1, "the others are not tried"


def test_a_wrong_token_ends_it_at_once(portal: FakePortal, folder: Path) -> None:
    with Client(URL, "ll_wrong", transport=portal.transport) as client, pytest.raises(NotSignedIn):
        client.upload([folder])


def test_one_refused_file_takes_no_neighbour_down(portal: FakePortal, client: Client, folder: Path) -> None:
    def too_large(request: httpx.Request) -> httpx.Response | None:
        large = request.url.path == "/uploads/" and b"picture 3 " in request.content
        return said(413, "This picture is larger than 64 MiB.") if large else None

    portal.before = too_large
    sent = client.upload([folder])
    assert [result.error for result in sent.results if result.outcome is None] == [
        "This picture is larger than 64 MiB."
    ]
    assert len(portal.stored()) == 13


def test_a_number_in_the_name_a_case_for_all_or_a_list(
    portal: FakePortal, client: Client, folder: Path, tmp_path: Path
) -> None:
    client.upload([folder], mask="S##-####")
    told = {upload.name: upload.accession for upload in portal.uploads.values()}
    assert told["run7/S26-0123/00.jpg"] == "S26-0123"
    assert told["run7/nobody.jpg"] == ""

    client.upload([folder / "bad.jpg"], case="S26-0123", kind="cell", um_per_pixel=0.25)
    assert portal.batches[1] == {"name": "", "accession_number": "S26-0123", "kind": "cell", "um_per_pixel": 0.25}

    table = tmp_path / "cases.csv"
    table.write_text("accession,mrn,file\nS26-0123,1,bad.jpg\n")
    assert client.upload([folder / "bad.jpg"], manifest=table).opened == 1
    assert b"S26-0123,1,bad.jpg" in portal.manifests[0]
    paths = [request.url.path for request in portal.requests[-3:]]
    assert paths == ["/api/v1/batches/", "/api/v1/batches/3/manifest/", "/uploads/"], "the list goes first"


def test_a_list_with_mistakes_sends_no_file(portal: FakePortal, client: Client, folder: Path, tmp_path: Path) -> None:
    def mistaken(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith("/manifest/"):
            return None
        mistakes = [{"line": 2, "column": "mrn", "detail": "It is missing."}]
        return httpx.Response(
            422, json={"code": "manifest_refused", "detail": "1 mistake; nothing was written.", "mistakes": mistakes},
            headers={"Content-Type": "application/problem+json"},
        )  # fmt: skip

    portal.before = mistaken
    table = tmp_path / "cases.csv"
    table.write_text("accession,mrn\nS26-0123,\n")
    with pytest.raises(Refused, match=r"line 2, mrn: It is missing\."):
        client.upload([folder], manifest=table)
    assert portal.uploads == {}


def test_the_same_upload_twice_at_once_is_refused(portal: FakePortal, client: Client, folder: Path) -> None:
    refused = list[BaseException]()

    def again(request: httpx.Request) -> None:
        if request.url.path == "/uploads/" and not refused:
            refused.append(ValueError())
            with Client(URL, "ll_right", transport=portal.transport) as other:
                try:
                    other.upload([folder])
                except Busy as error:
                    refused.append(error)

    portal.before = again
    client.upload([folder], parallel=1)
    assert isinstance(refused[1], Busy)


def test_nothing_to_send_is_told(client: Client, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no picture and no zip"):
        client.upload([tmp_path / "empty"])


def test_waiting_has_an_end(portal: FakePortal, client: Client) -> None:
    client.open_batch()
    assert client.wait(1, timeout=5).is_done
    portal.before = lambda request: httpx.Response(200, json={**portal._batch(1), "state": "reading"})
    with pytest.raises(TimedOut, match="goes on by itself"):
        client.wait(1, timeout=0.2, every=0.05)
