"""Comparing two networks on one image, and two images of one patient."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from diagnosis.models import Case, SmearImage
from tests.cast import Cast
from tests.smears import make_image
from tests.web.test_pages import read, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(cast: Cast) -> Case:
    return cast.case()


@pytest.fixture
def client(cast: Cast) -> Client:
    return signed_in(cast.pathologist)


def networks(client: Client, image: SmearImage) -> Any:
    return client.get(reverse("compare-networks", args=[image.pk]))


def test_both_networks_class_by_class(cast: Cast, case: Case, client: Client) -> None:
    image = make_image(case)
    read(image, "blast", network="cnn", share=0.9)
    novel = read(image, "monocyte", network="mobilenet", share=0.6)
    type(novel).objects.filter(pk=novel.pk).update(novel=True)
    answer = networks(client, image)
    text = answer.content.decode()
    assert "The networks disagree: Blast or Monocyte" in text
    assert "unlike its training pictures" in text
    assert "like its training pictures" in text
    first, second = answer.context["classes"][:2]
    assert (first["label"], first["points"], first["difference"]) == ("blast", -86, "−86")
    assert (second["label"], second["points"], second["difference"]) == ("monocyte", 59, "+59")
    heats = json.loads(answer.context["sides"][1]["heats"])
    assert heats["mobilenet"]["top"] == "monocyte"


def test_before_both_have_read(cast: Cast, case: Case, client: Client) -> None:
    image = make_image(case)
    assert "No network has been asked yet" in networks(client, image).content.decode()
    read(image, "blast", network="cnn")
    waiting = read(image, "blast", network="mobilenet")
    type(waiting).objects.filter(pk=waiting.pk).update(state="queued", probabilities=None)
    text = networks(client, image).content.decode()
    assert "Still reading" in text
    assert "Class by class" not in text


def test_two_images_and_the_strip(cast: Cast, case: Case, client: Client) -> None:
    first, second, third = make_image(case), make_image(case), make_image(case)
    url = reverse("compare-images", args=[first.pk, second.pk])
    text = client.get(url).content.decode()
    assert "Same scale: needs the µm per pixel of both." in text
    assert reverse("compare-images", args=[first.pk, third.pk]) in text
    SmearImage.objects.update(um_per_pixel=0.1)
    assert 'id="same-scale"' in client.get(url).content.decode()


def test_an_earlier_case_of_the_same_patient(cast: Cast, case: Case, client: Client) -> None:
    earlier = cast.case(patient=case.patient)
    now, then = make_image(case), make_image(earlier)
    text = client.get(reverse("compare-images", args=[now.pk, then.pk])).content.decode()
    assert f"#1 beside {earlier.accession_number} #1" in text
    assert reverse("compare-images", args=[now.pk, now.pk]) in text


def test_two_patients_are_not_compared(cast: Cast, case: Case, client: Client) -> None:
    mine, other = make_image(case), make_image(cast.case())
    assert client.get(reverse("compare-images", args=[mine.pk, other.pk])).status_code == 404
    stranger = signed_in(cast.stranger)
    assert stranger.get(reverse("compare-images", args=[mine.pk, mine.pk])).status_code == 404
    assert networks(stranger, mine).status_code == 404
