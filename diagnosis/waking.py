"""Telling workers that something waits. Only a hint: whatever gets lost, the periodic sweep says it again."""

from __future__ import annotations

import logging
import time

from celery import current_app

logger = logging.getLogger(__name__)

#: A wake that no worker took for so long is worth nothing: the sweep has sent younger ones since.
EXPIRES = 60
#: After a broker did not answer, this process does not ask it again for so many seconds, so that an upload of a
#: thousand images does not wait a thousand times.
SILENCE = 5.0

_silent_until = 0.0


def wake_workers(messages: int = 1, *, task: str = "diagnosis.tasks.wake") -> bool:
    """Send `messages` wakes, one for each worker process that should start; False where the broker does not answer.

    Never raises and never waits long: at most one reconnect, each attempt bounded by the broker's connect timeout.
    """
    global _silent_until
    if time.monotonic() < _silent_until:
        return False
    try:
        for _ in range(messages):
            current_app.send_task(
                task,
                expires=EXPIRES,
                retry=True,
                retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0},
            )
    except Exception as error:
        # Whatever the transport raises, the work is safe in the database and must not fail with the message.
        _silent_until = time.monotonic() + SILENCE
        logger.warning("The broker does not answer (%s); the next sweep wakes the workers.", error)
        return False
    return True
