"""The gallery and its door without a browser: groups and their order, steps as the page sends them, few queries."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from accounts.permissions import Actor
from diagnosis import assessment, gallery, review, worklist
from diagnosis.models import Case, Decision, ModelRelease, SmearImage
from diagnosis.web.reviewing import gallery_part
from mlcore.bundle import MALIGNANT, TASKS
from tests.cast import Cast
from tests.diagnosis.opinions import make_releases, opinion, read_image
from tests.smears import make_image

pytestmark = pytest.mark.django_db


def signed_in(actor: Actor) -> Client:
    client = Client()
    client.force_login(actor.user)
    return client


@pytest.fixture
def cells(db: None) -> list[ModelRelease]:
    return make_releases()


@pytest.fixture
def case(cast: Cast, cells: list[ModelRelease]) -> Case:
    """Cells read as monocyte, blast (surely), blast (hardly), blast or monocyte, none yet, and one that failed."""
    case = cast.case()
    for label, sure in (("monocyte", 0.9), ("blast", 0.95), ("blast", 0.65)):
        read_image(case, cells, label, sure=sure)
    split = make_image(case)
    opinion(split, cells[0], "monocyte", sure=0.8)
    opinion(split, cells[1], "blast", sure=0.9)
    make_image(case)
    failed = make_image(case)
    for release in cells:
        opinion(failed, release, state="failed", error="The file cannot be read.")
    assessment.refresh(case.pk)
    case.refresh_from_db()
    return case


def send(client: Client, case: Case, **sent: Any) -> Any:
    body = {"sent": json.dumps({"step": str(uuid4()), "act": "decide"} | sent)}
    return client.post(reverse("case-review", args=[case.pk]), body, HTTP_ACCEPT="application/json")


def ids(case: Case) -> list[int]:
    return list(case.images.order_by("id").values_list("pk", flat=True))


class TestGroups:
    def shown(self, case: Case, **how: Any) -> dict[str, list[int]]:
        case.refresh_from_db()
        tiles = gallery.tiles(worklist.images(case), assessment=case.assessment)
        return {group.label: [tile.number for tile in group.tiles] for group in gallery.groups(tiles, **how)}

    def test_by_class_malignant_first_and_the_least_sure_first(self, case: Case) -> None:
        shown = self.shown(case)
        assert {label: numbers for label, numbers in shown.items() if numbers} == {
            "failed": [6], "blast": [4, 3, 2], "monocyte": [1], "waiting": [5],
        }  # fmt: skip
        assert list(shown)[:3] == ["failed", "blast", "promyelocyte"]
        assert list(shown)[-1] == "waiting"
        assert self.shown(case, sort="arrival")["blast"] == [2, 3, 4]

    def test_what_a_person_decided_goes_before(self, cast: Cast, case: Case) -> None:
        image = case.images.order_by("id").first()
        assert image is not None
        review.decide(actor=cast.pathologist, image=image, verdict="override", label="promyelocyte")
        shown = self.shown(case)
        assert (shown["promyelocyte"], shown["monocyte"]) == ([1], [])

    def test_every_class_has_one_key_and_no_key_two_meanings(self) -> None:
        for kind, keys in gallery.KEYS.items():
            assert set(keys) == set(TASKS[kind])
            malignant = [label in MALIGNANT[kind] for label in keys]
            assert malignant == sorted(malignant, reverse=True)
        keys = [key for kind in gallery.KEYS.values() for key in kind.values()]
        assert len(set(keys)) == len(keys)
        assert not set(keys) & set("CKNOWXYZ?[]+-0")


class TestPage:
    def test_who_may_decide_has_the_bar(self, cast: Cast, case: Case) -> None:
        url = reverse("case", args=[case.pk])
        assert 'id="review-bar"' in signed_in(cast.pathologist).get(url).content.decode()
        for actor in (cast.technician, cast.administrator):
            page = signed_in(actor).get(url).content.decode()
            assert 'id="review-bar"' not in page
            assert page.count('role="option"') == 6

    @pytest.mark.parametrize(("state", "is_open"), [({}, True), ({"signed_at": timezone.now()}, False)])
    def test_a_signed_case_is_shown_and_closed(
        self, cast: Cast, case: Case, rf: RequestFactory, state: dict[str, Any], is_open: bool
    ) -> None:
        request: Any = rf.get("/")
        request.actor = cast.pathologist
        for name, value in state.items():
            setattr(case, name, value)
        assert gallery_part(request, case, worklist.images(case))["open"] is is_open

    def test_a_name_in_a_tile_stays_words(self, cast: Cast, case: Case) -> None:
        SmearImage.objects.filter(case=case).update(original_name='"><b onload=x>.png')
        page = signed_in(cast.pathologist).get(reverse("case", args=[case.pk])).content.decode()
        assert "<b onload" not in page

    def test_the_number_of_queries_does_not_grow(
        self, cast: Cast, case: Case, cells: list[ModelRelease], django_assert_num_queries: Any,
        django_assert_max_num_queries: Any,
    ) -> None:  # fmt: skip
        client, url = signed_in(cast.pathologist), reverse("case-live", args=[case.pk])
        with django_assert_max_num_queries(40) as few:
            client.get(url)
        for _ in range(30):
            image = read_image(case, cells, "blast")
            review.decide(actor=cast.pathologist, image=image, verdict="agree")
        with django_assert_num_queries(len(few)):
            page = client.get(url).content.decode()
        assert len(re.findall(r'class="tile [a-z ]*decided', page)) == 30

    def test_a_look_that_finds_nothing_new_is_cheap(
        self, cast: Cast, case: Case, django_assert_max_num_queries: Any
    ) -> None:
        client, url = signed_in(cast.pathologist), reverse("case-live", args=[case.pk])
        etag = client.get(url)["ETag"]
        with django_assert_max_num_queries(12):
            assert client.get(url, HTTP_IF_NONE_MATCH=etag).status_code == 304
        review.decide(actor=cast.second_pathologist, image=case.images.all()[0], verdict="override", label="lymphocyte")
        assert client.get(url, HTTP_IF_NONE_MATCH=etag).status_code == 200


class TestSteps:
    def test_a_step_is_answered_image_by_image(self, cast: Cast, case: Case) -> None:
        client, step = signed_in(cast.pathologist), str(uuid4())
        one, two = ids(case)[:2]
        theirs = review.decide(
            actor=cast.second_pathologist, image=SmearImage.objects.get(pk=one), verdict="override", label="lymphocyte"
        )
        sent = {
            "step": step,
            "decisions": [
                {"image": one, "verdict": "override", "label": "blast", "expected": None},
                {"image": two, "verdict": "agree", "label": "blast", "expected": None},
            ],
        }
        answer = send(client, case, **sent)
        assert answer.status_code == 200
        told = answer.json()
        assert (told["saved"], told["undo"], told["redo"]) == ([two], [step], [])
        assert [(left["image"], left["code"]) for left in told["refused"]] == [(one, "decided_meanwhile")]
        by_image = {each["image"]: each for each in told["images"]}
        assert by_image[one] == {
            "image": one, "decision": theirs.pk, "label": "lymphocyte", "by": "Petra Pathologist", "mine": False,
        }  # fmt: skip
        assert (by_image[two]["label"], by_image[two]["mine"]) == ("blast", True)
        assert send(client, case, **sent).json()["saved"] == [two]
        # What rests on a step that has not been answered yet.
        rest = {"decisions": [{"image": two, "verdict": "withdraw", "label": None, "expected": step}]}
        assert send(client, case, **rest).json()["saved"] == [two]
        undone = send(client, case, act="undo").json()
        assert {each["image"]: each["label"] for each in undone["images"]} == {two: "blast"}
        assert len(undone["redo"]) == 1

    @pytest.mark.parametrize(
        "sent",
        [
            {"step": "x"},
            {"act": "sign"},
            {"act": "undo", "undoes": "x"},
            {"decisions": [{}]},
            {"decisions": [3]},
            {"decisions": 3},
            {"decisions": [{"image": "1", "verdict": "agree", "expected": None}]},
            {"decisions": [{"image": 10**30, "verdict": "agree", "expected": None}]},
            {"decisions": [{"image": 1, "verdict": "agree", "expected": True}]},
            {"decisions": [{"image": 1, "verdict": ["agree"], "expected": None}]},
            {"decisions": [{"image": 1, "verdict": "agree", "label": 3, "expected": None}]},
        ],
    )
    def test_what_cannot_be_read_is_told_and_stores_nothing(self, cast: Cast, case: Case, sent: dict[str, Any]) -> None:
        answer = send(signed_in(cast.pathologist), case, **sent)
        assert (answer.status_code, answer.json()["code"]) == (422, "unreadable")
        assert not Decision.objects.exists()

    @pytest.mark.parametrize("body", ["", "{", "[]", "null", "7", '"x"', "[" * 100_000])
    def test_no_json_is_told_too(self, cast: Cast, case: Case, body: str) -> None:
        answer = signed_in(cast.pathologist).post(reverse("case-review", args=[case.pk]), {"sent": body})
        assert answer.status_code == 422

    def test_a_signed_case_says_what_to_do(self, cast: Cast, case: Case) -> None:
        Case.objects.filter(pk=case.pk).update(signed_at=timezone.now())
        answer = send(signed_in(cast.pathologist), case, decisions=[])
        assert (answer.status_code, answer.json()["code"]) == (409, "signed")
        assert "Reopen it for an amendment first" in answer.json()["detail"]

    def test_signed_out_is_told_to_the_script(self, case: Case) -> None:
        assert send(Client(), case).status_code == 401


class TestImagePage:
    def test_withdraw_undo_and_redo(self, cast: Cast, case: Case) -> None:
        client, pk = signed_in(cast.pathologist), ids(case)[0]
        url, page = reverse("image-decide", args=[pk]), reverse("image", args=[pk])

        def act(**sent: Any) -> str:
            answer = client.post(url, sent, HTTP_HX_REQUEST="true")
            assert answer.status_code == 200, answer.content.decode()
            return str(answer.content.decode())

        def step(html: str) -> str:
            found = re.search(r'name="undoes" value="([0-9a-f-]{36})"', html)
            assert found
            return found[1]

        assert 'value="withdraw"' not in client.get(page).content.decode()
        decided = act(verdict="override", label="lymphocyte", expected_decision="")
        assert 'value="withdraw"' in decided
        current = Decision.objects.get()
        withdrawn = act(verdict="withdraw", expected_decision=current.pk)
        assert "○ Undecided" in client.get(page).content.decode()
        assert "decided-now" not in withdrawn
        again = act(verdict="undo", undoes=step(withdrawn))
        assert "Lymphocyte" in again.split("decided-now")[1]
        redone = act(verdict="redo", undoes=Decision.objects.first().step)  # type: ignore[union-attr]
        assert "decided-now" not in redone
        assert f'href="{reverse("image", args=[ids(case)[1]])}"' in redone  # the next that nobody has decided on

    def test_a_step_elsewhere_is_not_undone_from_here(self, cast: Cast, case: Case) -> None:
        client, (one, two) = signed_in(cast.pathologist), ids(case)[:2]
        review.decide(actor=cast.pathologist, image=SmearImage.objects.get(pk=one), verdict="agree")
        assert 'value="undo"' in client.get(reverse("image", args=[one])).content.decode()
        assert 'value="undo"' not in client.get(reverse("image", args=[two])).content.decode()

    def test_a_signed_case(self, cast: Cast, case: Case) -> None:
        Case.objects.filter(pk=case.pk).update(signed_at=timezone.now())
        client, pk = signed_in(cast.pathologist), ids(case)[0]
        page = client.get(reverse("image", args=[pk])).content.decode()
        assert "The case is signed" in page
        assert 'id="decide"' not in page
        late = client.post(reverse("image-decide", args=[pk]), {"verdict": "agree"}, HTTP_HX_REQUEST="true")
        assert late.status_code == 422
        assert "Reopen it for an amendment first" in late.content.decode()
