"""Search parameters as FHIR spells them, read strictly: what is not understood is refused, never left out.

A filter that a server drops in silence gives a client more than it asked for, and that may be another patient's.
`Prefer: handling=lenient` asks for the dropping (R4, 3.1.1.1.2); the bundle's `self` link then tells what counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

from django.db.models import Q
from django.http import QueryDict
from django.utils import timezone

from diagnosis.fhir.outcome import Refusal
from diagnosis.fhir.parts import Body, Resource

COUNT, COUNT_MAX = 20, 100
Kind = Literal["token", "reference", "date", "string"]
_CONTROL = {"_format": "token", "_pretty": "token"}
_REDUCING = ("_elements", "_summary")
_ID = re.compile(r"[1-9][0-9]{0,17}\Z")
_MOMENT = re.compile(
    r"(eq|ne|gt|lt|ge|le|sa|eb)?(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?\Z"
)


@dataclass(frozen=True, slots=True)
class Param:
    """One search parameter of a resource type, as the CapabilityStatement lists it."""

    kind: Kind
    says: str


#: By type: its parameters that are references, and what they refer to. `*` of an `_include` is all of them.
LINKS: dict[str, dict[str, str]] = {
    "Patient": {},
    "DiagnosticReport": {"subject": "Patient", "patient": "Patient", "result": "Observation", "media": "Media"},
    "Observation": {"subject": "Patient", "patient": "Patient", "derived-from": "Media"},
    "Media": {"subject": "Patient", "patient": "Patient"},
}
SUMMARIES = ("true", "false", "text", "data", "count")
_ELEMENT = re.compile(r"[a-z][A-Za-z]{0,60}(\[x\])?\Z")


@dataclass(frozen=True, slots=True)
class Link:
    """References of resources of type `source` by `param` to those of type `target`; of one kind with `subject`."""

    source: str
    param: str
    target: str

    def __str__(self) -> str:
        return f"{self.source}:{self.param}"


@dataclass(frozen=True, slots=True)
class Reduced:
    """How much of each resource is wanted: `elements` where any are named, else `summary` where one is."""

    elements: frozenset[str] = frozenset()
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A date parameter: `start` ≤ what was named < `end`, and how it compares."""

    prefix: str
    start: datetime
    end: datetime

    def q(self, field: str, *, day: bool = False) -> Q:
        """As a condition on a column of moments, or of days."""
        start, end = (self.start.date(), self.end.date()) if day else (self.start, self.end)
        inside = Q(**{f"{field}__gte": start, f"{field}__lt": end})
        return {
            "eq": inside,
            "ne": ~inside,
            "gt": Q(**{f"{field}__gte": end}),
            "sa": Q(**{f"{field}__gte": end}),
            "lt": Q(**{f"{field}__lt": start}),
            "eb": Q(**{f"{field}__lt": start}),
            "ge": Q(**{f"{field}__gte": start}),
            "le": Q(**{f"{field}__lt": end}),
        }[self.prefix]

    def holds(self, moment: datetime | None) -> bool:
        if moment is None:
            return False
        inside = self.start <= moment < self.end
        after, before = moment >= self.end, moment < self.start
        return {
            "eq": inside,
            "ne": not inside,
            "gt": after,
            "sa": after,
            "lt": before,
            "eb": before,
            "ge": inside or after,
            "le": inside or before,
        }[self.prefix]


@dataclass(frozen=True, slots=True)
class Query:
    """A search as it was understood. `given`: parameter → its values; all of them must hold, each may name several."""

    given: dict[str, list[str]] = field(default_factory=dict)
    count: int = COUNT
    cursor: str = ""
    includes: tuple[Link, ...] = ()
    revincludes: tuple[Link, ...] = ()
    reduced: Reduced = Reduced()

    def tokens(self, name: str) -> list[list[tuple[str | None, str]]]:
        """Per occurrence, what may match: (system, code); a system of None was not named, "" means "has none"."""
        return [[_token(part) for part in _parts(value)] for value in self.given.get(name, [])]

    def codes(self, name: str, system: str = "") -> list[set[str]]:
        """Per occurrence, the codes that may match where the parameter's system is `system`."""
        return [{code for named, code in one if named in (None, system)} for one in self.tokens(name)]

    def ids(self, name: str) -> list[set[int]]:
        """Per occurrence, the ids that may match; what cannot be an id matches nothing."""
        return [{int(part) for part in _parts(value) if _ID.match(part)} for value in self.given.get(name, [])]

    def references(self, name: str, kind: str, base: str) -> list[set[int]]:
        """Per occurrence, the ids of `kind` that are meant by `12`, `Patient/12` or a whole address of ours."""
        found = []
        for value in self.given.get(name, []):
            ids = set()
            for part in _parts(value):
                one = part.removeprefix(f"{base}/").removeprefix(f"{kind}/")
                if _ID.match(one):
                    ids.add(int(one))
            found.append(ids)
        return found

    def patients(self, base: str) -> list[set[int]]:
        return self.references("patient", "Patient", base) + self.references("subject", "Patient", base)

    def spans(self, name: str) -> list[list[Span]]:
        return [[_span(name, part) for part in _parts(value)] for value in self.given.get(name, [])]

    def between(self, name: str, field: str, *, day: bool = False) -> Q:
        """The date parameter as a condition on a column."""
        found = Q()
        for occurrence in self.spans(name):
            either = Q()
            for span in occurrence:
                either |= span.q(field, day=day)
            found &= either
        return found


@dataclass(frozen=True, slots=True)
class Page:
    """One page of matches. `cursor`: where the next page begins, empty on the last one."""

    total: int
    resources: list[Resource]
    cursor: str = ""


def links(kind: str, *, reverse: bool = False) -> list[Link]:
    """What `_include` (or, `reverse`, `_revinclude`) may name where resources of type `kind` are searched."""
    found = [Link(source, param, target) for source, ones in LINKS.items() for param, target in ones.items()]
    return [link for link in found if (link.target if reverse else link.source) == kind]


def understood(kind: str, sent: QueryDict, params: Mapping[str, Param], *, lenient: bool) -> Query:
    """The search for resources of type `kind` that `sent` asks for. Raises `Refusal` for what is not understood,
    unless it may be left out."""
    given: dict[str, list[str]] = {}
    count, cursor = COUNT, ""
    along: dict[str, tuple[Link, ...]] = {}
    for name, values in sent.lists():
        if any("\x00" in str(value) for value in values):
            raise Refusal("value", f"{name}: this is no text.", name)
        if name == "_count":
            count = _count(str(values[-1]))
        elif name == "_cursor":
            cursor = str(values[-1])
        elif name in ("_include", "_revinclude"):
            along[name] = _along(kind, name, [str(value) for value in values if value], lenient)
        elif name in _REDUCING:
            continue  # see `reduced`
        elif name in params:
            given[name] = [str(value) for value in values if value != ""]
        elif name not in _CONTROL and not lenient:
            raise Refusal(
                "not-supported",
                f"The search parameter {name[:60]!r} is not supported here. These are: {', '.join(sorted(params))}, "
                "_count, _include, _revinclude, _elements, _summary. Send “Prefer: handling=lenient” to have it left "
                "out.",
                name,
            )
    given = {name: values for name, values in given.items() if values}
    return Query(
        given, count, cursor, along.get("_include", ()), along.get("_revinclude", ()), reduced(sent, lenient=lenient)
    )


def reduced(sent: QueryDict, *, lenient: bool) -> Reduced:
    """What `_elements` and `_summary` ask for, of a read and of a search alike. Raises `Refusal`."""
    names = frozenset(part for value in sent.getlist("_elements") for part in str(value).split(",") if part)
    summary = str(sent.getlist("_summary")[-1]) if sent.getlist("_summary") else ""
    wrong = ""
    if not all(_ELEMENT.match(name) for name in names):
        wrong = "_elements: names of elements by comma, such as id,status,issued."
    elif summary and summary not in SUMMARIES:
        wrong = f"_summary: one of {', '.join(SUMMARIES)}."
    elif names and summary not in ("", "false"):
        wrong = "_elements and _summary exclude one another."
    if not wrong:
        return Reduced(names, summary)
    if lenient:
        return Reduced()
    raise Refusal("value", wrong, wrong.partition(":")[0] if ":" in wrong else "_elements")


def _along(kind: str, name: str, values: list[str], lenient: bool) -> tuple[Link, ...]:
    possible = links(kind, reverse=name == "_revinclude")
    found: list[Link] = []
    for value in values:
        named = [
            link
            for link in possible
            if value in (str(link), f"{link}:{link.target}", f"{link.source}:*")
            or (value == "*" and name == "_include")
        ]
        if not named and not lenient:
            known = ", ".join(map(str, possible)) or "nothing"
            raise Refusal(
                "not-supported", f"{name}={value[:60]} is not supported here. What can come along: {known}.", name
            )
        found += named
    return tuple(dict.fromkeys(found))


def bundle(
    address: str, query: Query, page: Page, along: Iterable[Resource] = (), said: Iterable[Body] = (),
    *, shown: Callable[[Resource], Body] = Resource.to_dict,
) -> Body:  # fmt: skip
    """A searchset; `address` is the type's own, without parameters. `along`: what comes with the matches; `said`:
    entries about the search; `shown`: how a resource is sent."""
    asked: list[tuple[str, Any]] = [(name, value) for name, values in query.given.items() for value in values]
    asked += [("_include", link) for link in query.includes] + [("_revinclude", link) for link in query.revincludes]
    if query.reduced.elements:
        asked.append(("_elements", ",".join(sorted(query.reduced.elements))))
    if query.reduced.summary:
        asked.append(("_summary", query.reduced.summary))
    asked.append(("_count", query.count))
    links = [{"relation": "self", "url": _link(address, asked, query.cursor)}]
    if query.cursor:
        links.append({"relation": "first", "url": _link(address, asked, "")})
    if page.cursor:
        links.append({"relation": "next", "url": _link(address, asked, page.cursor)})
    body: Body = {"resourceType": "Bundle", "type": "searchset", "total": page.total, "link": links}
    root = address.rpartition("/")[0]
    entries = [
        {
            "fullUrl": f"{root}/{resource.body['resourceType']}/{resource.body['id']}",
            "resource": shown(resource),
            "search": {"mode": mode},
        }
        for mode, resources in (("match", page.resources), ("include", along))
        for resource in resources
    ]
    if entries := [*entries, *said]:
        body["entry"] = entries
    return body


def every(found: Iterable[set[int]], field: str) -> Q:
    """All occurrences of a parameter must hold."""
    condition = Q()
    for ids in found:
        condition &= Q(**{f"{field}__in": ids})
    return condition


def any_of(field: str, values: Iterable[str]) -> Q:
    """One of `values`, capitals or not; none matches nothing."""
    condition = Q(pk__in=[])
    for value in values:
        condition |= Q(**{f"{field}__iexact": value})
    return condition


def before(cursor: str) -> Q:
    """Keyset paging from the newest row to the oldest."""
    if not cursor:
        return Q()
    if not _ID.match(cursor):
        raise Refusal("value", "This cursor is not one that a “next” link gave.", "_cursor")
    return Q(pk__lt=int(cursor))


def row_id(text: str) -> int:
    """The primary key that `text` names; 0, which no row has, for what is none."""
    return int(text) if _ID.match(text) else 0


def _link(address: str, asked: list[tuple[str, Any]], cursor: str) -> str:
    return f"{address}?{urlencode([*asked, *([('_cursor', cursor)] if cursor else [])])}"


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise Refusal("value", f"_count: a whole number, of which at most {COUNT_MAX} are given at a time.", "_count")
    return min(int(text), COUNT_MAX)


def _parts(value: str) -> list[str]:
    """What stands between commas; `\\,` is a comma in a value."""
    return [re.sub(r"\\([,|$\\])", r"\1", part) for part in re.split(r"(?<!\\),", value) if part]


def _token(part: str) -> tuple[str | None, str]:
    system, bar, code = part.partition("|")
    return (system, code) if bar else (None, part)


def _span(name: str, text: str) -> Span:
    match = _MOMENT.match(text)
    try:
        if match is None:
            raise ValueError(text)
        prefix, year, month, day, hour, minute, second, fraction, zone = match.groups()
        start = datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0))
        if fraction:
            start += timedelta(seconds=float(fraction))
        if not month:
            end = start.replace(year=start.year + 1)
        elif not day:
            end = (start + timedelta(days=32)).replace(day=1)
        else:
            width = (
                timedelta(days=1)
                if not hour
                else timedelta(minutes=1)
                if not second
                else timedelta(seconds=1)
                if not fraction
                else timedelta(milliseconds=1)
            )
            end = start + width
        aware = [_placed(moment, zone) for moment in (start, end)]
    except (ValueError, OverflowError):
        raise Refusal(
            "value", f"{name}: a date such as 2026-11-25, 2026-11 or ge2026-11-25T10:00:00Z is meant.", name
        ) from None
    return Span(prefix or "eq", aware[0], aware[1])


def _placed(moment: datetime, zone: str | None) -> datetime:
    if zone is None:
        return timezone.make_aware(moment)
    return datetime.fromisoformat(f"{moment.isoformat()}{zone.replace('Z', '+00:00')}").astimezone(UTC)
