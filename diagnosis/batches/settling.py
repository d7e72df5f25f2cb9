"""A file that has come whole becomes exactly one outcome, however often it is settled and whoever dies meanwhile.

Who settles a file holds it until `checking_until`; the outcome is written only where the file still has none. That of
an accepted picture is written in the transaction that writes the image.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.permissions import Action, Actor, actor_for
from diagnosis import audit, intake
from diagnosis.batches import codes, matching, store, zips
from diagnosis.batches.opening import rules_of
from diagnosis.models import Batch, BatchFile, Case, ManifestRow, SmearImage
from diagnosis.waking import wake_workers
from mlcore.images import ImageRefused, Quality

logger = logging.getLogger(__name__)

State = BatchFile.State
HELD_FOR = timedelta(seconds=120)
ATTEMPTS = 5
#: What may go better another time; the bytes are kept and the file can be settled again.
TRANSIENT = frozenset({"not_stored", "server_error"})
_AGAIN_AFTER = timedelta(seconds=15)
#: The bytes of a member lie in its zip as long as that is being unpacked.
_HAS_BYTES = Q(container=None) | Q(container__state=State.OPENED)


def settle(file_id: int, *, until: float | None = None) -> bool:
    """Settle a file that has come whole; False where there was nothing to do, somebody else does it, or it waits.

    `until`: `time.monotonic()` until when a zip may be unpacked here; without one it is left to a worker, who is told.
    """
    now = timezone.now()
    free = Q(checking_until=None) | Q(checking_until__lt=now)
    mine = BatchFile.objects.filter(free, _HAS_BYTES, pk=file_id, state=State.RECEIVED)
    if not mine.update(checking_until=now + HELD_FOR):
        return False
    file = BatchFile.objects.select_related("batch__laboratory", "batch__case", "sent_by").get(pk=file_id)
    try:
        if zips.is_zip(file):
            if until is None:
                _let_go(file)
                transaction.on_commit(partial(wake_workers, task="diagnosis.tasks.take_in"), robust=True)
                return False
            return _unpack(file, until)
        _settle(file, store.read(file.upload, intake.limits().max_bytes + 1))
    except FileNotFoundError:
        _reject(file, "lost", "The server no longer has this file. Send it again.")
    except Exception as error:
        logger.exception("File %d of batch %d could not be settled", file.pk, file.batch_id)
        _try_later(file, "server_error", f"The server could not check this file ({type(error).__name__}). Try again.")
        return False
    return True


def settle_waiting(*, until: float) -> int:
    """Settle what came whole and waits (a zip, a file whose process died); how many were looked at."""
    now = timezone.now()
    free = Q(checking_until=None) | Q(checking_until__lt=now)
    waiting = BatchFile.objects.filter(free, _HAS_BYTES, state=State.RECEIVED).order_by("id")
    looked = 0
    for file_id in list(waiting.values_list("pk", flat=True)[:500]):
        if time.monotonic() > until:
            break
        settle(file_id, until=until)
        looked += 1
    return looked


def _settle(file: BatchFile, data: bytes) -> None:
    sender = _sender(file)
    match, quality = case_for(file), None
    if codes.wanted(file, match):
        try:
            quality, seen = intake.look_at(data, for_codes=True)
        except ImageRefused as refused:
            _reject(file, refused.code, str(refused))
            return
        codes.keep(file, seen, quality)
        match = case_for(file)
    if sender is None:
        gone = matching.Match(None, match.accession, "Whoever sent it may not upload here any more.")
        _without_case(file, data, gone, quality)
    elif match.case is None:
        _without_case(file, data, match, quality)
    else:
        place(file, data, actor=sender, case=match.case, led=match.reason)


def place(file: BatchFile, data: bytes, *, actor: Actor, case: Case, led: str = "") -> None:
    """Hand the bytes of `file` to the intake of `case`, and note what became of them. `led`: a sentence of what led
    there, for an accepted picture."""
    from_state = file.state
    row = _manifest_row(file, case)

    def written(image: SmearImage, flags: tuple[str, ...]) -> None:
        _end(
            file, State.ACCEPTED, from_state=from_state, case=case, image=image, flags=list(flags),
            accession=case.accession_number, reason=led,
        )  # fmt: skip

    outcome = intake.receive_image(
        actor=actor,
        case=case,
        data=data,
        name=file.name,
        via=file.batch.via,
        kind=file.kind or (row.kind if row else "") or file.batch.kind or None,
        um_per_pixel=file.um_per_pixel or (row.um_per_pixel if row else None) or file.batch.um_per_pixel,
        written=written,
    )
    if outcome.code in TRANSIENT:
        _try_later(file, outcome.code, outcome.reason, data)
        return
    if outcome.status != "accepted":
        _end(
            file, State(outcome.status), from_state=from_state, case=case, image=outcome.image,
            code=outcome.code, reason=outcome.reason, accession=case.accession_number,
        )  # fmt: skip
    store.remove(file.upload)


def case_for(file: BatchFile) -> matching.Match:
    """The case of a file: as the sender said, else the batch's, else the manifest's, else as its name says, else as the
    codes in the picture say; where the manifest and the name contradict each other, none."""
    laboratory = file.batch.laboratory
    if file.accession and not file.settled_at:
        return matching.by_accession(laboratory=laboratory, accession=file.accession)
    if file.batch.case is not None:
        return matching.Match(file.batch.case, file.batch.case.accession_number)
    rules = rules_of(laboratory)
    masks = matching.read_masks(rules.masks)
    named = matching.find(laboratory=laboratory, path=file.path, masks=masks)
    rows = ManifestRow.objects.filter(_names(file), batch=file.batch).select_related("case")
    listed = {row.case_id: row.case for row in rows}
    if len(listed) > 1:
        return matching.Match(None, "", "The manifest names this file for two cases. Say which one it is.")
    for case in listed.values():
        if named.case is not None and named.case != case:
            reason = f"The manifest says {case}, its name says {named.case}. Say which one it is."
            return matching.Match(None, "", reason)
        return matching.Match(case, case.accession_number)
    return codes.lead(file, masks) if rules.read_codes and file.codes and codes.unnamed(named) else named


def _names(file: BatchFile) -> Q:
    return Q(file__iexact=file.path) | Q(file__iexact=file.name)


def _manifest_row(file: BatchFile, case: Case) -> ManifestRow | None:
    rows = list(ManifestRow.objects.filter(Q(file="") | _names(file), batch=file.batch, case=case))
    return max(rows, key=lambda row: bool(row.file), default=None)


def _without_case(file: BatchFile, data: bytes, match: matching.Match, quality: Quality | None) -> None:
    try:
        quality = quality or intake.look_at(data)[0]
    except ImageRefused as refused:
        _reject(file, refused.code, str(refused))
        return
    if file.container_id is not None:
        store.save(file.upload, data)
    _end(
        file, State.UNMATCHED, from_state=State.RECEIVED, code=file.code or "unmatched", reason=match.reason,
        accession=match.accession, flags=[] if file.code == codes.LABEL else list(quality.warnings),
    )  # fmt: skip


def _reject(file: BatchFile, code: str, reason: str) -> None:
    with transaction.atomic():
        if _end(file, State.REJECTED, from_state=State.RECEIVED, code=code, reason=reason):
            audit.record(
                actor=None, who=file.sent_as, laboratory=file.batch.laboratory, action="image.rejected",
                name=file.path, code=code, reason=reason,
            )  # fmt: skip
    store.remove(file.upload)


def _try_later(file: BatchFile, code: str, reason: str, data: bytes | None = None) -> None:
    """Something of ours went wrong: the bytes stay, and after a few tries the file says so and can be tried again."""
    if file.state != State.RECEIVED:  # from the tray: it stays there
        return
    if data is not None and file.container_id is not None:
        store.save(file.upload, data)
    if file.container_id is not None or file.attempts + 1 >= ATTEMPTS:
        _end(file, State.REJECTED, from_state=State.RECEIVED, code=code, reason=reason)
    else:
        BatchFile.objects.filter(pk=file.pk, state=State.RECEIVED).update(
            attempts=file.attempts + 1, checking_until=timezone.now() + _AGAIN_AFTER * 2**file.attempts, reason=reason
        )


def _end(file: BatchFile, state: str, *, from_state: str, **facts: object) -> bool:
    """Write an outcome, unless the file has one already."""
    now = timezone.now()
    values = {"code": "", "reason": "", "checking_until": None} | facts
    ended = BatchFile.objects.filter(pk=file.pk, state=from_state).update(state=state, settled_at=now, **values)
    if ended:
        Batch.objects.filter(pk=file.batch_id).update(moved_at=now, finished_at=None)
    return bool(ended)


def _let_go(file: BatchFile) -> None:
    BatchFile.objects.filter(pk=file.pk, state=State.RECEIVED).update(checking_until=None)


def _sender(file: BatchFile) -> Actor | None:
    actor = actor_for(file.sent_by, file.batch.laboratory)
    if actor is None or not actor.may(Action.UPLOAD_IMAGE):
        return None
    return Actor(actor.user, actor.laboratory, actor.roles, label=file.sent_as)


def _unpack(file: BatchFile, until: float) -> bool:
    """Take the members out of a zip, each of them a file of its own; goes on where an earlier turn stopped."""
    done = set(file.members.exclude(state=State.RECEIVED).values_list("key", flat=True))
    try:
        with zips.opened(store.path(file.upload)) as members:
            left_out = members.left_out
            for member in members:
                key = f"{file.pk}:{member.index}"
                if key in done:
                    continue
                if time.monotonic() > until:
                    _let_go(file)
                    wake_workers(task="diagnosis.tasks.take_in")
                    return False
                BatchFile.objects.filter(pk=file.pk).update(checking_until=timezone.now() + HELD_FOR)
                _settle_member(file, key, member, members)
    except zips.ZipRefused as refused:
        _reject(file, refused.code, str(refused))
        return True
    taken = file.members.count()
    words = f"{taken} file{'' if taken == 1 else 's'} taken out"
    words += f", {left_out} of the system left out." if left_out else "."
    _end(file, State.OPENED, from_state=State.RECEIVED, reason=words)
    store.remove(file.upload)
    return True


def _settle_member(file: BatchFile, key: str, member: zips.Member, members: zips.Members) -> None:
    row, _ = BatchFile.objects.get_or_create(
        batch=file.batch,
        key=key,
        defaults={
            "path": member.path,
            "length": member.size,
            "container": file,
            "sent_by": file.sent_by,
            "sent_as": file.sent_as,
            "state": State.RECEIVED,
            "accession": file.accession,
            "kind": file.kind,
            "um_per_pixel": file.um_per_pixel,
        },
    )
    row.batch, row.sent_by = file.batch, file.sent_by
    try:
        data = members.read(member, intake.limits().max_bytes)
    except zips.ZipRefused as refused:
        _reject(row, refused.code, str(refused))
        return
    if row.length != len(data):
        BatchFile.objects.filter(pk=row.pk).update(length=len(data))
    try:
        _settle(row, data)
    except Exception as error:
        logger.exception("Member %d of batch %d could not be settled", row.pk, row.batch_id)
        _try_later(row, "server_error", f"The server could not check it ({type(error).__name__}). Try again.", data)


def again(files: Iterable[BatchFile]) -> int:
    """Settle files anew that something of ours kept from an outcome; how many there were."""
    ids = [file.pk for file in files if file.code in TRANSIENT and store.size(file.upload) is not None]
    count = BatchFile.objects.filter(pk__in=ids, state=State.REJECTED).update(
        state=State.RECEIVED, attempts=0, checking_until=None, settled_at=None
    )
    for file_id in ids:
        settle(file_id)
    return count
