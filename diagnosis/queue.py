"""The queue of record: the only mover of analyses between states.

`queued → running → done | failed`, in the database. A worker *claims* a batch under a lease; a result counts only
while its token still holds the row, so a reading is recorded once, however often a message is delivered or a worker
dies. Whatever gets lost on the way, `sweep` finds. `docs/architecture.md` tells the whole story.

A picture that went wrong once (its process died, its batch ran out of time, its reading raised) is marked `alone` and
from then on read without neighbours, so that a poison picture uses up its own attempts and nobody else's.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.permissions import Action, Actor, require
from diagnosis import assessment, audit, watching
from diagnosis.assessment.telling import tell_failed
from diagnosis.models import Analysis, Case, ModelRelease, SmearImage
from diagnosis.waking import wake_workers

logger = logging.getLogger(__name__)

State = Analysis.State
#: Releases that read what is uploaded: the active ones, and shadows beside them.
READING_STAGES = (ModelRelease.Stage.ACTIVE, ModelRelease.Stage.SHADOW)
#: Rows locked beyond the limit of a claim, so that the last image of a batch comes with all of its analyses.
_MARGIN = 16
_SWEEP_AT_ONCE = 1_000
#: While more of a case is being read, its assessment is this fresh.
_ASSESS_EVERY = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one worker reads next, images together: every row is leased under `token` until `leased_until`."""

    token: uuid.UUID
    analyses: tuple[Analysis, ...]  # with release, image and image.case


@dataclass(frozen=True, slots=True)
class Result:
    """One opinion as it is kept. `activation`: uint8 (classes, h, w) in C order; `seconds`: its share of the batch."""

    probabilities: dict[str, float]
    malignant: float
    novelty: float
    novel: bool
    activation: bytes
    activation_shape: list[int]
    seconds: float
    engine: str


@dataclass(frozen=True, slots=True)
class Swept:
    reclaimed: int  # back in the queue after a lost lease
    exhausted: int  # failed: their attempts are used up
    waiting: int  # analyses that can be claimed now


def enqueue(image: SmearImage) -> list[Analysis]:
    """Ask every release that reads `image.kind` for its opinion of `image`; all analyses of the image for that kind.

    Call it in the transaction that writes the image. Asking twice changes nothing. Where the kind was corrected,
    analyses of the other kind that nobody has begun are withdrawn.
    """
    with transaction.atomic():
        Analysis.objects.filter(image=image, state=State.QUEUED).exclude(release__task=image.kind).delete()
        Analysis.objects.bulk_create(_asked(image), ignore_conflicts=True)
        analyses = list(Analysis.objects.filter(image=image, release__task=image.kind).select_related("release"))
        _wake_for(analysis for analysis in analyses if analysis.state == State.QUEUED)
    return analyses


def enqueue_new(image: SmearImage) -> list[Analysis]:
    """`enqueue` for an image that the same transaction has just written, of which there can be no analysis yet."""
    analyses = Analysis.objects.bulk_create(_asked(image))
    _wake_for(analyses)
    return analyses


def _asked(image: SmearImage) -> list[Analysis]:
    """One analysis, not yet written, for each release that is to read `image`."""
    urgent = image.case.priority == Case.Priority.URGENT
    releases = ModelRelease.objects.filter(task=image.kind, stage__in=READING_STAGES).order_by("network", "id")
    return [Analysis(image=image, release=release, urgent=urgent) for release in releases.defer("card")]


def _wake_for(queued: Iterable[Analysis]) -> None:
    """After the commit, and unless a wake is under way."""
    if first := min((analysis.pk for analysis in queued), default=0):
        transaction.on_commit(partial(_wake_unless_woken, first), robust=True)


def _wake_unless_woken(first: int) -> None:
    """Wake for the analyses from `first` on, unless older ones wait: then their wake is still under way, or a worker
    is working through the queue and will come to these. A thousand uploads send a handful of messages this way."""
    if not _claimable(timezone.now()).filter(pk__lt=first, alone=False).exists():
        wake_workers()


def _claimable(now: datetime) -> QuerySet[Analysis]:
    return Analysis.objects.filter(state=State.QUEUED, not_before__lte=now)


def _locked(rows: QuerySet[Analysis]) -> QuerySet[Analysis]:
    """Rows nobody else holds, where the database can say so; elsewhere (SQLite) the transaction is the only writer."""
    if connection.features.has_select_for_update_skip_locked:
        return rows.select_for_update(skip_locked=True, of=("self",))
    return rows


def claim(*, worker: str, limit: int | None = None, case: Case | None = None) -> Batch:
    """Lease what waits to `worker`: urgent first, then oldest first, at most `limit` analyses (ANALYSIS_BATCH_MAX).

    An image's analyses travel together, so that it is decoded once; an image marked `alone` makes a batch of its
    own. `case`: only what waits there. An empty batch: nothing waits.
    """
    limit = limit or settings.ANALYSIS_BATCH_MAX
    now, token = timezone.now(), uuid.uuid4()
    with transaction.atomic():
        waiting = _claimable(now) if case is None else _claimable(now).filter(image__case=case)
        next_rows = waiting.order_by("-urgent", "image_id", "id").only("id", "image_id", "alone")
        chosen = _first_batch(list(_locked(next_rows)[: limit + _MARGIN]), limit)
        # Compare and set: only what is still queued becomes ours.
        Analysis.objects.filter(pk__in=chosen, state=State.QUEUED).update(
            state=State.RUNNING, attempts=F("attempts") + 1, lease_token=token, leased_until=_lease_end(now),
            worker=worker, started_at=now,
        )  # fmt: skip
    if not chosen:
        return Batch(token, ())
    held = Analysis.objects.filter(lease_token=token, state=State.RUNNING).select_related("release", "image__case")
    large = ("release__card", "image__case__assessment")
    return Batch(token, tuple(held.defer(*large).order_by("-urgent", "image_id", "id")))


def _first_batch(rows: Sequence[Analysis], limit: int) -> list[int]:
    if not rows:
        return []
    if rows[0].alone:
        return [row.pk for row in rows if row.image_id == rows[0].image_id]
    suspects = {row.image_id for row in rows if row.alone}
    chosen: list[Analysis] = []
    for row in rows:
        if row.image_id in suspects:
            continue
        if len(chosen) >= limit and row.image_id != chosen[-1].image_id:
            break
        chosen.append(row)
    return [row.pk for row in chosen] or [row.pk for row in rows if row.image_id == rows[0].image_id]


def _lease_end(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.ANALYSIS_LEASE)


def _held(batch_token: uuid.UUID) -> QuerySet[Analysis]:
    return Analysis.objects.filter(lease_token=batch_token, state=State.RUNNING)


def renew(*, batch_token: uuid.UUID) -> int:
    """Lengthen the lease of what is left of a batch; how many analyses it still holds."""
    return _held(batch_token).update(leased_until=_lease_end(timezone.now()))


def complete(*, batch_token: uuid.UUID, analysis_id: int, result: Result) -> bool:
    """Record an opinion. False, and nothing written, where the lease is no longer ours: someone else reads it."""
    recorded = (
        _held(batch_token)
        .filter(pk=analysis_id)
        .update(
            state=State.DONE,
            error="",
            lease_token=None,
            leased_until=None,
            finished_at=timezone.now(),
            probabilities=result.probabilities,
            malignant=result.malignant,
            novelty=result.novelty,
            novel=result.novel,
            activation=result.activation,
            activation_shape=result.activation_shape,
            seconds=result.seconds,
            engine=result.engine,
        )
    )
    return bool(recorded)


def fail(*, batch_token: uuid.UUID, analysis_ids: Collection[int], error: str, final: bool = False) -> int:
    """An attempt went wrong; how many of these analyses were still ours.

    `final`: no further attempt can help. Otherwise they are read again, alone and after a growing delay, until
    ANALYSIS_MAX_ATTEMPTS; an attempt in the company of others does not count as the last one.
    """
    with transaction.atomic():
        held = _held(batch_token).filter(pk__in=analysis_ids).order_by("id")
        rows = list(_locked(held).select_related("image__case", "release"))
        spent = [row for row in rows if final or _exhausted(row)]
        for row in rows:
            if row not in spent:
                delay = timedelta(seconds=settings.ANALYSIS_RETRY_DELAY * 2 ** (row.attempts - 1))
                _put_back([row], error, not_before=timezone.now() + delay)
        if spent:
            _give_up(spent, error)
    return len(rows)


def release(*, batch_token: uuid.UUID, analysis_ids: Collection[int], delay: float = 0, reason: str = "") -> int:
    """Hand leased analyses back untouched, without counting the attempt; how many were still ours.

    `delay`: seconds before they can be claimed again; `reason`: what this worker lacked, in words.
    """
    return (
        _held(batch_token)
        .filter(pk__in=analysis_ids)
        .update(
            state=State.QUEUED, attempts=F("attempts") - 1, lease_token=None, leased_until=None,
            not_before=timezone.now() + timedelta(seconds=delay), error=reason,
        )
    )  # fmt: skip


def _exhausted(analysis: Analysis) -> bool:
    return analysis.alone and analysis.attempts >= settings.ANALYSIS_MAX_ATTEMPTS


def _put_back(analyses: Iterable[Analysis], error: str, *, not_before: datetime) -> int:
    return Analysis.objects.filter(pk__in=[row.pk for row in analyses], state=State.RUNNING).update(
        state=State.QUEUED, alone=True, lease_token=None, leased_until=None, not_before=not_before, error=error
    )


def _give_up(analyses: Sequence[Analysis], error: str) -> int:
    """Fail `analyses`, say so in their cases' history and reassess the cases."""
    for analysis in analyses:
        Analysis.objects.filter(pk=analysis.pk, state=State.RUNNING).update(
            state=State.FAILED, alone=True, lease_token=None, leased_until=None, finished_at=timezone.now(), error=error
        )
    by_image = {analysis.image_id: analysis for analysis in analyses}
    for analysis in sorted(by_image.values(), key=lambda a: (a.image.case_id, a.image_id)):
        image = analysis.image
        networks = sorted(a.release.network for a in analyses if a.image_id == image.pk)
        audit.record(
            actor=None, action="image.failed", case=image.case, subject=f"image {image.pk}",
            name=image.original_name, networks=networks, error=error,
        )  # fmt: skip
    tell_failed([analysis.image for analysis in by_image.values()])
    reassess(analysis.image.case_id for analysis in analyses)
    return len(analyses)


def reassess(case_ids: Iterable[int], *, while_reading: bool = False) -> None:
    """Recompute the assessment of each case once, in the transaction that changed its evidence and after all that
    this writes; always in the same order, so that no two workers wait for one another.

    `while_reading`: not of a case that was assessed a moment ago while more of it can be read right now, whose
    readings bring the next assessment: else the thousandth picture of a case would cost a look at all thousand.
    The caller holds the case's row, so that of two workers the later one sees that nothing is left.
    """
    for case_id in sorted(set(case_ids)):
        if not (while_reading and _more_comes(case_id)):
            assessment.refresh(case_id)


def _more_comes(case_id: int) -> bool:
    now = timezone.now()
    soon = Q(state=State.RUNNING) | Q(state=State.QUEUED, not_before__lte=now)
    fresh = Case.objects.filter(pk=case_id, status=Case.Status.READING, assessed_at__gt=now - _ASSESS_EVERY)
    return fresh.exists() and Analysis.objects.filter(soon, image__case=case_id).exists()


def retry(*, actor: Actor, image: SmearImage) -> int:
    """A person wants the failed analyses of `image` read again, with fresh attempts; how many there were."""
    require(actor, Action.RETRY_ANALYSIS)
    now = timezone.now()
    with transaction.atomic():
        failed = Analysis.objects.filter(image=image, state=State.FAILED, release__task=image.kind)
        again = list(failed.values_list("pk", flat=True))
        count = Analysis.objects.filter(pk__in=again, state=State.FAILED).update(
            state=State.QUEUED, attempts=0, not_before=now, queued_at=now, finished_at=None, error=""
        )
        if count:
            audit.record(
                actor=actor, action="image.retried", case=image.case, subject=f"image {image.pk}",
                name=image.original_name, analyses=count,
            )  # fmt: skip
            reassess([image.case_id])
            transaction.on_commit(wake_workers, robust=True)
    return count


def follow_priority(case: Case) -> int:
    """Let what is left to read of a case be as urgent as the case is; how many changed. Rows that a worker writes to
    just now are passed over: they are on their way."""
    urgent = case.priority == Case.Priority.URGENT
    left = Analysis.objects.filter(image__case=case, urgent=not urgent).exclude(state=State.DONE)
    rows = [row.pk for row in _locked(left.order_by("id").only("id"))]
    return Analysis.objects.filter(pk__in=rows).update(urgent=urgent)


def sweep() -> Swept:
    """Reclaim lost leases, fail what used up its attempts, wake workers for what waits.

    Safe to run at any time, anywhere, as often as wanted.
    """
    now = timezone.now()
    reclaimed, exhausted = _reclaim(Q(leased_until__lt=now))
    _hand_over_retired()
    watching.forget_workers()
    waiting = _claimable(timezone.now()).count()  # what was just reclaimed among it
    if waiting:
        batches = -(-waiting // settings.ANALYSIS_BATCH_MAX)
        wake_workers(min(batches, max(1, watching.workers_seen())))
    return Swept(reclaimed, exhausted, waiting)


def reclaim_from(workers: Collection[str]) -> int:
    """Take back what worker processes held that are known to be dead, without waiting for the lease to end."""
    reclaimed, exhausted = _reclaim(Q(worker__in=workers))
    return reclaimed + exhausted


def _reclaim(lost: Q) -> tuple[int, int]:
    """What of the running analyses went back into the queue, and what failed because its attempts are used up."""
    with transaction.atomic():
        running = Analysis.objects.filter(lost, state=State.RUNNING).select_related("image__case", "release")
        rows = list(_locked(running.order_by("leased_until"))[:_SWEEP_AT_ONCE])
        spent = [row for row in rows if _exhausted(row)]
        spent_ids = {row.pk for row in spent}
        exhausted = _give_up(
            spent,
            f"The reading process ended {settings.ANALYSIS_MAX_ATTEMPTS} times while it read this picture, the last "
            "times with nothing beside it. Open the picture to check it, then retry or upload it again.",
        ) if spent else 0  # fmt: skip
        reclaimed = _put_back(
            [row for row in rows if row.pk not in spent_ids],
            "The process that read this picture ended before it was done.",
            not_before=timezone.now(),
        )
    return reclaimed, exhausted


def enqueue_unread(task: str) -> int:
    """Enqueue images of `task` that no release was ever asked about (uploaded before models were registered)."""
    unasked = SmearImage.objects.filter(kind=task).exclude(analyses__release__task=task).select_related("case")
    return sum(bool(enqueue(image)) for image in unasked.iterator(chunk_size=500))


def hand_over(*, old: ModelRelease, new: ModelRelease) -> int:
    """Let `new` read what the retired `old` has not read: its queued and failed analyses; how many."""
    with transaction.atomic():
        left = Analysis.objects.filter(release=old, state__in=(State.QUEUED, State.FAILED))
        rows = list(_locked(left.exclude(image__analyses__release=new)).select_related("image"))
        Analysis.objects.filter(pk__in=[row.pk for row in rows]).update(
            release=new, state=State.QUEUED, attempts=0, error="", not_before=timezone.now(), finished_at=None
        )
        # What `new` was asked about anyway is asked once.
        Analysis.objects.filter(release=old, state=State.QUEUED).delete()
        reassess(row.image.case_id for row in rows if row.state == State.FAILED)
        if rows:
            transaction.on_commit(wake_workers, robust=True)
    return len(rows)


def _hand_over_retired() -> None:
    """What came back into the queue for a release that has retired meanwhile goes to the active one."""
    queued = Analysis.objects.filter(release=OuterRef("pk"), state=State.QUEUED)
    for old in ModelRelease.objects.filter(Exists(queued), stage=ModelRelease.Stage.RETIRED):
        new = ModelRelease.objects.filter(task=old.task, network=old.network, stage=ModelRelease.Stage.ACTIVE).first()
        if new is not None:
            hand_over(old=old, new=new)
