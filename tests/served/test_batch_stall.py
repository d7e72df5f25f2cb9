"""Where no worker is there, nobody but beat and the web process can say so."""

from __future__ import annotations

import base64
import urllib.request

import pytest

from tests.hostile import jpeg
from tests.served.conftest import Stage

pytestmark = [pytest.mark.served, pytest.mark.timeout(300)]


def test_beat_tells_that_a_batch_stands_still(stage: Stage) -> None:
    seeded, portal = stage.seed(0), stage.portal
    portal.environment |= {"STALL_TOLD_AFTER": "2", "TELL_EVERY": "1"}
    portal.start_web()
    portal.start_beat()
    data = jpeg(seed=1)
    case = portal.get(f"/api/v1/cases/{seeded.case}/", seeded.token)[1]["accession_number"]
    assert send(stage, f"{case}.jpg", data, seeded.token) == 201
    told = "SELECT event, detail->'files' FROM diagnosis_notice WHERE event LIKE 'batch%%'"
    portal.wait_for(lambda: stage.ask(told), "beat to tell", seconds=60)
    assert stage.ask(told) == [("batch_stalled", 1)]
    portal.start_worker()
    portal.wait_for(lambda: len(stage.ask(told)) == 2, "the batch to be finished", seconds=120)
    assert stage.ask(f"{told} ORDER BY id")[1][0] == "batch_finished"


def send(stage: Stage, name: str, data: bytes, token: str) -> int:
    said = f"filename {base64.b64encode(name.encode()).decode()}"
    headers = {
        "Tus-Resumable": "1.0.0", "Upload-Length": str(len(data)), "Upload-Metadata": said,
        "Content-Type": "application/offset+octet-stream", "Authorization": f"Bearer {token}",
    }  # fmt: skip
    request = urllib.request.Request(f"{stage.portal.url}/uploads/", data=data, method="POST", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(answer.status)
