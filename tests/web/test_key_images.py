"""Key images chosen where the images are seen: with the draft on the case's page, one at a time on an image's own."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from diagnosis import second_opinion, signout
from diagnosis.models import Case, ReportDraft
from diagnosis.signout.drafting import MOST_KEY_IMAGES
from tests.cast import Cast
from tests.diagnosis.signing import fresh, read_case, ready_case, sign
from tests.smears import make_image
from tests.web.test_pages import signed_in

pytestmark = pytest.mark.django_db
SCRIPT = {"X-Requested-With": "fetch", "Accept": "application/json"}


@pytest.fixture
def case(cast: Cast) -> Case:
    return read_case(cast)


@pytest.fixture
def client(cast: Cast) -> Client:
    return signed_in(cast.pathologist)


def ids(case: Case) -> list[int]:
    return list(case.images.order_by("id").values_list("pk", flat=True))


def press(client: Client, image: int, chosen: str, **headers: str) -> Any:
    return client.post(reverse("image-key", args=[image]), {"chosen": chosen}, headers=headers)


def key_images() -> list[int]:
    chosen: list[int] = ReportDraft.objects.get().key_images
    return chosen


def test_with_the_draft(cast: Cast, case: Case, client: Client) -> None:
    one, two, three = ids(case)
    address = reverse("case-draft", args=[case.pk])
    sent = {"revision": "0", "diagnosis": "9861/3", "comment": "A", "key_images": f"{three},{one}"}
    assert client.post(address, sent, headers=SCRIPT).status_code == 200
    page = client.get(reverse("case", args=[case.pk])).content.decode()
    assert f'name="key_images" value="{three},{one}"' in page
    signout.save_draft(actor=cast.second_pathologist, case=case, expected_revision=1, key_images=[two])
    overtaken = client.post(address, {"revision": "1", "key_images": f"{three}"}, headers=SCRIPT)
    assert (overtaken.status_code, overtaken.json()["current"]["key_images"]) == (409, f"{two}")
    assert key_images() == [two]
    # A form without the field says nothing of them, one with the empty field takes them out.
    assert client.post(address, {"revision": "2", "comment": "B"}, headers=SCRIPT).status_code == 200
    assert key_images() == [two]
    assert client.post(address, {"revision": "3", "key_images": ""}, headers=SCRIPT).status_code == 200
    assert key_images() == []


def test_one_at_a_time(cast: Cast, case: Case, client: Client) -> None:
    one, two, _ = ids(case)
    signout.save_draft(actor=cast.second_pathologist, case=case, expected_revision=0, comment="Theirs.")
    assert 'aria-pressed="false"' in client.get(reverse("image", args=[one])).content.decode()
    assert press(client, one, "1")["Location"] == reverse("image", args=[one])
    part = press(client, two, "1", **{"HX-Request": "true"}).content.decode()
    assert 'aria-pressed="true"' in part
    assert "<html" not in part
    press(client, two, "1")  # once more is the same
    assert (key_images(), ReportDraft.objects.get().comment) == ([one, two], "Theirs.")
    press(client, one, "0")
    assert key_images() == [two]


def test_no_more_than_a_report_shows(cast: Cast, case: Case, client: Client) -> None:
    many = [make_image(case).pk for _ in range(MOST_KEY_IMAGES)]
    for image in many:
        press(client, image, "1")
    refused = press(client, ids(case)[0], "1", **{"HX-Request": "true"})
    assert refused.status_code == 422
    assert f"up to {MOST_KEY_IMAGES} key images" in refused.content.decode()
    assert key_images() == many


def test_not_of_a_signed_case_nor_before_ones_own_opinion(cast: Cast, client: Client) -> None:
    case = ready_case(cast, "blast")
    second_opinion.ask(
        actor=cast.pathologist, case=fresh(case), colleagues=[cast.second_pathologist.user], diagnosis="9861/3"
    )
    blinded = signed_in(cast.second_pathologist)
    before = key_images()
    assert "turn-key" not in blinded.get(reverse("image", args=ids(case))).content.decode()
    assert press(blinded, ids(case)[0], "1").status_code == 403
    assert key_images() == before
    second_opinion.withdraw(actor=cast.pathologist, opinion=case.second_opinions.get())
    sign(cast.pathologist, fresh(case))
    assert "turn-key" not in client.get(reverse("image", args=ids(case))).content.decode()
    assert "is signed" in press(client, ids(case)[0], "1", **{"HX-Request": "true"}).content.decode()
