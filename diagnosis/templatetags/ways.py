"""Links that remember the list from which a case was opened."""

from __future__ import annotations

from typing import Any

from django import template

from diagnosis.web.lists import along as of_request

register = template.Library()


@register.simple_tag(takes_context=True)
def along(context: dict[str, Any], sign: str = "?") -> str:
    """What a link within the case ends with, "" where no list is known; `sign`: "&" where a query stands already."""
    return of_request(context["request"], sign)
