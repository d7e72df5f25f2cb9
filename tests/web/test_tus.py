"""The tus protocol, header by header, and that a finished upload is exactly one outcome whatever happens."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import Any
from unittest import mock
from urllib.parse import unquote

import pytest
from django.test import Client

from accounts import tokens
from accounts.permissions import Actor, Scope
from diagnosis.batches import arriving, opening, progress, settling, store
from diagnosis.models import AuditEvent, Batch, BatchFile, Case, SmearImage
from tests.cast import Cast
from tests.hostile import jpeg

pytestmark = pytest.mark.django_db
TUS = {"Tus-Resumable": "1.0.0"}
BODY = "application/offset+octet-stream"


@pytest.fixture(autouse=True)
def _folders(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT, settings.UPLOADS_ROOT = tmp_path / "media", tmp_path / "uploads"


@pytest.fixture
def case(cast: Cast) -> Case:
    return cast.case(accession_number="S26-0123")


def signed_in(actor: Actor, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(actor.user)
    return client


@pytest.fixture
def client(cast: Cast) -> Client:
    return signed_in(cast.technician)


def said(**metadata: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())


def create(client: Client, length: int, body: bytes | None = None, **metadata: str) -> Any:
    headers = TUS | {"Upload-Length": str(length), "Upload-Metadata": said(**({"filename": "S26-0123.jpg"} | metadata))}
    sent = {} if body is None else {"data": body, "content_type": BODY}
    return client.post("/uploads/", headers=headers, **sent)


def patch(client: Client, address: str, offset: int, body: bytes, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = TUS | {"Upload-Offset": str(offset)} | named
    return client.patch(address, body, content_type=BODY, headers=headers, CONTENT_TYPE=BODY)


def head(client: Client, address: str) -> Any:
    return client.head(address, headers=TUS)


def outcome(response: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(unquote(response["Upload-Outcome"]))
    return found


def test_options_say_what_is_spoken_to_anybody() -> None:
    answer = Client().options("/uploads/")
    assert answer.status_code == 204
    assert answer["Tus-Version"] == "1.0.0"
    assert answer["Tus-Extension"] == "creation,creation-with-upload,termination,checksum,expiration"
    assert answer["Tus-Checksum-Algorithm"] == "sha1,sha256"
    assert int(answer["Tus-Max-Size"]) > 0


def test_pieces_become_one_accepted_image(client: Client, case: Case) -> None:
    data = jpeg(seed=1)
    made = create(client, len(data), relativePath="2026/S26-0123/field 1.jpg")
    assert made.status_code == 201
    address = made["Location"]
    assert (made["Upload-Offset"], made["Tus-Resumable"]) == ("0", "1.0.0")
    assert "Upload-Expires" in made
    for start in range(0, len(data), 1000):
        assert head(client, address)["Upload-Offset"] == str(start)
        answer = patch(client, address, start, data[start : start + 1000])
        assert answer.status_code == 204, answer.content
    assert answer["Upload-Offset"] == str(len(data))
    image = SmearImage.objects.get()
    assert (image.case, image.original_name, image.via) == (case, "field 1.jpg", "api")
    assert outcome(answer)["status"] == "accepted"
    assert outcome(answer)["image"] == image.pk
    assert outcome(head(client, address))["image"] == image.pk  # asked again, the same
    file = BatchFile.objects.get()
    assert (file.accession, file.path) == ("S26-0123", "2026/S26-0123/field 1.jpg")
    assert store.size(file.upload) is None  # the intake has it; nothing is kept twice


def test_creation_with_upload(client: Client, case: Case) -> None:
    data = jpeg(seed=2)
    assert outcome(create(client, len(data), data))["status"] == "accepted"
    part = create(client, len(data), data[:100], filename="other.jpg")
    assert (part.status_code, part["Upload-Offset"]) == (201, "100")


@pytest.mark.parametrize(
    ("make", "status"),
    [
        (lambda c: c.post("/uploads/", headers={"Upload-Length": "1"}), 412),
        (lambda c: c.post("/uploads/", headers=TUS), 400),
        (lambda c: c.post("/uploads/", headers=TUS | {"Upload-Length": "-1"}), 400),
        (lambda c: c.post("/uploads/", headers=TUS | {"Upload-Defer-Length": "1"}), 400),
        (lambda c: c.post("/uploads/", headers=TUS | {"Upload-Length": "9", "Upload-Metadata": "name ???"}), 400),
        (lambda c: create(c, 1, batch="x"), 400),
        (lambda c: create(c, 1, batch="9" * 30), 400),
        (lambda c: create(c, 1, batch="999999"), 404),
        (lambda c: create(c, 1, kind="slide"), 400),
        (lambda c: create(c, 1, um_per_pixel="far"), 400),
        (lambda c: create(c, 1, um_per_pixel="nan"), 400),
        (lambda c: create(c, 10**15), 413),
        (lambda c: create(c, 10**15, filename="all.zip"), 413),
        (lambda c: c.get("/uploads/", headers=TUS), 405),
        (lambda c: head(c, "/uploads/00000000-0000-0000-0000-000000000000/"), 404),
    ],
)  # fmt: skip
def test_what_is_refused(client: Client, case: Case, make: Any, status: int) -> None:
    answer = make(client)
    assert answer.status_code == status, answer.content
    assert answer["Tus-Resumable"] == "1.0.0"


def test_a_file_too_large_to_be_announced_is_still_an_outcome(client: Client, case: Case) -> None:
    create(client, 10**12)
    file = BatchFile.objects.get()
    assert (file.state, file.code) == ("rejected", "too_large")
    assert "larger than 64 MiB" in file.reason


def test_offsets_and_bodies_that_do_not_fit(client: Client, case: Case) -> None:
    data = jpeg(seed=3)
    address = create(client, len(data))["Location"]
    assert patch(client, address, 0, data[:50]).status_code == 204
    again = patch(client, address, 0, data[:50])
    assert (again.status_code, again["Upload-Offset"]) == (409, "50")
    assert patch(client, address, 90, data[90:]).status_code == 409
    assert patch(client, address, 50, data[50:] + b"x").status_code == 413
    wrong = client.patch(address, b"x", content_type="text/plain", headers=TUS | {"Upload-Offset": "50"})
    assert wrong.status_code == 415
    assert head(client, address)["Upload-Offset"] == "50"
    assert patch(client, address, 50, data[50:]).status_code == 204
    assert patch(client, address, len(data), b"").status_code == 204  # whole, and asked once more
    assert SmearImage.objects.count() == 1


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_piece_with_a_checksum_counts_whole_or_not_at_all(client: Client, case: Case, algorithm: str) -> None:
    data = jpeg(seed=4)
    address = create(client, len(data))["Location"]
    good = base64.b64encode(hashlib.new(algorithm, data[:70]).digest()).decode()
    damaged = patch(client, address, 0, data[1:71], Upload_Checksum=f"{algorithm} {good}")
    assert (damaged.status_code, head(client, address)["Upload-Offset"]) == (460, "0")
    assert patch(client, address, 0, data[:70], Upload_Checksum=f"{algorithm} {good}").status_code == 204
    assert patch(client, address, 70, b"", Upload_Checksum="crc32 AAAA").status_code == 400
    assert patch(client, address, 70, b"", Upload_Checksum="sha1 ?").status_code == 400


def test_termination(client: Client, case: Case) -> None:
    address = create(client, 100)["Location"]
    patch(client, address, 0, b"x" * 10)
    assert client.delete(address, headers=TUS).status_code == 204
    assert head(client, address).status_code == 410
    assert patch(client, address, 10, b"x").status_code == 410
    assert client.delete(address, headers=TUS).status_code == 410
    file = BatchFile.objects.get()
    assert (file.state, store.size(file.upload)) == ("cancelled", None)
    whole = create(client, 7, b"no pict", filename="a.jpg")["Location"]
    assert client.delete(whole, headers=TUS).status_code == 403


def test_the_method_may_stand_in_a_header(client: Client, case: Case) -> None:
    data = jpeg(seed=5)
    address = create(client, len(data))["Location"]
    answer = client.post(
        address, data, content_type=BODY, headers=TUS | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    )
    assert (answer.status_code, outcome(answer)["status"]) == (204, "accepted")


def test_expiration(client: Client, case: Case, settings: Any) -> None:
    settings.UPLOAD_HOURS = 0
    address = create(client, 100)["Location"]
    patch(client, address, 0, b"x" * 40)
    progress.sweep()
    assert head(client, address).status_code == 410
    file = BatchFile.objects.get()
    assert (file.state, file.reason[:16], store.size(file.upload)) == ("expired", "Only 40% of it c", None)


def test_the_same_fingerprint_is_the_same_upload(client: Client, case: Case) -> None:
    """A creation whose answer got lost, another browser, a second try: never a second file."""
    create(client, 1, fingerprint="z")
    number = str(outcome_batch())
    data = jpeg(seed=6)
    first = create(client, len(data), batch=number, fingerprint="a")
    patch(client, first["Location"], 0, data[:30])
    second = create(client, len(data), batch=number, fingerprint="a")
    assert (second["Location"], second["Upload-Offset"]) == (first["Location"], "30")
    patch(client, first["Location"], 30, data[30:])
    third = create(client, len(data), data, batch=number, fingerprint="a")
    assert (third["Location"], outcome(third)["status"]) == (first["Location"], "accepted")
    other = create(client, len(data), data, batch=number, fingerprint="b")
    assert outcome(other)["status"] == "duplicate"
    assert SmearImage.objects.count() == 1


def outcome_batch() -> int:
    return Batch.objects.get().pk


def test_a_lost_process_is_made_up_for(cast: Cast, client: Client, case: Case) -> None:
    """The process dies between the last byte and the outcome: whoever comes next takes it up, once."""
    data = jpeg(seed=7)
    address = create(client, len(data))["Location"]
    with mock.patch.object(arriving, "_whole"):
        patch(client, address, 0, data)
    assert BatchFile.objects.get().state == "receiving"
    assert outcome(head(client, address))["status"] == "accepted"
    data = jpeg(seed=8)
    address = create(client, len(data))["Location"]
    with mock.patch.object(settling, "settle"):
        patch(client, address, 0, data)
    assert BatchFile.objects.order_by("id").last().state == "received"  # type: ignore[union-attr]
    progress.sweep()
    progress.sweep()
    assert outcome(head(client, address))["status"] == "accepted"
    assert AuditEvent.objects.filter(action="image.accepted").count() == 2
    assert AuditEvent.objects.filter(action="image.duplicate").count() == 0


def test_a_body_that_breaks_off_leaves_what_came(cast: Cast, client: Client, case: Case) -> None:
    data = jpeg(seed=9)
    file = arriving.find(actor=cast.technician, upload=made_upload(client, len(data)))

    class Breaking:
        def __init__(self) -> None:
            self.parts = [data[:100], data[100:150]]

        def read(self, size: int, /) -> bytes:
            if not self.parts:
                raise ConnectionResetError
            return self.parts.pop(0)

    assert arriving.receive(actor=cast.technician, file=file, offset=0, body=Breaking(), size=len(data)) == 150
    assert arriving.bytes_here(file) == 150


def made_upload(client: Client, length: int) -> Any:
    create(client, length)
    return BatchFile.objects.order_by("id").last().upload  # type: ignore[union-attr]


def test_an_error_of_ours_keeps_the_bytes_and_is_tried_again(client: Client, case: Case) -> None:
    data = jpeg(seed=10)
    with mock.patch("diagnosis.intake.receive_image", side_effect=RuntimeError("bad day")):
        answer = create(client, len(data), data)
        assert outcome(answer)["status"] == "received"
        for _ in range(settling.ATTEMPTS):
            BatchFile.objects.update(checking_until=None)
            progress.sweep()
        assert outcome(head(client, answer["Location"]))["code"] == "server_error"
    file = BatchFile.objects.get()
    assert store.size(file.upload) == len(data)
    assert settling.again([file]) == 1
    assert outcome(head(client, answer["Location"]))["status"] == "accepted"


def test_every_kind_of_outcome(cast: Cast, client: Client, case: Case) -> None:
    data = jpeg(seed=11)
    assert outcome(create(client, len(data), data, filename="nobody.jpg"))["status"] == "unmatched"
    assert outcome(create(client, 4, b"text", filename="nobody.jpg"))["status"] == "rejected"
    assert outcome(create(client, 0, filename="S26-0123.jpg"))["code"] == "empty"
    assert outcome(create(client, len(data), data, filename="x.jpg", accession="s26-0123"))["status"] == "accepted"
    assert outcome(create(client, len(data), data, filename="x.jpg", accession="S99-1"))["status"] == "unmatched"
    assert outcome(create(client, len(data), data))["status"] == "duplicate"


def test_who_may(cast: Cast, case: Case) -> None:
    data = jpeg(seed=12)
    address = create(signed_in(cast.technician), len(data))["Location"]
    assert create(Client(), 5).status_code == 401
    assert head(Client(), address).status_code == 401
    assert create(signed_in(cast.administrator), 5).status_code == 403
    assert head(signed_in(cast.administrator), address).status_code == 403
    stranger = signed_in(cast.stranger)
    assert head(stranger, address).status_code == 404
    assert patch(stranger, address, 0, data).status_code == 404
    assert stranger.delete(address, headers=TUS).status_code == 404
    assert create(stranger, 5, batch=str(outcome_batch())).status_code == 404
    assert head(signed_in(cast.pathologist), address).status_code == 200
    _, right = tokens.issue(actor=cast.technician, name="scanner", scopes=[Scope.IMAGES_WRITE], days=1)
    _, wrong = tokens.issue(actor=cast.technician, name="reader", scopes=[Scope.CASES_READ], days=1)
    scanner = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {right}"})
    assert patch(scanner, address, 0, data).status_code == 204
    assert BatchFile.objects.get(pk=BatchFile.objects.first().pk).state == "accepted"  # type: ignore[union-attr]
    assert create(Client(headers={"Authorization": f"Bearer {wrong}"}), 5).status_code == 403
    assert create(Client(headers={"Authorization": "Bearer ll_no"}), 5).status_code == 401
    crossing = signed_in(cast.technician, enforce_csrf_checks=True)
    assert create(crossing, 5).status_code == 403
    assert patch(crossing, address, 0, data).status_code == 403


def test_a_disk_that_is_nearly_full_takes_nothing(client: Client, case: Case, settings: Any) -> None:
    settings.UPLOADS_FREE_BYTES = 2**62
    assert create(client, 5).status_code == 507
    assert BatchFile.objects.count() == 0


def test_a_batch_is_bounded(cast: Cast, client: Client, case: Case, settings: Any) -> None:
    settings.BATCH_MAX_FILES = 2
    batch = str(opening.open_batch(actor=cast.technician).pk)
    answers = [create(client, 5, batch=batch) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 413]
    assert answers[2]["Upload-Refusal"] == "batch_full", "a program opens another one"


def test_forgotten_bytes_are_cleared_and_needed_ones_kept(client: Client, case: Case) -> None:
    data = jpeg(seed=20)
    create(client, len(data), data, filename="nobody.jpg")
    create(client, 100)
    create(client, len(data), data)
    waiting, arriving_, accepted = BatchFile.objects.order_by("id")
    store.save(accepted.upload, b"left by a process that died")
    for file in (waiting, arriving_, accepted):
        os.utime(store.path(file.upload), (0, 0))
    progress.sweep()
    assert [store.size(file.upload) for file in (waiting, arriving_, accepted)] == [len(data), 0, None]
