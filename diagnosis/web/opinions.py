"""Second opinions on the pages: the case's card, asking, answering, adjudicating, and how often people agree."""

from __future__ import annotations

from itertools import dropwhile
from typing import Any

from django.contrib import messages
from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.doors import PageRequest, page
from accounts.models import User
from accounts.permissions import Action
from diagnosis import audit, second_opinion, signout, worklist
from diagnosis.blinding import Blinded, open_questions, unknowable
from diagnosis.models import Case, ReportDraft, SecondOpinion
from diagnosis.second_opinion import OpinionRefused
from diagnosis.vocabulary import DIAGNOSES, GROUPS
from diagnosis.web.lists import redirect_along

State = SecondOpinion.State
SHOWN = 50  # of each list
#: Refusals that something in the form can mend; for all others the case has moved on.
_TO_MEND = {"diagnosis", "nobody", "colleague", "question", "reason", "comment", "consensus"}


def card(request: PageRequest, case: Case) -> dict[str, Any]:
    """What `_case_second.html` shows. For whoever is asked nothing but the question. Two queries at most."""
    opinions = list(second_opinion.of_case(case))
    if case.blinded:
        mine = [each for each in opinions if each.asked_of_id == request.user.pk and each.state == State.ASKED]
        return {"mine": mine[0] if mine else None, "groups": groups()}
    pending = [opinion for opinion in opinions if opinion.needs_adjudication]
    settled = max(
        (opinion for opinion in opinions if opinion.adjudicated_at),
        key=lambda opinion: opinion.adjudicated_at or opinion.asked_at,
        default=None,
    )
    gives = request.actor.may(Action.GIVE_OPINION)
    return {
        "opinions": [_shown(request, case, opinion) for opinion in opinions],
        "may_ask": gives and not case.is_closed and bool(case.image_count),
        "pending": pending,
        "role": second_opinion.adjudicator_role(request.actor, case, pending) if gives and pending else "",
        "settled": settled,
        "adopt": _adoptable(request, case, settled) if settled and not pending else None,
    }


def _shown(request: PageRequest, case: Case, opinion: SecondOpinion) -> dict[str, Any]:
    return {
        "opinion": opinion,
        "first": DIAGNOSES.get(opinion.first_diagnosis),
        "second": DIAGNOSES.get(opinion.diagnosis),
        "final": DIAGNOSES.get(opinion.adjudicated_diagnosis),
        "may_withdraw": opinion.state == State.ASKED
        and request.actor.may(Action.GIVE_OPINION)
        and request.user.pk in (opinion.asked_by_id, case.held_by_id),
    }


def _adoptable(request: PageRequest, case: Case, settled: SecondOpinion) -> dict[str, Any] | None:
    """The adjudicated diagnosis beside the report's, where the two are not the same and the draft can be changed."""
    draft = ReportDraft.objects.filter(case=case).only("diagnosis", "revision").first()
    if case.is_closed or (draft and draft.diagnosis == settled.adjudicated_diagnosis):
        return None
    return {
        "diagnosis": DIAGNOSES[settled.adjudicated_diagnosis],
        "now": DIAGNOSES.get(draft.diagnosis) if draft else None,
        "revision": draft.revision if draft else 0,
        "may": request.actor.may(Action.SIGN),
    }


def groups() -> list[tuple[str, list[Any]]]:
    """The pick list, (title, diagnoses) by group."""
    return [(title, [d for d in DIAGNOSES.values() if d.group == group]) for group, title in GROUPS.items()]


def _case(request: PageRequest, case_id: int) -> Case:
    try:
        case = worklist.case_page(actor=request.actor, case_id=case_id)
    except Case.DoesNotExist as missing:
        raise Http404("No such case in this laboratory.") from missing
    if case.blinded:
        raise Blinded
    return case


def _opinion(request: PageRequest, opinion_id: int) -> SecondOpinion:
    found = SecondOpinion.objects.filter(case__laboratory=request.actor.laboratory).select_related(
        "case", "asked_by", "asked_of"
    )
    try:
        return found.get(pk=opinion_id)
    except SecondOpinion.DoesNotExist as missing:
        raise Http404("No such second opinion in this laboratory.") from missing


@require_safe
@page(Action.READ_DASHBOARD)
def opinion_list(request: PageRequest) -> HttpResponseBase:
    """What waits for the person, what they asked, what needs an adjudicator, and how often people agree."""
    found = SecondOpinion.objects.filter(case__laboratory=request.actor.laboratory)
    found = found.select_related("case", "asked_by", "asked_of", "adjudicator").order_by("-id")
    differing = found.filter(state=State.ANSWERED, differs=True, adjudicated_at=None)
    readable = unknowable(Case.objects.filter(laboratory=request.actor.laboratory), request.actor)
    context = {
        "asked_of_me": open_questions(request.actor).select_related("case", "asked_by").order_by("id")[:SHOWN],
        "asked_by_me": found.filter(asked_by=request.user).filter(case__in=readable)[:SHOWN],
        "differing": differing.filter(case__in=readable).exclude(asked_of=request.user)[:SHOWN],
        "agreement": second_opinion.agreement(request.actor.laboratory),
        # Nothing is told of the quarters before the first answer.
        "quarters": list(
            dropwhile(lambda q: not q[1].n, second_opinion.agreement_by_quarter(request.actor.laboratory))
        ),
    }
    return render(request, "opinions/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.GIVE_OPINION)
def opinion_ask(request: PageRequest, case_id: int) -> HttpResponseBase:
    """Ask colleagues for their own diagnosis; what was typed stays whatever is wrong with it."""
    case = _case(request, case_id)
    draft = ReportDraft.objects.filter(case=case).values_list("diagnosis", flat=True).first()
    context: dict[str, Any] = {
        "case": case, "groups": groups(), "chosen": set(), "question": "", "diagnosis": draft or "", "draft": draft,
    }  # fmt: skip
    status = 200
    if request.method == "POST":
        chosen = [int(pk) for pk in request.POST.getlist("colleagues") if pk.isdecimal() and len(pk) < 19]
        context |= {"chosen": set(chosen)} | {name: request.POST.get(name, "") for name in ("question", "diagnosis")}
        try:
            asked = second_opinion.ask(
                actor=request.actor,
                case=case,
                colleagues=list(User.objects.filter(pk__in=chosen)),
                question=context["question"],
                diagnosis=context["diagnosis"],
            )
        except OpinionRefused as refused:
            context["refused"], status = refused, _status(refused)
        else:
            messages.success(request, f"Asked {' and '.join(str(opinion.asked_of) for opinion in asked)}.")
            return redirect_along(request, "case", case.pk)
    context["colleagues"] = second_opinion.askable(actor=request.actor, case=case)
    return render(request, "opinions/ask.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.GIVE_OPINION)
def opinion_answer(request: PageRequest, opinion_id: int) -> HttpResponseBase:
    """The question and the form that answers it; GET is the way of who has lost the case's page on the way."""
    opinion = _opinion(request, opinion_id)
    if request.method != "POST":
        return redirect_along(request, "case", opinion.case_id)
    try:
        second_opinion.answer(
            actor=request.actor,
            opinion=opinion,
            diagnosis=request.POST.get("diagnosis", ""),
            comment=request.POST.get("comment", ""),
        )
    except OpinionRefused as refused:
        return _again(request, opinion, refused)
    messages.success(request, "Your opinion is stored. Now you see what your colleagues said.")
    return redirect_along(request, "case", opinion.case_id)


@require_POST
@page(Action.GIVE_OPINION)
def opinion_decline(request: PageRequest, opinion_id: int) -> HttpResponseBase:
    opinion = _opinion(request, opinion_id)
    try:
        second_opinion.decline(actor=request.actor, opinion=opinion, reason=request.POST.get("reason", ""))
    except OpinionRefused as refused:
        return _again(request, opinion, refused)
    messages.success(request, f"{opinion.asked_by} is told that you give no opinion on {opinion.case}.")
    return redirect_along(request, "case", opinion.case_id)


@require_POST
@page(Action.GIVE_OPINION)
def opinion_withdraw(request: PageRequest, opinion_id: int) -> HttpResponseBase:
    opinion = _opinion(request, opinion_id)
    try:
        second_opinion.withdraw(actor=request.actor, opinion=opinion)
    except OpinionRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"{opinion.asked_of} is told that the question is withdrawn.")
    return redirect_along(request, "case", opinion.case_id)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.GIVE_OPINION)
def opinion_adjudicate(request: PageRequest, case_id: int) -> HttpResponseBase:
    """The opinions that differ, side by side, and the form that settles them."""
    case = _case(request, case_id)
    context: dict[str, Any] = {"case": case, "groups": groups(), "typed": {}}
    status = 200
    if request.method == "POST":
        context["typed"] = request.POST
        try:
            second_opinion.adjudicate(
                actor=request.actor,
                case=case,
                diagnosis=request.POST.get("diagnosis", ""),
                reason=request.POST.get("reason", ""),
                consensus="consensus" in request.POST,
            )
        except OpinionRefused as refused:
            context["refused"], status = refused, _status(refused)
        else:
            messages.success(request, "Settled. The report is not changed by this: take the diagnosis over there.")
            return redirect_along(request, "case", case.pk)
    else:
        audit.record_read(actor=request.actor, case=case)
    return render(request, "opinions/adjudicate.html", context | card(request, case), status=status)


@require_POST
@page(Action.SIGN)
def opinion_adopt(request: PageRequest, case_id: int) -> HttpResponseBase:
    """Take the adjudicated diagnosis into the report's draft, if that is as the person saw it."""
    case = _case(request, case_id)
    settled = second_opinion.of_case(case).exclude(adjudicated_at=None).order_by("-adjudicated_at", "-id").first()
    revision = request.POST.get("revision", "")
    if settled is None:
        messages.error(request, "No opinion of this case has been adjudicated.")
        return redirect_along(request, "case", case.pk)
    try:
        signout.save_draft(
            actor=request.actor,
            case=case,
            expected_revision=int(revision) if revision.isdecimal() and len(revision) < 10 else -1,
            diagnosis=settled.adjudicated_diagnosis,
        )
    except (signout.DraftConflict, signout.SignoutRefused) as refused:
        messages.error(request, f"Not taken over. {refused}")
    else:
        messages.success(request, f"The report's diagnosis is now: {DIAGNOSES[settled.adjudicated_diagnosis].name}.")
    return redirect_along(request, "case", case.pk)


def _again(request: PageRequest, opinion: SecondOpinion, refused: OpinionRefused) -> HttpResponseBase:
    """The form once more with what was typed; where it can be sent no longer, the words stay to be copied."""
    context = {"case": opinion.case, "mine": opinion, "refused": refused, "typed": request.POST, "groups": groups()}
    context["ended"] = refused.code not in _TO_MEND
    return render(request, "opinions/answer.html", context, status=_status(refused))


def _status(refused: OpinionRefused) -> int:
    return 422 if refused.code in _TO_MEND else 409
