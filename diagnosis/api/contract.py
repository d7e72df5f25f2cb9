"""What a new schema takes away from clients of an old one: each breaking change as a sentence.

Additions are none: clients are told to expect members, values and operations that they do not know. Breaking is what
makes a request that was taken refused, or an answer that was understood another: an operation, parameter, status or
member that is gone or has another type, something that has to be sent now, a bound that is tighter.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

Json = dict[str, Any]
METHODS = ("get", "put", "post", "delete", "patch", "head")
#: Bounds of what may be sent: tighter where the new one is lower (most) or higher (least).
_MOST = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
_LEAST = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")


def breaking(old: Json, new: Json) -> list[str]:
    """Sentences, in the order of the old schema; empty where every client of `old` can go on with `new`."""
    found: list[str] = []
    for path, methods in old["paths"].items():
        for method in METHODS:
            if method not in methods:
                continue
            name = f"{method.upper()} {path}"
            now = new["paths"].get(path, {}).get(method)
            if now is None:
                found.append(f"{name} is gone.")
            else:
                found += _Operation(name, old, new).compare(methods[method], now)
    return list(dict.fromkeys(found))


@dataclass
class _Flat:
    """A schema with its references followed and its alternatives laid together."""

    types: set[str] = field(default_factory=set)
    enum: list[Any] | None = None
    properties: dict[str, Json] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    items: Json | None = None
    closed: bool = False
    rest: Json = field(default_factory=dict)
    refs: frozenset[str] = frozenset()  # the components that it is made of, to know a circle by


class _Operation:
    def __init__(self, name: str, old: Json, new: Json) -> None:
        self.name, self.old, self.new = name, old, new
        self.found: list[str] = []

    def say(self, words: str) -> None:
        self.found.append(f"{self.name}: {words}")

    def compare(self, was: Json, now: Json) -> list[str]:
        if was.get("operationId") != now.get("operationId"):
            self.say(f"its operation is called {now.get('operationId')}, not {was.get('operationId')} any more.")
        self._parameters(was, now)
        self._body(was, now)
        self._answers(was, now)
        return self.found

    def _parameters(self, was: Json, now: Json) -> None:
        before, after = self._named(self.old, was), self._named(self.new, now)
        for key, parameter in before.items():
            if key not in after:
                self.say(f"the {key[0]} parameter {key[1]} is gone.")
                continue
            if after[key].get("required") and not parameter.get("required"):
                self.say(f"the {key[0]} parameter {key[1]} has to be sent now.")
            self._sent(f"the parameter {key[1]}", parameter.get("schema", {}), after[key].get("schema", {}), ())
        for key, parameter in after.items():
            if key not in before and parameter.get("required"):
                self.say(f"the new {key[0]} parameter {key[1]} has to be sent.")

    def _named(self, root: Json, operation: Json) -> dict[tuple[str, str], Json]:
        found = [_resolved(root, parameter) for parameter in operation.get("parameters", [])]
        return {(parameter["in"], parameter["name"]): parameter for parameter in found}

    def _body(self, was: Json, now: Json) -> None:
        before, after = (_resolved(root, op.get("requestBody", {})) for root, op in ((self.old, was), (self.new, now)))
        if after.get("required") and not before.get("required"):
            self.say("a body has to be sent now.")
        for kind, media in before.get("content", {}).items():
            if kind not in after.get("content", {}):
                self.say(f"a body of {kind} is not taken any more.")
            else:
                self._sent("the body", media.get("schema", {}), after["content"][kind].get("schema", {}), ())

    def _answers(self, was: Json, now: Json) -> None:
        for status, answer in was.get("responses", {}).items():
            if status not in now.get("responses", {}):
                self.say(f"there is no answer {status} any more.")
                continue
            before, after = _resolved(self.old, answer), _resolved(self.new, now["responses"][status])
            for header in before.get("headers", {}):
                if header not in after.get("headers", {}):
                    self.say(f"the answer {status} has no header {header} any more.")
            for kind, media in before.get("content", {}).items():
                if kind not in after.get("content", {}):
                    self.say(f"the answer {status} comes as {kind} no more.")
                else:
                    schema = after["content"][kind].get("schema", {})
                    self._told(f"the answer {status}", media.get("schema", {}), schema, ())

    def _sent(self, where: str, was: Json, now: Json, seen: tuple[Any, ...]) -> None:
        """What could be sent must still be taken."""
        before, after = _flat(self.old, was), _flat(self.new, now)
        if after.types and (lost := (before.types or {"anything"}) - _taken(after.types)):
            self.say(f"{where} may not be {_listed(lost)} any more.")
        if after.enum is not None:
            if before.enum is None:
                self.say(f"{where} has to be one of {_listed(after.enum)} now.")
            elif lost_values := [value for value in before.enum if value not in after.enum]:
                self.say(f"{where} may not be {_listed(lost_values)} any more.")
        self._bounds(where, before.rest, after.rest)
        if (inside := (before.refs, after.refs)) in seen:
            return
        seen = (*seen, inside) if before.refs else seen
        for name in sorted(after.required - before.required):
            new = "" if name in before.properties else "new "
            self.say(f"the {new}member {name} of {where} has to be sent.")
        for name, inner in before.properties.items():
            if name in after.properties:
                self._sent(f"{where}, {name}", inner, after.properties[name], seen)
            elif after.closed:
                self.say(f"{where} may not have the member {name} any more.")
        if after.closed and not before.closed:
            self.say(f"{where} may have no members any more that are not named.")
        if before.items is not None and after.items is not None:
            self._sent(f"each of {where}", before.items, after.items, seen)

    def _bounds(self, where: str, was: Json, now: Json) -> None:
        for name in (*_MOST, *_LEAST):
            if name not in now:
                continue
            tighter = name not in was or (now[name] < was[name] if name in _MOST else now[name] > was[name])
            if tighter:
                self.say(f"{where} has a tighter {name}: {now[name]}, not {was.get(name, 'any')}.")
        for name in ("pattern", "format", "multipleOf", "const"):
            if name in now and now[name] != was.get(name):
                self.say(f"{where} has another {name}: {now[name]}, not {was.get(name, 'any')}.")

    def _told(self, where: str, was: Json, now: Json, seen: tuple[Any, ...]) -> None:
        """What was understood must still come, and as what it was."""
        before, after = _flat(self.old, was), _flat(self.new, now)
        if before.types and (added := (after.types or {"anything"}) - _taken(before.types)):
            self.say(f"{where} can be {_listed(added)} now, not only {_listed(before.types)}.")
        if before.types and (after.types and not before.types & _taken(after.types)):
            self.say(f"{where} is never {_listed(before.types)} any more.")
        if before.enum is not None and after.enum is None:
            self.say(f"{where} is not one of {_listed(before.enum)} any more, but anything.")
        elif before.enum is not None and (gone := [value for value in before.enum if value not in (after.enum or [])]):
            self.say(f"{where} is never {_listed(gone)} any more.")
        if before.rest.get("format") != after.rest.get("format") and "format" in before.rest:
            self.say(f"{where} has the format {after.rest.get('format')}, not {before.rest['format']} any more.")
        if (inside := (before.refs, after.refs)) in seen:
            return
        seen = (*seen, inside) if before.refs else seen
        for name, inner in before.properties.items():
            if name not in after.properties:
                self.say(f"{where} has no member {name} any more.")
                continue
            if name in before.required and name not in after.required:
                self.say(f"{where} can lack the member {name} now.")
            self._told(f"{where}, {name}", inner, after.properties[name], seen)
        if before.items is not None and after.items is not None:
            self._told(f"each of {where}", before.items, after.items, seen)


def _resolved(root: Json, part: Json) -> Json:
    while "$ref" in part:
        target: Any = root
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = {**target, **{name: value for name, value in part.items() if name != "$ref"}}
    return part


def _flat(root: Json, schema: Json) -> _Flat:
    refs = frozenset([schema["$ref"]] if "$ref" in schema else [])
    schema = _resolved(root, schema)
    given = schema.get("type", "object" if "properties" in schema else [])
    found = _Flat(
        types={given} if isinstance(given, str) else set(given),
        enum=schema.get("enum", [schema["const"]] if "const" in schema else None),
        properties=dict(schema.get("properties", {})),
        required=set(schema.get("required", [])),
        items=schema.get("items"),
        closed=schema.get("additionalProperties") is False,
        rest={name: value for name, value in schema.items() if not isinstance(value, dict | list)},
        refs=refs,
    )
    for part in schema.get("allOf", []):
        found = _both(found, _flat(root, part))
    for alternatives in ("oneOf", "anyOf"):
        if parts := [_flat(root, part) for part in schema.get(alternatives, [])]:
            found = _both(found, reduce(_either, parts))
    if found.enum is not None and not found.types:
        found.types = {_type_of(value) for value in found.enum}
    return found


def _both(one: _Flat, other: _Flat) -> _Flat:
    return _Flat(
        types=one.types & other.types if one.types and other.types else one.types | other.types,
        enum=one.enum if other.enum is None else other.enum,
        properties={**other.properties, **one.properties},
        required=one.required | other.required,
        items=one.items or other.items,
        closed=one.closed or other.closed,
        rest={**other.rest, **one.rest},
        refs=one.refs | other.refs,
    )


def _either(one: _Flat, other: _Flat) -> _Flat:
    """Laid together so that null beside a schema is the schema, or null."""
    for null, schema in ((one, other), (other, one)):
        if null.types == {"null"}:
            enum = None if schema.enum is None else [*schema.enum, None]
            return replace(schema, types=schema.types | {"null"}, enum=enum)
    return _Flat(
        types=one.types | other.types,
        enum=None if one.enum is None or other.enum is None else [*one.enum, *other.enum],
        properties={**other.properties, **one.properties},
        required=one.required & other.required,
        items=one.items or other.items,
        closed=one.closed and other.closed,
        rest={name: value for name, value in one.rest.items() if other.rest.get(name) == value},
        refs=one.refs | other.refs,
    )


def _taken(types: set[str]) -> set[str]:
    return types | {"integer"} if "number" in types else types


def _type_of(value: Any) -> str:
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (type(None), "null")):
        if isinstance(value, kind):
            return name
    return "object"


def _listed(values: Any) -> str:
    return ", ".join(sorted(str(value) for value in values))
