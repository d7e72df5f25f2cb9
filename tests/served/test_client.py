"""The Python client against the product as it runs: killed clients, killed servers, and the whole way to results."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leukolens_client import Client, Refused
from mlcore.phantom import render_field
from tests.hostile import encoded
from tests.served.test_embedded import Stage

pytestmark = pytest.mark.timeout(300)

PEOPLE = """
from accounts import tokens
from accounts.models import Laboratory, Membership, Role, User
from accounts.permissions import Scope, actor_for
from diagnosis import review
from diagnosis.models import SmearImage
laboratory = Laboratory.objects.get(slug="faults")
user = User.objects.create_user("head@example.org")
for role in (Role.PATHOLOGIST, Role.ADMINISTRATOR):
    Membership.objects.create(user=user, laboratory=laboratory, role=role)
head = actor_for(user, laboratory)
labels = {"field": "early_pre_b", "cell": "blast"}
for image in SmearImage.objects.all():
    review.decide(actor=head, image=image, verdict="override", label=labels[image.kind])
print(tokens.issue(actor=head, name="export", scopes=[Scope.DATA_EXPORT], days=1)[1])
"""


class Bench:
    """A machine at the microscope: the command, its own folders, and the portal that it talks to."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.folder = stage, folder
        seeded: dict[str, Any] = stage.seed(0)
        self.token: str = seeded["token"]
        self.accession: str = stage.ask("SELECT accession_number FROM diagnosis_case")[0][0]
        self.environment = stage.portal.environment | {
            "LEUKOLENS_CONFIG": str(folder / "config"),
            "LEUKOLENS_STATE": str(folder / "state"),
        }

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "leukolens_client", *arguments], env=self.environment, text=True, **streams
        )

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "leukolens_client", *arguments],
            env=self.environment | environment, input=stdin, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    stage = Stage()
    try:
        stage.portal.start_web()
        yield Bench(stage, tmp_path_factory.mktemp("bench"))
    finally:
        stage.portal.stop()


def test_a_watcher_and_a_server_that_are_killed_send_nothing_twice_and_lose_nothing(bench: Bench) -> None:
    """Pictures of 6 MB, each in several pieces; the watcher dies three times amid one, the server once."""
    stage, portal = bench.stage, bench.stage.portal
    scope = bench.folder / "scope" / bench.accession
    scope.mkdir(parents=True)
    for number in range(8):
        noise = np.random.default_rng(number).integers(0, 256, (1200, 1700, 3), dtype=np.uint8)
        (scope / f"{number}.png").write_bytes(encoded(noise, "PNG", compress_level=0))
    status, _, err = bench.run("login", portal.url, stdin=bench.token + "\n")
    assert status == 0, err
    watch = ("watch", str(scope.parent), "--still", "0.5", "--every", "0.1", "--log", str(bench.folder / "log"))

    def settled() -> int:
        found: int = stage.ask("SELECT count(*) FROM diagnosis_batchfile WHERE state = 'accepted'")[0][0]
        return found

    def amid() -> bool:
        begun = stage.ask("SELECT upload FROM diagnosis_batchfile WHERE state = 'receiving'")
        paths = [portal.var / "uploads" / upload[0][:2] / upload[0] for upload in begun]
        return any(path.exists() and path.stat().st_size > 0 for path in paths)

    killed_amid = 0
    for turn in range(4):
        watcher = bench.start(*watch, stderr=subprocess.DEVNULL)
        before = settled()
        portal.wait_for(lambda goal=before: amid() or settled() >= min(8, goal + 2), "a file on its way", every=0.002)
        killed_amid += amid()
        if turn < 3:
            watcher.send_signal(signal.SIGKILL)
            watcher.wait(10)
            continue
        portal.kill("web")
        time.sleep(0.5)
        portal.start_web()
        portal.wait_for(lambda: settled() == 8, "every file to be accepted", seconds=120)
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(30) == 0
    assert killed_amid > 0, "it was never killed amid a file"

    rows = stage.ask("SELECT path, state FROM diagnosis_batchfile ORDER BY path")
    assert rows == [(f"scope/{bench.accession}/{number}.png", "accepted") for number in range(8)]
    assert stage.ask("SELECT count(*), count(DISTINCT received_sha256) FROM diagnosis_smearimage") == [(8, 8)]
    assert stage.ask("SELECT count(*) FROM diagnosis_batch") == [(1,)]

    status, _, err = bench.run(*watch, "--once")
    assert status == 0
    assert "In this run: nothing sent" in err


def test_from_a_folder_to_results_and_an_export(bench: Bench) -> None:
    stage, portal = bench.stage, bench.stage.portal
    with Client(portal.url, bench.token) as client:
        case = client.open_case("CLIENT-1", mrn="C-1", priority="urgent")
        assert client.case("client-1").id == case.id
        with pytest.raises(Refused) as taken:
            client.open_case("CLIENT-1", mrn="C-1")
        assert (taken.value.code, taken.value.existing) == ("accession_taken", case.id)

    folder = bench.folder / "slides"
    (folder / "CLIENT-1").mkdir(parents=True)
    for number, label in enumerate(("benign", "early_pre_b", "pre_b")):
        Image.fromarray(render_field(label, seed=number)).save(folder / f"CLIENT-1/{number}.png")
    (folder / "whose.png").write_bytes(encoded(render_field("pro_b", seed=9), "PNG"))
    (folder / "letter.jpg").write_bytes(b"Dear colleague")
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("CLIENT-1/zipped.png", encoded(render_field("pro_b", seed=5), "PNG"))

    portal.start_worker()
    environment = {"LEUKOLENS_URL": portal.url, "LEUKOLENS_TOKEN": bench.token}
    status, out, err = bench.run("upload", str(folder), "--wait", "--json", **environment)
    assert status == 1, err  # the letter
    said = json.loads(out)
    by_name = {file["name"]: file["outcome"]["status"] for file in said["files"]}
    assert by_name == {
        "slides/CLIENT-1/0.png": "accepted", "slides/CLIENT-1/1.png": "accepted", "slides/CLIENT-1/2.png": "accepted",
        "slides/letter.jpg": "rejected", "slides/whose.png": "unmatched", "slides/more.zip": "received",
    }  # fmt: skip
    assert {image["name"]: image["status"] for image in said["images"]} == dict.fromkeys(
        ("0.png", "1.png", "2.png", "zipped.png"), "done"
    )

    status, out, _ = bench.run("results", "CLIENT-1", "--csv", **environment)
    assert status == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["status"] for row in rows] == ["done"] * 4
    read = stage.ask("SELECT probabilities FROM diagnosis_analysis WHERE probabilities IS NOT NULL")
    assert all(0.0 <= float(row["probability"]) <= 1.0 and row["label"] for row in rows)
    assert len(read) >= 8
    status, out, _ = bench.run("results", "--batch", str(said["batch"]), "--json", **environment)
    assert json.loads(out)["cases"][0]["accession_number"] == "CLIENT-1"

    zip_path = bench.folder / "decided.zip"
    status, _, err = bench.run("export", str(zip_path), "--open-cases", **environment)
    assert status == 1
    assert "data:export" in err
    exporting = environment | {"LEUKOLENS_TOKEN": portal.manage("shell", "--no-imports", "-c", PEOPLE).split()[-1]}
    status, _, err = bench.run("export", str(zip_path), "--open-cases", **exporting)
    assert status == 0, err
    names = zipfile.ZipFile(zip_path).namelist()
    assert sum(name.endswith(".png") for name in names) == stage.ask("SELECT count(*) FROM diagnosis_smearimage")[0][0]
    assert "field/manifest.csv" in names
