"""Batches: the list, the one that files are brought to, and how their names lead to cases."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import conditional_page, require_http_methods, require_POST, require_safe

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis.batches import arriving, manifest, matching, opening, outcomes, progress, tray
from diagnosis.models import Batch, BatchFile
from diagnosis.web.batches.forms import BatchForm, RulesForm

POLL = 1_500  # ms between looks while something moves
CALM_POLL = 15_000  # and otherwise: a colleague may bring files too
PER_PAGE = 100
FAILED = "failed"  # accepted, and no network could read it; a tab of its own where there are any
SHOWN = {
    "": "All",
    "needs": "Needs you",
    "flagged": "Picture quality",
    "accepted": "Accepted",
    "duplicate": "Already there",
}


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.READ_CASES, post=Action.UPLOAD_IMAGE)
def batch_list(request: PageRequest) -> HttpResponseBase:
    """The laboratory's batches; POST opens another one and goes there."""
    form = BatchForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            batch = opening.open_batch(actor=request.actor, **form.cleaned_data)
        except opening.BatchError as error:
            form.add_error(error.field or None, str(error))
        else:
            return redirect("batch", batch_id=batch.pk)
    shown = Paginator(opening.batches(actor=request.actor), 50).get_page(request.GET.get("page"))
    context = {"form": form, "shown": shown, "in_tray": tray.waiting(actor=request.actor).count()}
    return render(request, "batches/list.html", context, status=422 if form.errors else 200)


@require_safe
@page(Action.READ_CASES)
def batch(request: PageRequest, batch_id: int) -> HttpResponseBase:
    """Bring files, and see what became of each."""
    return _page(request, _batch(request, batch_id))


@require_safe
@conditional_page
@page(Action.READ_CASES)
def batch_live(request: PageRequest, batch_id: int) -> HttpResponseBase:
    """The parts of the page that change; 304 while nothing has."""
    response = render(request, "batches/_live.html", _context(request, _batch(request, batch_id)))
    response["Cache-Control"] = "private, no-cache"
    return response


@require_POST
@page(Action.UPLOAD_IMAGE)
def batch_files(request: PageRequest, batch_id: int) -> HttpResponseBase:
    """Files of the plain form, for a browser without scripts."""
    batch = _batch(request, batch_id)
    files = request.FILES.getlist("files")
    refused = []
    for sent in files:
        try:
            file = arriving.begin(actor=request.actor, batch=batch, path=sent.name or "", length=sent.size or 0)
            arriving.receive(actor=request.actor, file=file, offset=0, body=sent, size=sent.size)
        except arriving.UploadRefused as error:
            refused.append(f"{sent.name}: {error}")
    for words in refused:
        messages.error(request, words)
    if not files:
        messages.error(request, "No file arrived. Choose one or more and upload again.")
    return redirect("batch", batch_id=batch.pk)


@require_POST
@page(Action.UPLOAD_IMAGE)
def batch_manifest(request: PageRequest, batch_id: int) -> HttpResponseBase:
    """A list of cases and files; 422 with every mistake by row and column where nothing was written."""
    batch = _batch(request, batch_id)
    sent = request.FILES.get("list")
    if sent is None:
        messages.error(request, "No list arrived. Choose a CSV or XLSX file.")
        return redirect("batch", batch_id=batch.pk)
    try:
        data = sent.read(manifest.MAX_BYTES + 1)
        taken = manifest.take(actor=request.actor, batch=batch, data=data, name=sent.name or "list")
    except manifest.ManifestRefused as refused:
        return _page(request, batch, status=422, refused=refused, list_name=sent.name)
    messages.success(
        request,
        f"The list is taken: {taken.rows} row{'s'[: taken.rows != 1]}, {taken.opened} new "
        f"case{'s'[: taken.opened != 1]}, {taken.matched} waiting file{'s'[: taken.matched != 1]} matched.",
    )
    return redirect("batch", batch_id=batch.pk)


@require_POST
@page(Action.UPLOAD_IMAGE)
def batch_match(request: PageRequest, batch_id: int) -> HttpResponseBase:
    """Look once more for the cases of the files that found none."""
    batch = _batch(request, batch_id)
    found = tray.match_again(actor=request.actor, batch=batch)
    messages.info(request, f"{found} file{'s'[: found != 1]} found {'its' if found == 1 else 'their'} case.")
    return redirect("batch", batch_id=batch.pk)


@require_POST
@page(Action.RETRY_ANALYSIS)
def batch_retry(request: PageRequest, batch_id: int) -> HttpResponseBase:
    """Try again whatever failed for no fault of the file."""
    batch = _batch(request, batch_id)
    count = progress.retry(actor=request.actor, batch=batch)
    if count:
        messages.success(request, f"{count} file{'s'[: count != 1]} {'is' if count == 1 else 'are'} tried again.")
    else:
        messages.info(request, "Nothing to try again: no reading of this batch has failed.")
    return redirect("batch", batch_id=batch.pk)


@require_safe
@page(Action.READ_CASES)
def batch_outcomes(request: PageRequest, batch_id: int) -> HttpResponseBase:
    """Every file of the batch with its outcome, as CSV in the order of arrival."""
    batch = _batch(request, batch_id)
    response = StreamingHttpResponse(_lines(batch), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="batch-{batch.pk}-outcomes.csv"'
    return response


class _Echo:
    def write(self, line: str) -> str:
        return line


def _lines(batch: Batch) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff"  # so that Excel reads it as UTF-8
    yield writer.writerow(["file", "outcome", "reason", "quality", "accession", "image", "bytes", "arrived", "settled"])
    for file in opening.files(batch).order_by("id").iterator(chunk_size=500):
        image = f"/images/{file.image_id}/" if file.image_id else ""
        yield writer.writerow(
            [
                _cell(value)
                for value in (
                    file.path, file.get_state_display(), file.reason, " ".join(file.flags), file.accession, image,
                    file.length, _time(file.created_at), _time(file.settled_at),
                )
            ]
        )  # fmt: skip


def _time(at: Any) -> str:
    return timezone.localtime(at).isoformat(timespec="seconds") if at else ""


def _cell(value: object) -> object:
    """A file's name must not become a formula in somebody's spreadsheet."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.READ_CASES, post=Action.UPLOAD_IMAGE)
def rules(request: PageRequest) -> HttpResponseBase:
    """How file names lead to cases, with a place to try names; `try` shows what would be found and saves nothing."""
    current = opening.rules_of(request.actor.laboratory)
    initial = {name: getattr(current, name) for name in ("revision", "masks", "camera_pixel_um", "read_codes")}
    form, tried, conflict = RulesForm(request.POST or None, initial=initial), [], None
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            tried = _tried(request, values["masks"], values["names"])
            if "try" not in request.POST:
                opening.save_rules(
                    actor=request.actor, seen=values["revision"], masks=values["masks"],
                    camera_pixel_um=values["camera_pixel_um"], read_codes=values["read_codes"],
                )  # fmt: skip
                messages.success(request, "Saved. Files that come from now on are matched so.")
                return redirect("batch-rules")
        except opening.RulesChanged as changed:
            conflict = changed
            form = RulesForm(request.POST.dict() | {"revision": changed.current.revision})
        except matching.MaskError as error:
            form.add_error("masks", str(error))
        except opening.BatchError as error:
            form.add_error(error.field or None, str(error))
    context = {"form": form, "tried": tried, "conflict": conflict, "current": current}
    return render(request, "batches/rules.html", context, status=409 if conflict else 422 if form.errors else 200)


def _tried(request: PageRequest, masks: str, names: str) -> list[tuple[str, matching.Match]]:
    read = matching.read_masks(masks)
    lines = [line.strip().replace("\\", "/") for line in names.splitlines() if line.strip()][:50]
    return [(line, matching.find(laboratory=request.actor.laboratory, path=line, masks=read)) for line in lines]


def _batch(request: PageRequest, batch_id: int) -> Batch:
    try:
        return opening.batch_page(actor=request.actor, batch_id=batch_id)
    except Batch.DoesNotExist as missing:
        raise Http404("No such batch in this laboratory.") from missing


def _page(request: PageRequest, batch: Batch, *, status: int = 200, **more: Any) -> HttpResponseBase:
    context = _context(request, batch) | more
    context |= {"max_bytes": settings.INTAKE_MAX_BYTES, "max_zip": settings.UPLOAD_MAX_BYTES}
    return render(request, "batches/batch.html", context, status=status)


def _context(request: PageRequest, batch: Batch) -> dict[str, Any]:
    show = request.GET.get("show", "")
    show = show if show in SHOWN or show in BatchFile.State.values or show == FAILED else ""
    at = progress.progress(batch)
    number = {
        "": at.files,
        "needs": at.needs,
        "flagged": at.flagged,
        "accepted": at.accepted,
        "duplicate": at.duplicate,
    }
    tabs = [(key, title, number[key]) for key, title in SHOWN.items()]
    if at.failed or show == FAILED:
        tabs.insert(2, (FAILED, "Not readable", at.failed))
    files = opening.files(batch, show=show)
    if show == FAILED:
        files = files.filter(image__in=progress.unreadable(batch).values("pk"))
    shown = Paginator(files, PER_PAGE).get_page(request.GET.get("page"))
    return {
        "batch": batch,
        "at": at,
        "show": show,
        "tabs": tabs,
        "shown": shown,
        "rows": outcomes.outcomes(list(shown)),
        "poll": POLL if at.is_moving else CALM_POLL,
    }
