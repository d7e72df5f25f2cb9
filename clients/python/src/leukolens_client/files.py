"""Files on this machine: which are meant, what they are called to the portal, whether they still are the same."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from leukolens_client.errors import FileChanged, Stopped

#: What is taken from a folder; a file that is named by itself is sent whatever it is called.
ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".zip"})
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Look:
    """What a file looked like from outside."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Parcel:
    """One file as it is sent: `name`, with folders, as the portal is told; `look` and `sha256` hold for all of it."""

    path: Path
    name: str
    look: Look
    sha256: str

    @property
    def fingerprint(self) -> str:
        """Names the file within its batch: the same name and content is the same upload, in whichever run."""
        return f"{self.name}|{self.sha256}"


@dataclass(slots=True)
class Found:
    """What some paths hold: (path, name told to the portal), and how many files of other kinds were left alone."""

    files: list[tuple[Path, str]] = field(default_factory=list)
    left_alone: int = 0


def find(paths: Iterable[str | Path]) -> Found:
    """The files that are meant. A folder stands for all pictures and zips below it, by its own name.

    Raises FileNotFoundError for a path that is not there, OSError for a folder that cannot be read.
    """
    found, seen = Found(), set[Path]()
    for path in map(Path, paths):
        if path.is_dir():
            top = path.resolve()
            for each, is_wanted in walk(top, _raise):
                if not is_wanted:
                    found.left_alone += 1
                elif each not in seen:
                    seen.add(each)
                    found.files.append((each, told_below(top, each)))
        elif path.exists():
            each = path.resolve()
            if each not in seen:
                seen.add(each)
                found.files.append((each, _told(path)))
        else:
            raise FileNotFoundError(f"There is no {path}.")
    return found


def _raise(error: OSError) -> None:
    raise error


def walk(top: Path, cannot_read: Callable[[OSError], None]) -> Iterator[tuple[Path, bool]]:
    """Every file below a folder in the order of its name, and whether it is a picture or a zip. What begins with a
    dot belongs to the system. `cannot_read` is told of folders below that cannot be read; OSError is raised where
    that is the folder itself."""
    os.scandir(top).close()
    for folder, folders, names in os.walk(top, onerror=cannot_read):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith((".", "~$")):
                path = Path(folder, name)
                yield path, path.suffix.lower() in ENDINGS


def _told(path: Path) -> str:
    """A path as it was given; of an absolute one, or one that leads upwards, folder and name."""
    parts = [part for part in path.parts if part not in (".", os.sep)]
    if path.is_absolute() or ".." in parts:
        parts = list(path.resolve().parts[-2:])
    return _readable(PurePath(*parts).as_posix().lstrip("/"))


def told_below(top: Path, path: Path) -> str:
    """What a file of a folder is called to the portal: by the folder's own name and what is below it."""
    return _readable(f"{top.name}/{path.relative_to(top).as_posix()}".lstrip("/"))


def _readable(name: str) -> str:
    """Bytes of a name that are no text, as old disks have them, shown as such."""
    return os.fsencode(name).decode("utf-8", "replace")


def look_at(path: Path) -> Look:
    """Raises `FileChanged` (gone) where there is no such file, OSError where it cannot be looked at just now."""
    try:
        seen = path.stat()
    except FileNotFoundError:
        raise FileChanged(f"{path.name} is not there any more.", gone=True) from None
    return Look(seen.st_size, seen.st_mtime_ns)


def parcel(path: Path, name: str, stop: threading.Event | None = None) -> Parcel:
    """Read a file once for its SHA-256. Raises `FileChanged` where it changes meanwhile, `Stopped`, OSError."""
    look = look_at(path)
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                if stop is not None and stop.is_set():
                    raise Stopped("Stopped as asked.")
                digest.update(block)
    except FileNotFoundError:
        raise FileChanged(f"{path.name} is not there any more.", gone=True) from None
    if look_at(path) != look:
        raise FileChanged(f"{path.name} is still being written.")
    return Parcel(path, name, look, digest.hexdigest())


def read_piece(parcel: Parcel, offset: int, size: int) -> bytes:
    """Bytes of a file that is still the one that was looked at. Raises `FileChanged`, OSError."""
    try:
        with parcel.path.open("rb") as file:
            file.seek(offset)
            piece = file.read(size)
    except FileNotFoundError:
        raise FileChanged(f"{parcel.path.name} is not there any more.", gone=True) from None
    if look_at(parcel.path) != parcel.look or len(piece) != min(size, parcel.look.size - offset):
        raise FileChanged(f"{parcel.path.name} changed while it was sent.")
    return piece


class Mask:
    """How a laboratory's accession numbers look: `#` a digit, `@` a letter, `#+` and `@+` one or more, all else
    itself. A separator (`-`, `_`, `/`, `.`, space) may be another one, or none, in a name; as in the portal."""

    _SEPARATORS = "-_/. "

    def __init__(self, text: str) -> None:
        text = text.strip()
        if "#" not in text:
            raise ValueError(f"The mask “{text}” has no # for a digit: it would find the same case in every name.")
        self._parts = re.findall(r"[#@]\+|[#@]|[^#@]", text)
        expression = "".join(map(self._expression, self._parts, ["", *self._parts]))
        self._pattern = re.compile(rf"(?<![A-Za-z0-9]){expression}(?![A-Za-z0-9])", re.IGNORECASE)

    def _expression(self, part: str, before: str) -> str:
        if part[0] in "#@":
            one = "[0-9]" if part[0] == "#" else "[A-Za-z]"
            return f"({one}{{1,20}})" if part.endswith("+") else f"({one})"
        if part in self._SEPARATORS:
            return "[-_/. ]" if before.endswith("+") else "[-_/. ]?"
        return re.escape(part)

    def find(self, name: str) -> str:
        """The one accession number that a name or its folders hold; empty where there is none, or two different."""
        stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", name)
        found = {self._written(hit) for level in stem.split("/") for hit in self._pattern.finditer(level)}
        return found.pop() if len(found) == 1 else ""

    def _written(self, hit: re.Match[str]) -> str:
        placed = iter(hit.groups())
        return "".join(next(placed) if part[0] in "#@" else part for part in self._parts).upper()
