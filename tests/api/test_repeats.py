"""A write that is sent again is done once and answered alike, whatever the write is."""

from __future__ import annotations

import io
import json
import tracemalloc
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import ApiToken, Membership
from diagnosis import clinic, repeats, tasks
from diagnosis.api import idempotency
from diagnosis.api.schema import CachedGenerator
from diagnosis.models import AuditEvent, Case, Decision, KeptAnswer, ModelRelease, SmearImage
from tests import hostile
from tests.api.conftest import ClientOf
from tests.api.problem import assert_problem
from tests.cast import Cast
from tests.diagnosis.opinions import read_image
from tests.permissions_table import API
from tests.test_permissions import World, sent, world

pytestmark = pytest.mark.django_db

__all__ = ["world"]
CASE = {"accession_number": "ACC-26-00042", "patient": {"mrn": "7741-203", "name": "Rendered Person"}}
#: No secret is kept for the sake of a repetition.
TOLD_ONCE = {"api:webhook-secret"}
WRITES = [
    (name, method)
    for name, row in API.items()
    for method in ("POST", "PATCH")
    if name.startswith("api:") and method in row.lines
]


def post(client: APIClient, path: str, body: object, key: str, **more: Any) -> Any:
    return client.post(f"/api/v1/{path}", body, headers={"Idempotency-Key": key}, **more)


def test_every_write_of_the_schema_is_in_this_walk_and_declares_the_header() -> None:
    schema = CachedGenerator().get_schema(public=True)
    declared = [
        (path, method)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if {"$ref": "#/components/parameters/IdempotencyKey"} in operation["parameters"]
        and {"400", "409", "422"} <= set(operation["responses"])
    ]
    writes = [
        (path, method)
        for path, methods in schema["paths"].items()
        for method in methods
        if method not in {"get", "delete"}  # what is gone is gone
    ]
    assert declared == writes
    assert len(writes) == len(WRITES)


@pytest.mark.parametrize(("name", "method"), WRITES)
def test_every_write_is_done_once(world: World, name: str, method: str) -> None:
    expected = dict(zip(world.bearers, API[name].lines[method].split(), strict=False))
    role = next(role for role in ("technician", "pathologist", "administrator") if expected[role] not in {"403", "404"})
    client, path = world.bearers[role], world.path(name)

    def send(**headers: str) -> Any:
        body = sent(world, name, method)
        if method == "PATCH" and "content_type" not in body:
            body = {"data": {}, "content_type": "application/json"}
        return getattr(client, method.lower())(path, **body, headers={"Idempotency-Key": "key-1", **headers})

    first = send()
    assert str(first.status_code) == expected[role], first.content
    assert "Idempotency-Replayed" not in first
    written = AuditEvent.objects.count()
    again = send()
    told = first.content
    if name in TOLD_ONCE:
        told = json.dumps({**first.json(), "secret": None}).encode()
        assert first.json()["secret"]
    assert (again.status_code, again.json()) == (first.status_code, json.loads(told))
    assert name in TOLD_ONCE or again.content == told
    assert again["Idempotency-Replayed"] == "true"
    if first.status_code == 202:
        assert "Retry-After" in again
        assert client.get(again["Location"]).status_code == 200
    assert (again["Content-Type"], again.get("Location")) == (first["Content-Type"], first.get("Location"))
    assert AuditEvent.objects.count() == written

    other = client.post(path + "?other", **sent(world, name, "POST"), headers={"Idempotency-Key": "key-1"})
    if method == "POST":
        assert_problem(other, 422, "idempotency_key_reused")
    assert AuditEvent.objects.count() == written


def test_a_case_is_opened_once(technician: APIClient) -> None:
    key = f'"{uuid4()}"'  # the draft quotes it, most clients do not: it is the client's
    first = post(technician, "cases/", CASE, key)
    turned = json.dumps(dict(reversed(CASE.items())), indent=2)
    again = post(technician, "cases/", turned, key, content_type="application/json")
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again["Location"] == first["Location"]
    assert again["Cache-Control"] == "private, no-store"
    assert Case.objects.count() == 1
    assert_problem(technician.post("/api/v1/cases/", CASE), 409, "accession_taken")


def test_what_cannot_be_found_out_otherwise(pathologist: APIClient, case: Case, releases: list[ModelRelease]) -> None:
    """A decision that arrives late again would cover the one that came after it."""
    image = read_image(case, [release for release in releases if release.task == "cell"], "blast")
    path = f"images/{image.pk}/decision/"
    assert post(pathologist, path, {"verdict": "agree"}, "d-1").status_code == 201
    assert post(pathologist, path, {"verdict": "override", "label": "monocyte"}, "d-2").status_code == 201
    late = post(pathologist, path, {"verdict": "agree"}, "d-1")
    assert (late.status_code, late.json()["decision"]["label"]) == (201, "blast")
    assert [decision.label for decision in Decision.objects.order_by("id")] == ["blast", "monocyte"]
    pathologist.post(f"/api/v1/{path}", {"verdict": "agree"})
    assert Decision.objects.count() == 3


@pytest.mark.parametrize("key", ["", " ", "a b", "a\tb", "é", "x" * 256, "a\x7f"])
def test_keys_that_do_not_fit(technician: APIClient, key: str) -> None:
    problem = assert_problem(post(technician, "cases/", CASE, key), 400, "idempotency_key_invalid")
    assert "1 to 255 visible ASCII" in problem["detail"]
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert not Case.objects.exists()


@pytest.mark.parametrize("key", ["x", "x" * 255, "!~", "0f8fad5b-d9cb-469f-a165-70867728950e"])
def test_keys_that_fit(technician: APIClient, key: str) -> None:
    assert post(technician, "cases/", CASE, key).status_code == 201


def test_a_key_stands_for_one_request(technician: APIClient, cast: Cast, client_of: ClientOf, case: Case) -> None:
    post(technician, "cases/", CASE, "k")
    for path, body in (
        ("cases/", CASE | {"priority": "urgent"}),
        ("cases/?a=1", CASE),
        (f"cases/{case.pk}/claim/", CASE),
    ):
        if "claim" not in path:
            assert_problem(post(technician, path, body, "k"), 422, "idempotency_key_reused")
    assert_problem(
        technician.patch(f"/api/v1/cases/{case.pk}/", CASE, headers={"Idempotency-Key": "k"}),
        422,
        "idempotency_key_reused",
    )
    other = client_of(cast.technician)
    assert_problem(post(other, "cases/", CASE, "k"), 409, "accession_taken")
    assert post(technician, "cases/", CASE, "k").status_code == 201


def test_a_key_does_not_concern_reading(technician: APIClient, case: Case) -> None:
    for _ in range(2):
        assert technician.get(f"/api/v1/cases/{case.pk}/", headers={"Idempotency-Key": "a b"}).status_code == 200
    assert not KeptAnswer.objects.exists()


def test_while_the_first_is_being_done(technician: APIClient, settings: Any) -> None:
    allowed = settings.IDEMPOTENCY_TAKEOVER
    with transaction.atomic():
        post(technician, "cases/", CASE, "k")
        kept = KeptAnswer.objects.get()
        transaction.set_rollback(True)
    now = timezone.now()
    kept.status, kept.claimed_at = None, now - timedelta(seconds=allowed - 5)
    kept.save(force_insert=True)
    refused = post(technician, "cases/", CASE, "k")
    assert_problem(refused, 409, "idempotency_in_flight")
    assert refused["Retry-After"] == "1"
    assert_problem(post(technician, "cases/", {}, "k"), 422, "idempotency_key_reused")
    KeptAnswer.objects.update(claimed_at=now - timedelta(seconds=allowed + 1))
    taken = post(technician, "cases/", CASE, "k")
    assert (taken.status_code, "Idempotency-Replayed" in taken) == (201, False)
    assert post(technician, "cases/", CASE, "k")["Idempotency-Replayed"] == "true"


def test_who_was_overtaken_leaves_nothing_behind(technician: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    create = clinic.create_case

    def slow(**what: Any) -> Case:
        KeptAnswer.objects.update(claim=uuid4())  # another process took it over meanwhile
        return create(**what)

    monkeypatch.setattr(clinic, "create_case", slow)
    assert_problem(post(technician, "cases/", CASE, "k"), 409, "idempotency_in_flight")
    assert not Case.objects.exists()
    assert not AuditEvent.objects.filter(action="case.created").exists()


def test_an_error_of_ours_is_undone_and_not_remembered(technician: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    create = clinic.create_case

    def broken(**what: Any) -> Case:
        create(**what)
        raise RuntimeError("after it was made")

    with monkeypatch.context() as patched:
        patched.setattr(clinic, "create_case", broken)
        assert_problem(post(technician, "cases/", CASE, "k"), 500, "server_error")
    assert not Case.objects.exists()
    assert not KeptAnswer.objects.exists()
    assert post(technician, "cases/", CASE, "k").status_code == 201


def test_an_answer_that_cannot_be_kept_is_no_answer(technician: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(repeats, "finish", full)
        assert_problem(post(technician, "cases/", CASE, "k"), 500, "server_error")
    assert not Case.objects.exists()
    assert post(technician, "cases/", CASE, "k").status_code == 201


def test_a_storage_that_takes_nothing_is_not_remembered(
    technician: APIClient, case: Case, releases: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("django.core.files.storage.FileSystemStorage.save", full)
        assert_problem(upload(technician, case, hostile.jpeg(), "k"), 503, "not_stored")
    assert upload(technician, case, hostile.jpeg(), "k").status_code == 201


def test_refusals_are_remembered(technician: APIClient, case: Case) -> None:
    for path, body, status in (
        ("cases/", {"priority": "now"}, 400),
        ("cases/", CASE | {"accession_number": case.accession_number}, 409),
        ("images/0/retry/", {}, 404),
    ):
        first, again = (post(technician, path, body, f"k{status}") for _ in range(2))
        assert first.status_code == again.status_code == status
        assert first.content == again.content
        assert again["Content-Type"] == "application/problem+json"
        assert again["Idempotency-Replayed"] == "true"
    case.delete()
    assert post(technician, "cases/", CASE | {"accession_number": case.accession_number}, "k409").status_code == 409


def test_a_body_that_cannot_be_read_claims_nothing(technician: APIClient) -> None:
    for body, status in (("{", 400), ("[" * 900 + "]" * 900, 400), ("9" * 5_000, 400)):
        answer = post(technician, "cases/", body, "k", content_type="application/json")
        assert answer.status_code == status, answer.content
    assert_problem(post(technician, "cases/", b"a=b", "k", content_type="text/plain"), 415, "unsupported_media_type")
    assert post(technician, "cases/", CASE, "k2").status_code == 201


def test_too_many_requests_are_not_remembered(technician: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    ApiToken.objects.update(requests_per_hour=1)
    monkeypatch.setattr("diagnosis.api.throttling.time.time", lambda: 3600.0 * 490_000)
    technician.get("/api/v1/me/")
    assert_problem(post(technician, "cases/", CASE, "k"), 429, "throttled")
    monkeypatch.setattr("diagnosis.api.throttling.time.time", lambda: 3600.0 * 490_001)
    assert post(technician, "cases/", CASE, "k").status_code == 201


def test_whoever_may_no_more_is_told_nothing(technician: APIClient, cast: Cast) -> None:
    assert post(technician, "cases/", CASE, "k").status_code == 201
    Membership.objects.filter(user=cast.technician.user).update(role="administrator")
    assert_problem(post(technician, "cases/", CASE, "k"), 403, "permission_denied")


def upload(client: APIClient, case: Case, data: bytes, key: str, name: str = "smear.jpg", **fields: object) -> Any:
    file = io.BytesIO(data)
    file.name = name
    return post(client, f"cases/{case.pk}/images/", {"file": file, **fields}, key, format="multipart")


def test_a_picture_is_told_by_its_content(technician: APIClient, case: Case, releases: object) -> None:
    first = upload(technician, case, hostile.jpeg(1), "k", kind="cell")
    again = upload(technician, case, hostile.jpeg(1), "k", kind="cell")
    assert (first.status_code, again.status_code) == (201, 201), "not as a duplicate"
    assert again.content == first.content
    assert again.json()["duplicate"] is False
    for other in (
        upload(technician, case, hostile.jpeg(2), "k", kind="cell"),
        upload(technician, case, hostile.jpeg(1), "k", kind="field"),
        upload(technician, case, hostile.jpeg(1), "k"),
        upload(technician, case, hostile.jpeg(1), "k", name="other.jpg", kind="cell"),
    ):
        assert_problem(other, 422, "idempotency_key_reused")
    assert SmearImage.objects.count() == 1


def test_a_large_picture_is_not_held_in_memory_for_its_fingerprint() -> None:
    file = TemporaryUploadedFile("large.tif", "image/tiff", 0, None)
    for _ in range(32):
        file.write(bytes(1024 * 1024))
    tracemalloc.start()
    name, kind, digest = idempotency._part(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1024 * 1024
    assert (name, kind, file.tell()) == ("large.tif", "image/tiff", 0)
    assert digest == "83ee47245398adee79bd9c0a8bc57b821e92aba10f5f9ade8a5d1fae4d8c4302"


def test_answers_are_forgotten_after_a_day(technician: APIClient, settings: Any) -> None:
    post(technician, "cases/", CASE, "old")
    post(technician, "cases/", CASE | {"accession_number": "A-2"}, "new")
    before = timezone.now() - timedelta(hours=settings.IDEMPOTENCY_HOURS, seconds=1)
    KeptAnswer.objects.filter(key="old").update(created_at=before)
    anew = post(technician, "cases/", CASE | {"accession_number": "A-3"}, "old")
    assert (anew.status_code, "Idempotency-Replayed" in anew) == (201, False), "its time is over although it stands"
    KeptAnswer.objects.filter(key="old").update(created_at=before)
    tasks.sweep()
    assert list(KeptAnswer.objects.values_list("key", flat=True)) == ["new"]


def test_a_kept_answer_is_small(technician: APIClient, case: Case) -> None:
    with transaction.atomic():
        post(technician, "cases/", CASE | {"clinical_question": "Blasts? " * 400}, "k")
        assert len(bytes(KeptAnswer.objects.get().body)) < 1_000
