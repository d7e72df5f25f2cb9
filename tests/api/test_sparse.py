"""`?fields=`: only what was asked for, at any depth, in lists and alone; a name not known is refused in words."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from rest_framework.test import APIClient

from diagnosis.api import RESEARCH_USE_ONLY
from diagnosis.api.schema import CachedGenerator
from diagnosis.api.views.base import Door
from diagnosis.models import Case, ModelRelease
from tests.api.conftest import read_all
from tests.api.problem import assert_problem
from tests.smears import make_image

pytestmark = pytest.mark.django_db


@pytest.fixture
def image(case: Case, releases: list[ModelRelease]) -> int:
    from diagnosis import queue

    image = make_image(case)
    queue.enqueue(image)
    read_all("blast")
    return image.pk


def test_of_one_thing(technician: APIClient, image: int) -> None:
    url = f"/api/v1/images/{image}/"
    some = technician.get(url, {"fields": "id, status,reading.label,analyses.network,analyses.probabilities.blast"})
    assert some.status_code == 200, some.content
    assert some.json() == {
        "id": image,
        "status": "done",
        "reading": {"label": "blast"},
        "analyses": [
            {"network": network, "probabilities": {"blast": pytest.approx(0.9)}} for network in ("cnn", "mobilenet")
        ],
        "research_use_only": RESEARCH_USE_ONLY,
    }
    whole = technician.get(url, {"fields": "reading.label,reading"}).json()
    assert set(whole["reading"]) > {"label", "probability"}
    assert technician.get(url, {"fields": ["id", "kind"]}).json().keys() == {"id", "kind", "research_use_only"}


def test_of_each_of_a_list(technician: APIClient, case: Case, image: int) -> None:
    page = technician.get("/api/v1/cases/", {"fields": "id,patient.mrn", "page_size": 1}).json()
    assert page["results"] == [{"id": case.pk, "patient": {"mrn": case.patient.mrn}}]
    assert (page["count"], page["research_use_only"]) == (1, RESEARCH_USE_ONLY)
    detail = technician.get(f"/api/v1/cases/{case.pk}/", {"fields": "assessment.statement,images.reading.label"}).json()
    assert set(detail) == {"assessment", "images", "research_use_only"}
    assert detail["images"] == [{"reading": {"label": "blast"}}]
    assert set(detail["assessment"]) == {"statement"}


def test_images_of_a_case_that_nobody_asked_for_are_not_looked_up(
    technician: APIClient, case: Case, image: int
) -> None:
    def looked_up(**asked: str) -> bool:
        with CaptureQueriesContext(connection) as queries:
            assert technician.get(f"/api/v1/cases/{case.pk}/", asked).status_code == 200
        return any('FROM "diagnosis_analysis"' in query["sql"] for query in queries)

    assert looked_up()
    assert looked_up(fields="status,images.id")
    assert not looked_up(fields="status,assessment")


def test_what_is_not_there_yet_stays_null(technician: APIClient, case: Case) -> None:
    make_image(case)
    page = technician.get(f"/api/v1/cases/{case.pk}/images/", {"fields": "reading.label"}).json()
    assert page["results"] == [{"reading": None}]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("id,nothing", "nothing is not known here. Known are: id, accession_number, status"),
        ("patient.age", "patient.age is not known here. In patient known are: id, mrn, name"),
        ("id.more", "There is nothing inside of id, so not id.more."),
        (",", "Name the members that you want, by comma. Known are: id"),
        ("", "Name the members that you want"),
        ("patient..mrn", "patient..mrn is not known here"),
        ("id," * 1_500, "At most 2000 characters"),
    ],
)
def test_what_is_not_known(technician: APIClient, case: Case, fields: str, words: str) -> None:
    for url in ("/api/v1/cases/", f"/api/v1/cases/{case.pk}/"):
        problem = assert_problem(technician.get(url, {"fields": fields}), 400, "unknown_fields")
        assert words in problem["detail"]
        assert [error["field"] for error in problem["errors"]] == ["fields"]


def test_a_part_has_an_etag_of_its_own(technician: APIClient, case: Case) -> None:
    url = f"/api/v1/cases/{case.pk}/"
    whole, part = technician.get(url), technician.get(url, {"fields": "id"})
    assert whole["ETag"] != part["ETag"]
    again = technician.get(url, {"fields": "id"}, headers={"If-None-Match": part["ETag"]})
    assert again.status_code == 304


def test_every_operation_that_reads_json_knows_it() -> None:
    schema = CachedGenerator().get_schema(public=True)
    told = {
        operation["get"]["operationId"]
        for operation in schema["paths"].values()
        if {"$ref": "#/components/parameters/Fields"} in operation.get("get", {}).get("parameters", [])
    }
    patterns = next(p for p in get_resolver().url_patterns if getattr(p, "namespace", None) == "api").url_patterns
    views = {p.callback.view_class for p in patterns if issubclass(p.callback.view_class, Door)}
    assert len(told) == sum(view.shape is not None for view in views)
