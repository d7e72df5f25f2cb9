"""Uploads at the same moment, in transactions of their own, on whichever database the suite runs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from diagnosis import audit
from diagnosis.intake import Outcome, correct_kind, receive_image
from diagnosis.models import Analysis, AuditEvent, Case, ModelRelease, SmearImage
from tests.cast import Cast, make_cast
from tests.hostile import jpeg

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"


@pytest.fixture
def cast() -> Cast:
    for task in ("cell", "field"):
        ModelRelease.objects.create(task=task, network="cnn", version="1", digest=task, bundle=task)
    return make_cast()


def together(tasks: Sequence[Callable[[], Outcome]]) -> list[Outcome]:
    """Run all at once, each on a connection of its own, let go at the same moment."""
    gate = threading.Barrier(len(tasks))

    def run(task: Callable[[], Outcome]) -> Outcome:
        gate.wait()
        try:
            return task()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


def upload(cast: Cast, case: Case, data: bytes, name: str = "a.jpg") -> Callable[[], Outcome]:
    return lambda: receive_image(actor=cast.technician, case=case, data=data, name=name, kind="cell", via="api")


@pytest.mark.parametrize("attempt", range(3))
def test_the_same_file_at_once_is_accepted_exactly_once(cast: Cast, media: Path, attempt: int) -> None:
    case = cast.case()
    outcomes = together([upload(cast, case, jpeg(seed=attempt)) for _ in range(6)])
    assert Counter(outcome.status for outcome in outcomes) == {"accepted": 1, "duplicate": 5}
    assert len({outcome.image.pk for outcome in outcomes if outcome.image}) == 1
    assert SmearImage.objects.count() == 1
    assert Analysis.objects.count() == 1
    assert len([path for path in media.rglob("*") if path.is_file()]) == 1
    actions = Counter(AuditEvent.objects.filter(case=case).values_list("action", flat=True))
    assert actions == {"image.accepted": 1, "image.duplicate": 5}
    assert audit.verify(case=case) == []


def test_many_files_at_once_lose_nothing(cast: Cast) -> None:
    case, other = cast.case(), cast.case()
    files = [jpeg(seed=seed) for seed in range(6)]
    outcomes = together([upload(cast, target, data) for data in files for target in (case, other)])
    assert Counter(outcome.status for outcome in outcomes) == {"accepted": 12}
    assert case.images.count() == other.images.count() == 6
    assert Analysis.objects.count() == 12
    assert audit.verify(case=case) == audit.verify(case=other) == []


def test_two_people_correct_the_kind_at_once(cast: Cast) -> None:
    image = upload(cast, cast.case(), jpeg())().image
    assert image is not None

    def correct() -> Outcome:
        return Outcome("accepted", correct_kind(actor=cast.technician, image=image, kind="field"))

    outcomes = together([correct, correct, correct])
    assert {outcome.image.kind for outcome in outcomes if outcome.image} == {"field"}
    assert AuditEvent.objects.filter(action="image.kind_corrected").count() == 1
    assert list(Analysis.objects.values_list("release__task", flat=True)) == ["field"]
