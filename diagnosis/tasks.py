"""Celery's doors. Messages carry nothing: a worker that is woken looks into the database."""

import time

from celery import shared_task
from django.conf import settings

from accounts.models import Laboratory
from diagnosis import analysis, dashboard, mail, notices, queue, repeats, watching, webhooks, worker
from diagnosis.batches import progress
from diagnosis.waking import wake_workers

#: One message keeps a process for about so many seconds at most; then it sends the next one, so that sweeps get their
#: turn and a worker that is to stop stops soon.
TURN = 10.0


@shared_task
def wake() -> None:
    """Read batches until nothing waits."""
    # The time limit runs for the whole turn: the last batch begins early enough to take a third of it (see run_batch).
    until = time.monotonic() + min(TURN, settings.ANALYSIS_SOFT_LIMIT / 3)
    while analysis.run_batch(worker=worker.name()):
        if time.monotonic() > until:
            wake_workers()
            return


@shared_task
def sweep() -> None:
    """Reclaim what was lost, wake for what waits, forget answers that were kept long enough: beat's turn every
    SWEEP_EVERY seconds."""
    queue.sweep()
    repeats.forget()


@shared_task
def take_in() -> None:
    """Settle what came whole, unpack zips, give up what never came: beat's turn every SWEEP_EVERY seconds."""
    progress.sweep()


@shared_task
def tally() -> None:
    """Count what was read, and what was decided for the laboratories' figures: beat's turn each TALLY_EVERY seconds."""
    watching.tally_done()
    for laboratory in Laboratory.objects.all():
        dashboard.tally(laboratory=laboratory)


@shared_task
def tell() -> None:
    """Say which cases have become late, and send the mails that are due: beat's turn every TELL_EVERY seconds."""
    notices.tell_late()
    mail.send_due()


@shared_task
def deliver() -> None:
    """Tell other systems what happened: beat's turn every TELL_EVERY seconds."""
    webhooks.collect()
    webhooks.send_due()
