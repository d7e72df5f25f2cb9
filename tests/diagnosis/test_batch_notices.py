"""Whoever brought a batch is told when it is read, and when it stands still: each once, whatever races."""

from __future__ import annotations

import io
import threading
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from diagnosis import notice_words, notices, queue, second_opinion, watching
from diagnosis.batches import arriving, manifest, opening, progress, telling, tray
from diagnosis.models import Analysis, AuditEvent, Batch, BatchFile, Event, Notice, OutgoingMail, WorkerSeen
from mlcore.bundle import TASKS
from tests.cast import Cast, make_cast
from tests.diagnosis.test_batches import bring
from tests.hostile import jpeg
from tests.hostile_zips import zipped
from tests.smears import make_release

DONE = Analysis.State.DONE


@pytest.fixture(autouse=True)
def _folders(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT, settings.UPLOADS_ROOT = tmp_path / "media", tmp_path / "uploads"


def begun(cast: Cast, **fields: Any) -> Batch:
    cast.case(accession_number="S26-0123")
    make_release("cell")
    make_release("field")
    return opening.open_batch(actor=cast.technician, name="Homer Simpson S26-0123", **fields)


@pytest.fixture
def batch(cast: Cast) -> Batch:
    return begun(cast)


def quiet(minutes: int = 1) -> None:
    Batch.objects.update(moved_at=timezone.now() - timedelta(minutes=minutes))


def read_all() -> None:
    while (claimed := queue.claim(worker="w")).analyses:
        for analysis in claimed.analyses:
            classes = TASKS[analysis.release.task]
            result = queue.Result(dict.fromkeys(classes, 1 / len(classes)), 0.5, 0.4, False, b"", [0, 0, 0], 0.1, "")
            assert queue.complete(batch_token=claimed.token, analysis_id=analysis.pk, result=result)


def swept() -> list[str]:
    quiet()
    progress.sweep()
    return [notice_words.sentence(notice) for notice in Notice.objects.order_by("id")]


pytestmark = pytest.mark.django_db


def test_what_became_of_all_its_files_is_told_once(cast: Cast, batch: Batch) -> None:
    files = [(f"S26-0123/{n}.jpg", jpeg(seed=n)) for n in range(3)]
    bring(cast.technician, batch, "day.zip", zipped(*files, ("S26-0123/again.jpg", files[0][1])))
    bring(cast.technician, batch, "nobody.jpg", jpeg(seed=8))
    bring(cast.technician, batch, "S26-0123/letter.jpg", b"Dear colleague")
    assert swept() == [], "three are still to be read"
    claimed = queue.claim(worker="w", limit=1)
    queue.fail(batch_token=claimed.token, analysis_ids=[claimed.analyses[0].pk], error="broken", final=True)
    Notice.objects.all().delete()  # that of the failed reading
    read_all()
    said = (
        "Batch Homer Simpson S26-0123: 2 read, 1 could not be read, 1 already there, 1 not accepted, "
        "1 waits in the tray."
    )
    assert swept() == swept() == [said]
    notice = Notice.objects.get()
    assert (notice.user, notice.batch, notice.case) == (cast.technician.user, batch, None)
    assert not OutgoingMail.objects.exists(), "nobody asked for mails"
    client = Client()
    client.force_login(cast.technician.user)
    assert said in client.get("/notices/").content.decode()
    assert client.get("/notices/unread").json() == {"unread": 1}
    assert client.get(f"/notices/{notice.pk}/")["Location"] == f"/batches/{batch.pk}/"
    assert client.get("/notices/unread").json() == {"unread": 0}


def test_what_no_network_reads_is_not_called_read(cast: Cast) -> None:
    cast.case(accession_number="S26-0123")
    batch = opening.open_batch(actor=cast.technician, name="Early")
    bring(cast.technician, batch, "S26-0123.jpg", jpeg(seed=1))
    assert swept() == ["Batch Early: 1 accepted that no network reads."]


def test_a_mail_names_nobody_and_nothing_that_was_typed(cast: Cast, batch: Batch) -> None:
    notices.choose(user=cast.technician.user, ways={Event.BATCH_FINISHED: (False, True)})
    bring(cast.technician, batch, "S26-0123.jpg", jpeg(seed=1))
    read_all()
    swept()
    mail = OutgoingMail.objects.get()
    when = timezone.localtime(batch.created_at)
    assert mail.subject == f"Your batch of {when:%d %B, %H:%M}: 1 read"
    assert f"http://localhost:8000/batches/{batch.pk}/" in mail.body
    for word in ("Homer", "Simpson", "S26-0123"):
        assert word not in mail.subject + mail.body
    assert notices.unread(cast.technician) == 0


def test_told_again_with_new_files_and_retries_and_not_out_of_the_tray(cast: Cast, batch: Batch) -> None:
    bring(cast.technician, batch, "S26-0123/0.jpg", jpeg(seed=0))
    waiting = [bring(cast.technician, batch, f"IMG_{n}.jpg", jpeg(seed=n)) for n in (1, 2, 3)]
    read_all()
    assert len(swept()) == 1
    tray.assign(actor=cast.technician, file_ids=[waiting[0].pk], accession="S26-0123")
    tray.discard(actor=cast.technician, file_ids=[waiting[1].pk])
    text = b"accession,mrn,file\nS26-0123,,IMG_3.jpg\n"
    manifest.take(actor=cast.technician, batch=batch, data=text, name="list.csv")
    read_all()
    assert len(swept()) == 1
    assert AuditEvent.objects.filter(action="batch.finished").count() == 2
    bring(cast.technician, batch, "S26-0123/4.jpg", jpeg(seed=4))
    read_all()
    assert swept()[-1].endswith(": 4 read.")
    assert Notice.objects.count() == 2
    assert Notice.objects.get(read_at=None) == Notice.objects.first(), "the older one is out of date"
    assert progress.retry(actor=cast.technician, batch=batch) == 0
    assert len(swept()) == 2, "nothing was tried again"
    Analysis.objects.filter(image__batch_files__path="S26-0123/4.jpg").update(state="failed")
    assert progress.retry(actor=cast.technician, batch=batch) == 1
    read_all()
    assert len(swept()) == 3


def test_files_that_arrive_while_it_is_noted_as_finished_keep_it_open(cast: Cast, batch: Batch) -> None:
    bring(cast.technician, batch, "S26-0123/0.jpg", jpeg(seed=0))
    read_all()
    counted = progress.progress

    def late(of: Batch) -> progress.Progress:
        found = counted(of)
        arriving.begin(actor=cast.technician, batch=of, path="S26-0123/1.jpg", length=100)
        return found

    quiet()
    with mock.patch.object(progress, "progress", late):
        progress.sweep()
    assert not Notice.objects.exists()
    assert Batch.objects.get().finished_at is None


def test_a_batch_of_a_blind_case_says_nothing_of_the_case(cast: Cast) -> None:
    batch = begun(cast, accession="S26-0123")
    batch.created_by = cast.second_pathologist.user
    batch.save()
    bring(cast.technician, batch, "a.jpg", jpeg(seed=1))
    second_opinion.ask(
        actor=cast.pathologist, case=batch.case, colleagues=[cast.second_pathologist.user], diagnosis="reactive"
    )
    read_all()
    swept()
    assert [n.event for n in notices.of(cast.second_pathologist)] == ["batch_finished", "opinion_asked"]


# ---- standing still


def waits_since(minutes: int) -> None:
    long_ago = timezone.now() - timedelta(minutes=minutes)
    Analysis.objects.update(queued_at=long_ago)
    Batch.objects.update(created_at=long_ago, moved_at=long_ago)


def test_a_batch_without_a_worker_is_told_once(cast: Cast, batch: Batch) -> None:
    for number in range(2):
        bring(cast.technician, batch, f"S26-0123/{number}.jpg", jpeg(seed=number))
    waits_since(4)
    assert telling.tell_stalled() == 0, "not before STALL_TOLD_AFTER"
    waits_since(9)
    client = Client()
    client.force_login(cast.pathologist.user)
    client.get("/notices/unread")  # anybody's open page will do: no worker is there to look
    assert telling.tell_stalled() == 0
    said = "Batch Homer Simpson S26-0123 stands still: 2 files of it wait, and no worker has been there for 9 minutes."
    assert [notice_words.sentence(notice) for notice in Notice.objects.all()] == [said]
    assert Notice.objects.get().user == cast.technician.user
    bring(cast.technician, batch, "S26-0123/2.jpg", jpeg(seed=2))
    waits_since(9)
    assert telling.tell_stalled() == 0, "once, also where files go on arriving"
    read_all()
    swept()
    assert list(Notice.objects.filter(read_at=None).values_list("event", flat=True)) == ["batch_finished"]
    bring(cast.technician, batch, "S26-0123/3.jpg", jpeg(seed=3))
    waits_since(9)
    Analysis.objects.update(started_at=None, finished_at=None)
    assert telling.tell_stalled() == 1, "after it was finished it can stand still anew"


@pytest.mark.parametrize("what", ["seen", "seen lately", "began", "ended", "nothing waits"])
def test_a_batch_that_moves_does_not_stand_still(cast: Cast, batch: Batch, what: str) -> None:
    bring(cast.technician, batch, "S26-0123/0.jpg", jpeg(seed=0))
    bring(cast.technician, batch, "S26-0123/1.jpg", jpeg(seed=1))
    waits_since(9)
    lately = timezone.now() - timedelta(minutes=2)
    first = Analysis.objects.filter(pk=Analysis.objects.first().pk)  # type: ignore[union-attr]
    if what == "seen":
        watching.heartbeat(worker="w", engine="")
    elif what == "seen lately":
        WorkerSeen.objects.create(name="w", seen_at=lately)
    elif what == "began":
        first.update(started_at=lately)
    elif what == "ended":
        first.update(state=DONE, finished_at=lately)
    else:
        read_all()
        Analysis.objects.update(finished_at=None)
    assert telling.tell_stalled() == 0


def test_a_zip_that_nobody_unpacks_stands_still_as_well(cast: Cast, batch: Batch) -> None:
    data = zipped(("S26-0123/1.jpg", jpeg(seed=1)))
    file = arriving.begin(actor=cast.technician, batch=batch, path="day.zip", length=len(data))
    arriving.receive(actor=cast.technician, file=file, offset=0, body=io.BytesIO(data), size=len(data))
    BatchFile.objects.update(state="received")
    waits_since(6)
    assert telling.tell_stalled() == 1
    assert Notice.objects.get().detail == {"files": 1, "minutes": 6}


@pytest.mark.django_db(transaction=True)
class TestTogether:
    """On whichever database the suite runs, each on a connection of its own."""

    def together(self, work: Any, times: int = 4) -> list[BaseException]:
        gate, wrong = threading.Barrier(times), []

        def run() -> None:
            gate.wait()
            try:
                work()
            except BaseException as error:
                wrong.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=run) for _ in range(times)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return wrong

    @pytest.mark.parametrize("attempt", range(3))
    def test_sweeps_after_the_last_readings_tell_once(self, attempt: int) -> None:
        cast = make_cast()
        batch = begun(cast)
        bring(cast.technician, batch, "S26-0123/0.jpg", jpeg(seed=attempt))
        bring(cast.technician, batch, "S26-0123/1.jpg", jpeg(seed=attempt + 10))
        quiet()
        rows = iter(list(Analysis.objects.values_list("pk", flat=True)))
        lock = threading.Lock()

        def end_one_and_sweep() -> None:
            with lock:
                pk = next(rows)
            Analysis.objects.filter(pk=pk).update(state=DONE, finished_at=timezone.now())
            for _ in range(3):
                progress.sweep()

        assert self.together(end_one_and_sweep, times=Analysis.objects.count()) == []
        assert Notice.objects.count() == AuditEvent.objects.filter(action="batch.finished").count() == 1

    def test_everybody_who_looks_at_once_tells_once(self) -> None:
        cast = make_cast()
        batch = begun(cast)
        bring(cast.technician, batch, "S26-0123/0.jpg", jpeg(seed=0))
        waits_since(9)
        assert self.together(telling.tell_stalled) == []
        assert Notice.objects.filter(event=Event.BATCH_STALLED).count() == 1
