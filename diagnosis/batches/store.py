"""The bytes of uploads, on disk. How much of one is here is how long its file is: that is what a client resumes from,
and it outlives this process, the database's connection and the machine's power.

Several requests may write to one upload at once (a client that gave up on a connection which the server still
holds): each piece is appended under a short lock and only where the file still ends where its writer believes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from django.conf import settings


class Overtaken(Exception):  # noqa: N818 - what happened, not an error of ours
    """Another request has written to this upload meanwhile. `offset`: where it ends now."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the upload ends at byte {offset}")
        self.offset = offset


def path(upload: UUID) -> Path:
    """Where the bytes of an upload lie; nothing in it comes from a client."""
    name = upload.hex
    return Path(settings.UPLOADS_ROOT, name[:2], name)


def create(upload: UUID) -> None:
    """An empty file, whose name outlives a power cut."""
    target = path(upload)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch(mode=0o640, exist_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def size(upload: UUID) -> int | None:
    """Bytes that are here; None where the file is gone."""
    try:
        return path(upload).stat().st_size
    except FileNotFoundError:
        return None


def append(upload: UUID, offset: int, piece: bytes) -> int:
    """Write `piece` at `offset`, which must be the end of the file; the new end. Raises `Overtaken`,
    `FileNotFoundError`, and `OSError` for a disk that takes no more (the file then ends where it did)."""
    with _locked(upload) as file:
        end = file.seek(0, os.SEEK_END)
        if end != offset:
            raise Overtaken(end)
        try:
            file.write(piece)
            file.flush()
        except OSError:
            file.truncate(offset)
            raise
    return offset + len(piece)


def sync(upload: UUID) -> None:
    """From here on, what was appended outlives a power cut."""
    with path(upload).open("rb") as file:
        os.fsync(file.fileno())


def save(upload: UUID, data: bytes) -> None:
    """A whole file at once: a member of a zip that waits for its case."""
    create(upload)
    path(upload).write_bytes(data)
    sync(upload)


def read(upload: UUID, limit: int) -> bytes:
    """At most `limit` bytes of it. Raises `FileNotFoundError`."""
    with path(upload).open("rb") as file:
        return file.read(limit)


def remove(upload: UUID) -> None:
    path(upload).unlink(missing_ok=True)


def older_than(seconds: float) -> Iterator[UUID]:
    """Uploads to which nothing was written for so long."""
    before = time.time() - seconds
    for file in Path(settings.UPLOADS_ROOT).glob("[0-9a-f][0-9a-f]/*"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            if file.stat().st_mtime < before:
                yield UUID(file.name)


def free_bytes() -> int:
    root = Path(settings.UPLOADS_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(root).free


@contextlib.contextmanager
def _locked(upload: UUID) -> Iterator[BinaryIO]:
    with path(upload).open("r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file  # closing it lets the lock go
