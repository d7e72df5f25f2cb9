"""The page on which an administrator takes the laboratory's decided pictures away."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_http_methods

from accounts.doors import PageRequest, page
from accounts.permissions import Action
from diagnosis import export
from diagnosis.export import LEFT_OUT, Choice, ExportRefused
from diagnosis.models import SmearImage
from diagnosis.templatetags.marks import class_name
from mlcore.bundle import TASKS


class ExportForm(forms.Form):
    """What to export; each class by its name in `mlcore.bundle.TASKS`, none for all."""

    tasks = forms.MultipleChoiceField(
        label="Pictures",
        choices=[(task, f"{SmearImage.Kind(task).label}s") for task in TASKS],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose fields, single cells, or both."},
    )
    signed = forms.ChoiceField(
        label="Of cases",
        choices=[("yes", "that are signed"), ("no", "all, also open ones")],
        widget=forms.RadioSelect,
    )
    since = forms.DateField(
        label="Decided from", required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    until = forms.DateField(
        label="Decided until", required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    labels = forms.MultipleChoiceField(
        label="Classes",
        required=False,
        choices=[(label, class_name(label)) for task in TASKS for label in TASKS[task]],
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: all of them.",
    )

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                self.choice = Choice(
                    tasks=tuple(values["tasks"]),
                    signed_only=values["signed"] == "yes",
                    since=values["since"],
                    until=values["until"],
                    labels=frozenset(values["labels"]),
                )
            except ExportRefused as refused:
                self.add_error(refused.field, str(refused))
        return values


FRESH = {"tasks": list(TASKS), "signed": "yes"}


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.EXPORT)
def laboratory_export(request: PageRequest) -> HttpResponseBase:
    """GET shows what a choice holds; POST of the same choice sends it as a zip, which stands in the audit."""
    sent = request.POST if request.method == "POST" else request.GET
    form = ExportForm(sent if "signed" in sent else FRESH)
    context: dict[str, Any] = {"form": form, "classes": _classes(form)}
    if not form.is_valid():
        return render(request, "laboratory/export.html", context, status=422)
    try:
        if request.method == "POST":
            return _sent(request, form.choice)
        plan = export.preview(actor=request.actor, choice=form.choice)
        context |= {
            "plan": plan,
            "tables": _tables(plan, form.choice),
            "left_out": _left_out(plan),
            "hidden": _hidden(form.choice),
        }
        export.refuse(plan)
    except ExportRefused as refused:
        context["refused"] = refused
    return render(request, "laboratory/export.html", context, status=422 if request.method == "POST" else 200)


def _sent(request: PageRequest, choice: Choice) -> StreamingHttpResponse:
    answer = StreamingHttpResponse(export.download(actor=request.actor, choice=choice), content_type="application/zip")
    name = f"leukolens-{request.actor.laboratory.slug}-{timezone.localdate():%Y-%m-%d}.zip"
    answer.headers["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or ""
    answer.headers["X-Accel-Buffering"] = "no"  # a proxy passes it on as it comes
    return answer


def _tables(plan: export.Plan, choice: Choice) -> list[dict[str, Any]]:
    """The classes that were asked for, also those without a picture."""
    return [
        {
            "title": f"{SmearImage.Kind(task).label}s",
            "lines": [
                (class_name(label), images, patients)
                for label, images, patients in lines
                if not choice.labels or label in choice.labels
            ],
        }
        for task, lines in plan.classes().items()
    ]


def _left_out(plan: export.Plan) -> list[tuple[int, str]]:
    return [(count, LEFT_OUT[why]) for why, count in sorted(plan.left_out.items())]


def _classes(form: ExportForm) -> list[tuple[str, list[Any]]]:
    """The boxes of the classes by task."""
    boxes = {box.data["value"]: box for box in form["labels"]}
    return [(f"{SmearImage.Kind(task).label}s", [boxes[label] for label in TASKS[task]]) for task in TASKS]


def _hidden(choice: Choice) -> list[tuple[str, str]]:
    """The choice as it was shown, for the form that takes it away."""
    days = [(name, day.isoformat()) for name, day in (("since", choice.since), ("until", choice.until)) if day]
    return [
        *(("tasks", task) for task in choice.tasks),
        ("signed", "yes" if choice.signed_only else "no"),
        *days,
        *(("labels", label) for label in sorted(choice.labels)),
    ]
