"""Other systems are told what happened: signed, kept until taken, sent again as often as wished.

The audit is the source: every change of a case stands there in the transaction that made it, so what is told is what
happened, nothing twice and nothing lost, and no step needs to know that anybody listens. A message names what changed
and where to read it, never a patient nor what was found. Signatures follow Standard Webhooks 1.0. `docs/webhooks.md`.
"""

from diagnosis.webhooks.endpoints import (
    WebhookRefused,
    change,
    create,
    deliveries,
    named,
    of,
    ping,
    remove,
    renew,
    replay,
)
from diagnosis.webhooks.outbox import collect, send_due
from diagnosis.webhooks.topics import TOPICS

__all__ = [
    "TOPICS",
    "WebhookRefused",
    "change",
    "collect",
    "create",
    "deliveries",
    "named",
    "of",
    "ping",
    "remove",
    "renew",
    "replay",
    "send_due",
]
