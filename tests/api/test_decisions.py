"""Decisions on many images through the API: one step, its undoing and redoing, each answered image by image."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from diagnosis.models import Case, Decision, ModelRelease
from tests.cast import Cast
from tests.diagnosis.opinions import read_image

pytestmark = pytest.mark.django_db


@pytest.fixture
def images(case: Case, releases: list[ModelRelease]) -> list[int]:
    cells = [release for release in releases if release.task == "cell"]
    return [read_image(case, cells, "blast").pk for _ in range(3)]


def test_a_step_its_undoing_and_its_redoing(pathologist: APIClient, case: Case, images: list[int]) -> None:
    url, step = f"/api/v1/cases/{case.pk}/decisions/", str(uuid4())
    body = {
        "step": step,
        "decisions": [
            {"image": images[0], "verdict": "agree", "label": "blast", "expected_decision": None},
            {"image": images[1], "verdict": "override", "label": "monocyte", "comment": "Folded."},
            {"image": images[2], "verdict": "override", "label": "pro_b"},
        ],
    }
    first = pathologist.post(url, body, format="json")
    assert first.status_code == 200, first.json()
    told = first.json()
    assert [(d["image"], d["verdict"], d["label"]) for d in told["saved"]] == [
        (images[0], "agree", "blast"), (images[1], "override", "monocyte"),
    ]  # fmt: skip
    assert [(left["image"], left["code"]) for left in told["refused"]] == [(images[2], "label_unknown")]
    assert (told["undoes_next"], told["redoes_next"]) == (step, None)
    assert pathologist.post(url, body, format="json").json()["saved"] == told["saved"]
    assert Decision.objects.count() == 2

    undone = pathologist.post(f"{url}undo/", {"undoes": step}, format="json").json()
    assert {d["verdict"] for d in undone["saved"]} == {"withdraw"}
    assert (undone["undoes_next"], undone["redoes_next"]) == (None, undone["step"])
    redone = pathologist.post(f"{url}redo/", {}, format="json").json()
    assert [(d["label"], d["comment"]) for d in redone["saved"]] == [("blast", ""), ("monocyte", "Folded.")]
    nothing = pathologist.post(f"{url}redo/", {}, format="json")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_redo")


def test_a_conflict_names_what_stands(pathologist: APIClient, cast: Cast, case: Case, images: list[int]) -> None:
    url = f"/api/v1/cases/{case.pk}/decisions/"
    theirs = Decision.objects.create(
        image_id=images[0], verdict="override", label="lymphocyte", decided_by=cast.second_pathologist.user
    )
    body = {"decisions": [{"image": pk, "verdict": "agree", "expected_decision": None} for pk in images]}
    told = pathologist.post(url, body, format="json").json()
    assert [d["image"] for d in told["saved"]] == images[1:]
    assert told["refused"] == [
        {
            "image": images[0], "code": "decided_meanwhile", "decision": theirs.pk,
            "detail": told["refused"][0]["detail"],
        }
    ]  # fmt: skip
    assert "Petra Pathologist decided on “lymphocyte”" in told["refused"][0]["detail"]


def test_one_image_is_withdrawn(pathologist: APIClient, images: list[int]) -> None:
    url = f"/api/v1/images/{images[0]}/decision/"
    nothing = pathologist.post(url, {"verdict": "withdraw"}, format="json")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_decided")
    stood = pathologist.post(url, {"verdict": "agree"}, format="json").json()["decision"]
    answer = pathologist.post(url, {"verdict": "withdraw", "expected_decision": stood["id"]}, format="json")
    assert (answer.status_code, answer.json()["decision"]) == (201, None)


def test_a_signed_case_is_closed(pathologist: APIClient, case: Case, images: list[int]) -> None:
    Case.objects.filter(pk=case.pk).update(signed_at=timezone.now(), report_version=1)
    for path, body in (
        (f"cases/{case.pk}/decisions/", {"decisions": [{"image": images[0], "verdict": "agree"}]}),
        (f"cases/{case.pk}/decisions/undo/", {}),
        (f"images/{images[0]}/decision/", {"verdict": "agree"}),
    ):
        answer = pathologist.post(f"/api/v1/{path}", body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "signed"), path
        assert "Reopen it for an amendment first" in answer.json()["detail"]


def test_what_does_not_fit_is_named(pathologist: APIClient, case: Case, images: list[int]) -> None:
    url = f"/api/v1/cases/{case.pk}/decisions/"
    for body, field in (
        ({"decisions": []}, "decisions"),
        ({"decisions": [{"image": images[0]}]}, "decisions.0.verdict"),
        ({"decisions": [{"image": images[0], "verdict": "agree", "sure": True}]}, "decisions.0.sure"),
        ({"step": "x", "decisions": [{"image": images[0], "verdict": "agree"}]}, "step"),
    ):
        answer = pathologist.post(url, body, format="json")
        assert answer.status_code == 400
        assert field in [error["field"] for error in answer.json()["errors"]], answer.json()
