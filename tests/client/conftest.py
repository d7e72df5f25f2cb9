"""No test of the client waits long, or leaves anything in the folders of whoever runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leukolens_client import Client
from tests.client.fake import URL, FakePortal


@pytest.fixture(autouse=True)
def _quick_and_clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("leukolens_client.wire.random.uniform", lambda low, high: 0.0)
    monkeypatch.setenv("LEUKOLENS_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("LEUKOLENS_STATE", str(tmp_path / "state"))
    for name in ("LEUKOLENS_URL", "LEUKOLENS_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def portal() -> FakePortal:
    return FakePortal()


@pytest.fixture
def client(portal: FakePortal) -> Iterator[Client]:
    with Client(URL, "ll_right", transport=portal.transport, patience=5.0) as client:
        yield client
