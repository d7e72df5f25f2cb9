"""The export by token: an administrator's with the scope for it, the same choice as on the page, and audited."""

from __future__ import annotations

import io
from typing import Any
from zipfile import ZipFile

import pytest
from rest_framework.test import APIClient

from accounts.permissions import Scope
from diagnosis import review
from diagnosis.models import AuditEvent
from tests.api.conftest import ClientOf
from tests.api.problem import assert_problem
from tests.cast import Cast
from tests.smears import make_image

pytestmark = pytest.mark.django_db
URL = "/api/v1/export/"


@pytest.fixture
def _decided(cast: Cast, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    case = cast.case()
    for label in ("blast", "blast", "lymphocyte"):
        review.decide(actor=cast.pathologist, image=make_image(case), verdict="override", label=label)
    make_image(case)


@pytest.fixture
def client(client_of: ClientOf, cast: Cast) -> APIClient:
    return client_of(cast.administrator, Scope.DATA_EXPORT)


@pytest.mark.usefixtures("_decided")
def test_what_is_planned_is_what_is_sent(client: APIClient) -> None:
    choice = {"signed_only": "false", "labels": ["blast"]}
    plan = client.get(URL, choice).json()
    assert (plan["images"], plan["patients"], plan["undecided"]) == (2, 1, 1)
    assert [line for line in plan["classes"] if line["images"]] == [
        {"task": "cell", "label": "blast", "images": 2, "patients": 1}
    ]
    assert not AuditEvent.objects.filter(action="data.exported").exists()

    sent = client.get(f"{URL}file/", choice)
    assert sent["Content-Type"] == "application/zip"
    names = ZipFile(io.BytesIO(b"".join(sent.streaming_content))).namelist()  # type: ignore[attr-defined]
    assert sum(name.endswith(".png") for name in names) == 2
    event = AuditEvent.objects.get(action="data.exported")
    assert "token" in event.actor_label


@pytest.mark.usefixtures("_decided")
@pytest.mark.parametrize(
    ("choice", "status", "code"),
    [
        ({}, 409, "empty"),
        ({"since": "2026-02-01", "until": "2026-01-01"}, 400, "dates"),
        ({"labels": "unheard"}, 400, "invalid"),
        ({"since": "soon"}, 400, "invalid"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_words(
    client: APIClient, choice: dict[str, str], status: int, code: str
) -> None:
    assert_problem(client.get(f"{URL}file/", choice), status, code)
    assert not AuditEvent.objects.filter(action="data.exported").exists()


def test_only_an_administrator_with_the_scope(client_of: ClientOf, cast: Cast) -> None:
    reader = client_of(cast.administrator, Scope.CASES_READ, Scope.AUDIT_READ)
    assert_problem(reader.get(URL), 403, "permission_denied")
    assert_problem(client_of(cast.pathologist).get(f"{URL}file/"), 403, "permission_denied")
