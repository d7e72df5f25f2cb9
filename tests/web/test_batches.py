"""The pages of batches without a browser."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from diagnosis import queue
from diagnosis.batches import opening
from diagnosis.models import Batch, BatchFile, Case, SmearImage
from tests.cast import Cast
from tests.hostile import jpeg
from tests.smears import make_release
from tests.web.test_pages import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folders(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT, settings.UPLOADS_ROOT = tmp_path / "media", tmp_path / "uploads"


@pytest.fixture
def case(cast: Cast) -> Case:
    return cast.case(accession_number="S26-0123")


@pytest.fixture
def client(cast: Cast) -> Client:
    return signed_in(cast.technician)


@pytest.fixture
def batch(cast: Cast, case: Case) -> Batch:
    return opening.open_batch(actor=cast.technician, name="Morning")


def send(client: Client, batch: Batch, *files: tuple[str, bytes]) -> str:
    """By the plain form; the page that follows."""
    sent = [SimpleUploadedFile(name, data) for name, data in files]
    answer = client.post(f"/batches/{batch.pk}/files/", {"files": sent}, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_batch_is_opened_and_files_of_the_plain_form_have_outcomes(client: Client, case: Case) -> None:
    make_release("field")
    make_release("cell")
    answer = client.post("/batches/", {"name": "Morning"})
    batch = Batch.objects.get()
    assert answer["Location"] == f"/batches/{batch.pk}/"
    page = send(client, batch, ("S26-0123 1.jpg", jpeg(seed=1)), ("nobody.jpg", jpeg(seed=2)), ("a.jpg", b"no picture"))
    for words in ("Accepted", "Needs a case", "Not accepted", "Under way", "No worker is there."):
        assert words in page
    assert SmearImage.objects.get().via == "page"
    assert "Nothing arrived" not in client.post(f"/batches/{batch.pk}/files/", follow=True).content.decode()
    assert "2 need you" in client.get("/batches/").content.decode()
    assert "nobody.jpg" not in client.get(f"/batches/{batch.pk}/?show=accepted").content.decode()


def test_a_batch_of_one_case_needs_that_case(client: Client, case: Case) -> None:
    refused = client.post("/batches/", {"accession": "S99-9"})
    assert refused.status_code == 422
    assert "There is no case S99-9 yet" in refused.content.decode()
    client.post("/batches/", {"accession": "s26-0123"})
    send(client, Batch.objects.get(), ("anything.jpg", jpeg(seed=1)))
    assert case.images.count() == 1


def test_the_live_part_is_answered_once(client: Client, batch: Batch) -> None:
    first = client.get(f"/batches/{batch.pk}/live/")
    assert b'id="batch-progress"' in first.content
    assert client.get(f"/batches/{batch.pk}/live/", headers={"If-None-Match": first["ETag"]}).status_code == 304


def test_outcomes_as_csv_hold_every_file_and_no_formula(client: Client, batch: Batch) -> None:
    send(client, batch, ("S26-0123 1.jpg", jpeg(seed=1)), ("=SUM(A1).jpg", b"no picture"))
    answer = client.get(f"/batches/{batch.pk}/outcomes.csv")
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["file"], row["outcome"]) for row in rows] == [
        ("S26-0123 1.jpg", "Accepted"), ("'=SUM(A1).jpg", "Not accepted"),
    ]  # fmt: skip
    assert rows[0]["image"] == f"/images/{SmearImage.objects.get().pk}/"


def test_a_list_is_taken_or_refused_with_rows_and_columns(client: Client, batch: Batch) -> None:
    url = f"/batches/{batch.pk}/list/"
    bad = client.post(url, {"list": SimpleUploadedFile("l.csv", b"accession,mrn\nS26-1,\n")})
    assert bad.status_code == 422
    assert "There is no case S26-1 yet; to open it" in bad.content.decode()
    good = client.post(url, {"list": SimpleUploadedFile("l.csv", b"accession,mrn\nS26-1,5-5\n")}, follow=True)
    assert "The list is taken: 1 row, 1 new case" in good.content.decode()
    assert "Choose a CSV" in client.post(url, follow=True).content.decode()


def test_the_tray_shows_pictures_and_assigns_them(cast: Cast, client: Client, batch: Batch, case: Case) -> None:
    send(client, batch, ("IMG_1.jpg", jpeg(seed=1)), ("IMG_2.jpg", jpeg(seed=2)))
    first, second = BatchFile.objects.order_by("id")
    page = client.get("/tray/").content.decode()
    assert "IMG_1.jpg" in page
    thumb = client.get(f"/tray/{first.pk}/thumb")
    assert thumb.content.startswith(b"\xff\xd8\xff")
    assert signed_in(cast.stranger).get(f"/tray/{first.pk}/thumb").status_code == 404
    wrong = client.post("/tray/", {"file": [first.pk], "accession": "S99-9"})
    assert wrong.status_code == 422
    assert f'value="{first.pk}" checked' in wrong.content.decode()  # nothing ticked or typed is lost
    assert "S99-9" in wrong.content.decode()
    done = client.post("/tray/", {"file": [first.pk], "accession": "S26-0123"}, follow=True)
    assert "S26-0123: 1 accepted." in done.content.decode()
    assert client.get(f"/tray/{first.pk}/thumb").status_code == 404
    gone = client.post("/tray/", {"file": [second.pk], "discard": "1"}, follow=True)
    assert "1 picture discarded" in gone.content.decode()
    assert "The tray is empty" in gone.content.decode()


def test_rules_are_tried_and_saved(cast: Cast, client: Client, case: Case) -> None:
    typed = {"revision": "0", "masks": "S##-####", "names": "s26_0123 f1.jpg\nletter.jpg"}
    tried = client.post("/batches/rules/", typed | {"try": "1"}).content.decode()
    assert "✓ S26-0123" in tried
    assert "No accession number was found" in tried
    assert opening.rules_of(cast.laboratory).revision == 0
    client.post("/batches/rules/", typed)
    assert opening.rules_of(cast.laboratory).masks == "S##-####"
    late = client.post("/batches/rules/", typed | {"masks": "Q###"})
    assert late.status_code == 409
    assert "Q###" in late.content.decode()
    assert "S##-####" in late.content.decode()
    again = client.post("/batches/rules/", {"revision": "1", "masks": "S"})
    assert again.status_code == 422
    assert "no # for a digit" in again.content.decode()


def test_pages_ask_the_same_however_many_files_there_are(
    client: Client, batch: Batch, django_assert_max_num_queries: Any
) -> None:
    send(client, batch, *((f"S26-0123 {n}.jpg", jpeg(seed=n)) for n in range(8)))
    with django_assert_max_num_queries(24):
        client.get(f"/batches/{batch.pk}/")
    with django_assert_max_num_queries(12):
        client.get("/batches/")
    with django_assert_max_num_queries(12):
        client.get("/tray/")


def test_what_could_not_be_read_is_named_with_its_reason(client: Client, batch: Batch) -> None:
    make_release("field")
    make_release("cell")
    send(client, batch, *((f"S26-0123 {n}.jpg", jpeg(seed=n)) for n in range(3)))
    assert "Not readable <span" not in client.get(f"/batches/{batch.pk}/").content.decode()
    claimed = queue.claim(worker="w", limit=1)
    queue.fail(batch_token=claimed.token, analysis_ids=[claimed.analyses[0].pk], error="Torn apart.", final=True)
    name = claimed.analyses[0].image.original_name
    page = client.get(f"/batches/{batch.pk}/?show=failed").content.decode()
    assert "Could not be read: Torn apart." in page
    assert [f"S26-0123 {n}.jpg" for n in range(3) if f">S26-0123 {n}.jpg</a>" in page] == [name]
    assert 'id="tab-failed" href="?show=failed" aria-current="true">Not readable <span class="num">1</span>' in page
    assert "Could not be read" in client.get(f"/batches/{batch.pk}/live/").content.decode()
    client.post(f"/batches/{batch.pk}/retry/")
    assert "Could not be read" not in client.get(f"/batches/{batch.pk}/").content.decode()
