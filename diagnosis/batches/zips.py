"""Zips, as they come from anybody: read member by member in bounded memory and time, never written out by their names.

Bounded before the list of members is read (its bytes), then: how many members there are, what they unpack to in all,
how much more that is than what is packed, how long and deep their names are, and that no zip is in a zip. What a zip
says of its sizes is not believed: unpacking stops at the bound.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from django.conf import settings

from diagnosis.batches import store
from diagnosis.batches.opening import plain
from diagnosis.models import BatchFile

MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_LIST_AT_MOST = 4 * 1024 * 1024  # bytes of the list of members: some 40,000 names
_DEEP_AT_MOST = 16
_NAME_AT_MOST = 400
_RATIO_FROM = 1024 * 1024  # bytes unpacked, below which nobody minds the ratio
_PIECE = 256 * 1024
_END = struct.Struct("<4s4H2LH")
#: What operating systems leave in folders; nobody meant to send it.
_SYSTEM = {".ds_store", "thumbs.db", "desktop.ini"}
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    struct.error,
)


class ZipRefused(ValueError):  # noqa: N818 - it is the zip that fails
    """A zip or a member that is not taken. `code`: for programs; the text is a sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Member:
    index: int
    path: str
    size: int  # as the zip says
    info: zipfile.ZipInfo


@dataclass(slots=True)
class Members:
    """The members of an open zip that are files."""

    archive: zipfile.ZipFile
    unpacked: int = 0  # bytes so far
    found: list[Member] = field(default_factory=list)
    left_out: int = 0  # files of the system

    def __iter__(self) -> Iterator[Member]:
        return iter(self.found)

    def read(self, member: Member, max_bytes: int) -> bytes:
        """The bytes of a member, read no further than one byte beyond the limit. Raises `ZipRefused`."""
        info = member.info
        _check_name(info.filename)
        if info.flag_bits & 0x1:
            raise ZipRefused("encrypted", "This file is protected by a password. Zip it without one.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a bound
            raise ZipRefused("zip_method", "This file is packed in an unusual way. Make an ordinary zip of the folder.")
        parts, size = [], 0
        try:
            with self.archive.open(info) as stream:
                while size <= max_bytes and (part := stream.read(_PIECE)):
                    parts.append(part)
                    size += len(part)
                    self.unpacked += len(part)
                    if size > _RATIO_FROM and size > settings.ZIP_MAX_RATIO * max(info.compress_size, 1):
                        raise ZipRefused(
                            "zip_ratio",
                            f"This file unpacks to more than {settings.ZIP_MAX_RATIO} times its packed size, which no "
                            "picture of a smear does. Send the picture itself.",
                        )
                    if self.unpacked > settings.ZIP_MAX_BYTES:
                        raise ZipRefused(
                            "zip_too_large",
                            f"The zip unpacks to more than {settings.ZIP_MAX_BYTES / 1024**3:.3g} GiB; what comes "
                            "after that is not read. Send it in parts.",
                        )
        except _BROKEN as error:
            if isinstance(error, ZipRefused):
                raise
            raise ZipRefused("zip_damaged", "This file is damaged within the zip. Make the zip again.") from error
        if size > max_bytes:
            raise ZipRefused(
                "too_large",
                f"This file is larger than {max_bytes / 2**20:.0f} MiB. Export a smaller region, or save it as JPEG.",
            )
        data = b"".join(parts)
        if data.startswith(MAGIC):
            raise ZipRefused("zip_in_zip", "This is a zip within a zip. Take it out and send it by itself.")
        return data


def is_zip(file: BatchFile) -> bool:
    """Told from its first bytes, not from its name."""
    return store.read(file.upload, 4).startswith(MAGIC)


@contextmanager
def opened(path: Path) -> Iterator[Members]:
    """The members of the zip at `path`. Raises `ZipRefused` for one that is not taken as a whole."""
    _check_list(path)
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN as error:
        raise _damaged() from error
    with archive:
        yield _members(archive)


def _members(archive: zipfile.ZipFile) -> Members:
    members = Members(archive)
    for index, info in enumerate(archive.infolist()):
        name = info.filename.replace("\\", "/")
        if info.is_dir() or name.endswith("/"):
            continue
        parts = PurePosixPath(name).parts
        if "__MACOSX" in parts or (parts and parts[-1].lower() in _SYSTEM):
            members.left_out += 1
            continue
        shown = plain(name)[-_NAME_AT_MOST:] or "unnamed"
        members.found.append(Member(index, shown, min(info.file_size, 2**62), info))
    if len(members.found) > settings.ZIP_MAX_MEMBERS:
        raise ZipRefused(
            "zip_too_many",
            f"This zip holds {len(members.found)} files; send at most {settings.ZIP_MAX_MEMBERS} in one.",
        )
    if not members.found:
        raise ZipRefused("zip_empty", "There is no file in this zip.")
    return members


def _check_list(path: Path) -> None:
    """Bound the list of members before Python reads it into memory."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 65_557))
        tail = file.read()
    where = tail.rfind(b"PK\x05\x06")
    if where < 0 or len(tail) - where < _END.size:
        raise ZipRefused("zip_damaged", "This zip is cut off: its end is missing. Make it again, or send the files.")
    entries, list_size = _END.unpack_from(tail, where)[4:6]
    wide = tail.rfind(b"PK\x06\x06", 0, where)
    if (entries == 0xFFFF or list_size == 0xFFFFFFFF) and wide >= 0 and len(tail) - wide >= 56:
        entries, list_size = struct.unpack_from("<2Q", tail, wide + 32)
    if list_size > _LIST_AT_MOST:
        raise ZipRefused(
            "zip_too_many", f"This zip holds more than {settings.ZIP_MAX_MEMBERS} files. Send it in parts."
        )


def _damaged() -> ZipRefused:
    return ZipRefused("zip_damaged", "This zip is damaged. Make it again, or send the files themselves.")


def _check_name(name: str) -> None:
    path = name.replace("\\", "/")
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or (len(path) > 1 and path[1] == ":") or "\x00" in name:
        raise ZipRefused("zip_name", "Its name leads out of the zip. Make the zip again from the folder of pictures.")
    if len(parts) > _DEEP_AT_MOST or len(name) > _NAME_AT_MOST:
        raise ZipRefused(
            "zip_name", f"Its name is too long, or more than {_DEEP_AT_MOST} folders deep. Shorten it and zip it again."
        )
