"""Deciding on the pages: many images by keyboard in the case's gallery, one at a time on its own page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from accounts.doors import PageRequest, page
from accounts.permissions import Action, Actor
from diagnosis import gallery, review, worklist
from diagnosis.models import Case
from diagnosis.web.forms import DecisionForm
from diagnosis.web.images import find_row, page_context
from diagnosis.web.lists import along, image_url

SORT_COOKIE = "gallery-sort"  # written by gallery.js
STEPS_TOLD = 50  # how far the page knows what it can undo


@dataclass(frozen=True, slots=True)
class TileFacts:
    """All that the HTML of one tile is made of."""

    image: int
    number: int
    kind: str
    name: str
    status: str
    reading: str
    sure: float
    doubt: str
    facts: str
    group: str
    flagged: bool
    decision: int | None
    decided: str
    by: str
    mine: bool
    error: str
    along: str  # the list that the case was opened from, as the end of the tile's address


@lru_cache(maxsize=20_000)  # 1 kB each: a look at a thousand images renders those that have changed
def tile_html(tile: TileFacts) -> SafeString:
    """The tile as `_tile.html` renders it; kept, because a page of a thousand is asked for every few seconds."""
    return render_to_string("diagnosis/_tile.html", {"tile": tile})


def _facts(tile: gallery.Tile, actor: Actor, origin: str) -> TileFacts:
    row = tile.row
    decision = row.decision
    return TileFacts(
        image=row.image.pk,
        number=tile.number,
        kind=row.image.kind,
        name=row.image.original_name,
        status=row.status,
        reading=tile.reading,
        sure=round(tile.sure, 4),
        doubt=tile.doubt,
        facts=tile.facts,
        group=tile.group,
        flagged=tile.flagged,
        decision=decision.pk if decision else None,
        decided=tile.decided,
        by=str(decision.decided_by) if decision else "",
        mine=decision is not None and decision.decided_by_id == actor.user.pk,
        error=row.error,
        along=origin,
    )


def gallery_part(request: PageRequest, case: Case, rows: list[worklist.ImageRow]) -> dict[str, Any]:
    """What the gallery of the case page shows; one query more where the person may decide."""
    tiles = gallery.tiles(rows, assessment=case.assessment)
    groups = gallery.groups(tiles, sort="arrival" if request.COOKIES.get(SORT_COOKIE) == "arrival" else "unsure")
    origin = along(request)
    kinds = list(dict.fromkeys(group.kind for group in groups))
    may_decide = request.actor.may(Action.DECIDE)
    steps = review.steps(actor=request.actor, case=case) if may_decide else review.Steps()
    return {
        "groups": [
            (group, [tile_html(_facts(tile, request.actor, origin)) for tile in group.tiles]) for group in groups
        ],
        "kinds": kinds,
        "palettes": [
            {
                "kind": kind,
                "title": gallery.KIND_TITLES[kind],
                "classes": [{"label": group.label, "title": group.title, "key": gallery.KEYS[kind][group.label]}
                            for group in groups if group.kind == kind and group.label in gallery.KEYS[kind]],
            }
            for kind in kinds
        ],
        "filters": [
            ("all", "All", len(tiles)),
            ("undecided", "Undecided", sum(not tile.decided for tile in tiles)),
            ("disagree", "Networks disagree", sum(tile.doubt == "networks disagree" for tile in tiles)),
            ("flagged", "Flagged", sum(tile.flagged for tile in tiles)),
            ("decided", "Decided", sum(bool(tile.decided) for tile in tiles)),
        ],
        "open": may_decide and not case.is_closed and not case.blinded,
        "undo": ",".join(map(str, steps.done[-STEPS_TOLD:])),
        "redo": ",".join(map(str, steps.undone[-STEPS_TOLD:])),
    }  # fmt: skip


@require_POST
@page(Action.DECIDE)
def case_review(request: PageRequest, case_id: int) -> HttpResponseBase:
    """Take one step that the gallery sends (`sent`: JSON), and say what became of each image.

    `{"step": UUID, "act": "decide", "decisions": [{"image", "verdict", "label", "expected"}]}` or
    `{"step", "act": "undo" | "redo", "undoes": UUID}`. Sending a step again is answered as the first time. 409: the
    whole step is refused, `detail` says why; 422: it cannot be read.
    """
    try:
        case = worklist.case_page(actor=request.actor, case_id=case_id)
    except Case.DoesNotExist as missing:
        raise Http404("No such case in this laboratory.") from missing
    try:
        sent = json.loads(request.POST.get("sent", ""))
        step, act = UUID(sent["step"]), sent["act"]
        choices = [_choice(item) for item in sent.get("decisions", ())]
        undoes = UUID(sent["undoes"]) if sent.get("undoes") else None
        if act not in ("decide", "undo", "redo"):
            raise ValueError(act)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return JsonResponse(
            {"code": "unreadable", "detail": "The page sent something that cannot be read. Reload it."}, status=422
        )
    try:
        if act == "decide":
            outcome = review.decide_many(actor=request.actor, case=case, choices=choices, step=step)
        else:
            turn = review.undo if act == "undo" else review.redo
            outcome = turn(actor=request.actor, case=case, undoes=undoes, step=step)
    except review.ReviewRefused as refused:
        return JsonResponse({"code": refused.code, "detail": str(refused)}, status=409)
    return JsonResponse(_told(request, case, outcome))


def _choice(item: dict[str, Any]) -> review.Choice:
    """Raises ValueError, KeyError, TypeError or AttributeError for what is none."""
    expected: Any = item["expected"]
    if isinstance(expected, str):
        expected = UUID(expected)
    elif expected is not None and type(expected) is not int:
        raise TypeError("expected")
    image, verdict, label = item["image"], item["verdict"], item.get("label")
    if type(image) is not int or not isinstance(verdict, str) or not isinstance(label, str | None):
        raise TypeError("decision")
    if not 0 < image < 2**63:
        raise ValueError("image")
    return review.Choice(image, verdict, label, expected=expected)


def _told(request: PageRequest, case: Case, outcome: review.Outcome) -> dict[str, Any]:
    """The outcome, and how each image of the step stands now."""
    saved = [decision.image_id for decision in outcome.saved]
    standing = review.standings([*saved, *outcome.refused], case)
    steps = review.steps(actor=request.actor, case=case)
    return {
        "step": str(outcome.step),
        "saved": saved,
        "refused": [
            {"image": pk, "code": error.code, "message": error.message} for pk, error in outcome.refused.items()
        ],
        "images": [
            {
                "image": pk,
                "decision": found.current.pk if found.current else None,
                "label": found.current.label if found.current else "",
                "by": str(found.current.decided_by) if found.current else "",
                "mine": found.current is not None and found.current.decided_by_id == request.actor.user.pk,
            }
            for pk, found in standing.items()
        ],
        "undo": [str(step) for step in steps.done[-STEPS_TOLD:]],
        "redo": [str(step) for step in steps.undone[-STEPS_TOLD:]],
    }


@require_POST
@page(Action.DECIDE)
def image_decide(request: PageRequest, image_id: int) -> HttpResponseBase:
    """Store what the person decided, or undo or redo their last step, at once; or say in words why not."""
    row = find_row(request, image_id)
    form = DecisionForm(request.POST)
    problem, conflict = "", False
    if form.is_valid():
        try:
            problem = _act(request, row, form)
        except review.ReviewConflict as newer:
            problem, conflict = str(newer), True
        except review.ReviewRefused as refused:
            problem = str(refused)
    else:
        problem = "Choose to agree, or a class to override with. A comment holds at most 4,000 characters."
    if not request.headers.get("HX-Request"):
        if problem:
            messages.error(request, f"Not saved. {problem}")
        return redirect(image_url(request, row.image.pk))
    row = find_row(request, image_id)
    context = page_context(request, row)
    context |= {"problem": problem, "conflict": conflict, "saved": not problem, "typed": request.POST}
    return render(request, "diagnosis/_decision.html", context, status=409 if conflict else 422 if problem else 200)


def _act(request: PageRequest, row: worklist.ImageRow, form: DecisionForm) -> str:
    """Take the step; answers what was left as it is, in words."""
    verdict = form.cleaned_data["verdict"]
    if verdict in (form.UNDO, form.REDO):
        turn = review.undo if verdict == form.UNDO else review.redo
        outcome = turn(actor=request.actor, case=row.image.case, undoes=form.cleaned_data["undoes"])
        return str(next(iter(outcome.refused.values()))) if outcome.refused else ""
    review.decide(
        actor=request.actor,
        image=row.image,
        verdict=verdict,
        label=form.class_meant(),
        comment=form.cleaned_data["comment"],
        expected_decision=form.cleaned_data["expected_decision"],
    )
    return ""
