"""The pages without a browser: what they answer, to whom, and with how many questions to the database."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.permissions import Actor
from diagnosis import assessment, audit, clinic
from diagnosis.models import Analysis, AuditEvent, Case, Decision, ModelRelease, SmearImage
from mlcore.bundle import TASKS
from tests.cast import Cast
from tests.hostile import bad
from tests.smears import make_image, make_release, picture

pytestmark = pytest.mark.django_db


def signed_in(actor: Actor) -> Client:
    client = Client()
    client.force_login(actor.user)
    return client


def read(image: SmearImage, label: str, *, network: str = "cnn", share: float = 0.9) -> Analysis:
    """A finished reading of `image`, most of it on `label`."""
    release = ModelRelease.objects.filter(task=image.kind, network=network).first()
    release = release or make_release(image.kind, network)
    classes = TASKS[image.kind]
    rest = (1 - share) / (len(classes) - 1)
    return Analysis.objects.create(
        image=image,
        release=release,
        state=Analysis.State.DONE,
        finished_at=image.uploaded_at,
        probabilities={name: share if name == label else rest for name in classes},
        malignant=0.5,
        novelty=0.2,
        novel=False,
    )


@pytest.fixture
def case(cast: Cast) -> Case:
    """A case with two images, both read as blasts by both networks."""
    case = cast.case()
    for _ in range(2):
        image = make_image(case)
        for network in ("cnn", "mobilenet"):
            read(image, "blast", network=network)
    assessment.refresh(case.pk)
    case.refresh_from_db()
    return case


def test_list_asks_the_same_however_long_it_is(cast: Cast, case: Case, django_assert_max_num_queries: Any) -> None:
    client = signed_in(cast.pathologist)
    for _ in range(24):
        cast.case()
    with django_assert_max_num_queries(10):
        answer = client.get("/")
    assert answer.content.count(b'<tr id="case-') == 25


def test_case_page_asks_the_same_however_many_images(
    cast: Cast, case: Case, django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    client = signed_in(cast.pathologist)
    client.get(reverse("case", args=[case.pk]))  # notes the read, once in five minutes
    with django_assert_max_num_queries(24) as few:
        client.get(reverse("case", args=[case.pk]))
    for _ in range(10):
        read(make_image(case), "lymphocyte")
    assessment.refresh(case.pk)
    with django_assert_num_queries(len(few)):
        answer = client.get(reverse("case", args=[case.pk]))
    assert answer.content.count(b"/thumb") == 12


def test_list_filters_and_forgives(cast: Cast, case: Case) -> None:
    client = signed_in(cast.pathologist)
    urgent = cast.case(priority="urgent")
    found = client.get("/", {"priority": "urgent"}).content.decode()
    assert urgent.accession_number in found
    assert case.accession_number not in found
    # A link that is out of date or mistyped shows a list, never an error.
    for query in ({"page": "99"}, {"page": "x"}, {"status": "gone"}, {"q": "\x00'\"%_"}, {"rows": "1,x,,99999999999"}):
        assert client.get("/", query).status_code == 200
    assert "No case fits" in client.get("/", {"q": "nobody"}).content.decode()


def test_list_alone_for_htmx(cast: Cast, case: Case) -> None:
    answer = signed_in(cast.pathologist).get("/", HTTP_HX_REQUEST="true")
    assert b"<html" not in answer.content
    assert b'<tr id="case-' in answer.content
    assert "HX-Request" in answer["Vary"]


def test_live_answers_304_until_something_changes(cast: Cast, case: Case) -> None:
    client, url = signed_in(cast.pathologist), reverse("case-live", args=[case.pk])
    etag = client.get(url)["ETag"]
    assert client.get(url, HTTP_IF_NONE_MATCH=etag).status_code == 304
    make_image(case)
    fresh = client.get(url, HTTP_IF_NONE_MATCH=etag)
    assert fresh.status_code == 200
    assert b"<html" not in fresh.content


def test_looking_is_noted_once_and_polling_is_not(cast: Cast, case: Case) -> None:
    client = signed_in(cast.pathologist)
    image = case.images.first()
    assert image is not None
    for path in (reverse("case", args=[case.pk]), reverse("image", args=[image.pk])) * 2:
        client.get(path)
    client.get(reverse("case-live", args=[case.pk]))
    client.get(reverse("image", args=[image.pk]) + "?live=1")
    assert AuditEvent.objects.filter(case=case, action="case.read").count() == 1


def test_stranger_finds_nothing(cast: Cast, case: Case) -> None:
    client = signed_in(cast.stranger)
    image = case.images.first()
    assert image is not None
    analysis = image.analyses.first()
    assert analysis is not None
    for name, arguments in (
        ("case", [case.pk]), ("case-live", [case.pk]), ("case-history", [case.pk]), ("image", [image.pk]),
        ("image-file", [image.pk]), ("image-thumb", [image.pk]), ("image-heat", [image.pk, analysis.pk]),
    ):  # fmt: skip
        assert client.get(reverse(name, args=arguments)).status_code == 404, name
    for name in ("image-decide", "image-retry", "image-kind"):
        assert client.post(reverse(name, args=[image.pk]), {"kind": "field"}).status_code == 404, name
    assert client.post(reverse("case-upload", args=[case.pk])).status_code == 404
    assert case.accession_number not in client.get("/").content.decode()
    assert not Decision.objects.exists()


def test_broken_chain_is_told(cast: Cast, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    client, url = signed_in(cast.administrator), reverse("case-history", args=[case.pk])
    client.get(reverse("case", args=[case.pk]))
    assert "The chain is intact" in client.get(url).content.decode()
    monkeypatch.setattr(audit, "event_hash", lambda event: "altered")
    assert "The chain is broken" in client.get(url).content.decode()


def test_new_case_fills_a_known_patient_and_keeps_what_was_typed(cast: Cast) -> None:
    client = signed_in(cast.technician)
    clinic.create_case(
        actor=cast.technician, accession_number="A-1", patient=clinic.PatientData(mrn="77-A", name="Rendered Person 1")
    )
    filled = client.get(reverse("case-patient"), {"mrn": "77-a", "clinical_notes": "typed before"}).content.decode()
    assert "Known patient" in filled
    assert 'value="Rendered Person 1"' in filled
    assert "typed before" in filled
    assert client.get(reverse("case-patient"), {"mrn": "unknown"}).status_code == 204
    # Another number typed over a known one: the other patient's data leave the form.
    cleared = client.get(reverse("case-patient"), {"mrn": "new", "name": "Rendered Person 1", "was_known": "1"})
    assert "Rendered Person 1" not in cleared.content.decode()

    sent = {
        "mrn": "77-A", "name": "Someone Else", "accession_number": "A-2", "specimen": "peripheral_blood",
        "stain": "giemsa", "priority": "routine", "sex": "unknown",
    }  # fmt: skip
    answer = client.post(reverse("case-new"), sent)
    assert answer.status_code == 422
    assert 'id="id_name_error"' in answer.content.decode()
    assert not Case.objects.filter(accession_number="A-2").exists()
    answer = client.post(reverse("case-new"), sent | {"name": ""})
    assert answer["Location"] == reverse("case", args=[Case.objects.get(accession_number="A-2").pk])


def test_upload_answers_for_each_file(cast: Cast) -> None:
    case = cast.case()
    client, url = signed_in(cast.technician), reverse("case-upload", args=[case.pk])

    unfit = bad()[0]
    files = [
        SimpleUploadedFile("one.png", picture(1)), SimpleUploadedFile("one again.png", picture(1)),
        SimpleUploadedFile("unfit.jpg", unfit.data or b"\x00"), SimpleUploadedFile("two.png", picture(2)),
    ]  # fmt: skip
    answer = client.post(url, {"files": files, "kind": "cell"}, HTTP_ACCEPT="application/json")
    outcomes = answer.json()["outcomes"]
    assert [outcome["status"] for outcome in outcomes] == ["accepted", "duplicate", "rejected", "accepted"]
    assert outcomes[2]["reason"]
    assert outcomes[1]["url"] == outcomes[0]["url"]
    assert case.images.count() == 2
    nothing = client.post(url, {}, HTTP_ACCEPT="application/json")
    assert nothing.status_code == 422
    assert "Choose one or more images" in nothing.json()["detail"]
    scale = client.post(url, {"files": [SimpleUploadedFile("x.png", picture(3))], "um_per_pixel": "-1"})
    assert scale.status_code == 422
    assert "µm per pixel has to be a number" in scale.content.decode()


def test_decide_without_script_and_with(cast: Cast, case: Case) -> None:
    client = signed_in(cast.pathologist)
    first, second = case.images.order_by("id")
    url = reverse("image-decide", args=[first.pk])
    plain = client.post(url, {"verdict": "agree", "seen": "blast", "label": "", "expected_decision": ""})
    assert plain["Location"] == reverse("image", args=[first.pk])
    assert first.decisions.get().label == "blast"
    # The page of somebody who had not seen that decision.
    late = client.post(
        url, {"verdict": "override", "label": "monocyte", "expected_decision": ""}, HTTP_HX_REQUEST="true"
    )
    assert late.status_code == 409
    assert "Somebody else decided meanwhile" in late.content.decode()
    unfit = client.post(
        reverse("image-decide", args=[second.pk]), {"verdict": "override", "label": "benign"}, HTTP_HX_REQUEST="true"
    )
    assert unfit.status_code == 422
    assert "▲ Not saved" in unfit.content.decode()
    assert Decision.objects.count() == 1


def test_what_reads_and_what_decides_never_look_alike(cast: Cast, case: Case) -> None:
    client = signed_in(cast.pathologist)
    first = case.images.order_by("id").first()
    assert first is not None
    client.post(reverse("image-decide", args=[first.pk]), {"verdict": "override", "label": "monocyte"})
    page = client.get(reverse("case", args=[case.pk])).content.decode()
    tile = page.split(f'id="tile-{first.pk}"')[1].split("</li>")[0]
    person, network = tile.split('class="by-network"')
    assert "Monocyte" in person.split('class="by-person"')[1]
    assert "Blast" in network
    assert "Monocyte" not in network


def test_every_page_says_research_use_only_and_allows_nothing_inline(cast: Cast, case: Case) -> None:
    client = signed_in(cast.pathologist)
    image = case.images.first()
    assert image is not None
    for path in (
        "/", reverse("case-new"), reverse("case", args=[case.pk]), reverse("case-history", args=[case.pk]),
        reverse("image", args=[image.pk]), "/cases/999999/",
    ):  # fmt: skip
        answer = client.get(path)
        page = answer.content.decode()
        assert "Research use only – not for diagnostic use" in page, path
        assert "unsafe-inline" not in answer["Content-Security-Policy"]
        assert ' style="' not in page, path
        assert "<style" not in page, path
        assert " onclick=" not in page, path
        assert all("src=" in tag.split(">")[0] for tag in page.split("<script")[1:]), path
    assert "There is nothing here" in page
