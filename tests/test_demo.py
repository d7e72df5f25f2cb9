"""`make demo` as a newcomer runs it: real processes, a first image through the API, and nothing left after Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlcore.phantom import rendered_smear
from tests.portal import ROOT, Portal
from tests.servers import free_port


@contextlib.contextmanager
def demo(var: Path, port: int, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "scripts/demo.py"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "VAR_DIR": str(var), "PORT": str(port), **environment},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def told(process: subprocess.Popen[str], until: str) -> str:
    """What the demo printed up to the line that holds `until`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if until in line:
            return "".join(lines)
    raise AssertionError("the demo ended early:\n" + "".join(lines))


@pytest.mark.timeout(240)
def test_demo_reads_a_first_image_and_stops_whole(tmp_path: Path) -> None:
    port = free_port()
    portal = Portal()  # only to talk to the one that the demo starts
    portal.url = f"http://127.0.0.1:{port}"
    with demo(tmp_path, port) as process:
        printed = told(process, "Ctrl-C stops it")
        credentials = json.loads((tmp_path / "demo-credentials.json").read_text())
        assert set(credentials) == {"url", "api_token", "users"}
        assert credentials["url"] == portal.url
        assert {"technician", "pathologist", "administrator"} <= {person["role"] for person in credentials["users"]}
        assert credentials["api_token"] in printed
        assert all(person["password"] in printed for person in credentials["users"])
        assert (tmp_path / "demo-credentials.json").stat().st_mode & 0o077 == 0

        token = credentials["api_token"]
        body = json.dumps({"accession_number": "FIRST-1", "patient": {"mrn": "FIRST"}}).encode()
        status, case = portal.request("POST", "/api/v1/cases/", body=body, token=token)
        assert status == 201
        field, cell = rendered_smear("ALL pre-B", seed=90)[0], rendered_smear("AML", seed=90)[0]
        ids = []
        for image in (field, cell):
            status, answer = portal.upload(case["id"], image.data, image.filename, token=token)
            assert status == 201
            ids.append(answer["id"])

        def read() -> bool:
            return all(portal.get(f"/api/v1/images/{i}/", token)[1]["status"] == "done" for i in ids)

        portal.wait_for(read, "the first field and cell to be read", seconds=150, every=0.5)
        for image_id, kind in zip(ids, ("field", "cell"), strict=True):
            image = portal.get(f"/api/v1/images/{image_id}/", token)[1]
            assert image["kind"] == kind
            assert {a["network"] for a in image["analyses"]} == {"cnn", "mobilenet"}
            assert all(abs(sum(a["probabilities"].values()) - 1) < 1e-3 for a in image["analyses"])
            assert 0 <= image["reading"]["malignant"] <= 1
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 3  # web, worker, and what they started
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    time.sleep(0.5)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_demo_says_when_its_port_is_taken(tmp_path: Path) -> None:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        with demo(tmp_path, sock.getsockname()[1]) as process:
            assert "is taken" in told(process, "is taken")
            assert process.wait(30) == 1


def test_demo_says_when_its_folder_has_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    port = free_port()
    with demo(tmp_path / "var", port, DEMO_IMAGES=str(tmp_path / "pictures")) as process:
        assert "no manifest.csv" in told(process, "manifest.csv")
