"""Sends what a microscope writes into a folder, for as long as it runs, and loses nothing when it does not.

The folder is looked at again and again rather than waited on: shares of other machines tell nobody what changes.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from socket import gethostname
from threading import Lock

from leukolens_client import places
from leukolens_client.client import Client
from leukolens_client.errors import FileChanged, NotSignedIn, Refused, Stopped, Unreachable
from leukolens_client.files import Look, Mask, Parcel, look_at, parcel, told_below, walk
from leukolens_client.journal import Entry, Journal
from leukolens_client.records import Outcome
from leukolens_client.tus import Sender
from leukolens_client.wire import Backoff

logger = logging.getLogger("leukolens")

_BATCH_AT_MOST = 2_000  # files, then another batch is opened
_AT_ONCE = 200  # files, then the folder is looked at again
_OUTAGE_AT_MOST = 300.0  # seconds between two tries while the server is away
_ASK_EVERY = 5.0  # seconds, about zips that are being unpacked
_LONGEST_LOOK = 60.0  # seconds between two looks, however long one takes
_FILE_AGAIN = 30.0  # seconds, for a file that cannot be read just now
_LEFT_AFTER = 4.0  # times `still`: with `once`, what is being written for longer waits for another run


@dataclass(frozen=True, slots=True)
class Watch:
    """What to watch. `still`: seconds for which a file must not change before it counts as finished; `every`: seconds
    between looks. `case`, `mask`, `kind`, `um_per_pixel` as for an upload. `move_to`: where files go that arrived."""

    folder: Path
    still: float = 5.0
    every: float = 2.0
    parallel: int = 3
    case: str = ""
    mask: str = ""
    kind: str = ""
    um_per_pixel: float | None = None
    move_to: Path | None = None
    once: bool = False


@dataclass(slots=True)
class _Seen:
    """A file that was not sent yet. Times are of this machine's own clock: a share's may be wrong."""

    look: Look
    since: float
    not_before: float = 0.0


@dataclass(slots=True)
class Watcher:
    """Watches one folder for one portal. `run` returns when the client's stop is set, or, with `once`, when all that
    was there is sent."""

    client: Client
    watch: Watch
    state: Path = field(default_factory=places.state_folder)
    ended: Counter[str] = field(default_factory=Counter)  # files of this run, by outcome
    _waiting: dict[str, _Seen] = field(default_factory=dict)
    _done: dict[str, Look] = field(default_factory=dict)  # spares the journal a question for each file and look
    _unreadable: set[str] = field(default_factory=set)  # told once
    _opening: Lock = field(default_factory=Lock)
    _ask_again: float = 0.0
    _away: str = ""  # why the folder or the server is not there; told once

    def run(self) -> Counter[str]:
        """What became of the files of this run, by outcome.

        Raises `Busy` where another watcher has the folder, `Refused` where the token may not upload, and with `once`
        `Unreachable` and OSError.
        """
        folder = self.watch.folder.resolve()
        name = places.short_name(self.client.wire.url, str(folder))
        state = places.private_folder(self.state)
        with places.only_one(state / f"watch-{name}.lock", f"Another watcher looks after {folder} already."):
            journal = Journal(state / f"watch-{name}.sqlite3")
            try:
                logger.info("Watching %s for %s. Known from before: %s", folder, self.client.wire.url,
                            _words(journal.counts()) or "nothing")  # fmt: skip
                with contextlib.suppress(Stopped):
                    self._go_on(folder, journal)
            finally:
                journal.close()
        logger.info("Stopped. In this run: %s", _words(self.ended) or "nothing sent")
        return self.ended

    def _go_on(self, folder: Path, journal: Journal) -> None:
        stop, began = self.client.wire.stop, time.monotonic()
        outage = Backoff(float("inf"), first=2.0, longest=_OUTAGE_AT_MOST)
        sender = Sender(self.client.wire)
        mask = Mask(self.watch.mask) if self.watch.mask else None
        while not stop.is_set():
            looked, wait = time.monotonic(), self.watch.every
            try:
                ready = list(self._ready(folder, journal))[:_AT_ONCE]
                self._send(ready, journal, sender, mask)
                self._ask_about(journal)
                outage.reset()
                if self._away:
                    logger.info("Back again.")
                    self._away = ""
            except (Unreachable, Refused, OSError) as error:
                if self.watch.once or (isinstance(error, Refused) and error.code):
                    raise
                wait = max(self.watch.every, outage.next() or 0.0)  # its patience has no end
                if str(error) != self._away:
                    self._away = str(error)
                    logger.warning("%s Nothing is lost; tried again until it works.", error)
            else:
                if ready:
                    continue
                if self.watch.once and self._is_enough(began):
                    return
            # A folder with very many files is not looked at all the time.
            if not self._away:
                wait = max(wait, min(_LONGEST_LOOK, 5.0 * (time.monotonic() - looked)))
            stop.wait(wait)

    def _is_enough(self, began: float) -> bool:
        if self._waiting and time.monotonic() < began + max(10.0, _LEFT_AFTER * self.watch.still):
            return False
        for name in self._waiting:
            logger.warning("%s is still being written, or empty; left for another run", name)
        return True

    # -- looking --------------------------------------------------------------------------------------------
    def _ready(self, folder: Path, journal: Journal) -> Iterator[tuple[Path, str]]:
        """Files that are finished and were not sent. Raises OSError where the folder is not there."""
        now, present = time.monotonic(), set[str]()
        moved = self.watch.move_to and self.watch.move_to.resolve()
        for path, is_wanted in walk(folder, self._cannot_read):
            if not is_wanted or (moved and path.is_relative_to(moved)):
                continue
            name = told_below(folder, path)
            try:
                look = look_at(path)
            except FileChanged:
                continue  # it has gone since the folder was listed
            except OSError as error:
                logger.debug("%s cannot be looked at: %s", name, error)
                continue
            present.add(name)
            if self._done.get(name) == look:
                continue
            entry = journal.seen(name, look)
            if entry is not None and entry.outcome is not None:
                self._finish(path, name, look, entry, journal)
                continue
            seen = self._waiting.get(name)
            if seen is None or seen.look != look:
                self._waiting[name] = _Seen(look, now)
            elif look.size and now - seen.since >= self.watch.still and now >= seen.not_before:
                yield path, name
        for name in self._waiting.keys() - present:
            logger.info("%s is not there any more and was not sent", name)
            del self._waiting[name]

    def _cannot_read(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) and str(error) not in self._unreadable:
            self._unreadable.add(str(error))
            logger.warning("A folder cannot be read, and what is in it is not sent: %s", error)

    def _finish(self, path: Path, name: str, look: Look, entry: Entry, journal: Journal) -> None:
        """A file with an outcome: it is not sent again, and moved away if that is wished and it has arrived."""
        self._waiting.pop(name, None)
        outcome = entry.outcome
        if self.watch.move_to is None or outcome is None or not outcome.has_arrived:
            self._done[name] = look
        elif entry.is_settled:
            self._move(self.watch.move_to, path, name, look, entry, journal)

    def _move(self, to: Path, path: Path, name: str, look: Look, entry: Entry, journal: Journal) -> None:
        target = to / Path(*Path(name).parts[1:])
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            number = 2
            while target.exists():
                target = target.with_name(f"{Path(name).stem} ({number}){path.suffix}")
                number += 1
            if look_at(path) == look:
                shutil.move(path, target)
                journal.note_moved(name, entry.sha256, str(target))
        except (OSError, FileChanged) as error:
            logger.warning("%s could not be moved: %s", name, error)
            self._done[name] = look

    # -- sending --------------------------------------------------------------------------------------------
    def _send(self, ready: list[tuple[Path, str]], journal: Journal, sender: Sender, mask: Mask | None) -> None:
        if not ready:
            return
        with ThreadPoolExecutor(max(1, self.watch.parallel)) as pool:
            sent = [pool.submit(self._one, path, name, journal, sender, mask) for path, name in ready]
            try:
                for each in sent:
                    each.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        logger.info("So far: %s", _words(self.ended) or "nothing sent")

    def _one(self, path: Path, name: str, journal: Journal, sender: Sender, mask: Mask | None) -> None:
        try:
            this = parcel(path, name, self.client.wire.stop)
            entry = journal.known(this)
            if entry is None or entry.outcome is None:
                outcome = self._outcome(this, entry, journal, sender, mask)
                journal.end(name, this.sha256, outcome)
                self._tell(name, outcome)
        except FileChanged as changed:
            logger.info("%s", changed)
            self._waiting.pop(name, None)
        except OSError as error:
            logger.warning("%s cannot be read just now: %s", name, error)
            if seen := self._waiting.get(name):
                seen.not_before = time.monotonic() + _FILE_AGAIN

    def _outcome(
        self, this: Parcel, entry: Entry | None, journal: Journal, sender: Sender, mask: Mask | None
    ) -> Outcome:
        accession = self.watch.case or (mask.find(this.name) if mask else "")
        for _ in range(3):
            batch = entry.batch if entry else self._batch(journal)
            journal.begin(this, batch)
            try:
                return sender.send(
                    this, batch=batch, accession=accession, kind=self.watch.kind, um_per_pixel=self.watch.um_per_pixel
                )
            except NotSignedIn:
                raise
            except Refused as refused:
                if refused.status in (403, 412) or not refused.code:
                    raise
                if refused.status != 404 and refused.code != "batch_full":
                    return Outcome("rejected", "Not accepted", refused.code or str(refused.status), refused.detail,
                                   (), None, None, batch, None)  # fmt: skip
                entry = None  # that batch takes no more: another one
                journal.close_batch(_today())
        raise Unreachable("The server opens batches and does not take files into them.")

    def _batch(self, journal: Journal) -> int:
        with self._opening:
            key, known, number = journal.batch(_today(), _BATCH_AT_MOST)
            if known is not None:
                return known
            more = f" ({number})" if number > 1 else ""
            name = f"{self.watch.folder.resolve().name} on {gethostname()}, {_today()}{more}"
            batch = self.client.open_batch(name[:120], key=key).id
            journal.opened(key, batch)
            return batch

    def _ask_about(self, journal: Journal) -> None:
        """Zips that were still being unpacked when they had come whole."""
        now = time.monotonic()
        if now < self._ask_again:
            return
        self._ask_again = now + _ASK_EVERY
        for entry in journal.being_checked():
            if entry.outcome is None or entry.outcome.file is None:
                continue
            try:
                file = self.client.batch_file(entry.batch, entry.outcome.file)
            except Refused as refused:  # a token that only uploads is not told
                logger.debug("What became of %s is not known here: %s", entry.name, refused)
                self._ask_again = float("inf")
                return
            if file.outcome.status != "received":
                journal.end(entry.name, entry.sha256, file.outcome)
                self._tell(entry.name, file.outcome)
                for member in self.client.batch_files(entry.batch, show="unmatched"):
                    if member.container == file.id:
                        self._tell(f"{entry.name}: {member.path}", member.outcome)

    def _tell(self, name: str, outcome: Outcome) -> None:
        if outcome.status == "received":
            logger.info("%s has arrived and is being unpacked", name)
            return
        self.ended[outcome.status] += 1
        where = f", case {outcome.case}, image {outcome.image}" if outcome.image else ""
        if outcome.status == "unmatched":
            logger.warning("%s waits in the server's tray: %s", name, outcome.reason)
        elif not outcome.has_arrived:
            logger.warning("%s was not taken: %s", name, outcome.reason)
        else:
            logger.info(
                "%s: %s%s%s",
                name,
                outcome.words.lower(),
                where,
                f" – {'; '.join(outcome.flags)}" if outcome.flags else "",
            )


def _today() -> str:
    return date.today().isoformat()


def _words(counts: Counter[str] | dict[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
