"""What can be told, and how a message says it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils import timezone

from diagnosis.models import AuditEvent


@dataclass(frozen=True, slots=True)
class Topic:
    """`actions`: of the audit (`audit_words.WORDS`), each of which is one message."""

    says: str
    actions: frozenset[str]


TOPICS = {
    "case.created": Topic("A case was opened", frozenset({"case.created"})),
    "image.received": Topic("A picture was stored and waits to be read", frozenset({"image.accepted"})),
    "image.read": Topic("A network has read a picture", frozenset({"image.read"})),
    "image.failed": Topic("A picture could not be read", frozenset({"image.failed"})),
    "image.decided": Topic(
        "People decided on pictures, or took that back",
        frozenset({"image.decided", "images.decided", "images.undone", "images.redone"}),
    ),
    "report.signed": Topic("A report, or a new version of one, was signed", frozenset({"report.signed"})),
    "report.amending": Topic("A signed report was opened for an amendment", frozenset({"report.amending"})),
}
#: Sent when an administrator tries an address out.
PING = "ping"
_OF = {action: name for name, topic in TOPICS.items() for action in topic.actions}


def topic_of(action: str) -> str:
    return _OF[action]


def actions_of(topics: list[str]) -> set[str]:
    return {action for name in topics if name in TOPICS for action in TOPICS[name].actions}


def message(event: AuditEvent) -> str:
    """The body of a message: what changed and where to read it. No name, no number, no finding."""
    data: dict[str, Any] = {"case": event.case_id}
    kind, _, number = event.subject.partition(" ")
    if kind == "image" and number.isdecimal():
        data["image"] = int(number)
    if images := [each["image"] for each in event.detail.get("images", []) if isinstance(each, dict)]:
        data["images"] = images
    if kind == "report" and number.isdecimal():
        data["version"] = int(number)
    data["links"] = {
        "case": f"{settings.PUBLIC_URL}/api/v1/cases/{event.case_id}/",
        "report": f"{settings.PUBLIC_URL}/fhir/R4/DiagnosticReport/{event.case_id}",
    }
    if "image" in data:
        data["links"]["image"] = f"{settings.PUBLIC_URL}/api/v1/images/{data['image']}/"
    return _json(topic_of(event.action), event.at.isoformat(), data)


def ping() -> str:
    return _json(PING, timezone.now().isoformat(), {})


def _json(topic: str, at: str, data: dict[str, Any]) -> str:
    return json.dumps({"type": topic, "timestamp": at, "data": data}, separators=(",", ":"))
