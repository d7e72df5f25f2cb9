"""The same request from many at once, and from a server that dies in the middle: done once, on both databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import tokens
from accounts.permissions import grantable_scopes
from diagnosis.models import AuditEvent, Case, Decision, KeptAnswer
from tests.cast import Cast, make_cast
from tests.diagnosis.opinions import make_releases, read_image
from tests.portal import ROOT

pytestmark = pytest.mark.django_db(transaction=True)
CASE = json.dumps({"accession_number": "ACC-26-00042", "patient": {"mrn": "7741-203"}})


@pytest.fixture
def cast(settings: Any, tmp_path: Any) -> Cast:
    settings.MEDIA_ROOT = tmp_path
    return make_cast()


@pytest.fixture
def token(cast: Cast) -> str:
    actor = cast.pathologist
    return tokens.issue(actor=actor, name="tests", scopes=grantable_scopes(actor), days=1)[1]


def together(token: str, path: str, body: str, key: str, times: int) -> list[Any]:
    """What each is answered; all are let go at the same moment, each on a connection of its own."""
    gate = threading.Barrier(times)

    def send(_: int) -> Any:
        client = APIClient(headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key})
        gate.wait()
        try:
            return client.post(path, body, content_type="application/json")
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(send, range(times)))


def kinds(answers: list[Any]) -> Counter[str]:
    return Counter(
        "replayed" if "Idempotency-Replayed" in a else "done" if a.status_code < 300 else a.json()["code"]
        for a in answers
    )


@pytest.mark.parametrize("attempt", range(3))
def test_one_of_many_threads_opens_the_case(token: str, attempt: int) -> None:
    answers = together(token, "/api/v1/cases/", CASE, "k", 8)
    counted = kinds(answers)
    assert counted["done"] == 1, counted
    assert set(counted) <= {"done", "replayed", "idempotency_in_flight"}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert Case.objects.count() == AuditEvent.objects.filter(action="case.created").count() == 1
    assert kinds(together(token, "/api/v1/cases/", CASE, "k", 4)) == {"replayed": 4}


def test_one_of_many_threads_decides(cast: Cast, token: str) -> None:
    image = read_image(cast.case(), make_releases(), "blast")
    body = json.dumps({"verdict": "override", "label": "monocyte", "comment": "Folded."})
    counted = kinds(together(token, f"/api/v1/images/{image.pk}/decision/", body, "k", 8))
    assert counted["done"] == 1, counted
    assert set(counted) <= {"done", "replayed", "idempotency_in_flight"}
    assert Decision.objects.count() == 1


def test_one_of_many_threads_takes_over_what_was_left_behind(token: str) -> None:
    assert together(token, "/api/v1/cases/", "{}", "k", 1)[0].status_code == 400
    KeptAnswer.objects.update(status=None, claimed_at=timezone.now() - timedelta(hours=1))
    counted = Counter(
        a.get("Idempotency-Replayed") or a.status_code for a in together(token, "/api/v1/cases/", "{}", "k", 8)
    )
    assert counted[400] == 1, counted
    assert set(counted) <= {400, 409, "true"}


class Senders:
    """Server processes on the database of this test."""

    def __init__(self) -> None:
        of = connection.settings_dict
        engine = "sqlite" if connection.vendor == "sqlite" else "postgresql"
        where = of["NAME"] if engine == "sqlite" else f"{of['USER']}@{of['HOST']}:{of['PORT']}/{of['NAME']}"
        url = f"{engine}://{'/' if engine == 'sqlite' else ''}{where}"
        self.environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, token: str, *arguments: str) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.api.sender", token, "/api/v1/cases/", *arguments],
            cwd=ROOT, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        self.processes.append(process)

    def go(self) -> list[str]:
        """Let all go once all are ready; what each said, or how it ended."""
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said = [
            process.communicate(timeout=60)[0].strip() or f"ended {process.returncode}" for process in self.processes
        ]
        self.processes = []
        return said


@pytest.fixture
def senders() -> Iterator[Senders]:
    started = Senders()
    yield started
    for process in started.processes:
        process.kill()


def test_one_of_several_processes_opens_the_case(token: str, senders: Senders) -> None:
    for _ in range(4):
        senders.start(token, "k", CASE)
    said = Counter(senders.go())
    assert said["201 - -"] == 1, said
    assert set(said) <= {"201 - -", "201 true -", "409 - idempotency_in_flight"}
    assert Case.objects.count() == 1


def test_a_server_that_dies_leaves_nothing_but_its_claim(token: str, senders: Senders, settings: Any) -> None:
    senders.start(token, "k", CASE, "die")
    assert senders.go() == ["ended 9"]
    assert not Case.objects.exists()
    assert KeptAnswer.objects.get().status is None
    client = APIClient(headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "k"})
    early = client.post("/api/v1/cases/", CASE, content_type="application/json")
    assert (early.status_code, early.json()["code"]) == (409, "idempotency_in_flight")
    settings.IDEMPOTENCY_TAKEOVER = 0
    assert client.post("/api/v1/cases/", CASE, content_type="application/json").status_code == 201
    assert client.post("/api/v1/cases/", CASE, content_type="application/json")["Idempotency-Replayed"] == "true"
    assert Case.objects.count() == 1
