"""Long lists in pages: `count`, `next`, `previous`, `results`; or walked with a cursor, at the same cost anywhere."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from django.db.models import QuerySet
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from diagnosis.api import RESEARCH_USE_ONLY
from diagnosis.api.problems import Problem

CURSOR = "cursor"


class Pages(PageNumberPagination):
    """`?page=2&page_size=50`; at most 200 at a time.

    `?cursor=` (empty to begin) walks the list instead, in the order in which its rows came into being (`backwards` of
    the view: the newest first): a page begins where the last one ended, whatever was added meanwhile, and nothing is
    counted.
    """

    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"
    page_query_description = "Which page, from 1."
    page_size_query_description = "How many on a page: 1 to 200, 50 unless told."
    invalid_page_message = "There is no such page."
    _next: str | None = None
    _walks = False

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        if CURSOR not in request.query_params:
            return super().paginate_queryset(queryset, request, view)
        for other in ("page", "ordering"):
            if other in request.query_params:
                raise Problem(400, "invalid", f"A cursor walks in an order of its own: leave {other} out.", field=other)
        self._walks = True
        return self._walk(queryset, request, backwards=getattr(view, "backwards", True))

    def _walk(self, queryset: QuerySet[Any], request: Request, *, backwards: bool) -> list[Any]:
        size = self.get_page_size(request) or self.page_size
        last = _position(request.query_params[CURSOR])
        if last is not None:
            queryset = queryset.filter(**{"id__lt" if backwards else "id__gt": last})
        rows = list(queryset.order_by("-id" if backwards else "id")[: size + 1])
        if len(rows) > size:
            rows = rows[:size]
            self._next = replace_query_param(request.build_absolute_uri(), CURSOR, _cursor(rows[-1].pk))
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        if not self._walks:
            return super().get_paginated_response(data)
        return Response({"count": None, "next": self._next, "previous": None, "results": data})

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        page, page_size = super().get_schema_operation_parameters(view)
        page["schema"] = {"type": "integer", "minimum": 1, "default": 1}
        page_size["schema"] = {"type": "integer", "minimum": 1, "maximum": self.max_page_size, "default": 50}
        order = "the newest first" if getattr(view, "backwards", True) else "in the order they came"
        cursor = {
            "name": CURSOR,
            "in": "query",
            "required": False,
            "description": f"Instead of `page`: empty to begin, then as `next` has it. Walks the list {order}, never "
            "twice over a row whatever is added meanwhile, at the same cost anywhere; `count` and `previous` are null. "
            "Filters hold; leave `ordering` out.",
            "schema": {"type": "string"},
        }
        return [page, page_size, cursor]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["count", "next", "previous", "results"],
            "properties": {
                "count": {
                    "type": ["integer", "null"],
                    "minimum": 0,
                    "example": 1,
                    "description": "Of all pages; null with `cursor`.",
                },
                "next": {**link, "example": None},
                "previous": {**link, "example": None},
                "results": schema,
            },
        }


class OpinionPages(Pages):
    """Pages of a list that shows what the networks think; each says that it is for research only."""

    def get_paginated_response(self, data: Any) -> Response:
        response = super().get_paginated_response(data)
        response.data["research_use_only"] = RESEARCH_USE_ONLY
        return response

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        page = super().get_paginated_response_schema(schema)
        page["properties"]["research_use_only"] = {"type": "string", "enum": [RESEARCH_USE_ONLY]}
        page["required"].append("research_use_only")
        return page


def _cursor(last: int) -> str:
    return base64.urlsafe_b64encode(str(last).encode()).decode().rstrip("=")


def _position(cursor: str) -> int | None:
    """The id that a page ended with; None at the beginning. Raises `Problem` (400)."""
    if not cursor:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    if not text.isdecimal() or len(text) > 18:
        words = "This is no cursor of ours. Leave it empty to begin, then send it as `next` has it."
        raise Problem(400, "invalid", words, field=CURSOR)
    return int(text)
