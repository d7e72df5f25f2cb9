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
from tests.api.problem import assert_problem
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


def walked(client: APIClient, path: str, **query: object) -> list[list[int]]:
    """The ids of each page, by the links that each one gives."""
    pages, answer = [], client.get(f"/api/v1/{path}", {"cursor": "", **query}).json()
    while True:
        assert (answer["count"], answer["previous"]) == (None, None)
        pages.append([row["id"] for row in answer["results"]])
        if answer["next"] is None:
            return pages
        answer = client.get(answer["next"]).json()


def test_a_cursor_walks_all_of_a_list(technician: APIClient, cast: Cast) -> None:
    cases = [cast.case(priority="urgent" if n % 2 else "routine", status="ready").pk for n in range(5)]
    cast.case(status="reviewed")
    cast.case(laboratory=cast.elsewhere, status="ready")
    newest = cases[::-1]
    assert walked(technician, "cases/", page_size=2, status="ready") == [newest[:2], newest[2:4], newest[4:]]
    assert walked(technician, "cases/", page_size=5, status="ready") == [newest]
    assert walked(technician, "cases/", status="in_review") == [[]]
    assert len(walked(technician, "patients/", page_size=3)) == 2


def test_a_cursor_walks_images_in_the_order_they_came(technician: APIClient, case: Case) -> None:
    images = [make_image(case).pk for _ in range(3)]
    path = f"cases/{case.pk}/images/"
    first = technician.get(f"/api/v1/{path}", {"cursor": "", "page_size": 2}).json()
    assert first["research_use_only"] == RESEARCH_USE_ONLY
    later = make_image(case).pk
    second = technician.get(first["next"]).json()
    assert [row["id"] for page in (first, second) for row in page["results"]] == [*images, later]


def test_what_is_added_or_gone_meanwhile_moves_nothing(technician: APIClient, cast: Cast) -> None:
    cases = [cast.case() for _ in range(4)]
    first = technician.get("/api/v1/cases/", {"cursor": "", "page_size": 2}).json()
    cast.case()
    cases[2].delete()  # the row that the page ended with
    second = technician.get(first["next"]).json()
    assert [row["id"] for row in second["results"]] == [cases[1].pk, cases[0].pk]


def test_a_cursor_counts_and_skips_nothing(technician: APIClient, cast: Cast) -> None:
    for _ in range(4):
        cast.case()
    first = technician.get("/api/v1/cases/", {"cursor": "", "page_size": 2, "status": ["received", "ready"]}).json()
    with CaptureQueriesContext(connection) as queries:
        assert technician.get(first["next"]).status_code == 200
    (asked,) = [query["sql"] for query in queries if 'FROM "diagnosis_case"' in query["sql"]]
    assert 'ORDER BY "diagnosis_case"."id" DESC LIMIT 3' in asked
    assert '"diagnosis_case"."id" <' in asked
    for dear in ("OFFSET", "COUNT(", "DISTINCT"):
        assert dear not in asked


@pytest.mark.parametrize("cursor", ["x", "!!", "LTE", "MS41", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "\x00", "é"])
def test_what_is_no_cursor(technician: APIClient, cursor: str) -> None:
    problem = assert_problem(technician.get("/api/v1/cases/", {"cursor": cursor}), 400, "invalid")
    assert "no cursor of ours" in problem["detail"]


def test_a_cursor_has_an_order_of_its_own(technician: APIClient) -> None:
    for other in ({"ordering": "created_at"}, {"page": 2}):
        problem = assert_problem(technician.get("/api/v1/cases/", {"cursor": "", **other}), 400, "invalid")
        assert [error["field"] for error in problem["errors"]] == list(other)
