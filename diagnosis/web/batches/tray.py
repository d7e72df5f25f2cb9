"""The tray: pictures that found no case, to be assigned by a person."""

from __future__ import annotations

import io

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe
from PIL import Image

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis import intake
from diagnosis.batches import opening, store
from diagnosis.batches import tray as trays
from diagnosis.models import BatchFile
from mlcore.images import ImageRefused, decode

PER_PAGE = 60
_THUMB = 320  # px


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.READ_CASES, post=Action.UPLOAD_IMAGE)
def tray(request: PageRequest) -> HttpResponseBase:
    """What waits, folder by folder; POST assigns the ticked files to a case, or discards them (`discard`)."""
    problem, accession = "", request.POST.get("accession", "")
    chosen = {int(pk) for pk in request.POST.getlist("file") if pk.isdecimal() and len(pk) < 18}
    if request.method == "POST":
        try:
            if "discard" in request.POST:
                count = trays.discard(actor=request.actor, file_ids=chosen)
                messages.success(request, f"{count} picture{'s'[: count != 1]} discarded.")
            else:
                done = trays.assign(actor=request.actor, file_ids=chosen, accession=accession)
                messages.success(request, done.said)
            return redirect("tray")
        except opening.BatchError as error:
            problem = str(error)
    shown = Paginator(trays.waiting(actor=request.actor), PER_PAGE).get_page(request.GET.get("page"))
    context = {"shown": shown, "problem": problem, "accession": accession, "chosen": chosen}
    return render(request, "batches/tray.html", context, status=422 if problem else 200)


@require_safe
@page(Action.READ_CASES)
def thumb(request: PageRequest, file_id: int) -> HttpResponse:
    """A small JPEG of a picture that waits, made anew from its pixels: nothing else of the file leaves the server."""
    try:
        file = opening.file_of(actor=request.actor, file_id=file_id)
        if file.state != BatchFile.State.UNMATCHED:
            raise Http404("This picture does not wait any more.")
        pixels = decode(store.read(file.upload, intake.limits().max_bytes + 1), limits=intake.limits())
    except (BatchFile.DoesNotExist, FileNotFoundError, ImageRefused) as missing:
        raise Http404("There is no such picture in the tray.") from missing
    picture = Image.fromarray(pixels)
    picture.thumbnail((_THUMB, _THUMB))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=82)
    response = HttpResponse(out.getvalue(), content_type="image/jpeg")
    response["Cache-Control"] = "private, max-age=3600"
    return response
