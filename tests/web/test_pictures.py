"""The pictures of the pages: stored file, thumbnail, heat map."""

from __future__ import annotations

import io

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from diagnosis import intake
from diagnosis.models import Analysis, SmearImage
from diagnosis.web.pictures import HEAT_SIDE, THUMB_SIDE, VIRIDIS, render_heat
from mlcore.bundle import TASKS
from tests.cast import Cast
from tests.smears import make_release

pytestmark = pytest.mark.django_db


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


@pytest.fixture
def client(cast: Cast) -> Client:
    client = Client()
    client.force_login(cast.technician.user)
    return client


def arrived(cast: Cast, data: bytes) -> SmearImage:
    image = intake.receive_image(
        actor=cast.technician, case=cast.case(), data=data, name="Doe, Jane.png", via="page", kind="cell"
    ).image
    assert image is not None
    return image


def test_file_is_served_as_stored_and_named_without_the_patient(cast: Cast, client: Client) -> None:
    image = arrived(cast, encoded(np.random.default_rng(1).integers(0, 255, (80, 120, 3), np.uint8)))
    answer = client.get(reverse("image-file", args=[image.pk]))
    with image.file.open("rb") as stored:
        assert answer.getvalue() == stored.read()
    assert answer["Content-Type"] == "image/png"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "private" in answer["Cache-Control"]
    assert "Jane" not in answer["Content-Disposition"]
    again = client.get(reverse("image-file", args=[image.pk]), HTTP_IF_NONE_MATCH=answer["ETag"])
    assert again.status_code == 304


def test_thumbnail_is_small_upright_and_the_same_from_the_cache(cast: Cast, client: Client) -> None:
    # Red left half, blue right half, stored turned: EXIF 6 shows it a quarter to the right, red on top.
    pixels = np.zeros((900, 1200, 3), np.uint8)
    pixels[:, :600, 0], pixels[:, 600:, 2] = 200, 200
    exif = Image.Exif()
    exif[0x0112] = 6
    image = arrived(cast, encoded(pixels, "JPEG", exif=exif, quality=95))
    assert (image.width, image.height) == (900, 1200)
    first = client.get(reverse("image-thumb", args=[image.pk]))
    thumb = np.asarray(Image.open(io.BytesIO(first.content)))
    assert thumb.shape == (THUMB_SIDE * 4 // 3, THUMB_SIDE, 3)
    assert thumb[20, THUMB_SIDE // 2].argmax() == 0
    assert thumb[-20, THUMB_SIDE // 2].argmax() == 2
    assert client.get(reverse("image-thumb", args=[image.pk])).content == first.content


def heat_of(cast: Cast, client: Client, **query: str) -> tuple[int, bytes]:
    image = arrived(cast, encoded(np.random.default_rng(2).integers(0, 255, (64, 64, 3), np.uint8)))
    release = make_release("cell", "cnn")
    release.card = {"classes": list(TASKS["cell"])}
    release.save()
    maps = np.zeros((len(TASKS["cell"]), 4, 4), np.uint8)
    maps[TASKS["cell"].index("blast"), 0, 0] = 255
    analysis, _ = Analysis.objects.update_or_create(
        image=image,
        release=release,
        defaults={
            "state": "done",
            "finished_at": timezone.now(),
            "probabilities": {label: float(label == "blast") for label in TASKS["cell"]},
            "activation": maps.tobytes(),
            "activation_shape": list(maps.shape),
        },
    )
    answer = client.get(reverse("image-heat", args=[image.pk, analysis.pk]), query)
    return answer.status_code, answer.content


def test_heat_map_shows_the_class_that_is_asked_for(cast: Cast, client: Client) -> None:
    status, content = heat_of(cast, client)  # the leading class: blast
    assert status == 200
    picture = np.asarray(Image.open(io.BytesIO(content)))
    assert picture.shape == (HEAT_SIDE, HEAT_SIDE, 4)
    assert tuple(picture[5, 5]) == (*VIRIDIS[-1], 255)  # full strength: the brightest colour, opaque
    assert picture[-5, -5, 3] == 0  # nothing: not seen at all


def test_heat_map_of_a_class_without_signs_is_empty(cast: Cast, client: Client) -> None:
    status, content = heat_of(cast, client, **{"class": "neutrophil"})
    assert status == 200
    assert not np.asarray(Image.open(io.BytesIO(content)))[..., 3].any()


def test_heat_map_of_an_unknown_class_is_not_found(cast: Cast, client: Client) -> None:
    assert heat_of(cast, client, **{"class": "../../etc"})[0] == 404


def test_heat_colours_rise_in_lightness_and_opacity() -> None:
    strip = np.tile(np.arange(256, dtype=np.uint8), (2, 1))
    row = np.asarray(Image.open(io.BytesIO(render_heat(strip))))[HEAT_SIDE // 2].astype(float)
    lightness = row[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) >= -0.8).all()
    assert (np.diff(row[:, 3]) >= 0).all()
