"""The schema is complete, and whatever fits it or does not: no answer is a server error, and each is as it says."""

from __future__ import annotations

import collections
import io
import itertools
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import schemathesis
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from accounts import tokens
from accounts.models import Role
from accounts.permissions import Scope
from config.wsgi import application
from diagnosis import intake, queue, review, signout, webhooks
from diagnosis.batches import arriving, opening
from diagnosis.models import Case, ModelRelease
from tests import hostile
from tests.api.conftest import read_all
from tests.cast import Cast, person
from tests.diagnosis.hooks import make_endpoint
from tests.diagnosis.signing import sign
from tests.smears import make_image

schema = schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", application)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def test_the_schema_is_valid_and_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn")
    assert "openapi: 3.1.0" in capsys.readouterr().out


def test_every_operation_is_told_of() -> None:
    raw = schema.raw_schema
    operations = [(path, method, body) for path, methods in raw["paths"].items() for method, body in methods.items()]
    assert len(operations) == 53
    assert set(raw["paths"]) == {
        f"/api/v1/{path}"
        for path in (
            "cases/", "cases/{case_id}/", "cases/{case_id}/images/", "cases/{case_id}/images/batch/",
            "cases/{case_id}/history/", "cases/{case_id}/decisions/", "cases/{case_id}/decisions/undo/",
            "cases/{case_id}/decisions/redo/", "cases/{case_id}/claim/", "cases/{case_id}/release/",
            "cases/{case_id}/clinical/", "cases/{case_id}/reports/", "cases/{case_id}/reports/{version}/",
            "cases/{case_id}/reports/{version}/pdf/", "images/{image_id}/",
            "images/{image_id}/file/", "images/{image_id}/decision/", "images/{image_id}/retry/", "patients/",
            "patients/{patient_id}/", "export/", "export/file/", "models/", "me/", "batches/", "batches/{batch_id}/",
            "batches/{batch_id}/manifest/", "batches/{batch_id}/match/", "batches/{batch_id}/retry/",
            "batches/{batch_id}/files/", "batches/{batch_id}/files/{file_id}/",
            "batches/{batch_id}/files/{file_id}/assign/", "batches/{batch_id}/files/{file_id}/discard/",
            "batches/{batch_id}/files/{file_id}/retry/",
            "cases/bulk/", "webhooks/", "webhooks/{webhook_id}/", "webhooks/{webhook_id}/secret/",
            "webhooks/{webhook_id}/ping/", "webhooks/{webhook_id}/replay/", "webhooks/{webhook_id}/deliveries/",
            "webhooks/{webhook_id}/deliveries/{delivery_id}/",
            "webhooks/{webhook_id}/deliveries/{delivery_id}/replay/",
        )
    }  # fmt: skip
    for path, method, operation in operations:
        assert operation["summary"], (path, method)
        assert operation["security"] == [{"token": []}], (path, method)
        assert {"401", "403", "429"} <= set(operation["responses"]), (path, method)


@pytest.fixture
def somebody(
    cast: Cast,
    case: Case,
    releases: list[ModelRelease],
    settings: Any,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, object]:
    """A person with every right, a token with every scope, and one of each thing to speak of."""
    settings.UPLOADS_ROOT = tmp_path / "uploads"
    actor = person(cast.laboratory, "Vera Everything", *Role)
    _, token = tokens.issue(actor=actor, name="schema", scopes=list(Scope), days=1)

    image = intake.receive_image(
        actor=actor, case=case, data=hostile.jpeg(), name="a.jpg", kind="cell", via="api"
    ).image
    assert image is not None
    read_all("blast")
    review.decide(actor=actor, image=image, verdict="agree")
    # A version is signed, and the case open again: there is something to read, and decisions are taken.
    signout.save_draft(actor=actor, case=case, expected_revision=0, diagnosis="9861/3")
    sign(actor, case)
    signout.amend(actor=actor, case=case, reason="More is to come.")
    queue.enqueue(make_image(case))
    batch = opening.open_batch(actor=actor)
    data = hostile.jpeg(99)
    file = arriving.begin(actor=actor, batch=batch, path="no number.jpg", length=len(data))
    arriving.receive(actor=actor, file=file, offset=0, body=io.BytesIO(data), size=None)
    hook = make_endpoint(cast)
    # Addresses that chance makes up are looked up nowhere: all of them lead to one open address.
    found = SimpleNamespace(SOCK_STREAM=1, getaddrinfo=lambda *_, **__: [(0, 0, 0, "", ("93.184.215.14", 443))])
    monkeypatch.setattr("diagnosis.webhooks.reaching.socket", found)
    return {
        "webhook_id": hook.pk,
        "delivery_id": webhooks.ping(actor=actor, endpoint=hook).pk,
        "batch_id": batch.pk,
        "file_id": file.pk,
        "token": token,
        "case_id": case.pk,
        "version": 1,
        "image_id": image.pk,
        "patient_id": case.patient_id,
    }


@pytest.fixture(autouse=True)
def _one_connection(db: None) -> Iterator[None]:
    """The bare WSGI application would end the test's own transaction before each request."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


_turn, _pictures = itertools.count(), itertools.count()


@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_no_answer_breaks_the_schema(case: schemathesis.Case, somebody: dict[str, object]) -> None:
    for name in case.path_parameters or {}:
        if next(_turn) % 4:  # three of four times something that exists
            case.path_parameters[name] = somebody[name]
    if case.media_type == "multipart/form-data" and (picture := next(_pictures)) % 3 == 0:
        case.body = {"file": hostile.jpeg(seed=picture % 15)}  # chance alone never draws a picture
    case.call_and_validate(headers={"Authorization": f"Bearer {somebody['token']}"}, checks=CHECKS)


#: So long the walk over the API may take, in seconds of this process.
WALK_WITHIN = 60
#: Whose answers name something new, and what paths call it.
OPENS = {"create_case": "case_id", "open_batch": "batch_id", "create_webhook": "webhook_id", "upload_image": "image_id"}
#: What opens something; chance alone hardly ever writes a body that does.
BODIES: dict[str, dict[str, Any]] = {
    "create_case": {"accession_number": "WALK-{}", "patient": {"mrn": "M-1"}},
    "open_batch": {"name": "Walk {}"},
    "create_webhook": {"name": "LIS {}", "url": "https://lis.example/told", "topics": ["report.signed"]},
}


def test_no_walk_from_answer_to_answer_breaks_the_schema(somebody: dict[str, object]) -> None:
    """Requests that rest on the answers before them, by the links of the schema: opened, filled, changed, removed.

    Each walk begins with the same rows. What is wrong is gathered, so that nothing is walked again to make it smaller.
    """
    walkable = schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", application)
    walkable.config.generation.update(modes=[GenerationMode.POSITIVE], with_security_parameters=False)
    wrong, asked, rested = list[str](), collections.Counter[str](), collections.Counter[str]()
    began = time.process_time()

    class Walk(walkable.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            super().setup()
            self.made: set[tuple[str, object]] = set()
            self.turn = itertools.count()
            self.apart = transaction.atomic()
            self.apart.__enter__()

        def teardown(self) -> None:
            transaction.set_rollback(True)
            self.apart.__exit__(None, None, None)
            super().teardown()

        def before_call(self, case: schemathesis.Case) -> None:
            for name, value in (case.path_parameters or {}).items():
                if (name, value) in self.made:
                    rested[name] += 1
                else:
                    case.path_parameters[name] = somebody[name]
            turn, operation = next(self.turn), case.operation.definition.raw["operationId"]
            if case.media_type == "multipart/form-data":
                case.body = {"file": hostile.jpeg(seed=turn % 15)}
            if turn % 4 == 0:  # one of four as it was drawn
                return
            if operation in BODIES:
                first, *rest = BODIES[operation].items()
                case.body = {first[0]: first[1].format(turn), **dict(rest)}
            for parameters in (case.headers, case.query):
                for name in ("Idempotency-Key", "If-Match", "fields", "cursor", "page"):
                    (parameters or {}).pop(name, None)

        def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
            return {"headers": {"Authorization": f"Bearer {somebody['token']}"}}

        def validate_response(self, response: Any, case: schemathesis.Case, *_: Any, **__: Any) -> None:
            operation = case.operation.definition.raw["operationId"]
            asked[operation] += 1
            if response.status_code == 201 and operation in OPENS:
                self.made.add((OPENS[operation], response.json()["id"]))
            try:
                case.validate_response(response, checks=CHECKS)
            except FailureGroup as found:
                wrong.extend(f"{operation}: {each}" for each in found.exceptions)

    run_state_machine_as_test(
        Walk,
        settings=settings(
            max_examples=25,
            stateful_step_count=16,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert wrong == []
    assert time.process_time() - began < WALK_WITHIN
    assert len(asked) > 20, asked
    assert sum(rested.values()) > 20, "hardly any request rested on an answer before it"
