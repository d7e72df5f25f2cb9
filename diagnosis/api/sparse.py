"""`?fields=id,status,reading.label`: an answer with the members that were asked for and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from diagnosis.api.problems import MEDIA_TYPE, Problem

PARAMETER = "fields"
#: Stands in every answer that has it, whatever was asked for.
ALWAYS = "research_use_only"
_LONGEST = 2_000

#: Member → what is inside of it: None for a plain value, ANYTHING where the names are not known before.
Known = dict[str, "Known | None"]
Wanted = dict[str, "Wanted | None"]
ANYTHING: Known = {}
_KNOWN: dict[type[serializers.BaseSerializer[Any]], Known] = {}

if TYPE_CHECKING:
    _Base = APIView
else:
    _Base = object


class Sparse(_Base):
    # No docstring: see `Door`.
    #: What a GET answers (each of its `results`, for a list); without one `fields` is not known there.
    shape: ClassVar[type[serializers.BaseSerializer[Any]] | None] = None
    _wanted: Wanted | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.shape is not None and request.method in {"GET", "HEAD"} and PARAMETER in request.query_params:
            self._wanted = wanted(request.query_params.getlist(PARAMETER), known(self.shape))

    def asks(self, member: str) -> bool:
        """Whether a member is wanted at all, so that what costs much is not made to be left out."""
        return self._wanted is None or member in self._wanted

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        if self._wanted is not None and isinstance(response, Response) and response.status_code == 200:
            data: Any = response.data
            if {"next", "results"} <= data.keys():
                response.data = {**data, "results": [pruned(each, self._wanted) for each in data["results"]]}
            else:
                response.data = pruned(data, {**self._wanted, ALWAYS: None})
        return response


def everywhere(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook: `fields` is known wherever JSON is read."""
    result["components"].setdefault("parameters", {})["Fields"] = {
        "name": PARAMETER,
        "in": "query",
        "description": "Only these members of the answer, or of each of its `results`: names by comma, with a dot for "
        "what is inside (`id,status,reading.label`). A name that is not known is refused (400), and those that are "
        f"known are listed. `{ALWAYS}` always comes.",
        "schema": {"type": "string", "maxLength": _LONGEST},
    }
    for methods in result["paths"].values():
        operation = methods.get("get", {})
        if "application/json" in operation.get("responses", {}).get("200", {}).get("content", {}):
            operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/Fields"})
            content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
            refused = {"description": "A name of `fields` that is not known.", "content": content}
            operation["responses"].setdefault("400", refused)
    return result


def wanted(given: list[str], names: Known) -> Wanted:
    """What was asked for, as a tree. Raises `Problem` (400) in words for a name that is not among `names`."""
    asked = [path for path in (part.strip() for part in ",".join(given).split(",")) if path]
    if sum(map(len, asked)) > _LONGEST:
        raise _refused(f"At most {_LONGEST} characters of names are read.")
    if not asked:
        raise _refused(f"Name the members that you want, by comma. Known are: {', '.join(names)}.")
    tree: Wanted = {}
    for path in asked:
        inside: Wanted | None = tree
        here: Known | None = names
        *parents, last = path.split(".")
        for depth, name in enumerate([*parents, last]):
            if here is None or (here is not ANYTHING and name not in here):
                raise _unknown(path, path.split(".")[:depth], here)
            here = ANYTHING if here is ANYTHING else here[name]
            if inside is None:  # all of the parent was asked for already
                continue
            if depth == len(parents):
                inside[name] = None
            else:
                inside = inside.setdefault(name, {})
    return tree


def pruned(data: Any, tree: Wanted | None) -> Any:
    if tree is None:
        return data
    if isinstance(data, list):
        return [pruned(each, tree) for each in data]
    if isinstance(data, dict):
        return {name: pruned(value, tree[name]) for name, value in data.items() if name in tree}
    return data


def known(shape: type[serializers.BaseSerializer[Any]]) -> Known:
    """The members that a serializer answers, with what is inside of them."""
    if shape not in _KNOWN:
        _KNOWN[shape] = _members(shape())
    return _KNOWN[shape]


def _members(serializer: Any) -> Known:
    return {name: _inside(serializer, name, field) for name, field in serializer.fields.items()}


def _inside(serializer: Any, name: str, field: Any) -> Known | None:
    if isinstance(field, serializers.SerializerMethodField):
        method = getattr(serializer, f"get_{name}")
        field = getattr(method, "_spectacular_annotation", {}).get("field")
    if isinstance(field, type) and issubclass(field, serializers.BaseSerializer):
        field = field()
    child = getattr(field, "child", None)
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        field = child
    if isinstance(field, serializers.Serializer):
        return _members(field)
    if isinstance(field, serializers.DictField | serializers.JSONField) or (
        isinstance(field, dict) and field.get("type") == "object"
    ):
        return ANYTHING
    return None


def _unknown(path: str, parents: list[str], here: Known | None) -> Problem:
    if here is None:
        return _refused(f"There is nothing inside of {'.'.join(parents)}, so not {path}.")
    where = f"In {'.'.join(parents)} known" if parents else "Known"
    return _refused(f"{path[:100]} is not known here. {where} are: {', '.join(here)}.")


def _refused(words: str) -> Problem:
    return Problem(400, "unknown_fields", words, field=PARAMETER)
