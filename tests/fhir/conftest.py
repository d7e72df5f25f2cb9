"""A signed case, an open one, and two independent readers of FHIR that judge every answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhirclient.models import fhirelementfactory
from rest_framework.test import APIClient

from accounts.permissions import Scope
from diagnosis import clinical
from diagnosis.models import Case
from tests.api.conftest import ClientOf, client_of, stranger  # noqa: F401
from tests.cast import Cast, PatientFactory
from tests.diagnosis.signing import ready_case

Get = Callable[..., dict[str, Any]]
COUNTED_BEFORE = timedelta(days=5)
BASE = "http://testserver/fhir/R4"


@pytest.fixture(autouse=True)
def _files_of_our_own(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def case(cast: Cast) -> Case:
    """Two blasts and a lymphocyte, decided and drafted, not signed; with clinical data."""
    patient = PatientFactory(laboratory=cast.laboratory, mrn="MRN-77", name="Rosa Rendered", sex="female")
    case = ready_case(cast, patient=patient, accession_number="S26-0077")
    clinical.save(
        actor=cast.technician,
        case=case,
        expected_revision=0,
        counted_on=case.created_at.date() - COUNTED_BEFORE,
        wbc=41.2,
        haemoglobin=8.1,
        platelets=34,
        blasts=62,
        cytogenetics=["t_8_21"],
        immunophenotype={"CD34": "positive", "CD3": "negative", "CD19": "dim"},
    )
    return case


@pytest.fixture
def client(cast: Cast, client_of: ClientOf) -> APIClient:  # noqa: F811
    return client_of(cast.technician, Scope.CASES_READ)


@pytest.fixture
def get(client: APIClient) -> Get:
    """`get("Patient/1")`: the answer, which both readers of FHIR took as valid."""

    def ask(path: str, *, status: int = 200, by: APIClient | None = None, **headers: str) -> dict[str, Any]:
        answer = (by or client).get(f"/fhir/R4/{path}", headers=headers)
        assert answer.status_code == status, answer.content
        assert answer["Content-Type"] == "application/fhir+json; charset=utf-8"
        return judged(answer.json())

    return ask


def judged(body: dict[str, Any]) -> dict[str, Any]:
    """`body`, valid by `fhir.resources` (R4B) and by the SMART client's models of R4 (4.0.1), contents included."""
    get_fhir_model_class(body["resourceType"]).model_validate(body)
    fhirelementfactory.FHIRElementFactory.instantiate(body["resourceType"], body)
    return body
