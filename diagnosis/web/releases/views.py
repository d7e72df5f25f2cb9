"""The model pages' doors: all releases, one release, its report to take away. Every member may read them."""

from __future__ import annotations

import json

from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis.models import ModelRelease
from diagnosis.web.releases.beside import column, headline_rows
from diagnosis.web.releases.contents import TASKS, release_context
from diagnosis.web.releases.evidence import evidence_of, shown_of

Stage = ModelRelease.Stage


@require_safe
@page(Action.READ_CASES)
def model_list(request: PageRequest) -> HttpResponseBase:
    """Both tasks: the active networks side by side, then the releases that read in the shadow or no more."""
    columns = [column(each) for each in ModelRelease.objects.all()]
    tasks = []
    for task, (title, question) in TASKS.items():
        of_task = [each for each in columns if each["release"].task == task]
        active = [each for each in of_task if each["release"].stage == Stage.ACTIVE]
        others = [each for each in of_task if each["release"].stage != Stage.ACTIVE]
        tasks.append(
            {
                "task": task,
                "title": title,
                "question": question,
                "active": active,
                "others": others,
                "rows": headline_rows(active),
            }
        )
    return render(request, "models/list.html", {"tasks": tasks})


@require_safe
@page(Action.READ_CASES)
def model(request: PageRequest, release_id: int) -> HttpResponseBase:
    """One release: its report, or its card with the reason why there is no report."""
    release = get_object_or_404(ModelRelease, pk=release_id)
    siblings = list(ModelRelease.objects.filter(task=release.task, stage=Stage.ACTIVE).exclude(pk=release.pk))
    context = shown_of(release, lambda evidence: release_context(release, evidence, siblings))
    return render(request, "models/release.html", context)


@require_safe
@page(Action.READ_CASES)
def model_report(request: PageRequest, release_id: int) -> HttpResponseBase:
    """report.json to take away; 404 where this machine has none that belongs to the release."""
    release = get_object_or_404(ModelRelease, pk=release_id)
    evidence = evidence_of(release)
    if not evidence.whole:
        raise Http404("The report of this release is not on this machine.")
    name = f"{release.task}-{release.network}-{release.version}-report.json"
    return HttpResponse(
        json.dumps(evidence.report, indent=1) + "\n",
        content_type="application/json",
        headers={"Content-Disposition": content_disposition_header(True, name) or "attachment"},
    )
