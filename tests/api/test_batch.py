"""Several pictures in one request: an outcome for each, in their order, whatever became of the neighbours."""

from __future__ import annotations

import io

import pytest
from rest_framework.test import APIClient

from diagnosis.models import Case, SmearImage
from tests import hostile
from tests.api.test_refusals import assert_problem

pytestmark = pytest.mark.django_db


def batch(client: APIClient, case: Case, *files: tuple[str, bytes], **fields: object):
    opened = []
    for name, data in files:
        opened.append(io.BytesIO(data))
        opened[-1].name = name
    return client.post(f"/api/v1/cases/{case.pk}/images/batch/", {"file": opened, **fields}, format="multipart")


def test_each_file_ends_as_one_outcome(technician: APIClient, case: Case, releases: object) -> None:
    first, second = hostile.jpeg(1), hostile.jpeg(2)
    answer = batch(
        technician,
        case,
        ("a.jpg", first),
        ("cut.jpg", first[: len(first) // 2]),
        ("again.jpg", first),
        ("note.jpg", b"not a picture"),
        ("empty.jpg", b""),
        ("b.jpg", second),
        kind="cell",
    )
    assert answer.status_code == 200, answer.content
    outcomes = answer.json()["outcomes"]
    assert [(o["name"], o["status"]) for o in outcomes] == [
        ("a.jpg", "accepted"),
        ("cut.jpg", "rejected"),
        ("again.jpg", "duplicate"),
        ("note.jpg", "rejected"),
        ("empty.jpg", "rejected"),
        ("b.jpg", "accepted"),
    ]
    assert [o["id"] is None for o in outcomes] == [False, True, False, True, True, False]
    assert outcomes[2]["id"] == outcomes[0]["id"]
    assert outcomes[1]["code"] == "truncated"
    assert all(o["remarks"] for o in outcomes if o["status"] != "accepted")
    assert list(SmearImage.objects.values_list("kind", flat=True)) == ["cell", "cell"]


def test_a_batch_without_files_or_too_large(technician: APIClient, case: Case, settings) -> None:
    assert_problem(batch(technician, case), 400, "invalid")
    problem = assert_problem(batch(technician, case, ("a.jpg", hostile.jpeg()), kind="liver"), 400, "invalid")
    assert [error["field"] for error in problem["errors"]] == ["kind"]
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = settings.INTAKE_MAX_FILES = 2
    three = [(f"{n}.jpg", hostile.jpeg(n)) for n in range(3)]
    assert "at most 2 files" in assert_problem(batch(technician, case, *three), 413, "too_many_files")["detail"]
    settings.INTAKE_MAX_REQUEST_BYTES = -(2**17)
    assert_problem(batch(technician, case, three[0]), 413, "too_large")
    assert not SmearImage.objects.exists()
