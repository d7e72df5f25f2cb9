"""Pictures for the pages: the stored file, a thumbnail, and the heat map of one analysis.

All three ask the same permission as the page that shows them, and only the person's own browser may keep them.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from django.core.cache import cache
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe
from PIL import Image

from accounts.doors import PageRequest, page
from accounts.permissions import Action, visible
from diagnosis.models import Analysis, SmearImage
from diagnosis.models.image import MEDIA_TYPES
from mlcore import images

EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
THUMB_SIDE = 360  # px, short side: sharp in a 180 px tile on a dense screen
HEAT_SIDE = 384  # px

#: Viridis at nine even steps (S. van der Walt and N. Smith, CC0): lightness rises evenly, so that more looks more
#: also in grey and to colour-blind eyes. `static/img/heat-scale.svg` shows the same steps.
VIRIDIS = (
    (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129), (92, 200, 99),
    (170, 220, 50), (253, 231, 37),
)  # fmt: skip


def _of(request: PageRequest, image_id: int) -> SmearImage:
    return get_object_or_404(visible(SmearImage.objects.all(), request.actor, "case__laboratory"), pk=image_id)


def _unchanged(request: HttpRequest, etag: str) -> HttpResponseBase | None:
    answer = get_conditional_response(request, etag=f'"{etag}"')
    return answer if isinstance(answer, HttpResponseNotModified) else None


def _private(response: HttpResponseBase, etag: str) -> HttpResponseBase:
    response["Cache-Control"] = "private, no-cache"  # kept, but asked for each time: whoever left sees nothing
    response["ETag"] = f'"{etag}"'
    return response


@require_safe
@page(Action.READ_CASES)
def image_file(request: PageRequest, image_id: int) -> HttpResponseBase:
    """The stored file as it is, under a name that says nothing of the patient."""
    image = _of(request, image_id)
    if unchanged := _unchanged(request, image.stored_sha256):
        return unchanged
    name = f"leukolens-image-{image.pk}.{EXTENSIONS[image.format]}"
    response = FileResponse(image.file.open("rb"), content_type=MEDIA_TYPES[image.format], filename=name)
    return _private(response, image.stored_sha256)


@require_safe
@page(Action.READ_CASES)
def image_thumb(request: PageRequest, image_id: int) -> HttpResponseBase:
    """A small JPEG, upright, made once and kept in the cache."""
    image = _of(request, image_id)
    etag = f"thumb-{THUMB_SIDE}-{image.stored_sha256}"
    if unchanged := _unchanged(request, etag):
        return unchanged
    data = cache.get(etag)
    if data is None:
        with image.file.open("rb") as stored:
            data = _thumbnail(stored.read())
        cache.set(etag, data, timeout=7 * 24 * 3600)
    return _private(HttpResponse(data, content_type="image/jpeg"), etag)


def _thumbnail(data: bytes) -> bytes:
    picture = Image.fromarray(images.decode(data, at_least=THUMB_SIDE))
    scale = THUMB_SIDE / min(picture.size)
    if scale < 1:
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=82)
    return out.getvalue()


@require_safe
@page(Action.READ_CASES)
def image_heat(request: PageRequest, image_id: int, analysis_id: int) -> HttpResponseBase:
    """Where one network found signs of `?class=`: a square PNG that lies over the square that the network read."""
    readings = visible(Analysis.objects.filter(image=image_id), request.actor, "image__case__laboratory")
    analysis = get_object_or_404(readings.select_related("release"), pk=analysis_id)
    if analysis.activation is None or analysis.finished_at is None or not analysis.probabilities:
        raise Http404("This network has not read the image yet.")
    classes: list[str] = analysis.release.card["classes"]
    label = request.GET.get("class") or max(analysis.probabilities, key=analysis.probabilities.__getitem__)
    if label not in classes:
        raise Http404(f"This network knows no class {label!r}.")
    etag = f"heat-{analysis.pk}-{label}-{int(analysis.finished_at.timestamp())}"
    if unchanged := _unchanged(request, etag):
        return unchanged
    maps = np.frombuffer(bytes(analysis.activation), np.uint8).reshape(analysis.activation_shape)
    data = render_heat(maps[classes.index(label)])
    return _private(HttpResponse(data, content_type="image/png"), etag)


def render_heat(strength: np.ndarray) -> bytes:
    """uint8 (h, w) -> PNG, RGBA, `HEAT_SIDE` square: colour and opacity both rise with the strength."""
    picture = Image.fromarray(strength).resize((HEAT_SIDE, HEAT_SIDE), Image.Resampling.BILINEAR)
    out = io.BytesIO()
    Image.fromarray(_palette()[np.asarray(picture)]).save(out, "PNG", compress_level=4)
    return out.getvalue()


@lru_cache(maxsize=1)
def _palette() -> np.ndarray:
    """uint8 (256, 4): the colour of each strength. Weak is see-through, so that the picture stays in sight."""
    steps, at = np.linspace(0, 255, len(VIRIDIS)), np.arange(256)
    colours = [np.interp(at, steps, channel) for channel in zip(*VIRIDIS, strict=True)]
    return np.stack([*colours, 255 * (at / 255) ** 0.7], axis=1).round().astype(np.uint8)
