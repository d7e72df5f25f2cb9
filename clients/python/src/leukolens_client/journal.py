"""What became of every file of a watched folder, kept so that a watcher that was killed sends nothing twice."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import RLock

from leukolens_client.errors import LeukoLensError
from leukolens_client.files import Look, Parcel
from leukolens_client.records import Outcome

_TABLES = """
CREATE TABLE IF NOT EXISTS batch (
    id INTEGER PRIMARY KEY, day TEXT NOT NULL, number INTEGER NOT NULL, key TEXT NOT NULL, server_id INTEGER,
    UNIQUE (day, number)
);
CREATE TABLE IF NOT EXISTS file (
    name TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    batch INTEGER NOT NULL, outcome TEXT, ended REAL, moved TEXT,
    PRIMARY KEY (name, sha256)
);
CREATE INDEX IF NOT EXISTS file_look ON file (name, size, mtime_ns);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file as the journal knows it. `batch`: on the server; `outcome`: None while it is on its way."""

    name: str
    sha256: str
    batch: int
    outcome: Outcome | None
    moved: bool

    @property
    def is_settled(self) -> bool:
        return self.outcome is not None and self.outcome.status != "received"


class Journal:
    """One watched folder. A file is known by its name and content; its size and time only spare reading it again.

    Which batch a file goes into is written before the first byte leaves: within a batch the server knows the file by
    its fingerprint, so that whatever was on its way when the power went is found there and not sent as another one.
    """

    def __init__(self, path: Path) -> None:
        """Raises `LeukoLensError` where what is there is no journal."""
        self._lock = RLock()
        path.touch(mode=0o600)
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise LeukoLensError(
                f"The journal {path} cannot be used ({error}). Move it away to begin a new one: what is still in the "
                "folder is then sent once more, and what a case has already is recognised there."
            ) from error

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def seen(self, name: str, look: Look) -> Entry | None:
        """The entry of a file that still looks as it did."""
        return self._entry("name = ? AND size = ? AND mtime_ns = ?", name, look.size, look.mtime_ns)

    def known(self, this: Parcel) -> Entry | None:
        """The entry of a file with this name and content, however often it was touched since."""
        with self._lock:
            self._database.execute(
                "UPDATE file SET size = ?, mtime_ns = ? WHERE name = ? AND sha256 = ?",
                (this.look.size, this.look.mtime_ns, this.name, this.sha256),
            )
        return self._entry("name = ? AND sha256 = ?", this.name, this.sha256)

    def begin(self, this: Parcel, batch: int) -> None:
        """It is about to be sent to a batch of the server."""
        with self._lock:
            self._database.execute(
                "INSERT OR REPLACE INTO file (name, sha256, size, mtime_ns, batch) VALUES (?, ?, ?, ?, ?)",
                (this.name, this.sha256, this.look.size, this.look.mtime_ns, batch),
            )

    def end(self, name: str, sha256: str, outcome: Outcome) -> None:
        with self._lock:
            self._database.execute(
                "UPDATE file SET outcome = ?, ended = ? WHERE name = ? AND sha256 = ?",
                (json.dumps(asdict(outcome)), time.time(), name, sha256),
            )

    def note_moved(self, name: str, sha256: str, to: str) -> None:
        with self._lock:
            self._database.execute("UPDATE file SET moved = ? WHERE name = ? AND sha256 = ?", (to, name, sha256))

    def being_checked(self) -> list[Entry]:
        """Files that are with the server and have no final outcome: zips, as long as they are unpacked."""
        with self._lock:
            rows = self._database.execute(
                f"SELECT {_COLUMNS} FROM file WHERE json_extract(outcome, '$.status') = 'received' LIMIT 200"  # noqa: S608
            ).fetchall()
        return [_read(row) for row in rows]

    def batch(self, day: str, at_most: int) -> tuple[str, int | None, int]:
        """The batch that files of a day go into now: (idempotency key, id on the server or None, number in the day).

        The key is kept before the server is asked, so that asking again after a crash opens no second one. A batch that
        has `at_most` files is followed by another.
        """
        with self._lock:
            row = self._database.execute(
                "SELECT key, server_id, number, (SELECT count(*) FROM file WHERE file.batch = server_id) "
                "FROM batch WHERE day = ? ORDER BY number DESC LIMIT 1",
                (day,),
            ).fetchone()
            if row is not None and row[3] < at_most:
                return row[0], row[1], row[2]
            number = 1 if row is None else row[2] + 1
            key = str(uuid.uuid4())
            self._database.execute("INSERT INTO batch (day, number, key) VALUES (?, ?, ?)", (day, number, key))
            return key, None, number

    def opened(self, key: str, server_id: int) -> None:
        with self._lock:
            self._database.execute("UPDATE batch SET server_id = ? WHERE key = ?", (server_id, key))

    def close_batch(self, day: str) -> None:
        """The newest batch of a day takes no more: the next file opens another."""
        with self._lock:
            self._database.execute(
                "INSERT INTO batch (day, number, key) SELECT day, max(number) + 1, ? FROM batch WHERE day = ?",
                (str(uuid.uuid4()), day),
            )

    def counts(self) -> dict[str, int]:
        """Files by outcome; "on its way" for those without one."""
        with self._lock:
            rows = self._database.execute(
                "SELECT coalesce(json_extract(outcome, '$.status'), 'on its way'), count(*) FROM file GROUP BY 1"
            ).fetchall()
        return dict(rows)

    def _entry(self, where: str, *values: object) -> Entry | None:
        with self._lock:
            row = self._database.execute(
                f"SELECT {_COLUMNS} FROM file WHERE {where} ORDER BY ended DESC LIMIT 1",  # noqa: S608
                values,
            ).fetchone()
        return None if row is None else _read(row)


_COLUMNS = "name, sha256, batch, outcome, moved"


def _read(row: tuple[str, str, int, str | None, str | None]) -> Entry:
    name, sha256, batch, outcome, moved = row
    return Entry(name, sha256, batch, Outcome.read(json.loads(outcome)) if outcome else None, moved is not None)
