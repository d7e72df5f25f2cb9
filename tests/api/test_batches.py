"""Batches through the API: opened, filled by tus with the same token, followed, and what found no case assigned."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.permissions import Scope
from diagnosis.batches import progress, settling, store
from diagnosis.models import AuditEvent, BatchFile, Case, ModelRelease, SmearImage
from tests.api.conftest import ClientOf, fail_all, read_all
from tests.api.problem import assert_problem
from tests.cast import Cast
from tests.hostile import jpeg

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folders(settings: Any, tmp_path: Any) -> None:
    settings.UPLOADS_ROOT = tmp_path / "uploads"


@pytest.fixture
def numbered(cast: Cast) -> Case:
    return cast.case(accession_number="S26-0123")


def opened(client: APIClient, **said: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/batches/", {"name": "Morning", **said})
    assert answer.status_code == 201, answer.content
    assert answer["Location"] == f"http://testserver/api/v1/batches/{answer.json()['id']}/"
    return answer.json()


def sent(client: APIClient, batch: dict[str, Any], name: str, data: bytes, **metadata: str) -> BatchFile:
    """A file by tus in one request, as the answer that opened the batch says."""
    said = {"batch": str(batch["id"]), "filename": name, **metadata}
    header = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())
    answer = client.generic(
        "POST", batch["upload_url"], data, content_type="application/offset+octet-stream",
        headers={"Tus-Resumable": "1.0.0", "Upload-Length": str(len(data)), "Upload-Metadata": header},
    )  # fmt: skip
    assert answer.status_code == 201, answer.content
    progress.sweep()
    return BatchFile.objects.get(upload=answer["Location"].strip("/").split("/")[-1])


def files(client: APIClient, batch: dict[str, Any], **query: str) -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1/batches/{batch['id']}/files/", query)
    assert answer.status_code == 200, answer.content
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def test_from_opening_to_reading(technician: APIClient, numbered: Case, releases: list[ModelRelease]) -> None:
    batch = opened(technician)
    assert (batch["name"], batch["state"], batch["created_by"]) == ("Morning", "empty", "Tess Technician")
    assert (batch["counts"]["files"], batch["seconds_left"], batch["warning"]) == (0, None, None)
    assert batch["upload_url"] == "/uploads/"
    first = jpeg(1)
    sent(technician, batch, "S26-0123 a.jpg", first, kind="cell")
    sent(technician, batch, "S26-0123 again.jpg", first, kind="cell")
    sent(technician, batch, "IMG_1.jpg", jpeg(2), kind="cell")
    sent(technician, batch, "S26-0123 note.jpg", b"no picture")

    url = f"/api/v1/batches/{batch['id']}/"
    waiting = technician.get(url).json()
    assert waiting["state"] == "reading"
    assert waiting["warning"].startswith("No worker is there.")
    wanted = {
        "files": 4, "receiving": 0, "received": 4, "checked": 4, "accepted": 1, "duplicate": 1, "rejected": 1,
        "unmatched": 1, "needs": 2, "queued": 1, "reading": 0, "read": 0, "failed": 0,
    }  # fmt: skip
    assert {name: waiting["counts"][name] for name in wanted} == wanted
    found = files(technician, batch)
    image = SmearImage.objects.get()
    assert [(each["name"], each["outcome"], each["image"], each["status"], each["case"]) for each in found] == [
        ("S26-0123 a.jpg", "accepted", image.pk, "queued", numbered.pk),
        ("S26-0123 again.jpg", "duplicate", image.pk, "queued", numbered.pk),
        ("IMG_1.jpg", "unmatched", None, None, None),
        ("S26-0123 note.jpg", "rejected", None, None, numbered.pk),
    ]
    assert found[0]["accession_number"] == "S26-0123"
    assert found[2]["reason"] == "No accession number was found in its name or folder."
    assert (found[3]["code"], found[3]["words"]) == ("not_an_image", "Not accepted")
    assert [each["name"] for each in files(technician, batch, show="needs")] == ["IMG_1.jpg", "S26-0123 note.jpg"]
    assert [each["name"] for each in files(technician, batch, show="duplicate")] == ["S26-0123 again.jpg"]
    assert_problem(technician.get(f"{url}files/", {"show": "nothing"}), 400, "invalid")

    read_all("blast")
    done = technician.get(url).json()
    assert (done["state"], done["counts"]["read"], done["counts"]["needs"], done["warning"]) == ("done", 1, 2, None)
    assert technician.get(f"{url}files/{found[0]['id']}/").json()["status"] == "done"
    (listed,) = technician.get("/api/v1/batches/").json()["results"]
    assert (listed["id"], listed["files"], listed["needs"], listed["finished_at"]) == (batch["id"], 4, 2, None)
    assert technician.get("/api/v1/batches/", {"finished": "true"}).json()["count"] == 0
    assert technician.get("/api/v1/batches/", {"finished": "false"}).json()["count"] == 1


def test_all_files_of_one_case(technician: APIClient, numbered: Case) -> None:
    batch = opened(technician, accession_number="s26-0123", kind="field", um_per_pixel=0.25)
    assert (batch["case"], batch["kind"], batch["um_per_pixel"]) == (numbered.pk, "field", 0.25)
    assert sent(technician, batch, "IMG_1.jpg", jpeg(1)).case == numbered


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"accession_number": "NO-1"}, "accession_number"),
        ({"kind": "liver"}, "kind"),
        ({"um_per_pixel": 1000}, "um_per_pixel"),
        ({"mask": "S##"}, "mask"),
        ({"name": "x" * 121}, "name"),
    ],
)
def test_what_opens_no_batch(technician: APIClient, body: dict[str, Any], field: str) -> None:
    problem = assert_problem(technician.post("/api/v1/batches/", body), 400, "invalid")
    assert [error["field"] for error in problem["errors"]] == [field]


def test_a_file_of_the_tray_is_assigned(technician: APIClient, numbered: Case, cast: Cast) -> None:
    batch = opened(technician)
    by_number, by_id = (sent(technician, batch, f"IMG_{n}.jpg", jpeg(n)) for n in (1, 2))
    url = f"/api/v1/batches/{batch['id']}/files/"
    elsewhere = cast.case(laboratory=cast.elsewhere, accession_number="X-1")
    for body, field in (
        ({"accession_number": "NO-1"}, "accession_number"),
        ({"case": elsewhere.pk}, "case"),
        ({}, ""),
        ({"case": numbered.pk, "accession_number": "S26-0123"}, ""),
    ):
        problem = assert_problem(technician.post(f"{url}{by_id.pk}/assign/", body), 400, "invalid")
        assert [error["field"] for error in problem["errors"]] == [field]
    for file, body in ((by_number, {"accession_number": "s26-0123"}), (by_id, {"case": numbered.pk})):
        answer = technician.post(f"{url}{file.pk}/assign/", body)
        assert answer.status_code == 200, answer.content
        assert (answer.json()["outcome"], answer.json()["case"]) == ("accepted", numbered.pk)
        again = assert_problem(technician.post(f"{url}{file.pk}/assign/", body), 409, "not_waiting")
        assert "it is “accepted”" in again["detail"]
    assert numbered.images.count() == 2


def test_what_could_not_be_stored_stays_in_the_tray(
    technician: APIClient, numbered: Case, settings: Any, tmp_path: Path
) -> None:
    batch = opened(technician)
    file = sent(technician, batch, "IMG_1.jpg", jpeg(1))
    url = f"/api/v1/batches/{batch['id']}/files/{file.pk}/assign/"
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.MEDIA_ROOT.write_text("a file where the folder should be")
    assert_problem(technician.post(url, {"case": numbered.pk}), 503, "not_stored")
    settings.MEDIA_ROOT.unlink()
    assert technician.post(url, {"case": numbered.pk}).json()["outcome"] == "accepted"


def test_a_file_of_the_tray_is_discarded(technician: APIClient) -> None:
    batch = opened(technician)
    file = sent(technician, batch, "IMG_1.jpg", jpeg(1))
    url = f"/api/v1/batches/{batch['id']}/files/{file.pk}/discard/"
    assert technician.post(url).json()["outcome"] == "discarded"
    assert store.size(file.upload) is None
    assert AuditEvent.objects.filter(action="batch.file_discarded").count() == 1
    assert_problem(technician.post(url), 409, "not_waiting")


def test_a_list_opens_cases_and_matches_what_waits(technician: APIClient) -> None:
    batch = opened(technician)
    sent(technician, batch, "IMG_1.jpg", jpeg(1))
    url = f"/api/v1/batches/{batch['id']}/manifest/"

    def listed(text: str) -> Any:
        file = io.BytesIO(text.encode())
        file.name = "list.csv"
        return technician.post(url, {"file": file}, format="multipart")

    refused = assert_problem(
        listed("accession,mrn,file,kind\nS-1,M-1,IMG_1.jpg,liver\nS-2,,a.jpg,\n"), 422, "manifest_refused"
    )
    assert [(each["line"], each["column"]) for each in refused["mistakes"]] == [(2, "kind"), (3, "mrn")]
    assert not Case.objects.exists()
    taken = listed("accession,mrn,file\nS-1,M-1,IMG_1.jpg\n")
    assert taken.json() == {"rows": 1, "opened": 1, "matched": 1}
    assert files(technician, batch)[0]["outcome"] == "accepted"
    assert_problem(technician.post(url, {}, format="multipart"), 400, "invalid")
    assert_problem(technician.post(url, {}, format="json"), 415, "unsupported_media_type")


def test_matching_again(technician: APIClient, cast: Cast) -> None:
    batch = opened(technician)
    sent(technician, batch, "LATE-7.jpg", jpeg(1))
    url = f"/api/v1/batches/{batch['id']}/match/"
    assert technician.post(url).json() == {"count": 0}
    cast.case(accession_number="LATE-7")
    assert technician.post(url).json() == {"count": 1}


def test_trying_again(technician: APIClient, numbered: Case, releases: list[ModelRelease]) -> None:
    batch = opened(technician)
    file = sent(technician, batch, "S26-0123.jpg", jpeg(1), kind="cell")
    url = f"/api/v1/batches/{batch['id']}/"
    assert technician.post(f"{url}files/{file.pk}/retry/").status_code == 200
    fail_all("the network broke")
    seen = technician.get(f"{url}files/{file.pk}/").json()
    assert (seen["status"], seen["error"]) == ("failed", "the network broke")
    assert technician.get(url).json()["counts"]["failed"] == 1
    tried = technician.post(f"{url}files/{file.pk}/retry/")
    assert (tried.status_code, tried.json()["status"], tried.json()["error"]) == (202, "queued", "")
    fail_all("once more")
    assert technician.post(f"{url}retry/").json() == {"count": 1}

    ours = sent(technician, batch, "S26-0123 b.jpg", jpeg(2), kind="cell")
    store.save(ours.upload, jpeg(3))
    code = next(iter(settling.TRANSIENT))
    BatchFile.objects.filter(pk=ours.pk).update(state="rejected", code=code, image=None, case=None)
    assert technician.get(url).json()["counts"]["retryable"] == 1
    mended = technician.post(f"{url}files/{ours.pk}/retry/")
    assert (mended.status_code, mended.json()["outcome"]) == (202, "accepted")


def test_who_may(technician: APIClient, stranger: APIClient, cast: Cast, client_of: ClientOf) -> None:
    batch = opened(technician)
    file = sent(technician, batch, "IMG_1.jpg", jpeg(1))
    other = opened(technician)
    url = f"/api/v1/batches/{batch['id']}/"
    for path in (url, f"{url}files/", f"{url}files/{file.pk}/"):
        assert_problem(stranger.get(path), 404, "not_found")
    assert_problem(technician.get(f"/api/v1/batches/{other['id']}/files/{file.pk}/"), 404, "not_found")
    assert stranger.get("/api/v1/batches/").json()["count"] == 0
    reader, writer = client_of(cast.technician, Scope.CASES_READ), client_of(cast.technician, Scope.IMAGES_WRITE)
    assert reader.get(url).status_code == 200
    assert "images:write" in assert_problem(reader.post("/api/v1/batches/", {}), 403, "permission_denied")["detail"]
    assert writer.post("/api/v1/batches/", {}).status_code == 201
    assert_problem(client_of(cast.administrator).post("/api/v1/batches/", {}), 403, "permission_denied")


def test_queries_do_not_grow(technician: APIClient, numbered: Case, releases: list[ModelRelease]) -> None:
    batch = opened(technician)

    def counted(path: str) -> int:
        technician.get(path)
        with CaptureQueriesContext(connection) as queries:
            assert technician.get(path).status_code == 200
        return len(queries)

    paths = [f"/api/v1/batches/{batch['id']}/", f"/api/v1/batches/{batch['id']}/files/", "/api/v1/batches/"]
    sent(technician, batch, "S26-0123 0.jpg", jpeg(0), kind="cell")
    before = [counted(path) for path in paths]
    for n in range(1, 6):
        sent(technician, batch, f"S26-0123 {n}.jpg", jpeg(n), kind="cell")
        sent(technician, batch, f"IMG {n}.jpg", jpeg(n), kind="cell")
        opened(technician)
    assert [counted(path) for path in paths] == before
