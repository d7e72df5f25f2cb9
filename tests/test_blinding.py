"""Whoever is asked for a second opinion learns nothing of what colleagues said, wherever they look.

Not a list of places: every route of the resolver that names a case, as the permissions table has it, is asked by the
blinded colleague, before and after others decide, write, answer and settle. The two answers must be the same.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.models import Role
from accounts.permissions import grantable_scopes
from diagnosis import clinical, notices, review, second_opinion, signout
from diagnosis.models import Analysis, Case, Decision, Event, Notice, SecondOpinion
from tests.cast import Cast, person
from tests.diagnosis.signing import fresh, ready_case, sign
from tests.permissions_table import API, PAGES
from tests.test_permissions import bearer, signed_in

#: Figures over many cases and what is nobody's case: not about one colleague's judgement.
ELSEWHERE = re.compile(r"^(account|mfa|socialaccount|accounts:|models?$|model-|laboratory|templates?|uploads?$)")
#: What changes by itself from one look to the next.
MOVING = [re.compile(pattern) for pattern in (
    r'name="csrfmiddlewaretoken" value="[^"]*"', r"<time.*?</time>", r'X-CSRFToken[^}]*', r'"timestamp": *"[^"]*"',
    r'"lastUpdated": *"[^"]*"', r'"id": *"[0-9a-f-]{36}"',
)]  # fmt: skip
#: Addresses beyond the plain ones of the table: searches, live parts, other orders.
MORE_PAGES = [
    "/?q=APL", "/?q=promyelocytes", "/?flag=promyelocytes", "/?flag=blasts_20", "/?status=reviewed", "/?view=second",
    "/?status=in_review", "/?status=ready", "/?view=mine", "/?view=all", "/?rows={case}", "/images/{image}/?live",
    "/cases/{case}/?from=second", "/cases/{case}/history/?page=2", "/images/{image}/compare/{other}/",
]  # fmt: skip
MORE_API = [
    "/api/v1/cases/?status=reviewed", "/api/v1/cases/?flag=promyelocytes", "/api/v1/cases/?search=APL",
    "/api/v1/cases/?ordering=-malignant", "/api/v1/cases/?ordering=status", "/api/v1/cases/{case}/reports/1/",
    "/api/v1/cases/?cursor=&status=reviewed", "/api/v1/cases/?cursor=&fields=id,status,malignant",
    "/api/v1/cases/{case}/?fields=status,assessment,images.decision", "/api/v1/cases/{case}/history/?cursor=",
    "/fhir/R4/Observation?patient={patient}", "/fhir/R4/DiagnosticReport?patient={patient}",
]  # fmt: skip


@dataclass
class Desk:
    """A case that was signed once and is open again, about which one colleague is asked."""

    cast: Cast
    case: Case
    opinion: SecondOpinion
    ids: dict[str, Any]
    browser: Client
    token: Client

    def seen(self) -> dict[str, str]:
        """Everything that the colleague is answered, by address."""
        found = {}
        for client, table, more in ((self.browser, PAGES, MORE_PAGES), (self.token, API, MORE_API)):
            paths = [row.path for name, row in table.items() if "GET" in row.lines and not ELSEWHERE.match(name)]
            for path in (*paths, *more):
                try:
                    path = path.format(**self.ids)
                except KeyError:  # of something that no case has
                    continue
                cache.clear()
                response = client.get(path)
                body = b"".join(response.streaming_content) if response.streaming else response.content
                text = f"{response.status_code} {body.decode('utf-8', 'replace')}"
                for pattern in MOVING:
                    text = pattern.sub("", text)
                found[path] = text
        return found


@pytest.fixture
def desk(cast: Cast, settings: Any, tmp_path: Any) -> Desk:
    settings.MEDIA_ROOT = tmp_path
    case = ready_case(cast, "lymphocyte", "lymphocyte", "blast")
    signout.save_draft(
        actor=cast.pathologist, case=case, expected_revision=1, diagnosis_text="SECRET-1", comment="SECRET-2"
    )
    report = sign(cast.pathologist, fresh(case))
    signout.amend(actor=cast.pathologist, case=fresh(case), reason="SECRET-3")
    first, other = case.images.order_by("id")[:2]
    opinion = second_opinion.ask(
        actor=cast.pathologist, case=fresh(case), colleagues=[cast.second_pathologist.user], diagnosis="9861/3"
    )[0]
    analysis = first.analyses.first()
    assert analysis is not None
    ids = {
        "case": case.pk, "signed": case.pk, "patient": case.patient_id, "image": first.pk, "other": other.pk,
        "analysis": analysis.pk, "opinion": opinion.pk, "report": report.pk, "code": report.content_hash,
        "release": analysis.release_id, "notice": Notice.objects.get(event=Event.OPINION_ASKED).pk,
    }  # fmt: skip
    return Desk(cast, case, opinion, ids, signed_in(cast.second_pathologist), bearer(cast.second_pathologist))


def others_go_on(desk: Desk) -> None:
    """Decisions, a draft, another opinion and its adjudication, each with words of its own."""
    cast, case = desk.cast, fresh(desk.case)
    for image in case.images.all():
        review.decide(actor=cast.pathologist, image=image, verdict="override", label="promyelocyte", comment="SECRET-4")
    draft = signout.draft_of(case)
    signout.save_draft(
        actor=cast.pathologist, case=case, expected_revision=draft.revision, diagnosis="9866/3",
        diagnosis_text="SECRET-5", key_images=[desk.ids["other"]],
    )  # fmt: skip
    third = person(cast.laboratory, "Thea Third", Role.PATHOLOGIST)
    fourth = person(cast.laboratory, "Fritz Fourth", Role.PATHOLOGIST)
    asked = second_opinion.ask(
        actor=cast.pathologist, case=case, colleagues=[third.user], diagnosis="9861/3", question="SECRET-6"
    )[0]
    second_opinion.answer(actor=third, opinion=asked, diagnosis="9866/3", comment="SECRET-7")
    second_opinion.adjudicate(actor=fourth, case=case, diagnosis="9866/3", reason="SECRET-8")
    SecondOpinion.objects.filter(pk=desk.opinion.pk).update(first_diagnosis="9866/3")
    users = [cast.second_pathologist.user]
    notices.tell(event=Event.CASE_ALARM, case=case, users=users, detail={"words": ["SECRET-9"]})


@pytest.mark.timeout(600)
def test_no_route_tells_what_colleagues_said(desk: Desk) -> None:
    desk.seen()  # the first look leaves a read in the history
    before = desk.seen()
    others_go_on(desk)
    after = desk.seen()
    assert len(before) > 50
    assert [path for path in after if after[path] != before[path]] == []
    leaks = [path for path, text in after.items() if "SECRET" in text]
    assert leaks == [f"/verify/{desk.ids['code']}/"] or leaks == []
    assert f"/cases/{desk.case.pk}/" in after
    assert "Your second opinion" in after[f"/cases/{desk.case.pk}/"]


def test_the_same_routes_tell_it_once_they_have_answered(desk: Desk) -> None:
    """The test above is worth something: what it found hidden is there to be seen."""
    others_go_on(desk)
    second_opinion.answer(actor=desk.cast.second_pathologist, opinion=desk.opinion, diagnosis="9866/3")
    after = desk.seen()
    case = desk.case.pk
    for path, secret in (
        (f"/cases/{case}/", "SECRET-8"),
        (f"/cases/{case}/", "SECRET-5"),
        (f"/cases/{case}/history/", "SECRET-7"),
        (f"/cases/{case}/report/1/", "SECRET-1"),
        (f"/images/{desk.ids['image']}/", "SECRET-4"),
        (f"/api/v1/cases/{case}/", "SECRET-4"),
        (f"/api/v1/cases/{case}/history/", "SECRET-8"),
    ):
        assert secret in after[path], path
    assert str(case) in after["/api/v1/cases/?flag=promyelocytes"]


def test_their_page_does_not_change_while_colleagues_go_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even that it changes is told; what the networks read and the clinic enters does change it."""
    now = timezone.now()
    monkeypatch.setattr("diagnosis.web.cases.timezone", SimpleNamespace(now=lambda: now))  # each minute has its own
    path, asker = f"/cases/{desk.case.pk}/live/", signed_in(desk.cast.pathologist)
    theirs, before = asker.get(path)["ETag"], desk.browser.get(path)["ETag"]
    others_go_on(desk)
    assert desk.browser.get(path, headers={"If-None-Match": before}).status_code == 304
    assert asker.get(path)["ETag"] != theirs
    clinical.save(actor=desk.cast.technician, case=fresh(desk.case), expected_revision=0, wbc=80.0)
    entered = desk.browser.get(path)["ETag"]
    assert entered != before
    Analysis.objects.filter(image=desk.ids["image"]).update(state="queued")
    read = desk.browser.get(path)["ETag"]
    assert read not in (before, entered)
    second_opinion.withdraw(actor=desk.cast.pathologist, opinion=desk.opinion)
    assert "SECRET-4" in desk.browser.get(f"/images/{desk.ids['image']}/").content.decode()
    assert desk.browser.get(path)["ETag"] != read


def test_nor_can_they_decide_hold_sign_or_settle_meanwhile(desk: Desk) -> None:
    decided = Decision.objects.count()
    case, image = desk.case.pk, desk.ids["image"]
    choice = {"image": image, "verdict": "override", "label": "blast", "expected": None}
    step = json.dumps({"step": str(uuid4()), "act": "decide", "decisions": [choice]})
    said = desk.browser.post(f"/images/{image}/decide/", {"verdict": "override", "label": "blast"}, follow=True)
    assert "You are asked for a second opinion" in said.content.decode()
    for path, body, status in (
        (f"/cases/{case}/review/", {"sent": step}, 409),
        (f"/cases/{case}/report/draft/", {"revision": "9", "comment": "x"}, 403),
        (f"/cases/{case}/report/sign/", {}, 403),
        (f"/cases/{case}/opinion/", {"diagnosis": "9866/3"}, 403),
        (f"/cases/{case}/opinion/adjudicate/", {"diagnosis": "9866/3", "reason": "x"}, 403),
        (f"/cases/{case}/opinion/adopt/", {"revision": "1"}, 403),
    ):
        assert desk.browser.post(path, body).status_code == status, path
    answer = desk.token.post(
        f"/api/v1/images/{image}/decision/", {"verdict": "override", "label": "blast"}, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "blinded")
    answer = desk.token.post(f"/api/v1/cases/{case}/claim/", {"take_over": True}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "blinded")
    assert Decision.objects.count() == decided
    desk.case.refresh_from_db()
    assert desk.case.held_by == desk.cast.pathologist.user


def test_tokens_of_the_blinded_are_blind_too(desk: Desk) -> None:
    """A second token, made while they are asked, opens no more than the first."""
    _, plain = tokens.issue(
        actor=desk.cast.second_pathologist, name="new", scopes=grantable_scopes(desk.cast.second_pathologist), days=1
    )
    answer = Client(headers={"Authorization": f"Bearer {plain}"}).get(f"/api/v1/cases/{desk.case.pk}/").json()
    assert [image["decision"] for image in answer["images"]] == [None] * 3
    assert (answer["assessment"]["progress"]["decided"], answer["status"]) == (0, "ready")
