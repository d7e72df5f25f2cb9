"""The number on the bell."""

from __future__ import annotations

from django import template

from accounts.permissions import Actor
from diagnosis import notices

register = template.Library()


@register.simple_tag
def unread(actor: Actor) -> int:
    return notices.unread(actor)
