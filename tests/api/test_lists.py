"""Lists: narrowed, ordered, in pages, in a number of queries that does not grow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from diagnosis.api import RESEARCH_USE_ONLY
from diagnosis.models import Case, ModelRelease
from tests.api.conftest import read_all
from tests.cast import Cast, PatientFactory
from tests.smears import make_image

pytestmark = pytest.mark.django_db


def numbers(client: APIClient, **query: object) -> list[str]:
    answer = client.get("/api/v1/cases/", query)
    assert answer.status_code == 200, answer.content
    return [case["accession_number"] for case in answer.json()["results"]]


def test_pages(technician: APIClient, cast: Cast) -> None:
    for n in range(5):
        cast.case(accession_number=f"A-{n}")
    first = technician.get("/api/v1/cases/", {"page_size": 2, "ordering": "accession_number"}).json()
    assert (first["count"], first["previous"]) == (5, None)
    assert first["research_use_only"] == RESEARCH_USE_ONLY
    second = technician.get(first["next"]).json()
    third = technician.get(second["next"]).json()
    found = [case["accession_number"] for page in (first, second, third) for case in page["results"]]
    assert found == ["A-0", "A-1", "A-2", "A-3", "A-4"]
    assert third["next"] is None
    assert technician.get(third["previous"]).json()["results"] == second["results"]


def test_no_case_falls_between_pages_where_the_order_ties(technician: APIClient, cast: Cast) -> None:
    for n in range(7):
        cast.case(accession_number=f"A-{n}")
    found = [
        number for page in (1, 2, 3, 4) for number in numbers(technician, ordering="status", page_size=2, page=page)
    ]
    assert sorted(found) == [f"A-{n}" for n in range(7)]


def test_filters(technician: APIClient, cast: Cast) -> None:
    day = datetime(2026, 3, 2, 9, tzinfo=UTC)
    patient = PatientFactory(laboratory=cast.laboratory, mrn="7741-203", name="Quentin Query")
    cast.case(accession_number="OLD", created_at=day - timedelta(days=1), status="ready")
    cast.case(accession_number="NEW", created_at=day, priority="urgent", status="reviewed", patient=patient)
    cast.case(accession_number="MARROW", created_at=day + timedelta(days=1), specimen="bone_marrow", malignant=0.9)
    cast.case(laboratory=cast.elsewhere, accession_number="ELSEWHERE")
    assert numbers(technician) == ["NEW", "MARROW", "OLD"], "urgent, then newest"
    assert numbers(technician, status="ready") == ["OLD"]
    assert sorted(numbers(technician, status=["ready", "reviewed"])) == ["NEW", "OLD"]
    assert numbers(technician, priority="urgent") == ["NEW"]
    assert numbers(technician, specimen="bone_marrow") == ["MARROW"]
    assert numbers(technician, accession_number="marrow") == ["MARROW"]
    assert numbers(technician, mrn="7741-203") == ["NEW"]
    assert numbers(technician, search="query quentin") == ["NEW"]
    assert numbers(technician, created_after="2026-03-02T09:00:00Z") == ["NEW", "MARROW"]
    assert numbers(technician, created_before="2026-03-02T09:00:00Z") == ["OLD"]
    assert numbers(technician, created_after="2026-03-02T10:00:00+01:00", created_before="2026-03-03") == ["NEW"]
    assert numbers(technician, ordering="-created_at") == ["MARROW", "NEW", "OLD"]
    assert numbers(technician, ordering="-priority,created_at") == ["NEW", "OLD", "MARROW"]


@pytest.mark.parametrize(
    ("path", "bound"),
    [
        ("cases/", 4),
        ("cases/{case}/", 7),
        ("cases/{case}/images/", 8),
        ("cases/{case}/history/", 6),
        ("patients/", 4),
        ("models/", 4),
        ("images/{image}/", 6),
    ],
)
def test_queries_do_not_grow(
    technician: APIClient, cast: Cast, releases: list[ModelRelease], path: str, bound: int
) -> None:
    from diagnosis import queue

    case = cast.case()
    images = [make_image(case) for _ in range(30)]
    for image in images:
        queue.enqueue(image)
    read_all()
    for _ in range(30):
        cast.case()
    url = f"/api/v1/{path.format(case=case.pk, image=images[0].pk)}"
    technician.get(url)  # the token's use and the read of the case are noted once in a while only
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert technician.get(url).status_code == 200
    assert len(queries) <= bound, "\n".join(query["sql"][:160] for query in queries)


def test_a_case_shows_its_first_images_and_the_list_has_all(technician: APIClient, case: Case) -> None:
    images = [make_image(case) for _ in range(103)]
    shown = technician.get(f"/api/v1/cases/{case.pk}/").json()["images"]
    assert [image["id"] for image in shown] == [image.pk for image in images[:100]]
    listed = technician.get(f"/api/v1/cases/{case.pk}/images/", {"page_size": 60, "page": 2}).json()
    assert (listed["count"], len(listed["results"])) == (103, 43)
    assert listed["research_use_only"] == RESEARCH_USE_ONLY
