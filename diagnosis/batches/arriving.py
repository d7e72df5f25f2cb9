"""Files arrive piece by piece, by the tus protocol or any other way that says where a piece begins.

A file that has come whole is settled at once (`diagnosis.batches.settling`); one that does not in UPLOAD_HOURS is
given up, in words. A client that sends the same file again, by its key, finds what is here already.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Protocol

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.permissions import Action, Actor, require, visible
from diagnosis import audit, intake
from diagnosis.batches import settling, store, telling
from diagnosis.batches.opening import BatchError, check_scale, plain
from diagnosis.models import Batch, BatchFile, SmearImage
from mlcore.images import ImageRefused

logger = logging.getLogger(__name__)

State = BatchFile.State
CHECKSUMS = ("sha1", "sha256")
_PIECE = 1024 * 1024
_LONGEST_PATH = 400


class UploadRefused(Exception):  # noqa: N818 - what the client is told
    """An upload that is not taken. `status`: an HTTP status; the text is a sentence; `code`: why, for programs, where
    they can do something about it."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a client says of one piece. `algorithm`: of `CHECKSUMS`."""

    algorithm: str
    digest: bytes


def begin(
    *,
    actor: Actor,
    batch: Batch,
    path: str,
    length: int,
    key: str = "",
    accession: str = "",
    kind: str = "",
    um_per_pixel: float | None = None,
    replaces: int | None = None,
    metadata: str = "",
) -> BatchFile:
    """A file is announced; the row of it, or of the one with the same `key` that came before.

    `path`: folders and name; `replaces`: the file of the same batch whose place it takes. One that can never be
    taken is kept as rejected too, so that it stands in the list of outcomes. Raises `UploadRefused`, `BatchError`.
    """
    require(actor, Action.UPLOAD_IMAGE)
    if kind and kind not in SmearImage.Kind.values:
        raise BatchError("The kind has to be field or cell.", "kind")
    check_scale(um_per_pixel)
    path = _plain_path(path)
    row_key = hashlib.sha256(key.encode()).hexdigest() if key else uuid.uuid4().hex
    with transaction.atomic():
        batch = visible(Batch.objects.select_for_update(no_key=True), actor).get(pk=batch.pk)
        if known := BatchFile.objects.filter(batch=batch, key=row_key).first():
            if again := _again(known, length):
                return again
            row_key = uuid.uuid4().hex  # that one was given up: this is a new try
        if BatchFile.objects.filter(batch=batch).count() >= settings.BATCH_MAX_FILES:
            raise UploadRefused(
                413, f"A batch holds at most {settings.BATCH_MAX_FILES} files. Open another one.", "batch_full"
            )
        replaced = BatchFile.objects.filter(batch=batch, pk=replaces).first() if replaces else None
        file = BatchFile(
            batch=batch,
            path=path,
            key=row_key,
            metadata=metadata,
            length=length,
            expires_at=timezone.now() + timedelta(hours=settings.UPLOAD_HOURS),
            sent_by=actor.user,
            sent_as=actor.label or str(actor.user),
            accession=plain(accession)[:64],
            kind=kind,
            um_per_pixel=um_per_pixel,
            replaces=replaced,
        )
        refused = _never(file)
        if refused is None:
            if store.free_bytes() - length < settings.UPLOADS_FREE_BYTES:
                raise UploadRefused(507, "The server's disk is nearly full. Tell whoever runs it; nothing is lost.")
            store.create(file.upload)
        else:
            file.state, file.code, file.reason = State.REJECTED, refused.code, str(refused)
            file.settled_at = timezone.now()
            audit.record(actor=actor, action="image.rejected", name=path, code=file.code, reason=file.reason)
        file.save(force_insert=True)
        telling.reopen(batch.pk)
    if refused is not None:
        raise UploadRefused(413, str(refused))
    if length == 0:
        _whole(file)
    return file


def _again(known: BatchFile, length: int) -> BatchFile | None:
    if known.length != length or known.state in (State.CANCELLED, State.EXPIRED):
        return None
    return known


def _never(file: BatchFile) -> ImageRefused | None:
    """Why a file of this length is not taken, whatever is in it."""
    if file.path.lower().endswith(".zip"):
        if file.length <= settings.UPLOAD_MAX_BYTES:
            return None
        gigabytes = settings.UPLOAD_MAX_BYTES / 1024**3
        return ImageRefused(
            "too_large", f"This zip is larger than {gigabytes:.3g} GiB. Send it in parts, or the folder."
        )
    try:
        intake.limits().check_bytes(max(file.length, 1))
    except ImageRefused as refused:
        return refused
    return None


def find(*, actor: Actor, upload: uuid.UUID) -> BatchFile:
    """The file of an upload in the actor's laboratory. Raises `BatchFile.DoesNotExist`, `PermissionDenied`."""
    file = visible(BatchFile.objects.all(), actor, "batch__laboratory").select_related("batch").get(upload=upload)
    require(actor, Action.UPLOAD_IMAGE)
    return file


def bytes_here(file: BatchFile) -> int | None:
    """How many of its bytes are here, all of them once it has come whole; None where it was given up."""
    if file.state in (State.CANCELLED, State.EXPIRED):
        return None
    return store.size(file.upload) if file.state == State.RECEIVING else file.length


def receive(
    *, actor: Actor, file: BatchFile, offset: int, body: Readable, size: int | None, checksum: Checksum | None = None
) -> int:
    """Take the bytes of `body` as those from `offset` on; where the file ends then.

    A body that breaks off leaves what came of it, unless it has a checksum: that piece counts whole or not at all.
    `size`: how long the body says it is. Raises `store.Overtaken` (it begins elsewhere), `UploadRefused`,
    `FileNotFoundError` (given up meanwhile).
    """
    require(actor, Action.UPLOAD_IMAGE)
    here = bytes_here(file)
    if here is None:
        raise FileNotFoundError(file.upload)
    if here != offset:
        raise store.Overtaken(here)
    if size is not None and offset + size > file.length:
        raise UploadRefused(413, "More bytes come than were announced.")
    if file.state != State.RECEIVING:
        return file.length
    with tempfile.SpooledTemporaryFile(max_size=8 * _PIECE) as spool:
        source: Readable = body if checksum is None else _verified(body, checksum, file.length - offset, spool)
        end = _write(file, offset, source)
    store.sync(file.upload)
    if end == file.length:
        _whole(file)
    return end


def _write(file: BatchFile, offset: int, source: Readable) -> int:
    """A body that breaks off is no error here: what has come has come, and the client asks where to go on."""
    try:
        while offset < file.length and (piece := source.read(min(_PIECE, file.length - offset))):
            offset = store.append(file.upload, offset, piece)
        if offset == file.length and source.read(1):
            raise UploadRefused(413, "More bytes come than were announced.")
    except FileNotFoundError:
        raise
    except OSError as error:
        if isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.startswith("django"):
            logger.info("An upload broke off at byte %d: %s", offset, error)
            return offset
        logger.exception("The disk does not take an upload")
        raise UploadRefused(507, "The server's disk does not take more. Nothing is lost; try again later.") from error
    return offset


def _verified(body: Readable, checksum: Checksum, room: int, spool: IO[bytes]) -> Readable:
    digest, size = hashlib.new(checksum.algorithm, usedforsecurity=False), 0
    while size <= room and (piece := body.read(_PIECE)):
        digest.update(piece)
        spool.write(piece)
        size += len(piece)
    if digest.digest() != checksum.digest:
        raise UploadRefused(460, "The checksum of this piece does not fit: it was damaged on the way.")
    spool.seek(0)
    return spool


def note_whole(file: BatchFile) -> None:
    """A file whose last byte is here but whose end nobody noted (that process died) is taken up."""
    if file.state == State.RECEIVING and store.size(file.upload) == file.length:
        _whole(file)


def _whole(file: BatchFile) -> None:
    BatchFile.objects.filter(pk=file.pk, state=State.RECEIVING).update(state=State.RECEIVED, expires_at=None)
    file.state = State.RECEIVED
    settling.settle(file.pk)
    file.refresh_from_db()


def cancel(*, actor: Actor, file: BatchFile) -> bool:
    """End an upload that is not whole, at the sender's wish; False where it is whole already."""
    require(actor, Action.UPLOAD_IMAGE)
    if not _give_up(file, State.CANCELLED, f"Cancelled by {actor.label or actor.user}."):
        return False
    file.refresh_from_db()
    return True


def expire(*, at_most: int = 500) -> int:
    """Give up what has not come whole in time; how many files."""
    late = BatchFile.objects.filter(state=State.RECEIVING, expires_at__lt=timezone.now()).order_by("id")[:at_most]
    given_up = 0
    for file in late:
        share = (store.size(file.upload) or 0) / max(file.length, 1)
        given_up += _give_up(
            file, State.EXPIRED,
            f"Only {share:.0%} of it came within {settings.UPLOAD_HOURS} hours, so it was given up. Send it again.",
        )  # fmt: skip
    return given_up


def _give_up(file: BatchFile, state: str, reason: str) -> bool:
    now = timezone.now()
    ended = BatchFile.objects.filter(pk=file.pk, state=State.RECEIVING).update(
        state=state, code=state, reason=reason, settled_at=now, expires_at=None
    )
    if ended:
        store.remove(file.upload)
        Batch.objects.filter(pk=file.batch_id).update(moved_at=now)
    return bool(ended)


def _plain_path(path: str) -> str:
    """Folders and name for people to recognise; it is never a place on the server's disk."""
    parts = [plain(part) for part in path.replace("\\", "/").split("/")]
    kept = [part for part in parts if part.strip(".")]
    text = "/".join(kept)
    if len(text) > _LONGEST_PATH:
        text = "…" + text[1 - _LONGEST_PATH :]
    return text or "unnamed"
