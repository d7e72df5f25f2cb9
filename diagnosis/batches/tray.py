"""Files that found no case wait here, with their bytes, until a person assigns or discards them. Nothing expires."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.permissions import Action, Actor, require, visible
from diagnosis import audit, intake
from diagnosis.batches import matching, settling, store
from diagnosis.batches.opening import BatchError, rules_of
from diagnosis.models import Batch, BatchFile, Case

State = BatchFile.State
_AT_ONCE = 200


class NotWaiting(BatchError):  # noqa: N818 - what the person is told
    """The file is not, or no longer, in the tray."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """What became of the files that were assigned, by state."""

    case: Case
    accepted: int
    duplicate: int
    rejected: int

    @property
    def said(self) -> str:
        parts = [
            f"{count} {word}"
            for count, word in (
                (self.accepted, "accepted"), (self.duplicate, "already there"), (self.rejected, "not accepted")
            )
            if count
        ]  # fmt: skip
        return f"{self.case}: {', '.join(parts) or 'nothing left to assign'}."


def waiting(*, actor: Actor, batch: Batch | None = None) -> QuerySet[BatchFile]:
    """The laboratory's unmatched files, those of one folder together."""
    found = visible(BatchFile.objects.filter(state=State.UNMATCHED), actor, "batch__laboratory")
    if batch is not None:
        found = found.filter(batch=batch)
    return found.select_related("batch", "sent_by").order_by("batch_id", "path", "id")


def assign(*, actor: Actor, file_ids: Iterable[int], accession: str) -> Assigned:
    """Put unmatched files into the case with this number, each with an outcome of its own.

    One that somebody else has assigned meanwhile is left alone. Raises `BatchError` where there is no such case.
    """
    require(actor, Action.UPLOAD_IMAGE)
    case = _case(actor, accession)
    chosen = list(waiting(actor=actor).filter(pk__in=list(file_ids)).order_by("id")[:_AT_ONCE])
    if not chosen:
        raise BatchError("Tick the pictures that belong to this case.", "file")
    for file in chosen:
        _place(file, actor, case)
    states = Counter(BatchFile.objects.filter(pk__in=[file.pk for file in chosen]).values_list("state", flat=True))
    return Assigned(case, states[State.ACCEPTED], states[State.DUPLICATE], states[State.REJECTED])


def assign_one(*, actor: Actor, file: BatchFile, accession: str = "", case_id: int | None = None) -> BatchFile:
    """Put one unmatched file into a case, named by its number or its id; the file as it stands then (unmatched still
    where it could not be stored just now). Raises `BatchError`, `NotWaiting`."""
    require(actor, Action.UPLOAD_IMAGE)
    case = _case(actor, accession) if case_id is None else visible(Case.objects.all(), actor).filter(pk=case_id).first()
    if case is None:
        raise BatchError(f"There is no case with the id {case_id} here.", "case")
    _refuse_settled(file)
    _place(file, actor, case)
    file.refresh_from_db()
    return file


def discard_one(*, actor: Actor, file: BatchFile) -> BatchFile:
    """Throw one unmatched file away, audited. Raises `NotWaiting`."""
    require(actor, Action.UPLOAD_IMAGE)
    _refuse_settled(file)
    discard(actor=actor, file_ids=[file.pk])
    file.refresh_from_db()
    return file


def _refuse_settled(file: BatchFile) -> None:
    if file.state != State.UNMATCHED:
        words = file.get_state_display().lower()
        raise NotWaiting(f"{file.name} does not wait in the tray: it is “{words}”.")


def _case(actor: Actor, accession: str) -> Case:
    if not accession.strip():
        raise BatchError("Type or scan the accession number of the case.", "accession")
    masks = matching.read_masks(rules_of(actor.laboratory).masks)
    match = matching.scanned(laboratory=actor.laboratory, text=accession, masks=masks)
    if match.case is None:
        raise BatchError(match.reason, "accession")
    return match.case


def _place(file: BatchFile, actor: Actor, case: Case, led: str = "") -> None:
    try:
        data = store.read(file.upload, intake.limits().max_bytes + 1)
    except FileNotFoundError:  # assigned or discarded in this very moment; otherwise its disk was lost
        BatchFile.objects.filter(pk=file.pk, state=State.UNMATCHED).update(
            state=State.REJECTED, code="lost", reason="The server no longer has this file. Send it again."
        )
        return
    settling.place(file, data, actor=actor, case=case, led=led)


def discard(*, actor: Actor, file_ids: Iterable[int]) -> int:
    """Throw unmatched files away, audited; how many."""
    require(actor, Action.UPLOAD_IMAGE)
    discarded = 0
    for file in list(waiting(actor=actor).filter(pk__in=list(file_ids)).order_by("id")[:_AT_ONCE]):
        reason = f"Discarded by {actor.label or actor.user}."
        with transaction.atomic():
            ended = BatchFile.objects.filter(pk=file.pk, state=State.UNMATCHED).update(
                state=State.DISCARDED, code="discarded", reason=reason, settled_at=timezone.now()
            )
            if ended:
                audit.record(actor=actor, action="batch.file_discarded", subject=f"file {file.pk}", name=file.path)
                Batch.objects.filter(pk=file.batch_id).update(moved_at=timezone.now())
        if ended:
            store.remove(file.upload)
            discarded += 1
    return discarded


def match_again(*, actor: Actor, batch: Batch) -> int:
    """Look once more for the cases of a batch's unmatched files (a case was opened, the masks or the manifest
    changed); how many found theirs."""
    require(actor, Action.UPLOAD_IMAGE)
    found = 0
    for file in list(waiting(actor=actor, batch=batch)):
        match = settling.case_for(file)
        if match.case is not None:
            _place(file, actor, match.case, match.reason)
            found += 1
        elif (match.reason, match.accession) != (file.reason, file.accession):
            BatchFile.objects.filter(pk=file.pk, state=State.UNMATCHED).update(
                reason=match.reason, accession=match.accession
            )
    return found
