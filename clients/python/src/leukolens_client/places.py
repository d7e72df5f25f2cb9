"""Where this package keeps things on the machine, and locks that hold only as long as their process lives."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from leukolens_client.errors import LeukoLensError


def config_folder() -> Path:
    """The person's own; `LEUKOLENS_CONFIG` names another one."""
    return Path(os.environ.get("LEUKOLENS_CONFIG") or platformdirs.user_config_path("leukolens", appauthor=False))


def state_folder() -> Path:
    """Where unfinished uploads and watched folders are remembered; `LEUKOLENS_STATE` names another one."""
    return Path(os.environ.get("LEUKOLENS_STATE") or platformdirs.user_state_path("leukolens", appauthor=False))


def private_folder(folder: Path) -> Path:
    """`folder`, made for this person alone where it is not there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def short_name(*parts: str) -> str:
    """A file's name for whatever is named by `parts`."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


class Busy(LeukoLensError):
    """Another process does the same already."""


@contextlib.contextmanager
def only_one(path: Path, message: str) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends. Raises `Busy` with `message` where another holds it."""
    while True:
        with path.open("a+b") as file:
            try:
                _lock(file.fileno())
            except OSError:
                raise Busy(message) from None
            if not _is_at(path, file.fileno()):
                continue  # whoever held it has just let it go and taken it away
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # Windows keeps it while it is open
                    path.unlink()
            return


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
