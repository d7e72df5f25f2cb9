"""Many files as one batch: several at a time, gone on with in a later run, each with its outcome."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from leukolens_client import places
from leukolens_client.errors import FileChanged, LeukoLensError, NotSignedIn, Refused, Stopped, Unreachable
from leukolens_client.files import Look, Mask, Parcel, find, look_at, parcel
from leukolens_client.records import Outcome
from leukolens_client.tus import Sender

if TYPE_CHECKING:
    from leukolens_client.client import Client

_FORGOTTEN_AFTER = 3 * 86_400.0  # seconds; a server gives up what is not whole after a day


@dataclass(frozen=True, slots=True)
class Result:
    """One file of an upload: its `outcome`, or why there is none (`error`, a sentence)."""

    path: Path
    name: str
    outcome: Outcome | None
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether the server does not have it. What waits in its tray it has."""
        return self.outcome is None or not self.outcome.has_arrived


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of an upload. `left_alone`: files of folders that are no pictures; `opened`: cases that the list
    opened."""

    batch: int
    results: tuple[Result, ...]
    left_alone: int = 0
    opened: int = 0

    @property
    def failed(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.failed)

    @property
    def unmatched(self) -> tuple[Result, ...]:
        """Files that wait in the server's tray until a person says whose they are."""
        return tuple(each for each in self.results if each.outcome and each.outcome.status == "unmatched")


class Told(Protocol):
    """Is told how an upload goes, from several threads."""

    def begun(self, batch: int, files: int, bytes: int) -> None:
        """So many files are about to go into that batch."""

    def moved(self, bytes: int) -> None:
        """So many bytes more are with the server."""

    def ended(self, result: Result) -> None:
        """This is what became of one of them."""


@dataclass(slots=True)
class Upload:
    """What is to be sent, and how. See `Client.upload`."""

    paths: list[str | Path]
    case: str = ""
    mask: str = ""
    manifest: Path | None = None
    name: str = ""
    kind: str = ""
    um_per_pixel: float | None = None
    parallel: int = 3
    _mask: Mask | None = field(init=False, default=None)

    def run(self, client: Client, *, told: Told | None, state: Path | None) -> Sent:
        self._mask = Mask(self.mask) if self.mask else None
        found = find(self.paths)
        if not found.files:
            raise FileNotFoundError("There is no picture and no zip in what you named.")
        folder = places.private_folder(state or places.state_folder())
        record = folder / f"upload-{self._key(client)}.jsonl"
        with places.only_one(record.with_suffix(".lock"), "The same upload is running already."):
            memory = _still_there(client, Memory.open(record)) or self._begin(client, record)
            results = list(self._send(client, found.files, memory, told))
            if not any(result.outcome is None for result in results):
                memory.forget()
        return Sent(memory.batch, tuple(results), found.left_alone, memory.opened)

    def _key(self, client: Client) -> str:
        """The same arguments to the same portal go on with the same upload."""
        paths = sorted(str(Path(path).resolve()) for path in self.paths)
        said = json.dumps([self.case, self.mask, str(self.manifest), self.name, self.kind, self.um_per_pixel])
        return places.short_name(client.wire.url, said, *paths)

    def _begin(self, client: Client, record: Path) -> Memory:
        batch = client.open_batch(
            self.name, accession_number=self.case, kind=self.kind, um_per_pixel=self.um_per_pixel
        ).id
        opened = client.send_manifest(batch, self.manifest)["opened"] if self.manifest else 0
        return Memory.begin(record, batch, opened)

    def _send(
        self, client: Client, files: list[tuple[Path, str]], memory: Memory, told: Told | None
    ) -> Iterator[Result]:
        sender, given_up = Sender(client.wire), ""
        if told:
            told.begun(memory.batch, len(files), sum(_size(path) for path, _ in files))

        def one(path: Path, name: str) -> Result:
            nonlocal given_up
            sent, outcome, why = 0, None, given_up

            def moved(to: int) -> None:
                nonlocal sent
                if told:
                    told.moved(to - sent)
                sent = to

            try:
                if not given_up:
                    outcome = self._one(sender, memory, path, name, moved)
            except (NotSignedIn, Stopped):
                raise
            except Unreachable as error:  # the others need not find out for themselves
                why = given_up = str(error)
            except (LeukoLensError, OSError) as error:
                why = str(error)
            if outcome is not None:
                moved(_size(path))
            result = Result(path, name, outcome, why)
            if told:
                told.ended(result)
            return result

        with ThreadPoolExecutor(max(1, self.parallel)) as pool:
            waiting = {pool.submit(one, path, name): index for index, (path, name) in enumerate(files)}
            results: dict[int, Result] = {}
            try:
                for done in as_completed(waiting):
                    results[waiting[done]] = done.result()
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    client.wire.stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        yield from (results[index] for index in range(len(files)))

    def _one(self, sender: Sender, memory: Memory, path: Path, name: str, moved: Any) -> Outcome:
        known = memory.outcome_of(name, look_at(path))
        if known is not None:
            return known
        for again in (True, False):
            this = parcel(path, name, sender.wire.stop)
            try:
                outcome = sender.send(
                    this, batch=memory.batch, accession=self._mask.find(name) if self._mask else "", progress=moved
                )
            except FileChanged as changed:
                if changed.gone or not again:
                    raise
                continue
            memory.note(this, outcome)
            return outcome
        raise AssertionError("unreachable")


class Memory:
    """What an unfinished upload has come to, as lines of JSON: the batch, then each file with its outcome."""

    def __init__(self, path: Path, batch: int, opened: int) -> None:
        self.path, self.batch, self.opened = path, batch, opened
        self._known: dict[tuple[str, int, int], Outcome] = {}
        self._lock = Lock()

    @classmethod
    def begin(cls, path: Path, batch: int, opened: int) -> Memory:
        memory = cls(path, batch, opened)
        path.unlink(missing_ok=True)
        memory._write({"batch": batch, "opened": opened, "begun": time.time()})
        return memory

    @classmethod
    def open(cls, path: Path) -> Memory | None:
        """What an earlier run left; None where there is nothing, or it is too old. A line that a dying process cut
        off is passed over: its file is sent again, which the server recognises."""
        lines = list(_lines(path))
        if not lines or lines[0].get("begun", 0.0) < time.time() - _FORGOTTEN_AFTER:
            return None
        memory = cls(path, lines[0]["batch"], lines[0]["opened"])
        for line in lines[1:]:
            memory._known[line["name"], line["size"], line["mtime_ns"]] = Outcome.read(line["outcome"])
        return memory

    def outcome_of(self, name: str, look: Look) -> Outcome | None:
        return self._known.get((name, look.size, look.mtime_ns))

    def note(self, this: Parcel, outcome: Outcome) -> None:
        self._write({"name": this.name, **asdict(this.look), "outcome": asdict(outcome)})

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)

    def _write(self, line: dict[str, Any]) -> None:
        with self._lock:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _still_there(client: Client, memory: Memory | None) -> Memory | None:
    """What an earlier run left, unless its batch is not there any more."""
    if memory is not None:
        try:
            client.batch(memory.batch)
        except NotSignedIn:
            raise
        except Refused as refused:
            return None if refused.status == 404 else memory
    return memory


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    with contextlib.suppress(FileNotFoundError), path.open(encoding="utf-8") as file:
        for line in file:
            with contextlib.suppress(json.JSONDecodeError):
                read = json.loads(line)
                if isinstance(read, dict):
                    yield read


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
