"""Whoever opened a batch is told once that it is finished, and once that it stands still."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from diagnosis import notices, watching
from diagnosis.models import Analysis, Batch, BatchFile, Event, WorkerSeen

if TYPE_CHECKING:
    from diagnosis.batches.progress import Progress

_AT_ONCE = 100


def reopen(batch_id: int) -> None:
    """New files of a batch, or a person's retry: when it is finished again, that is news again."""
    Batch.objects.filter(pk=batch_id).update(moved_at=timezone.now(), finished_at=None, told_at=None)


def tell_finished(batch: Batch, now_is: Progress) -> bool:
    """Tell whoever opened `batch` what became of it, in the transaction that notes that it is finished; whether it
    was news. A batch that went on without new files or retries (out of the tray) is not told again."""
    if not Batch.objects.filter(pk=batch.pk, told_at=None).update(told_at=timezone.now()):
        return False
    detail = {
        "read": now_is.read,
        "failed": now_is.failed,
        "unread": now_is.unread,
        "duplicate": now_is.duplicate,
        "rejected": now_is.rejected - now_is.replaced,
        "unmatched": now_is.unmatched,
    }
    notices.tell(event=Event.BATCH_FINISHED, batch=batch, users=[batch.created_by], detail=detail)
    return True


def tell_stalled() -> int:
    """Tell of batches whose files have waited for STALL_TOLD_AFTER seconds in which no worker was there, once until
    they are finished; how many.

    No worker can say that there is none: web processes and beat look. One query while a worker is there; safe to run
    anywhere, as often as wanted.
    """
    if watching.workers_seen():
        return 0
    now = timezone.now()
    before = now - timedelta(seconds=settings.STALL_TOLD_AFTER)
    last_seen = WorkerSeen.objects.aggregate(at=Max("seen_at"))["at"]
    if last_seen and last_seen > before:
        return 0
    open_ones = Batch.objects.filter(finished_at=None, stall_told_at=None, created_at__lt=before)
    told = 0
    for batch in open_ones.select_related("created_by").order_by("moved_at")[:_AT_ONCE]:
        files, since = _waiting(batch)
        since = max(since, last_seen or since)
        if not files or since > before:
            continue
        minutes = int((now - since).total_seconds() // 60)
        with transaction.atomic():
            if Batch.objects.filter(pk=batch.pk, stall_told_at=None, finished_at=None).update(stall_told_at=now):
                notices.tell(
                    event=Event.BATCH_STALLED, batch=batch, users=[batch.created_by],
                    detail={"files": files, "minutes": minutes},
                )  # fmt: skip
                told += 1
    return told


def _waiting(batch: Batch) -> tuple[int, datetime]:
    """How many files wait for a worker, and since when none has done anything about them."""
    of_batch = Q(image__batch_files__batch=batch, image__batch_files__state=BatchFile.State.ACCEPTED)
    waits = Q(state__in=(Analysis.State.QUEUED, Analysis.State.RUNNING))
    readings = Analysis.objects.filter(of_batch).aggregate(
        images=Count("image", filter=waits, distinct=True), queued=Min("queued_at", filter=waits),
        began=Max("started_at"), ended=Max("finished_at"),
    )  # fmt: skip
    checks = BatchFile.objects.filter(batch=batch, state=BatchFile.State.RECEIVED).count()
    moments = (readings["queued"] or batch.moved_at, readings["began"], readings["ended"])
    return readings["images"] + checks, max(at for at in moments if at)
