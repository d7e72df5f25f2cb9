"""The command: signing in, exit statuses that scripts can trust, CSV and JSON, help for every option, its own docs."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import signal
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from leukolens_client import RESEARCH_USE_ONLY, Client, Refused, Unreachable, cli, login
from scripts import client_docs
from tests.client.fake import URL, FakePortal, problem

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(portal: FakePortal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command against the portal in memory: its exit status, and what it wrote."""
    right = Client.__init__

    def made(self: Client, url: str, token: str, **how: Any) -> None:
        right(self, url, token, **{**how, "transport": portal.transport, "patience": 0.2})

    monkeypatch.setattr(Client, "__init__", made)

    def command(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        status = cli.main(arguments)
        out, err = capsys.readouterr()
        return status, out, err

    return command


@pytest.fixture
def _signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEUKOLENS_URL", URL)
    monkeypatch.setenv("LEUKOLENS_TOKEN", "ll_right")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run7").mkdir()
    (tmp_path / "run7/1.jpg").write_bytes(b"picture")
    return tmp_path / "run7"


# -- signing in -------------------------------------------------------------------------------------------------
def test_a_token_is_checked_before_it_is_kept_and_kept_for_oneself(run: Run, tmp_path: Path) -> None:
    status, _, err = run("login", URL, stdin="ll_wrong\n")
    assert status == 1
    assert "unknown, expired or revoked" in err
    assert not login.path().exists()

    (tmp_path / "token").write_text("ll_right\n")
    status, out, _ = run("login", f"{URL}/", "--token-file", str(tmp_path / "token"))
    assert status == 0
    assert "Tess Technician, North (images:write)" in out
    assert "ll_right" not in out
    if sys.platform != "win32":
        assert stat.S_IMODE(login.path().stat().st_mode) == 0o600
        assert stat.S_IMODE(login.path().parent.stat().st_mode) == 0o700
    assert login.current() == login.Login(URL, "ll_right")

    assert run("logout")[:2] == (0, "Forgotten.\n")
    assert run("logout")[1] == "No token was kept.\n"
    status, _, err = run("results", "S26-1")
    assert status == 1
    assert "leukolens login" in err


def test_the_environment_wins_and_a_kept_token_stays_with_its_portal(monkeypatch: pytest.MonkeyPatch) -> None:
    login.keep(login.Login(URL, "ll_kept"))
    assert login.current().token == "ll_kept"
    monkeypatch.setenv("LEUKOLENS_TOKEN", "ll_other")
    assert login.current() == login.Login(URL, "ll_other")
    monkeypatch.delenv("LEUKOLENS_TOKEN")
    monkeypatch.setenv("LEUKOLENS_URL", "https://else.example")
    with pytest.raises(login.NoLogin, match=r"No token for https://else\.example"):
        login.current()


@pytest.mark.skipif(sys.platform == "win32", reason="not run: Windows has no modes")
def test_a_kept_token_that_others_can_read_is_not_used() -> None:
    login.keep(login.Login(URL, "ll_kept"))
    login.path().chmod(0o644)
    with pytest.raises(login.NoLogin, match="Others on this machine can read"):
        login.current()


def test_a_kept_file_that_is_none_is_told() -> None:
    login.keep(login.Login(URL, "ll_kept")).write_text("{")
    with pytest.raises(login.NoLogin, match="cannot be read"):
        login.current()


# -- exit statuses ----------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("_signed_in")
def test_exit_statuses_of_an_upload(run: Run, portal: FakePortal, folder: Path) -> None:
    status, out, err = run("upload", str(folder))
    assert status == 0
    assert "Accepted       run7/1.jpg – image 1" in out
    assert err == "", "no bar where nobody looks"

    (folder / "nobody.jpg").write_bytes(b"whose?")
    status, out, _ = run("upload", str(folder))
    assert status == 3
    assert "In the tray until somebody says whose they are: 1 file." in out

    (folder / "bad.jpg").write_bytes(b"no picture")
    status, out, _ = run("upload", str(folder), "--json")
    assert status == 1
    said = json.loads(out)
    assert (said["batch"], said["failed"], said["unmatched"]) == (3, 1, 1)
    by_name = {each["name"]: each for each in said["files"]}
    assert by_name["run7/bad.jpg"]["failed"] is True
    assert by_name["run7/nobody.jpg"]["outcome"]["status"] == "unmatched"

    portal.before = lambda request: httpx.Response(503)
    status, _, err = run("upload", str(folder))
    assert status == 1
    assert URL in err
    assert run("upload", str(folder / "nothing.jpg"))[0] == 1


@pytest.mark.usefixtures("_signed_in")
def test_exit_statuses_of_a_watch(run: Run, folder: Path, tmp_path: Path) -> None:
    quick = ("--once", "--still", "0.1", "--every", "0.1", "--log", str(tmp_path / "log"))
    assert run("watch", str(folder), *quick)[0] == 0
    assert "run7/1.jpg: accepted" in (tmp_path / "log").read_text()
    (folder / "nobody.jpg").write_bytes(b"whose?")
    assert run("watch", str(folder), *quick)[0] == 3
    (folder / "bad.jpg").write_bytes(b"no picture")
    assert run("watch", str(folder), *quick)[0] == 1
    assert run("watch", str(folder / "nothing"), *quick)[0] == 1


@pytest.mark.usefixtures("_signed_in")
def test_an_interrupted_upload_goes_on_by_the_same_command(run: Run, portal: FakePortal, folder: Path) -> None:
    for number in range(20):
        (folder / f"{number}.jpg").write_bytes(b"picture %d" % number)

    def interrupted(request: httpx.Request) -> None:
        if portal.count("POST", "/uploads/") == 8:
            os.kill(os.getpid(), signal.SIGINT)

    portal.before = interrupted
    status, _, err = run("upload", str(folder))
    assert status == 130
    assert "The same command goes on" in err
    assert len(portal.uploads) < 20
    portal.before = lambda request: None
    assert run("upload", str(folder))[0] == 0
    assert len(portal.stored()) == 20
    assert len(portal.batches) == 1


# -- results ----------------------------------------------------------------------------------------------------
IMAGE = {
    "id": 7, "name": "=HYPERLINK(1).jpg", "kind": "cell", "status": "done", "error": "",
    "uploaded_at": "2026-03-02T09:30:00Z", "decision": None,
    "reading": {
        "label": "blast", "probability": 0.91, "malignant": 0.93, "agree": True, "novelty": 0.1, "warnings": [],
        "needs_person": False,
    },
}  # fmt: skip
CASE = {
    "id": 3, "accession_number": "S26-0123", "status": "ready", "priority": "urgent", "specimen": "bone_marrow",
    "stain": "giemsa", "clinical_question": "", "patient": {"id": 1, "mrn": "7741", "name": ""}, "image_count": 1,
    "malignant": 0.9, "created_at": "2026-03-02T09:30:00Z", "due_at": None, "held_by": None, "signed_at": None,
    "report_version": 0, "a_member_of_tomorrow": 1,
    "assessment": {
        "malignant": {"value": 0.9, "low": 0.7, "high": 0.97}, "statement": "Probability of blood cancer 90 %.",
        "flags": [], "differential": [],
    },
}  # fmt: skip


@pytest.fixture
def image() -> dict[str, Any]:
    return dict(IMAGE)


@pytest.fixture
def _a_case(portal: FakePortal, image: dict[str, Any]) -> None:
    def answer(request: httpx.Request) -> httpx.Response | None:
        pages = {"next": None, "previous": None}
        match request.url.path:
            case "/api/v1/cases/":
                found = [CASE] if request.url.params["accession_number"] == "S26-0123" else []
                return httpx.Response(200, json={"count": 1, "results": found, **pages})
            case "/api/v1/cases/3/":
                return httpx.Response(200, json=CASE)
            case "/api/v1/cases/3/images/":
                return httpx.Response(200, json={"count": 1, "results": [image], **pages})
        return None

    portal.before = answer


@pytest.mark.usefixtures("_signed_in", "_a_case")
def test_results_as_a_table_csv_and_json(run: Run, image: dict[str, Any]) -> None:
    status, out, err = run("results", "S26-0123")
    assert status == 0
    assert "S26-0123: Probability of blood cancer 90 %." in out
    assert "blast  0.910" in out
    assert RESEARCH_USE_ONLY in err

    rows = list(csv.DictReader(io.StringIO(run("results", "S26-0123", "--csv")[1])))
    assert rows[0]["label"] == "blast"
    assert rows[0]["name"] == "'=HYPERLINK(1).jpg", "no formula for a spreadsheet"

    said = json.loads(run("results", "S26-0123", "--json")[1])
    assert said["research_use_only"] == RESEARCH_USE_ONLY
    assert said["cases"][0]["assessment"]["differential"] == []
    assert said["images"][0]["probability"] == 0.91

    image |= {"status": "failed", "reading": None, "error": "It could not be read."}
    status, out, _ = run("results", "S26-0123", "--wait")
    assert status == 1
    status, _, err = run("results", "S26-9")
    assert status == 1
    assert "There is no case S26-9 here." in err


# -- export -----------------------------------------------------------------------------------------------------
def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("cell/manifest.csv", "path,label\n")
    return out.getvalue()


@pytest.fixture
def sent(portal: FakePortal) -> list[bytes]:
    """What the export sends, piece by piece."""
    pieces = [zipped()[:50], zipped()[50:]]

    def answer(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/api/v1/export/":
            return httpx.Response(200, json={"images": 1, "patients": 1, "bytes": 2**20})
        if request.url.path == "/api/v1/export/file/":
            return httpx.Response(200, content=iter(pieces), headers={"Content-Type": "application/zip"})
        return None

    portal.before = answer
    return pieces


@pytest.mark.usefixtures("_signed_in")
def test_an_export_is_whole_or_not_there(
    run: Run, portal: FakePortal, sent: list[bytes], tmp_path: Path, client: Client
) -> None:
    out = tmp_path / "decided.zip"
    status, _, err = run("export", str(out), "--task", "cell", "--class", "blast", "--since", "2026-01-01")
    assert status == 0
    assert "1 pictures of 1 patients, 1.0 MiB" in err
    assert out.read_bytes() == zipped()
    asked = dict(portal.requests[-1].url.params)
    assert asked == {"tasks": "cell", "labels": "blast", "since": "2026-01-01", "signed_only": "true"}

    assert run("export", str(out))[0] == 1, "nothing is written over"
    sent.pop()
    with pytest.raises(Unreachable, match="broke off before its end"):
        client.export(tmp_path / "other.zip")
    assert sorted(path.name for path in tmp_path.glob("*.zip*")) == ["decided.zip"]
    assert list(tmp_path.glob(".*part")) == []


@pytest.mark.usefixtures("_signed_in")
def test_a_token_that_may_not_export_is_told_which_may(run: Run, portal: FakePortal, tmp_path: Path) -> None:
    portal.before = lambda request: problem(403, "permission_denied", "This token may not.")
    status, _, err = run("export", str(tmp_path / "out.zip"))
    assert status == 1
    assert "data:export" in err


# -- help and docs ----------------------------------------------------------------------------------------------
def commands() -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in cli.parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def test_every_command_and_option_is_explained() -> None:
    assert set(commands()) == {"login", "logout", "upload", "watch", "results", "export"}
    for name, command in commands().items():
        assert command.description, name
        assert command.epilog, name
        for action in command._actions:
            assert action.help, (name, action.option_strings or action.dest)


@pytest.mark.parametrize("name", ["login", "logout", "upload", "watch", "results", "export"])
def test_help_fits_a_terminal(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 120


def test_what_was_not_understood_ends_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (
        [],
        ["upload"],
        ["upload", "a", "--case", "S1", "--mask", "S#"],
        ["results"],
        ["watch", "a", "--still", "0"],
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(wrong)
        assert ended.value.code == 2, wrong
    capsys.readouterr()


def test_the_reference_is_made_without_a_warning(tmp_path: Path) -> None:
    page = client_docs.main(tmp_path)
    text = page.read_text()
    for name in ("open_case", "wait_for_case", "Unreachable", "unmatched"):
        assert name in text
    assert "/work" not in text
    assert os.fspath(Path.home()) not in text


def test_every_public_name_is_documented() -> None:
    import leukolens_client

    for name in leukolens_client.__all__:
        value = getattr(leukolens_client, name)
        if isinstance(value, type):
            assert value.__doc__, name
            undocumented = [
                each for each, inner in vars(value).items()
                if callable(inner) and not each.startswith("_") and not inner.__doc__ and each not in ("read", "close")
            ]  # fmt: skip
            assert undocumented == [], name


def test_refusals_can_be_branched_on() -> None:
    refused = Refused(409, "accession_taken", "It is taken.", existing=3)
    assert (refused.status, refused.code, str(refused), refused.existing) == (409, "accession_taken", "It is taken.", 3)
