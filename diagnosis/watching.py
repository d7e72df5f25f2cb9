"""What is seen of the queue and of who works on it: how much waits, since when, and which worker processes live."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Min
from django.utils import timezone

from diagnosis.models import Analysis, WorkerSeen

State = Analysis.State
#: What a count of the queue looks at: all but the finished, which are nearly all rows there are.
_UNFINISHED = (State.QUEUED, State.RUNNING, State.FAILED)
_FORGET_WORKERS = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QueueCounts:
    queued: int
    running: int
    failed: int
    oldest_seconds: float  # how long the oldest of the queued and running has waited; 0 where nothing waits


def counts() -> QueueCounts:
    """How many analyses wait, are being read and have failed, and how long the oldest waits.

    One query that reads only these by the index of states, so that it costs the same however many are done.
    """
    rows = Analysis.objects.filter(state__in=_UNFINISHED).order_by().values_list("state")
    found = {state: (n, oldest) for state, n, oldest in rows.annotate(n=Count("pk"), oldest=Min("queued_at"))}
    number = {state: found[state][0] if state in found else 0 for state in _UNFINISHED}
    waits = [found[state][1] for state in (State.QUEUED, State.RUNNING) if state in found]
    return QueueCounts(
        queued=number[State.QUEUED],
        running=number[State.RUNNING],
        failed=number[State.FAILED],
        oldest_seconds=max(0.0, (timezone.now() - min(waits)).total_seconds()) if waits else 0.0,
    )


def heartbeat(*, worker: str, engine: str) -> None:
    """Note that a worker process lives. `engine`: what it reads with, e.g. "onnxruntime cpu"."""
    now = timezone.now()
    if not WorkerSeen.objects.filter(name=worker).update(seen_at=now, engine=engine):
        WorkerSeen.objects.update_or_create(name=worker, defaults={"seen_at": now, "engine": engine, "started_at": now})


def farewell(*, worker: str) -> None:
    """A worker process ends in good order."""
    WorkerSeen.objects.filter(name=worker).delete()


def forget_workers() -> None:
    """Drop what stopped without a farewell and has been silent for a day."""
    WorkerSeen.objects.filter(seen_at__lt=timezone.now() - _FORGET_WORKERS).delete()


def worker_silence() -> float:
    """Seconds after which a worker process that said nothing counts as gone."""
    return max(15.0, 3.0 * settings.WORKER_HEARTBEAT)


def workers_seen() -> int:
    """How many worker processes live."""
    since = timezone.now() - timedelta(seconds=worker_silence())
    return WorkerSeen.objects.filter(seen_at__gte=since).count()
