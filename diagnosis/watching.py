"""What is seen of the queue and of who works on it: how much waits, since when, and which worker processes live."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Min
from django.utils import timezone

from diagnosis.models import Analysis, ModelRelease, ReadingTally, WorkerSeen

State = Analysis.State
#: What a count of the queue looks at: all but the finished, which are nearly all rows there are.
_UNFINISHED = (State.QUEUED, State.RUNNING, State.FAILED)
#: A reading may be committed so long after the time that it carries.
_LATE = timedelta(minutes=10)
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


def done_by_release() -> dict[int, int]:
    """By release, how many analyses are done: those of the tally and what was done since. Two queries, which cost the
    same however many there are, once `tally_done` has run."""
    counted: Counter[int] = Counter()
    until = None
    for tally in ReadingTally.objects.all():
        counted[tally.release_id] += tally.done
        until = tally.until
    counted.update(_done(since=until))
    return dict(counted)


def tally_done() -> None:
    """Count on what was done since the last tally, but for the latest few minutes, in which something may still be
    committed with an earlier time. For the worker, every minute; safe to run twice at once, for each writes whole
    sums that belong to its moment."""
    until = timezone.now() - _LATE
    kept = {tally.release_id: tally for tally in ReadingTally.objects.all()}
    since = next((tally.until for tally in kept.values()), None)
    fresh = _done(since=since, until=until)
    ReadingTally.objects.bulk_create(
        [
            ReadingTally(release_id=pk, until=until, done=(kept[pk].done if pk in kept else 0) + fresh.get(pk, 0))
            for pk in ModelRelease.objects.order_by("pk").values_list("pk", flat=True)
        ],
        update_conflicts=True,
        unique_fields=["release"],
        update_fields=["until", "done"],
    )


def _done(*, since: datetime | None = None, until: datetime | None = None) -> dict[int, int]:
    """By release, how many analyses were done from `since` on and before `until`."""
    rows = Analysis.objects.filter(state=State.DONE)
    rows = rows.filter(finished_at__gte=since) if since else rows
    rows = rows.filter(finished_at__lt=until) if until else rows
    return dict(rows.order_by().values_list("release").annotate(n=Count("pk")))


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
