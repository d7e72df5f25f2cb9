"""Hundreds of hostile files through the real doors: each one outcome, in words, and nobody falls over."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests import hostile, hostile_more
from tests.hostile_zips import hostile_zips

pytestmark = pytest.mark.timeout(900)
ENDED = {"accepted", "duplicate", "rejected", "opened", "unmatched"}
MEMORY = Path("/dev/shm")  # a folder in memory, where the system has one
OURS = {"server_error", "not_stored", "lost"}
GROWN = 260_000_000  # bytes; the bombs among them unpack to 200 MB each, a picture of 16 megapixels decodes to 48


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Each sample with its name, what is expected of it, and what both doors said of it."""
    folder = tmp_path_factory.mktemp("hostile")
    samples: list[dict[str, Any]] = []
    contents: set[str] = set()

    def add(name: str, data: bytes, expected: set[str], *, is_zip: bool = False) -> None:
        digest = hashlib.sha256(data).hexdigest()
        if digest in contents:
            return
        contents.add(digest)
        (folder / digest).write_bytes(data)
        samples.append({"file": digest, "name": name, "zip": is_zip, "expected": sorted(expected)})

    pictures = chain(
        hostile.bad(), hostile.odd_but_right(), hostile.planted(), hostile_more.pictures(), hostile_more.names()
    )
    for sample in pictures:
        add(sample.name, sample.data, {sample.code})
    for name, data, codes in hostile_zips():
        add(f"{name}.zip", data, codes or {hostile_more.ANY}, is_zip=True)
    (folder / "samples.json").write_text(json.dumps(samples))
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | {"EMBEDDED": "1"}
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2**30:
        environment["TMPDIR"] = str(MEMORY)  # thousands of small writes need not wait for a disk
    done = subprocess.run(
        [sys.executable, "-m", "tests.web.hostile_doors", str(folder)],
        capture_output=True, text=True, timeout=850, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    assert len(answers["tus"]) == len(answers["api"]) == len(samples)
    return samples, answers


def test_there_are_hundreds_of_different_ones(sent: Any) -> None:
    samples, _ = sent
    zips = sum(sample["zip"] for sample in samples)
    assert zips > 185
    assert len(samples) - zips > 400


def test_by_tus_each_has_one_outcome_with_a_reason(sent: Any) -> None:
    samples, answers = sent
    wrong = []
    for sample, answer in zip(samples, answers["tus"], strict=True):
        title, outcomes = sample["name"][:60], answer["outcomes"]
        if not answer["upload"]:  # its very name is no text: nothing was begun, and that is said
            if answer["statuses"] != [400] or not answer["words"].endswith("."):
                wrong.append((title, answer))
            continue
        if any(status >= 400 for status in answer["statuses"]) or not outcomes:
            wrong.append((title, answer))
        for outcome in outcomes:
            is_ended = outcome["state"] in ENDED and outcome["code"] not in OURS
            if not is_ended or (outcome["state"] in ("accepted", "duplicate")) != bool(outcome["image"]):
                wrong.append((title, outcome))
            if outcome["state"] in ("rejected", "unmatched") and not (outcome["code"] and in_words(outcome["reason"])):
                wrong.append((title, outcome))
        if not sample["zip"] and len(outcomes) != 1:
            wrong.append((title, outcomes))
        said = {outcome["code"] for outcome in outcomes}
        if answer["is_zip"] and not sample["zip"]:  # by its content, which only this door unpacks
            continue
        if sample["expected"] != [hostile_more.ANY] and not said & set(sample["expected"]):
            wrong.append((title, sample["expected"], outcomes))
    assert wrong == []


def test_by_the_api_each_has_the_same_outcome(sent: Any) -> None:
    samples, answers = sent
    wrong = []
    for sample, by_tus, by_api in zip(samples, answers["tus"], answers["api"], strict=True):
        title = sample["name"][:60]
        if len(sample["name"]) > 999 and by_api["status"] == "lost":
            if by_api["http"] != 400 or "name_too_long" not in by_api["words"]:
                wrong.append((title, by_api))
            continue
        if by_api["status"] not in ("accepted", "duplicate", "rejected") or by_api["code"] in OURS:
            wrong.append((title, by_api))
            continue
        if by_api["status"] != "accepted" and not (by_api["code"] or by_api["id"]) and not by_api["remarks"]:
            wrong.append((title, by_api))
        if sample["zip"] or by_tus["is_zip"] or not by_tus["outcomes"]:
            continue
        same = (by_tus["outcomes"][0]["state"], by_tus["outcomes"][0]["code"])
        if (by_api["status"], by_api["code"] or "") != same:
            wrong.append((title, same, by_api))
    assert wrong == []


def test_no_name_of_a_file_leads_anywhere(sent: Any) -> None:
    _, answers = sent
    outcomes = [outcome for answer in answers["tus"] for outcome in answer["outcomes"]]
    paths = [outcome["path"] for outcome in outcomes if outcome["code"] != "zip_name"]  # those of zips are refused
    bad = [path for path in paths if ".." in path.split("/") or path.startswith("/") or not path.isprintable()]
    assert bad == []
    assert max(map(len, paths)) <= 400


def test_the_log_is_quiet_and_the_memory_bounded(sent: Any) -> None:
    _, answers = sent
    assert answers["errors"] == []
    assert answers["grown"] < GROWN, f"{answers['grown'] / 1e6:.0f} MB"


def in_words(reason: str) -> bool:
    return reason[:1].isupper() and reason.endswith((".", "”.")) and len(reason) < 400
