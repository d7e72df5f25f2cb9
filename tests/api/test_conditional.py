"""ETags: nothing is sent twice, nobody changes what they have not seen, and whoever is blinded learns nothing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts import tokens
from accounts.permissions import grantable_scopes
from diagnosis import queue
from diagnosis.api.schema import CachedGenerator
from diagnosis.models import AuditEvent, Case, SmearImage
from tests.api.conftest import ClientOf, read_all
from tests.api.problem import assert_problem
from tests.cast import Cast, make_cast
from tests.permissions_table import API
from tests.smears import make_image
from tests.test_blinding import Desk, desk, others_go_on
from tests.test_permissions import World, sent, world

__all__ = ["desk", "world"]
pytestmark = pytest.mark.django_db

READS = [name for name, row in API.items() if name.startswith("api:") and "GET" in row.lines]
#: Made while it is sent: there is nothing to compare before.
STREAMS = {"api:export-file"}


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


@pytest.mark.parametrize("name", [name for name in READS if name not in STREAMS])
def test_every_read_is_sent_once(world: World, name: str) -> None:
    expected = dict(zip(world.bearers, API[name].lines["GET"].split(), strict=False))
    role = next(role for role in ("technician", "pathologist", "administrator") if expected[role] == "200")
    client, path = world.bearers[role], world.path(name)
    client.get(path)  # the first look leaves a read in the history
    first = client.get(path)
    etag = first["ETag"]
    assert first["Cache-Control"] == "private, no-cache"
    assert "Authorization" in first["Vary"]
    assert body(first)
    weakened = f'W/"other", W/{etag}'  # as a proxy that packs makes of it
    for header in (etag, weakened, "*"):
        again = client.get(path, headers={"If-None-Match": header})
        assert (again.status_code, body(again), again["ETag"]) == (304, b"", etag), header
        assert "Authorization" in again["Vary"]
        assert "RateLimit" in again
    assert client.head(path, headers={"If-None-Match": etag}).status_code == 304
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_every_read_of_the_schema_says_so() -> None:
    schema = CachedGenerator().get_schema(public=True)
    reads = {path: methods["get"] for path, methods in schema["paths"].items() if "get" in methods}
    assert len(reads) == len(READS)
    streams = [path for path, read in reads.items() if "application/zip" in read["responses"]["200"]["content"]]
    assert len(streams) == len(STREAMS)
    for path, read in reads.items():
        if path in streams:
            continue
        assert {"$ref": "#/components/parameters/IfNoneMatch"} in read["parameters"], path
        assert "304" in read["responses"], path
        assert "ETag" in read["responses"]["200"]["headers"], path


def test_what_changes_has_another_etag(technician: APIClient, case: Case) -> None:
    url = f"/api/v1/cases/{case.pk}/"
    before = technician.get(url)["ETag"]
    changed = technician.patch(url, {"priority": "urgent"})
    assert changed["ETag"] != before
    assert technician.get(url, headers={"If-None-Match": before}).status_code == 200
    assert technician.get(url)["ETag"] == changed["ETag"], "a PATCH answers with the ETag to go on with"


def test_refusals_have_none(technician: APIClient) -> None:
    refused = technician.get("/api/v1/cases/0/", headers={"If-None-Match": "*"})
    assert_problem(refused, 404, "not_found")
    assert "ETag" not in refused


CHANGES = [
    ("cases/{case}/", {"priority": "urgent"}, {"priority": "routine"}),
    ("images/{image}/", {"kind": "field"}, {"kind": "cell"}),
    ("patients/{patient}/", {"name": "Rendered Other"}, {"name": "Rendered Third"}),
    ("cases/{case}/clinical/", {"expected_revision": 0, "wbc": 9.5}, {"expected_revision": 1, "wbc": 9.6}),
]


@pytest.mark.parametrize(("path", "mine", "late"), CHANGES)
def test_nobody_overwrites_what_a_colleague_changed(
    technician: APIClient, pathologist: APIClient, case: Case, releases: object, path: str, mine: Any, late: Any
) -> None:
    image = make_image(case)
    url = "/api/v1/" + path.format(case=case.pk, image=image.pk, patient=case.patient_id)
    seen = technician.get(url)["ETag"]
    assert pathologist.get(url)["ETag"] == seen
    assert technician.patch(url, mine, headers={"If-Match": seen}).status_code == 200
    stands, written = technician.get(url).json(), AuditEvent.objects.count()
    problem = assert_problem(pathologist.patch(url, late, headers={"If-Match": seen}), 412, "changed_meanwhile")
    assert "Read it again" in problem["detail"]
    assert technician.get(url).json() == stands
    assert AuditEvent.objects.count() == written
    header = f'"other", W/{pathologist.get(url)["ETag"]}'  # as a proxy that packs makes of it
    assert pathologist.patch(url, late, headers={"If-Match": header}).status_code == 200
    assert pathologist.patch(url, {**late, **mine}, headers={"If-Match": "*"}).status_code in {200, 409}


@pytest.mark.parametrize("name", [name for name in API if name.startswith("api:") and "PATCH" in API[name].lines])
def test_every_change_is_guarded(world: World, name: str) -> None:
    expected = dict(zip(world.bearers, API[name].lines["PATCH"].split(), strict=False))
    role = next(role for role in ("technician", "administrator") if expected[role] == "200")
    client, path = world.bearers[role], world.path(name)

    def change(etag: str) -> Any:
        return client.patch(path, **sent(world, name, "PATCH"), headers={"If-Match": etag})

    assert_problem(change('"other"'), 412, "changed_meanwhile")
    done = change(client.get(path)["ETag"])
    assert done.status_code == 200, done.content
    assert done["ETag"] == client.get(path)["ETag"]


def test_every_change_can_be_guarded() -> None:
    schema = CachedGenerator().get_schema(public=True)
    changes = {path: methods for path, methods in schema["paths"].items() if "patch" in methods}
    assert {path.removeprefix("/api/v1/").count("{") for path in changes} <= {1, 2}
    for path, methods in changes.items():
        assert {"$ref": "#/components/parameters/IfMatch"} in methods["patch"]["parameters"], path
        assert "412" in methods["patch"]["responses"], path
        assert "get" in methods, f"{path}: a change without a read has no ETag"


def test_a_refused_change_is_no_read(technician: APIClient, case: Case) -> None:
    url = f"/api/v1/cases/{case.pk}/"
    assert_problem(technician.patch(url, {}, headers={"If-Match": '"other"'}), 412, "changed_meanwhile")
    assert not AuditEvent.objects.filter(case=case).exists()
    assert_problem(technician.patch("/api/v1/cases/0/", {}, headers={"If-Match": "*"}), 404, "not_found")


def test_412_is_not_remembered_by_a_key(technician: APIClient, case: Case) -> None:
    url, key = f"/api/v1/cases/{case.pk}/", {"Idempotency-Key": "k"}
    change = {"priority": "urgent"}
    assert technician.patch(url, change, headers={**key, "If-Match": '"other"'}).status_code == 412
    seen = technician.get(url)["ETag"]
    first = technician.patch(url, change, headers={**key, "If-Match": seen})
    again = technician.patch(url, change, headers={**key, "If-Match": seen})
    assert (first.status_code, again.status_code) == (200, 200), "the answer got lost, and it was sent again"
    assert again["Idempotency-Replayed"] == "true"


def test_reading_again_after_a_reading(technician: APIClient, case: Case, releases: object) -> None:
    image = make_image(case)
    queue.enqueue(image)
    url = f"/api/v1/images/{image.pk}/"
    seen = technician.get(url)["ETag"]
    assert technician.get(url, headers={"If-None-Match": seen}).status_code == 304
    read_all("blast")
    assert technician.get(url, headers={"If-None-Match": seen}).json()["status"] == "done"


def test_a_blinded_reader_learns_nothing_from_an_etag(desk: Desk) -> None:
    paths = [
        API[name].path.format(**desk.ids)
        for name in READS
        if "{case}" in API[name].path and "history" not in name and "report" not in name
    ]
    paths.append(f"/api/v1/images/{desk.ids['image']}/")
    seen = {path: desk.token.get(path) for path in paths}
    etags = {path: answer["ETag"] for path, answer in seen.items() if answer.status_code == 200}
    assert len(etags) >= 4
    others_go_on(desk)
    for path, etag in etags.items():
        assert desk.token.get(path, headers={"If-None-Match": etag}).status_code == 304, path
    change = desk.token.patch(
        f"/api/v1/cases/{desk.case.pk}/", {}, "application/json",
        headers={"If-Match": etags[f"/api/v1/cases/{desk.case.pk}/"]},
    )  # fmt: skip
    assert change.status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(3))
def test_of_two_who_saw_the_same_one_changes_it(settings: Any, tmp_path: Any, attempt: int) -> None:
    settings.MEDIA_ROOT = tmp_path
    cast = make_cast()
    case = cast.case()
    url = f"/api/v1/cases/{case.pk}/"
    bearers = [
        tokens.issue(actor=actor, name="tests", scopes=grantable_scopes(actor), days=1)[1]
        for actor in (cast.technician, cast.pathologist, cast.second_pathologist, cast.technician)
    ]
    seen = APIClient(headers={"Authorization": f"Bearer {bearers[0]}"}).get(url)["ETag"]
    gate = threading.Barrier(len(bearers))

    def change(bearer: str) -> int:
        client = APIClient(headers={"Authorization": f"Bearer {bearer}", "If-Match": seen})
        gate.wait()
        try:
            return int(client.patch(url, {"clinical_question": f"Asked by {bearer[:8]}"}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(bearers)) as pool:
        assert sorted(pool.map(change, bearers)) == [200, 412, 412, 412]
    assert AuditEvent.objects.filter(action="case.updated").count() == 1


def test_where_an_operation_only_begins_work_it_says_where_to_ask(
    technician: APIClient, cast: Cast, client_of: ClientOf, case: Case, releases: object
) -> None:
    image = make_image(case)
    queue.enqueue(image)
    SmearImage.objects.get(pk=image.pk).analyses.update(state="failed", error="Lost.")
    begun = technician.post(f"/api/v1/images/{image.pk}/retry/")
    assert (begun.status_code, begun["Retry-After"]) == (202, "2")
    assert begun["Location"] == f"http://testserver/api/v1/images/{image.pk}/"
    assert technician.get(begun["Location"]).json()["status"] == "queued"
    nothing = technician.post(f"/api/v1/images/{image.pk}/retry/")
    assert (nothing.status_code, "Location" in nothing) == (200, False)
