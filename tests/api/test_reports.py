"""Signed reports through the API: versions, their content, the PDF; nothing is signed here."""

from __future__ import annotations

import hashlib

import pytest
from rest_framework.test import APIClient

from diagnosis.models import Report
from diagnosis.reporting.canonical import content_hash
from diagnosis.signout import Proposal
from tests.cast import Cast
from tests.diagnosis.signing import sign, signed_case

pytestmark = pytest.mark.django_db


def test_versions_are_read_and_checked(cast: Cast, technician: APIClient, stranger: APIClient) -> None:
    first = signed_case(cast)
    address = f"/api/v1/cases/{first.case_id}/reports/"
    sign(cast.pathologist, first.case, Proposal(Report.Kind.ADDENDUM, reason="A result came.", addendum="Negative."))

    listed = technician.get(address).json()
    assert [(each["version"], each["kind"], each["current"]) for each in listed["results"]] == [
        (2, "addendum", True),
        (1, "original", False),
    ]
    assert listed["results"][0]["diagnosis"] == "reactive"
    one = technician.get(f"{address}1/").json()
    assert one["signed_by"] == "Paul Pathologist"
    assert content_hash(one["content"]) == one["content_hash"] == first.content_hash
    assert one["research_use_only"]
    document = technician.get(f"{address}1/pdf/")
    assert document["Content-Type"] == "application/pdf"
    assert hashlib.sha256(document.content).hexdigest() == one["pdf_sha256"]

    assert technician.get(f"{address}3/").status_code == 404
    assert technician.get(f"{address}3/pdf/").status_code == 404
    assert stranger.get(address).status_code == 404
    assert technician.post(address, {}).status_code == 405


def test_a_case_without_a_report_has_none(cast: Cast, technician: APIClient) -> None:
    assert technician.get(f"/api/v1/cases/{cast.case().pk}/reports/").json()["count"] == 0
