"""Uploads that are cut off and servers that die: one outcome for each file, none twice, none lost."""

from __future__ import annotations

import io
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from tests.cutting import CuttingProxy
from tests.hostile import jpeg
from tests.served.conftest import Stage

pytestmark = [pytest.mark.served, pytest.mark.timeout(900)]

FILES, CUTS, RESTARTS = 1_000, 50, 3


def test_a_thousand_files_over_a_bad_connection(stage: Stage) -> None:
    """A client nobody here wrote (tuspy) sends 1,000 files; 50 connections are cut, the server is killed 3 times."""
    seeded = stage.seed(0)
    portal = stage.portal
    portal.start_web()
    accession = stage.ask("SELECT accession_number FROM diagnosis_case WHERE id = %s", seeded.case)[0][0]
    proxy = CuttingProxy(("127.0.0.1", portal.port), seed=5)
    sent = Counter[str]()
    lock = threading.Lock()
    headers = {"Authorization": f"Bearer {seeded.token}"}
    client = TusClient(f"http://127.0.0.1:{proxy.port}/uploads/", headers=headers)

    def send(number: int) -> None:
        data, until = jpeg(seed=number), time.monotonic() + 300
        metadata = {"filename": f"{accession}/field-{number}.jpg", "fingerprint": f"file {number}"}
        while True:
            try:
                uploader = client.uploader(
                    file_stream=io.BytesIO(data), metadata=metadata, chunk_size=3_000, retries=4, retry_delay=0.2,
                    upload_checksum=number % 2 == 0,
                )  # fmt: skip
                uploader.upload()
                break
            except (TusCommunicationError, TusUploadFailed, OSError, TypeError):
                assert time.monotonic() < until, f"file {number} did not get through"
                time.sleep(0.2)
        with lock:
            sent[f"field-{number}.jpg"] += 1

    draw = random.Random(3)
    cut_at = sorted(draw.sample(range(10, FILES - 10), CUTS))
    restart_at = [250, 500, 750]
    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(send, number) for number in range(FILES)]
        while len(sent) < FILES:
            while cut_at and len(sent) >= cut_at[0]:
                proxy.cut_next()
                cut_at.pop(0)
            if restart_at and len(sent) >= restart_at[0]:
                restart_at.pop(0)
                portal.kill("web")
                portal.start_web()
            failed = [each.exception() for each in done if each.done() and each.exception()]
            assert not failed, failed[0]
            time.sleep(0.02)
    proxy.close()
    assert proxy.cuts == CUTS
    assert restart_at == []

    # What was whole when the server died is taken up by the sweep of any worker.
    portal.start_beat()
    portal.start_worker()
    portal.wait_for(
        lambda: stage.ask("SELECT 1 FROM diagnosis_batchfile WHERE state IN ('receiving', 'received')") == [],
        "every file to be settled", seconds=120,
    )  # fmt: skip
    outcomes = stage.ask("SELECT path, state FROM diagnosis_batchfile")
    assert Counter(state for _, state in outcomes) == {"accepted": FILES}
    assert len({path for path, _ in outcomes}) == FILES
    assert stage.ask("SELECT count(*), count(DISTINCT received_sha256) FROM diagnosis_smearimage") == [(FILES, FILES)]
    events = stage.ask("SELECT action, count(*) FROM diagnosis_auditevent WHERE action LIKE 'image.%%' GROUP BY 1")
    assert dict(events).get("image.accepted") == FILES
    assert "image.rejected" not in dict(events)
    # At most what was in hand when the server died lies about still, until the sweep clears it after an hour.
    assert len(list((portal.var / "uploads").glob("*/*"))) <= 6 * RESTARTS
