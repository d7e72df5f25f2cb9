"""What a worker process does besides reading: refuse unfit limits, load the networks, say that it lives."""

from __future__ import annotations

import logging
import os
import socket
import threading
from pathlib import Path
from typing import Any

from celery import current_app
from celery.signals import beat_init, worker_init, worker_process_init, worker_process_shutdown, worker_ready
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from diagnosis import analysis, checks, mail, queue, watching
from diagnosis.batches import telling
from diagnosis.models import Analysis

logger = logging.getLogger(__name__)

_stopping = threading.Event()


def name() -> str:
    """This process: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


@worker_init.connect
@beat_init.connect
def refuse_unfit_limits(**_: Any) -> None:
    try:
        checks.require_fit_limits()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from error  # Celery's signals swallow anything less


@beat_init.connect
def watch(**_: Any) -> None:
    """Beat outlives the workers, and says so where they cannot."""
    threading.Thread(target=_watch_until_stopped, name="watch", daemon=True).start()


@worker_ready.connect
def look_around(**_: Any) -> None:
    """Whatever waits from before this worker started is found at once, not at the next turn of the sweep."""
    current_app.send_task("diagnosis.tasks.sweep")


@worker_process_init.connect
def begin(**_: Any) -> None:
    """In each process that reads (Celery's signals log what fails here; the process still serves, loading later)."""
    _stopping.clear()
    threading.Thread(target=_beat_until_stopped, name="heartbeat", daemon=True).start()
    queue.reclaim_from(_dead_neighbours())
    analysis.preload()


@worker_process_shutdown.connect
def end(**_: Any) -> None:
    _stopping.set()
    watching.farewell(worker=name())


def _beat_until_stopped() -> None:
    """Say every WORKER_HEARTBEAT seconds that this process lives, also in the midst of a long batch."""
    while True:
        try:
            watching.heartbeat(worker=name(), engine=analysis.engine_name())
        except Exception as error:  # a database that restarts must not end the heartbeat
            logger.warning("No heartbeat this time: %s", error)
        finally:
            connections.close_all()
        if _stopping.wait(settings.WORKER_HEARTBEAT):
            return


def _watch_until_stopped() -> None:
    """Every TELL_EVERY seconds, where no worker is there: tell of batches that stand still, and send what is due."""
    while not _stopping.wait(settings.TELL_EVERY):
        try:
            if not watching.workers_seen():
                telling.tell_stalled()
                mail.send_due()
        except Exception as error:  # as above
            logger.warning("Nobody was told this time: %s", error)
        finally:
            connections.close_all()


def _dead_neighbours() -> set[str]:
    """Workers of this host that hold leases but whose process is gone (or was this one's namesake)."""
    host = f"{socket.gethostname()}:"
    holders = Analysis.objects.filter(state=Analysis.State.RUNNING, worker__startswith=host)
    return {
        holder
        for holder in holders.order_by().values_list("worker", flat=True).distinct()
        if holder == name() or not _alive(int(holder.removeprefix(host)))
    }


def _alive(pid: int) -> bool:
    """Whether a process runs. One that has ended but was not yet waited for (a zombie, as a container whose first
    process does not reap keeps them) answers signals, but reads nothing any more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:  # no /proc on this system, or gone by now: the lease decides
        return True
