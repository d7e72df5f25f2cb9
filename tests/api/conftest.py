"""The cast with tokens in their hands, and networks that say what the test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from accounts import tokens
from accounts.permissions import Actor, Scope, grantable_scopes
from diagnosis import assessment, queue
from diagnosis.models import Analysis, Case, ModelRelease
from mlcore.bundle import MALIGNANT, TASKS
from tests.cast import Cast
from tests.smears import make_release

ClientOf = Callable[..., APIClient]


@pytest.fixture(autouse=True)
def _files_and_counts_of_our_own(settings: object, tmp_path: object) -> Iterator[None]:
    settings.MEDIA_ROOT = tmp_path  # type: ignore[attr-defined]
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def client_of() -> ClientOf:
    """`client_of(actor)`: an API client with a token of theirs, with all scopes or the given ones."""

    def make(actor: Actor, *scopes: Scope) -> APIClient:
        wanted = scopes or tuple(grantable_scopes(actor))
        _, plaintext = tokens.issue(actor=actor, name="tests", scopes=wanted, days=1)
        return APIClient(HTTP_AUTHORIZATION=f"Bearer {plaintext}", raise_request_exception=False)

    return make


@pytest.fixture
def technician(cast: Cast, client_of: ClientOf) -> APIClient:
    return client_of(cast.technician)


@pytest.fixture
def pathologist(cast: Cast, client_of: ClientOf) -> APIClient:
    return client_of(cast.pathologist)


@pytest.fixture
def stranger(cast: Cast, client_of: ClientOf) -> APIClient:
    return client_of(cast.stranger)


@pytest.fixture
def releases(db: None) -> list[ModelRelease]:
    return [make_release(task, network) for task in TASKS for network in ("cnn", "mobilenet")]


@pytest.fixture
def case(cast: Cast) -> Case:
    return cast.case()


def opinion(task: str, label: str, share: float = 0.9) -> queue.Result:
    """What a network that says `label` records."""
    classes = TASKS[task]
    probabilities = {name: share if name == label else (1 - share) / (len(classes) - 1) for name in classes}
    return queue.Result(
        probabilities=probabilities,
        malignant=sum(probabilities[name] for name in MALIGNANT[task]),
        novelty=0.2,
        novel=False,
        activation=bytes(len(classes) * 4),
        activation_shape=[len(classes), 2, 2],
        seconds=0.01,
        engine="onnxruntime",
    )


def read_all(label: str = "blast") -> None:
    """Let a worker read everything that waits, with networks that all say `label`; then the cases are reassessed."""
    batch = queue.claim(worker="tests", limit=10_000)
    for analysis in batch.analyses:
        result = opinion(analysis.release.task, label)
        assert queue.complete(batch_token=batch.token, analysis_id=analysis.pk, result=result)
    _reassess(batch.analyses)


def fail_all(error: str) -> None:
    batch = queue.claim(worker="tests", limit=10_000)
    ids = [analysis.pk for analysis in batch.analyses]
    assert queue.fail(batch_token=batch.token, analysis_ids=ids, error=error, final=True)
    _reassess(batch.analyses)


def _reassess(analyses: tuple[Analysis, ...]) -> None:
    for case_id in {analysis.image.case_id for analysis in analyses}:
        assessment.refresh(case_id)
