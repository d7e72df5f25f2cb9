"""The worklist: which cases a person sees in which order, the counts above them, and the way from one to the next.

Every read costs the same at a hundred cases and at a hundred thousand: a page starts beyond a case by the list's own
order (never by an offset), open cases have an index of their own, and nothing counts what is not counted in an index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from accounts.permissions import visible
from diagnosis import blinding
from diagnosis.assessment.words import FLAG_WORDS
from diagnosis.models import Case, CaseFlag, SecondOpinion
from diagnosis.searching import matching

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.permissions import Actor

PAGE_SIZE = 25

#: View → what its tile says. "open" is what everybody meets first.
VIEWS = {
    "open": "Open",
    "mine": "Mine",
    "unassigned": "Unassigned",
    "urgent": "Urgent",
    "late": "Late",
    "second": "Second opinion",
    "reading": "Still reading",
    "signed": "Signed",
    "all": "All cases",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list shows. `q`: words of the search; every other field a key, or empty for no matter."""

    view: str = ""  # of VIEWS; empty: open cases, or all where something is searched for
    q: str = ""
    status: str = ""
    priority: str = ""
    flag: str = ""  # of FLAG_WORDS

    @classmethod
    def read(cls, values: Mapping[str, str]) -> Filter:
        """From an address; what does not fit is dropped, for a link must never end in an error."""
        allowed = {
            "view": VIEWS, "status": Case.Status.values, "priority": Case.Priority.values, "flag": FLAG_WORDS,
        }  # fmt: skip
        fitting = {name: values[name] for name, known in allowed.items() if values.get(name) in known}
        q = values.get("q", "").replace("\x00", " ").encode("utf-8", "ignore").decode().strip()[:200]
        return cls(q=q, **fitting)

    @classmethod
    def parse(cls, short: str) -> Filter:
        """From what `short` made: the name of a view alone, or a query."""
        return cls.read({"view": short} if "=" not in short else dict(parse_qsl(short[:1_000])))

    @property
    def query(self) -> str:
        """As in the list's address, without the page."""
        return urlencode({name: value for name in self.__slots__ if (value := getattr(self, name))})

    @property
    def short(self) -> str:
        """The list in a word or a query, for the address of a case that was opened from it."""
        return self.view if self == Filter(view=self.view) else self.query

    @property
    def shown(self) -> str:
        """The view in force."""
        return self.view or ("all" if self.q or self.status == Case.Status.SIGNED else "open")

    def but(self, **changes: str) -> Filter:
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class _Order:
    field: str
    ascending: bool
    urgent_first: bool = True

    def names(self, forward: bool = True) -> list[str]:
        time = "" if self.ascending == forward else "-"
        first = ["-priority" if forward else "priority"] if self.urgent_first else []
        return [*first, f"{time}{self.field}", f"{time}pk"]


_BY_DUE = _Order("due_at", ascending=True)
_ORDERS = {"all": _Order("created_at", ascending=False), "signed": _Order("signed_at", False, urgent_first=False)}


@dataclass(frozen=True, slots=True)
class Page:
    """Some cases of a list, patient and holder joined, and whether there are more before and behind them."""

    cases: list[Case]
    earlier: bool
    further: bool


def page(*, actor: Actor, chosen: Filter, after: int | None = None, before: int | None = None) -> Page:
    """A page of the list: its first, or the one behind the case `after`, or the one before the case `before`.

    A case that has left the list meanwhile still marks its place; one that is not the laboratory's marks none. At
    most three queries beside those of the search.
    """
    order, found = _order(chosen), _found(actor, chosen)
    forward = before is None
    anchor = _anchor(actor, order, after if forward else before)
    rows: list[Case] = []
    for part in _beyond(found, order, anchor, forward) if anchor else [found.order_by(*order.names(forward))]:
        rows += part[: PAGE_SIZE + 1 - len(rows)]
        if len(rows) > PAGE_SIZE:
            break
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    rows = blinding.veil(rows)
    if forward:
        return Page(rows, earlier=anchor is not None, further=more)
    return Page(rows[::-1], earlier=more, further=anchor is not None)


def named(*, actor: Actor, ids: list[int]) -> list[Case]:
    """The cases with these keys, as a list shows them: patient and holder joined. One query."""
    found = blinding.marked(visible(Case.objects.filter(pk__in=ids), actor), actor)
    return blinding.veil(list(found.select_related("patient", "held_by")))


def neighbours(*, actor: Actor, chosen: Filter, case: Case) -> tuple[Case | None, Case | None]:
    """The case before `case` and the one behind it in the list, whether or not `case` itself is still in it.

    Each with its key and accession number alone. At most four queries beside those of the search.
    """
    order, found = _order(chosen), _found(actor, chosen).select_related(None).only("accession_number")
    if getattr(case, order.field) is None:
        return None, None
    before, behind = (
        next((near for part in _beyond(found, order, case, forward) if (near := part.first())), None)
        for forward in (False, True)
    )
    return before, behind


def counts(*, actor: Actor) -> dict[str, int]:
    """How many cases each view has, by its key; "all" is not counted. Three queries.

    "mine" are the cases that the actor holds and those that wait for their second opinion, "signed" those since
    Monday.
    """
    now = timezone.now()
    open_ones: dict[str, int] = (
        _open(actor)
        .order_by()
        .aggregate(
            open=Count("pk"),
            mine=Count("pk", filter=Q(held_by=actor.user)),
            unassigned=Count("pk", filter=Q(held_by=None)),
            urgent=Count("pk", filter=Q(priority=Case.Priority.URGENT)),
            late=Count("pk", filter=Q(due_at__lt=now)),
            reading=Count("pk", filter=Q(status=Case.Status.READING)),
        )
    )
    waiting = _waiting_opinions().filter(case__laboratory=actor.laboratory)
    opinions = list(waiting.values_list("case_id", "asked_of_id", "state", "case__held_by_id"))
    asked = {
        case
        for case, whom, state, holder in opinions
        if whom == actor.user.pk != holder and state == SecondOpinion.State.ASKED
    }
    signed = visible(Case.objects.filter(signed_at__gte=_monday(now)), actor).count()
    return open_ones | {
        "mine": open_ones["mine"] + len(asked),
        "second": len({case for case, *_ in opinions}),
        "signed": signed,
    }


def opinions(*, actor: Actor, cases: list[Case]) -> dict[int, list[SecondOpinion]]:
    """The second opinions that each of the cases waits for, by the case's key; who was asked is joined. One query.

    Of a case that they are to judge blind the actor is told of the question to themselves alone.
    """
    found: dict[int, list[SecondOpinion]] = {case.pk: [] for case in cases}
    blind = {case.pk for case in cases if case.blinded}
    for opinion in _waiting_opinions().filter(case__in=list(found)).select_related("asked_of"):
        if opinion.case_id not in blind or opinion.asked_of_id == actor.user.pk:
            found[opinion.case_id].append(opinion)
    return found


def _order(chosen: Filter) -> _Order:
    return _ORDERS.get(chosen.shown, _BY_DUE)


def _open(actor: Actor) -> QuerySet[Case]:
    """Exactly the predicate of the partial indexes, or the database would not use them."""
    return visible(Case.objects.exclude(status=Case.Status.SIGNED), actor)


def _waiting_opinions() -> QuerySet[SecondOpinion]:
    """Asked and not answered, or answered otherwise than the first and waiting for the adjudicator."""
    differs = Q(state=SecondOpinion.State.ANSWERED, differs=True, adjudicated_at=None)
    return SecondOpinion.objects.filter(Q(state=SecondOpinion.State.ASKED) | differs)


def _found(actor: Actor, chosen: Filter) -> QuerySet[Case]:
    """The list without its order; patient and holder joined."""
    view, user = chosen.shown, actor.user
    found = visible(Case.objects.all(), actor) if view in _ORDERS else _open(actor)
    if view == "mine":
        asked = SecondOpinion.objects.filter(asked_of=user, state=SecondOpinion.State.ASKED).values("case")
        found = found.filter(Q(held_by=user) | Q(pk__in=asked))
    elif view == "unassigned":
        found = found.filter(held_by=None)
    elif view == "urgent":
        found = found.filter(priority=Case.Priority.URGENT)
    elif view == "late":
        found = found.filter(due_at__lt=timezone.now())
    elif view == "second":
        found = found.filter(pk__in=_waiting_opinions().values("case"))
    elif view == "reading":
        found = found.filter(status=Case.Status.READING)
    elif view == "signed":
        found = found.filter(status=Case.Status.SIGNED, signed_at__isnull=False)
    if chosen.status:
        found = found.filter(status=chosen.status)
    if chosen.priority:
        found = found.filter(priority=chosen.priority)
    if chosen.flag:
        found = found.filter(Exists(CaseFlag.objects.filter(case=OuterRef("pk"), code=chosen.flag)))
    if chosen.status or chosen.flag:
        found = blinding.unknowable(found, actor)
    found = blinding.marked(found, actor)
    return matching(found, actor=actor, search=chosen.q).select_related("patient", "held_by")


def _anchor(actor: Actor, order: _Order, pk: int | None) -> Case | None:
    if pk is None:
        return None
    return visible(Case.objects.filter(pk=pk, **{f"{order.field}__isnull": False}), actor).first()


def _beyond(found: QuerySet[Case], order: _Order, anchor: Case, forward: bool) -> list[QuerySet[Case]]:
    """What comes behind `anchor` in the order (or, backwards, before it), nearest first, as one or two reads.

    Urgent and other cases are read apart, so that either read is one stretch of the index.
    """
    way = "gt" if order.ascending == forward else "lt"
    moment: datetime = getattr(anchor, order.field)
    found = found.order_by(*order.names(forward))
    near = found.filter(**{f"{order.field}__{way}e": moment}).filter(
        Q(**{f"{order.field}__{way}": moment}) | Q(**{f"pk__{way}": anchor.pk})
    )
    if not order.urgent_first:
        return [near]
    other = {"priority__lt": anchor.priority} if forward else {"priority__gt": anchor.priority}
    return [near.filter(priority=anchor.priority), found.filter(**other)]


def _monday(now: datetime) -> datetime:
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=today.weekday())
