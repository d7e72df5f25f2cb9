"""Celery's doors. Messages carry nothing: a worker that is woken looks into the database."""

import time

from celery import shared_task

from diagnosis import analysis, queue, worker
from diagnosis.waking import wake_workers

#: One message keeps a process for about so many seconds; then it sends the next one, so that sweeps get their turn
#: and a worker that is to stop stops soon.
TURN = 10.0


@shared_task
def wake() -> None:
    """Read batches until nothing waits."""
    until = time.monotonic() + TURN
    while analysis.run_batch(worker=worker.name()):
        if time.monotonic() > until:
            wake_workers()
            return


@shared_task
def sweep() -> None:
    """Reclaim what was lost and wake for what waits: beat's turn every SWEEP_EVERY seconds."""
    queue.sweep()
