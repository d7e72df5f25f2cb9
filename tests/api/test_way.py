"""A smear's way through the API, in the shapes that integrators were promised."""

from __future__ import annotations

import io

import pytest
from django.urls import reverse
from PIL import Image
from rest_framework.test import APIClient

from diagnosis.api import RESEARCH_USE_ONLY
from diagnosis.models import AuditEvent, Case, ModelRelease, SmearImage
from mlcore.bundle import TASKS
from tests import hostile
from tests.api.conftest import ClientOf, fail_all, read_all
from tests.cast import Cast

pytestmark = pytest.mark.django_db


def upload(client: APIClient, case_id: int, data: bytes, name: str = "smear.jpg", **fields: object):
    file = io.BytesIO(data)
    file.name = name
    return client.post(f"/api/v1/cases/{case_id}/images/", {"file": file, **fields}, format="multipart")


def test_from_a_case_to_a_reading(technician: APIClient, releases: list[ModelRelease]) -> None:
    made = technician.post(
        "/api/v1/cases/",
        {
            "accession_number": "ACC-26-00042",
            "specimen": "bone_marrow",
            "priority": "urgent",
            "patient": {"mrn": "7741-203", "name": "Rendered Person", "birth_date": "1961-04-02", "sex": "female"},
        },
    )
    assert made.status_code == 201, made.content
    case_id = made.json()["id"]
    assert made["Location"] == f"http://testserver/api/v1/cases/{case_id}/"

    sent = upload(technician, case_id, hostile.jpeg(), kind="cell")
    assert sent.status_code == 201, sent.content
    image_id = sent.json()["id"]
    assert sent["Location"] == f"http://testserver/api/v1/images/{image_id}/"
    assert sent.json()["duplicate"] is False
    assert sent.json()["status"] == "queued"
    assert sent.json()["reading"] is None

    waiting = technician.get(f"/api/v1/images/{image_id}/").json()
    assert waiting["status"] == "queued"
    assert [a["state"] for a in waiting["analyses"]] == ["queued", "queued"]

    read_all("blast")
    image = technician.get(f"/api/v1/images/{image_id}/").json()
    assert image["status"] == "done"
    assert [(a["task"], a["network"], a["version"]) for a in image["analyses"]] == [
        ("cell", "cnn", "1.0.0"),
        ("cell", "mobilenet", "1.0.0"),
    ]
    for analysis in image["analyses"]:
        assert set(analysis["probabilities"]) == set(TASKS["cell"])
        assert sum(analysis["probabilities"].values()) == pytest.approx(1)
    assert image["reading"] == {
        "label": "blast",
        "probability": pytest.approx(0.9),
        "malignant": pytest.approx(0.9 + 0.1 / 11),
        "agree": True,
        "novelty": pytest.approx(0.2),
        "warnings": [],
        "needs_person": False,
    }
    assert image["decision"] is None
    assert image["research_use_only"] == RESEARCH_USE_ONLY

    case = technician.get(f"/api/v1/cases/{case_id}/").json()
    assert case["accession_number"] == "ACC-26-00042"
    assert case["patient"]["mrn"] == "7741-203"
    assert case["status"] == "ready"
    assert case["assessment"]["progress"] == {"images": 1, "done": 1, "failed": 0, "waiting": 0, "decided": 0}
    assert case["assessment"]["statement"]
    assert case["malignant"] == pytest.approx(case["assessment"]["malignant"]["value"], abs=1e-4)
    assert [(i["id"], i["status"], i["reading"]["label"]) for i in case["images"]] == [(image_id, "done", "blast")]
    assert case["research_use_only"] == RESEARCH_USE_ONLY


def test_the_same_bytes_again_are_a_duplicate(technician: APIClient, case: Case, releases: list[ModelRelease]) -> None:
    first = upload(technician, case.pk, hostile.jpeg())
    again = upload(technician, case.pk, hostile.jpeg(), "other-name.jpg")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["duplicate"] is True
    assert again.json()["id"] == first.json()["id"]
    assert "not read a second time" in again.json()["remarks"][0]
    assert SmearImage.objects.count() == 1


def test_without_a_kind_it_is_told_from_the_picture_and_can_be_corrected(
    technician: APIClient, case: Case, releases: list[ModelRelease]
) -> None:
    told = upload(technician, case.pk, hostile.jpeg()).json()
    assert told["kind_source"] == "told"
    other = "cell" if told["kind"] == "field" else "field"
    corrected = technician.patch(f"/api/v1/images/{told['id']}/", {"kind": other})
    assert corrected.status_code == 200
    assert (corrected.json()["kind"], corrected.json()["kind_source"]) == (other, "corrected")
    assert {a["task"] for a in corrected.json()["analyses"]} == {other}


def test_scale_and_kind_as_given(technician: APIClient, case: Case, releases: list[ModelRelease]) -> None:
    sent = upload(technician, case.pk, hostile.jpeg(), kind="field", um_per_pixel="0.25").json()
    assert (sent["kind"], sent["kind_source"], sent["um_per_pixel"]) == ("field", "given", 0.25)


def test_a_failure_tells_why_and_can_be_retried(
    technician: APIClient, case: Case, releases: list[ModelRelease]
) -> None:
    image_id = upload(technician, case.pk, hostile.jpeg()).json()["id"]
    fail_all("The picture killed its worker three times.")
    image = technician.get(f"/api/v1/images/{image_id}/").json()
    assert (image["status"], image["reading"]) == ("failed", None)
    assert {a["error"] for a in image["analyses"]} == {"The picture killed its worker three times."}

    retried = technician.post(f"/api/v1/images/{image_id}/retry/")
    assert (retried.status_code, retried.json()["status"]) == (202, "queued")
    nothing_failed = technician.post(f"/api/v1/images/{image_id}/retry/")
    assert (nothing_failed.status_code, nothing_failed.json()["status"]) == (200, "queued")


def test_agree_and_override(pathologist: APIClient, technician: APIClient, case: Case, releases: object) -> None:
    image_id = upload(technician, case.pk, hostile.jpeg(), kind="cell").json()["id"]
    url = f"/api/v1/images/{image_id}/decision/"
    early = pathologist.post(url, {"verdict": "agree"})
    assert (early.status_code, early.json()["code"]) == (409, "nothing_read")
    read_all("lymphocyte")

    agreed = pathologist.post(url, {"verdict": "agree", "expected_decision": None})
    assert agreed.status_code == 201, agreed.content
    decision = agreed.json()["decision"]
    assert (decision["verdict"], decision["label"], decision["decided_by"]) == (
        "agree",
        "lymphocyte",
        "Paul Pathologist",
    )

    overridden = pathologist.post(
        url, {"verdict": "override", "label": "blast", "comment": "Nucleoli.", "expected_decision": decision["id"]}
    )
    assert overridden.status_code == 201
    assert overridden.json()["decision"]["reading_label"] == "lymphocyte"
    assert overridden.json()["reading"]["label"] == "lymphocyte", "what the networks think stays beside it"


def test_a_decision_that_came_meanwhile_is_not_covered(
    cast: Cast, client_of: ClientOf, pathologist: APIClient, technician: APIClient, case: Case, releases: object
) -> None:
    image_id = upload(technician, case.pk, hostile.jpeg(), kind="cell").json()["id"]
    read_all("lymphocyte")
    url = f"/api/v1/images/{image_id}/decision/"
    first = client_of(cast.second_pathologist).post(url, {"verdict": "agree", "expected_decision": None})
    late = pathologist.post(url, {"verdict": "override", "label": "blast", "expected_decision": None})
    assert (late.status_code, late.json()["code"]) == (409, "decided_meanwhile")
    assert late.json()["existing"] == first.json()["decision"]["id"]
    assert "Petra Pathologist" in late.json()["detail"]


@pytest.mark.parametrize(
    ("decision", "field"),
    [
        ({"verdict": "override"}, "label"),
        ({"verdict": "override", "label": "unicorn"}, "label"),
        ({"verdict": "maybe"}, "verdict"),
        ({}, "verdict"),
        ({"verdict": "agree", "expected_decision": 0}, "expected_decision"),
    ],
)
def test_decisions_that_do_not_fit(
    pathologist: APIClient, technician: APIClient, case: Case, releases: object, decision: object, field: str
) -> None:
    image_id = upload(technician, case.pk, hostile.jpeg(), kind="cell").json()["id"]
    read_all()
    answer = pathologist.post(f"/api/v1/images/{image_id}/decision/", decision)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_the_stored_picture(technician: APIClient, case: Case, releases: object) -> None:
    data = hostile.jpeg()
    image = upload(technician, case.pk, data).json()
    answer = technician.get(image["file"])
    stored = b"".join(answer.streaming_content)
    assert answer["Content-Type"] == "image/jpeg"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "private, no-cache"
    assert answer["ETag"] == f'"{image["stored_sha256"]}"'
    assert answer["Content-Disposition"] == f'inline; filename="leukolens-image-{image["id"]}.jpg"'
    assert Image.open(io.BytesIO(stored)).size == (image["width"], image["height"])
    again = technician.get(image["file"], headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_patients(technician: APIClient, cast: Cast) -> None:
    for number in ("7741-203", "7741-204"):
        technician.post(
            "/api/v1/cases/", {"accession_number": f"A-{number}", "patient": {"mrn": number, "name": f"P {number}"}}
        )
    found = technician.get("/api/v1/patients/", {"mrn": "7741-204"}).json()
    assert [p["name"] for p in found["results"]] == ["P 7741-204"]
    url = f"/api/v1/patients/{found['results'][0]['id']}/"
    corrected = technician.patch(url, {"birth_date": "1961-04-02", "clinical_notes": "Known anaemia."})
    assert corrected.status_code == 200
    assert technician.get(url).json()["birth_date"] == "1961-04-02"
    taken = technician.patch(url, {"mrn": "7741-203"})
    assert (taken.status_code, taken.json()["code"]) == (409, "mrn_taken")
    assert technician.get("/api/v1/patients/", {"search": "p 203"}).json()["count"] == 1


def test_a_known_patient_is_matched_but_never_overwritten(technician: APIClient) -> None:
    first = technician.post(
        "/api/v1/cases/", {"accession_number": "A-1", "patient": {"mrn": "7741-203", "birth_date": "1961-04-02"}}
    ).json()
    second = technician.post(
        "/api/v1/cases/", {"accession_number": "A-2", "patient": {"mrn": "7741-203", "name": "Rendered Person"}}
    ).json()
    assert second["patient"]["id"] == first["patient"]["id"]
    assert second["patient"]["birth_date"] == "1961-04-02"
    other = technician.post(
        "/api/v1/cases/", {"accession_number": "A-3", "patient": {"mrn": "7741-203", "birth_date": "1999-01-01"}}
    )
    assert (other.status_code, other.json()["code"]) == (409, "patient_differs")
    assert other.json()["errors"][0]["field"] == "patient.birth_date"
    taken = technician.post("/api/v1/cases/", {"accession_number": "a-1", "patient": {"mrn": "7741-203"}})
    assert (taken.status_code, taken.json()["code"], taken.json()["existing"]) == (409, "accession_taken", first["id"])


def test_the_history_is_the_audit(technician: APIClient, case: Case, releases: object) -> None:
    image_id = upload(technician, case.pk, hostile.jpeg(), "smear-7.jpg").json()["id"]
    newest, oldest = technician.get(f"/api/v1/cases/{case.pk}/history/").json()["results"]
    assert (newest["action"], oldest["action"]) == ("case.read", "image.accepted")
    assert oldest["subject"] == f"image {image_id}"
    assert oldest["actor"] == "Tess Technician (token tests)"
    assert newest["previous_hash"] == oldest["hash"]
    assert "smear-7.jpg" in oldest["sentence"]


@pytest.mark.parametrize("path", ["cases/{case}/", "cases/{case}/images/", "images/{image}/", "images/{image}/file/"])
def test_reads_of_a_case_are_audited(technician: APIClient, case: Case, releases: object, path: str) -> None:
    image_id = upload(technician, case.pk, hostile.jpeg()).json()["id"]
    technician.get(f"/api/v1/{path.format(case=case.pk, image=image_id)}")
    assert AuditEvent.objects.filter(case=case, action="case.read").count() == 1


def test_models_and_me(technician: APIClient, cast: Cast, releases: list[ModelRelease]) -> None:
    models = technician.get("/api/v1/models/").json()
    assert {(m["task"], m["network"], m["stage"]) for m in models["results"]} == {
        (task, network, "active") for task in TASKS for network in ("cnn", "mobilenet")
    }
    me = technician.get("/api/v1/me/").json()
    assert (me["name"], me["laboratory"], me["roles"]) == ("Tess Technician", "North Laboratory", ["technician"])
    assert "upload images" in me["may"]
    assert "decide on images" not in me["may"]


def test_links_of_the_routes_are_as_promised() -> None:
    assert reverse("api:case-images", args=[3]) == "/api/v1/cases/3/images/"
    assert reverse("api:image-retry", args=[3]) == "/api/v1/images/3/retry/"
