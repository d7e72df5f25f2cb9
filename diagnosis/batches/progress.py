"""How far a batch is, counted from the rows, so that it is the same after any restart; and the sweep behind it."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict

from django.db import transaction
from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from accounts.permissions import Action, Actor, require
from diagnosis import audit, queue, watching
from diagnosis.batches import arriving, settling, store, telling
from diagnosis.batches.opening import NEEDS
from diagnosis.models import Analysis, Batch, BatchFile, SmearImage

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

State = BatchFile.State
NO_WORKER = (
    "No worker is there. Everything that came is safe, but nothing is read until one starts. Tell whoever runs the "
    "server."
)
_RECENT = timedelta(minutes=2)  # of which the speed of reading is told
_QUIET = timedelta(seconds=5)  # after the last arrival a batch may count as finished
_LIE_ABOUT = 3600.0  # seconds
_SWEEP_FOR = 10.0  # seconds, see diagnosis.tasks


@dataclass(frozen=True, slots=True)
class Progress:
    """Files of one batch by what has become of them. Zips count by their members once they are unpacked."""

    files: int
    bytes: int
    receiving: int
    checking: int  # came whole, not settled yet
    accepted: int
    duplicate: int
    rejected: int  # or never came whole
    replaced: int  # of the rejected: another file took its place
    unmatched: int
    discarded: int
    flagged: int  # accepted or unmatched, with something to say about their quality
    waiting: int  # accepted images whose reading has not begun
    reading: int
    read: int
    failed: int
    unread: int  # accepted, and no network was asked
    retryable: int  # rejected for something of ours, with their bytes kept
    seconds_left: float | None  # until all is read; None: not known
    no_worker: bool  # something waits and no worker has been heard of

    @property
    def needs(self) -> int:
        """Files that somebody has to do something about."""
        return self.rejected - self.replaced + self.unmatched

    @property
    def received(self) -> int:
        """Files of which nothing more is awaited."""
        return self.files - self.receiving

    @property
    def checked(self) -> int:
        """Files that have their outcome."""
        return self.received - self.checking

    @property
    def to_read(self) -> int:
        return self.waiting + self.reading

    @property
    def time_left(self) -> timedelta | None:
        return None if self.seconds_left is None else timedelta(seconds=self.seconds_left)

    @property
    def is_moving(self) -> bool:
        return bool(self.receiving or self.checking or self.to_read)

    @property
    def state(self) -> str:
        """One word: empty, receiving, reading or done; done leaves what `needs` somebody."""
        if not self.files:
            return "empty"
        if self.receiving or self.checking:
            return "receiving"
        return "reading" if self.to_read else "done"

    @property
    def warning(self) -> str:
        """What whoever waits for the batch should know, or nothing."""
        return NO_WORKER if self.no_worker else ""


def progress(batch: Batch) -> Progress:
    """Five or six queries, however many files there are."""
    files = BatchFile.objects.filter(batch=batch)
    by_state: Counter[str] = Counter()
    size = 0
    for state, count, length in files.order_by().values_list("state").annotate(n=Count("pk"), b=Sum("length")):
        by_state[state] = count
        size += length if state not in (State.OPENED, State.CANCELLED) else 0
    images = _readings(batch)
    waits = images["queued"] + images["running"]
    return Progress(
        files=sum(by_state.values()) - by_state[State.OPENED] - by_state[State.CANCELLED],
        bytes=size,
        receiving=by_state[State.RECEIVING],
        checking=by_state[State.RECEIVED],
        accepted=by_state[State.ACCEPTED],
        duplicate=by_state[State.DUPLICATE],
        rejected=by_state[State.REJECTED] + by_state[State.EXPIRED],
        replaced=files.filter(state__in=NEEDS).exclude(replaced_by=None).distinct().count(),
        unmatched=by_state[State.UNMATCHED],
        discarded=by_state[State.DISCARDED],
        flagged=files.filter(state__in=(State.ACCEPTED, State.UNMATCHED)).exclude(flags=[]).count(),
        waiting=images["queued"],
        reading=images["running"],
        read=images["all"] - waits - images["failed"] - images["unread"],
        failed=images["failed"],
        unread=images["unread"],
        retryable=files.filter(state=State.REJECTED, code__in=settling.TRANSIENT).count(),
        seconds_left=_seconds_left(batch, waits) if waits else None,
        no_worker=bool(waits or by_state[State.RECEIVED]) and not watching.workers_seen(),
    )


class _Marks(TypedDict):
    is_failed: bool
    is_running: bool
    is_queued: bool
    is_asked: bool


def accepted_images(batch: Batch) -> QuerySet[WithAnnotations[SmearImage, _Marks]]:
    """The images that this batch brought, each marked by the state of its analyses."""
    asked = Analysis.objects.filter(image=OuterRef("pk"), release__task=OuterRef("kind"))
    return SmearImage.objects.filter(batch_files__batch=batch, batch_files__state=State.ACCEPTED).annotate(
        is_failed=Exists(asked.filter(state=Analysis.State.FAILED)),
        is_running=Exists(asked.filter(state=Analysis.State.RUNNING)),
        is_queued=Exists(asked.filter(state=Analysis.State.QUEUED)),
        is_asked=Exists(asked),
    )


def unreadable(batch: Batch) -> QuerySet[WithAnnotations[SmearImage, _Marks]]:
    """The images that this batch brought and no network could read, with nothing left to try."""
    return accepted_images(batch).filter(is_failed=True, is_running=False, is_queued=False)


def _readings(batch: Batch) -> dict[str, int]:
    """Images of the batch: failed, running, queued, unread (nobody was asked), all. One with work left waits, whatever
    else failed."""
    waits = Q(is_running=True) | Q(is_queued=True)
    return accepted_images(batch).aggregate(
        failed=Count("pk", filter=~waits & Q(is_failed=True)),
        running=Count("pk", filter=Q(is_running=True)),
        queued=Count("pk", filter=Q(is_running=False, is_queued=True)),
        unread=Count("pk", filter=Q(is_asked=False)),
        all=Count("pk"),
    )


def _seconds_left(batch: Batch, waiting: int) -> float | None:
    """From how fast analyses of this batch ended lately."""
    now = timezone.now()
    ended = Analysis.objects.filter(
        image__batch_files__batch=batch, state=Analysis.State.DONE, finished_at__gt=now - _RECENT
    )
    seen = ended.aggregate(n=Count("image", distinct=True), first=Min("finished_at"))
    if not seen["n"] or seen["n"] < 3:
        return None
    seconds = max((now - seen["first"]).total_seconds(), 1.0)
    return float(waiting * seconds / seen["n"])


def retry(*, actor: Actor, batch: Batch) -> int:
    """Read again what failed to be read, and settle again what failed for something of ours; how many files."""
    require(actor, Action.RETRY_ANALYSIS)
    failed = accepted_images(batch).filter(is_failed=True).select_related("case").order_by("id")
    count = sum(bool(queue.retry(actor=actor, image=image)) for image in failed)
    count += settling.again(BatchFile.objects.filter(batch=batch, state=State.REJECTED, code__in=settling.TRANSIENT))
    if count:
        telling.reopen(batch.pk)
    return count


def retry_file(*, actor: Actor, file: BatchFile) -> bool:
    """The same for one file; False where nothing of it has failed."""
    require(actor, Action.RETRY_ANALYSIS)
    if file.state == State.ACCEPTED and file.image is not None:
        tried = bool(queue.retry(actor=actor, image=file.image))
    else:
        tried = bool(settling.again([file] if file.state == State.REJECTED else []))
    if tried:
        telling.reopen(file.batch_id)
    return tried


def sweep() -> None:
    """Take up what came whole and was forgotten, give up what never came whole, note which batches are finished.

    Safe to run at any time, anywhere, as often as wanted; it takes about ten seconds at most.
    """
    until = time.monotonic() + _SWEEP_FOR
    arriving.expire()
    for file in BatchFile.objects.filter(state=State.RECEIVING).order_by("id").iterator(chunk_size=500):
        arriving.note_whole(file)
        if time.monotonic() > until:
            return
    settling.settle_waiting(until=until)
    _clear()
    quiet = Batch.objects.filter(finished_at=None, moved_at__lt=timezone.now() - _QUIET)
    for batch in quiet.select_related("laboratory", "created_by").order_by("moved_at")[:100]:
        _finish(batch)


def _clear() -> None:
    """Remove bytes that nobody needs: their process died between the outcome and their removal."""
    old = list(itertools.islice(store.older_than(_LIE_ABOUT), 2_000))
    kept = Q(state__in=(State.RECEIVING, State.RECEIVED, State.UNMATCHED)) | Q(code__in=settling.TRANSIENT)
    needed = set(BatchFile.objects.filter(kept, upload__in=old).values_list("upload", flat=True))
    for upload in old:
        if upload not in needed:
            store.remove(upload)


def _finish(batch: Batch) -> None:
    """Note that nothing of a batch arrives, waits or is being read any more, once each time that this comes true, and
    tell whoever opened it."""
    now_is = progress(batch)
    if now_is.is_moving or not now_is.files:
        return
    with transaction.atomic():
        untouched = Batch.objects.filter(pk=batch.pk, finished_at=None, moved_at=batch.moved_at)
        if not untouched.update(finished_at=timezone.now(), stall_told_at=None):
            return
        audit.record(
            actor=None, laboratory=batch.laboratory, action="batch.finished", subject=f"batch {batch.pk}",
            name=batch.name, accepted=now_is.accepted, duplicate=now_is.duplicate, rejected=now_is.rejected,
            unmatched=now_is.unmatched, failed=now_is.failed,
        )  # fmt: skip
        telling.tell_finished(batch, now_is)
