"""Long lists in pages: `count`, `next`, `previous`, `results`."""

from __future__ import annotations

from typing import Any

from rest_framework.pagination import PageNumberPagination
from rest_framework.response import Response

from diagnosis.api import RESEARCH_USE_ONLY


class Pages(PageNumberPagination):
    """`?page=2&page_size=50`; at most 200 at a time."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"
    page_query_description = "Which page, from 1."
    page_size_query_description = "How many on a page: 1 to 200, 50 unless told."
    invalid_page_message = "There is no such page."

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        page, page_size = super().get_schema_operation_parameters(view)
        page["schema"] = {"type": "integer", "minimum": 1, "default": 1}
        page_size["schema"] = {"type": "integer", "minimum": 1, "maximum": self.max_page_size, "default": 50}
        return [page, page_size]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["count", "next", "previous", "results"],
            "properties": {
                "count": {"type": "integer", "minimum": 0, "example": 1},
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
